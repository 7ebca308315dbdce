//! Closes what is settled into segments, and forgets it once every sink holds it.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Queue, QueueError, Segment, count, fetch::settled};

impl Queue {
    /// Closes segments of settled conversations: days with at least `least` of them, of at most
    /// `most` each. Returns the numbers of all that are closed but not filed.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn close_segments(&self, least: usize, most: usize) -> Result<Vec<i64>, QueueError> {
        self.with(move |tx| {
            loop {
                let days: Vec<String> = tx
                    .prepare_cached(
                        "SELECT day FROM conversation WHERE status = 'settled' GROUP BY day HAVING count(*) >= ?1",
                    )?
                    .query_map([least.max(1) as i64], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                if days.is_empty() {
                    break;
                }
                for day in days {
                    tx.prepare_cached("INSERT INTO segment (day) VALUES (?1)")?.execute([&day])?;
                    let number = tx.last_insert_rowid();
                    tx.prepare_cached(
                        "UPDATE conversation SET status = 'closing', segment = ?2 WHERE id IN
                         (SELECT id FROM conversation WHERE status = 'settled' AND day = ?1 ORDER BY id LIMIT ?3)",
                    )?
                    .execute(params![day, number, most as i64])?;
                }
            }
            tx.prepare_cached("SELECT DISTINCT segment FROM conversation WHERE status = 'closing' ORDER BY segment")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// A closed segment, the same whenever it is read.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn segment(&self, number: i64) -> Result<Segment, QueueError> {
        self.with(move |tx| {
            let day = tx
                .prepare_cached("SELECT day FROM segment WHERE number = ?1")?
                .query_row([number], |row| row.get(0))?;
            let found: Vec<(String, String, String, u32)> = tx
                .prepare_cached(
                    "SELECT id, record, outcome, attempt FROM conversation
                     WHERE segment = ?1 AND status = 'closing' ORDER BY id",
                )?
                .query_map([number], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut conversations = Vec::with_capacity(found.len());
            for (id, record, outcome, attempt) in found {
                conversations.push(settled(tx, id, &record, &outcome, attempt)?);
            }
            Ok(Segment {
                number,
                day,
                conversations,
            })
        })
        .await
    }

    /// Acknowledges a segment that every sink holds, and forgets all of it but ids, counts, and
    /// what another attempt at a loss would need.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn filed(&self, segment: &Segment) -> Result<(), QueueError> {
        let number = segment.number;
        let mut outcomes = BTreeMap::<String, i64>::new();
        let mut ids = Vec::new();
        for settled in &segment.conversations {
            ids.push(settled.id.clone());
            let word = format!("outcome:{}", settled.outcome.word());
            *outcomes.entry(word).or_default() += 1;
        }
        self.with(move |tx| {
            for id in &ids {
                tx.prepare_cached("DELETE FROM object WHERE conversation = ?1")?.execute([id])?;
                tx.prepare_cached("DELETE FROM artifact WHERE conversation = ?1")?.execute([id])?;
            }
            let (objects, bytes): (i64, i64) = tx
                .prepare_cached(
                    "SELECT ifnull(sum(objects), 0), ifnull(sum(bytes), 0) FROM conversation
                     WHERE segment = ?1 AND status = 'closing'",
                )?
                .query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
            count(tx, "objects", objects)?;
            count(tx, "bytes", bytes)?;
            for (name, value) in &outcomes {
                count(tx, name, *value)?;
            }
            tx.prepare_cached(
                "UPDATE conversation SET status = 'filed', record = CASE WHEN lost = 1 THEN record END
                 WHERE segment = ?1 AND status = 'closing'",
            )?
            .execute([number])?;
            Ok(())
        })
        .await
    }
}
