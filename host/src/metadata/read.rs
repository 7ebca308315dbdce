//! Reads rows back, as far as a proof needs them.

use std::io::{self, BufRead, BufReader};

use bytes::Bytes;
use serde::Deserialize;

/// What a row says of an object.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Known {
    /// Whose object it is.
    pub(crate) conversation_id: String,
    /// The object; none for a conversation without any.
    pub(crate) object_key: Option<String>,
    /// Its digest.
    pub(crate) sha256: Option<String>,
}

type Rows = Box<dyn Iterator<Item = io::Result<Known>>>;

/// The rows of a file, whose format is told by its key.
pub(crate) fn read(key: &str, file: Bytes) -> io::Result<Rows> {
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
    let wanted = ["conversation_id", "object_key", "sha256"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    let batches = builder.with_projection(mask).build().map_err(failed)?;
    Ok(Box::new(batches.flat_map(move |batch| {
        let rows = batch.map_err(io::Error::other).and_then(|batch| {
            let columns: Vec<_> = wanted
                .iter()
                .map(|name| text(&batch, name))
                .collect::<io::Result<_>>()?;
            Ok((0..batch.num_rows()).map(move |row| {
                let mut values = columns.iter().map(|column| {
                    use arrow_array::Array;
                    column.is_valid(row).then(|| column.value(row).to_owned())
                });
                let mut next = || values.next().flatten();
                Ok(Known {
                    conversation_id: next().unwrap_or_default(),
                    object_key: next(),
                    sha256: next(),
                })
            }))
        });
        match rows {
            Ok(rows) => rows.collect(),
            Err(error) => vec![Err(error)],
        }
    })))
}

#[cfg(feature = "parquet")]
fn text(batch: &arrow_array::RecordBatch, name: &str) -> io::Result<arrow_array::StringArray> {
    let column = batch.column_by_name(name);
    let column =
        column.and_then(|column| column.as_any().downcast_ref::<arrow_array::StringArray>());
    column
        .cloned()
        .ok_or_else(|| io::Error::other(format!("there is no column of texts `{name}`")))
}
