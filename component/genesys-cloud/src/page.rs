//! What every way of finding conversations shares: what is handed over of a page.

use std::{collections::HashSet, ops::Range};

use recording_source_sdk::{
    Failure, NOT_ENDED, Outcome, OutcomeResult, Step, Timestamp, time::DAY,
};

use crate::{
    api::{self, analytics::Page},
    metadata::{Began, Row},
    options::Mode,
};

/// Conversations of a page whose oddities are named, and fields of each.
const NAMED: usize = 5;

/// The rows of a page of what began in a range; what was dropped of it is told.
///
/// A row that does not say when its conversation began is put into the range, since it is there that
/// the vendor found it: it must not fall between two ranges.
pub(crate) fn readable(page: Page, range: &Range<Timestamp>, step: &mut Step) -> Vec<Row> {
    if page.unusable > 0 {
        step.warn(format!(
            "{} rows of a page have no conversationId that can be used: they cannot be filed",
            page.unusable
        ));
    }
    let fields: usize = page.odd.iter().map(|(_, odd)| odd.count()).sum();
    if fields > 0 {
        let named = page.odd.iter().take(NAMED).map(|(id, odd)| {
            let id = api::id(Some(id.clone()));
            let paths = odd.paths().into_iter().take(NAMED).collect::<Vec<_>>();
            let id = id.as_deref().unwrap_or("an unusual id");
            format!("{id}: {}", paths.join(", "))
        });
        step.warn(format!(
            "{fields} fields of {} conversations of a page cannot be read and are left out: {}",
            page.odd.len(),
            named.collect::<Vec<_>>().join("; ")
        ));
    }
    let mut rows = page.rows;
    for row in &mut rows {
        let start = &mut row.conversation.start;
        match row.began {
            Began::Told => {}
            Began::Guessed => *start = (*start).clamp(range.start, range.end - 1),
            Began::Untold => *start = range.start,
        }
    }
    rows
}

/// Hands over conversations, and what is clear of them already at `now`.
pub(crate) fn hand_over(
    rows: impl Iterator<Item = Row>,
    mode: Mode,
    now: Timestamp,
    step: &mut Step,
) {
    let mut known = HashSet::new();
    for row in rows {
        if !known.insert(row.conversation.id.clone()) {
            continue;
        }
        let settled = settled(&row, mode, now);
        let conversation = row.conversation;
        step.outcomes
            .extend(settled.map(|result| Outcome::new(&conversation.id, result)));
        step.conversations.push(conversation);
    }
}

/// What is clear of a conversation without asking for its recordings.
fn settled(row: &Row, mode: Mode, now: Timestamp) -> Option<OutcomeResult> {
    let conversation = &row.conversation;
    let ended = conversation.end.is_some();
    match mode {
        _ if row.began == Began::Untold => Some(OutcomeResult::Unreadable(
            "its row tells neither when it began nor when anything in it did".to_owned(),
        )),
        Mode::MetadataOnly if !ended && now.saturating_sub(conversation.start) >= DAY => {
            Some(only_metadata())
        }
        // What goes on may still tell more, and be recorded: the host waits for its end.
        _ if !ended => Some(OutcomeResult::Failed(not_ended())),
        Mode::MetadataOnly => Some(only_metadata()),
        Mode::Recordings if !row.may_have_recordings => Some(OutcomeResult::NoRecording),
        Mode::Recordings => None,
    }
}

/// That a conversation goes on.
fn not_ended() -> Failure {
    Failure {
        code: NOT_ENDED.to_owned(),
        message: "it goes on".to_owned(),
        retryable: true,
    }
}

/// That a conversation's recordings are left out on purpose.
pub(crate) fn only_metadata() -> OutcomeResult {
    OutcomeResult::Skipped("metadata only".to_owned())
}
