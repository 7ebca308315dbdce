//! How far an export is, for progress, summaries and `status`.

use std::collections::BTreeMap;

use rusqlite::OptionalExtension;
use serde::Serialize;

use super::{Queue, QueueError, SinkLag, life_cycle::stage, parsed, sinks::lacking, stock::behind};
use recording_host_model::{Outcome, Progress};

/// The contents of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How far the export is.
    #[serde(flatten)]
    pub progress: Progress,
    /// Splits that are not done, by their kind.
    pub splits: BTreeMap<String, u64>,
    /// When the next split is due, ms since the epoch.
    pub next_split: Option<u64>,
    /// Conversations that wait to be fetched.
    pub wanted: u64,
    /// When the first of them is due, ms since the epoch.
    pub next_wanted: Option<u64>,
    /// Conversations that are being fetched.
    pub fetching: u64,
    /// Artifacts handed over and not stored yet.
    pub pending: u64,
    /// Conversations that are completed, but not filed in every sink.
    pub unfiled: u64,
    /// How far sinks are behind after an outage.
    pub behind: BTreeMap<String, SinkLag>,
    /// Conversations filed with a loss: what `run --retry-failed` takes up again.
    pub lost: u64,
    /// Filed conversations that sinks lack, by sink.
    pub lacking: BTreeMap<String, u64>,
    /// Conversations that continue, and are waited for.
    pub live: u64,
    /// Until when requests pause because the source's API asked for it, ms since the epoch.
    pub paused_until: Option<u64>,
}

/// The name under which a queue keeps until when requests pause.
const PAUSED: &str = "paused_until";

impl Queue {
    /// Conversations that failed or lack recordings: id, code and message; of `new` ones, those that no
    /// run has named.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn losses(
        &self,
        most: usize,
        new: bool,
    ) -> Result<Vec<(String, String, String)>, QueueError> {
        self.transaction(move |tx| {
            let rows: Vec<(String, String)> = tx
                .prepare(concat!(
                    "SELECT id, outcome FROM conversation WHERE lost = 1 AND ",
                    stage!(InEverySink),
                    "
                     AND NOT (?2 AND reported) ORDER BY id LIMIT ?1"
                ))?
                .query_map(
                    rusqlite::params![i64::try_from(most).unwrap_or(i64::MAX), new],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?
                .collect::<rusqlite::Result<_>>()?;
            let mut losses = Vec::new();
            for (id, outcome) in rows {
                for (code, message) in parsed::<Outcome>(&outcome)?.losses() {
                    losses.push((id.clone(), code, message));
                }
            }
            Ok(losses)
        })
        .await
    }

    /// How many conversations have losses that no run has named.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn losses_to_name(&self) -> Result<u64, QueueError> {
        self.transaction(|tx| {
            let new: i64 = tx.query_row(
                concat!(
                    "SELECT count(*) FROM conversation WHERE lost = 1 AND reported = 0 AND ",
                    stage!(InEverySink)
                ),
                [],
                |row| row.get(0),
            )?;
            Ok(new as u64)
        })
        .await
    }

    /// Notes that all losses have been named.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn report_losses(&self) -> Result<(), QueueError> {
        self.transaction(|tx| {
            tx.execute(
                concat!(
                    "UPDATE conversation SET reported = 1
                 WHERE lost = 1 AND reported = 0 AND ",
                    stage!(InEverySink)
                ),
                [],
            )?;
            Ok(())
        })
        .await
    }

    /// The keys of objects that are stored in a sink, and that no receipt names yet.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn not_filed(&self, sink: String) -> Result<Vec<String>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare("SELECT DISTINCT key FROM object WHERE sink = ?1")?
                .query_map([sink], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// How far the export is.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn progress(&self) -> Result<Progress, QueueError> {
        self.transaction(progress).await
    }

    /// Notes until when requests pause (ms since the epoch); 0 if they do not.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn set_paused_until(&self, until: u64) -> Result<(), QueueError> {
        self.set_meta(PAUSED.to_owned(), until.to_string()).await
    }

    /// The contents of the queue.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn status(&self) -> Result<Status, QueueError> {
        self.transaction(|tx| {
            let number = |sql: &str| -> rusqlite::Result<Option<u64>> {
                tx.query_row(sql, [], |row| {
                    Ok(row.get::<_, Option<i64>>(0)?.map(|value| value as u64))
                })
            };
            let splits = tx
                .prepare("SELECT kind, count(*) FROM split WHERE status = 'open' GROUP BY kind")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect::<rusqlite::Result<_>>()?;
            let wanted = concat!("FROM conversation WHERE ", stage!(Wanted));
            Ok(Status {
                progress: progress(tx)?,
                splits,
                paused_until: tx
                    .query_row("SELECT value FROM meta WHERE name = ?1", [PAUSED], |row| {
                        row.get::<_, String>(0)
                    })
                    .optional()?
                    .and_then(|until| until.parse().ok())
                    .filter(|until| *until > 0),
                next_split: number("SELECT min(due) FROM split WHERE status = 'open'")?,
                wanted: number(&format!("SELECT count(*) {wanted}"))?.unwrap_or_default(),
                next_wanted: number(&format!("SELECT min(due) {wanted}"))?,
                fetching: number(concat!(
                    "SELECT count(*) FROM conversation WHERE ",
                    stage!(Fetching)
                ))?
                .unwrap_or_default(),
                pending: number("SELECT count(*) FROM artifact WHERE status = 'pending'")?
                    .unwrap_or_default(),
                unfiled: number(concat!(
                    "SELECT (SELECT count(*) FROM conversation WHERE ",
                    stage!(Completed),
                    ")
                     + (SELECT count(*) FROM conversation WHERE ",
                    stage!(Sealed),
                    ")
                     + (SELECT count(*) FROM conversation WHERE ",
                    stage!(Reported),
                    ")"
                ))?
                .unwrap_or_default(),
                behind: behind(tx)?,
                lost: number(concat!(
                    "SELECT count(*) FROM conversation WHERE lost = 1 AND ",
                    stage!(InEverySink)
                ))?
                .unwrap_or_default(),
                lacking: lacking(tx)?,
                live: number(concat!(
                    "SELECT count(*) FROM conversation WHERE live = 1 AND ",
                    stage!(Found)
                ))?
                .unwrap_or_default(),
            })
        })
        .await
    }
}

