//! Segments that no sink is left for, since the last one that they waited for is gone or has them.

use std::collections::BTreeSet;

use rusqlite::{Transaction, params};

use crate::{
    Queue, QueueError,
    life_cycle::stage,
    seal::{count_filed, forget, grown, seal_apart, sealed_in},
    sinks::{SEALED_AT_ONCE, wanting},
};

impl Queue {
    /// Notes which sinks the export has no longer. What was under way to these alone is filed if all of it is
    /// there, and else another attempt for all sinks.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn lapse(&self, present: Vec<String>) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            let joined = joined(tx)?;
            // One may be waited for and not be known: it was away since the first segment was sealed for it.
            let known: Vec<String> = tx
                .prepare_cached(
                    "SELECT name FROM sink UNION SELECT sink FROM backlog UNION SELECT sink FROM filing
                     UNION SELECT sink FROM wanting UNION SELECT sink FROM replaced",
                )?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let gone: Vec<&String> = known
                .iter()
                .filter(|name| !present.contains(name))
                .collect();
            for name in &gone {
                let lacks: bool = tx
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM wanting WHERE sink = ?1)")?
                    .query_row([name], |row| row.get(0))?;
                if lacks {
                    // What was copied for some sinks is not there for all.
                    seal_apart(tx, 1, SEALED_AT_ONCE)?;
                }
            }
            let apart = apart(tx)?;
            for name in gone {
                tx.execute("UPDATE sink SET lapsed = 1 WHERE name = ?1", [name])?;
                // Nothing waits for a sink that is gone.
                for table in ["backlog", "filing", "wanting", "replaced"] {
                    tx.execute(&format!("DELETE FROM {table} WHERE sink = ?1"), [name])?;
                }
            }
            for (id, further) in apart {
                // The others have it at this attempt.
                if !further && wanting(tx, &id)?.is_empty() {
                    tx.prepare_cached("UPDATE conversation SET attempt = attempt + 1 WHERE id = ?1")?
                        .execute([id])?;
                }
            }
            release(tx, &joined)
        })
        .await
    }

    /// Notes that a sink has the receipts of these segments, given by number and day: they need not be
    /// filed in it, and their numbers are taken.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn has_segments(
        &self,
        sink: String,
        segments: Vec<(i64, String)>,
    ) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            let joined = joined(tx)?;
            for (number, day) in &segments {
                tx.prepare_cached("INSERT OR IGNORE INTO segment VALUES (?1, ?2)")?
                    .execute(params![number, day])?;
                // One of another day with this number was filed by another queue.
                let same: bool = tx
                    .prepare_cached("SELECT day = ?2 FROM segment WHERE number = ?1")?
                    .query_row(params![number, day], |row| row.get(0))?;
                if same {
                    has_got(tx, *number, &sink)?;
                }
            }
            release(tx, &joined)
        })
        .await
    }
}

/// The sealed segments in the place of smaller ones, which have been counted. They are known by what they
/// replace in the sinks that they wait for, thus before these are let go of.
pub(super) fn joined(tx: &Transaction<'_>) -> rusqlite::Result<BTreeSet<i64>> {
    tx.prepare_cached(concat!(
        "SELECT DISTINCT segment FROM conversation AS c WHERE ",
        stage!(Sealed),
        "
         AND EXISTS (SELECT 1 FROM replaced WHERE by = c.segment)
         AND NOT EXISTS (SELECT 1 FROM wanting WHERE conversation = c.id)"
    ))?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Files what no sink is left for: the last one that it waited for is gone. What is in `joined` is counted
/// already.
pub(super) fn release(tx: &Transaction<'_>, joined: &BTreeSet<i64>) -> rusqlite::Result<()> {
    let done: Vec<i64> = tx
        .prepare_cached(concat!(
            "SELECT DISTINCT segment FROM conversation AS c WHERE ",
            stage!(Sealed),
            "
             AND NOT EXISTS (SELECT 1 FROM filing WHERE filing.segment = c.segment)"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for segment in done {
        let (mut filed, outcomes) = sealed_in(tx, segment)?;
        if !joined.contains(&segment) {
            count_filed(tx, segment, &outcomes)?;
        }
        for one in &filed {
            tx.prepare_cached("DELETE FROM artifact WHERE conversation = ?1")?
                .execute([&one.id])?;
        }
        for (counts, id, due) in grown(tx, segment)? {
            // It was due before: it is overdue now.
            counts.take_up(tx, &id, due)?;
            filed.retain(|one| one.id != id);
        }
        forget(tx, &filed)?;
    }
    Ok(())
}

/// The conversations that some sinks alone are to get and that are not final, and whether any of these sinks
/// has had each before. The cross join has those read that sinks want, of which there are few, and not all.
fn apart(tx: &Transaction<'_>) -> rusqlite::Result<Vec<(String, bool)>> {
    tx.prepare_cached(concat!(
        "SELECT id, max(further) FROM wanting CROSS JOIN conversation ON id = conversation WHERE ",
        stage!(Found),
        " GROUP BY wanting.conversation"
    ))?
    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Notes that a sink has a segment: it is not to be filed in it any more, and lacks nothing of it.
pub(crate) fn has_got(tx: &Transaction<'_>, segment: i64, sink: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM filing WHERE segment = ?1 AND sink = ?2")?
        .execute(params![segment, sink])?;
    tx.prepare_cached(concat!(
        "DELETE FROM wanting WHERE sink = ?2 AND conversation IN
         (SELECT id FROM conversation WHERE segment = ?1 AND ",
        stage!(Sealed),
        ")"
    ))?
    .execute(params![segment, sink])
    .map(drop)
}
