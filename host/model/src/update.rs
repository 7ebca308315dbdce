//! A source's reports other than conversations, artifacts and outcomes.

use serde::{Deserialize, Serialize};

use crate::TimeRange;

/// Something learned about what was found.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// The name of an id: that of each party of this id that comes without one from now on.
    Name(Named),
    /// More about a recording.
    Recording(RecordingAttributes),
    /// How many conversations there are.
    Count(ConversationCount),
    /// A finding of a check.
    Finding(Finding),
}

/// An id and its name.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Named {
    /// The vendor's id.
    pub id: String,
    /// The name for people.
    pub name: String,
}

/// The known facts about a recording beyond its file.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct RecordingAttributes {
    /// The conversation.
    pub conversation: String,
    /// The recording in it.
    pub recording: String,
    /// The facts, by name.
    pub attributes: Vec<(String, String)>,
}

/// How many conversations began in a range.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct ConversationCount {
    /// The range.
    pub range: TimeRange,
    /// How many there are by the vendor's own count.
    pub conversations: u64,
    /// How many of them the vendor says were recorded.
    pub recorded: u64,
    /// How many requests it takes to find them, or took.
    pub requests: u64,
}

/// Something that a check has found.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Finding {
    /// The subject in a few words, such as a permission.
    pub subject: String,
    /// How it is.
    pub verdict: Verdict,
    /// The finding, and how to fix it if it is not good.
    pub text: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, but not as well as it might.
    Doubtful,
    /// An export would fail, or lack something.
    Bad,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How much it matters.
    pub level: Level,
    /// The line.
    pub text: String,
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For those who study the source.
    Debug,
    /// Worth knowing.
    Info,
    /// Something an operator should look at.
    Warn,
}
