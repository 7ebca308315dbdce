//! The fetches of a fleet in memory alone, for tests of whatever leads or works.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    FetchChange, FetchOrder, QueueError,
    fleet::{FetchConsumer, FetchCounts, FetchPublisher, FetchReport, TakenFetch},
};

/// How long a fetch is a node's that says nothing of itself.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// The fetches and the reports of a fleet; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct MemoryFleet {
    kept: Arc<Mutex<Kept>>,
    changed: Arc<Notify>,
    /// How many have led before whoever publishes through this.
    term: u64,
}

#[derive(Debug, Default)]
struct Kept {
    orders: BTreeMap<String, Waiting>,
    /// All reports that are not forgotten, by sequence.
    reports: BTreeMap<u64, (String, FetchChange)>,
    sequence: u64,
    nodes: u64,
    term: u64,
}

#[derive(Debug)]
struct Waiting {
    order: FetchOrder,
    /// How often a node has taken it.
    deliveries: u64,
    /// The node that has it.
    holder: Option<u64>,
    /// When that node has stopped.
    silent_since: Option<Instant>,
}

impl MemoryFleet {
    /// A fleet that has nothing to do.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same fleet for another one who leads: whoever has led before publishes nothing any more.
    #[must_use]
    pub fn lead(&self) -> Self {
        let mut kept = self.kept();
        kept.term += 1;
        MemoryFleet {
            term: kept.term,
            ..self.clone()
        }
    }

    /// A node; when it is dropped it has stopped, and others take its fetches after a while.
    #[must_use]
    pub fn node(&self) -> MemoryNode {
        let mut kept = self.kept();
        kept.nodes += 1;
        MemoryNode {
            fleet: self.clone(),
            node: kept.nodes,
        }
    }

    /// How many orders are waiting or being done.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.kept().orders.len()
    }

    /// Takes a fetch from the node that has it, as a server does that has not heard of it for long.
    pub fn redeliver(&self, fetch: &str) {
        if let Some(waiting) = self.kept().orders.get_mut(fetch) {
            waiting.holder = None;
        }
        self.changed.notify_waiters();
    }

    /// The names of the fetches that some node has.
    #[must_use]
    pub fn taken(&self) -> Vec<String> {
        let kept = self.kept();
        let taken = kept.orders.iter();
        let taken = taken.filter(|(_, waiting)| waiting.holder.is_some());
        taken.map(|(fetch, _)| fetch.clone()).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries until there is something.
    async fn wait<T>(&self, mut attempt: impl FnMut(&mut Kept) -> Option<T> + Send) -> T {
        loop {
            let changed = self.changed.notified();
            let lost = {
                let mut kept = self.kept();
                if let Some(found) = attempt(&mut kept) {
                    return found;
                }
                // The next fetch whose node has stopped.
                let silent = kept.orders.values();
                silent.filter_map(|waiting| waiting.silent_since).min()
            };
            match lost {
                None => changed.await,
                Some(since) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(since + ACK_WAIT) => {}
                },
            }
        }
    }
}

