//! The durable state of an export: a SQLite file in `data_dir`.
//!
//! What is not acknowledged here is done again after an interruption. A
//! transaction is on disk when it returns. No link and no secret is ever kept.

mod close;
mod commit;
mod compact;
mod copies;
mod delivered;
mod fetch;
mod filing;
mod names;
mod recover;
mod repair;
mod schema;
mod search;
mod settle;
mod sinks;
mod status;
mod worker;

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

pub use close::Acknowledged;
pub use commit::Committed;
pub use commit::goes_on;
pub use compact::Replaced;
pub use copies::Copied;
pub use delivered::Behind;
use delivered::object_row;
pub use fetch::Abandoned;
pub use recover::Proven;
pub use repair::{Unproven, VoidSegment, hashed};
use rusqlite::{Connection, OptionalExtension, params};
use schema::Version;
pub use search::{Counted, Searched, SearchedRange};
pub use settle::Settling;
pub use sinks::{KnownSink, Lacking};
pub use status::Status;
use worker::Worker;

use recording_host_model::{ArtifactKey, KeyContext, Split, SplitState};

/// How long SQLite waits for another process.
const BUSY: Duration = Duration::from_secs(10);
/// Pages of the database that are kept in memory, in KiB: ids are random, and so are the places in their index.
const CACHE: i64 = 16 << 10;
/// Pages that the log has before they go to the database: one that changes often goes there once.
const CHECKPOINT: i64 = 4000;

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
    /// The file is no longer a database.
    #[error(
        "the queue {path} is damaged ({reason}); move it away and run again: what the receipts in the sinks prove is not fetched again"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What SQLite says.
        reason: String,
    },
    /// A later version of this program has written it.
    #[error(
        "the queue {path} has the schema {version}, which this version of the program does not know; use the version that wrote it, or move it away and run again: what the receipts in the sinks prove is not fetched again"
    )]
    OtherVersion {
        /// The file.
        path: String,
        /// The version of its schema.
        version: i64,
    },
    /// An earlier version of this program has written it, and nobody has run the export since.
    #[error(
        "the queue {0} was written by an earlier version of this program; `run` brings it up to date and leaves a copy beside it"
    )]
    NotMigrated(String),
    /// The disk has no room.
    #[error("no room for the queue {0}; free some space in `data_dir` and run again")]
    Full(String),
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
    /// Held while the queue is open for writing.
    _lock: Option<Arc<File>>,
    /// Where work is done; on the caller's own thread if there is none, as a simulation needs it.
    worker: Option<Worker>,
}

impl Queue {
    /// Opens or makes the queue of the export `name` in `folder`, for this process alone. Says
    /// whether it is ready: a new one may have to be recovered first.
    ///
    /// # Errors
    /// [`QueueError`] says what stands in the way.
    pub fn open(folder: &Path, name: &str) -> Result<(Self, bool), QueueError> {
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
        let path = folder.join(format!("{name}.sqlite"));
        prepare(&path, Arc::new(lock))
    }

    /// Whether there is a queue of the export `name` in `folder`.
    #[must_use]
    pub fn is_there(folder: &Path, name: &str) -> bool {
        folder.join(format!("{name}.sqlite")).exists()
    }

