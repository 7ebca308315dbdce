//! The commit of a step: the split, its new splits and what it found, all or none.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use recording_host_model::{Split, Step};

use super::{Entry, FleetQueue, StepFindings};
use crate::{ClusterError, connection::Try, publish::Stored};

/// A step that is to be committed.
pub(super) struct Commit<'a> {
    pub(super) split: &'a str,
    pub(super) step: &'a Step,
    /// Its new splits, each once.
    pub(super) children: Vec<Split>,
    pub(super) found: Option<StepFindings>,
    pub(super) now: u64,
    /// An id that no other commit has.
    pub(super) id: &'a str,
}

impl FleetQueue {
    /// Commits a step; none if this worker does not hold the split.
    pub(super) async fn try_commit(
        &self,
        commit: &Commit<'_>,
    ) -> Result<Option<Vec<String>>, ClusterError> {
        let shared = &self.shared;
        // The first try trusts memory: what is wrong in it is refused.
        let known = Mutex::new((self.held(commit.split), HashSet::new()));
        let what = format!("committing a step of the split {}", commit.split);
        let call = async || {
            let remembered = lock(&known).0.take();
            let entry = match remembered {
                Some(entry) => entry,
                None => match shared.read(commit.split).await? {
                    Some(entry) => {
                        let there = shared.known_of(&commit.children, commit.id).await?;
                        lock(&known).1 = there;
                        entry
                    }
                    None => return Ok(Try::Done(None)),
                },
            };
            let is_new = |it: &&Split| !lock(&known).1.contains(&it.id);
            let new: Vec<&Split> = commit.children.iter().filter(is_new).collect();
            let ids = || new.iter().map(|it| it.id.clone()).collect();
            // An answer that did not come.
            if entry.record.commit.as_deref() == Some(commit.id) {
                self.remember(entry);
                return Ok(Try::Done(Some(ids())));
            }
            if !entry.record.is_held_by(&self.worker) {
                return Ok(Try::Done(None));
            }
            let mut record = entry.record;
            record.advance(&commit.step.next, commit.now, commit.id);
            record.write = commit.id.to_owned();
            let mut puts = commit
                .found
                .as_ref()
                .map_or_else(Vec::new, |it| it.puts(&shared.found, commit.id));
            puts.extend(new.iter().map(|it| shared.child(it, commit.now, commit.id)));
            // Last, so that the sequence that is returned is its own.
            puts.push(shared.put(&record, entry.sequence));
            Ok(match shared.fleet.put_all(puts).await? {
                Stored::At(sequence) => {
                    self.remember(Entry { sequence, record });
                    Try::Done(Some(ids()))
                }
                other => Try::Passing(format!("{other:?}")),
            })
        };
        shared.fleet.repeat(&what, call).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
