//! What is inside a zip, and whose it is.
//!
//! Archives are spooled to an unnamed file first, so that the central
//! directory decides what is in them. Entry names never become paths unchecked.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
};

use bytes::Bytes;
use serde_json::Value;
use zip::ZipArchive;

use crate::sandbox::BundleIndex;

/// How many entries an archive may have.
const ENTRIES: usize = 100_000;
/// How many times its packed size an entry may be, beyond [`SLACK`] bytes.
const RATIO: u64 = 1000;
const SLACK: u64 = 64 << 20;
/// The largest JSON index, in bytes.
const INDEX: u64 = 64 << 20;

/// Why an archive cannot be unpacked; it is kept as it came.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is damaged, or packed in a way that is not understood.
    #[error("the zip cannot be read: {0}")]
    Damaged(String),
    /// It would grow beyond measure.
    #[error("the zip's entry {0} unpacks to more than a recording can be")]
    Bomb(String),
}

/// A spooled archive.
#[derive(Debug)]
pub struct Archive {
    zip: ZipArchive<File>,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    index: usize,
    /// The name in the archive, as it stands there.
    pub name: String,
    /// The name made safe for an object key.
    pub safe_name: String,
    /// The unpacked length in bytes, as the archive tells it.
    pub size: u64,
}

/// What a bundle's index tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Whose each file is, by its name in the archive.
    pub owners: BTreeMap<String, Owner>,
    /// Recordings that are not there: conversation and reason.
    pub missing: Vec<(String, String)>,
}

/// Whose a file of a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The conversation.
    pub conversation: String,
    /// The recording.
    pub recording: String,
    /// The MIME type, if the index tells.
    pub content_type: Option<String>,
}

impl Archive {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] if there is none that can be read.
    pub fn open(file: File) -> Result<Self, ArchiveError> {
        let zip =
            ZipArchive::new(file).map_err(|error| ArchiveError::Damaged(error.to_string()))?;
        if zip.len() > ENTRIES {
            return Err(ArchiveError::Damaged(format!(
                "{} entries, at most {ENTRIES} are read",
                zip.len()
            )));
        }
        Ok(Archive { zip })
    }

    /// The files, in the order of the directory; folders are left out.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`] if an entry is encrypted, a link, or unreadable.
    pub fn entries(&mut self) -> Result<Vec<Entry>, ArchiveError> {
        let mut entries = Vec::new();
        let mut seen = BTreeMap::<String, u32>::new();
        for index in 0..self.zip.len() {
            let file = self
                .zip
                .by_index_raw(index)
                .map_err(|error| ArchiveError::Damaged(error.to_string()))?;
            if file.is_dir() {
                continue;
            }
            let name = file
                .name()
                .map_err(|error| ArchiveError::Damaged(error.to_string()))?
                .into_owned();
            if file.encrypted() || file.is_symlink() {
                return Err(ArchiveError::Damaged(format!(
                    "entry {name} is encrypted or a link"
                )));
            }
            let mut safe_name = safe(&name);
            let count = seen.entry(safe_name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                safe_name = format!("{count}-{safe_name}");
            }
            entries.push(Entry {
                index,
                name,
                safe_name,
                size: file.size(),
            });
        }
        Ok(entries)
    }

    /// Unpacks an entry into a feed, from a thread that may block.
    ///
    /// # Errors
    /// [`ArchiveError`] if the entry is damaged or a bomb; a sink that stopped reading is no error.
    pub fn unpack(
        &mut self,
        entry: &Entry,
        mut each: impl FnMut(Bytes) -> bool,
    ) -> Result<(), ArchiveError> {
        let damaged = |error: &dyn std::fmt::Display| {
            ArchiveError::Damaged(format!("entry {}: {error}", entry.name))
        };
        let mut file = self
            .zip
            .by_index(entry.index)
            .map_err(|error| damaged(&error))?;
        let most = file
            .compressed_size()
            .saturating_mul(RATIO)
            .saturating_add(SLACK);
        let mut total = 0;
        loop {
            let mut buffer = vec![0; 64 << 10];
            let length = file.read(&mut buffer).map_err(|error| damaged(&error))?;
            if length == 0 {
                break;
            }
            total += length as u64;
            if total > most {
                return Err(ArchiveError::Bomb(entry.name.clone()));
            }
            buffer.truncate(length);
            if !each(Bytes::from(buffer)) {
                return Ok(());
            }
        }
        if total == entry.size {
            Ok(())
        } else {
            Err(damaged(&format!("{total} bytes, {} announced", entry.size)))
        }
    }

    /// Reads the index of a bundle: the JSON documents inside.
    ///
    /// # Errors
    /// [`ArchiveError`] if a document cannot be read.
    pub fn listed(
        &mut self,
        entries: &[Entry],
        index: &BundleIndex,
    ) -> Result<Listed, ArchiveError> {
        let mut listed = Listed::default();
        for entry in entries.iter().filter(|entry| is_index(entry)) {
            if entry.size > INDEX {
                return Err(ArchiveError::Bomb(entry.name.clone()));
            }
            let mut text = Vec::new();
            self.unpack(entry, |data| {
                text.extend_from_slice(&data);
                text.len() as u64 <= INDEX
            })?;
            // A JSON file that is no index is an ordinary file.
            if let Ok(value) = serde_json::from_slice(&text) {
                collect(&value, index, &mut listed);
            }
        }
        Ok(listed)
    }
}

