//! The findings of steps, kept with their commits until a ledger has it.

use serde::{Deserialize, Serialize};

use recording_host_model::{Conversation, ReportedOutcome, Step, Update};

use crate::{ClusterError, publish::Put, settings::token};

/// The version of the format.
const VERSION: u32 = 1;
/// The most that a message holds; the servers take somewhat more.
const PIECE: usize = 512 << 10;

/// What one step found. Of an artifact there is the key alone: its link stays in the memory of the node whose
/// step it was.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct StepFindings {
    v: u32,
    /// The split whose step it was.
    pub split: String,
    /// Conversations, with those personal values that the privacy settings leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<Conversation>,
    /// Keys of artifacts, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Outcomes of conversations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<ReportedOutcome>,
    /// Facts about conversations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updates: Vec<Update>,
}

impl StepFindings {
    /// The findings of a step of a split, if it has any.
    pub(super) fn of(split: &str, step: &Step) -> Option<Self> {
        let found = StepFindings {
            v: VERSION,
            split: split.to_owned(),
            conversations: step.conversations.clone(),
            artifacts: step.artifacts.iter().map(|it| it.key.to_text()).collect(),
            outcomes: step.outcomes.clone(),
            updates: step.updates.clone(),
        };
        let nothing = found.conversations.is_empty()
            && found.artifacts.is_empty()
            && found.outcomes.is_empty()
            && found.updates.is_empty();
        (!nothing).then_some(found)
    }

    /// It as messages that are stored together, under the id of its commit: each says which piece it is, of
    /// how many.
    pub(super) fn puts(&self, prefix: &str, commit: &str) -> Vec<Put> {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let pieces = bytes.chunks(PIECE);
        let count = pieces.len();
        let put = |(number, piece): (usize, &[u8])| {
            let subject = format!("{prefix}.{}.{commit}.{number}.{count}", token(&self.split));
            Put::new(subject, piece.to_vec()).after(0)
        };
        pieces.enumerate().map(put).collect()
    }

    pub(super) fn read(subject: &str, bytes: &[u8]) -> Result<Self, ClusterError> {
        let what = || format!("what a step found, at {subject}");
        let found: StepFindings =
            serde_json::from_slice(bytes).map_err(|error| ClusterError::Unreadable {
                what: what(),
                reason: error.to_string(),
            })?;
        match found.v <= VERSION {
            true => Ok(found),
            false => Err(ClusterError::OtherVersion {
                what: what(),
                version: found.v,
            }),
        }
    }
}

/// In how many pieces the findings at a subject are, if it is that of the first one.
pub(super) fn pieces(subject: &str) -> Option<u64> {
    let mut ends = subject.rsplit('.');
    let count = ends.next()?.parse().ok()?;
    (ends.next()? == "0").then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::{Direction, HandedOver, Named, Party, Reported};

    #[test]
    fn the_format_is_the_one_that_other_nodes_read() {
        let conversation = Conversation {
            id: "c".to_owned(),
            start: 1,
            end: Some(2),
            direction: Some(Direction::Inbound),
            ani: None,
            dnis: None,
            agents: vec![Party {
                id: "a".to_owned(),
                name: None,
            }],
            queues: Vec::new(),
            wrap_up_codes: Vec::new(),
            tags: Vec::new(),
            divisions: Vec::new(),
            media_types: Vec::new(),
            recorded: true,
            revision: None,
            attributes: vec![("k".to_owned(), "v".to_owned())],
        };
        let result = Reported::HandedOver(HandedOver {
            artifacts: 1,
            missing: Vec::new(),
        });
        let found = StepFindings {
            v: VERSION,
            split: "s".to_owned(),
            conversations: vec![conversation],
            artifacts: vec!["b\nx".to_owned()],
            outcomes: vec![ReportedOutcome {
                conversation: "c".to_owned(),
                result,
            }],
            updates: vec![Update::Name(Named {
                id: "a".to_owned(),
                name: "Ann".to_owned(),
            })],
        };
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(
            text,
            r#"{"v":1,"split":"s","conversations":[{"id":"c","start":1,"end":2,"direction":"inbound","ani":null,"dnis":null,"agents":[{"id":"a","name":null}],"queues":[],"wrap_up_codes":[],"tags":[],"divisions":[],"media_types":[],"recorded":true,"revision":null,"attributes":[["k","v"]]}],"artifacts":["b\nx"],"outcomes":[{"conversation":"c","result":{"handed-over":{"artifacts":1,"missing":[]}}}],"updates":[{"name":{"id":"a","name":"Ann"}}]}"#
        );
        assert_eq!(StepFindings::read("s", text.as_bytes()).unwrap(), found);
        assert!(StepFindings::read("s", br#"{"v":2,"split":"s"}"#).is_err());
    }

    #[test]
    fn a_first_piece_says_how_many_there_are() {
        assert_eq!(pieces("$KV.b.calls.found.s.w.0.3"), Some(3));
        assert_eq!(pieces("$KV.b.calls.found.s.w.1.3"), None);
    }
}
