//! A [`WorkQueue`] in a bucket, which any number of nodes share.
//!
//! Each split is one message, replaced by compare-and-set; a claim is part of it. A commit stores the split, its
//! new splits and what the step [found](Found) at once: all or none. Reads are answered by the stream's leader.
//! A call whose answer does not come reads the split again: the message says which change made it.
//!
//! Two things differ from the queue of one process, since no ledger is at hand. The artifacts that a commit
//! returns are wanted by all sinks, those of conversations that are filed already among them; and each
//! conversation that is found without an outcome counts as wanted, also one that was found before.

mod commit;
mod found;
mod record;
mod view;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_trait::async_trait;
use tokio::time::sleep;

use recording_host_model::{Split, Step};
use recording_host_state::{Committed, Lease, QueueError, WorkQueue};

use super::{
    ClusterError, Fleet,
    connection::Try,
    publish::{Put, Stored, new_id},
    settings::token,
    streams::StreamUse,
};
use commit::Commit;
pub use found::StepFindings;
use record::{SplitHolder, SplitRecord};
use view::View;

/// How often the next split is looked for at once, when others are faster.
const TRIES: usize = 50;

/// A work queue that a fleet shares, as one worker sees it.
#[derive(Debug)]
pub struct FleetQueue {
    shared: Arc<Shared>,
    /// Who claims splits through this: no two have the same, on whatever nodes.
    worker: String,
    /// The splits that this worker has last seen itself hold.
    held: Mutex<HashMap<String, Entry>>,
}

/// The parts that all workers of a node share.
#[derive(Debug)]
struct Shared {
    fleet: Fleet,
    stream: Stream<()>,
    /// The beginning of the subjects of splits.
    splits: String,
    /// The beginning of the subjects of findings.
    found: String,
    view: View,
}

/// A split, and the sequence of the message that it is.
#[derive(Clone, Debug)]
struct Entry {
    sequence: u64,
    record: SplitRecord,
}

