//! The objects that must be there and those that were found, on disk: a temporary database that vanishes
//! with the process, so that memory does not grow with the archive.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tokio::task::spawn_blocking;

use super::{
    expected::{Expected, ExpectedDigest},
    finding::{ObjectKind, SegmentId},
};
use crate::receipt::{ReceiptEntry, ReceiptHeader};
use recording_host_model::layout::BUNDLES;
use recording_host_sink::{ObjectMeta, SinkError};

// `claim` is all that receipts say of an encrypted object, `plain` what rows say of its plain bytes.
// `entry` has a line of a receipt, `recording` a recording in it, or an empty one if there is none.
// A name that is empty makes SQLite keep the database in a temporary file. Nothing needs to survive.
const SCHEMA: &str = "
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32000;
CREATE TABLE expected (
  key TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL, etag TEXT,
  conversation TEXT, attempt INTEGER NOT NULL, kind INTEGER NOT NULL, encrypted INTEGER NOT NULL,
  receipt INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE claim (
  key TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT,
  PRIMARY KEY (key, sha256)) WITHOUT ROWID;
CREATE TABLE plain (key TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (key, sha256)) WITHOUT ROWID;
CREATE TABLE receipt (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, export TEXT NOT NULL, day TEXT NOT NULL,
  segment INTEGER NOT NULL, void INTEGER NOT NULL DEFAULT 0);
CREATE INDEX receipt_segment ON receipt(export, segment);
CREATE TABLE entry (
  conversation TEXT NOT NULL, attempt INTEGER NOT NULL, receipt INTEGER NOT NULL,
  PRIMARY KEY (conversation, attempt, receipt)) WITHOUT ROWID;
CREATE TABLE recording (
  conversation TEXT NOT NULL, attempt INTEGER NOT NULL, recording TEXT NOT NULL, receipt INTEGER NOT NULL,
  PRIMARY KEY (conversation, attempt, recording, receipt)) WITHOUT ROWID;
";

/// The columns of `expected` with those of its receipt, as [`expected`] reads them.
const EXPECTED: &str =
    "SELECT e.key, size, sha256, etag, conversation, attempt, kind, encrypted, export, day, segment
  FROM expected AS e JOIN receipt ON receipt.id = e.receipt";

/// The state of an object that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExpectedState {
    /// It was not yet found.
    Unseen = 0,
    /// It was found.
    Seen = 1,
    /// It was found, and its bytes decide whether it is right.
    Unread = 2,
}

/// An object that was found, and what a receipt says of it, if one does.
pub(super) type Compared = (ObjectMeta, Option<Expected>);

#[derive(Clone)]
pub(super) struct ExpectedObjects {
    connection: Arc<Mutex<Connection>>,
}

