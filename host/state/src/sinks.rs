//! The sinks that an export has known, and what some of them lack that others have.

mod added;
mod release;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{OptionalExtension, Transaction, params};

use super::{
    Queue, QueueError,
    fetch::FiledCounts,
    life_cycle::stage,
    object_row, record,
    seal::{ConversationRow, forget},
};
use recording_host_model::{ConversationRecord, Object, Outcome};
pub(super) use release::has_got;

/// How many conversations are sealed together at most that some sinks alone lack, when others come or go.
pub(super) const SEALED_AT_ONCE: usize = 1000;

/// A sink as the queue knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KnownSink {
    /// Its name in the configuration.
    pub name: String,
    /// A text that determines which object stands under which key of it.
    pub identity: String,
    /// A text that determines which conversations it takes, and which parts of them.
    pub takes: String,
    /// The id in its marker, or a text that identifies its place if it has no marker; none if it has neither.
    pub marker: Option<String>,
    /// True if a run has left it out since.
    pub lapsed: bool,
}

/// A conversation that some sinks lack, as another one has it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Backfilled {
    /// The conversation.
    pub conversation: String,
    /// The facts in its rows; none if no sink could be asked.
    pub record: Option<ConversationRecord>,
    /// Its outcome.
    pub outcome: Outcome,
    /// How much there was of it at the source.
    pub extent: Option<u64>,
    /// Its objects, with the sink that holds them: those that it was copied to, and the one that it
    /// was copied from.
    #[serde(with = "crate::fetch_order::parts::objects")]
    pub objects: Vec<(String, Object)>,
    /// The sinks that have all of it now.
    pub filled: BTreeSet<String>,
}

