//! What must be there and what was found, on disk: a temporary database that vanishes with the
//! process, so that memory does not grow with the archive.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tokio::task::spawn_blocking;

use super::receipts::{Claim, Expected};
use crate::sink::{Found, SinkError};

// `claim` is all that receipts say of an encrypted object, `plain` what rows say of its plain bytes.
// A name that is empty makes SQLite keep the database in a temporary file. Nothing needs to survive.
const SCHEMA: &str = "
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000;
CREATE TABLE expected (
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL, etag TEXT,
  conversation TEXT, attempt INTEGER NOT NULL, media INTEGER NOT NULL, encrypted INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE claim (
  key TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT,
  PRIMARY KEY (key, sha256)) WITHOUT ROWID;
CREATE TABLE plain (key TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (key, sha256)) WITHOUT ROWID;
";

/// What is known of an object that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was not yet found.
    Unseen = 0,
    /// It was found.
    Seen = 1,
    /// It was found, and its bytes decide whether it is right.
    Unread = 2,
}

/// An object that was found, and what a receipt says of it, if one does.
pub(super) type Compared = (Found, Option<Expected>);

#[derive(Clone)]
pub(super) struct Ledger {
    connection: Arc<Mutex<Connection>>,
}

impl Ledger {
    pub(super) fn new() -> Result<Self, SinkError> {
        let open = || {
            let connection = Connection::open("")?;
            connection.execute_batch(SCHEMA)?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = open().map_err(failed)?;
        Ok(Ledger {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, SinkError> {
        let connection = Arc::clone(&self.connection);
        let working = spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        working
            .await
            .map_err(failed)?
            .map_err(|error: rusqlite::Error| failed(error))
    }

    /// Notes objects that must be there; of two receipts about one, that of the later attempt counts,
    /// and for what is encrypted either.
    pub(super) async fn expect(&self, objects: Vec<Expected>) -> Result<(), SinkError> {
        self.with(move |tx| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO expected VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)
                 ON CONFLICT (key) DO UPDATE SET size = ?2, sha256 = ?3, etag = ?4,
                 conversation = ?5, attempt = ?6, media = ?7, encrypted = ?8
                 WHERE attempt <= ?6",
            )?;
            let mut claim =
                tx.prepare_cached("INSERT OR REPLACE INTO claim VALUES (?1, ?2, ?3, ?4)")?;
            for object in objects {
                if object.encrypted {
                    claim.execute(params![
                        object.key,
                        object.sha256,
                        object.size as i64,
                        object.etag
                    ])?;
                }
                insert.execute(params![
                    object.key,
                    object.size as i64,
                    object.sha256,
                    object.etag,
                    object.conversation,
                    object.attempt,
                    object.media,
                    object.encrypted
                ])?;
            }
            Ok(())
        })
        .await
    }

    /// Notes what rows say of the plain bytes of objects: key and sha256.
    pub(super) async fn decrypted(&self, plain: Vec<(String, String)>) -> Result<(), SinkError> {
        if plain.is_empty() {
            return Ok(());
        }
        self.with(move |tx| {
            let mut insert = tx.prepare_cached("INSERT OR IGNORE INTO plain VALUES (?1, ?2)")?;
            for (key, sha256) in plain {
                insert.execute([key, sha256])?;
            }
            Ok(())
        })
        .await
    }

    /// How many media must be there, and of how many bytes.
    pub(super) async fn sums(&self) -> Result<(u64, u64), SinkError> {
        self.with(|tx| {
            tx.query_row(
                "SELECT count(*), ifnull(sum(size), 0) FROM expected WHERE media",
                [],
                |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)),
            )
        })
        .await
    }

    /// Whether anything below a prefix must be there.
    pub(super) async fn expects(&self, prefix: &str) -> Result<bool, SinkError> {
        let prefix = prefix.to_owned();
        self.with(move |tx| {
            tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM expected WHERE key >= ?1 AND key < ?1 || char(1114111))",
                [prefix],
                |row| row.get(0),
            )
        })
        .await
    }

    /// Notes what was found, and says what must be there instead. An object of the right length is
    /// left to be read if `full`, or if its tag is another one, which may be that of a copy.
    pub(super) async fn found(
        &self,
        objects: Vec<Found>,
        full: bool,
    ) -> Result<Vec<Compared>, SinkError> {
        self.with(move |tx| {
            let mut select = tx.prepare_cached(
                "SELECT key, size, sha256, etag, conversation, attempt, media, encrypted FROM expected WHERE key = ?1",
            )?;
            let mut update = tx.prepare_cached("UPDATE expected SET state = ?2 WHERE key = ?1")?;
            let mut compared = Vec::with_capacity(objects.len());
            for found in objects {
                let mut expected = select.query_row([&found.key], expected).optional()?;
                if let Some(expected) = &mut expected {
                    complete(tx, expected)?;
                }
                if let Some(expected) = &expected {
                    let read = full || !expected.has_tag(&found);
                    let state = match expected.has_size(found.size) && read {
                        true => State::Unread,
                        false => State::Seen,
                    };
                    update.execute(params![found.key, state as i64])?;
                }
                compared.push((found, expected));
            }
            Ok(compared)
        })
        .await
    }

    /// Some objects in this state, in the order of their keys, after a key.
    pub(super) async fn page(
        &self,
        state: State,
        after: &str,
        most: usize,
    ) -> Result<Vec<Expected>, SinkError> {
        let after = after.to_owned();
        self.with(move |tx| {
            tx.prepare_cached(
                "SELECT key, size, sha256, etag, conversation, attempt, media, encrypted FROM expected
                 WHERE state = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
            )?
            .query_map(params![state as i64, after, most as i64], expected)?
            .map(|expected| {
                let mut expected = expected?;
                complete(tx, &mut expected)?;
                Ok(expected)
            })
            .collect()
        })
        .await
    }
}

fn expected(row: &Row<'_>) -> rusqlite::Result<Expected> {
    Ok(Expected {
        key: row.get(0)?,
        size: row.get::<_, i64>(1)? as u64,
        sha256: row.get(2)?,
        etag: row.get(3)?,
        conversation: row.get(4)?,
        attempt: row.get(5)?,
        media: row.get(6)?,
        encrypted: row.get(7)?,
        others: Vec::new(),
        plain: Vec::new(),
    })
}

/// Adds what is known of an object besides if it is encrypted.
fn complete(tx: &Transaction<'_>, expected: &mut Expected) -> rusqlite::Result<()> {
    if !expected.encrypted {
        return Ok(());
    }
    let others = |row: &Row<'_>| {
        Ok(Claim {
            sha256: row.get(0)?,
            size: row.get::<_, i64>(1)? as u64,
            etag: row.get(2)?,
        })
    };
    expected.others = tx
        .prepare_cached("SELECT sha256, size, etag FROM claim WHERE key = ?1 AND sha256 <> ?2")?
        .query_map([&expected.key, &expected.sha256], others)?
        .collect::<Result<_, _>>()?;
    expected.plain = tx
        .prepare_cached("SELECT sha256 FROM plain WHERE key = ?1")?
        .query_map([&expected.key], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> SinkError {
    SinkError {
        sink: "verify".to_owned(),
        key: "the list of what must be there".to_owned(),
        reason: format!("{error}; it is kept in the folder for temporary files, see TMPDIR"),
        retryable: false,
    }
}
