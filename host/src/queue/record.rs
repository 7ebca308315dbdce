//! What the queue keeps: conversations, their outcomes and objects, and the names of artifacts.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::sandbox::{ArtifactKey, Conversation, Direction, Party};

/// What is known of a conversation, as the metadata row tells it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// When it began, ms since the epoch.
    pub start: u64,
    /// When it ended, ms since the epoch.
    pub end: Option<u64>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// The calling number or address.
    pub ani: Option<String>,
    /// The number or address called.
    pub dnis: Option<String>,
    /// Id and name of each agent.
    pub agents: Vec<(String, Option<String>)>,
    /// Id and name of each queue.
    pub queues: Vec<(String, Option<String>)>,
    /// Id and name of each wrap-up code.
    pub wrap_up_codes: Vec<(String, Option<String>)>,
    /// Tags.
    pub tags: Vec<String>,
    /// Divisions.
    pub divisions: Vec<String>,
    /// Media types, as the vendor names them.
    pub media_types: Vec<String>,
    /// Whether the vendor says that a recording of it was begun.
    #[serde(default)]
    pub recorded: bool,
    /// Whatever else the source told.
    pub attributes: BTreeMap<String, String>,
    /// What the source told of recordings, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recordings: BTreeMap<String, BTreeMap<String, String>>,
}

impl From<&Conversation> for Record {
    fn from(found: &Conversation) -> Self {
        let parties = |list: &[Party]| {
            list.iter()
                .map(|party| (party.id.clone(), party.name.clone()))
                .collect()
        };
        Record {
            start: found.start,
            end: found.end,
            direction: found.direction.map(|direction| {
                match direction {
                    Direction::Inbound => "inbound",
                    Direction::Outbound => "outbound",
                }
                .to_owned()
            }),
            ani: found.ani.clone(),
            dnis: found.dnis.clone(),
            agents: parties(&found.agents),
            queues: parties(&found.queues),
            wrap_up_codes: parties(&found.wrap_up_codes),
            tags: found.tags.clone(),
            divisions: found.divisions.clone(),
            media_types: found.media_types.clone(),
            recorded: found.recorded,
            attributes: found.attributes.iter().cloned().collect(),
            recordings: BTreeMap::new(),
        }
    }
}

/// What the queue knows of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// When it began, ms since the epoch.
    pub start: u64,
    /// What its row will tell; none once every sink holds it.
    pub record: Option<Record>,
}

/// What the index of an archive tells of a recording besides whose it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Told {
    /// The fields that mean something to the rows: what it means, the field's name, which is empty if
    /// it is to be no attribute, and its value.
    pub known: Vec<(Meaning, String, String)>,
    /// All others, by name.
    pub others: BTreeMap<String, String>,
}

/// What a field of an index means.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// The calling number or address.
    Ani,
    /// The number or address called.
    Dnis,
    /// The name of an agent.
    AgentName,
    /// A tag.
    Tag,
}

/// What became of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// All of its recordings are stored.
    Stored,
    /// Some of its recordings are stored, others are unavailable.
    Partial {
        /// Code and message for each recording that is unavailable.
        missing: Vec<(String, String)>,
    },
    /// There is no recording.
    NoRecording,
    /// Left out on purpose.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It was unavailable.
    Failed {
        /// A short stable code.
        code: String,
        /// What happened.
        message: String,
    },
}

impl Outcome {
    /// Code and message of what was unavailable.
    #[must_use]
    pub fn losses(&self) -> Vec<(String, String)> {
        match self {
            Outcome::Failed { code, message } => vec![(code.clone(), message.clone())],
            Outcome::Partial { missing } => missing.clone(),
            Outcome::Stored | Outcome::NoRecording | Outcome::Skipped { .. } => Vec::new(),
        }
    }

    /// Adds what is unavailable, as code and message; `stored` says whether something else is.
    #[must_use]
    pub fn with_losses(self, mut lost: Vec<(String, String)>, stored: bool) -> Self {
        if lost.is_empty() {
            return self;
        }
        match self {
            Outcome::Stored if stored => Outcome::Partial { missing: lost },
            Outcome::Partial { mut missing } if stored => {
                missing.append(&mut lost);
                Outcome::Partial { missing }
            }
            _ => {
                let (code, message) = lost.swap_remove(0);
                Outcome::Failed { code, message }
            }
        }
    }

    /// Empties the sentences; codes stay.
    pub(crate) fn drop_messages(&mut self) {
        match self {
            Outcome::Failed { message, .. } => message.clear(),
            Outcome::Partial { missing } => {
                missing.iter_mut().for_each(|(_, message)| message.clear());
            }
            Outcome::Stored | Outcome::NoRecording | Outcome::Skipped { .. } => {}
        }
    }

    /// The word that stands in rows, receipts and summaries.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Stored => "stored",
            Outcome::Partial { .. } => "partial",
            Outcome::NoRecording => "no-recording",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Failed { .. } => "failed",
        }
    }
}

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
    /// Why it is not in the form that its sink wants, or is shorter than it tells, as a code and a
    /// message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whether it is not what it claims to be: kept beside the recordings, and counted as none.
    #[serde(skip)]
    pub aside: bool,
    /// Which file of its recording it is: its part, a `/`, and its name if it was in an archive.
    #[serde(skip)]
    pub file: String,
    /// What the index of the archive that it came in tells of it, for the rows.
    #[serde(skip)]
    pub told: Option<Arc<Told>>,
}

