//! A source's reports on conversations: that they are there, and their outcomes.

use serde::{Deserialize, Serialize};

/// The known facts about one conversation.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Conversation {
    /// The vendor's id, unique in the export.
    pub id: String,
    /// When it began.
    pub start: u64,
    /// When it ended; absent while it is live.
    pub end: Option<u64>,
    /// Who called whom first.
    pub direction: Option<Direction>,
    /// The calling number or address (ANI).
    pub ani: Option<String>,
    /// The number or address called (DNIS).
    pub dnis: Option<String>,
    /// The agents who took part, in the order in which they joined.
    pub agents: Vec<Party>,
    /// The queues that it passed, in order.
    pub queues: Vec<Party>,
    /// The wrap-up codes that were set, in order.
    pub wrap_up_codes: Vec<Party>,
    /// Tags that people or the vendor put on it.
    pub tags: Vec<String>,
    /// The divisions that it belongs to.
    pub divisions: Vec<String>,
    /// The sorts of media that it used, as the vendor names them.
    pub media_types: Vec<String>,
    /// True if the vendor says that a recording of it was begun.
    pub recorded: bool,
    /// How much there is of it at the source, such as the number of its files: if a later search
    /// finds more, it is fetched again. Absent where the source cannot say.
    pub revision: Option<u64>,
    /// Whatever else is worth keeping, by name.
    pub attributes: Vec<(String, String)>,
}

/// Somebody or something with an id and, if known, a name.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Party {
    /// The vendor's id.
    pub id: String,
    /// The name for people.
    pub name: Option<String>,
}

/// The direction of a conversation, seen from the contact center.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From a customer to the contact center.
    Inbound,
    /// From the contact center to a customer.
    Outbound,
}

/// The outcome of a conversation, as far as the source knows it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ReportedOutcome {
    /// The conversation.
    pub conversation: String,
    /// Its result.
    pub result: Reported,
}

/// The result of a conversation, as far as the source knows it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Reported {
    /// All of its recordings have been handed over as artifacts.
    HandedOver(HandedOver),
    /// Whatever the archive of this id holds of it is all there is.
    InBundle(String),
    /// It has no recording.
    NoRecording,
    /// Its recordings were left out on purpose; the text says why.
    Skipped(String),
    /// Its recordings are unavailable.
    Failed(Failure),
}

/// Recordings handed over, and those of the same conversation that are unavailable.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct HandedOver {
    /// How many artifacts there are.
    pub artifacts: u32,
    /// Recordings of the conversation that could not be handed over.
    pub missing: Vec<Missing>,
}

/// A recording that is unavailable.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Missing {
    /// The recording, if its id is known.
    pub recording: Option<String>,
    /// Why.
    pub failure: Failure,
}

/// Why recordings are unavailable.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Failure {
    /// A short stable code in kebab case, such as `archived`.
    pub code: String,
    /// The vendor's words or ours.
    pub message: String,
    /// True if a retry may help: the host asks again, for a while after the conversation's end.
    pub retryable: bool,
}
