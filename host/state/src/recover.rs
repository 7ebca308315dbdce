//! Takes over what receipts prove.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Transaction, params};

use super::{Queue, QueueError, count, counted, life_cycle::Stage, parsed, set, sinks::json};
use recording_host_model::Outcome;

/// The facts about a conversation that receipts prove.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ReceiptSummary {
    /// The conversation.
    pub conversation: String,
    /// The day on which it began, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// Which attempt at it the receipt is about.
    pub attempt: u32,
    /// How much there was of it at the source, if the source can say.
    pub extent: Option<u64>,
    /// How many objects it has.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Its outcome; none if it is to be taken up again.
    pub outcome: Option<Outcome>,
    /// The sinks that lack it, and whether they have had it before, with a loss.
    pub lacking: Vec<(String, bool)>,
    /// True if another export proves it, whose recordings have the same form: it counts once this export
    /// finds the conversation.
    pub alike: bool,
}

impl Queue {
    /// Takes over what receipts prove of conversations, the numbers of the segments that they are in,
    /// and what is replaced and still there: segment, sink, and the segment in its place; returns how
    /// many conversations are done with.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn recover(
        &self,
        proven: Vec<ReceiptSummary>,
        segments: BTreeSet<(i64, String)>,
        replaced: Vec<(i64, String, i64)>,
        now: u64,
    ) -> Result<u64, QueueError> {
        self.transaction(move |tx| {
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
                if one.alike {
                    keep(tx, one, outcome)?;
                } else if add(tx, one, &json(outcome)?)? {
                    count_one(tx, one, outcome)?;
                }
                for (sink, further) in &one.lacking {
                    tx.prepare_cached("INSERT OR REPLACE INTO wanting VALUES (?1, ?2, ?3)")?
                        .execute(params![one.conversation, sink, further])?;
                }
                done += 1;
            }
            Ok(done)
        })
        .await
    }
}

/// Files what is proven; says whether it is new.
fn add(tx: &Transaction<'_>, one: &ReceiptSummary, outcome: &str) -> rusqlite::Result<bool> {
    // That it has ended is all that is known of its end.
    let new = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO conversation
             (id, day, start, ended, recorded, outcome, status, due, attempt, objects, bytes, revision)
             VALUES (?1, ?2, 0, 0, ?3, ?4, ?5, 0, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            one.conversation,
            one.day,
            one.outcome != Some(Outcome::NoRecording),
            outcome,
            Stage::Filed.status(),
            one.attempt,
            one.objects as i64,
            one.bytes as i64,
            one.extent.map(|extent| extent as i64)
        ])?;
    Ok(new == 1)
}

fn count_one(
    tx: &Transaction<'_>,
    one: &ReceiptSummary,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    count(tx, "conversations", 1)?;
    count(tx, "objects", one.objects as i64)?;
    count(tx, "bytes", one.bytes as i64)?;
    count(tx, &format!("outcome:{}", outcome.word()), 1)
}

/// Keeps what another export proves for when this one finds it.
fn keep(tx: &Transaction<'_>, one: &ReceiptSummary, outcome: &Outcome) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO alike VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            one.conversation,
            one.day,
            json(outcome)?,
            one.attempt,
            one.objects as i64,
            one.bytes as i64,
            one.extent.map(|extent| extent as i64)
        ])
        .map(drop)
}

/// Files a conversation that was found and that another export proves; says whether it does.
pub(super) fn file_alike(tx: &Transaction<'_>, id: &str) -> rusqlite::Result<bool> {
    let alike = tx
        .prepare_cached("SELECT day, outcome, attempt, objects, bytes, revision FROM alike WHERE conversation = ?1")?
        .query_row([id], |row| {
            let outcome: String = row.get(1)?;
            Ok(ReceiptSummary {
                conversation: id.to_owned(),
                day: row.get(0)?,
                attempt: row.get(2)?,
                objects: row.get::<_, i64>(3)? as u64,
                bytes: row.get::<_, i64>(4)? as u64,
                extent: row.get::<_, Option<i64>>(5)?.map(|extent| extent as u64),
                outcome: Some(parsed(&outcome)?),
                ..ReceiptSummary::default()
            })
        })
        .optional()?;
    let Some(alike) = alike else {
        return Ok(false);
    };
    tx.prepare_cached("DELETE FROM alike WHERE conversation = ?1")?
        .execute([id])?;
    let Some(outcome) = &alike.outcome else {
        return Ok(false);
    };
    if !add(tx, &alike, &json(outcome)?)? {
        return Ok(false);
    }
    count_one(tx, &alike, outcome).map(|()| true)
}
