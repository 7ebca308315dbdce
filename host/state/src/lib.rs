//! The durable state of an export, as two traits: the [`WorkQueue`] holds the splits, which workers claim
//! and step, and the [`Ledger`] what has become of each conversation, along its [life cycle](Stage).
//! [`Queue`] is both, in a SQLite file in `data_dir`. [`MemoryLedger`] is both in plain collections: the reference
//! that the queue is compared with, call by call, and a ledger for the tests of whoever embeds this crate.
//!
//! Work that is not acknowledged here is done again after an interruption. A transaction is on disk when it
//! returns. No link and no secret is ever kept.

mod claims;
mod commit;
mod compact;
mod complete;
pub mod conformance;
mod copies;
mod counters;
mod database;
mod delivered;
mod error;
mod fetch;
mod fetch_order;
mod fixed_receipts;
pub mod fleet;
mod group;
mod handover;
mod journal;
pub mod ledger;
mod life_cycle;
mod memory;
mod memory_fleet;
mod memory_ledger;
mod names;
mod reader;
mod record;
mod recover;
mod repair;
mod restore;
#[cfg(test)]
mod scans;
mod schema;
mod seal;
mod sealed;
mod search;
mod sinks;
mod split;
mod status;
mod stock;
mod work_queue;
mod worker;

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

pub use commit::{Committed, goes_on};
pub use compact::SupersededSegment;
pub use complete::Completion;
pub use copies::ObjectCopy;
use counters::{count, counted, set};
use delivered::object_row;
use error::damaged;
pub use error::{FetchError, QueueError};
pub use fetch::FetchFailure;
pub use fetch_order::{FetchChange, FetchOrder, OrderedSink};
pub use journal::{Journal, JournaledLedger, MemoryJournal, Snapshot};
pub use ledger::Ledger;
pub use life_cycle::{Stage, Transition};
pub use memory::MemoryWorkQueue;
pub use memory_fleet::{MemoryFleet, MemoryNode};
pub use memory_ledger::MemoryLedger;
use reader::Reader;
pub use recover::ReceiptSummary;
pub use repair::{Unproven, VoidSegment, hashed};
use rusqlite::{Connection, OptionalExtension};
pub use seal::Acknowledged;
pub use search::{CountMismatch, Searched, SearchedRange};
pub use sinks::{Backfilled, KnownSink};
use split::insert_splits;
pub use status::Status;
pub use stock::QueueStock;
pub use stock::SinkLag;
pub use work_queue::{Lease, WorkQueue};
use worker::Worker;

use recording_host_model::{ArtifactKey, KeyContext};

/// The queue of one export, as one worker sees it; clones are the same worker.
#[derive(Clone, Debug)]
pub struct Queue {
    connection: Arc<Mutex<Connection>>,
    /// Held while the queue is open for writing.
    _lock: Option<Arc<File>>,
    /// Where work is done; on the caller's own thread if there is none, as a simulation needs it.
    worker: Option<Worker>,
    /// Reads beside it, if the database is in a file that this queue may write.
    reader: Option<Arc<Reader>>,
    /// Who claims splits through this.
    holder: i64,
    /// The entry of a journal that the next transaction is; none if the queue has no journal.
    entry: Option<journal::Entry>,
}

/// The number of the next worker; no two of a process have the same.
static HOLDERS: AtomicI64 = AtomicI64::new(0);

fn next_holder() -> i64 {
    HOLDERS.fetch_add(1, Ordering::Relaxed)
}

impl Queue {
    /// The same queue as another worker sees it, which has its own claims.
    #[must_use]
    pub fn for_another_worker(&self) -> Self {
        self.held_by(next_holder())
    }

    fn held_by(&self, holder: i64) -> Self {
        Queue {
            holder,
            ..self.clone()
        }
    }

