//! A ledger in memory alone, with its work queue: the reference that the one in SQLite is compared with, and
//! the ledger of whoever tests something on one.
//!
//! It is written from the documentation of the traits, in plain collections and without regard to how many
//! conversations there are. What is decided of a conversation it shares with [`Queue`](crate::Queue): the
//! [transitions](crate::Transition), the time of another request, the outcome that several make. How that is
//! kept and found again it has for itself, which the tests compare call by call.

#[cfg(test)]
mod check;
mod commit;
mod discovery;
mod fetching;
mod filing;
mod handover;
mod kept;
mod repair;
mod report;
mod segments;
mod sinks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Committed, Lease, QueueError, WorkQueue,
    commit::Due,
    memory::{next_worker, work_queue_in_memory},
};
pub(crate) use kept::Kept;
use recording_host_model::{Split, Step};

/// A ledger and its work queue in memory, as one worker sees them; clones are the same worker.
#[derive(Clone, Debug)]
pub struct MemoryLedger {
    kept: Arc<Mutex<Kept>>,
    worker: u64,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLedger {
    /// A ledger that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Arc::default())
    }

    fn of(kept: Arc<Mutex<Kept>>) -> Self {
        MemoryLedger {
            kept,
            worker: next_worker(),
        }
    }

    /// The same ledger as another worker sees it, which has its own claims.
    #[must_use]
    pub fn worker(&self) -> Self {
        Self::of(Arc::clone(&self.kept))
    }

    /// Another ledger with the same contents, as this one would be after all of its workers have stopped. Says
    /// whether it is [ready](crate::ledger::Repair::set_ready): else what receipts prove is to be recovered
    /// from the beginning.
    #[must_use]
    pub fn restarted(&self) -> (Self, bool) {
        let mut kept = self.kept().clone();
        let ready = kept.restart();
        (Self::of(Arc::new(Mutex::new(kept))), ready)
    }

    /// The data, for a call that has all of its effect while it is held.
    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call on the data returns: few can fail.
pub(crate) trait Answer<T> {
    /// As the ledger's traits have it.
    fn answer(self) -> Result<T, QueueError>;
}

impl<T> Answer<T> for T {
    fn answer(self) -> Result<T, QueueError> {
        Ok(self)
    }
}

impl<T> Answer<T> for Result<T, QueueError> {
    fn answer(self) -> Result<T, QueueError> {
        self
    }
}

work_queue_in_memory!(MemoryLedger);
