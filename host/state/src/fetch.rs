//! Conversations whose recordings are wanted: gathered for a fetch, given up, taken up again.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use super::{
    Queue, QueueError, claims, count, counted, insert_splits,
    life_cycle::stage,
    parsed,
    sinks::{json, wanting},
};
use recording_host_model::{ConversationRef, Outcome, Split};

/// How long a loss that may pass is left alone after it was requested (ms).
pub(super) const RETRY_AFTER: u64 = 3_600_000;
/// At which attempt a loss that may pass is left to the operator.
pub(super) const LAST_ATTEMPT: u32 = 5;
/// How many groups' worth of conversations are looked at to fill one.
pub(super) const WINDOW: usize = 4;

impl Queue {
    /// Gathers `most` conversations to fetch, or fewer if `any` number will do; none if there are
    /// not as many. All are wanted by the same sinks, and of those of which a larger fetch failed there
    /// are no more than may be together. The name is that of the fetch, and begins with the export's.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn next_batch(
        &self,
        export: &str,
        most: usize,
        any: bool,
        now: u64,
    ) -> Result<Option<(String, Vec<ConversationRef>)>, QueueError> {
        let export = export.to_owned();
        self.transaction(move |tx| {
            let candidates: Vec<(ConversationRef, Option<usize>)> = tx
                .prepare_cached(concat!(
                    "SELECT id, start, recorded, together FROM conversation
                     WHERE ",
                    stage!(Wanted),
                    " AND due <= ?1
                     ORDER BY due, id LIMIT ?2"
                ))?
                .query_map(params![now as i64, (most * WINDOW) as i64], |row| {
                    let wanted = ConversationRef {
                        id: row.get(0)?,
                        start: row.get::<_, i64>(1)? as u64,
                        recorded: row.get(2)?,
                    };
                    Ok((
                        wanted,
                        row.get::<_, Option<i64>>(3)?
                            .map(|together| together as usize),
                    ))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let apart: bool = tx
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM wanting)")?
                .query_row([], |row| row.get(0))?;
            let mut all = Vec::new();
            for (one, together) in candidates {
                let sinks = match apart {
                    true => wanting(tx, &one.id)?,
                    false => BTreeSet::new(),
                };
                all.push((one, together, sinks));
            }
            let Some(wanted) = batch(all, most, any) else {
                return Ok(None);
            };
            let name = format!("{export}-{:06}", counted(tx, "groups")? + 1);
            Ok(Some((name, wanted)))
        })
        .await
    }

    /// Begins the fetch `name` of these conversations; returns the ids of the splits that are new.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn fetch(
        &self,
        name: String,
        conversations: Vec<String>,
        splits: Vec<Split>,
        now: u64,
    ) -> Result<Vec<String>, QueueError> {
        self.transaction(move |tx| {
            count(tx, "groups", 1)?;
            for id in &conversations {
                // What is final is in no fetch, whoever names it.
                tx.prepare_cached(concat!(
                    "UPDATE conversation SET fetch = ?2, due = ?3 WHERE id = ?1 AND ",
                    stage!(Found)
                ))?
                .execute(params![id, name, now as i64])?;
            }
            insert_splits(tx, &splits, now)
        })
        .await
    }

    /// When the next conversation that was put off is due (ms), those that continue left out unless
    /// `live` ones are waited for.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn next_wanted(&self, live: bool) -> Result<Option<u64>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(concat!(
                "SELECT min(due) FROM conversation
                 WHERE ",
                stage!(Wanted),
                " AND (?1 OR NOT live)"
            ))?
            .query_row([live], |row| {
                Ok(row.get::<_, Option<i64>>(0)?.map(|due| due as u64))
            })
        })
        .await
    }

    /// When the first and the last of the conversations began that continue and are waited for (ms).
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn live(&self) -> Result<Option<(u64, u64)>, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached(concat!(
                "SELECT min(start), max(start) FROM conversation WHERE live = 1 AND ",
                stage!(Found),
                " AND fetch IS NULL"
            ))?
            .query_row([], |row| {
                let range: (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
                Ok(range
                    .0
                    .zip(range.1)
                    .map(|(first, last)| (first as u64, last as u64)))
            })
        })
        .await
    }

    /// Lets go of a split of a fetch. The conversations that no other split of it is about have failed;
    /// unless there is more than one and each may be better off with fewer: then they are fetched
    /// again, half as many together. Returns how many are.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn abandon(
        &self,
        split: String,
        failure: FetchFailure,
        now: u64,
    ) -> Result<usize, QueueError> {
        self.transaction(move |tx| abandon(tx, &split, failure, now))
            .await
    }

    /// Takes up again conversations filed with a loss that may pass, unless one has been tried so often that
    /// only the operator of the export can judge whether it is worth it, or has only just been tried;
    /// returns how many.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn retry_passing(&self, now: u64) -> Result<usize, QueueError> {
        self.retry(
            format!(
                "lost = 1 AND retryable = 1 AND attempt < {LAST_ATTEMPT} AND NOT live AND due < ?1"
            ),
            false,
            now,
        )
        .await
    }

    /// Takes up again every conversation that was filed with a loss; returns how many.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn retry_lost(&self, now: u64) -> Result<usize, QueueError> {
        self.retry("lost = 1".to_owned(), true, now).await
    }

    /// Takes up again what was filed and meets a condition; `anew` if its loss is to be named again.
    async fn retry(&self, condition: String, anew: bool, now: u64) -> Result<usize, QueueError> {
        let before = now.saturating_sub(RETRY_AFTER) as i64;
        self.transaction(move |tx| {
            // `?1 >= 0` takes the time where the condition does not: SQLite refuses a value without a parameter.
            let lost: Vec<(FiledCounts, String)> = tx
                .prepare(&format!(
                    concat!(
                        "SELECT outcome, objects, bytes, id FROM conversation
                     WHERE {} AND ",
                        stage!(InEverySink),
                        " AND record IS NOT NULL AND ?1 >= 0"
                    ),
                    condition
                ))?
                .query_map([before], |row| Ok((FiledCounts::read(row)?, row.get(3)?)))?
                .collect::<rusqlite::Result<_>>()?;
            for (filed, id) in &lost {
                filed.take_up(tx, id, now)?;
                if anew {
                    tx.prepare_cached("UPDATE conversation SET reported = 0 WHERE id = ?1")?
                        .execute([id])?;
                }
            }
            Ok(lost.len())
        })
        .await
    }
}

