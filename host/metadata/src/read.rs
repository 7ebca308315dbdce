//! Reads rows back, as far as a proof needs them.

use std::{
    io::{self, BufRead, BufReader, Read},
    iter,
};

use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::parquet;

/// The facts in a row that a proof needs.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
pub struct KnownRow {
    /// Whose row it is.
    pub conversation_id: String,
    /// The recording; none for a conversation without any.
    #[serde(default, deserialize_with = "text")]
    pub recording_id: Option<String>,
    /// The object; none for a conversation without any.
    #[serde(default, deserialize_with = "text")]
    pub object_key: Option<String>,
    /// The name in the archive, if the object is an archive that is kept.
    #[serde(default, deserialize_with = "text")]
    pub archive_member: Option<String>,
    /// The object's length in bytes.
    pub size_bytes: Option<u64>,
    /// Its digest.
    #[serde(default, deserialize_with = "text")]
    pub sha256: Option<String>,
    /// The outcome of the conversation.
    pub outcome: String,
    /// Why recordings are lacking.
    #[serde(default, deserialize_with = "text")]
    pub reason: Option<String>,
    /// The attempt that the row is of.
    pub attempt: u32,
}

/// A text of a line of JSON. One that is absent is empty there, and in lines of earlier versions null.
pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// The longest line that is read, in bytes: a few kilobytes can be unpacked to a line of any length.
const LONGEST: u64 = 16 << 20;

/// The largest window of zstd that is taken into memory, as a power of two: 16 MiB. Rows are written with less.
const WINDOW_LOG: u32 = 24;

pub(super) type Rows = Box<dyn Iterator<Item = io::Result<KnownRow>>>;

/// The rows of a file; its key determines the format.
pub fn read(key: &str, file: Bytes) -> io::Result<Rows> {
    if key.ends_with(".parquet") {
        return parquet::known_rows(file);
    }
    let endings = [".jsonl", ".jsonl.gz", ".jsonl.zst"];
    if !endings.iter().any(|ending| key.ends_with(ending)) {
        return Err(io::Error::other("no format of rows has this ending"));
    }
    let lines = lines_of(key, file)?;
    Ok(Box::new(
        lines.map(|line| Ok(serde_json::from_str(&line?)?)),
    ))
}

/// The lines of a file of rows as JSON Lines, which its key may call compressed.
pub(super) fn lines_of(
    key: &str,
    file: Bytes,
) -> io::Result<Box<dyn Iterator<Item = io::Result<String>>>> {
    let file = io::Cursor::new(file);
    if key.ends_with(".gz") {
        let unpacked = flate2::bufread::MultiGzDecoder::new(file);
        Ok(Box::new(each_line(BufReader::new(unpacked))))
    } else if key.ends_with(".zst") {
        let mut unpacked = zstd::stream::read::Decoder::with_buffer(file)?;
        unpacked.window_log_max(WINDOW_LOG)?;
        Ok(Box::new(each_line(BufReader::new(unpacked))))
    } else {
        Ok(Box::new(each_line(file)))
    }
}

/// The lines of a file. An error in reading or unpacking it is the last item: reading on would give it again.
fn each_line(mut file: impl BufRead) -> impl Iterator<Item = io::Result<String>> {
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
    fn a_window_of_zstd_beyond_any_use_is_not_taken_into_memory() {
        let packed = |window: u32| {
            let mut packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            packed.window_log(window).unwrap();
            packed.write_all(b"{}\n").unwrap();
            let file = packed.finish().unwrap();
            read(".jsonl.zst", file.into()).unwrap().next().unwrap()
        };
        let broken = |window| packed(window).unwrap_err().to_string();
        assert!(broken(24).contains("missing field"), "{}", broken(24));
        assert!(broken(27).contains("memory"), "{}", broken(27));
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
