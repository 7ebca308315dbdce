//! Segments: conversations that are filed together.

use std::{collections::BTreeMap, sync::Arc};

use crate::CompletedConversation;

/// A group of completed conversations of one day, filed as one.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Its number in the export.
    pub number: i64,
    /// The day on which its conversations began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// The conversations, by id.
    pub conversations: Vec<CompletedConversation>,
    /// By sink, the numbers of the segments whose place it takes there, as long as their files are there.
    pub replaces: BTreeMap<String, Vec<i64>>,
    /// True if only some sinks lack it, and others have its conversations in other segments.
    pub apart: bool,
}

impl Segment {
    /// Returns true if it is the first one of its conversations, in every sink.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.replaces.is_empty() && !self.apart
    }

    /// The numbers of the segments whose place it takes in a sink.
    #[must_use]
    pub fn replaces_in(&self, sink: &str) -> &[i64] {
        self.replaces.get(sink).map_or(&[], Vec::as_slice)
    }

    /// The segment as a sink is to have it: the conversations that it takes, with what could not be
    /// brought to it any more.
    #[must_use]
    pub fn in_sink(
        self: &Arc<Self>,
        sink: &str,
        takes: impl Fn(&CompletedConversation) -> bool,
    ) -> Arc<Self> {
        let plain = |completed: &CompletedConversation| {
            takes(completed) && !completed.lost_in.contains_key(sink)
        };
        if self.conversations.iter().all(plain) {
            return Arc::clone(self);
        }
        let mut segment = Segment::clone(self);
        segment.conversations.retain(takes);
        for completed in &mut segment.conversations {
            if let Some(lost) = completed.lost_in.remove(sink) {
                let stored = completed.recordings_in(sink).next().is_some();
                completed.outcome = completed.outcome.clone().with_losses(lost, stored);
            }
        }
        Arc::new(segment)
    }
}
