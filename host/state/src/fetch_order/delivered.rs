//! What became of an artifact, as a node reports it.

use serde::{Deserialize, Serialize};

use super::StoredObject;
use recording_host_model::{ArtifactContents, ArtifactResult, MissingRecording};

/// The result of an artifact.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivered {
    pub(super) artifact: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    took: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    backlog: Vec<String>,
    result: Result<Contents, (String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Contents {
    objects: Vec<StoredObject>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<LostRecording>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost: Option<LostRecording>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost_in: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<(String, String)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct LostRecording {
    conversation: String,
    code: String,
    message: String,
    retryable: bool,
}

impl Delivered {
    pub(super) fn of(result: &ArtifactResult) -> Self {
        let contents = |contents: &ArtifactContents| Contents {
            objects: contents
                .objects
                .iter()
                .map(|(sink, object)| StoredObject::of(sink, object))
                .collect(),
            missing: contents.missing.iter().map(LostRecording::of).collect(),
            lost: contents.lost.as_ref().map(LostRecording::of),
            lost_in: contents.lost_in.clone(),
            dropped: contents.dropped.clone(),
        };
        Delivered {
            artifact: result.artifact.clone(),
            took: result.took.clone(),
            backlog: result.backlog.clone(),
            result: result.result.as_ref().map(contents).map_err(Clone::clone),
        }
    }

    pub(crate) fn into_result(self) -> ArtifactResult {
        let contents = |contents: Contents| ArtifactContents {
            objects: contents
                .objects
                .into_iter()
                .map(|stored| (stored.sink.clone(), stored.into_object()))
                .collect(),
            missing: contents
                .missing
                .into_iter()
                .map(LostRecording::into_missing)
                .collect(),
            lost: contents.lost.map(LostRecording::into_missing),
            lost_in: contents.lost_in,
            dropped: contents.dropped,
        };
        ArtifactResult {
            artifact: self.artifact,
            result: self.result.map(contents),
            took: self.took,
            backlog: self.backlog,
        }
    }
}

impl LostRecording {
    fn of(missing: &MissingRecording) -> Self {
        LostRecording {
            conversation: missing.conversation.clone(),
            code: missing.code.clone(),
            message: missing.message.clone(),
            retryable: missing.retryable,
        }
    }

    fn into_missing(self) -> MissingRecording {
        MissingRecording {
            conversation: self.conversation,
            code: self.code,
            message: self.message,
            retryable: self.retryable,
        }
    }
}
