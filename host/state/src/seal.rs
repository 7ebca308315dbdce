//! Seals what is completed into segments, and forgets it once every sink holds it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Transaction, params};

use super::{
    Queue, QueueError, count,
    fetch::FiledCounts,
    life_cycle::stage,
    parsed,
    sinks::{has_got, wanting},
};
use recording_host_model::Outcome;

/// The named losses of a sealed segment. Without the stage it would have no index.
const KNOWN_LOSSES: &str = concat!(
    "SELECT id FROM conversation WHERE segment = ?1 AND reported = 1 AND ",
    stage!(Sealed)
);

/// The result of acknowledging a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// True if every sink holds it.
    pub everywhere: bool,
    /// How many of its conversations are to be fetched again, because there is more of them by now.
    pub grown: usize,
}

impl Queue {
    /// Seals segments of completed conversations, to be filed in `sinks`: days with at least `least`
    /// of them, of at most `most` each. A conversation that only some sinks lack is sealed apart, for
    /// these alone.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn seal_segments(
        &self,
        least: usize,
        most: usize,
        sinks: Vec<String>,
    ) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            seal_apart(tx, least.max(1), most)?;
            let days: Vec<(String, usize)> = tx
                .prepare_cached(
                    concat!("SELECT day, count(*) FROM conversation AS c WHERE ", stage!(Completed), "
                     AND NOT EXISTS (SELECT 1 FROM wanting WHERE conversation = c.id) GROUP BY day"),
                )?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))?
                .collect::<rusqlite::Result<_>>()?;
            for (day, mut left) in days {
                while left >= least.max(1) {
                    tx.prepare_cached("INSERT INTO segment (day) VALUES (?1)")?.execute([&day])?;
                    let number = tx.last_insert_rowid();
                    // In the order in which they were found: they lie together then.
                    let sealed = tx.prepare_cached(
                        concat!("UPDATE conversation SET ", stage!(Sealed), ", segment = ?2 WHERE rowid IN
                         (SELECT rowid FROM conversation AS c WHERE ", stage!(Completed), " AND day = ?1
                          AND NOT EXISTS (SELECT 1 FROM wanting WHERE conversation = c.id) ORDER BY rowid LIMIT ?3)"),
                    )?
                    .execute(params![day, number, most as i64])?;
                    left -= sealed;
                    for sink in &sinks {
                        tx.prepare_cached("INSERT INTO filing (segment, sink) VALUES (?1, ?2)")?
                            .execute(params![number, sink])?;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// The segments that are sealed and not filed in every sink, with the sinks that they are to be
    /// filed in. Left out are sinks that are owed recordings of the segment.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn unfiled(&self) -> Result<BTreeMap<i64, Vec<String>>, QueueError> {
        self.transaction(|tx| {
            let mut unfiled = BTreeMap::<i64, Vec<String>>::new();
            let mut query = tx.prepare_cached(
                "SELECT segment, sink, EXISTS (SELECT 1 FROM backlog WHERE backlog.sink = filing.sink AND code IS NULL
                   AND (EXISTS (SELECT 1 FROM conversation AS c WHERE c.id = backlog.conversation AND c.segment = filing.segment)
                     OR EXISTS (SELECT 1 FROM conversation AS c WHERE c.bundle = backlog.artifact AND c.segment = filing.segment)))
                 FROM filing",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let of = unfiled.entry(row.get(0)?).or_default();
                if !row.get::<_, bool>(2)? {
                    of.push(row.get(1)?);
                }
            }
            Ok(unfiled)
        })
        .await
    }

    /// How many conversations wait to be filed in some sink.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn sealed(&self) -> Result<u64, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached(concat!(
                "SELECT count(*) FROM conversation WHERE ",
                stage!(Sealed)
            ))?
            .query_row([], |row| Ok(row.get::<_, i64>(0)? as u64))
        })
        .await
    }

    /// The number of the last segment; 0 if there is none.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn last_segment(&self) -> Result<i64, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached("SELECT ifnull(max(number), 0) FROM segment")?
                .query_row([], |row| row.get(0))
        })
        .await
    }

    /// The conversations of a sealed segment whose losses a run has named: earlier attempts at them were
    /// lost, too. Of one that is in every sink, none.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn known_losses(&self, number: i64) -> Result<BTreeSet<String>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(KNOWN_LOSSES)?
                .query_map([number], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// In how many sinks a segment is still to be filed, also where they are owed recordings of it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn filings_left(&self, number: i64) -> Result<usize, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("SELECT count(*) FROM filing WHERE segment = ?1")?
                .query_row([number], |row| Ok(row.get::<_, i64>(0)? as usize))
        })
        .await
    }

    /// Acknowledges that a sink holds a segment. Once every sink does, all of it is forgotten but
    /// ids, counts, and the data that another attempt at a loss would need; or, to `keep` it, left to be
    /// [compacted] later. One that takes the place of others, or is for some sinks alone, is not kept.
    /// Conversations that have grown at the source meanwhile are taken up again.
    ///
    /// [compacted]: Self::compact
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn filed(
        &self,
        number: i64,
        sink: String,
        keep: bool,
        now: u64,
    ) -> Result<Acknowledged, QueueError> {
        self.transaction(move |tx| {
            let (replaces, apart): (bool, bool) = tx
                .prepare_cached(concat!(
                    "SELECT EXISTS (SELECT 1 FROM replaced WHERE by = ?1),
                     EXISTS (SELECT 1 FROM wanting WHERE conversation IN
                       (SELECT id FROM conversation WHERE segment = ?1 AND ",
                    stage!(Sealed),
                    "))"
                ))?
                .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
            // The outcomes of the segments that it replaces have been counted.
            let counted = replaces && !apart;
            let keep = keep && !replaces && !apart;
            has_got(tx, number, &sink)?;
            let left: bool = tx
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM filing WHERE segment = ?1)")?
                .query_row([number], |row| row.get(0))?;
            if left {
                return Ok(Acknowledged::default());
            }
            let (mut filed, outcomes) = sealed_in(tx, number)?;
            for one in &filed {
                tx.prepare_cached("DELETE FROM artifact WHERE conversation = ?1")?
                    .execute([&one.id])?;
            }
            if !counted {
                count_filed(tx, number, &outcomes)?;
            }
            if keep {
                tx.prepare_cached(concat!(
                    "UPDATE conversation SET ",
                    stage!(Compactable),
                    " WHERE segment = ?1 AND ",
                    stage!(Sealed)
                ))?
                .execute([number])?;
            }
            let grown = take_up_grown(tx, number, now)?;
            if !keep {
                filed.retain(|one| !grown.contains(&one.id));
                forget(tx, &filed)?;
            }
            give_back(tx)?;
            Ok(Acknowledged {
                everywhere: true,
                grown: grown.len(),
            })
        })
        .await
    }
}

