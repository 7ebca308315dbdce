//! The durable state of an export: a SQLite file in `data_dir`.
//!
//! What is not acknowledged here is done again after an interruption. A
//! transaction is on disk when it returns. No link and no secret is ever kept.

mod close;
mod record;

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

pub use record::{
    Contents, Delivered, Object, Outcome, Progress, Record, Segment, Settled, artifact_key,
    artifact_text, day,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sandbox::{ArtifactKey, Next, OutcomeResult, Split, State, Step};

/// Why the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The folder or file cannot be used.
    #[error("{path}: {source}; check `data_dir`")]
    Io {
        /// The path.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process works on the same export.
    #[error("{0} is in use by another run of this export; wait for it or use another `data_dir`")]
    Locked(String),
    /// SQLite failed.
    #[error("the queue failed: {0}; what is stored already stays, and the run can be repeated")]
    Sqlite(#[from] rusqlite::Error),
    /// A worker thread is gone.
    #[error("the queue was interrupted")]
    Interrupted,
}

/// The queue of one export.
#[derive(Clone, Debug)]
pub struct Queue {
    connection: Arc<Mutex<Connection>>,
    _lock: Arc<File>,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS split (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, version INTEGER NOT NULL, state BLOB NOT NULL,
  status TEXT NOT NULL, due INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS split_open ON split(due) WHERE status = 'open';
CREATE TABLE IF NOT EXISTS conversation (
  id TEXT PRIMARY KEY, day TEXT NOT NULL, start INTEGER NOT NULL, record TEXT, outcome TEXT,
  bundle TEXT, status TEXT NOT NULL, segment INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conversation_found ON conversation(day, id)
  WHERE status = 'found' AND outcome IS NOT NULL;
CREATE INDEX IF NOT EXISTS conversation_closing ON conversation(segment) WHERE status = 'closing';
CREATE INDEX IF NOT EXISTS conversation_bundle ON conversation(bundle) WHERE bundle IS NOT NULL;
CREATE TABLE IF NOT EXISTS artifact (
  key TEXT PRIMARY KEY, conversation TEXT, split TEXT NOT NULL, status TEXT NOT NULL,
  code TEXT, message TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS artifact_conversation ON artifact(conversation);
CREATE INDEX IF NOT EXISTS artifact_pending ON artifact(split) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS object (
  sink TEXT NOT NULL, key TEXT NOT NULL, member TEXT NOT NULL, conversation TEXT NOT NULL,
  recording TEXT NOT NULL, content_type TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
  PRIMARY KEY (sink, key, member, conversation)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS object_conversation ON object(conversation);
CREATE TABLE IF NOT EXISTS segment (number INTEGER PRIMARY KEY, day TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counted (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

impl Queue {
    /// Opens or makes the queue of the export `name` in `folder`, for this process alone.
    ///
    /// # Errors
    /// [`QueueError`] says what stands in the way.
    pub fn open(folder: &Path, name: &str) -> Result<Self, QueueError> {
        let io = |path: &Path| {
            let path = path.display().to_string();
            move |source| QueueError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let lock_path = folder.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        if lock.try_lock().is_err() {
            return Err(QueueError::Locked(lock_path.display().to_string()));
        }
        let connection = Connection::open(folder.join(format!("{name}.sqlite")))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Queue {
            connection: Arc::new(Mutex::new(connection)),
            _lock: Arc::new(lock),
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
        .await
        .map_err(|_| QueueError::Interrupted)?
    }

    /// Adds splits that are not known yet and returns the ids of those added.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        self.with(move |tx| insert_splits(tx, &splits, now)).await
    }

    /// Writes down all that a step yielded and what is next for its split, at once.
    /// Returns the splits that are new and the artifacts that are wanted still.
    ///
    /// # Errors
    /// [`QueueError`]; then the step counts as not made.
    pub async fn commit(
        &self,
        split: String,
        step: &Step,
        now: u64,
    ) -> Result<(Vec<String>, HashSet<String>), QueueError> {
        let step = step.clone();
        self.with(move |tx| {
            for found in &step.conversations {
                let record = serde_json::to_string(&Record::from(found)).unwrap_or_default();
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO conversation (id, day, start, record, status) VALUES (?1, ?2, ?3, ?4, 'found')",
                )?
                .execute(params![found.id, day(found.start), found.start as i64, record])?;
            }
            let mut wanted = HashSet::new();
            for artifact in &step.artifacts {
                let key = artifact_text(&artifact.key);
                let conversation = match &artifact.key {
                    ArtifactKey::Recording(key) => Some(key.conversation.clone()),
                    ArtifactKey::Bundle(_) => None,
                };
                tx.prepare_cached(
                    "INSERT OR IGNORE INTO artifact (key, conversation, split, status) VALUES (?1, ?2, ?3, 'pending')",
                )?
                .execute(params![key, conversation, split])?;
                let status: String = tx
                    .prepare_cached("SELECT status FROM artifact WHERE key = ?1")?
                    .query_row([&key], |row| row.get(0))?;
                if status == "pending" {
                    wanted.insert(key);
                }
            }
            for outcome in &step.outcomes {
                let (result, bundle) = match &outcome.result {
                    OutcomeResult::HandedOver(handed) if handed.missing.is_empty() => {
                        (Outcome::Stored, None)
                    }
                    OutcomeResult::HandedOver(handed) => {
                        let missing = handed.missing.iter().map(|missing| {
                            let failure = &missing.failure;
                            (failure.code.clone(), failure.message.clone())
                        });
                        let missing = missing.collect();
                        (Outcome::Partial { missing }, None)
                    }
                    OutcomeResult::InBundle(bundle) => (
                        Outcome::NoRecording,
                        Some(artifact_text(&ArtifactKey::Bundle(bundle.clone()))),
                    ),
                    OutcomeResult::NoRecording => (Outcome::NoRecording, None),
                    OutcomeResult::Skipped(reason) => (
                        Outcome::Skipped {
                            reason: reason.clone(),
                        },
                        None,
                    ),
                    OutcomeResult::Failed(failure) => (
                        Outcome::Failed {
                            code: failure.code.clone(),
                            message: failure.message.clone(),
                        },
                        None,
                    ),
                };
                let text = serde_json::to_string(&result).unwrap_or_default();
                tx.prepare_cached(
                    "UPDATE conversation SET outcome = ?2, bundle = ?3 WHERE id = ?1 AND status = 'found'",
                )?
                .execute(params![outcome.conversation, text, bundle])?;
            }
            let added = insert_splits(tx, &step.splits, now)?;
            let (state, status, due) = match &step.next {
                Next::Send(send) => (&send.state, "open", now),
                Next::Wait(wait) => (&wait.state, "open", wait.until),
                Next::Done(state) => (state, "done", now),
            };
            tx.prepare_cached(
                "UPDATE split SET version = ?2, state = ?3, status = ?4, due = ?5 WHERE id = ?1",
            )?
            .execute(params![split, state.version, state.data, status, due as i64])?;
            Ok((added, wanted))
        })
        .await
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
                 WHERE artifact.status = 'pending' AND split.status = 'done'",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                undelivered.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            Ok(undelivered)
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
                        state: State {
                            version: row.get(1)?,
                            data: row.get(2)?,
                        },
                    })
                })
                .optional()
        })
        .await
    }

    /// When each of these conversations began (ms), as far as they are known.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn starts(&self, ids: Vec<String>) -> Result<BTreeMap<String, u64>, QueueError> {
        self.with(move |tx| {
            let mut starts = BTreeMap::new();
            let mut query = tx.prepare_cached("SELECT start FROM conversation WHERE id = ?1")?;
            for id in ids {
                if let Some(start) = query
                    .query_row([&id], |row| row.get::<_, i64>(0))
                    .optional()?
                {
                    starts.insert(id, start as u64);
                }
            }
            Ok(starts)
        })
        .await
    }

    /// The conversations whose recordings the source put into a bundle.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn in_bundle(&self, key: &ArtifactKey) -> Result<Vec<String>, QueueError> {
        let bundle = artifact_text(key);
        self.with(move |tx| {
            tx.prepare_cached("SELECT id FROM conversation WHERE bundle = ?1 ORDER BY id")?
                .query_map([bundle], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Writes down what became of artifacts.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn delivered(&self, batch: Vec<Delivered>) -> Result<(), QueueError> {
        self.with(move |tx| {
            for delivered in &batch {
                match &delivered.result {
                    Ok(contents) => {
                        for (sink, object) in &contents.objects {
                            tx.prepare_cached(
                                "INSERT OR REPLACE INTO object VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                            )?
                            .execute(params![
                                sink,
                                object.key,
                                object.member.as_deref().unwrap_or_default(),
                                object.conversation,
                                object.recording,
                                object.content_type,
                                object.size as i64,
                                object.sha256
                            ])?;
                        }
                        for (number, (conversation, code, message)) in
                            contents.missing.iter().enumerate()
                        {
                            let key = format!("{}\n{number}", delivered.artifact);
                            tx.prepare_cached(
                                "INSERT OR REPLACE INTO artifact VALUES (?1, ?2, '', 'failed', ?3, ?4)",
                            )?
                            .execute(params![key, conversation, code, message])?;
                        }
                        tx.prepare_cached("UPDATE artifact SET status = 'stored' WHERE key = ?1")?
                            .execute([&delivered.artifact])?;
                        count(tx, "artifacts", 1)?;
                    }
                    Err((code, message)) => {
                        tx.prepare_cached(
                            "UPDATE artifact SET status = 'failed', code = ?2, message = ?3 WHERE key = ?1",
                        )?
                        .execute(params![delivered.artifact, code, message])?;
                    }
                }
            }
            Ok(())
        })
        .await
    }

    /// Gives conversations without an outcome, for which nothing is left to do, the outcome that
    /// the source owes us: failed. Artifacts without a link fail too. Returns how many conversations
    /// there were.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn settle_forgotten(&self) -> Result<usize, QueueError> {
        let outcome = Outcome::Failed {
            code: "no-outcome".into(),
            message: "the source did not say what became of it".into(),
        };
        let text = serde_json::to_string(&outcome).unwrap_or_default();
        self.with(move |tx| {
            tx.execute(
                "UPDATE artifact SET status = 'failed', code = 'no-link',
                 message = 'the source gave no fresh link' WHERE status = 'pending'",
                [],
            )?;
            tx.execute(
                "UPDATE conversation SET outcome = ?1 WHERE status = 'found' AND outcome IS NULL",
                [text],
            )
        })
        .await
    }

    /// Conversations that failed or lack recordings: id, code and message.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn losses(&self, most: usize) -> Result<Vec<(String, String, String)>, QueueError> {
        self.with(move |tx| {
            let rows: Vec<(String, String)> = tx
                .prepare(
                    "SELECT id, outcome FROM conversation WHERE status = 'filed'
                     AND (outcome LIKE '%\"failed\"%' OR outcome LIKE '%\"missing\"%') ORDER BY id LIMIT ?1",
                )?
                .query_map([most as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows
                .into_iter()
                .flat_map(|(id, text)| match serde_json::from_str(&text) {
                    Ok(Outcome::Failed { code, message }) => vec![(id, code, message)],
                    Ok(Outcome::Partial { missing }) => missing
                        .into_iter()
                        .map(|(code, message)| (id.clone(), code, message))
                        .collect(),
                    _ => Vec::new(),
                })
                .collect())
        })
        .await
    }

    /// How far the export is.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn progress(&self) -> Result<Progress, QueueError> {
        self.with(|tx| {
            let conversations: i64 =
                tx.query_row("SELECT count(*) FROM conversation", [], |row| row.get(0))?;
            let mut progress = Progress {
                conversations: conversations as u64,
                ..Progress::default()
            };
            let mut query = tx.prepare("SELECT name, value FROM counted")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let (name, value): (String, i64) = (row.get(0)?, row.get(1)?);
                let value = value as u64;
                match name.as_str() {
                    "artifacts" => progress.artifacts = value,
                    "objects" => progress.objects = value,
                    "bytes" => progress.bytes = value,
                    _ => {
                        progress.filed.insert(name, value);
                    }
                }
            }
            Ok(progress)
        })
        .await
    }
}

fn insert_splits(
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

fn count(tx: &rusqlite::Transaction<'_>, name: &str, more: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO counted VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
    )?
    .execute(params![name, more])?;
    Ok(())
}