#[async_trait]
impl FetchPublisher for MemoryFleet {
    async fn publish(&self, orders: Vec<FetchOrder>) -> Result<(), QueueError> {
        let mut kept = self.kept();
        if kept.term != self.term {
            return Err(QueueError::NotLeading);
        }
        for order in orders {
            kept.orders
                .entry(order.fetch.clone())
                .or_insert_with(|| Waiting {
                    order,
                    deliveries: 0,
                    holder: None,
                    silent_since: None,
                });
        }
        drop(kept);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn published(&self) -> Result<Vec<String>, QueueError> {
        let kept = self.kept();
        let reported = kept.reports.values().map(|(fetch, _)| fetch);
        let all: BTreeSet<&String> = kept.orders.keys().chain(reported).collect();
        Ok(all.into_iter().cloned().collect())
    }

    async fn ordered(&self) -> Result<Vec<String>, QueueError> {
        Ok(self.kept().orders.keys().cloned().collect())
    }

    async fn counts(&self) -> Result<FetchCounts, QueueError> {
        let kept = self.kept();
        let taken = kept.orders.values();
        let taken = taken.filter(|waiting| waiting.holder.is_some()).count();
        Ok(FetchCounts {
            waiting: (kept.orders.len() - taken) as u64,
            taken: taken as u64,
        })
    }

    async fn next_report(&self, after: u64) -> Result<FetchReport, QueueError> {
        let next = |kept: &mut Kept| {
            let (sequence, (fetch, change)) = kept.reports.range(after + 1..).next()?;
            Some(FetchReport {
                sequence: *sequence,
                fetch: fetch.clone(),
                change: change.clone(),
            })
        };
        Ok(self.wait(next).await)
    }

    async fn forget(&self, fetch: &str) -> Result<(), QueueError> {
        let mut kept = self.kept();
        kept.orders.remove(fetch);
        kept.reports.retain(|_, (of, _)| of != fetch);
        Ok(())
    }
}

/// One node of a [`MemoryFleet`].
#[derive(Debug)]
pub struct MemoryNode {
    fleet: MemoryFleet,
    node: u64,
}

impl Drop for MemoryNode {
    fn drop(&mut self) {
        let mut kept = self.fleet.kept();
        for waiting in kept.orders.values_mut() {
            if waiting.holder == Some(self.node) {
                waiting.silent_since = Some(Instant::now());
            }
        }
        drop(kept);
        self.fleet.changed.notify_waiters();
    }
}

#[async_trait]
impl FetchConsumer for MemoryNode {
    async fn take(&self) -> Result<TakenFetch, QueueError> {
        let node = self.node;
        let free = move |kept: &mut Kept| {
            let waiting = kept.orders.values_mut().find(|waiting| {
                let silent = waiting.silent_since;
                let lost = silent.is_some_and(|since| since.elapsed() >= ACK_WAIT);
                waiting.holder.is_none() || lost
            })?;
            (waiting.holder, waiting.silent_since) = (Some(node), None);
            waiting.deliveries += 1;
            let deliveries = waiting.deliveries;
            let order = waiting.order.clone();
            let of_it = kept
                .reports
                .values()
                .filter(|(fetch, _)| *fetch == order.fetch);
            let changes = of_it.map(|(_, change)| change.clone()).collect();
            // Nobody else can report on it any more.
            kept.sequence += 1;
            let taken = (order.fetch.clone(), FetchChange::delivered(&[]));
            kept.reports.insert(kept.sequence, taken);
            Some(TakenFetch {
                order,
                changes,
                deliveries,
            })
        };
        let taken = self.fleet.wait(free).await;
        self.fleet.changed.notify_waiters();
        Ok(taken)
    }

    async fn report(&self, fetch: &str, change: FetchChange) -> Result<(), QueueError> {
        let mut kept = self.fleet.kept();
        let held = kept.orders.get(fetch);
        if held.and_then(|waiting| waiting.holder) != Some(self.node) {
            return Err(QueueError::NotHeld(fetch.to_owned()));
        }
        kept.sequence += 1;
        let sequence = kept.sequence;
        kept.reports.insert(sequence, (fetch.to_owned(), change));
        drop(kept);
        self.fleet.changed.notify_waiters();
        Ok(())
    }

    async fn done(&self, fetch: &str) -> Result<(), QueueError> {
        let mut kept = self.fleet.kept();
        if let Some(waiting) = kept.orders.get(fetch)
            && waiting.holder == Some(self.node)
        {
            kept.orders.remove(fetch);
        }
        Ok(())
    }

    async fn give_back(&self, fetch: &str) -> Result<(), QueueError> {
        if let Some(waiting) = self.fleet.kept().orders.get_mut(fetch)
            && waiting.holder == Some(self.node)
        {
            waiting.holder = None;
        }
        self.fleet.changed.notify_waiters();
        Ok(())
    }
}
