//! Reads rows back, as far as a proof needs them.

use std::io::{self, BufRead, BufReader};

#[cfg(feature = "parquet")]
use arrow_array::{Array, Int32Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use serde::Deserialize;

/// The facts in a row that a proof needs.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub struct KnownRow {
    /// Whose row it is.
    pub conversation_id: String,
    /// The recording; none for a conversation without any.
    pub recording_id: Option<String>,
    /// The object; none for a conversation without any.
    pub object_key: Option<String>,
    /// The name in the archive, if the object is an archive that is kept.
    pub archive_member: Option<String>,
    /// The object's length in bytes.
    pub size_bytes: Option<u64>,
    /// Its digest.
    pub sha256: Option<String>,
    /// The outcome of the conversation.
    pub outcome: String,
    /// Why recordings are lacking.
    pub reason: Option<String>,
    /// The attempt that the row is of.
    pub attempt: u32,
}

type Rows = Box<dyn Iterator<Item = io::Result<KnownRow>>>;

/// The rows of a file; its key determines the format.
pub fn read(key: &str, file: Bytes) -> io::Result<Rows> {
    let ending = |ending: &str| key.ends_with(ending);
    let file_of_lines = io::Cursor::new(file.clone());
    if ending(".jsonl") {
        Ok(lines(file_of_lines))
    } else if ending(".jsonl.gz") {
        let unpacked = flate2::bufread::MultiGzDecoder::new(file_of_lines);
        Ok(lines(BufReader::new(unpacked)))
    } else if ending(".jsonl.zst") {
        let unpacked = zstd::stream::read::Decoder::with_buffer(file_of_lines)?;
        Ok(lines(BufReader::new(unpacked)))
    } else if ending(".parquet") {
        parquet(file)
    } else {
        Err(io::Error::other("no format of rows has this ending"))
    }
}

fn lines(file: impl BufRead + 'static) -> Rows {
    Box::new(file.lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: Bytes) -> io::Result<Rows> {
    Err(io::Error::other(
        "this build has no `parquet`; build it with the feature `parquet`",
    ))
}

#[cfg(feature = "parquet")]
fn parquet(file: Bytes) -> io::Result<Rows> {
    use super::parquet::failed;
    use ::parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};

    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
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
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    let batches = builder.with_projection(mask).build().map_err(failed)?;
    Ok(Box::new(batches.flat_map(move |batch| {
        let rows = batch
            .map_err(io::Error::other)
            .and_then(|batch| rows(&batch, &texts));
        rows.unwrap_or_else(|error| vec![Err(error)])
    })))
}

/// The rows of a batch that has these columns of texts, in the order in which they are read below.
#[cfg(feature = "parquet")]
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

#[cfg(feature = "parquet")]
fn column<A: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> io::Result<A> {
    let column = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_any().downcast_ref::<A>());
    column
        .cloned()
        .ok_or_else(|| io::Error::other(format!("there is no column `{name}` of its type")))
}