/// A conversation by its row, and by its id. Ids are random, and so are their places in the index: what is done to
/// all conversations of a segment goes by their rows, which lie together.
pub(super) struct ConversationRow {
    rowid: i64,
    /// Its id.
    pub(super) id: String,
}

impl ConversationRow {
    /// Of a row that begins with both.
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(ConversationRow {
            rowid: row.get(0)?,
            id: row.get(1)?,
        })
    }
}

/// The conversations of a sealed segment, and how often they have each outcome.
pub(super) fn sealed_in(
    tx: &Transaction<'_>,
    number: i64,
) -> rusqlite::Result<(Vec<ConversationRow>, BTreeMap<String, i64>)> {
    let (mut all, mut outcomes) = (Vec::new(), BTreeMap::new());
    let mut query = tx.prepare_cached(concat!(
        "SELECT rowid, id, outcome FROM conversation WHERE segment = ?1 AND ",
        stage!(Sealed)
    ))?;
    let mut rows = query.query([number])?;
    while let Some(row) = rows.next()? {
        all.push(ConversationRow::read(row)?);
        let outcome: Outcome = parsed(row.get_ref(2)?.as_str()?)?;
        *outcomes
            .entry(format!("outcome:{}", outcome.word()))
            .or_default() += 1;
    }
    Ok((all, outcomes))
}