    /// The names of the queues in `folder` that are of the source of the export `label`, but not of
    /// that export.
    ///
    /// # Errors
    /// [`QueueError::Io`].
    pub fn names(folder: &Path, label: &str) -> Result<Vec<String>, QueueError> {
        let (source, digits) = label.rsplit_once('-').unwrap_or((label, ""));
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| QueueError::Io {
                path: folder.display().to_string(),
                source,
            })?,
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(".sqlite")?.to_owned()))
            .filter(|name| {
                let rest = name
                    .strip_prefix(source)
                    .and_then(|rest| rest.strip_prefix('-'));
                rest.is_some_and(|rest| {
                    rest.len() == digits.len() && rest.chars().all(|c| c.is_ascii_hexdigit())
                })
            })
            .filter(|name| name != label)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Gives the queue's files, which are called `before`, another name; the queue is closed by that.
    ///
    /// # Errors
    /// [`QueueError`]; then it has the name that it had.
    pub fn rename(self, folder: &Path, before: &str, name: &str) -> Result<(), QueueError> {
        let (from, to) = (
            folder.join(format!("{before}.sqlite")),
            folder.join(format!("{name}.sqlite")),
        );
        {
            let connection = self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // All of it must be in the one file that is renamed.
            connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
                    row.get::<_, i64>(0)
                })
                .map_err(|error| damaged(error, &from))?;
            connection
                .pragma_update(None, "journal_mode", "DELETE")
                .map_err(|error| damaged(error, &from))?;
        }
        let lock = self._lock.clone();
        drop(self);
        std::fs::rename(&from, &to).map_err(|source| QueueError::Io {
            path: from.display().to_string(),
            source,
        })?;
        let _ = std::fs::remove_file(folder.join(format!("{before}.lock")));
        drop(lock);
        Ok(())
    }

    /// What the queue says about itself under a name.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn meta(&self, name: &'static str) -> Result<Option<String>, QueueError> {
        self.with(move |tx| {
            tx.prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// Has the queue say something about itself under a name.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn set_meta(&self, name: &'static str, value: String) -> Result<(), QueueError> {
        self.with(move |tx| {
            tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?
                .execute([name, &value])
                .map(drop)
        })
        .await
    }

    /// Notes that the queue knows all that the receipts prove.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn set_ready(&self) -> Result<(), QueueError> {
        self.with(|tx| set(tx, "ready", 1)).await
    }

    /// Opens the queue of the export `name` in `folder` for reading, whoever works on it.
    ///
    /// # Errors
    /// [`QueueError`] says what stands in the way; that there is none is none.
    pub fn look(folder: &Path, name: &str) -> Result<Option<Self>, QueueError> {
        let path = folder.join(format!("{name}.sqlite"));
        if !path.exists() {
            return Ok(None);
        }
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(BUSY)?;
        let shown = path.display().to_string();
        match schema::version(&connection).map_err(|error| damaged(error, &path))? {
            Version::Current => {}
            // Another process has only just made it.
            Version::New => return Ok(None),
            Version::Earlier(_) => return Err(QueueError::NotMigrated(shown)),
            Version::Unknown(version) => {
                let path = shown;
                return Err(QueueError::OtherVersion { path, version });
            }
        }
        Ok(Some(Queue {
            connection: Arc::new(Mutex::new(connection)),
            _lock: None,
            worker: Some(Worker::start()),
        }))
    }

    /// A queue that is lost with the process, and works on the caller's own thread.
    pub fn in_memory() -> Result<Self, QueueError> {
        let mut connection = Connection::open_in_memory()?;
        schema::create(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Queue {
            connection: Arc::new(Mutex::new(connection)),
            _lock: None,
            worker: None,
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let connection = Arc::clone(&self.connection);
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let path = connection.path().unwrap_or_default().to_owned();
            let transact = || {
                let transaction = connection.transaction()?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            };
            transact().map_err(|error| damaged(error, Path::new(&path)))
        };
        match &self.worker {
            None => run(),
            Some(worker) => worker.run(run).await?,
        }
    }

    /// Adds splits that are not known yet and returns the ids of those added.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        self.with(move |tx| insert_splits(tx, &splits, now)).await
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
                 WHERE artifact.status = 'pending' AND split.status = 'done'
                 AND NOT EXISTS (SELECT 1 FROM owed WHERE owed.artifact = artifact.key AND owed.code IS NULL)",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                undelivered.entry(row.get(0)?).or_default().push(row.get(1)?);
            }
            Ok(undelivered)
        })
        .await
    }

    /// Artifacts that a split handed over and that are not delivered.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn pending(&self, split: String) -> Result<Vec<String>, QueueError> {
        self.with(move |tx| {
            tx.prepare_cached(
                "SELECT key FROM artifact WHERE split = ?1 AND status = 'pending'
                 AND NOT EXISTS (SELECT 1 FROM owed WHERE owed.artifact = artifact.key AND owed.code IS NULL)",
            )?
            .query_map([split], |row| row.get(0))?
            .collect()
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
                        state: SplitState {
                            version: row.get(1)?,
                            data: row.get(2)?,
                        },
                    })
                })
                .optional()
        })
        .await
    }

    /// What is known of these conversations, as far as they are.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn known(
        &self,
        ids: Vec<String>,
    ) -> Result<BTreeMap<String, KeyContext>, QueueError> {
        self.with(move |tx| {
            let mut all = BTreeMap::new();
            let mut query =
                tx.prepare_cached("SELECT start, record FROM conversation WHERE id = ?1")?;
            for id in ids {
                let known = query
                    .query_row([&id], |row| {
                        let record: Option<String> = row.get(1)?;
                        Ok(KeyContext {
                            start: row.get::<_, i64>(0)? as u64,
                            record: record.map(|text| parsed(&text)).transpose()?,
                        })
                    })
                    .optional()?;
                if let Some(known) = known {
                    all.insert(id, known);
                }
            }
            Ok(all)
        })
        .await
    }

    /// The conversations whose recordings the source put into a bundle.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn in_bundle(&self, key: &ArtifactKey) -> Result<Vec<String>, QueueError> {
        let bundle = key.to_text();
        self.with(move |tx| {
            tx.prepare_cached("SELECT id FROM conversation WHERE bundle = ?1 ORDER BY id")?
                .query_map([bundle], |row| row.get(0))?
                .collect()
        })
        .await
    }
}

