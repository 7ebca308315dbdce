//! The changes to a ledger as a journal: the machine that leads an export stores each change there before it makes
//! the change in its own database, and the one that leads next makes the same changes, in the same order.
//!
//! An entry is the call of a [`Ledger`](crate::Ledger) or [`WorkQueue`] that changes something, with its arguments,
//! as JSON with a version; the calls depend on nothing else. Claims are no entries: they end with their worker. A link
//! is never part of an entry.

mod memory;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use memory::MemoryJournal;

use super::{
    Committed, FetchChange, Lease, Queue, QueueError, WorkQueue, counted,
    ledger::{
        DiscoveryChange, FetchingChange, FilingChange, HandoverChange, RepairChange, ReportChange,
        SinksChange,
    },
    next_holder, set,
};
pub(crate) use crate::fetch_order::parts::{results, splits, text};
use recording_host_model::{Split, Step};

/// The version of the entries' format. Members may be added under the same one; readers ignore those that they do
/// not know.
const VERSION: u32 = 1;
/// The word under which a queue keeps the number of the last entry that it has.
const JOURNALED: &str = "journaled";

/// Where the changes to the ledger of an export are stored, for whichever machine leads it.
///
/// The guarantees of every implementation:
///
/// - **Durable.** An entry outlives a crash once the call has returned.
/// - **Numbered.** Entries have the numbers 1, 2, 3 and so on; of those that are stored under one number at once, by
///   whomever, one is there, and each of the others is refused.
#[async_trait]
pub trait Journal: std::fmt::Debug + Send + Sync {
    /// Stores an entry; `number` is the one after the last.
    ///
    /// # Errors
    /// [`QueueError::NotLeading`] if another entry has this number: then it is not stored. Any other
    /// [`QueueError`]; then nobody knows.
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError>;

    /// The number of the last entry; 0 if there is none.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn last(&self) -> Result<u64, QueueError>;

    /// The first of the entries after a number, in their order; none if there is none.
    ///
    /// # Errors
    /// [`QueueError`]; also if the next one is no longer there.
    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError>;
}

/// A ledger whose changes are stored in a [`Journal`] before they are made.
///
/// Whoever takes the lead says so by an entry of its own: that takes the number under which the one before would have
/// stored its next change, and from then on that one changes nothing any more, whatever it believes.
///
/// After a call whose result nobody knows, be it that the journal failed or that the caller did not wait, the ledger
/// looks into the journal before it does anything else.
#[derive(Clone, Debug)]
pub struct JournaledLedger {
    state: Arc<Mutex<State>>,
    journal: Arc<dyn Journal>,
    /// Who claims splits through this.
    holder: i64,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// The number of the last entry that the queue has.
    last: u64,
    /// True if the journal may have entries that the queue lacks.
    behind: bool,
    /// True if another machine leads: this one reads what that one has changed.
    follows: bool,
}

/// What makes a transaction of a queue an entry of a journal.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    number: u64,
    /// None if the journal has it already.
    unstored: Option<Unstored>,
}

#[derive(Clone, Debug)]
struct Unstored {
    journal: Arc<dyn Journal>,
    bytes: Arc<[u8]>,
}

impl Entry {
    /// Notes it in the queue, in the transaction that makes the change.
    pub(super) fn note(&self, tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
        set(tx, JOURNALED, self.number as i64)
    }

    /// Stores it, before that transaction is committed.
    pub(super) async fn store(&self) -> Result<(), QueueError> {
        match &self.unstored {
            Some(Unstored { journal, bytes }) => journal.append(self.number, bytes).await,
            None => Ok(()),
        }
    }
}

impl JournaledLedger {
    /// The ledger of the machine that leads, which makes all changes in the journal that its queue lacks.
    ///
    /// # Errors
    /// [`QueueError`] of the queue or the journal, or if an entry is of a later version.
    pub async fn lead(queue: Queue, journal: Arc<dyn Journal>) -> Result<Self, QueueError> {
        let ledger = Self::open(queue, journal, false).await?;
        loop {
            let writing = ledger.writing(&Written::Lead).await?;
            let taken = writing.queue().transaction(|_| Ok(())).await;
            match writing.end(taken) {
                Ok(()) => return Ok(ledger),
                // Another entry was stored meanwhile.
                Err(QueueError::NotLeading) => ledger.state.lock().await.follows = false,
                Err(error) => return Err(error),
            }
        }
    }