impl Queue {
    /// The sinks that the export has known.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn sinks(&self) -> Result<Vec<KnownSink>, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached(
                "SELECT name, identity, takes, marker, lapsed FROM sink ORDER BY name",
            )?
            .query_map([], |row| {
                Ok(KnownSink {
                    name: row.get(0)?,
                    identity: row.get(1)?,
                    takes: row.get(2)?,
                    marker: row.get(3)?,
                    lapsed: row.get(4)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Notes a sink as it is now.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn set_sink(&self, sink: KnownSink) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("INSERT OR REPLACE INTO sink (name, identity, takes, marker, lapsed) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![sink.name, sink.identity, sink.takes, sink.marker, sink.lapsed])
                .map(drop)
        })
        .await
    }

    /// Returns true if any conversation is filed.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn has_filed(&self) -> Result<bool, QueueError> {
        self.transaction(|tx| {
            tx.query_row(
                concat!(
                    "SELECT EXISTS (SELECT 1 FROM conversation WHERE ",
                    stage!(InEverySink),
                    ")"
                ),
                [],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Returns true if any sink holds an artifact of what is not filed.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn has_stored(&self) -> Result<bool, QueueError> {
        self.transaction(|tx| {
            // A bundle stays known when all of its conversations are filed: it may be handed over again.
            tx.query_row(
                concat!(
                    "SELECT EXISTS (SELECT 1 FROM artifact AS a WHERE status = 'stored' AND
                     (conversation IS NOT NULL OR EXISTS (SELECT 1 FROM conversation AS c
                      WHERE c.bundle = a.key AND NOT (",
                    stage!(InEverySink),
                    "))))"
                ),
                [],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Returns true if any sink was given anything.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn has_delivered(&self) -> Result<bool, QueueError> {
        self.transaction(|tx| {
            tx.query_row(
                concat!(
                    "SELECT EXISTS (SELECT 1 FROM conversation WHERE (",
                    stage!(InEverySink),
                    " OR ",
                    stage!(Sealed),
                    "))
                 OR EXISTS (SELECT 1 FROM artifact WHERE status = 'stored')"
                ),
                [],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Notes that a sink lacks these conversations, which it has had before: they are brought to it
    /// as a further attempt. Those that are under way already are left alone.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn lacks(&self, sink: String, conversations: Vec<String>) -> Result<u64, QueueError> {
        self.transaction(move |tx| {
            keep_none(tx)?;
            let mut lacking = 0;
            for id in &conversations {
                lacking += lack(tx, id, &sink)?;
            }
            Ok(lacking as u64)
        })
        .await
    }

    /// Returns true if an object of a sink is part of what is not filed yet.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn has_object(&self, sink: String, key: String) -> Result<bool, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM object WHERE sink = ?1 AND key = ?2)")?
                .query_row([&sink, &key], |row| row.get(0))
        })
        .await
    }

    /// Notes what receipts in a sink prove of it, as conversations and attempts: it does not lack that,
    /// unless a later attempt is known; or, if `further`, it has had that in another form. What is on its way
    /// to it is left alone.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn has(
        &self,
        sink: String,
        conversations: Vec<(String, u32)>,
        further: bool,
    ) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            // What is under way to it and to nobody else would else be under way to all.
            let mut later = tx.prepare_cached(concat!(
                "SELECT attempt > ?2 FROM conversation WHERE id = ?1 AND ",
                stage!(Filed)
            ))?;
            let mut has =
                tx.prepare_cached("DELETE FROM wanting WHERE conversation = ?1 AND sink = ?2")?;
            let mut had = tx.prepare_cached(
                "UPDATE wanting SET further = 1 WHERE conversation = ?1 AND sink = ?2",
            )?;
            for (id, attempt) in &conversations {
                let later: Option<bool> = later
                    .query_row(params![id, attempt], |row| row.get(0))
                    .optional()?;
                match (later, further) {
                    (Some(true) | None, _) => {}
                    (Some(false), true) => drop(had.execute([id, &sink])?),
                    (Some(false), false) => drop(has.execute([id, &sink])?),
                }
            }
            Ok(())
        })
        .await
    }

    /// How many filed conversations each sink lacks.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn lacking(&self) -> Result<BTreeMap<String, u64>, QueueError> {
        self.transaction(lacking).await
    }

    /// Which sinks lack each of these conversations, those left out that none lacks.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn lackers(
        &self,
        conversations: Vec<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, QueueError> {
        self.transaction(move |tx| {
            let mut lackers = BTreeMap::new();
            for id in conversations {
                let filed: Option<bool> = tx
                    .prepare_cached(concat!(
                        "SELECT ",
                        stage!(Filed),
                        " FROM conversation WHERE id = ?1"
                    ))?
                    .query_row([&id], |row| row.get(0))
                    .optional()?;
                let sinks = wanting(tx, &id)?;
                if filed == Some(true) && !sinks.is_empty() {
                    lackers.insert(id, sinks);
                }
            }
            Ok(lackers)
        })
        .await
    }

    /// Notes what sinks were given that lacked it. A conversation with all of its objects and its record
    /// is completed; one with its record alone is fetched again; all else is left for a search to find.
    /// `refused` are sinks that do not take it. Returns how many are to be fetched.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn filled(
        &self,
        lacking: Vec<Backfilled>,
        refused: Vec<(String, String)>,
        now: u64,
    ) -> Result<usize, QueueError> {
        self.transaction(move |tx| {
            for (conversation, sink) in &refused {
                tx.prepare_cached(concat!(
                    "DELETE FROM wanting WHERE conversation = ?1 AND sink = ?2
                     AND EXISTS (SELECT 1 FROM conversation WHERE id = ?1 AND ",
                    stage!(Filed),
                    ")"
                ))?
                .execute([conversation, sink])?;
            }
            let mut wanted = 0;
            for one in &lacking {
                wanted += usize::from(fill(tx, one, now)?);
            }
            Ok(wanted)
        })
        .await
    }
}

pub(super) fn lacking(tx: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, u64>> {
    tx.prepare_cached(concat!(
        "SELECT sink, count(*) FROM wanting JOIN conversation ON id = conversation
         WHERE ",
        stage!(Filed),
        " GROUP BY sink"
    ))?
    .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
    .collect()
}

/// Brings a filed conversation to the sinks that lack it; says whether it is to be fetched.
pub(super) fn fill(tx: &Transaction<'_>, one: &Backfilled, now: u64) -> rusqlite::Result<bool> {
    let id = &one.conversation;
    let (Some(record), sinks) = (&one.record, wanting(tx, id)?) else {
        return Ok(false);
    };
    if sinks.is_empty() || !take_up(tx, id, now)? {
        return Ok(false);
    }
    let record = json(record)?;
    if !sinks.is_subset(&one.filled) {
        record::set(tx, id, &record)?;
        return Ok(true);
    }
    let (mut objects, mut bytes) = (BTreeMap::<&str, i64>::new(), BTreeMap::<&str, i64>::new());
    for (sink, object) in &one.objects {
        object_row(tx, sink, object)?;
        if !object.aside {
            *objects.entry(sink).or_default() += 1;
            *bytes.entry(sink).or_default() += object.size as i64;
        }
    }
    record::set(tx, id, &record)?;
    tx.prepare_cached(concat!(
        "UPDATE conversation SET ",
        stage!(Completed),
        ", outcome = ?2, objects = ?3, bytes = ?4, lost = ?5,
         revision = ifnull(?6, revision), reported = 1 WHERE id = ?1"
    ))?
    .execute(params![
        id,
        json(&one.outcome)?,
        objects.values().max().copied().unwrap_or_default(),
        bytes.values().max().copied().unwrap_or_default(),
        !one.outcome.losses().is_empty(),
        one.extent.map(|extent| extent as i64)
    ])?;
    Ok(false)
}

/// Takes up a filed conversation that sinks lack, as a further attempt if one of them has had it
/// before; says whether it is filed.
pub(super) fn take_up(tx: &Transaction<'_>, id: &str, now: u64) -> rusqlite::Result<bool> {
    let filed = tx
        .prepare_cached(concat!(
            "SELECT outcome, objects, bytes FROM conversation WHERE id = ?1 AND ",
            stage!(Filed)
        ))?
        .query_row([id], FiledCounts::read)
        .optional()?;
    let Some(filed) = filed else {
        return Ok(false);
    };
    let sinks: Vec<(String, bool)> = tx
        .prepare_cached("SELECT sink, further FROM wanting WHERE conversation = ?1")?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    filed.take_up(tx, id, now)?;
    for (sink, further) in &sinks {
        tx.prepare_cached("INSERT INTO wanting VALUES (?1, ?2, ?3)")?
            .execute(params![id, sink, further])?;
    }
    if !sinks.iter().any(|(_, further)| *further) {
        tx.prepare_cached("UPDATE conversation SET attempt = attempt - 1 WHERE id = ?1")?
            .execute([id])?;
    }
    Ok(true)
}

/// The sinks that a conversation is to be brought to, if not to all.
pub(super) fn wanting(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<BTreeSet<String>> {
    tx.prepare_cached("SELECT sink FROM wanting WHERE conversation = ?1")?
        .query_map([id], |row| row.get(0))?
        .collect()
}

/// Notes that a sink lacks a filed conversation that it has had before; says whether it is filed.
pub(super) fn lack(tx: &Transaction<'_>, id: &str, sink: &str) -> rusqlite::Result<usize> {
    tx.prepare_cached(concat!(
        "INSERT INTO wanting (conversation, sink, further)
         SELECT id, ?2, 1 FROM conversation WHERE id = ?1 AND ",
        stage!(Filed),
        "
         ON CONFLICT (conversation, sink) DO UPDATE SET further = 1"
    ))?
    .execute([id, sink])
}

/// Lets go of what could be compacted: its conversations are to be filed elsewhere, too, and a
/// conversation is in one segment at a time.
pub(super) fn keep_none(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let compactable: Vec<ConversationRow> = tx
        .prepare_cached(concat!(
            "SELECT rowid, id FROM conversation WHERE ",
            stage!(Compactable)
        ))?
        .query_map([], ConversationRow::read)?
        .collect::<rusqlite::Result<_>>()?;
    forget(tx, &compactable)?;
    tx.execute("DELETE FROM stale_segment", []).map(drop)
}

/// A value as the queue keeps it.
pub(super) fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

#[cfg(test)]
mod tests;