    /// The same queue, whose next transaction is an entry of a journal.
    fn entering(&self, entry: journal::Entry) -> Self {
        Queue {
            entry: Some(entry),
            ..self.clone()
        }
    }

    /// The queue's text about itself under a name.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn meta(&self, name: &'static str) -> Result<Option<String>, QueueError> {
        self.transaction(move |tx| {
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
    pub async fn set_meta(&self, name: String, value: String) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?
                .execute([&name, &value])
                .map(drop)
        })
        .await
    }

    /// Notes that the queue knows all that the receipts prove.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn set_ready(&self) -> Result<(), QueueError> {
        self.transaction(|tx| set(tx, "ready", 1)).await
    }

    async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let Some(entry) = self.entry.clone() else {
            let connection = Arc::clone(&self.connection);
            if let Some(worker) = &self.worker {
                let value = worker.transaction(connection, work).await?;
                return value.map_err(|error| self.damaged(error));
            }
            return self
                .run(|connection| {
                    let transaction = connection.transaction()?;
                    let value = work(&transaction)?;
                    transaction.commit()?;
                    Ok(value)
                })
                .await;
        };
        let noted = entry.clone();
        let value = self.run(move |connection| {
            let mut transaction = connection.transaction()?;
            let value = work(&transaction)?;
            noted.note(&transaction)?;
            // It stays open until the journal has it.
            transaction.set_drop_behavior(rusqlite::DropBehavior::Ignore);
            Ok(value)
        });
        let value = value.await?;
        let stored = entry.store().await;
        match &stored {
            Ok(()) => {
                let commit = |connection: &mut Connection| connection.execute_batch("COMMIT");
                self.run(commit).await?;
            }
            Err(_) => self.roll_back().await?,
        }
        stored.map(|()| value)
    }

    /// Ends a transaction that is open, as if it had never begun.
    async fn roll_back(&self) -> Result<(), QueueError> {
        self.run(|connection| match connection.is_autocommit() {
            true => Ok(()),
            false => connection.execute_batch("ROLLBACK"),
        })
        .await
    }

    /// What an error of SQLite says of the queue.
    fn damaged(&self, error: rusqlite::Error) -> QueueError {
        let connection = self.connection.lock();
        let connection = connection.unwrap_or_else(PoisonError::into_inner);
        damaged(error, Path::new(connection.path().unwrap_or_default()))
    }

    /// Does something on the queue's thread, if it has one.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, QueueError> {
        let connection = Arc::clone(&self.connection);
        let run = move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let path = connection.path().unwrap_or_default().to_owned();
            work(&mut connection).map_err(|error| damaged(error, Path::new(&path)))
        };
        match &self.worker {
            None => run(),
            Some(worker) => worker.run(run).await?,
        }
    }

    /// The known facts about these conversations; those that are not known are left out.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn known(
        &self,
        ids: Vec<String>,
    ) -> Result<BTreeMap<String, KeyContext>, QueueError> {
        self.transaction(move |tx| {
            let mut all = BTreeMap::new();
            for id in ids {
                if let Some(known) = reader::known(tx, &id)? {
                    all.insert(id, known);
                }
            }
            Ok(all)
        })
        .await
    }

    /// The known facts about a conversation. It waits for no commit.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn known_one(&self, id: String) -> Result<Option<KeyContext>, QueueError> {
        match &self.reader {
            Some(reader) => reader.known(id).await,
            None => self.transaction(move |tx| reader::known(tx, &id)).await,
        }
    }

    /// The conversations whose recordings the source put into a bundle.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn in_bundle(&self, key: &ArtifactKey) -> Result<Vec<String>, QueueError> {
        let bundle = key.to_text();
        self.transaction(move |tx| {
            tx.prepare_cached("SELECT id FROM conversation WHERE bundle = ?1 ORDER BY id")?
                .query_map([bundle], |row| row.get(0))?
                .collect()
        })
        .await
    }
}

/// Reads JSON that this module has written.
fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })
}
