//! Reads rows back from Parquet, as far as a proof needs them.

use std::{io, iter};

use ::parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use arrow_array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;

use super::{caught, failed};
use crate::read::{KnownRow, Rows};

/// The rows of a file as proofs need them.
pub(crate) fn known_rows(file: Bytes) -> io::Result<Rows> {
    let texts = [
        "conversation_id",
        "recording_id",
        "object_key",
        "archive_member",
        "sha256",
        "outcome",
        "reason",
    ];
    let wanted = texts.into_iter().chain(["size_bytes", "attempt"]);
    let mut batches = caught(|| {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
        builder.with_projection(mask).build().map_err(failed)
    })?;
    // Whoever reads on after an error gets it again.
    let mut ended = false;
    let batches = iter::from_fn(move || {
        if ended {
            return None;
        }
        let batch = caught(|| batches.next().transpose().map_err(io::Error::other));
        ended = batch.is_err();
        batch.transpose()
    });
    Ok(Box::new(batches.flat_map(move |batch| {
        let rows = batch.and_then(|batch| caught(|| rows(&batch, &texts)));
        rows.unwrap_or_else(|error| vec![Err(error)])
    })))
}

/// The rows of a batch that has these columns of texts, in the order in which they are read below.
fn rows(batch: &RecordBatch, texts: &[&str]) -> io::Result<Vec<io::Result<KnownRow>>> {
    let columns: Vec<StringArray> = texts
        .iter()
        .map(|name| column(batch, name))
        .collect::<io::Result<_>>()?;
    let sizes: Int64Array = column(batch, "size_bytes")?;
    let attempts: Int32Array = column(batch, "attempt")?;
    let rows = (0..batch.num_rows()).map(|row| {
        let mut values = columns
            .iter()
            .map(|column| column.is_valid(row).then(|| column.value(row).to_owned()));
        let mut next = || values.next().flatten();
        Ok(KnownRow {
            conversation_id: next().unwrap_or_default(),
            recording_id: next(),
            object_key: next(),
            archive_member: next(),
            sha256: next(),
            outcome: next().unwrap_or_default(),
            reason: next(),
            size_bytes: sizes
                .is_valid(row)
                .then(|| u64::try_from(sizes.value(row)).unwrap_or_default()),
            attempt: u32::try_from(attempts.value(row)).unwrap_or_default(),
        })
    });
    Ok(rows.collect())
}

fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> io::Result<A> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_any().downcast_ref::<A>());
    column
        .cloned()
        .ok_or_else(|| io::Error::other(format!("there is no column `{name}` of its type")))
}
