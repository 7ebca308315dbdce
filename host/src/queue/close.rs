//! Closes what is settled into segments, and forgets it once every sink holds it.

use std::collections::BTreeMap;

use rusqlite::params;

use super::{Object, Outcome, Queue, QueueError, Segment, Settled, count};

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
                        "SELECT day FROM conversation WHERE status = 'found' AND outcome IS NOT NULL
                         GROUP BY day HAVING count(*) >= ?1",
                    )?
                    .query_map([least.max(1) as i64], |row| row.get(0))?
                    .collect::<rusqlite::Result<_>>()?;
                let mut closed = 0;
                for day in days {
                    let ids: Vec<String> = tx
                        .prepare_cached(
                            "SELECT id FROM conversation AS c
                             WHERE day = ?1 AND status = 'found' AND outcome IS NOT NULL
                             AND NOT EXISTS (SELECT 1 FROM artifact AS a WHERE a.conversation = c.id AND a.status = 'pending')
                             AND (bundle IS NULL OR EXISTS (SELECT 1 FROM artifact AS a WHERE a.key = c.bundle AND a.status != 'pending'))
                             ORDER BY id LIMIT ?2",
                        )?
                        .query_map(params![day, most as i64], |row| row.get(0))?
                        .collect::<rusqlite::Result<_>>()?;
                    if ids.len() < least.max(1) {
                        continue;
                    }
                    tx.prepare_cached("INSERT INTO segment (day) VALUES (?1)")?.execute([&day])?;
                    let number = tx.last_insert_rowid();
                    for id in &ids {
                        tx.prepare_cached(
                            "UPDATE conversation SET status = 'closing', segment = ?2 WHERE id = ?1",
                        )?
                        .execute(params![id, number])?;
                    }
                    closed += 1;
                }
                if closed == 0 {
                    break;
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
            let found: Vec<(String, String, String, Option<String>)> = tx
                .prepare_cached(
                    "SELECT id, record, outcome, bundle FROM conversation WHERE segment = ?1 AND status = 'closing' ORDER BY id",
                )?
                .query_map([number], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut conversations = Vec::with_capacity(found.len());
            for (id, record, outcome, bundle) in found {
                conversations.push(settle(tx, id, &record, &outcome, bundle.as_deref())?);
            }
            Ok(Segment {
                number,
                day,
                conversations,
            })
        })
        .await
    }

    /// Acknowledges a segment that every sink holds, and forgets all of it but ids and counts.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn filed(&self, segment: &Segment) -> Result<(), QueueError> {
        let number = segment.number;
        let mut totals = BTreeMap::<String, i64>::new();
        let mut ids = Vec::new();
        for settled in &segment.conversations {
            ids.push(settled.id.clone());
            *totals.entry(settled.outcome.word().to_owned()).or_default() += 1;
            let fullest = settled.objects.values().max_by_key(|objects| objects.len());
            for object in fullest.into_iter().flatten() {
                *totals.entry("objects".into()).or_default() += 1;
                *totals.entry("bytes".into()).or_default() += object.size as i64;
            }
        }
        self.with(move |tx| {
            for id in &ids {
                tx.prepare_cached("DELETE FROM object WHERE conversation = ?1")?.execute([id])?;
            }
            for (name, value) in &totals {
                count(tx, name, *value)?;
            }
            tx.prepare_cached(
                "UPDATE conversation SET status = 'filed', record = NULL WHERE segment = ?1 AND status = 'closing'",
            )?
            .execute([number])?;
            Ok(())
        })
        .await
    }
}

/// Joins a conversation with its objects, and with what failed on the way.
fn settle(
    tx: &rusqlite::Transaction<'_>,
    id: String,
    record: &str,
    outcome: &str,
    bundle: Option<&str>,
) -> rusqlite::Result<Settled> {
    let corrupt = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    };
    let record = serde_json::from_str(record).map_err(corrupt)?;
    let mut outcome: Outcome = serde_json::from_str(outcome).map_err(corrupt)?;
    let mut objects = BTreeMap::<String, Vec<Object>>::new();
    let mut query = tx.prepare_cached(
        "SELECT sink, recording, key, member, content_type, size, sha256 FROM object
         WHERE conversation = ?1 ORDER BY sink, key, member",
    )?;
    let mut rows = query.query([&id])?;
    while let Some(row) = rows.next()? {
        let member: String = row.get(3)?;
        objects.entry(row.get(0)?).or_default().push(Object {
            conversation: id.clone(),
            recording: row.get(1)?,
            key: row.get(2)?,
            member: (!member.is_empty()).then_some(member),
            content_type: row.get(4)?,
            size: row.get::<_, i64>(5)? as u64,
            sha256: row.get(6)?,
        });
    }
    let failed: Vec<(String, String)> = tx
        .prepare_cached(
            "SELECT code, message FROM artifact WHERE status = 'failed' AND (conversation = ?1 OR key = ?2) ORDER BY key",
        )?
        .query_map(params![id, bundle], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    if bundle.is_some() && !objects.is_empty() {
        outcome = Outcome::Stored;
    }
    if let Some((code, message)) = failed.first() {
        outcome = match outcome {
            Outcome::Stored if !objects.is_empty() => Outcome::Partial { missing: failed },
            Outcome::Partial { mut missing } if !objects.is_empty() => {
                // A segment is read again if filing it was interrupted.
                let new = failed.into_iter().filter(|one| !missing.contains(one));
                let new: Vec<_> = new.collect();
                missing.extend(new);
                Outcome::Partial { missing }
            }
            _ => Outcome::Failed {
                code: code.clone(),
                message: message.clone(),
            },
        };
    }
    let text = serde_json::to_string(&outcome).unwrap_or_default();
    tx.prepare_cached("UPDATE conversation SET outcome = ?2 WHERE id = ?1")?
        .execute(params![id, text])?;
    Ok(Settled {
        id,
        record,
        outcome,
        objects,
        attempt: 1,
    })
}
