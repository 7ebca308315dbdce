//! A work queue in memory alone, for tests of whatever works on one.
//!
//! It covers [`WorkQueue`]: splits, claims, and commits of steps, with all that is guaranteed of them but
//! that they outlive the process. It is no [`Ledger`](crate::ledger::Ledger): of conversations and artifacts
//! it keeps the [steps](MemoryWorkQueue::steps) that reported them, in the order of their commits.

mod splits;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::{Committed, Lease, QueueError, WorkQueue, commit::Due};
use recording_host_model::{Split, Step};
pub(crate) use splits::Splits;

/// The number of the next worker.
static WORKERS: AtomicU64 = AtomicU64::new(0);

/// No two workers of a process have the same number.
pub(crate) fn next_worker() -> u64 {
    WORKERS.fetch_add(1, Ordering::Relaxed)
}

/// A work queue in memory, as one worker sees it; clones are the same worker.
#[derive(Clone, Debug)]
pub struct MemoryWorkQueue {
    kept: Arc<Mutex<Kept>>,
    worker: u64,
}

/// The state that all workers share.
#[derive(Clone, Debug, Default)]
struct Kept {
    splits: Splits,
    conversations: BTreeSet<String>,
    steps: Vec<(String, Step)>,
}

impl Default for MemoryWorkQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryWorkQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Arc::default())
    }

    fn of(kept: Arc<Mutex<Kept>>) -> Self {
        MemoryWorkQueue {
            kept,
            worker: next_worker(),
        }
    }

    /// The same queue as another worker sees it.
    #[must_use]
    pub fn worker(&self) -> Self {
        Self::of(Arc::clone(&self.kept))
    }

    /// Another queue with the same splits, as this one would be after all of its workers have stopped.
    #[must_use]
    pub fn restarted(&self) -> Self {
        let mut kept = self.kept().clone();
        kept.splits.end_claims();
        Self::of(Arc::new(Mutex::new(kept)))
    }

    /// The steps that were committed, each with the id of its split, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<(String, Step)> {
        self.kept().steps.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Implements [`WorkQueue`] for a worker of something that keeps [`Splits`] and knows what else a step changes.
macro_rules! work_queue_in_memory {
    ($queue:ty) => {
        #[async_trait]
        impl WorkQueue for $queue {
            async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
                Ok(self.kept().splits.add(&splits, now))
            }

            async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
                let kept = self.kept();
                let open = kept.splits.open().into_iter();
                Ok(open.map(|(split, due)| (split.id.clone(), due)).collect())
            }

            async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
                Ok(self.kept().splits.get(&id))
            }

            async fn claim(&self, id: String, lease: Lease) -> Result<Option<Split>, QueueError> {
                Ok(self.kept().splits.claim(&id, self.worker, lease))
            }

            async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError> {
                Ok(self.kept().splits.claim_next(self.worker, lease))
            }

            async fn renew(&self, id: String, lease: Lease) -> Result<bool, QueueError> {
                Ok(self.kept().splits.renew(&id, self.worker, lease))
            }

            async fn release(&self, id: String, due: u64) -> Result<bool, QueueError> {
                Ok(self.kept().splits.release(&id, self.worker, due))
            }

            async fn commit(
                &self,
                split: String,
                step: Step,
                now: u64,
                horizon: u64,
            ) -> Result<Committed, QueueError> {
                let mut kept = self.kept();
                if !kept.splits.holds(&split, self.worker) {
                    return Err(QueueError::NotHeld(split));
                }
                let committed = kept.commit(&split, &step, Due { now, horizon });
                kept.splits.step(&split, &step.next, now);
                Ok(committed)
            }
        }
    };
}
pub(crate) use work_queue_in_memory;

work_queue_in_memory!(MemoryWorkQueue);

impl Kept {
    /// Writes down all that a step yielded but what is next for its split.
    fn commit(&mut self, split: &str, step: &Step, due: Due) -> Committed {
        // No sink has any of them, and nothing says that one lacks what others have.
        let artifacts = step.artifacts.iter();
        let artifacts = artifacts.map(|artifact| (artifact.key.to_text(), None));
        let mut wanted = 0;
        for conversation in &step.conversations {
            let id = &conversation.id;
            let reported = step
                .outcomes
                .iter()
                .any(|reported| reported.conversation == *id);
            let new = self.conversations.insert(id.clone());
            wanted += usize::from(new && !reported);
        }
        self.steps.push((split.to_owned(), step.clone()));
        Committed {
            artifacts: artifacts.collect(),
            wanted,
            splits: self.splits.add(&step.splits, due.now),
        }
    }
}