impl FleetQueue {
    /// The queue of a source, or of whatever else has a queue of its own.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn open(fleet: &Fleet, source: &str) -> Result<Self, ClusterError> {
        let stream = fleet.stream(StreamUse::Queue).await?;
        let subject = |what: &str| {
            let what = format!("{}.{what}", token(source));
            StreamUse::Queue.subject(&fleet.settings, &what)
        };
        let splits = subject("split");
        let view = View::follow(fleet, &stream, format!("{splits}.>"));
        let shared = Shared {
            fleet: fleet.clone(),
            stream,
            splits,
            found: subject("found"),
            view,
        };
        Ok(Self::of(Arc::new(shared)))
    }

    fn of(shared: Arc<Shared>) -> Self {
        FleetQueue {
            shared,
            worker: new_id(),
            held: Mutex::default(),
        }
    }

    /// The same queue as another worker sees it.
    #[must_use]
    pub fn worker(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    /// What the first step found that was committed after a sequence, and the sequence to go on after: 0 is
    /// before all. None if there is none.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn found_after(
        &self,
        sequence: u64,
    ) -> Result<Option<(u64, StepFindings)>, ClusterError> {
        let shared = &self.shared;
        let filter = format!("{}.>", shared.found);
        let next = async |from: u64| {
            let call = async || {
                let next = shared
                    .stream
                    .raw_message_builder()
                    .sequence(from)
                    .next_by_subject(filter.clone())
                    .send();
                match next.await {
                    Ok(message) => Ok(Try::Done(Some(message))),
                    Err(error) => match error.kind() {
                        LastRawMessageErrorKind::NoMessageFound => Ok(Try::Done(None)),
                        _ => Ok(Try::Passing(error.to_string())),
                    },
                }
            };
            shared.fleet.repeat("reading what steps found", call).await
        };
        let Some(first) = next(sequence + 1).await? else {
            return Ok(None);
        };
        let unreadable = |reason: &str| ClusterError::Unreadable {
            what: format!("what a step found, at {}", first.subject),
            reason: reason.to_owned(),
        };
        let count =
            found::pieces(&first.subject).ok_or_else(|| unreadable("its beginning is gone"))?;
        let mut bytes = first.payload.to_vec();
        let mut last = first.sequence;
        for _ in 1..count {
            // The pieces of one follow each other.
            let piece = next(last + 1).await?.filter(|it| it.sequence == last + 1);
            let piece = piece.ok_or_else(|| unreadable("a piece of it is gone"))?;
            bytes.extend_from_slice(&piece.payload);
            last = piece.sequence;
        }
        Ok(Some((last, StepFindings::read(&first.subject, &bytes)?)))
    }

    /// Removes what steps found, up to a sequence that [`found_after`](Self::found_after) has returned: a ledger
    /// has it.
    ///
    /// # Errors
    /// [`ClusterError`]; it may be repeated.
    pub async fn forget_found(&self, sequence: u64) -> Result<(), ClusterError> {
        let shared = &self.shared;
        let filter = format!("{}.>", shared.found);
        let call = async || {
            let purge = shared
                .stream
                .purge()
                .filter(filter.clone())
                .sequence(sequence + 1);
            Ok(purge
                .await
                .map_or_else(|error| Try::Passing(error.to_string()), |_| Try::Done(())))
        };
        shared.fleet.repeat("removing what steps found", call).await
    }

    fn held(&self, id: &str) -> Option<Entry> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(id).cloned()
    }

    /// Remembers a split as it is now, as far as this worker holds it.
    fn remember(&self, entry: Entry) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match entry.record.is_held_by(&self.worker) {
            true => held.insert(entry.record.id.clone(), entry),
            false => held.remove(&entry.record.id),
        };
    }

    fn forget(&self, id: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(id);
    }

    /// Changes a split by compare-and-set, however often others change it meanwhile: `change` says what becomes
    /// of it as it is, or that nothing does. Returns it as it then is.
    async fn change(
        &self,
        id: &str,
        change: impl Fn(&mut SplitRecord) -> bool + Send + Sync,
    ) -> Result<Option<SplitRecord>, ClusterError> {
        let write = new_id();
        let (shared, write) = (&self.shared, &write);
        let what = format!("changing the split {id}");
        let call = async || {
            let Some(entry) = shared.read(id).await? else {
                return Ok(Try::Done(None));
            };
            // An answer that did not come.
            if entry.record.write == *write {
                return Ok(Try::Done(Some(entry)));
            }
            let mut record = entry.record;
            if !change(&mut record) {
                return Ok(Try::Done(None));
            }
            record.write.clone_from(write);
            let stored = shared
                .fleet
                .put(shared.put(&record, entry.sequence))
                .await?;
            Ok(match stored {
                Stored::At(sequence) => Try::Done(Some(Entry { sequence, record })),
                other => Try::Passing(format!("{other:?}")),
            })
        };
        let changed = shared.fleet.repeat(&what, call).await?;
        match &changed {
            Some(entry) => self.remember(entry.clone()),
            None => self.forget(id),
        }
        Ok(changed.map(|entry| entry.record))
    }

    fn claimed(&self, record: &mut SplitRecord, lease: Lease) {
        record.claim = Some(SplitHolder {
            worker: self.worker.clone(),
            until: lease.until,
        });
    }

    /// Claims the next split; tried often while others are faster.
    async fn try_next(&self, lease: Lease) -> Result<Try<Option<Split>>, ClusterError> {
        let shared = &self.shared;
        for _ in 0..TRIES {
            shared.view.catch_up().await?;
            let Some(id) = shared.view.first_free(lease.now) else {
                return Ok(Try::Done(None));
            };
            let free = |record: &mut SplitRecord| {
                let free = !record.done && record.due <= lease.now && record.is_free(lease.now);
                if free {
                    self.claimed(record, lease);
                }
                free
            };
            if let Some(record) = self.change(&id, free).await? {
                return Ok(Try::Done(Some(record.split())));
            }
            sleep(Duration::from_millis(rand::random_range(1..=10))).await;
        }
        Ok(Try::Passing("other workers were faster".to_owned()))
    }
}

impl Shared {
    fn subject(&self, id: &str) -> String {
        format!("{}.{}", self.splits, token(id))
    }

    fn put(&self, record: &SplitRecord, sequence: u64) -> Put {
        Put::new(self.subject(&record.id), record.to_bytes()).after(sequence)
    }

    fn child(&self, split: &Split, now: u64, write: &str) -> Put {
        self.put(&SplitRecord::new(split.clone(), now, write), 0)
    }

    async fn read(&self, id: &str) -> Result<Option<Entry>, ClusterError> {
        let subject = self.subject(id);
        let message = self.fleet.last(&self.stream, &subject).await?;
        let entry = message.map(|message| {
            Ok(Entry {
                sequence: message.sequence,
                record: SplitRecord::read(&subject, &message.payload)?,
            })
        });
        entry.transpose()
    }

    /// Returns true if it was this change that made a split what it is.
    async fn is_of(&self, id: &str, write: &str) -> Result<bool, ClusterError> {
        let entry = self.read(id).await?;
        Ok(entry.is_some_and(|it| it.record.write == write))
    }

