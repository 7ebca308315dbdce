//! A file that is being delivered: where it lies in each sink, and what the rows say of it.

use std::sync::Arc;

use super::SinkBinding;
use recording_host_model::{
    IndexMetadata, KeyContext, Object, RecordingKey,
    layout::{KeyFacts, Layout, aside, bundle_aside},
};

/// A file that is being delivered.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectTarget {
    pub(super) about: KeyFacts,
    pub(super) conversation: String,
    pub(super) recording: String,
    pub(super) part: u32,
    pub(super) name: Name,
    pub(super) content_type: String,
    /// Its metadata in the index of its archive.
    pub(super) index_metadata: Option<Arc<IndexMetadata>>,
}

/// The role of a file for its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// All of it, or of one of its parts; with its extension.
    Whole(String),
    /// A file in its archive, by its safe name.
    Entry(String),
    /// An archive of many recordings, by its id.
    Bundle(String),
    /// A file that came in its place, or in that of an archive of many recordings.
    Aside {
        extension: &'static str,
        bundle: bool,
    },
}

impl Default for Name {
    fn default() -> Self {
        Name::Whole("bin".to_owned())
    }
}

impl ObjectTarget {
    /// A recording's file, whose name and type are not yet known.
    pub(super) fn of(key: &RecordingKey, known: &KeyContext) -> Self {
        ObjectTarget {
            about: KeyFacts::from(known),
            conversation: key.conversation.clone(),
            recording: key.recording.clone(),
            part: key.part,
            ..ObjectTarget::default()
        }
    }

    /// Its key in a sink of this layout.
    pub(super) fn key(&self, layout: &Layout) -> String {
        let stem = || layout.stem(&self.about, &self.conversation, &self.recording, self.part);
        match &self.name {
            Name::Whole(extension) => layout.whole(&stem(), extension),
            Name::Entry(name) => layout.entry(&stem(), name),
            Name::Bundle(id) => layout.bundle(id),
            Name::Aside {
                extension,
                bundle: true,
            } => bundle_aside(&self.conversation, &self.recording, extension),
            Name::Aside { extension, .. } => {
                aside(&self.conversation, &self.recording, self.part, extension)
            }
        }
    }

    /// Which file of its recording it is, whatever its key and its type are: its part, and its name if
    /// it was in an archive.
    fn file(&self) -> String {
        match &self.name {
            Name::Entry(name) => format!("{}/{name}", self.part),
            _ => format!("{}/", self.part),
        }
    }

    /// A text that distinguishes it from the other files that come of the same archive, in every layout:
    /// two of the same name could have the same key, on file systems that know no case.
    pub(super) fn dedup_key(&self) -> String {
        self.key(&Layout::default()).to_lowercase()
    }

    /// Its keys in some sinks, for a message: each once.
    pub(super) fn keys(&self, bindings: &[&SinkBinding]) -> String {
        let mut keys = Vec::new();
        for binding in bindings {
            let key = self.key(&binding.layout);
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.join(" or ")
    }

    /// The object that a sink of this layout holds once it has the file.
    pub(super) fn object(&self, layout: &Layout, size: u64, sha256: &str) -> Object {
        Object {
            conversation: self.conversation.clone(),
            recording: self.recording.clone(),
            key: self.key(layout),
            member: None,
            content_type: self.content_type.clone(),
            size,
            sha256: sha256.to_owned(),
            etag: None,
            stored: None,
            index_metadata: self.index_metadata.clone(),
            note: None,
            aside: false,
            file: self.file(),
        }
    }
}