    /// The ledger of a machine that does not lead: before each answer it makes the changes that were stored
    /// meanwhile, and it refuses to change anything itself.
    ///
    /// # Errors
    /// As those of [`lead`](Self::lead).
    pub async fn follow(queue: Queue, journal: Arc<dyn Journal>) -> Result<Self, QueueError> {
        Self::open(queue, journal, true).await
    }

    async fn open(
        queue: Queue,
        journal: Arc<dyn Journal>,
        follows: bool,
    ) -> Result<Self, QueueError> {
        let last = queue.transaction(|tx| counted(tx, JOURNALED)).await? as u64;
        if last == 0 && !queue.transaction(is_empty).await? || last > journal.last().await? {
            return Err(QueueError::Diverged);
        }
        let state = State {
            queue,
            last,
            behind: true,
            follows,
        };
        let ledger = JournaledLedger {
            state: Arc::new(Mutex::new(state)),
            journal,
            holder: next_holder(),
        };
        drop(ledger.reading().await?);
        Ok(ledger)
    }

    /// The same ledger as another worker sees it, which has its own claims.
    #[must_use]
    pub fn for_another_worker(&self) -> Self {
        JournaledLedger {
            holder: next_holder(),
            ..self.clone()
        }
    }

    /// The queue, with all that the journal has; no change is made meanwhile.
    pub(super) async fn reading(&self) -> Result<Reading, QueueError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        if state.behind || state.follows {
            state.catch_up(&*self.journal).await?;
        }
        let queue = state.queue.held_by(self.holder);
        Ok(Reading { state, queue })
    }

    /// The queue, whose next transaction is an entry of the journal.
    pub(super) async fn writing(&self, change: &Written<'_>) -> Result<Reading, QueueError> {
        let reading = self.reading().await?;
        self.entering(reading, change)
    }

    fn entering(&self, mut reading: Reading, change: &Written<'_>) -> Result<Reading, QueueError> {
        if reading.state.follows {
            return Err(QueueError::NotLeading);
        }
        let versioned = Versioned { v: VERSION, change };
        let bytes =
            serde_json::to_vec(&versioned).map_err(|error| QueueError::Backend(error.into()))?;
        // Until its end is known.
        reading.state.behind = true;
        let unstored = Unstored {
            journal: Arc::clone(&self.journal),
            bytes: bytes.into(),
        };
        reading.queue = reading.queue.entering(Entry {
            number: reading.state.last + 1,
            unstored: Some(unstored),
        });
        Ok(reading)
    }
}

impl State {
    /// Makes the changes in the journal that the queue lacks.
    async fn catch_up(&mut self, journal: &dyn Journal) -> Result<(), QueueError> {
        self.behind = true;
        self.queue.roll_back().await?;
        loop {
            let entries = journal.entries(self.last).await?;
            if entries.is_empty() {
                break;
            }
            for bytes in entries {
                let number = self.last + 1;
                let entry = Entry {
                    number,
                    unstored: None,
                };
                make(&bytes, &self.queue.entering(entry)).await?;
                self.last = number;
            }
        }
        self.behind = false;
        Ok(())
    }
}

