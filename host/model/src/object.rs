//! Objects in sinks, and what became of the artifacts that they came from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::IndexMetadata;

/// An object that a sink has stored.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Object {
    /// The conversation; empty for a bundle that is kept whole.
    #[serde(skip)]
    pub conversation: String,
    /// The recording.
    pub recording: String,
    /// The object's key in the sink.
    pub key: String,
    /// The name in the archive, if the object is an archive that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The MIME type.
    pub content_type: String,
    /// The length in bytes.
    pub size: u64,
    /// The SHA-256 in hexadecimal.
    pub sha256: String,
    /// The entity tag that the sink gave it, if it has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Length and SHA-256 as which it is stored, if the sink encrypts.
    #[serde(skip)]
    pub stored: Option<(u64, String)>,
    /// Why it is not in the form that its sink wants, or is shorter than it says, as a code and a
    /// message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// True if it is not what it claims to be: kept beside the recordings, and counted as none.
    #[serde(skip)]
    pub aside: bool,
    /// Which file of its recording it is: its part, a `/`, and its name if it was in an archive.
    #[serde(skip)]
    pub file: String,
    /// Its metadata in the index of the archive that it came in, for the rows.
    #[serde(skip)]
    pub index_metadata: Option<Arc<IndexMetadata>>,
}

impl Object {
    /// Leaves of its note the code.
    pub fn drop_message(&mut self) {
        if let Some(note) = &mut self.note {
            note.truncate(note.find(':').unwrap_or(note.len()));
        }
    }
}

/// The result of an artifact, to be written down together with others.
#[derive(Clone, Debug)]
pub struct ArtifactResult {
    /// The artifact's key as text.
    pub artifact: String,
    /// Its contents; or why there are none, as code and message.
    pub result: Result<ArtifactContents, (String, String)>,
    /// The sinks that took it, by name.
    pub took: Vec<String>,
    /// The sinks that are unavailable and get it later.
    pub backlog: Vec<String>,
}

impl ArtifactResult {
    /// An artifact that no sink has, and that some get later.
    #[must_use]
    pub fn owed(artifact: String, backlog: Vec<String>) -> Self {
        ArtifactResult {
            artifact,
            took: Vec::new(),
            backlog,
            result: Ok(ArtifactContents::default()),
        }
    }

    /// An artifact that is unavailable.
    #[must_use]
    pub fn failed(artifact: String, code: &str, message: &str) -> Self {
        ArtifactResult {
            artifact,
            result: Err((code.to_owned(), message.to_owned())),
            took: Vec::new(),
            backlog: Vec::new(),
        }
    }
}

/// The contents of an artifact.
#[derive(Clone, Debug, Default)]
pub struct ArtifactContents {
    /// Its objects, with the sink that holds them.
    pub objects: Vec<(String, Object)>,
    /// Recordings for which it holds a reason instead.
    pub missing: Vec<MissingRecording>,
    /// Why it is lost although it was downloaded: it is not what it claims to be. Its objects are what
    /// is kept aside.
    pub lost: Option<MissingRecording>,
    /// The sinks that it is lost for, if others had got it before.
    pub lost_in: Vec<String>,
    /// Objects that other artifacts brought and that are removed again, with the sinks that held them:
    /// copies of another file of the same recording.
    pub dropped: Vec<(String, String)>,
}

/// A recording that is not in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRecording {
    /// The conversation.
    pub conversation: String,
    /// A short stable code.
    pub code: String,
    /// A description of the reason.
    pub message: String,
    /// True if it may be there later.
    pub retryable: bool,
}