impl Object {
    /// Leaves of its note the code.
    pub(crate) fn drop_message(&mut self) {
        if let Some(note) = &mut self.note {
            note.truncate(note.find(':').unwrap_or(note.len()));
        }
    }
}

/// A conversation that is ready to be filed.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its id.
    pub id: String,
    /// What is known of it.
    pub record: Record,
    /// What became of it.
    pub outcome: Outcome,
    /// 1 for the first outcome of the conversation; a later one, with a higher number, replaces it.
    pub attempt: u32,
    /// How much there was of it at the source, where that can tell.
    pub extent: Option<u64>,
    /// Its objects in each sink.
    pub objects: BTreeMap<String, Vec<Object>>,
    /// What a sink that was out of order could not be given any more, as code and message, by sink.
    pub lost_in: BTreeMap<String, Vec<(String, String)>>,
}

impl Settled {
    /// Its objects in a sink.
    #[must_use]
    pub fn objects_in(&self, sink: &str) -> &[Object] {
        self.objects.get(sink).map_or(&[], Vec::as_slice)
    }

    /// Its recordings in a sink: without what was kept aside.
    pub(crate) fn recordings_in(&self, sink: &str) -> impl Iterator<Item = &Object> {
        let objects = self.objects_in(sink).iter();
        objects.filter(|object| !object.aside)
    }
}

/// A group of settled conversations of one day, filed as one.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its number in the export.
    pub number: i64,
    /// The day on which its conversations began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// The conversations, by id.
    pub conversations: Vec<Settled>,
    /// The numbers of the smaller segments whose place it takes.
    pub replaces: Vec<i64>,
    /// Whether only some sinks lack it, and others have its conversations in other segments.
    pub apart: bool,
}

impl Segment {
    /// Whether it is the first one of its conversations, in every sink.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.replaces.is_empty() && !self.apart
    }

    /// The segment as a sink is to have it: the conversations that it takes, with what could not be
    /// brought to it any more.
    #[must_use]
    pub fn in_sink(self: &Arc<Self>, sink: &str, takes: impl Fn(&Settled) -> bool) -> Arc<Self> {
        let plain = |settled: &Settled| takes(settled) && !settled.lost_in.contains_key(sink);
        if self.conversations.iter().all(plain) {
            return Arc::clone(self);
        }
        let mut segment = Segment::clone(self);
        segment.conversations.retain(takes);
        for settled in &mut segment.conversations {
            if let Some(lost) = settled.lost_in.remove(sink) {
                let stored = settled.recordings_in(sink).next().is_some();
                settled.outcome = settled.outcome.clone().with_losses(lost, stored);
            }
        }
        Arc::new(segment)
    }
}

/// What has become of artifacts, to be written down together.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The artifact's key as text.
    pub artifact: String,
    /// What came of it; or why nothing did, as code and message.
    pub result: Result<Contents, (String, String)>,
    /// The sinks that took it, by name.
    pub took: Vec<String>,
    /// The sinks that are out of order and get it later.
    pub owed: Vec<String>,
}

impl Delivered {
    /// An artifact that is unavailable.
    #[must_use]
    pub fn failed(artifact: String, code: &str, message: &str) -> Self {
        Delivered {
            artifact,
            result: Err((code.to_owned(), message.to_owned())),
            took: Vec::new(),
            owed: Vec::new(),
        }
    }
}

/// What an artifact turned out to hold.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Its objects, with the sink that holds them.
    pub objects: Vec<(String, Object)>,
    /// Recordings for which it holds a reason instead.
    pub missing: Vec<Absent>,
    /// Why it is lost although it was downloaded: it is not what it claims to be. Its objects are what
    /// is kept aside.
    pub lost: Option<Absent>,
    /// The sinks that it is lost for, if others had got it before.
    pub lost_in: Vec<String>,
    /// Objects that other artifacts brought and that are removed again, with the sinks that held them:
    /// copies of another file of the same recording.
    pub dropped: Vec<(String, String)>,
}

/// A recording that is not in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// The conversation.
    pub conversation: String,
    /// A short stable code.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Whether it may be there later.
    pub passing: bool,
}

/// The day of an instant (ms), `YYYY-MM-DD` in UTC.
#[must_use]
pub fn day(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(
            || "1970-01-01".to_owned(),
            |at| at.to_string()[..10].to_owned(),
        )
}

/// An artifact's key as text, unique and reversible.
#[must_use]
pub fn artifact_text(key: &ArtifactKey) -> String {
    match key {
        ArtifactKey::Recording(key) => {
            format!("r\n{}\n{}\n{}", key.conversation, key.recording, key.part)
        }
        ArtifactKey::Bundle(id) => format!("b\n{id}"),
    }
}

/// The key that [`artifact_text`] has turned into text.
#[must_use]
pub fn artifact_key(text: &str) -> Option<ArtifactKey> {
    let mut fields = text.split('\n');
    match fields.next()? {
        "r" => Some(ArtifactKey::Recording(crate::sandbox::RecordingKey {
            conversation: fields.next()?.to_owned(),
            recording: fields.next()?.to_owned(),
            part: fields.next()?.parse().ok()?,
        })),
        "b" => Some(ArtifactKey::Bundle(fields.next()?.to_owned())),
        _ => None,
    }
}
