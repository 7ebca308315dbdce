//! Reads rows back, as far as a proof needs them.

use std::io::{self, BufRead, BufReader};

use bytes::Bytes;
use serde::Deserialize;

use super::parquet;

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

pub(super) type Rows = Box<dyn Iterator<Item = io::Result<KnownRow>>>;

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
        parquet::known_rows(file)
    } else {
        Err(io::Error::other("no format of rows has this ending"))
    }
}

fn lines(file: impl BufRead + 'static) -> Rows {
    Box::new(file.lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}
