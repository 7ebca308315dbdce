//! The common part of all ways of finding conversations: handing over a page.

use std::{collections::HashSet, ops::Range};

use recording_source_sdk::{
    Failure, NOT_ENDED, Outcome, OutcomeResult, Step, Timestamp, time::DAY,
};

use crate::{
    api::{self, analytics::Page},
    metadata::{Began, ConversationRow},
    options::Mode,
};

/// The most conversations of a page whose oddities are named, and the most fields of each.
const NAMED: usize = 5;

/// The rows of a page of conversations that began in a range; dropped fields and unusable rows are
/// reported.
///
/// A row that does not say when its conversation began is put into the range, because the vendor
/// found it there: it must not fall between two ranges.
pub(crate) fn readable(
    page: Page,
    range: &Range<Timestamp>,
    step: &mut Step,
) -> Vec<ConversationRow> {
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
            Began::Reported => {}
            Began::Guessed => *start = (*start).clamp(range.start, range.end - 1),
            Began::Unknown => *start = range.start,
        }
    }
    rows
}

/// Hands over conversations, with the outcomes that are clear already at `now`.
pub(crate) fn hand_over(
    rows: impl Iterator<Item = ConversationRow>,
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

/// The outcome of a conversation, if it is clear without requesting its recordings.
fn settled(row: &ConversationRow, mode: Mode, now: Timestamp) -> Option<OutcomeResult> {
    let conversation = &row.conversation;
    let ended = conversation.end.is_some();
    match mode {
        _ if row.began == Began::Unknown => Some(OutcomeResult::Unreadable(
            "its row has no start time, and neither does any segment in it".to_owned(),
        )),
        Mode::MetadataOnly if !ended && now.saturating_sub(conversation.start) >= DAY => {
            Some(only_metadata())
        }
        // A conversation in progress may still gain data, and a recording: the host waits for its end.
        _ if !ended => Some(OutcomeResult::Failed(not_ended())),
        Mode::MetadataOnly => Some(only_metadata()),
        Mode::Recordings if !row.may_have_recordings => Some(OutcomeResult::NoRecording),
        Mode::Recordings => None,
    }
}

/// The failure of a conversation that has not ended.
fn not_ended() -> Failure {
    Failure {
        code: NOT_ENDED.to_owned(),
        message: "it goes on".to_owned(),
        retryable: true,
    }
}

/// The outcome of a conversation whose recordings are left out on purpose.
pub(crate) fn only_metadata() -> OutcomeResult {
    OutcomeResult::Skipped("metadata only".to_owned())
}
