//! A work queue in memory alone, for tests of whatever works on one.
//!
//! It covers [`WorkQueue`]: splits, claims, and commits of steps, with all that is guaranteed of them but
//! that they outlive the process. It is no [`Ledger`](crate::ledger::Ledger): of conversations and artifacts
//! it keeps the [steps](MemoryWorkQueue::steps) that reported them, in the order of their commits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::{Committed, Lease, QueueError, WorkQueue};
use recording_host_model::{Next, Split, Step};

/// The number of the next worker.
static WORKERS: AtomicU64 = AtomicU64::new(0);

/// A work queue in memory, as one worker sees it; clones are the same worker.
#[derive(Clone, Debug)]
pub struct MemoryWorkQueue {
    kept: Arc<Mutex<Kept>>,
    worker: u64,
}

/// The state that all workers share.
#[derive(Clone, Debug, Default)]
struct Kept {
    splits: BTreeMap<String, Entry>,
    conversations: BTreeSet<String>,
    steps: Vec<(String, Step)>,
}

/// A split and who holds it.
#[derive(Clone, Debug)]
struct Entry {
    split: Split,
    due: u64,
    done: bool,
    claim: Option<SplitHolder>,
}

#[derive(Clone, Copy, Debug)]
struct SplitHolder {
    worker: u64,
    until: u64,
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
            worker: WORKERS.fetch_add(1, Ordering::Relaxed),
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
        kept.splits
            .values_mut()
            .for_each(|entry| entry.claim = None);
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

impl Kept {
    fn add(&mut self, splits: Vec<Split>, now: u64) -> Vec<String> {
        let mut added = Vec::new();
        for split in splits {
            let id = split.id.clone();
            if self.splits.contains_key(&id) {
                continue;
            }
            added.push(id.clone());
            let entry = Entry {
                split,
                due: now,
                done: false,
                claim: None,
            };
            self.splits.insert(id, entry);
        }
        added
    }

    /// The splits that are not done, by the time at which they are due.
    fn open(&self) -> Vec<(u64, &str)> {
        let open = self.splits.iter().filter(|(_, entry)| !entry.done);
        let mut open: Vec<_> = open.map(|(id, entry)| (entry.due, id.as_str())).collect();
        open.sort_unstable();
        open
    }

    /// A split that a worker holds.
    fn held(&mut self, id: &str, worker: u64) -> Option<&mut Entry> {
        let entry = self.splits.get_mut(id)?;
        let claim = entry.claim?;
        (claim.worker == worker).then_some(entry)
    }
}

impl Entry {
    fn is_free(&self, now: u64) -> bool {
        self.claim.is_none_or(|claim| claim.until <= now)
    }

    /// Writes down what is next.
    fn advance(&mut self, next: &Next, now: u64) {
        let (state, due, done) = match next {
            Next::Send(send) => (&send.state, now, false),
            Next::Wait(wait) => (&wait.state, wait.until, false),
            Next::Done(state) => (state, now, true),
        };
        self.split.state = state.clone();
        (self.due, self.done) = (due, done);
        if !matches!(next, Next::Send(_)) {
            self.claim = None;
        }
    }
}

#[async_trait]
impl WorkQueue for MemoryWorkQueue {
    async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        Ok(self.kept().add(splits, now))
    }

    async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        let kept = self.kept();
        let open = kept.open().into_iter();
        Ok(open.map(|(due, id)| (id.to_owned(), due)).collect())
    }

    async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
        Ok(self.kept().splits.get(&id).map(|entry| entry.split.clone()))
    }

    async fn claim(&self, id: String, lease: Lease) -> Result<Option<Split>, QueueError> {
        let mut kept = self.kept();
        let Some(entry) = kept.splits.get_mut(&id) else {
            return Ok(None);
        };
        let mine = entry.claim.is_some_and(|claim| claim.worker == self.worker);
        if !mine && !entry.is_free(lease.now) {
            return Ok(None);
        }
        entry.claim = Some(SplitHolder {
            worker: self.worker,
            until: lease.until,
        });
        Ok(Some(entry.split.clone()))
    }

    async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError> {
        let mut kept = self.kept();
        let first = kept.open().into_iter().find_map(|(due, id)| {
            let free = due <= lease.now && kept.splits[id].is_free(lease.now);
            free.then(|| id.to_owned())
        });
        let Some(entry) = first.and_then(|id| kept.splits.get_mut(&id)) else {
            return Ok(None);
        };
        entry.claim = Some(SplitHolder {
            worker: self.worker,
            until: lease.until,
        });
        Ok(Some(entry.split.clone()))
    }

    async fn renew(&self, id: String, lease: Lease) -> Result<bool, QueueError> {
        let (mut kept, worker) = (self.kept(), self.worker);
        let held = kept.held(&id, worker).map(|entry| {
            entry.claim = Some(SplitHolder {
                worker,
                until: lease.until,
            });
        });
        Ok(held.is_some())
    }

    async fn release(&self, id: String, due: u64) -> Result<bool, QueueError> {
        let mut kept = self.kept();
        let held = kept.held(&id, self.worker).map(|entry| {
            entry.claim = None;
            if !entry.done {
                entry.due = due;
            }
        });
        Ok(held.is_some())
    }

    async fn commit(
        &self,
        split: String,
        step: Step,
        now: u64,
        _horizon: u64,
    ) -> Result<Committed, QueueError> {
        let mut kept = self.kept();
        let Some(entry) = kept.held(&split, self.worker) else {
            return Err(QueueError::NotHeld(split));
        };
        entry.advance(&step.next, now);
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
            let new = kept.conversations.insert(id.clone());
            wanted += usize::from(new && !reported);
        }
        let committed = Committed {
            artifacts: artifacts.collect(),
            wanted,
            splits: kept.add(step.splits.clone(), now),
        };
        kept.steps.push((split, step));
        Ok(committed)
    }
}
