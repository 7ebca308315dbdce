//! Artifacts: files that a source hands over, to be downloaded.

use serde::{Deserialize, Serialize};

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Which one it is.
    pub key: ArtifactKey,
    /// How to get it.
    pub download: Download,
    /// Its MIME type, if the vendor reports it.
    pub content_type: Option<String>,
    /// How it is packed.
    pub container: Container,
    /// Its length in bytes, if known beforehand.
    pub size: Option<u64>,
    /// Its SHA-256 in hexadecimal, if known beforehand.
    pub sha256: Option<String>,
}

/// The identity of an artifact, the same whenever it is handed over again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactKey {
    /// One file of one recording.
    Recording(RecordingKey),
    /// One archive with the recordings of many conversations, by an id of its own.
    Bundle(String),
}

impl ArtifactKey {
    /// The key as text, unique and reversible.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            ArtifactKey::Recording(key) => {
                format!("r\n{}\n{}\n{}", key.conversation, key.recording, key.part)
            }
            ArtifactKey::Bundle(id) => format!("b\n{id}"),
        }
    }

    /// The key that [`to_text`](Self::to_text) has turned into text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut fields = text.split('\n');
        match fields.next()? {
            "r" => Some(ArtifactKey::Recording(RecordingKey {
                conversation: fields.next()?.to_owned(),
                recording: fields.next()?.to_owned(),
                part: fields.next()?.parse().ok()?,
            })),
            "b" => Some(ArtifactKey::Bundle(fields.next()?.to_owned())),
            _ => None,
        }
    }
}

/// The identity of one file of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingKey {
    /// The conversation.
    pub conversation: String,
    /// The recording in it.
    pub recording: String,
    /// Which of the recording's files, counted from 0.
    pub part: u32,
}

/// A recipe for a download.
#[derive(Clone, PartialEq, Eq)]
pub struct Download {
    /// The link, a secret if it is signed: it is kept in memory alone.
    pub url: String,
    /// Headers to send.
    pub headers: Vec<(String, String)>,
    /// True if the host must add the credentials; a signed link must not have them.
    pub authenticated: bool,
    /// When the link stops working, if known.
    pub expires: Option<u64>,
}

impl std::fmt::Debug for Download {
    /// Without the link's query and the headers' values: they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.split_once('?').map_or(&*self.url, |(url, _)| url);
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("Download")
            .field("url", &url)
            .field("headers", &headers)
            .field("authenticated", &self.authenticated)
            .field("expires", &self.expires)
            .finish()
    }
}

/// How an artifact is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Container {
    /// The download is the media file itself.
    Single,
    /// A zip with the files of one recording, such as a chat and its attachments.
    Zip,
    /// A zip with files of many recordings and a JSON index of them.
    ZipBundle(BundleIndex),
}

/// How the JSON documents in an archive say whose each file is: objects with these fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleIndex {
    /// The field with the conversation's id.
    pub conversation_field: String,
    /// The field with the recording's id.
    pub recording_field: String,
    /// The field with the name of the file in the archive.
    pub file_field: String,
    /// The field with the file's MIME type.
    pub content_type_field: Option<String>,
    /// The field that says, in an object without a file, why a recording is not in the archive.
    pub error_field: Option<String>,
    /// Words in such an error, in lower case, that mean that a retry may help.
    pub retryable_errors: Vec<String>,
    /// Fields that say what a conversation's fields say, too; every other field of an object about a
    /// file is kept under its own name.
    pub columns: Vec<IndexField>,
}

/// A field of an index, and the column of the rows that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexField {
    /// The field's name.
    pub name: String,
    /// The column.
    pub column: IndexColumn,
}

/// A column of the metadata rows that a field of an index stands for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum IndexColumn {
    /// The calling number or address.
    Ani,
    /// The number or address called.
    Dnis,
    /// The name of an agent.
    AgentName,
    /// A tag, or a list of tags.
    Tag,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_after_its_text() {
        let recording = ArtifactKey::Recording(RecordingKey {
            conversation: "c-1".into(),
            recording: "r-1".into(),
            part: 7,
        });
        for key in [recording, ArtifactKey::Bundle("job-1".into())] {
            assert_eq!(ArtifactKey::from_text(&key.to_text()), Some(key));
        }
        for text in ["", "r", "r\nc\nr", "r\nc\nr\nx", "z\n1"] {
            assert_eq!(ArtifactKey::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_signed_link_is_not_shown() {
        let download = Download {
            url: "https://media.test/a.wav?sig=topsecret".into(),
            headers: vec![("x-key".into(), "topsecret".into())],
            authenticated: false,
            expires: None,
        };
        let shown = format!("{download:?}");
        assert!(shown.contains("https://media.test/a.wav") && shown.contains("x-key"));
        assert!(!shown.contains("topsecret"), "{shown}");
    }
}
