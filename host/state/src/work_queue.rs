//! The work of an export as a queue of splits that any number of workers share.
//!
//! It is all that a worker needs to step splits, and no more: an implementation needs the ids of splits, a claim for as
//! long as a worker lives, and the state of each split by compare-and-set. [`Queue`](crate::Queue) keeps splits in
//! SQLite, for one process; [`JournaledLedger`](crate::JournaledLedger) keeps them for the machine that leads next, too;
//! [`MemoryWorkQueue`](crate::MemoryWorkQueue) keeps them in maps, for tests. Other machines take whole
//! [fetches](crate::fleet), and step their splits in a queue of their own.
//!
//! The guarantees of every implementation, which [`conformance`](crate::conformance) checks:
//!
//! - **Atomic.** Each call has all of its effect or none; a call that returns an error has none, or is
//!   repeated. The effect of a [`commit`](WorkQueue::commit) is the state and the due time of its split,
//!   its new splits, and what the step found.
//! - **Durable.** The changes of a call outlive a crash once it has returned. Claims need not.
//! - **In order.** Whoever asks after a call has returned sees its effect, whichever worker asks: never
//!   an older state.
//! - **Exclusive.** At any time one worker at most holds a split, and only who holds it commits its
//!   steps. A worker that has stopped loses its claims in time: see [`Lease`].
//! - **Repeatable.** A worker that has not learned the result of a call repeats it: a split that is known is
//!   not added again, a claim that is held is claimed anew, and a step of a split that is done, or that
//!   another worker has, is refused.
//!
//! Times are milliseconds since the epoch by the caller's clock; all workers of a queue have the same
//! but for seconds, which leases are long against.

use std::fmt;

use async_trait::async_trait;

use super::{Committed, QueueError};
use recording_host_model::{Split, Step};

/// From when until when a worker holds a split, unless it says sooner that it no longer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The present (ms): claims of others that are over by now are no longer in the way.
    pub now: u64,
    /// The first instant at which another worker may claim the split (ms).
    pub until: u64,
}

impl Lease {
    /// A claim that does not end by itself: of the only process that works on the queue.
    #[must_use]
    pub fn without_end(now: u64) -> Self {
        Lease {
            now,
            until: u64::MAX,
        }
    }
}

/// A queue of splits, as one worker sees it: what it claims through this, it holds.
#[async_trait]
pub trait WorkQueue: fmt::Debug + Send + Sync {
    /// Adds splits, due at once, and returns the ids of those that were not known; those that were
    /// known, done ones among them, stay as they are.
    ///
    /// # Errors
    /// [`QueueError`]; then none is added.
    async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError>;

    /// Splits that are not done, whoever holds them, as id and time at which they are due (ms): by that
    /// time, and then by id.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError>;

    /// A split as it was committed last, open or done; none if it is not known.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn split(&self, id: String) -> Result<Option<Split>, QueueError>;

    /// Claims a split, open or done, whenever it is due; who holds it already holds it for the new lease.
    /// None if it is not known, or if another worker holds it.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn claim(&self, id: String, lease: Lease) -> Result<Option<Split>, QueueError>;

    /// Claims the first of the [`open_splits`](Self::open_splits) that is due and that nobody holds, this
    /// worker included. None if there is none.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError>;

    /// Holds a split for longer; says whether this worker holds it still. A lease that is over lasts
    /// until another worker claims the split.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn renew(&self, id: String, lease: Lease) -> Result<bool, QueueError>;

    /// Gives a split back, due at a time (ms) if it is not done; says whether this worker held it, without
    /// which nothing happens.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn release(&self, id: String, due: u64) -> Result<bool, QueueError>;

    /// Commits a step of a split that this worker holds: all that the step yielded, and what is next for
    /// the split. While it waits for the response to a request it stays claimed; when it waits for a time,
    /// or is done, it is given back. A conversation that continues is left alone until it has ended, or for
    /// `horizon` ms after its start.
    ///
    /// # Errors
    /// [`QueueError::NotHeld`] if this worker does not hold the split, be it that another one has claimed
    /// it, that it was given back, that it is done, or that it is not known: then another worker's step
    /// counts, and this one does not. Any other [`QueueError`]; then the step counts as not made.
    async fn commit(
        &self,
        split: String,
        step: Step,
        now: u64,
        horizon: u64,
    ) -> Result<Committed, QueueError>;
}
