//! What a run has come to.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{grant::Calls, queue::Progress};

/// The result of an export, over all the runs that it took; calls and time are of the last one.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct Summary {
    /// Conversations asked for.
    pub conversations: u64,
    /// What became of them; adds up to `conversations`.
    pub outcomes: BTreeMap<String, u64>,
    /// Media objects stored, in each sink.
    pub recordings: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests to the vendor's API, by sort of split and method.
    pub api_calls: BTreeMap<String, u64>,
    /// Requests that were refused with status 429.
    pub refused: u64,
    /// How long the run took.
    pub seconds: f64,
    /// Conversations that could not be had in full, at most a thousand.
    pub losses: Vec<Loss>,
}

/// A conversation that could not be had in full.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Loss {
    /// Its id.
    pub conversation: String,
    /// A short stable code.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl Summary {
    pub(crate) fn new(
        progress: Progress,
        calls: Calls,
        losses: Vec<(String, String, String)>,
        seconds: f64,
    ) -> Self {
        Summary {
            conversations: progress.conversations,
            outcomes: progress.filed,
            recordings: progress.objects,
            bytes: progress.bytes,
            api_calls: calls.sent,
            refused: calls.refused,
            seconds,
            losses: losses
                .into_iter()
                .map(|(conversation, code, message)| Loss {
                    conversation,
                    code,
                    message,
                })
                .collect(),
        }
    }
}