impl ExpectedObjects {
    pub(super) fn new() -> Result<Self, SinkError> {
        let open = || {
            let connection = Connection::open("")?;
            connection.execute_batch(SCHEMA)?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = open().map_err(failed)?;
        Ok(ExpectedObjects {
            connection: Arc::new(Mutex::new(connection)),
        })
    }

    pub(super) async fn with<T: Send + 'static>(
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

    /// Notes a receipt; returns its number here.
    pub(super) async fn receipt(
        &self,
        key: &str,
        header: &ReceiptHeader,
    ) -> Result<i64, SinkError> {
        let (key, export, day) = (key.to_owned(), header.export.clone(), header.day.clone());
        let segment = header.segment;
        self.with(move |tx| {
            tx.prepare_cached(
                "INSERT INTO receipt (key, export, day, segment) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![key, export, day, segment])?;
            Ok(tx.last_insert_rowid())
        })
        .await
    }

    /// Notes lines of a receipt.
    pub(super) async fn entries(
        &self,
        receipt: i64,
        entries: Vec<ReceiptEntry>,
    ) -> Result<(), SinkError> {
        self.with(move |tx| {
            let mut entry = tx.prepare_cached("INSERT OR IGNORE INTO entry VALUES (?1, ?2, ?3)")?;
            let mut recording =
                tx.prepare_cached("INSERT OR IGNORE INTO recording VALUES (?1, ?2, ?3, ?4)")?;
            for reported in entries {
                let (id, attempt) = (&reported.conversation_id, reported.attempt);
                entry.execute(params![id, attempt, receipt])?;
                if reported.objects.is_empty() {
                    recording.execute(params![id, attempt, "", receipt])?;
                }
                for object in &reported.objects {
                    // The recordings of a bundle that is kept whole may be unknown.
                    let name = match object.recording.as_str() {
                        "" => object.key.as_str(),
                        recording => recording,
                    };
                    recording.execute(params![id, attempt, name, receipt])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Notes objects that must be there; of two receipts about one, that of the later attempt counts,
    /// and for what is encrypted either. Returns those that another conversation names, too, with it.
    pub(super) async fn expect(
        &self,
        receipt: i64,
        objects: Vec<Expected>,
    ) -> Result<Vec<(Expected, String)>, SinkError> {
        self.with(move |tx| {
            let mut other =
                tx.prepare_cached("SELECT conversation FROM expected WHERE key = ?1")?;
            let mut insert = tx.prepare_cached(
                "INSERT INTO expected VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0)
                 ON CONFLICT (key) DO UPDATE SET size = ?2, sha256 = ?3, etag = ?4,
                 conversation = ?5, attempt = ?6, kind = ?7, encrypted = ?8, receipt = ?9
                 WHERE attempt <= ?6",
            )?;
            let mut claim =
                tx.prepare_cached("INSERT OR REPLACE INTO claim VALUES (?1, ?2, ?3, ?4)")?;
            let mut shared = Vec::new();
            for object in objects {
                if object.encrypted {
                    claim.execute(params![
                        object.key,
                        object.sha256,
                        object.size as i64,
                        object.etag
                    ])?;
                }
                // A bundle has recordings of many conversations.
                if !object.key.starts_with(BUNDLES) {
                    let other: Option<Option<String>> = other
                        .query_row([&object.key], |row| row.get(0))
                        .optional()?;
                    if let Some(other) = other.flatten()
                        && Some(&other) != object.conversation.as_ref()
                    {
                        shared.push((object.clone(), other));
                    }
                }
                insert.execute(params![
                    object.key,
                    object.size as i64,
                    object.sha256,
                    object.etag,
                    object.conversation,
                    object.attempt,
                    object.kind as i64,
                    object.encrypted,
                    receipt
                ])?;
            }
            Ok(shared)
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

    /// How many recordings must be there, and of how many bytes.
    pub(super) async fn sums(&self) -> Result<(u64, u64), SinkError> {
        self.with(|tx| {
            tx.query_row(
                "SELECT count(*), ifnull(sum(size), 0) FROM expected WHERE kind = ?1",
                [ObjectKind::Recording as i64],
                |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)),
            )
        })
        .await
    }

    /// Returns true if anything below a prefix must be there.
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

    /// The prefixes of the keys of objects that must be there, one for each uppermost folder: as far
    /// down as they have all in common.
    pub(super) async fn prefixes(&self) -> Result<Vec<String>, SinkError> {
        self.with(|tx| {
            tx.prepare(
                "SELECT min(key), max(key) FROM expected WHERE instr(key, '/') > 0
                 GROUP BY substr(key, 1, instr(key, '/'))",
            )?
            .query_map([], |row| {
                let (first, last): (String, String) = (row.get(0)?, row.get(1)?);
                Ok(in_common(&first, &last).to_owned())
            })?
            .collect()
        })
        .await
    }

    /// Notes what was found, and says what must be there instead. An object of the right length is
    /// left to be read if `full`, or if its tag is another one, which may be that of a copy.
    pub(super) async fn found(
        &self,
        objects: Vec<ObjectMeta>,
        full: bool,
    ) -> Result<Vec<Compared>, SinkError> {
        self.with(move |tx| {
            let mut select = tx.prepare_cached(&format!("{EXPECTED} WHERE e.key = ?1"))?;
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
                        true => ExpectedState::Unread,
                        false => ExpectedState::Seen,
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
        state: ExpectedState,
        after: &str,
        most: usize,
    ) -> Result<Vec<Expected>, SinkError> {
        let after = after.to_owned();
        self.with(move |tx| {
            tx.prepare_cached(&format!(
                "{EXPECTED} WHERE state = ?1 AND e.key > ?2 ORDER BY e.key LIMIT ?3"
            ))?
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
        kind: kind(row.get(6)?),
        encrypted: row.get(7)?,
        segment: Some(SegmentId {
            export: row.get(8)?,
            day: row.get(9)?,
            number: row.get(10)?,
        }),
        others: Vec::new(),
        plain: Vec::new(),
    })
}

/// The folder that two keys have in common, up to a `/`.
fn in_common<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
    let same = one.get(..same.count()).unwrap_or_default();
    let end = same.rfind('/').map_or(0, |slash| slash + 1);
    &same[..end]
}

/// The kind that has this number in the database.
fn kind(number: i64) -> ObjectKind {
    [ObjectKind::Aside, ObjectKind::Sidecar]
        .into_iter()
        .find(|kind| *kind as i64 == number)
        .unwrap_or_default()
}

/// Adds what is known of an object besides if it is encrypted.
fn complete(tx: &Transaction<'_>, expected: &mut Expected) -> rusqlite::Result<()> {
    if !expected.encrypted {
        return Ok(());
    }
    let others = |row: &Row<'_>| {
        Ok(ExpectedDigest {
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
    SinkError::new(
        "verify",
        "the list of what must be there",
        format!("{error}; it is kept in the folder for temporary files, see TMPDIR"),
    )
}
