//! Splits: pieces of work that are open or done.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::{Queue, QueueError};
use recording_host_model::{Split, SplitState};

impl Queue {
    /// Adds splits that are not known yet and returns the ids of those added.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        self.with(move |tx| insert_splits(tx, &splits, now)).await
    }

    /// Splits that are not done, as id and time at which they are due (ms).
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        self.with(|tx| {
            tx.prepare("SELECT id, due FROM split WHERE status = 'open' ORDER BY due")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
        .await
    }

    /// Artifacts of splits that are done, but not delivered, by split.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn undelivered(&self) -> Result<BTreeMap<String, Vec<String>>, QueueError> {
        self.with(|tx| {
            let mut undelivered = BTreeMap::<String, Vec<String>>::new();
            let mut query = tx.prepare(
                "SELECT artifact.split, artifact.key FROM artifact JOIN split ON split.id = artifact.split
                 WHERE artifact.status = 'pending' AND split.status = 'done'
                 AND NOT EXISTS (SELECT 1 FROM owed WHERE owed.artifact = artifact.key AND owed.code IS NULL)",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                undelivered.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            Ok(undelivered)
        })
        .await
    }

    /// Artifacts that a split handed over and that are not delivered.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn pending(&self, split: String) -> Result<Vec<String>, QueueError> {
        self.with(move |tx| {
            tx.prepare_cached(
                "SELECT key FROM artifact WHERE split = ?1 AND status = 'pending'
                 AND NOT EXISTS (SELECT 1 FROM owed WHERE owed.artifact = artifact.key AND owed.code IS NULL)",
            )?
            .query_map([split], |row| row.get(0))?
            .collect()
        })
        .await
    }

    /// A split, if it is known.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
        self.with(move |tx| {
            tx.prepare_cached("SELECT kind, version, state FROM split WHERE id = ?1")?
                .query_row([&id], |row| {
                    Ok(Split {
                        id: id.clone(),
                        kind: row.get(0)?,
                        state: SplitState {
                            version: row.get(1)?,
                            data: row.get(2)?,
                        },
                    })
                })
                .optional()
        })
        .await
    }
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
