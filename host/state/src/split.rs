//! Splits: pieces of work that are open or done, as SQLite keeps them.

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Committed, Lease, Queue, QueueError, WorkQueue, claims};
use recording_host_model::{Split, SplitState, Step};

#[async_trait]
impl WorkQueue for Queue {
    async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        self.transaction(move |tx| insert_splits(tx, &splits, now))
            .await
    }

    async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        self.transaction(|tx| {
            tx.prepare("SELECT id, due FROM split WHERE status = 'open' ORDER BY due, id")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
        .await
    }

    async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
        self.transaction(move |tx| read(tx, &id)).await
    }

    async fn claim(&self, id: String, lease: Lease) -> Result<Option<Split>, QueueError> {
        let holder = self.holder;
        self.transaction(move |tx| {
            let split = read(tx, &id)?;
            match split.is_some() && claims::claim(tx, &id, holder, lease)? {
                true => Ok(split),
                false => Ok(None),
            }
        })
        .await
    }

    async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError> {
        let holder = self.holder;
        self.transaction(move |tx| {
            let Some(id) = claims::next(tx, lease.now)? else {
                return Ok(None);
            };
            claims::claim(tx, &id, holder, lease)?;
            read(tx, &id)
        })
        .await
    }

    async fn renew(&self, id: String, lease: Lease) -> Result<bool, QueueError> {
        let holder = self.holder;
        self.transaction(move |tx| claims::renew(tx, &id, holder, lease.until))
            .await
    }

    async fn release(&self, id: String, due: u64) -> Result<bool, QueueError> {
        let holder = self.holder;
        self.transaction(move |tx| {
            if !claims::end(tx, &id, holder)? {
                return Ok(false);
            }
            set_due(tx, &id, due)?;
            Ok(true)
        })
        .await
    }

    async fn commit(
        &self,
        split: String,
        step: Step,
        now: u64,
        horizon: u64,
    ) -> Result<Committed, QueueError> {
        self.commit_step(split, step, now, horizon).await
    }
}

impl Queue {
    /// Returns true if this worker holds a split.
    pub(super) async fn holds(&self, split: String) -> Result<bool, QueueError> {
        let holder = self.holder;
        self.transaction(move |tx| claims::holds(tx, &split, holder))
            .await
    }

    /// Has a split be due when the worker that has given it back said.
    pub(super) async fn follow_release(&self, split: String, due: u64) -> Result<(), QueueError> {
        self.transaction(move |tx| set_due(tx, &split, due)).await
    }
}

fn set_due(tx: &Transaction<'_>, split: &str, due: u64) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE split SET due = ?2 WHERE id = ?1 AND status = 'open'")?
        .execute(params![split, due as i64])
        .map(drop)
}

/// A split as it was committed last.
fn read(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<Option<Split>> {
    tx.prepare_cached("SELECT kind, version, state FROM split WHERE id = ?1")?
        .query_row([id], |row| {
            Ok(Split {
                id: id.to_owned(),
                kind: row.get(0)?,
                state: SplitState {
                    version: row.get(1)?,
                    data: row.get(2)?,
                },
            })
        })
        .optional()
}

/// Adds splits that are not known yet; returns the ids of those added.
pub(super) fn insert_splits(
    tx: &rusqlite::Transaction<'_>,
    splits: &[Split],
    now: u64,
) -> rusqlite::Result<Vec<String>> {
    let mut added = Vec::new();
    let mut query = tx.prepare_cached(
        "INSERT OR IGNORE INTO split (id, kind, version, state, status, due) VALUES (?1, ?2, ?3, ?4, 'open', ?5)",
    )?;
    for split in splits {
        let state = &split.state;
        let new = query.execute(params![
            split.id,
            split.kind,
            state.version,
            state.data,
            now as i64
        ])?;
        if new == 1 {
            added.push(split.id.clone());
        }
    }
    Ok(added)
}
