//! A split as it stands in the bucket: one message, which each change replaces.

use serde::{Deserialize, Serialize};

use recording_host_model::{Next, Split, SplitState};

use crate::ClusterError;

/// The version of the format. Members may be added under the same one; readers ignore those that they do not
/// know.
pub(super) const VERSION: u32 = 1;

/// A split, who holds it, and which change it was that made it so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SplitRecord {
    pub(super) v: u32,
    pub(super) id: String,
    pub(super) kind: String,
    /// The version of the source's state.
    pub(super) version: u32,
    pub(super) data: Data,
    /// When it is due (ms since the epoch).
    pub(super) due: u64,
    pub(super) done: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<SplitHolder>,
    /// The id of the change that made it so: whoever gets no answer reads it again, and knows.
    pub(super) write: String,
    /// The id of the last commit, which claims leave as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<String>,
}

/// The bytes of a state, mostly JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Data {
    Text(String),
    Bytes(Vec<u8>),
}

/// Who holds a split, and until when (ms since the epoch, by its own clock).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct SplitHolder {
    pub(super) worker: String,
    pub(super) until: u64,
}

impl Data {
    fn of(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Data::Bytes(error.into_bytes()), Data::Text)
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Data::Text(text) => text.into_bytes(),
            Data::Bytes(bytes) => bytes,
        }
    }
}

impl SplitRecord {
    /// A split that is new.
    pub(super) fn new(split: Split, due: u64, write: &str) -> Self {
        SplitRecord {
            v: VERSION,
            id: split.id,
            kind: split.kind,
            version: split.state.version,
            data: Data::of(split.state.data),
            due,
            done: false,
            claim: None,
            write: write.to_owned(),
            commit: None,
        }
    }

    /// Reads one.
    pub(super) fn read(subject: &str, payload: &[u8]) -> Result<Self, ClusterError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let what = || format!("the split at {subject}");
        let unreadable = |error: serde_json::Error| ClusterError::Unreadable {
            what: what(),
            reason: error.to_string(),
        };
        let Version { v } = serde_json::from_slice(payload).map_err(unreadable)?;
        if v > VERSION {
            return Err(ClusterError::OtherVersion {
                what: what(),
                version: v,
            });
        }
        serde_json::from_slice(payload).map_err(unreadable)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // A struct of texts and numbers has no other way to go.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn split(&self) -> Split {
        Split {
            id: self.id.clone(),
            kind: self.kind.clone(),
            state: SplitState {
                version: self.version,
                data: self.data.clone().into_bytes(),
            },
        }
    }

    pub(super) fn is_held_by(&self, worker: &str) -> bool {
        self.claim.as_ref().is_some_and(|it| it.worker == worker)
    }

    pub(super) fn is_free(&self, now: u64) -> bool {
        self.claim.as_ref().is_none_or(|it| it.until <= now)
    }

    /// Its next state after a step.
    pub(super) fn advance(&mut self, next: &Next, now: u64, commit: &str) {
        let (state, due, done) = match next {
            Next::Send(send) => (&send.state, now, false),
            Next::Wait(wait) => (&wait.state, wait.until, false),
            Next::Done(state) => (state, now, true),
        };
        self.version = state.version;
        self.data = Data::of(state.data.clone());
        (self.due, self.done) = (due, done);
        if !matches!(next, Next::Send(_)) {
            self.claim = None;
        }
        self.commit = Some(commit.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: &[u8]) -> SplitRecord {
        let split = Split {
            id: "days".to_owned(),
            kind: "pages".to_owned(),
            state: SplitState {
                version: 3,
                data: data.to_vec(),
            },
        };
        SplitRecord::new(split, 7, "w1")
    }

    #[test]
    fn the_format_is_the_one_that_other_nodes_read() {
        let mut record = record(br#"{"page":1}"#);
        record.claim = Some(SplitHolder {
            worker: "n".to_owned(),
            until: 9,
        });
        let text = String::from_utf8(record.to_bytes()).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"id":"days","kind":"pages","version":3,"data":{"text":"{\"page\":1}"},"due":7,"done":false,"claim":{"worker":"n","until":9},"write":"w1"}"#
        );
        // A later node of the same version may say more.
        let more = text.replacen("\"v\":1", "\"v\":1,\"colour\":\"red\"", 1);
        let read = SplitRecord::read("s", more.as_bytes()).unwrap();
        assert_eq!(read.split(), record.split());
    }

    #[test]
    fn any_bytes_are_kept_and_other_formats_are_named() {
        let bytes = record(&[0, 255, 128]);
        let read = SplitRecord::read("s", &bytes.to_bytes()).unwrap();
        assert_eq!(read.split().state.data, [0, 255, 128]);
        let error = SplitRecord::read("s", br#"{"v":2,"other":true}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("the split at s has the format 2"),
            "{error}"
        );
        assert!(SplitRecord::read("s", b"{}").is_err());
    }
}