/// Chooses a batch among conversations that are due, given in order with how many may be together and the
/// sinks that alone want each.
pub(super) fn batch(
    candidates: Vec<(ConversationRef, Option<usize>, BTreeSet<String>)>,
    most: usize,
    any: bool,
) -> Option<Vec<ConversationRef>> {
    let mut groups = BTreeMap::<(BTreeSet<String>, usize), Vec<ConversationRef>>::new();
    for (one, together, sinks) in candidates {
        let room = together.unwrap_or(most).clamp(1, most);
        groups.entry((sinks, room)).or_default().push(one);
    }
    // A group that is full first; one that may not grow need not wait for more.
    let full = |((_, room), group): &(&(BTreeSet<String>, usize), &Vec<ConversationRef>)| {
        group.len() >= *room || *room < most
    };
    let chosen = groups
        .iter()
        .find(full)
        .or_else(|| groups.iter().next().filter(|_| any));
    chosen.map(|((_, room), group)| group.iter().take(*room).cloned().collect())
}

/// Why a split of a fetch is let go.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct FetchFailure {
    /// A short stable code.
    pub code: String,
    /// A description of the failure.
    pub message: String,
    /// True if it may pass.
    pub retryable: bool,
    /// True if some of the conversations may do without the others.
    pub divisible: bool,
}

/// Lets go of a split of a fetch; returns how many conversations are fetched again.
pub(super) fn abandon(
    tx: &rusqlite::Transaction<'_>,
    split: &str,
    failure: FetchFailure,
    now: u64,
) -> rusqlite::Result<usize> {
    let FetchFailure {
        code,
        message,
        retryable,
        divisible,
    } = failure;
    let outcome = Outcome::Failed { code, message };
    tx.execute("UPDATE split SET status = 'done' WHERE id = ?1", [split])?;
    claims::end_any(tx, split)?;
    let left: Vec<String> = tx
        .prepare_cached(
            concat!("SELECT id FROM conversation WHERE ", stage!(Fetching), " AND substr(?1, 1, length(fetch)) = fetch
             AND NOT EXISTS (SELECT 1 FROM split WHERE status = 'open' AND substr(split.id, 1, length(fetch)) = fetch)"),
        )?
        .query_map([split], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if divisible && left.len() > 1 {
        for id in &left {
            tx.prepare_cached(
                "DELETE FROM artifact WHERE conversation = ?1 AND status = 'failed'",
            )?
            .execute([id])?;
            tx.prepare_cached(
                "UPDATE conversation SET fetch = NULL, due = ?2, together = ?3 WHERE id = ?1",
            )?
            .execute(params![id, now as i64, left.len().div_ceil(2) as i64])?;
        }
        return Ok(left.len());
    }
    let text = json(&outcome)?;
    for id in &left {
        tx.prepare_cached("UPDATE conversation SET outcome = ?2, retryable = ?3 WHERE id = ?1")?
            .execute(params![id, text, retryable])?;
    }
    Ok(0)
}

/// How a filed conversation has been counted.
pub(super) struct FiledCounts {
    outcome: Outcome,
    objects: i64,
    bytes: i64,
}

impl FiledCounts {
    /// Reads the columns `outcome`, `objects` and `bytes`, which come first.
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(FiledCounts {
            outcome: parsed(&row.get::<_, String>(0)?)?,
            objects: row.get(1)?,
            bytes: row.get(2)?,
        })
    }

    /// Takes the conversation up again, as another attempt.
    pub(super) fn take_up(
        &self,
        tx: &rusqlite::Transaction<'_>,
        id: &str,
        now: u64,
    ) -> rusqlite::Result<()> {
        tx.prepare_cached(
            concat!("INSERT OR IGNORE INTO stale_segment SELECT segment, day FROM conversation WHERE id = ?1 AND ", stage!(Compactable)),
        )?
        .execute([id])?;
        count(tx, &format!("outcome:{}", self.outcome.word()), -1)?;
        count(tx, "objects", -self.objects)?;
        count(tx, "bytes", -self.bytes)?;
        for of_it in [
            "DELETE FROM artifact WHERE conversation = ?1",
            "DELETE FROM object WHERE conversation = ?1",
            "DELETE FROM backlog WHERE conversation = ?1",
            "DELETE FROM wanting WHERE conversation = ?1",
        ] {
            tx.prepare_cached(of_it)?.execute([id])?;
        }
        tx.prepare_cached(concat!(
            "UPDATE conversation SET ",
            stage!(Found),
            ", outcome = NULL, retryable = 0, bundle = NULL, fetch = NULL, announced = NULL,
             due = ?2, attempt = attempt + 1, segment = NULL, objects = 0, bytes = 0, lost = 0,
             revision = ifnull(max(newer_revision, ifnull(revision, 0)), revision), newer_revision = NULL WHERE id = ?1"
        ))?
        .execute(params![id, now as i64])
        .map(drop)
    }
}
