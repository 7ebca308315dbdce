//! The changes to a ledger as a journal: the machine that leads an export stores each change there before it makes
//! the change in its own database, and the one that leads next makes the same changes, in the same order.
//!
//! An entry is the call of a [`Ledger`](crate::Ledger) or [`WorkQueue`] that changes something, with its arguments,
//! as JSON with a version; the calls depend on nothing else. Claims are no entries: they end with their worker. A link
//! is never part of an entry. Each entry has the id of its journal, so that a queue never takes that of another one for
//! its own, as it would where a journal was lost and another has begun.
//!
//! Snapshots of the queue let the journal be cut: see [`JournaledLedger::snapshot_after`].

mod entry;
mod memory;
mod opening;
mod place;
mod snapshot;
mod storage;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard};

pub(crate) use entry::{Entry, WorkChange, Written};
use entry::{ReadEntry, Unstored};
pub use memory::MemoryJournal;
pub(crate) use place::Place;
pub use storage::{Journal, Snapshot};

use super::{Committed, FetchChange, Lease, Queue, QueueError, WorkQueue, counted, next_holder};
pub(crate) use crate::fetch_order::parts::{results, splits, text};
use recording_host_model::{Split, Step};

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
    /// Held while a snapshot is made.
    snapshots: Arc<Mutex<()>>,
    /// Who claims splits through this.
    holder: i64,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// The number of the last entry that the queue has.
    last: u64,
    /// The id of the journal; of a queue that has not noted one, the id that it will have if this is the first to
    /// store an entry.
    id: String,
    /// True if the queue has noted the id.
    is_noted: bool,
    /// True if the journal may have entries that the queue lacks.
    behind: bool,
    /// True if another machine leads: this one reads what that one has changed.
    follows: bool,
}

impl JournaledLedger {
    /// The ledger of the machine that leads, which makes all changes in the journal that its queue lacks.
    ///
    /// # Errors
    /// [`QueueError::Cut`] if the journal no longer has all of them, [`QueueError::Diverged`] if the queue has changes
    /// that it lacks, or is of another one; any other of the queue or the journal, or if an entry is of a later version.
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
        let place = queue.place().await?;
        if place.journal.is_none() && !queue.is_empty().await? {
            return Err(QueueError::Diverged);
        }
        let new_id = queue.transaction(place::new_id).await?;
        let mut state = State {
            queue,
            last: place.number,
            is_noted: place.journal.is_some(),
            id: place.journal.unwrap_or(new_id),
            behind: true,
            follows,
        };
        state.check_last(&*journal).await?;
        let ledger = JournaledLedger {
            state: Arc::new(Mutex::new(state)),
            journal,
            snapshots: Arc::default(),
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

    /// Makes the changes that were stored meanwhile; returns how many entries of the journal the queue has.
    ///
    /// # Errors
    /// As those of [`lead`](Self::lead).
    pub async fn catch_up(&self) -> Result<u64, QueueError> {
        let mut state = self.state.lock().await;
        state.catch_up(&*self.journal).await?;
        Ok(state.last)
    }

    /// Returns true if the queue knows all that receipts prove.
    ///
    /// # Errors
    /// As those of [`lead`](Self::lead).
    pub async fn is_ready(&self) -> Result<bool, QueueError> {
        let reading = self.reading().await?;
        let ready = reading.queue().transaction(|tx| counted(tx, "ready"));
        Ok(ready.await? == 1)
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
        let (number, id) = (reading.state.last + 1, reading.state.id.clone());
        let is_noted = reading.state.is_noted;
        let bytes = entry::bytes(&id, is_noted && number == 1, change)?;
        // Until its end is known.
        reading.state.behind = true;
        let unstored = Unstored {
            journal: Arc::clone(&self.journal),
            bytes,
        };
        reading.queue = reading.queue.entering(Entry {
            number,
            journal: (!is_noted).then_some(id),
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
                self.make(&bytes).await?;
            }
        }
        self.behind = false;
        Ok(())
    }

    /// Makes the change in the next entry.
    async fn make(&mut self, bytes: &[u8]) -> Result<(), QueueError> {
        let read = ReadEntry::new(bytes)?;
        match self.is_noted {
            true if self.id != read.journal => return Err(QueueError::Diverged),
            // This one lacks what that begins with.
            false if read.adopted => return Err(QueueError::Cut),
            _ => self.id.clone_from(&read.journal),
        }
        let entry = Entry {
            number: self.last + 1,
            journal: (!self.is_noted).then(|| self.id.clone()),
            unstored: None,
        };
        read.make(&self.queue.entering(entry)).await?;
        self.last += 1;
        self.is_noted = true;
        Ok(())
    }

    /// Checks that the last entry that the queue has is of this journal: what comes after it need not be there yet.
    async fn check_last(&mut self, journal: &dyn Journal) -> Result<(), QueueError> {
        let Some(before) = self.last.checked_sub(1) else {
            return Ok(());
        };
        let entries = match journal.entries(before).await {
            // Then it has a later one, which is checked before it is made.
            Err(QueueError::Cut) => return Ok(()),
            entries => entries?,
        };
        // None if the queue has more than the journal.
        let last = entries.first().ok_or(QueueError::Diverged)?;
        match ReadEntry::new(last)?.journal == self.id {
            true => Ok(()),
            false => Err(QueueError::Diverged),
        }
    }
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
                self.state.is_noted = true;
                self.state.behind = false;
            }
            Err(QueueError::NotLeading) => self.state.follows = true,
            Err(_) => {}
        }
        made
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
