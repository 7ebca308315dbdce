//! The format of receipts: a header line, and a line for each conversation.
//!
//! Version 2 is written, version 1 is read, too: it has the same entries, and less in its header.
//! Fields that a reader does not know are no error, so that a later program may add some.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use recording_host_model::{CompletedConversation, Object, Outcome};
use recording_host_sink::{EncryptedObject, PutResult};

/// The version of the format that is written.
pub const VERSION: u32 = 2;

/// The first line of a receipt: what it is about, and what its entries must add up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiptHeader {
    /// The version of the format, 1 or 2.
    pub receipt: u32,
    /// The export, as file names have it.
    pub export: String,
    /// SHA-256 of the export's canonical identity, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// SHA-256 of what says in which form recordings are, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<String>,
    /// The sink's name in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// SHA-256 of the sink's canonical identity, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_identity: Option<String>,
    /// The prefix of the keys of all media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The number of the segment in the export.
    pub segment: i64,
    /// The day on which its conversations began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// How many entries follow.
    pub conversations: u64,
    /// How many entries have each outcome.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, u64>,
    /// SHA-256 of the bytes of all lines but this one, line ends included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries_sha256: Option<String>,
    /// When the receipt was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_at: Option<Timestamp>,
    /// The interval that the export covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<CoveredInterval>,
    /// The ranges that were searched so far and touch the day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub searched: Vec<SearchedRange>,
    /// How many conversations of the day the source counted, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_count: Option<SourceCount>,
    /// How many conversations the source counted on other days, so that a day whose receipts are all
    /// gone is missed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_days: BTreeMap<String, u64>,
    /// The program that made the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// The source's component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentVersion>,
    /// The segments of the same day whose receipts and rows are void from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<i64>,
    /// The file of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ObjectDigest>,
    /// The part of the catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<ObjectDigest>,
    /// The sink that has the objects that the rows describe, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_in: Option<String>,
    /// How what the receipt names is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Reserved: the receipt's place in a chain of receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Reserved: the digest of the receipt before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Reserved: a signature of the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Value>,
    /// Fields that this version of the program does not know.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

/// An interval that an export covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredInterval {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after it; none if it has no end.
    pub until: Option<Timestamp>,
}

/// A range of time that was searched for conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchedRange {
    /// The first instant inside.
    pub from: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
    /// When the search of it ended.
    pub at: Timestamp,
}

