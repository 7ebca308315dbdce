//! Splits in a map, and who holds them.

use std::collections::BTreeMap;

use crate::Lease;
use recording_host_model::{Next, Split};

/// Splits by their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Splits(BTreeMap<String, Entry>);

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

impl Splits {
    /// Adds splits that are not known; returns the ids of those added.
    pub(crate) fn add(&mut self, splits: &[Split], due: u64) -> Vec<String> {
        let mut added = Vec::new();
        for split in splits {
            if self.0.contains_key(&split.id) {
                continue;
            }
            added.push(split.id.clone());
            let entry = Entry {
                split: split.clone(),
                due,
                done: false,
                claim: None,
            };
            self.0.insert(split.id.clone(), entry);
        }
        added
    }

    /// A split as it was committed last.
    pub(crate) fn get(&self, id: &str) -> Option<Split> {
        self.0.get(id).map(|entry| entry.split.clone())
    }

    /// The splits that are not done, with the time at which each is due: by that time, and then by id.
    pub(crate) fn open(&self) -> Vec<(&Split, u64)> {
        let open = self.0.values().filter(|entry| !entry.done);
        let mut open: Vec<_> = open.map(|entry| (&entry.split, entry.due)).collect();
        open.sort_by_key(|(_, due)| *due);
        open
    }

    /// The splits whose ids begin with a name, each with when it is due; never if it is done.
    pub(crate) fn of(&self, name: &str) -> impl Iterator<Item = (&Split, Option<u64>)> {
        let from = self.0.range(name.to_owned()..);
        let of_it = from.take_while(move |(id, _)| id.starts_with(name));
        of_it.map(|(_, entry)| (&entry.split, (!entry.done).then_some(entry.due)))
    }

    /// Returns true if a split is known and done.
    pub(crate) fn is_done(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|entry| entry.done)
    }

    pub(crate) fn claim(&mut self, id: &str, worker: u64, lease: Lease) -> Option<Split> {
        let entry = self.0.get_mut(id)?;
        let mine = entry.claim.is_some_and(|claim| claim.worker == worker);
        if !mine && !entry.is_free(lease.now) {
            return None;
        }
        entry.hold(worker, lease);
        Some(entry.split.clone())
    }

    pub(crate) fn claim_next(&mut self, worker: u64, lease: Lease) -> Option<Split> {
        let mut open = self.open().into_iter();
        let first = open.find_map(|(split, due)| {
            let free = due <= lease.now && self.0[&split.id].is_free(lease.now);
            free.then(|| split.id.clone())
        })?;
        let entry = self.0.get_mut(&first)?;
        entry.hold(worker, lease);
        Some(entry.split.clone())
    }

    pub(crate) fn renew(&mut self, id: &str, worker: u64, lease: Lease) -> bool {
        let held = self.held(id, worker);
        held.map(|entry| entry.hold(worker, lease)).is_some()
    }

    pub(crate) fn release(&mut self, id: &str, worker: u64, due: u64) -> bool {
        let held = self.held(id, worker).map(|entry| {
            entry.claim = None;
            if !entry.done {
                entry.due = due;
            }
        });
        held.is_some()
    }

    /// Returns true if a worker holds a split.
    pub(crate) fn holds(&mut self, id: &str, worker: u64) -> bool {
        self.held(id, worker).is_some()
    }

    /// Writes down what is next for a split that a worker holds, who holds it further while it waits for the
    /// response to a request.
    pub(crate) fn step(&mut self, id: &str, next: &Next, now: u64) {
        self.advance(id, next, now);
        if let (Some(entry), false) = (self.0.get_mut(id), matches!(next, Next::Send(_))) {
            entry.claim = None;
        }
    }

    /// Writes down what is next for a split, whoever holds it.
    pub(crate) fn advance(&mut self, id: &str, next: &Next, now: u64) {
        let Some(entry) = self.0.get_mut(id) else {
            return;
        };
        let (state, due, done) = match next {
            Next::Send(send) => (&send.state, now, false),
            Next::Wait(wait) => (&wait.state, wait.until, false),
            Next::Done(state) => (state, now, true),
        };
        entry.split.state = state.clone();
        (entry.due, entry.done) = (due, done);
    }

    /// Has a split be done without a step, whoever holds it.
    pub(crate) fn end(&mut self, id: &str) {
        if let Some(entry) = self.0.get_mut(id) {
            (entry.done, entry.claim) = (true, None);
        }
    }

    /// Has what is due later be due now.
    pub(crate) fn hurry(&mut self, now: u64) {
        let open = self.0.values_mut().filter(|entry| !entry.done);
        open.for_each(|entry| entry.due = entry.due.min(now));
    }

    /// Forgets the splits whose ids begin with a name.
    pub(crate) fn forget(&mut self, name: &str) {
        self.0.retain(|id, _| !id.starts_with(name));
    }

    /// Ends all claims, as when all workers have stopped.
    pub(crate) fn end_claims(&mut self) {
        self.0.values_mut().for_each(|entry| entry.claim = None);
    }

    /// A split that a worker holds.
    fn held(&mut self, id: &str, worker: u64) -> Option<&mut Entry> {
        let entry = self.0.get_mut(id)?;
        let claim = entry.claim?;
        (claim.worker == worker).then_some(entry)
    }
}

impl Entry {
    fn is_free(&self, now: u64) -> bool {
        self.claim.is_none_or(|claim| claim.until <= now)
    }

    fn hold(&mut self, worker: u64, lease: Lease) {
        let until = lease.until;
        self.claim = Some(SplitHolder { worker, until });
    }
}
