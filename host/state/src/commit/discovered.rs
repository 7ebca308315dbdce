//! Conversations that a step reports: new, known better by now, or taken up again.

use rusqlite::{OptionalExtension, params};

use crate::{
    fetch::FiledCounts,
    life_cycle::{Stage, stage},
    names::Lookup,
    record,
    recover::file_alike,
    sinks::{self, json, wanting},
};
use recording_host_model::{Conversation, ConversationRecord, Outcome, day};

/// The result of adding a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It was not known.
    New,
    /// It was filed, and there is more of it by now.
    Again,
    /// There is nothing to do for it that there was not before.
    Known,
}

/// The report on a conversation that was found.
#[derive(Clone, Copy)]
pub(super) struct FoundReport<'a> {
    /// True if its outcome comes with it.
    pub(super) outcome: bool,
    /// The outcome that completes it at once if it is new.
    pub(super) last: Option<&'a Outcome>,
    /// True if it continues.
    pub(super) live: bool,
    /// When it is to be fetched (ms).
    pub(super) due: u64,
}

/// Adds a conversation, or, as long as nothing has been made of it, what is known of it by now.
pub(super) fn add_conversation(
    tx: &rusqlite::Transaction<'_>,
    names: &mut Lookup,
    found: &Conversation,
    reported: FoundReport<'_>,
    now: u64,
) -> rusqlite::Result<Added> {
    let text = json(&named_record(tx, names, found)?)?;
    let ended = found.end.map(|end| end as i64);
    let extent = found.revision.map(|extent| extent as i64);
    file_alike(tx, &found.id)?;
    let number = record::next(tx)?;
    let new = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO conversation
             (id, day, start, ended, recorded, record, outcome, lost, status, due, revision, live, attempt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
               1 + ifnull((SELECT attempt FROM earlier WHERE conversation = ?1), 0))",
        )?
        .execute(params![
            found.id,
            day(found.start),
            found.start as i64,
            ended,
            found.recorded,
            number,
            reported.last.map(json).transpose()?,
            reported.last.is_some_and(|outcome| !outcome.losses().is_empty()),
            reported.last.map_or(Stage::Wanted, |_| Stage::Completed).status(),
            reported.due as i64,
            extent,
            reported.live
        ])?;
    if new == 1 {
        record::add(tx, number, &text)?;
        return Ok(Added::New);
    }
    // The start of a conversation known from receipts alone was not known.
    tx.prepare_cached("UPDATE conversation SET start = ?2 WHERE id = ?1 AND start = 0")?
        .execute(params![found.id, found.start as i64])?;
    let was_live = refresh(tx, found, &text, reported, now)?;
    if was_live && !reported.live {
        return Ok(Added::Again);
    }
    if !comes_up_again(tx, found, reported, now)? {
        return Ok(Added::Known);
    }
    record::set(tx, &found.id, &text)?;
    tx.prepare_cached(
        "UPDATE conversation SET start = ?2, ended = ?3, recorded = ?4, live = 0,
         revision = ifnull(?5, revision) WHERE id = ?1",
    )?
    .execute(params![
        found.id,
        found.start as i64,
        ended,
        found.recorded,
        extent
    ])?;
    Ok(Added::Again)
}

