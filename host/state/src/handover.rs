//! Fetches that are handed over to other machines, on both sides: the leader's ledger makes orders and applies
//! reports, a node's takes orders on and lets go of them.

use std::{collections::BTreeMap, sync::PoisonError};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Queue, QueueError,
    commit::{Due, commit, takers},
    complete::objects_of,
    counted,
    delivered::{note, object_row},
    fetch::abandon,
    fetch_order::{ChangeKind, KnownArtifact, OrderedConversation, OrderedSplit, StoredObject},
    fleet::{FetchReport, TakenFetch},
    insert_splits,
    life_cycle::stage,
    record, set,
    sinks::json,
};
use crate::{FetchChange, FetchOrder};
use recording_host_model::{ArtifactKey, ArtifactResult, Split, SplitState, day};

/// The word under which the sequence of the last applied report is kept.
const APPLIED: &str = "applied";

impl Queue {
    /// A ledger for the fetches of a node, lost with the process.
    ///
    /// # Errors
    /// [`QueueError`].
    pub fn for_node() -> Result<Self, QueueError> {
        let queue = Queue::in_memory()?;
        // A node forgets conversations once the leader has all of their fetch.
        let connection = queue
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        connection.execute_batch("DROP TRIGGER IF EXISTS temp.life_cycle_ends")?;
        drop(connection);
        Ok(queue)
    }

    /// The fetches that are not done, by name, each as a node would do it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn orders(&self, export: &str) -> Result<Vec<FetchOrder>, QueueError> {
        let prefix = format!("{export}-");
        self.transaction(move |tx| {
            let names: Vec<String> = tx
                .prepare_cached(concat!(
                    "SELECT fetch FROM conversation WHERE ",
                    stage!(Fetching),
                    " AND substr(fetch, 1, length(?1)) = ?1 UNION SELECT fetch FROM conversation WHERE ",
                    stage!(Reported),
                    " AND fetch IS NOT NULL AND substr(fetch, 1, length(?1)) = ?1 ORDER BY fetch"
                ))?
                .query_map([prefix], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut orders = Vec::new();
            for name in names {
                if !is_finished(tx, &name)? {
                    orders.push(order(tx, name)?);
                }
            }
            Ok(orders)
        })
        .await
    }

    /// A fetch as a node would do it.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn order(&self, fetch: String) -> Result<FetchOrder, QueueError> {
        self.transaction(move |tx| order(tx, fetch)).await
    }

    /// Applies what a node has reported, unless it was applied before; returns true if the fetch is finished. Of
    /// `sinks`, those that want an artifact and that the node has not brought it to are owed it: its configuration
    /// may lack them.
    ///
    /// # Errors
    /// [`QueueError`]; then nothing has changed.
    pub async fn apply(&self, report: FetchReport, sinks: Vec<String>) -> Result<bool, QueueError> {
        let FetchReport {
            sequence,
            fetch,
            change,
        } = report;
        self.transaction(move |tx| {
            if counted(tx, APPLIED)? < sequence as i64 {
                apply(tx, change, Some(&sinks))?;
                set(tx, APPLIED, sequence as i64)?;
            }
            is_finished(tx, &fetch)
        })
        .await
    }

    /// Makes a change that whoever led before has made.
    ///
    /// # Errors
    /// [`QueueError`]; then nothing has changed.
    pub(super) async fn follow_step(&self, change: FetchChange) -> Result<(), QueueError> {
        self.transaction(move |tx| apply(tx, change, None)).await
    }

    /// The sequence of the last report that was applied; 0 if none was.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn applied(&self) -> Result<u64, QueueError> {
        self.transaction(|tx| Ok(counted(tx, APPLIED)? as u64))
            .await
    }

    /// Does nothing: nobody else can lead this queue.
    ///
    /// # Errors
    /// None.
    pub async fn confirm(&self) -> Result<(), QueueError> {
        self.transaction(|_| Ok(())).await
    }

    /// Takes a fetch on, with what was reported of it before.
    ///
    /// # Errors
    /// [`QueueError`]; then nothing has changed.
    pub async fn take_on(&self, taken: TakenFetch, now: u64) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            let FetchOrder {
                fetch,
                splits,
                conversations,
                artifacts,
                ..
            } = taken.order;
            for conversation in conversations {
                add(tx, &fetch, conversation, now)?;
            }
            for split in splits {
                let due = split.due;
                let split = split.into_split();
                insert_splits(tx, std::slice::from_ref(&split), due.unwrap_or(now))?;
                if due.is_none() {
                    tx.prepare_cached("UPDATE split SET status = 'done' WHERE id = ?1")?
                        .execute([&split.id])?;
                }
            }
            for known in artifacts {
                let KnownArtifact {
                    key,
                    conversation,
                    split,
                    status,
                } = known;
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO artifact (key, conversation, split, status) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![key, conversation, split, status])?;
            }
            for change in taken.changes {
                apply(tx, change, None)?;
            }
            Ok(())
        })
        .await
    }

    /// The fetches that artifacts belong to; those of fetches that were let go are left out.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn fetches_of(
        &self,
        artifacts: Vec<String>,
    ) -> Result<BTreeMap<String, String>, QueueError> {
        self.transaction(move |tx| {
            let mut query = tx.prepare_cached(
                "SELECT fetch FROM artifact JOIN conversation
                 ON conversation.id = artifact.conversation
                   OR artifact.conversation IS NULL AND substr(split, 1, length(fetch)) = fetch
                 WHERE artifact.key = ?1 AND fetch IS NOT NULL LIMIT 1",
            )?;
            let mut fetches = BTreeMap::new();
            for key in artifacts {
                let fetch = query.query_row([&key], |row| row.get(0)).optional()?;
                fetches.extend(fetch.map(|fetch| (key, fetch)));
            }
            Ok(fetches)
        })
        .await
    }

    /// Returns true if a fetch has no split that is open and no artifact that is to be delivered.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn is_finished(&self, fetch: String) -> Result<bool, QueueError> {
        self.transaction(move |tx| is_finished(tx, &fetch)).await
    }

    /// Forgets a fetch and its conversations, which a node has no more to do with.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn let_go(
        &self,
        fetch: String,
        conversations: Vec<String>,
    ) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            for id in &conversations {
                for of_it in [
                    "DELETE FROM artifact WHERE conversation = ?1",
                    "DELETE FROM object WHERE conversation = ?1",
                    "DELETE FROM backlog WHERE conversation = ?1",
                    "DELETE FROM wanting WHERE conversation = ?1",
                    "DELETE FROM record WHERE number = (SELECT record FROM conversation WHERE id = ?1)",
                    "DELETE FROM conversation WHERE id = ?1",
                ] {
                    tx.prepare_cached(of_it)?.execute([id])?;
                }
            }
            for of_it in [
                "DELETE FROM artifact WHERE substr(split, 1, length(?1)) = ?1",
                "DELETE FROM backlog WHERE substr(split, 1, length(?1)) = ?1",
                "DELETE FROM split WHERE substr(id, 1, length(?1)) = ?1",
                "DELETE FROM temp.claim WHERE substr(split, 1, length(?1)) = ?1",
            ] {
                tx.prepare_cached(of_it)?.execute([&fetch])?;
            }
            Ok(())
        })
        .await
    }
}