fn progress(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<Progress> {
    let mut progress = Progress::default();
    let mut query = tx.prepare_cached("SELECT name, value FROM counted")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
        let value = value as u64;
        match name.as_str() {
            "conversations" => progress.conversations = value,
            "artifacts" => progress.artifacts = value,
            "objects" => progress.objects = value,
            "bytes" => progress.bytes = value,
            "watermark" => progress.watermark = Some(value),
            name => {
                if let (Some(word), true) = (name.strip_prefix("outcome:"), value > 0) {
                    progress.filed.insert(word.to_owned(), value);
                }
            }
        }
    }
    let number = |sql: &str| -> rusqlite::Result<Option<u64>> {
        tx.prepare_cached(sql)?.query_row([], |row| {
            Ok(row.get::<_, Option<i64>>(0)?.map(|value| value as u64))
        })
    };
    progress.counted = number("SELECT sum(conversations) FROM source_count")?;
    let filed: u64 = progress.filed.values().sum();
    // What waits to be fetched may be very much; what is between there and the receipts is bounded.
    let ready = number(concat!(
        "SELECT (SELECT count(*) FROM conversation WHERE ",
        stage!(Completed),
        ") + (SELECT count(*) FROM conversation WHERE ",
        stage!(Sealed),
        // Those of a segment that takes the place of others are filed, and counted there.
        " AND (NOT EXISTS (SELECT 1 FROM replaced WHERE by = conversation.segment)
          OR EXISTS (SELECT 1 FROM wanting WHERE wanting.conversation = conversation.id)))"
    ))?;
    let reported = number(concat!(
        "SELECT count(*) FROM conversation WHERE ",
        stage!(Reported)
    ))?;
    progress.stored = filed + ready.unwrap_or_default();
    progress.fetched = progress.stored + reported.unwrap_or_default();
    Ok(progress)
}
