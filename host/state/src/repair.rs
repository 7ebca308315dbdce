//! A repair's queries to the queue, and its notes in it.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use rusqlite::{OptionalExtension, params};

use super::{
    Queue, QueueError,
    life_cycle::stage,
    sinks::{Backfilled, fill, keep_none, lack},
};

/// A segment whose files in a sink are wrong.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct VoidSegment {
    /// The sink.
    pub sink: String,
    /// The day, `YYYY-MM-DD`.
    pub day: String,
    /// The segment's number.
    pub number: i64,
    /// All conversations that it is about.
    pub conversations: Vec<String>,
    /// Those of them of which all is known and there.
    pub sound: Vec<Backfilled>,
}

/// Conversations of which a sink proves nothing.
#[derive(Clone, Debug, Default)]
pub struct Unproven {
    /// Those that are filed.
    pub filed: Vec<String>,
    /// How many there are besides that are on their way to another sink.
    pub under_way: u64,
}

/// An id in few bytes, for sets of many.
#[must_use]
pub fn hashed(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

impl Queue {
    /// Notes that a sink's files of a segment are wrong, and that it lacks the conversations of it, those
    /// left out that are sound: these are completed anew. The files give way once all of the day that the
    /// sink lacks is filed in it. Returns how many are completed; none, and nothing is noted, if some of the
    /// conversations are on their way to another sink.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn file_again(
        &self,
        segment: VoidSegment,
        now: u64,
    ) -> Result<Option<u64>, QueueError> {
        self.transaction(move |tx| {
            let VoidSegment {
                sink,
                day,
                number,
                conversations,
                sound,
            } = segment;
            for id in &conversations {
                let filed: Option<bool> = tx
                    .prepare_cached(concat!(
                        "SELECT ",
                        stage!(InEverySink),
                        " FROM conversation WHERE id = ?1"
                    ))?
                    .query_row([id], |row| row.get(0))
                    .optional()?;
                if filed == Some(false) {
                    return Ok(None);
                }
            }
            keep_none(tx)?;
            for id in &conversations {
                lack(tx, id, &sink)?;
            }
            for one in &sound {
                fill(tx, one, now)?;
            }
            tx.prepare_cached("INSERT OR IGNORE INTO segment VALUES (?1, ?2)")?
                .execute(params![number, day])?;
            tx.prepare_cached("INSERT OR IGNORE INTO voided VALUES (?1, ?2, ?3)")?
                .execute(params![number, sink, day])?;
            Ok(Some(sound.len() as u64))
        })
        .await
    }

    /// The filed conversations that a sink was not noted to lack and that are not among `proven`, by
    /// what [`hashed`] makes of their ids.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn unproven(
        &self,
        sink: String,
        proven: HashSet<u64>,
    ) -> Result<Unproven, QueueError> {
        self.transaction(move |tx| {
            let mut statement = tx.prepare_cached(
                concat!("SELECT id, ", stage!(InEverySink), " FROM conversation AS c
                 WHERE NOT EXISTS (SELECT 1 FROM wanting AS w WHERE w.conversation = c.id AND w.sink = ?1)
                 AND (", stage!(InEverySink), " OR EXISTS (SELECT 1 FROM wanting AS w WHERE w.conversation = c.id))"),
            )?;
            let mut rows = statement.query([&sink])?;
            let mut unproven = Unproven::default();
            while let Some(row) = rows.next()? {
                let id: String = row.get(0)?;
                match (proven.contains(&hashed(&id)), row.get(1)?) {
                    (true, _) => {}
                    (false, true) => unproven.filed.push(id),
                    (false, false) => unproven.under_way += 1,
                }
            }
            Ok(unproven)
        })
        .await
    }

    /// At which attempt a conversation was filed last, and with how many objects; none if it is not filed.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn last_filed(&self, id: String) -> Result<Option<(u32, u64)>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(concat!(
                "SELECT attempt, objects FROM conversation WHERE id = ?1 AND ",
                stage!(InEverySink)
            ))?
            .query_row([id], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))
            .optional()
        })
        .await
    }

    /// The conversations that are filed in a segment, as far as is known.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn filed_in(&self, segment: i64) -> Result<Vec<String>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(concat!(
                "SELECT id FROM conversation WHERE segment = ?1 AND ",
                stage!(InEverySink),
                " ORDER BY id"
            ))?
            .query_map([segment], |row| row.get(0))?
            .collect()
        })
        .await
    }
}
