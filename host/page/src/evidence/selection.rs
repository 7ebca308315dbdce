//! The contents of a package: conversations, and the segments that tell of them.
//!
//! Kept in a temporary database that lies on the disk as soon as it is large: a search may find millions.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use recording_host_engine::receipt::ReceiptReader;
use recording_host_metadata::restore::Row;
use rusqlite::{Connection, OptionalExtension, params};

use super::checked::Checked;
use crate::{Archive, Index, PageError, Query, index::SegmentEntry};

/// How many rows of a search are taken at a time.
const AT_ONCE: usize = 1000;
const TABLES: &str = "
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;
CREATE TABLE picked (receipt TEXT, conv TEXT, PRIMARY KEY (receipt, conv)) WITHOUT ROWID;
CREATE TABLE conversation (conv TEXT PRIMARY KEY, told INTEGER) WITHOUT ROWID;
CREATE TABLE packed (path TEXT PRIMARY KEY, size INTEGER, sha256 TEXT) WITHOUT ROWID;
";

/// The conversations of a package.
#[derive(Debug)]
pub struct Selection {
    picked: Mutex<Connection>,
    /// The request, in words.
    pub(super) asked: String,
    /// Ids that were asked for and are not in the archive.
    pub(super) unknown: Vec<String>,
    /// The one recording that is wanted of its conversation, if not all are.
    pub(super) only: Option<Row>,
}

impl Selection {
    fn new(asked: String) -> Result<Self, PageError> {
        // Without a name it is a file that SQLite makes when it has to, and removes.
        let picked = Connection::open("")?;
        picked.execute_batch(TABLES)?;
        Ok(Selection {
            picked: Mutex::new(picked),
            asked,
            unknown: Vec::new(),
            only: None,
        })
    }

    /// These conversations, with every attempt and recording of them.
    ///
    /// # Errors
    /// The index or a receipt cannot be read.
    pub async fn of_conversations(
        archive: &Archive,
        index: &Arc<Index>,
        ids: &[String],
    ) -> Result<Self, PageError> {
        let asked = match ids {
            [id] => format!("the conversation {id}"),
            ids => format!("{} conversations by their ids", ids.len()),
        };
        let selection = Selection::new(asked)?;
        let wanted = ids.to_vec();
        let picking = index.off_thread(move |index| {
            for id in &wanted {
                selection.add(&index.segment_entries(id)?)?;
            }
            Ok((selection, index.unread()?))
        });
        let (mut selection, unread) = picking.await?;
        let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        selection
            .look_through(archive, unread, |id| ids.contains(id))
            .await?;
        for id in ids {
            if !selection.has(id)? {
                selection.unknown.push(id.to_owned());
            }
        }
        Ok(selection)
    }

    /// The conversation of a row, and of its recordings that of the row alone.
    pub(crate) async fn of_recording(
        archive: &Archive,
        index: &Arc<Index>,
        row: Row,
    ) -> Result<Self, PageError> {
        let ids = [row.conversation_id.clone()];
        let mut selection = Selection::of_conversations(archive, index, &ids).await?;
        let recording = row.recording_id.as_deref().unwrap_or("without an id");
        selection.asked = format!("the recording {recording} of {}", selection.asked);
        selection.only = Some(row);
        Ok(selection)
    }

    /// The conversations that a search finds, with every attempt and recording of them.
    ///
    /// # Errors
    /// The index or a receipt cannot be read.
    pub async fn of_search(
        archive: &Archive,
        index: &Arc<Index>,
        query: Query,
    ) -> Result<Self, PageError> {
        let selection = Selection::new(format!("the search for {query}"))?;
        let picking = index.off_thread(move |index| {
            let mut after = i64::MIN;
            loop {
                let (found, last) = index.matching(&query, after, AT_ONCE)?;
                let mut segment_entries = Vec::new();
                for id in &found {
                    segment_entries.extend(index.segment_entries(id)?);
                }
                selection.add(&segment_entries)?;
                match last {
                    Some(last) => after = last,
                    None => return Ok((selection, index.unread()?)),
                }
            }
        });
        let (selection, unread) = picking.await?;
        selection
            .look_through(archive, unread, |id| selection.has(id).unwrap_or(true))
            .await?;
        Ok(selection)
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.picked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, segment_entries: &[SegmentEntry]) -> Result<(), PageError> {
        let mut database = self.database();
        let change = database.transaction()?;
        for entry in segment_entries {
            change
                .prepare_cached("INSERT OR IGNORE INTO picked VALUES (?, ?)")?
                .execute([&entry.receipt, &entry.conversation])?;
            change
                .prepare_cached("INSERT OR IGNORE INTO conversation VALUES (?, 0)")?
                .execute([&entry.conversation])?;
        }
        Ok(change.commit()?)
    }