/// Whether a file may be an index.
#[must_use]
pub fn is_index(entry: &Entry) -> bool {
    entry.name.to_ascii_lowercase().ends_with(".json")
}

fn collect(value: &Value, index: &BundleIndex, listed: &mut Listed) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, index, listed)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
            let owner = text(&index.conversation_field).zip(text(&index.recording_field));
            if let (Some((conversation, recording)), Some(file)) = (owner, text(&index.file_field))
            {
                let content_type = index.content_type_field.as_deref().and_then(text);
                listed.owners.insert(
                    file,
                    Owner {
                        conversation,
                        recording,
                        content_type,
                    },
                );
            } else if let Some((conversation, reason)) =
                text(&index.conversation_field).zip(index.error_field.as_deref().and_then(text))
            {
                listed.missing.push((conversation, reason));
            } else {
                fields
                    .values()
                    .for_each(|field| collect(field, index, listed));
            }
        }
        _ => {}
    }
}

/// A file name that is a name in any key and any file system, and nothing more.
#[must_use]
pub fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut safe: String = last
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => c,
            c if c.is_alphanumeric() => c,
            _ => '_',
        })
        .take(150)
        .collect();
    if safe.chars().all(|c| c == '.') {
        safe = format!("entry{}", safe.len());
    }
    safe
}

/// An unnamed file in the host's own folder, gone when it is closed.
///
/// # Errors
/// What the system says.
pub fn spool(folder: &std::path::Path) -> io::Result<File> {
    tempfile::tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn archive(files: &[(&str, &str)]) -> Archive {
        let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
        for (name, text) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        Archive::open(zip.finish().unwrap()).unwrap()
    }

    #[test]
    fn hostile_names_cannot_leave_their_folder() {
        for name in [
            "../../etc/passwd",
            "/abs",
            "a\\..\\b",
            "..",
            "",
            "c:\\x",
            "a\0b",
        ] {
            let safe = safe(name);
            assert!(
                !safe.contains(['/', '\\', '\0']) && !safe.is_empty() && safe != "..",
                "{name}"
            );
        }
    }

    #[test]
    fn equal_names_in_different_folders_are_told_apart() {
        let entries = archive(&[("a/x.wav", "1"), ("b/x.wav", "2")])
            .entries()
            .unwrap();
        let names: Vec<_> = entries
            .iter()
            .map(|entry| entry.safe_name.as_str())
            .collect();
        assert_eq!(names, ["x.wav", "2-x.wav"]);
    }

    #[test]
    fn an_index_tells_whose_each_file_is_and_what_is_missing() {
        let json = r#"{"recordings":[{"conversationId":"c","recordingId":"r","fileName":"c/r.wav"},
            {"conversationId":"d","recordingId":"s","errorMsg":"archived"}]}"#;
        let mut archive = archive(&[("c/r.wav", "sound"), ("metadata.json", json)]);
        let entries = archive.entries().unwrap();
        let index = BundleIndex {
            conversation_field: "conversationId".into(),
            recording_field: "recordingId".into(),
            file_field: "fileName".into(),
            content_type_field: None,
            error_field: Some("errorMsg".into()),
            passing_errors: Vec::new(),
        };
        let listed = archive.listed(&entries, &index).unwrap();
        assert_eq!(listed.owners["c/r.wav"].recording, "r");
        assert_eq!(listed.missing, [("d".to_owned(), "archived".to_owned())]);
    }

    #[test]
    fn a_cut_archive_is_refused() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PK\x03\x04 and then nothing").unwrap();
        assert!(matches!(Archive::open(file), Err(ArchiveError::Damaged(_))));
    }
}
