//! Outcomes of conversations.

use serde::{Deserialize, Serialize};

/// The outcome of a conversation.
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
        /// A description of the failure.
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
    pub fn drop_messages(&mut self) {
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