    /// Seeks conversations in receipts whose rows cannot be read, such as encrypted ones without an identity.
    async fn look_through(
        &self,
        archive: &Archive,
        receipts: Vec<String>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), PageError> {
        for receipt in receipts {
            // One that is gone or is none has no line of anybody.
            let Ok(bytes) = archive.receipt(&receipt).await else {
                continue;
            };
            let Ok(reader) = ReceiptReader::new(&bytes[..]) else {
                continue;
            };
            let lines = reader.flatten();
            let segment_entries: Vec<SegmentEntry> = lines
                .filter(|(_, entry)| wanted(&entry.conversation_id))
                .map(|(_, entry)| SegmentEntry {
                    receipt: receipt.clone(),
                    conversation: entry.conversation_id,
                })
                .collect();
            self.add(&segment_entries)?;
        }
        Ok(())
    }

    fn has(&self, conversation: &str) -> Result<bool, PageError> {
        let database = self.database();
        let mut query = database.prepare_cached("SELECT 1 FROM conversation WHERE conv = ?")?;
        Ok(query.exists([conversation])?)
    }

    /// How many conversations there are.
    ///
    /// # Errors
    /// The temporary database cannot be read.
    pub fn conversations(&self) -> Result<u64, PageError> {
        let database = self.database();
        let count: i64 =
            database.query_row("SELECT count(*) FROM conversation", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// The receipt behind another one, in the order of their keys.
    pub(super) fn receipt_after(&self, after: &str) -> Result<Option<String>, PageError> {
        let database = self.database();
        let mut query = database.prepare_cached(
            "SELECT receipt FROM picked WHERE receipt > ? ORDER BY receipt LIMIT 1",
        )?;
        Ok(query.query_row([after], |row| row.get(0)).optional()?)
    }

    /// The conversations that are wanted of a receipt.
    pub(super) fn of_receipt(&self, receipt: &str) -> Result<BTreeSet<String>, PageError> {
        let database = self.database();
        let mut query = database.prepare_cached("SELECT conv FROM picked WHERE receipt = ?")?;
        let ids = query.query_map([receipt], |row| row.get(0))?;
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// True if this conversation was not asked for by this before.
    pub(super) fn is_new(&self, conversation: &str) -> Result<bool, PageError> {
        let database = self.database();
        let mut update = database
            .prepare_cached("UPDATE conversation SET told = 1 WHERE conv = ? AND told = 0")?;
        Ok(update.execute([conversation])? == 1)
    }

    /// A file of the package, as it was read.
    pub(super) fn packed(&self, path: &str) -> Result<Option<Checked>, PageError> {
        let database = self.database();
        let mut query =
            database.prepare_cached("SELECT size, sha256 FROM packed WHERE path = ?")?;
        let found = query.query_row([path], |row| {
            Ok(Checked {
                size: row.get::<_, i64>(0)?.unsigned_abs(),
                sha256: row.get(1)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Notes that a file is in the package.
    pub(super) fn pack(&self, path: &str, file: &Checked) -> Result<(), PageError> {
        let database = self.database();
        let mut insert =
            database.prepare_cached("INSERT OR IGNORE INTO packed VALUES (?, ?, ?)")?;
        insert.execute(params![path, file.size.cast_signed(), file.sha256])?;
        Ok(())
    }
}