/// Writes down what is known by now of a conversation of which nothing has been made; returns true if it was
/// waited for to end. The facts from a fetch are not replaced by those from a later search.
fn refresh(
    tx: &rusqlite::Transaction<'_>,
    found: &Conversation,
    text: &str,
    reported: FoundReport<'_>,
    now: u64,
) -> rusqlite::Result<bool> {
    let was_live: Option<bool> = tx
        .prepare_cached(concat!(
            "SELECT live FROM conversation WHERE id = ?1 AND ",
            stage!(Found),
            " AND fetch IS NULL"
        ))?
        .query_row([&found.id], |row| row.get(0))
        .optional()?;
    let patched: Option<String> = tx
        .prepare_cached(concat!(
            "SELECT json_patch(?2, json_object('recordings', json(ifnull(text ->> 'recordings', '{}'))))
             FROM conversation LEFT JOIN record ON number = record WHERE id = ?1 AND ",
            stage!(Found),
            " AND (?3 OR fetch IS NULL)"
        ))?
        .query_row(params![found.id, text, reported.outcome], |row| row.get(0))
        .optional()?;
    let Some(patched) = patched else {
        return Ok(false);
    };
    record::set(tx, &found.id, &patched)?;
    tx.prepare_cached(
        "UPDATE conversation SET ended = ?2, recorded = ?3,
         revision = CASE WHEN ?4 > ifnull(revision, 0) THEN ?4 ELSE revision END,
         due = CASE WHEN live AND NOT ?5 THEN ?6 ELSE due END, live = live AND ?5
         WHERE id = ?1",
    )?
    .execute(params![
        found.id,
        found.end.map(|end| end as i64),
        found.recorded,
        found.revision.map(|extent| extent as i64),
        reported.live,
        now as i64
    ])?;
    Ok(was_live == Some(true))
}

/// The record of a conversation, with the names that are known of its parties and divisions.
fn named_record(
    tx: &rusqlite::Transaction<'_>,
    names: &mut Lookup,
    found: &Conversation,
) -> rusqlite::Result<ConversationRecord> {
    let mut record = ConversationRecord::from(found);
    for list in [
        &mut record.agents,
        &mut record.queues,
        &mut record.wrap_up_codes,
    ] {
        for (id, name) in list.iter_mut().filter(|(_, name)| name.is_none()) {
            *name = names.get(tx, id)?;
        }
    }
    record.name_divisions(|id| names.get(tx, id))?;
    Ok(record)
}

/// Takes up again what was filed, if there is something to do for it; says whether there is.
fn comes_up_again(
    tx: &rusqlite::Transaction<'_>,
    found: &Conversation,
    reported: FoundReport<'_>,
    now: u64,
) -> rusqlite::Result<bool> {
    if reported.live {
        return Ok(false);
    }
    // The lack of it in sinks is completed by the outcome that comes with it.
    if reported.outcome {
        let lacking = !wanting(tx, &found.id)?.is_empty();
        return Ok(lacking && sinks::take_up(tx, &found.id, now)?);
    }
    // A conversation that is under way is taken up again when it has been filed.
    let extent = found.revision.map(|extent| extent as i64);
    tx.prepare_cached(
        concat!("UPDATE conversation SET newer_revision = max(?2, ifnull(newer_revision, 0)) WHERE id = ?1 AND ?2 > ifnull(revision, 0)
         AND ((", stage!(Completed), " OR ", stage!(Sealed), ") OR (", stage!(Found), " AND fetch IS NOT NULL))"),
    )?
    .execute(params![found.id, extent])?;
    take_up(tx, found, now)
}

/// Takes up again what was filed, if there is more of it by now: it had no recording and has one, it
/// went on and has ended, or there is more of it; or if a sink lacks it.
fn take_up(
    tx: &rusqlite::Transaction<'_>,
    found: &Conversation,
    now: u64,
) -> rusqlite::Result<bool> {
    let extent = found.revision.map(|extent| extent as i64);
    let grown = tx
        .prepare_cached(concat!(
            "SELECT outcome, objects, bytes FROM conversation WHERE id = ?1 AND ",
            stage!(InEverySink),
            "
             AND (?2 AND NOT recorded OR ?3 > ifnull(revision, 0) OR live)"
        ))?
        .query_row(params![found.id, found.recorded, extent], FiledCounts::read)
        .optional()?;
    match grown {
        Some(filed) => filed.take_up(tx, &found.id, now).map(|()| true),
        None if wanting(tx, &found.id)?.is_empty() => Ok(false),
        None => sinks::take_up(tx, &found.id, now),
    }
}
