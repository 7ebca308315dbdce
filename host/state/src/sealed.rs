//! Sealed segments as they are read: what they are, and their conversations.

use std::collections::BTreeMap;

use super::{Queue, QueueError, complete::completed, life_cycle::stage};
use recording_host_model::{CompletedConversation, Segment};

impl Queue {
    /// A sealed segment, the same whenever it is read.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn segment(&self, number: i64) -> Result<Segment, QueueError> {
        self.transaction(move |tx| {
            let day = tx
                .prepare_cached("SELECT day FROM segment WHERE number = ?1")?
                .query_row([number], |row| row.get(0))?;
            let mut query = tx.prepare_cached(concat!(
                "SELECT id FROM conversation WHERE segment = ?1 AND ",
                stage!(Sealed),
                " ORDER BY id"
            ))?;
            let ids = query
                .query_map([number], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let mut replaces = BTreeMap::<String, Vec<i64>>::new();
            let mut query = tx.prepare_cached(
                "SELECT sink, segment FROM replaced WHERE by = ?1 ORDER BY segment",
            )?;
            let mut rows = query.query([number])?;
            while let Some(row) = rows.next()? {
                replaces.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            let apart = tx
                .prepare_cached(concat!(
                    "SELECT EXISTS (SELECT 1 FROM wanting WHERE conversation IN
                     (SELECT id FROM conversation WHERE segment = ?1 AND ",
                    stage!(Sealed),
                    "))"
                ))?
                .query_row([number], |row| row.get(0))?;
            Ok(Segment {
                number,
                day,
                ids,
                replaces,
                apart,
            })
        })
        .await
    }

    /// Conversations that are sealed in a segment, in the order of the ids that are given.
    ///
    /// # Errors
    /// [`QueueError`], for one that is not sealed as well.
    pub async fn sealed_conversations(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<CompletedConversation>, QueueError> {
        self.transaction(move |tx| {
            let mut query = tx.prepare_cached(concat!(
                "SELECT id, text, outcome, attempt, revision FROM conversation LEFT JOIN record ON number = record
                 WHERE id = ?1 AND ",
                stage!(Sealed)
            ))?;
            let sealed = ids.iter();
            sealed
                .map(|id| query.query_row([id], |row| completed(tx, row)))
                .collect()
        })
        .await
    }
}
