//! Files of a recording that are the same: links that change from answer to answer make copies.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::{Queue, QueueError};
use recording_host_model::{ArtifactKey, ArtifactResult};

/// An object that is a copy of another one of its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectCopy {
    /// Where among those that were delivered the recording is.
    pub at: usize,
    /// The sink.
    pub sink: String,
    /// The object's key in the sink.
    pub key: String,
}

/// A recording in a sink: the sink, the conversation and the recording.
pub(super) type RecordingInSink = (String, String, String);
/// The files of a part: the name and the sha256 of each, and the key.
type Files = BTreeSet<(String, String, String)>;
/// The parts of a recording.
pub(super) type Parts = BTreeMap<u32, Files>;

impl Queue {
    /// Which objects of these recordings are copies: those of each part whose files are, byte for byte,
    /// the files of a part before it in the same sink. Only of conversations at their first attempt: the
    /// receipt of an earlier one may name the object.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn copies(&self, batch: &[ArtifactResult]) -> Result<Vec<ObjectCopy>, QueueError> {
        let found = delivered(batch);
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.transaction(move |tx| {
            let mut copies = Vec::new();
            for ((sink, conversation, recording), (at, mut parts)) in found {
                let first: bool = tx
                    .prepare_cached(
                        "SELECT ifnull(max(attempt), 1) = 1 FROM conversation WHERE id = ?1",
                    )?
                    .query_row([&conversation], |row| row.get(0))?;
                if !first {
                    continue;
                }
                let mut query = tx.prepare_cached(
                    "SELECT key, file, sha256 FROM object
                     WHERE conversation = ?1 AND recording = ?2 AND sink = ?3 AND aside = 0",
                )?;
                let mut rows = query.query(params![conversation, recording, sink])?;
                while let Some(row) = rows.next()? {
                    let file: String = row.get(1)?;
                    add_file(&mut parts, &file, row.get(2)?, row.get(0)?);
                }
                let keys = copies_among(&parts).into_iter();
                copies.extend(keys.map(|key| ObjectCopy {
                    at,
                    sink: sink.clone(),
                    key,
                }));
            }
            Ok(copies)
        })
        .await
    }
}

/// The recordings that were delivered, with where each is and the files of its parts.
pub(super) fn delivered(batch: &[ArtifactResult]) -> BTreeMap<RecordingInSink, (usize, Parts)> {
    let mut found = BTreeMap::<RecordingInSink, (usize, Parts)>::new();
    for (at, delivered) in batch.iter().enumerate() {
        let Some(ArtifactKey::Recording(_)) = ArtifactKey::from_text(&delivered.artifact) else {
            continue;
        };
        let Ok(contents) = &delivered.result else {
            continue;
        };
        for (sink, object) in contents.objects.iter().filter(|(_, object)| !object.aside) {
            let place = (
                sink.clone(),
                object.conversation.clone(),
                object.recording.clone(),
            );
            let (_, parts) = found.entry(place).or_insert((at, Parts::new()));
            let (sha256, key) = (object.sha256.clone(), object.key.clone());
            add_file(parts, &object.file, sha256, key);
        }
    }
    found
}

/// Adds a file to the part that it is of.
pub(super) fn add_file(parts: &mut Parts, file: &str, sha256: String, key: String) {
    // An entry written by an earlier version does not contain its part.
    if let Some((part, name)) = file.split_once('/')
        && let Ok(part) = part.parse()
        && !sha256.is_empty()
    {
        let files: &mut Files = parts.entry(part).or_default();
        files.insert((name.to_owned(), sha256, key));
    }
}

/// The keys of the parts that have the files of one before them.
pub(super) fn copies_among(parts: &Parts) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut keys = Vec::new();
    for files in parts.values() {
        let what = files.iter().map(|(name, sha256, _)| (name, sha256));
        if !seen.insert(what.collect::<Vec<_>>()) {
            keys.extend(files.iter().map(|(.., key)| key.clone()));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(files: &[(&str, &str, &str)]) -> Parts {
        let mut parts = Parts::new();
        for (file, sha256, key) in files {
            add_file(&mut parts, file, (*sha256).to_owned(), (*key).to_owned());
        }
        parts
    }

    #[test]
    fn a_part_with_the_bytes_of_one_before_it_is_a_copy() {
        let copies = |files: &[(&str, &str, &str)]| copies_among(&parts(files));
        assert_eq!(
            copies(&[("1/", "a", "r.1.wav"), ("0/", "a", "r.wav")]),
            ["r.1.wav"]
        );
        assert_eq!(
            copies(&[("10/", "a", "r.10"), ("9/", "a", "r.9"), ("2/", "b", "r.2")]),
            ["r.10"]
        );
        assert!(copies(&[("0/", "a", "r.wav"), ("1/", "b", "r.1.wav")]).is_empty());
    }

    #[test]
    fn files_of_one_part_are_never_copies_of_one_another() {
        let copies = |files: &[(&str, &str, &str)]| copies_among(&parts(files));
        // Two silent channels, and two attachments that are alike.
        assert!(copies(&[("0/", "a", "r.ch0.wav"), ("0/", "a", "r.ch1.wav")]).is_empty());
        assert!(copies(&[("0/x", "a", "r/x"), ("0/y", "a", "r/y")]).is_empty());
        // Of a part all files must be alike, names in an archive among them.
        let one = ("0/x", "a", "r/x");
        assert!(copies(&[one, ("1/x", "a", "r.1/x"), ("1/y", "b", "r.1/y")]).is_empty());
        assert!(copies(&[one, ("1/y", "a", "r.1/y")]).is_empty());
        assert_eq!(copies(&[one, ("1/x", "a", "r.1/x")]), ["r.1/x"]);
        // Entries written by an earlier version say nothing of parts.
        assert!(copies(&[("", "a", "r.wav"), ("1/", "a", "r.1.wav")]).is_empty());
    }
}