/// Returns true if a queue is as it was made.
fn is_empty(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<bool> {
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

/// A queue to which nobody makes a change but its holder.
pub(super) struct Reading {
    state: OwnedMutexGuard<State>,
    queue: Queue,
}

impl Reading {
    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Says what has become of the change that this was made for.
    pub(super) fn end<T>(mut self, made: Result<T, QueueError>) -> Result<T, QueueError> {
        match &made {
            Ok(_) => {
                self.state.last += 1;
                self.state.behind = false;
            }
            Err(QueueError::NotLeading) => self.state.follows = true,
            Err(_) => {}
        }
        made
    }
}

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    change: &'a Written<'a>,
}

/// A change that becomes an entry.
#[derive(Serialize)]
#[serde(tag = "part", content = "call")]
pub(crate) enum Written<'a> {
    Discovery(&'a DiscoveryChange),
    Fetching(&'a FetchingChange),
    Handover(&'a HandoverChange),
    Filing(&'a FilingChange),
    Sinks(&'a SinksChange),
    Repair(&'a RepairChange),
    Report(&'a ReportChange),
    Work(&'a WorkChange),
    Lead,
}

/// A change that an entry contains.
#[derive(Deserialize)]
#[serde(tag = "part", content = "call")]
enum Change {
    Discovery(DiscoveryChange),
    Fetching(FetchingChange),
    Handover(Box<HandoverChange>),
    Filing(FilingChange),
    Sinks(SinksChange),
    Repair(RepairChange),
    Report(ReportChange),
    Work(WorkChange),
    /// Another machine leads from here on.
    Lead,
}

/// A change to the work queue, as an entry of the journal has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkChange {
    Add {
        #[serde(with = "splits")]
        splits: Vec<Split>,
        now: u64,
    },
    Commit(FetchChange),
    Release {
        split: String,
        due: u64,
    },
}

/// Makes the change that an entry contains.
async fn make(bytes: &[u8], queue: &Queue) -> Result<(), QueueError> {
    #[derive(Deserialize)]
    struct Entry {
        change: Change,
    }
    let Entry { change } = crate::fetch_order::read("an entry of the journal", bytes, VERSION)?;
    match change {
        Change::Discovery(change) => change.make(queue).await,
        Change::Fetching(change) => change.make(queue).await,
        Change::Handover(change) => change.make(queue).await,
        Change::Filing(change) => change.make(queue).await,
        Change::Sinks(change) => change.make(queue).await,
        Change::Repair(change) => change.make(queue).await,
        Change::Report(change) => change.make(queue).await,
        Change::Lead => queue.transaction(|_| Ok(())).await,
        Change::Work(WorkChange::Add { splits, now }) => queue.add(splits, now).await.map(drop),
        Change::Work(WorkChange::Commit(step)) => queue.follow_step(step).await,
        Change::Work(WorkChange::Release { split, due }) => queue.follow_release(split, due).await,
    }
}

#[async_trait]
impl WorkQueue for JournaledLedger {
    async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        let change = WorkChange::Add { splits, now };
        let writing = self.writing(&Written::Work(&change)).await?;
        let WorkChange::Add { splits, now } = change else {
            return Err(QueueError::Interrupted);
        };
        let made = writing.queue().add(splits, now).await;
        writing.end(made)
    }

    async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        self.reading().await?.queue().open_splits().await
    }

    async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
        self.reading().await?.queue().split(id).await
    }

    async fn claim(&self, id: String, lease: Lease) -> Result<Option<Split>, QueueError> {
        self.reading().await?.queue().claim(id, lease).await
    }

    async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError> {
        self.reading().await?.queue().claim_next(lease).await
    }

    async fn renew(&self, id: String, lease: Lease) -> Result<bool, QueueError> {
        self.reading().await?.queue().renew(id, lease).await
    }

    async fn release(&self, id: String, due: u64) -> Result<bool, QueueError> {
        let reading = self.reading().await?;
        if !reading.queue().holds(id.clone()).await? {
            return Ok(false);
        }
        let split = id.clone();
        let change = WorkChange::Release { split, due };
        let writing = self.entering(reading, &Written::Work(&change))?;
        let made = writing.queue().release(id, due).await;
        writing.end(made)
    }

    async fn commit(
        &self,
        split: String,
        step: Step,
        now: u64,
        horizon: u64,
    ) -> Result<Committed, QueueError> {
        let reading = self.reading().await?;
        if !reading.queue().holds(split.clone()).await? {
            return Err(QueueError::NotHeld(split));
        }
        let change = WorkChange::Commit(FetchChange::step(&split, &step, now, horizon));
        let writing = self.entering(reading, &Written::Work(&change))?;
        let made = writing.queue().commit(split, step, now, horizon).await;
        writing.end(made)
    }
}

#[cfg(test)]
mod tests;
