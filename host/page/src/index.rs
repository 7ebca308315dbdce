//! The index: what can be searched of an archive, in SQLite outside of it.
//!
//! The key of a row is its start in milliseconds, shifted, and a counter: keys are in the order of time,
//! so that a range of time is a range of keys, and every index ends in time. Details are not in the
//! index; they are read from the archive. A file of rows is taken in or out in one transaction.

mod facets;
mod fill;
mod overview;
mod pick;
mod search;
mod text;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use tokio::task::spawn_blocking;

use crate::PageError;

pub(crate) use facets::{Counted, Facet};
pub(crate) use fill::{NewSegment, OUTCOMES, Rows};
pub(crate) use overview::{Day, Overview, number_of};
pub(crate) use pick::SegmentEntry;
pub(crate) use search::{COUNTED, PAGE};
pub use search::{Hit, Order, Query, Results};
pub(crate) use text::printable;

/// How far a start is shifted in a key.
const SHIFT: u32 = 20;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// The version of the tables; an index of another one is made anew.
const VERSION: i64 = 4;
/// What is a word: letters and digits, with the marks without which some scripts have no vowels.
const WORDS: &str = "tokenize = \"unicode61 categories 'L* M* N* Co'\"";

const TABLES: &str = "
CREATE TABLE file (id INTEGER PRIMARY KEY, receipt TEXT UNIQUE, size INTEGER, etag TEXT, rows TEXT,
  export TEXT, written TEXT, problem TEXT, low INTEGER, high INTEGER, day INTEGER, counted INTEGER);
CREATE TABLE void (receipt TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE rec (id INTEGER PRIMARY KEY, file INTEGER, conv BLOB, n INTEGER, dur INTEGER, size INTEGER,
  outcome TEXT, code TEXT, dir INTEGER, ani TEXT, dnis TEXT, agent TEXT, kind TEXT, attempt INTEGER);
CREATE TABLE earlier (conv BLOB, file INTEGER, PRIMARY KEY (conv, file)) WITHOUT ROWID;
CREATE TABLE name (id INTEGER PRIMARY KEY, kind INTEGER, folded TEXT, label TEXT, UNIQUE (kind, folded));
CREATE TABLE has (name INTEGER, rec INTEGER, PRIMARY KEY (name, rec)) WITHOUT ROWID;
CREATE INDEX has_rec ON has (rec);
CREATE TABLE day (day INTEGER, outcome TEXT, code TEXT, conversations INTEGER, recordings INTEGER,
  bytes INTEGER);
CREATE TABLE searched (file INTEGER, since INTEGER, until INTEGER);
CREATE TABLE peaks (object TEXT PRIMARY KEY, bytes BLOB) WITHOUT ROWID;
";
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS rec_conv ON rec (conv, attempt);
CREATE INDEX IF NOT EXISTS rec_ani ON rec (ani, id);
CREATE INDEX IF NOT EXISTS rec_dnis ON rec (dnis, id);
CREATE INDEX IF NOT EXISTS rec_code ON rec (code, id) WHERE code IS NOT NULL;
CREATE INDEX IF NOT EXISTS rec_outcome ON rec (outcome, id) WHERE outcome <> 'stored';
CREATE INDEX IF NOT EXISTS rec_again ON rec (attempt) WHERE attempt > 1;
CREATE INDEX IF NOT EXISTS day_day ON day (day);
";

/// The index of an archive.
#[derive(Debug)]
pub struct Index {
    connection: Mutex<Connection>,
    /// For questions, which so need not wait until a file of rows is in; none if the index is in memory, where
    /// there is one connection alone.
    reader: Option<Mutex<Connection>>,
}

/// Where a row's details are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) receipt: String,
    pub(crate) rows: String,
}

impl Index {
    /// The index in a file, which is made if need be; one of another version is made anew.
    ///
    /// # Errors
    /// The file cannot be opened, or is used by another process.
    pub fn open(path: &Path) -> Result<Self, PageError> {
        let connection = Connection::open(path)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == VERSION {
            return Index::with(connection, false)?.with_reader(path);
        }
        drop(connection);
        for ending in ["", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            let _ = std::fs::remove_file(name);
        }
        Index::with(Connection::open(path)?, true)?.with_reader(path)
    }

    fn with_reader(mut self, path: &Path) -> Result<Self, PageError> {
        let reader = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        reader.execute_batch("PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;")?;
        self.reader = Some(Mutex::new(reader));
        Ok(self)
    }

    /// Asks the index on a thread that may block.
    pub(crate) async fn off_thread<T: Send + 'static>(
        self: &Arc<Self>,
        ask: impl FnOnce(&Index) -> Result<T, PageError> + Send + 'static,
    ) -> Result<T, PageError> {
        let index = Arc::clone(self);
        spawn_blocking(move || ask(&index)).await?
    }

    /// An index in memory, for an archive whose clear text may not lie on a disk.
    ///
    /// # Errors
    /// None that is known.
    pub fn in_memory() -> Result<Self, PageError> {
        Index::with(Connection::open_in_memory()?, true)
    }

    fn with(connection: Connection, new: bool) -> Result<Self, PageError> {
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000;
             PRAGMA temp_store = MEMORY;",
        )?;
        if new {
            connection.execute_batch(TABLES)?;
            connection.execute_batch(&format!(
                "CREATE VIRTUAL TABLE fts
                 USING fts5(body, content='', detail=none, contentless_delete=1, {WORDS})"
            ))?;
            connection.pragma_update(None, "user_version", VERSION)?;
        }
        Ok(Index {
            connection: Mutex::new(connection),
            reader: None,
        })
    }

    /// The connection for questions.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        let reader = self.reader.as_ref().unwrap_or(&self.connection);
        reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic has left is rolled back when it is dropped.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the rows of a conversation are, those of its highest attempt, in the file that came last.
    pub(crate) fn locate(&self, conversation: &str) -> Result<Option<Location>, PageError> {
        let found = self
            .reader()
            .prepare_cached(
                "SELECT receipt, rows FROM rec JOIN file ON file.id = rec.file
                 WHERE conv = ? ORDER BY attempt DESC, file.id DESC LIMIT 1",
            )?
            .query_row(params![text::packed(conversation)], |row| {
                Ok(Location {
                    receipt: row.get(0)?,
                    rows: row.get(1)?,
                })
            })
            .optional()?;
        Ok(found)
    }

    /// The waveform of an object, if it was made before.
    pub(crate) fn peaks(&self, object: &str) -> Result<Option<Vec<u8>>, PageError> {
        let found = self
            .reader()
            .prepare_cached("SELECT bytes FROM peaks WHERE object = ?")?
            .query_row([object], |row| row.get(0))
            .optional()?;
        Ok(found)
    }

    /// Keeps the waveform of an object.
    pub(crate) fn keep_peaks(&self, object: &str, bytes: &[u8]) -> Result<(), PageError> {
        self.connection().execute(
            "INSERT OR REPLACE INTO peaks VALUES (?, ?)",
            params![object, bytes],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
