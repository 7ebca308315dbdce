//! The work that waits in a queue, and the queue's size.

use std::{collections::BTreeMap, fs};

use serde::Serialize;

use super::{Queue, QueueError, life_cycle::stage};

/// How far a sink is behind the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkLag {
    /// Artifacts that other sinks have.
    pub artifacts: u64,
    /// Conversations that are completed and not filed in it.
    pub conversations: u64,
}

/// The work that waits in a queue, and the queue's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStock {
    /// How far sinks are behind; those that are not are left out.
    pub behind: BTreeMap<String, SinkLag>,
    /// The length of its files, in bytes.
    pub bytes: u64,
}

impl Queue {
    /// The work that waits, and the queue's size.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn stock(&self) -> Result<QueueStock, QueueError> {
        self.transaction(|tx| {
            let length = |file: String| fs::metadata(file).map_or(0, |file| file.len());
            let path = tx.path().unwrap_or_default();
            // The file of changes that are not yet in the main one lies beside it.
            let bytes = length(path.to_owned()) + length(format!("{path}-wal"));
            Ok(QueueStock {
                behind: behind(tx)?,
                bytes,
            })
        })
        .await
    }
}

/// How far each sink is behind, if it is.
pub(super) fn behind(
    tx: &rusqlite::Transaction<'_>,
) -> rusqlite::Result<BTreeMap<String, SinkLag>> {
    let mut behind = BTreeMap::<String, SinkLag>::new();
    let mut query =
        tx.prepare_cached("SELECT sink, count(*) FROM backlog WHERE code IS NULL GROUP BY sink")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let of = behind.entry(row.get(0)?).or_default();
        of.artifacts = row.get::<_, i64>(1)? as u64;
    }
    let mut query = tx.prepare_cached(
        concat!("SELECT sink, count(*) FROM filing JOIN conversation ON conversation.segment = filing.segment
         WHERE ", stage!(Sealed), " GROUP BY sink"),
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let of = behind.entry(row.get(0)?).or_default();
        of.conversations = row.get::<_, i64>(1)? as u64;
    }
    Ok(behind)
}