/// Closes segments of what only some sinks lack, each for the same sinks.
pub(super) fn seal_apart(tx: &Transaction<'_>, least: usize, most: usize) -> rusqlite::Result<()> {
    let mut groups = BTreeMap::<(String, BTreeSet<String>), Vec<String>>::new();
    let completed: Vec<(String, String)> = tx
        .prepare_cached(concat!(
            "SELECT id, day FROM conversation AS c WHERE ",
            stage!(Completed),
            "
             AND EXISTS (SELECT 1 FROM wanting WHERE conversation = c.id) ORDER BY day, id"
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (id, day) in completed {
        let sinks = wanting(tx, &id)?;
        groups.entry((day, sinks)).or_default().push(id);
    }
    for ((day, sinks), ids) in groups.iter().filter(|(_, ids)| ids.len() >= least) {
        for ids in ids.chunks(most) {
            tx.prepare_cached("INSERT INTO segment (day) VALUES (?1)")?
                .execute([day])?;
            let number = tx.last_insert_rowid();
            for id in ids {
                tx.prepare_cached(concat!(
                    "UPDATE conversation SET ",
                    stage!(Sealed),
                    ", segment = ?2 WHERE id = ?1"
                ))?
                .execute(params![id, number])?;
            }
            for sink in sinks {
                tx.prepare_cached("INSERT INTO filing (segment, sink) VALUES (?1, ?2)")?
                    .execute(params![number, sink])?;
                give_way(tx, day, sink, number)?;
            }
        }
    }
    Ok(())
}

/// Has segments whose files in a sink are wrong give way to the one in which the last of their day's
/// conversations are filed anew.
fn give_way(tx: &Transaction<'_>, day: &str, sink: &str, number: i64) -> rusqlite::Result<()> {
    let more: bool = tx
        .prepare_cached(concat!(
            "SELECT EXISTS (SELECT 1 FROM wanting JOIN conversation ON id = conversation
             WHERE sink = ?1 AND day = ?2 AND (",
            stage!(Found),
            " OR ",
            stage!(Completed),
            " OR ",
            stage!(Filed),
            "))"
        ))?
        .query_row([sink, day], |row| row.get(0))?;
    if more {
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT OR REPLACE INTO replaced SELECT segment, sink, ?3 FROM voided WHERE sink = ?1 AND day = ?2",
    )?
    .execute(params![sink, day, number])?;
    tx.prepare_cached("DELETE FROM voided WHERE sink = ?1 AND day = ?2")?
        .execute([sink, day])
        .map(drop)
}

/// Takes up again what there is more of at the source than when it was fetched; returns the ids.
fn take_up_grown(
    tx: &Transaction<'_>,
    number: i64,
    now: u64,
) -> rusqlite::Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    for (filed, id, _) in grown(tx, number)? {
        filed.take_up(tx, &id, now)?;
        ids.insert(id);
    }
    Ok(ids)
}

/// The conversations of a segment of which there is more at the source than when they were fetched, each
/// with how it was counted and when it was due (ms).
pub(super) fn grown(
    tx: &Transaction<'_>,
    number: i64,
) -> rusqlite::Result<Vec<(FiledCounts, String, u64)>> {
    tx.prepare_cached(
        "SELECT outcome, objects, bytes, id, due FROM conversation
         WHERE segment = ?1 AND newer_revision IS NOT NULL AND newer_revision > ifnull(revision, 0)",
    )?
    .query_map([number], |row| {
        let due: i64 = row.get(4)?;
        Ok((FiledCounts::read(row)?, row.get(3)?, due as u64))
    })?
    .collect()
}

/// Shortens the file where an eighth of it is free, and more than a few megabytes: the rest is used again.
pub(super) fn give_back(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let excess: i64 = tx
        .prepare_cached(
            "SELECT freelist_count - page_count / 8 - 1024 FROM pragma_freelist_count, pragma_page_count",
        )?
        .query_row([], |row| row.get(0))?;
    if excess > 0 {
        let mut shorten = tx.prepare(&format!("PRAGMA incremental_vacuum({excess})"))?;
        let mut pages = shorten.query([])?;
        // Each row is a page that was given back.
        while pages.next()?.is_some() {}
    }
    Ok(())
}

/// Counts what is in a segment that every sink holds.
pub(super) fn count_filed(
    tx: &Transaction<'_>,
    number: i64,
    outcomes: &BTreeMap<String, i64>,
) -> rusqlite::Result<()> {
    let (objects, bytes): (i64, i64) = tx
        .prepare_cached(concat!(
            "SELECT ifnull(sum(objects), 0), ifnull(sum(bytes), 0) FROM conversation
             WHERE segment = ?1 AND ",
            stage!(Sealed)
        ))?
        .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
    count(tx, "objects", objects)?;
    count(tx, "bytes", bytes)?;
    for (name, value) in outcomes {
        count(tx, name, *value)?;
    }
    Ok(())
}

/// Forgets all of filed conversations but ids, counts, and what another attempt at a loss would need.
pub(super) fn forget(tx: &Transaction<'_>, filed: &[ConversationRow]) -> rusqlite::Result<()> {
    for ConversationRow { rowid, id } in filed {
        tx.prepare_cached("DELETE FROM object WHERE conversation = ?1")?
            .execute([id])?;
        tx.prepare_cached("DELETE FROM backlog WHERE conversation = ?1")?
            .execute([id])?;
        tx.prepare_cached(
            "DELETE FROM record WHERE number = (SELECT record FROM conversation WHERE rowid = ?1 AND lost = 0)",
        )?
        .execute([rowid])?;
        tx.prepare_cached(concat!(
            "UPDATE conversation SET ",
            stage!(Filed),
            ", record = CASE WHEN lost = 1 THEN record END WHERE rowid = ?1"
        ))?
        .execute([rowid])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus::FullscanStep;

    use super::*;

    #[tokio::test]
    async fn the_losses_of_a_segment_are_found_without_reading_all_conversations() {
        let queue = Queue::in_memory().unwrap();
        queue
            .transaction(|tx| {
                for number in 1..=100 {
                    crate::record::add(tx, number, "{}")?;
                    tx.execute(
                        "INSERT INTO conversation (id, day, start, recorded, status, due, attempt, record, outcome, reported)
                         VALUES ('c' || ?1, '2026-01-05', 7, 1, 'completed', 0, 1, ?1, '{}', ?1 % 5 = 0)",
                        [number],
                    )?;
                }
                Ok(())
            })
            .await
            .unwrap();
        queue
            .seal_segments(1, 10, vec!["lake".to_owned()])
            .await
            .unwrap();
        assert_eq!(queue.known_losses(3).await.unwrap().len(), 2);
        let connection = queue.connection.lock().unwrap();
        let mut query = connection.prepare(KNOWN_LOSSES).unwrap();
        let found = query.query_map([3], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(found.count(), 2);
        assert_eq!(query.get_status(FullscanStep), 0);
    }
}