/// A fetch as a node would do it.
fn order(tx: &Transaction<'_>, fetch: String) -> rusqlite::Result<FetchOrder> {
    let splits: Vec<OrderedSplit> = tx
        .prepare_cached(
            "SELECT id, kind, version, state, CASE WHEN status = 'open' THEN due END FROM split
             WHERE id BETWEEN ?1 AND ?1 || char(1114111) ORDER BY id",
        )?
        .query_map([&fetch], |row| {
            let split = Split {
                id: row.get(0)?,
                kind: row.get(1)?,
                state: SplitState {
                    version: row.get(2)?,
                    data: row.get(3)?,
                },
            };
            let due: Option<i64> = row.get(4)?;
            Ok(OrderedSplit::new(split, due.map(|due| due as u64)))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let mut conversations: Vec<OrderedConversation> = tx
        .prepare_cached(concat!(
            "SELECT id, start, ended, recorded, text, attempt FROM conversation
             LEFT JOIN record ON number = record
             WHERE id IN (SELECT id FROM conversation WHERE ",
            stage!(Fetching),
            " AND fetch = ?1 UNION ALL SELECT id FROM conversation WHERE ",
            stage!(Reported),
            " AND fetch = ?1) ORDER BY id"
        ))?
        .query_map([&fetch], |row| {
            Ok(OrderedConversation {
                id: row.get(0)?,
                start: row.get::<_, i64>(1)? as u64,
                ended: row.get::<_, Option<i64>>(2)?.map(|ended| ended as u64),
                recorded: row.get(3)?,
                record: row.get(4)?,
                attempt: row.get(5)?,
                wanting: Vec::new(),
                objects: Vec::new(),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    for conversation in &mut conversations {
        conversation.wanting = tx
            .prepare_cached(
                "SELECT sink, further FROM wanting WHERE conversation = ?1 ORDER BY sink",
            )?
            .query_map([&conversation.id], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (sink, objects) in objects_of(tx, &conversation.id)? {
            let stored = objects.iter().map(|object| StoredObject::of(&sink, object));
            conversation.objects.extend(stored);
        }
    }
    let artifacts = known_artifacts(tx, &fetch, &ids(&conversations))?;
    Ok(FetchOrder::new(fetch, splits, conversations, artifacts))
}

/// The artifacts of a fetch that are known already.
fn known_artifacts(
    tx: &Transaction<'_>,
    fetch: &str,
    conversations: &[&str],
) -> rusqlite::Result<Vec<KnownArtifact>> {
    tx.prepare_cached(
        "SELECT key, conversation, split, status FROM artifact WHERE key IN
           (SELECT key FROM artifact WHERE conversation IN (SELECT value FROM json_each(?2))
            UNION ALL
            SELECT key FROM artifact
            WHERE status = 'pending' AND substr(split, 1, length(?1)) = ?1)
         ORDER BY key",
    )?
    .query_map(params![fetch, json(&conversations)?], |row| {
        Ok(KnownArtifact {
            key: row.get(0)?,
            conversation: row.get(1)?,
            split: row.get(2)?,
            status: row.get(3)?,
        })
    })?
    .collect()
}

fn ids(conversations: &[OrderedConversation]) -> Vec<&str> {
    conversations.iter().map(|one| one.id.as_str()).collect()
}

/// Adds a conversation of a fetch to a node's ledger.
fn add(
    tx: &Transaction<'_>,
    fetch: &str,
    conversation: OrderedConversation,
    now: u64,
) -> rusqlite::Result<()> {
    let OrderedConversation {
        id,
        start,
        ended,
        recorded,
        record,
        attempt,
        wanting,
        objects,
    } = conversation;
    let number = match record {
        None => None,
        Some(text) => {
            let number = record::next(tx)?;
            record::add(tx, number, &text)?;
            Some(number)
        }
    };
    tx.prepare_cached(
        "INSERT INTO conversation (id, day, start, ended, recorded, record, status, due, attempt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'found', ?7, ?8)",
    )?
    .execute(params![
        id,
        day(start),
        start as i64,
        ended.map(|ended| ended as i64),
        recorded,
        number,
        now as i64,
        attempt
    ])?;
    tx.prepare_cached("UPDATE conversation SET fetch = ?2 WHERE id = ?1")?
        .execute([&id, fetch])?;
    for (sink, further) in wanting {
        tx.prepare_cached("INSERT INTO wanting (conversation, sink, further) VALUES (?1, ?2, ?3)")?
            .execute(params![id, sink, further])?;
    }
    for stored in objects {
        let sink = stored.sink.clone();
        object_row(tx, &sink, &stored.into_object())?;
    }
    Ok(())
}

/// Makes a change that a node has reported; `sinks` are those of the leader.
fn apply(
    tx: &Transaction<'_>,
    change: FetchChange,
    sinks: Option<&[String]>,
) -> rusqlite::Result<()> {
    match change.kind {
        ChangeKind::Step(step) => {
            let (now, horizon) = (step.now, step.horizon);
            let split = step.split.clone();
            commit(tx, &split, &step.into_step(), Due { now, horizon }).map(drop)
        }
        ChangeKind::Delivered(results) => {
            for result in results {
                let mut result = result.into_result();
                if let Some(sinks) = sinks {
                    owe(tx, &mut result, sinks)?;
                }
                note(tx, &result)?;
            }
            Ok(())
        }
        ChangeKind::Abandoned(abandoned) => {
            let (split, now) = (abandoned.split.clone(), abandoned.now);
            abandon(tx, &split, abandoned.into_failure(), now).map(drop)
        }
    }
}

/// Adds to an artifact's backlog the sinks that want it and of which the node says nothing.
fn owe(
    tx: &Transaction<'_>,
    result: &mut ArtifactResult,
    sinks: &[String],
) -> rusqlite::Result<()> {
    let Ok(contents) = &result.result else {
        return Ok(());
    };
    let Some(key) = ArtifactKey::from_text(&result.artifact) else {
        return Ok(());
    };
    if contents.lost.is_some() && contents.lost_in.is_empty() {
        return Ok(());
    }
    // What was noted of it before has said which sinks are owed it.
    let split: Option<String> = tx
        .prepare_cached("SELECT split FROM artifact WHERE key = ?1 AND status = 'pending'")?
        .query_row([&result.artifact], |row| row.get(0))
        .optional()?;
    let Some(split) = split else {
        return Ok(());
    };
    let wanting = takers(tx, &key, &split)?;
    let named = [&result.took, &result.backlog, &contents.lost_in];
    let owed = sinks.iter().filter(|sink| {
        let wants = wanting
            .as_ref()
            .is_none_or(|wanting| wanting.contains(sink));
        wants && !named.iter().any(|named| named.contains(sink))
    });
    let owed: Vec<String> = owed.cloned().collect();
    result.backlog.extend(owed);
    Ok(())
}

/// Returns true if no split of a fetch is open, and no artifact is to be delivered but to sinks that are away.
fn is_finished(tx: &Transaction<'_>, fetch: &str) -> rusqlite::Result<bool> {
    tx.prepare_cached(
        "SELECT NOT EXISTS (SELECT 1 FROM split WHERE status = 'open' AND substr(id, 1, length(?1)) = ?1)
         AND NOT EXISTS (SELECT 1 FROM artifact WHERE status = 'pending' AND substr(split, 1, length(?1)) = ?1
           AND NOT EXISTS (SELECT 1 FROM backlog WHERE backlog.artifact = artifact.key AND backlog.code IS NULL))",
    )?
    .query_row([fetch], |row| row.get(0))
}

#[cfg(test)]
mod tests;