    /// Which of the splits are known, not counting those that a change has stored itself.
    async fn known_of(
        &self,
        splits: &[Split],
        write: &str,
    ) -> Result<HashSet<String>, ClusterError> {
        let mut known = HashSet::new();
        for split in splits {
            let entry = self.read(&split.id).await?;
            // Others may have changed it since: then it was there for them.
            if entry.is_some_and(|it| it.record.write != write) {
                known.insert(split.id.clone());
            }
        }
        Ok(known)
    }
}

/// Splits, each id once, but for one.
fn each_once(splits: Vec<Split>, but: Option<&str>) -> Vec<Split> {
    let mut seen: HashSet<String> = but.map(str::to_owned).into_iter().collect();
    let new = splits.into_iter().filter(|it| seen.insert(it.id.clone()));
    new.collect()
}

#[async_trait]
impl WorkQueue for FleetQueue {
    /// A thousand at once are added all or none.
    async fn add(&self, splits: Vec<Split>, now: u64) -> Result<Vec<String>, QueueError> {
        let (splits, write) = (each_once(splits, None), new_id());
        let (shared, splits, write) = (&self.shared, &splits, &write);
        let call = async || {
            let known = shared.known_of(splits, write).await?;
            let new: Vec<&Split> = splits.iter().filter(|it| !known.contains(&it.id)).collect();
            let ids = || new.iter().map(|it| it.id.clone()).collect();
            // An answer that did not come: all that are new were stored at once.
            if new.is_empty() || shared.is_of(&new[0].id, write).await? {
                return Ok(Try::Done(ids()));
            }
            let puts = new.iter().map(|it| shared.child(it, now, write)).collect();
            Ok(match shared.fleet.put_all(puts).await? {
                Stored::At(_) => Try::Done(ids()),
                other => Try::Passing(format!("{other:?}")),
            })
        };
        Ok(shared.fleet.repeat("adding splits", call).await?)
    }

    async fn open_splits(&self) -> Result<Vec<(String, u64)>, QueueError> {
        self.shared.view.catch_up().await?;
        Ok(self.shared.view.open())
    }

    async fn split(&self, id: String) -> Result<Option<Split>, QueueError> {
        let entry = self.shared.read(&id).await?;
        Ok(entry.map(|it| it.record.split()))
    }

    async fn claim(&self, id: String, lease: Lease) -> Result<Option<Split>, QueueError> {
        let claim = |record: &mut SplitRecord| {
            let may = record.is_held_by(&self.worker) || record.is_free(lease.now);
            if may {
                self.claimed(record, lease);
            }
            may
        };
        let claimed = self.change(&id, claim).await?;
        Ok(claimed.map(|record| record.split()))
    }

    async fn claim_next(&self, lease: Lease) -> Result<Option<Split>, QueueError> {
        let fleet = &self.shared.fleet;
        Ok(fleet
            .repeat("claiming a split", || self.try_next(lease))
            .await?)
    }

    async fn renew(&self, id: String, lease: Lease) -> Result<bool, QueueError> {
        let renew = |record: &mut SplitRecord| {
            let held = record.is_held_by(&self.worker);
            if held {
                self.claimed(record, lease);
            }
            held
        };
        Ok(self.change(&id, renew).await?.is_some())
    }

    async fn release(&self, id: String, due: u64) -> Result<bool, QueueError> {
        let release = |record: &mut SplitRecord| {
            let held = record.is_held_by(&self.worker);
            if held {
                record.claim = None;
                record.due = if record.done { record.due } else { due };
            }
            held
        };
        Ok(self.change(&id, release).await?.is_some())
    }

    async fn commit(
        &self,
        split: String,
        step: Step,
        now: u64,
        _horizon: u64,
    ) -> Result<Committed, QueueError> {
        let commit = Commit {
            split: &split,
            children: each_once(step.splits.clone(), Some(&split)),
            found: StepFindings::of(&split, &step),
            step: &step,
            now,
            id: &new_id(),
        };
        let Some(splits) = self.try_commit(&commit).await? else {
            self.forget(&split);
            return Err(QueueError::NotHeld(split));
        };
        let reported: HashSet<&str> = step
            .outcomes
            .iter()
            .map(|it| it.conversation.as_str())
            .collect();
        let found = step.conversations.iter();
        let artifacts = step.artifacts.iter();
        Ok(Committed {
            splits,
            artifacts: artifacts.map(|it| (it.key.to_text(), None)).collect(),
            wanted: found
                .filter(|it| !reported.contains(it.id.as_str()))
                .count(),
        })
    }
}
