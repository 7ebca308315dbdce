//! Queues that break one guarantee each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;

use super::super::Fixture;
use crate::{Committed, Lease, MemoryWorkQueue, QueueError, WorkQueue};
use recording_host_model::{Next, Split, Step};

/// How a queue is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Splits that are known are reported as new.
    AddsWhatIsKnown,
    /// Open splits are in another order.
    Reorders,
    /// A split is handed out before it is due.
    HandsOutEarly,
    /// A split that waits is due at once.
    LosesTheDueTime,
    /// A split that another worker holds is handed out to who asks for it.
    HandsOutTwice,
    /// A split that is held is handed out as the next one.
    HandsOutTheNextTwice,
    /// Any worker can give back what another one holds.
    ReleasesForAnybody,
    /// A lease that is renewed ends at once.
    ForgetsRenewals,
    /// A claim never expires.
    LeasesNeverEnd,
    /// A step is said to be committed, and is not.
    ForgetsCommits,
    /// Of a step that is committed, the new splits are missing.
    DropsNewSplits,
    /// A split is read as it was when it was first read.
    ReadsAnOlderState,
    /// Who has committed that a split waits holds it still.
    HoldsWhatWaits,
    /// A step of a split that nobody holds is committed, be it done.
    CommitsWhatIsDone,
    /// A step of a split is committed whoever holds it.
    CommitsForAnybody,
    /// Of a step that is refused, the new splits stay.
    KeepsHalfOfWhatIsRefused,
    /// At a restart, what was committed last is gone.
    LosesTheLastCommit,
}

/// A queue with a fault.
pub(super) struct BrokenFixture {
    queue: MemoryWorkQueue,
    fault: Fault,
    past: Arc<Mutex<Past>>,
}

/// The past state that a fault brings back.
#[derive(Default)]
struct Past {
    read: HashMap<String, Split>,
    before: Option<MemoryWorkQueue>,
}

pub(super) fn broken(fault: Fault) -> BrokenFixture {
    BrokenFixture {
        queue: MemoryWorkQueue::new(),
        fault,
        past: Arc::default(),
    }
}

#[async_trait]
impl Fixture for BrokenFixture {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(Broken {
            queue: self.queue.worker(),
            fault: self.fault,
            past: Arc::clone(&self.past),
        })
    }

    async fn reopen(&mut self) -> bool {
        let before = self.past.lock().unwrap().before.take();
        self.queue = before.unwrap_or(self.queue.restarted());
        true
    }
}

/// A worker of a queue with a fault.
struct Broken {
    queue: MemoryWorkQueue,
    fault: Fault,
    past: Arc<Mutex<Past>>,
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fault.fmt(f)
    }
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The queue as a worker sees it to whom no claim of others means anything, from `now` on.
    async fn seized(&self, id: &str, now: u64) -> Option<MemoryWorkQueue> {
        let other = self.queue.worker();
        let lease = Lease::without_end(now);
        let seized = other.claim(id.to_owned(), lease).await.unwrap();
        seized.map(|_| other)
    }
}

#[async_trait]
impl WorkQueue for Broken {
    async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        let ids = splits.iter().map(|split| split.id.clone()).collect();
        let added = self.queue.add(splits, now).await?;
        Ok(if self.is(Fault::AddsWhatIsKnown) {
            ids
        } else {
            added
        })
    }

    async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        let mut open = self.queue.open_splits().await?;
        if self.is(Fault::Reorders) {
            open.reverse();
        }
        Ok(open)
    }

    async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
        let split = self.queue.split(id.clone()).await?;
        let mut past = self.past.lock().unwrap();
        let read = split.map(|split| {
            let first = past.read.entry(id).or_insert(split.clone()).clone();
            if self.is(Fault::ReadsAnOlderState) {
                first
            } else {
                split
            }
        });
        Ok(read)
    }

    async fn claim(&self, id: String, mut lease: Lease) -> Result<Option<Split>, QueueError> {
        if self.is(Fault::LeasesNeverEnd) {
            lease.now = 0;
        }
        match self.queue.claim(id.clone(), lease).await? {
            None if self.is(Fault::HandsOutTwice) => self.queue.split(id).await,
            claimed => Ok(claimed),
        }
    }

    async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError> {
        let next = self.queue.claim_next(lease).await?;
        let open = self.queue.open_splits().await?;
        let (Some((id, due)), None) = (open.first(), &next) else {
            return Ok(next);
        };
        if self.is(Fault::HandsOutEarly) {
            return self.queue.claim(id.clone(), lease).await;
        }
        match self.is(Fault::HandsOutTheNextTwice) && *due <= lease.now {
            true => self.queue.split(id.clone()).await,
            false => Ok(None),
        }
    }

    async fn renew(&self, id: String, mut lease: Lease) -> Result<bool, QueueError> {
        if self.is(Fault::ForgetsRenewals) {
            lease.until = lease.now;
        }
        self.queue.renew(id, lease).await
    }

    async fn release(&self, id: String, due: u64) -> Result<bool, QueueError> {
        if self.is(Fault::ReleasesForAnybody)
            && let Some(other) = self.seized(&id, u64::MAX).await
        {
            return other.release(id, due).await;
        }
        self.queue.release(id, due).await
    }

    async fn commit(
        &self,
        split: String,
        mut step: Step,
        now: u64,
        horizon: u64,
    ) -> Result<Committed, QueueError> {
        let splits = step.splits.clone();
        let waits = matches!(step.next, Next::Wait(_));
        match (self.fault, &mut step.next) {
            (Fault::ForgetsCommits, _) => {
                return Ok(Committed {
                    splits: splits.into_iter().map(|split| split.id).collect(),
                    ..Committed::default()
                });
            }
            (Fault::DropsNewSplits, _) => step.splits.clear(),
            (Fault::LosesTheDueTime, Next::Wait(wait)) => wait.until = now,
            (Fault::LosesTheLastCommit, _) => {
                self.past.lock().unwrap().before = Some(self.queue.restarted());
            }
            _ => {}
        }
        let committed = self
            .queue
            .commit(split.clone(), step.clone(), now, horizon)
            .await;
        if committed.is_ok() && waits && self.is(Fault::HoldsWhatWaits) {
            self.queue.claim(split, Lease::without_end(now)).await?;
            return committed;
        }
        // Nobody's claim is in the way at the end of time, and everybody's at its beginning.
        let seized = match (&committed, self.fault) {
            (Err(_), Fault::CommitsForAnybody) => self.seized(&split, u64::MAX).await,
            (Err(_), Fault::CommitsWhatIsDone) => self.seized(&split, 0).await,
            (Err(_), Fault::KeepsHalfOfWhatIsRefused) => {
                self.queue.add(splits, now).await?;
                None
            }
            _ => None,
        };
        match seized {
            Some(other) => other.commit(split, step, now, horizon).await,
            None => committed,
        }
    }
}
