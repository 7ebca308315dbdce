//! How much of which journal a queue has.

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::{Queue, QueueError, set};

/// The word under which a queue keeps the number of the last entry that it has.
const NUMBER: &str = "journaled";
/// The name under which a queue keeps the id of its journal.
const JOURNAL: &str = "journal-id";

/// The place of a queue in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the last entry that the queue has; 0 if it has none.
    pub(crate) number: u64,
    /// The id of the journal; none if the queue has no part in any.
    pub(crate) journal: Option<String>,
}

impl Place {
    /// That of a queue in a database, as of its last commit.
    pub(crate) fn of(database: &Connection) -> rusqlite::Result<Place> {
        let number = database
            .prepare_cached("SELECT value FROM counted WHERE name = ?1")?
            .query_row([NUMBER], |row| row.get::<_, i64>(0))
            .optional()?;
        let journal = database
            .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
            .query_row([JOURNAL], |row| row.get(0))
            .optional()?;
        Ok(Place {
            number: number.unwrap_or_default() as u64,
            journal,
        })
    }
}

/// Has a queue note the last entry that it has.
pub(super) fn note_number(tx: &Transaction<'_>, number: u64) -> rusqlite::Result<()> {
    set(tx, NUMBER, number as i64)
}

/// Has a queue note the id of its journal.
pub(super) fn note_journal(tx: &Transaction<'_>, journal: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?
        .execute([JOURNAL, journal])
        .map(drop)
}

/// An id that no other journal has: 32 hexadecimal digits.
pub(super) fn new_id(tx: &Transaction<'_>) -> rusqlite::Result<String> {
    tx.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))
}

/// Returns true if a queue is as it was made.
fn is_empty(tx: &Transaction<'_>) -> rusqlite::Result<bool> {
    let mut tables = tx.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let mut rows = tables.query([])?;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        let any = format!("SELECT EXISTS (SELECT 1 FROM \"{table}\")");
        if tx.query_row(&any, [], |row| row.get(0))? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Queue {
    /// The place in a journal, as of the last commit.
    pub(super) async fn place(&self) -> Result<Place, QueueError> {
        self.transaction(|tx| Place::of(tx)).await
    }

    /// Returns true if its changes are in a journal: then none may be made that is not
    /// ([`JournaledLedger`](crate::JournaledLedger)).
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn is_journaled(&self) -> Result<bool, QueueError> {
        Ok(self.place().await?.journal.is_some())
    }

    /// Returns true if the queue is as it was made.
    pub(super) async fn is_empty(&self) -> Result<bool, QueueError> {
        self.transaction(is_empty).await
    }
}
