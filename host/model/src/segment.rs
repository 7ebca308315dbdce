//! Segments: conversations that are filed together.

use std::collections::BTreeMap;

/// A group of completed conversations of one day, filed as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number in the export.
    pub number: i64,
    /// The day on which its conversations began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// The ids of its conversations, in their order.
    pub ids: Vec<String>,
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
}