/// How many conversations the source counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCount {
    /// The number.
    pub conversations: u64,
    /// When it was requested.
    pub at: Timestamp,
}

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Default for Program {
    fn default() -> Self {
        Program {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// A source's component, as it was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentVersion {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// Key, length and digest of an object as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDigest {
    /// Its key in the sink.
    pub key: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Its entity tag, where the sink has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl ObjectDigest {
    /// That of an object of this length and SHA-256, or of what the sink has made of it.
    pub(super) fn of(key: String, size: u64, sha256: String, stored: PutResult) -> Self {
        let etag = stored.etag;
        match stored.encrypted {
            None => ObjectDigest {
                key,
                size,
                sha256,
                etag,
            },
            Some(EncryptedObject { key, size, sha256 }) => ObjectDigest {
                key,
                size,
                sha256,
                etag,
            },
        }
    }
}

/// A recording's file in a receipt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptObject {
    /// The recording; empty where a bundle is kept of which nobody says what it holds.
    #[serde(default)]
    pub recording: String,
    /// The object's key in the sink.
    pub key: String,
    /// The name in the archive, if the object is an archive that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The MIME type.
    #[serde(default)]
    pub content_type: String,
    /// The length in bytes, as it is stored.
    pub size: u64,
    /// The SHA-256 in hexadecimal, as it is stored.
    pub sha256: String,
    /// The entity tag, where the sink has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Why it is not in the form that its sink wants, as a code and a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl ReceiptObject {
    /// Of an object that is encrypted, nothing is given but ids, codes, lengths and digests.
    fn of(object: &Object, encrypted: bool) -> Self {
        let stored = object.stored.clone().filter(|_| encrypted);
        let (size, sha256) = stored.unwrap_or_else(|| (object.size, object.sha256.clone()));
        let mut note = object.note.clone();
        if encrypted && let Some(note) = &mut note {
            note.truncate(note.find(':').unwrap_or(note.len()));
        }
        ReceiptObject {
            recording: object.recording.clone(),
            key: object.key.clone(),
            member: object.member.clone().filter(|_| !encrypted),
            content_type: object.content_type.clone(),
            size,
            sha256,
            etag: object.etag.clone(),
            note,
        }
    }
}

/// One line of a receipt: what became of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptEntry {
    /// The conversation.
    pub conversation_id: String,
    /// The word for its outcome. A reader must let unknown ones pass, see [`outcome`](Self::outcome).
    pub outcome: String,
    /// Code and message of each recording that is lacking, if it is `partial`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<(String, String)>>,
    /// Why it was left out, if it is `skipped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The code, if it has `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The message, if it has `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its recordings in the sink.
    #[serde(default)]
    pub objects: Vec<ReceiptObject>,
    /// Objects that were kept although they are not what they claim to be: no recordings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aside: Vec<ReceiptObject>,
    /// 1 for the first outcome of the conversation; a later one, with a higher number, replaces it.
    #[serde(default = "first")]
    pub attempt: u32,
    /// How much there was of it at the source, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent: Option<u64>,
    /// The files of metadata beside its objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<ObjectDigest>,
    /// The sinks that take the conversation, if not all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sinks: Option<Vec<String>>,
}

/// Receipts that do not contain the attempt are those of the first one.
fn first() -> u32 {
    1
}

impl ReceiptEntry {
    /// The entry for a conversation in a sink. Where objects are encrypted, it is about what is stored,
    /// and says nothing but ids, codes, lengths and digests: a receipt can be read by the storage
    /// operator.
    pub(super) fn of(
        completed: &CompletedConversation,
        sink: &str,
        encrypted: bool,
        sidecars: &BTreeMap<String, ObjectDigest>,
    ) -> Self {
        let all = completed.objects_in(sink);
        let reported = |aside: bool| {
            let objects = all.iter().filter(move |object| object.aside == aside);
            objects.map(|object| ReceiptObject::of(object, encrypted))
        };
        let mut entry = ReceiptEntry {
            conversation_id: completed.id.clone(),
            objects: reported(false).collect(),
            aside: reported(true).collect(),
            attempt: completed.attempt,
            extent: completed.revision,
            sidecars: all
                .iter()
                .filter_map(|object| sidecars.get(&object.key).cloned())
                .collect(),
            ..ReceiptEntry::default()
        };
        let mut outcome = completed.outcome.clone();
        if encrypted {
            outcome.drop_messages();
        }
        entry.set_outcome(outcome);
        entry
    }

    /// An entry with this outcome, and nothing else.
    pub(crate) fn with_outcome(outcome: Outcome) -> Self {
        let mut entry = ReceiptEntry::default();
        entry.set_outcome(outcome);
        entry
    }

    fn set_outcome(&mut self, outcome: Outcome) {
        outcome.word().clone_into(&mut self.outcome);
        match outcome {
            Outcome::Stored | Outcome::NoRecording => {}
            Outcome::Partial { missing } => self.missing = Some(missing),
            Outcome::Skipped { reason } => self.reason = Some(reason),
            Outcome::Failed { code, message } => {
                self.code = Some(code);
                self.message = Some(message);
            }
        }
    }

    /// The outcome of the conversation. A word that this program does not know is a loss of that name,
    /// so that whatever a later version meant by it is not taken for done.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.outcome.as_str() {
            "stored" => Outcome::Stored,
            "no-recording" => Outcome::NoRecording,
            "partial" => Outcome::Partial {
                missing: self.missing.clone().unwrap_or_default(),
            },
            "skipped" => Outcome::Skipped {
                reason: self.reason.clone().unwrap_or_default(),
            },
            "failed" => Outcome::Failed {
                code: self.code.clone().unwrap_or_default(),
                message: self.message.clone().unwrap_or_default(),
            },
            other => Outcome::Failed {
                code: other.to_owned(),
                message: String::new(),
            },
        }
    }
}
