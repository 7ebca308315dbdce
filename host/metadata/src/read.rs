//! Reads rows back, as far as a proof needs them.

use std::{
    io::{self, BufRead, BufReader, Read},
    iter,
};

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

/// The longest line that is read, in bytes: a few kilobytes can be unpacked to a line of any length.
const LONGEST: u64 = 16 << 20;

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
    Box::new(each_line(file).map(|line| Ok(serde_json::from_str(&line?)?)))
}

/// The lines of a file. An error in reading or unpacking it is the last item: reading on would give it again.
pub(super) fn each_line(mut file: impl BufRead) -> impl Iterator<Item = io::Result<String>> {
    let mut ended = false;
    iter::from_fn(move || {
        if ended {
            return None;
        }
        let line = next_line(&mut file);
        ended = !matches!(line, Ok(Some(_)));
        let text = |line| String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into());
        Some(line.transpose()?.and_then(text))
    })
}

/// The next line without its end; none at the end of the file.
fn next_line(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    file.take(LONGEST).read_until(b'\n', &mut line)?;
    match line.pop() {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) if line.len() as u64 + 1 == LONGEST => {
            let reason = format!("a line is longer than {LONGEST} bytes, which no row is");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Some(last) => line.push(last),
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn packed(lines: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(lines).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_packed_file_that_is_cut_ends_with_one_error() {
        let line = r#"{"conversation_id":"c","outcome":"stored","attempt":1}"#;
        let lines = format!("{line}\n{line}\n");
        for (ending, file) in [
            (".jsonl.gz", packed(lines.as_bytes())),
            (".jsonl.zst", zstd::encode_all(lines.as_bytes(), 1).unwrap()),
        ] {
            let all = read(ending, file.clone().into()).unwrap();
            assert_eq!(all.filter(Result::is_ok).count(), 2);
            let cut = Bytes::copy_from_slice(&file[..file.len() - 9]);
            let rows = read(ending, cut.clone()).unwrap().take(100);
            assert_eq!(rows.filter(Result::is_err).count(), 1, "{ending}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_taken_into_memory() {
        let file = packed(&vec![b' '; 20 << 20]);
        let mut rows = read(".jsonl.gz", file.into()).unwrap();
        let error = rows.next().unwrap().unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
        assert!(rows.next().is_none());
    }

    #[test]
    fn a_line_that_is_no_text_is_one_error_and_others_follow() {
        let file = Bytes::from_static(
            b"\xff\n{}\n\n{\"conversation_id\":\"c\",\"outcome\":\"stored\",\"attempt\":1}",
        );
        let rows: Vec<bool> = read(".jsonl", file)
            .unwrap()
            .map(|row| row.is_ok())
            .collect();
        assert_eq!(rows, [false, false, false, true]);
    }
}
