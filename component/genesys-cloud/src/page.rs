//! What every way of finding conversations shares: how a range is cut, and what is handed over of a page.

use std::{collections::HashSet, ops::Range};

use recording_source_sdk::{Note, Outcome, OutcomeResult, Step, Timestamp};

use crate::{
    metadata::{Parsed, Row},
    options::Mode,
};

pub(crate) const DAY: u64 = 86_400_000;

/// A range of time cut at ends of days into at most `most` pieces of about the same length.
pub(crate) fn lanes(range: Range<Timestamp>, most: u64) -> impl Iterator<Item = Range<Timestamp>> {
    let first_day = range.start / DAY;
    let days = range.end.div_ceil(DAY) - first_day;
    let lanes = most.clamp(1, days.max(1));
    (0..lanes).map(move |lane| {
        let start = ((first_day + days * lane / lanes) * DAY).max(range.start);
        let end = ((first_day + days * (lane + 1) / lanes) * DAY).min(range.end);
        start..end
    })
}

/// The rows that can be read; of the others a note is made.
pub(crate) fn readable(rows: Vec<Parsed>, step: &mut Step) -> Vec<Row> {
    let mut readable = Vec::with_capacity(rows.len());
    for row in rows {
        match row {
            Parsed(Ok(row)) => readable.push(row),
            Parsed(Err(reason)) => {
                let text = format!("a row of the analytics is left out: {reason}");
                step.notes.push(Note::warning(text));
            }
        }
    }
    readable
}

/// Hands over conversations, and what is clear of them already.
pub(crate) fn hand_over(rows: impl Iterator<Item = Row>, mode: Mode, step: &mut Step) {
    let mut known = HashSet::new();
    for row in rows {
        let conversation = row.conversation;
        if !known.insert(conversation.id.clone()) {
            continue;
        }
        let settled = match (mode, row.may_have_recordings) {
            (Mode::MetadataOnly, _) => Some(OutcomeResult::Skipped("metadata only".to_owned())),
            (Mode::Recordings, false) => Some(OutcomeResult::NoRecording),
            (Mode::Recordings, true) => None,
        };
        step.outcomes.extend(settled.map(|result| Outcome {
            conversation: conversation.id.clone(),
            result,
        }));
        step.conversations.push(conversation);
    }
}
