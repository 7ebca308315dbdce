//! Takes over what receipts prove.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Outcome, Queue, QueueError, count, counted, set};

/// What receipts prove of a conversation.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// The conversation.
    pub conversation: String,
    /// The day on which it began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// Which attempt at it the receipt is about.
    pub attempt: u32,
    /// How much there was of it at the source, where that can tell.
    pub extent: Option<u64>,
    /// How many objects it has.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What became of it; none if it is to be taken up again.
    pub outcome: Option<Outcome>,
}

impl Queue {
    /// Takes over what receipts prove of conversations, the numbers of the segments that they are in,
    /// and what is replaced and still there: segment, sink, and the segment in its place; returns how many conversations are done with.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn recover(
        &self,
        proven: Vec<Proven>,
        segments: BTreeSet<(i64, String)>,
        replaced: Vec<(i64, String, i64)>,
        now: u64,
    ) -> Result<u64, QueueError> {
        self.with(move |tx| {
            for (number, day) in &segments {
                tx.prepare_cached("INSERT OR IGNORE INTO segment VALUES (?1, ?2)")?
                    .execute(params![number, day])?;
            }
            for (segment, sink, by) in &replaced {
                tx.prepare_cached("INSERT OR IGNORE INTO replaced VALUES (?1, ?2, ?3)")?
                    .execute(params![segment, sink, by])?;
            }
            // Fetches are numbered from here on, so that none has the name of a forgotten one.
            if counted(tx, "groups")? == 0 {
                set(tx, "groups", (now / 1000) as i64)?;
            }
            let mut done = 0;
            for one in &proven {
                let Some(outcome) = &one.outcome else {
                    tx.prepare_cached("INSERT OR REPLACE INTO earlier VALUES (?1, ?2)")?
                        .execute(params![one.conversation, one.attempt])?;
                    continue;
                };
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO conversation
                     (id, day, start, recorded, outcome, status, due, attempt, objects, bytes, extent)
                     VALUES (?1, ?2, 0, ?3, ?4, 'filed', 0, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    one.conversation,
                    one.day,
                    *outcome != Outcome::NoRecording,
                    serde_json::to_string(outcome).unwrap_or_default(),
                    one.attempt,
                    one.objects as i64,
                    one.bytes as i64,
                    one.extent.map(|extent| extent as i64)
                ])?;
                count(tx, "conversations", 1)?;
                count(tx, "objects", one.objects as i64)?;
                count(tx, "bytes", one.bytes as i64)?;
                count(tx, &format!("outcome:{}", outcome.word()), 1)?;
                done += 1;
            }
            Ok(done)
        })
        .await
    }
}