/// Opens a database for writing, brought up to date if an earlier version of the program wrote it;
/// each commit is on disk when it returns.
fn prepare(path: &Path, lock: Arc<File>) -> Result<(Queue, bool), QueueError> {
    let failed = |error| damaged(error, path);
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let version = schema::version(&connection).map_err(failed)?;
    if let Version::Unknown(version) = version {
        let path = path.display().to_string();
        return Err(QueueError::OtherVersion { path, version });
    }
    set_up(&connection).map_err(failed)?;
    match version {
        Version::New => schema::create(&mut connection),
        Version::Earlier(from) => schema::migrate(&mut connection, path, from),
        Version::Current | Version::Unknown(_) => Ok(()),
    }
    .map_err(failed)?;
    ready(connection, lock).map_err(failed)
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)
}

/// A queue, and whether it knows all that receipts prove.
fn ready(mut connection: Connection, lock: Arc<File>) -> rusqlite::Result<(Queue, bool)> {
    connection.set_prepared_statement_cache_capacity(64);
    let transaction = connection.transaction()?;
    let ready = counted(&transaction, "ready")? == 1;
    if !ready {
        // A recovery was interrupted: the next one begins anew.
        transaction.execute_batch(
            "DELETE FROM conversation; DELETE FROM segment; DELETE FROM replaced; DELETE FROM outdated;
             DELETE FROM earlier; DELETE FROM counted; DELETE FROM wanting; DELETE FROM alike;",
        )?;
    }
    transaction.commit()?;
    let queue = Queue {
        connection: Arc::new(Mutex::new(connection)),
        _lock: Some(lock),
        worker: Some(Worker::start()),
    };
    Ok((queue, ready))
}

/// Tells a damaged file and a full disk from what else can go wrong.
fn damaged(error: rusqlite::Error, path: &Path) -> QueueError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
    let path = path.display().to_string();
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => QueueError::Damaged {
            path,
            reason: error.to_string(),
        },
        Some(DiskFull) => QueueError::Full(path),
        _ => QueueError::Sqlite(error),
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

fn set(tx: &rusqlite::Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO counted VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(())
}

fn counted(tx: &rusqlite::Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    tx.prepare_cached("SELECT value FROM counted WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

/// What this module has written as JSON.
fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}
