//! The files in a conversation's folder: the recordings, the objects that belong to each, and the
//! problems.

use std::collections::BTreeMap;

use recording_source_sdk::{Artifact, ArtifactKey, Download, Missing, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    layout::{FileKind, content_type, kind},
    options::Options,
    s3::{self, Page},
};

/// The most objects of one folder that are read. They are part of the state, whose size the host limits.
pub(crate) const MOST: u32 = 500;
/// The most bytes that their names may have together.
const NAMES: usize = 32 << 10;

/// A file that is or may be a recording.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) name: String,
    /// The recording's id: from the file's name, until its metadata provide it.
    pub(super) recording: String,
    /// Its length as listed; none if only its metadata exist.
    size: Option<u64>,
    /// True if its length cannot be read.
    #[serde(default)]
    size_unknown: bool,
    archived: bool,
    /// True if it is of a kind that has no metadata of its own.
    bare: bool,
    pub(super) has_sidecar: bool,
    pub(super) sidecar_size: u64,
    pub(super) screen: bool,
    /// The problem with its metadata.
    pub(super) wrong: Option<String>,
}

impl File {
    /// The name of its metadata.
    pub(super) fn sidecar(&self) -> String {
        format!("{}_metadata.json", self.name)
    }
}

/// The files of a folder.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Files {
    pub(super) files: Vec<File>,
    /// The time at which the newest one was written.
    #[serde(skip)]
    pub(super) written: Timestamp,
    /// All objects, whatever they are.
    objects: u64,
    /// Objects whose keys are not of the layout.
    odd: u32,
    /// True if there are more than are read.
    more: bool,
    /// True if the folder is gone.
    empty: bool,
}

impl Files {
    /// Sorts the objects of a folder.
    pub(super) fn of(page: &Page, folder: &str) -> Self {
        let mut files = BTreeMap::<String, File>::new();
        let mut sorted = Files {
            more: page.is_truncated(),
            empty: page.contents.is_empty(),
            objects: page.contents.len() as u64,
            ..Files::default()
        };
        let mut room = NAMES;
        for object in &page.contents {
            let name = object.key.strip_prefix(folder).unwrap_or(&object.key);
            if name.len() > room {
                sorted.more = true;
                break;
            }
            room -= name.len();
            sorted.written = sorted.written.max(object.written());
            let (file, recording, is_sidecar) = match kind(name) {
                FileKind::Recording(id) | FileKind::Transcript(id) => (name, id, false),
                FileKind::Sidecar(file) => {
                    (file, file.rsplit_once('.').map_or(file, |(id, _)| id), true)
                }
                FileKind::Other => continue,
                FileKind::Odd => {
                    sorted.odd += u32::from(!name.ends_with('/'));
                    continue;
                }
            };
            let entry = files.entry(file.to_owned()).or_insert_with(|| File {
                name: file.to_owned(),
                recording: recording.to_owned(),
                ..File::default()
            });
            if is_sidecar {
                entry.has_sidecar = true;
                entry.sidecar_size = object.size().unwrap_or(0);
            } else {
                entry.size = Some(object.size().unwrap_or(0));
                entry.size_unknown = object.size().is_none();
                entry.archived = object.archived();
                entry.bare = matches!(kind(name), FileKind::Transcript(_));
            }
        }
        sorted.files = files.into_values().collect();
        sorted
    }

    /// Returns true if a file lacks its metadata, or metadata lack their file.
    pub(super) fn lacking(&self) -> bool {
        let lacks = |file: &File| file.size.is_none() || !(file.has_sidecar || file.bare);
        self.files.iter().any(lacks)
    }

    /// The number of objects, as a find counts them; none if there are more than are read.
    pub(super) fn revision(&self) -> Option<u64> {
        (!self.more).then_some(self.objects)
    }

    /// Everything that is unavailable, in full or in part.
    pub(super) fn missing(&self) -> Vec<Missing> {
        let mut found = Vec::new();
        for file in &self.files {
            let mut tell = |code, message: &str, retryable| {
                found.push(Missing::new(
                    Some(&file.recording),
                    code,
                    message,
                    retryable,
                ));
            };
            if file.size.is_none() {
                let message = "its metadata are in the bucket, and its file is not";
                tell("no-media", message, true);
            } else if file.archived {
                let message = "the object is archived in the bucket: restore it and try again";
                tell("archived", message, false);
            }
            if let Some(reason) = &file.wrong {
                let message =
                    format!("the metadata beside the file are not as documented: {reason}");
                tell("wrong-sidecar", &message, false);
            } else if file.size.is_some() && !file.has_sidecar && !file.bare {
                tell("no-sidecar", "there are no metadata beside the file", true);
            }
        }
        if self.odd > 0 {
            let message = format!(
                "{} objects in the conversation's folder have names that are not of the layout",
                self.odd
            );
            found.push(Missing::new(None, "odd-key", &message, false));
        }
        if self.more {
            let message = "the conversation's folder has more objects than are read";
            found.push(Missing::new(None, "too-many-objects", message, false));
        }
        if self.empty {
            let message = "the conversation's folder is gone from the bucket";
            found.push(Missing::new(None, "gone", message, false));
        }
        found
    }

    /// The available files, each with its part: the files of one recording are numbered in the order
    /// of their names.
    pub(super) fn artifacts(
        &self,
        options: &Options,
        folder: &str,
        conversation: &str,
    ) -> Vec<Artifact> {
        let mut parts = BTreeMap::<&str, u32>::new();
        let mut artifacts = Vec::new();
        for file in &self.files {
            let part = parts.entry(&file.recording).or_default();
            let this = *part;
            *part += 1;
            let Some(size) = file.size.filter(|_| !file.archived) else {
                continue;
            };
            let content_type = content_type(&file.name, file.screen);
            let request = s3::object(options, &format!("{folder}{}", file.name));
            artifacts.push(Artifact {
                size: Some(size).filter(|_| !file.size_unknown),
                ..Artifact::new(
                    ArtifactKey::part(conversation, &file.recording, this),
                    Download::authenticated(request),
                    content_type,
                )
            });
        }
        artifacts
    }
}
