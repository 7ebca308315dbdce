//! What lies between the machines of a fleet and its servers: calls and answers take their time, so that those of several
//! machines overtake each other; an answer is lost, so that nobody knows what came of the call; and a machine is cut off
//! for a while, in which its fetches become those of others.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rand::RngExt as _;
use recording_host_model::clock::Clock;
use recording_host_state::{
    FetchChange, FetchOrder, MemoryFleet, MemoryNode, QueueError,
    fleet::{FetchConsumer, FetchCounts, FetchPublisher, FetchReport, TakenFetch},
};

use super::World;

/// How long a call or an answer is on its way, at most (ms).
const LATE: u64 = 40;
/// How long a machine is cut off, at most (ms).
const CUT_OFF: u64 = 120_000;
/// A node that is silent for so long loses its fetches (ms).
const SILENT: u64 = 30_000;

/// One machine's way to what the servers have.
pub(super) struct Network<T> {
    to: T,
    fleet: MemoryFleet,
    world: Arc<Mutex<World>>,
    clock: Clock,
    /// Until when nothing gets through (ms).
    cut_until: AtomicU64,
    /// The fetches that the servers take for this machine's.
    had: Mutex<BTreeSet<String>>,
}

impl<T> Debug for Network<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Network<MemoryFleet> {
    /// A leader's.
    pub(super) fn of_leader(fleet: MemoryFleet, world: &Arc<Mutex<World>>, clock: Clock) -> Self {
        Self::new(fleet.clone(), fleet, world, clock)
    }
}

impl Network<MemoryNode> {
    /// A node's.
    pub(super) fn of_node(fleet: &MemoryFleet, world: &Arc<Mutex<World>>, clock: Clock) -> Self {
        Self::new(fleet.node(), fleet.clone(), world, clock)
    }
}

impl<T> Network<T> {
    fn new(to: T, fleet: MemoryFleet, world: &Arc<Mutex<World>>, clock: Clock) -> Self {
        Network {
            to,
            fleet,
            world: Arc::clone(world),
            clock,
            cut_until: AtomicU64::new(0),
            had: Mutex::default(),
        }
    }

    /// A call or an answer is on its way.
    async fn pass(&self) {
        let (delay, cut) = {
            let mut world = self.world.lock().unwrap();
            let delay = world.delay(LATE);
            let is_cut = world.strikes_rarely() && world.rng.random_bool(0.2);
            (delay, is_cut.then(|| world.delay(CUT_OFF)))
        };
        self.clock.sleep(delay).await;
        if let Some(cut) = cut {
            self.cut_off(cut).await;
        }
        loop {
            let until = self.cut_until.load(Ordering::Relaxed);
            let left = until.saturating_sub(self.clock.now());
            if left == 0 {
                return;
            }
            self.clock.sleep(Duration::from_millis(left)).await;
        }
    }

    /// Lets nothing through for a while.
    async fn cut_off(&self, cut: Duration) {
        let (now, cut) = (self.clock.now(), cut.as_millis() as u64);
        let before = self.cut_until.fetch_max(now + cut, Ordering::Relaxed);
        if before > now || cut < SILENT {
            return;
        }
        self.clock.sleep(Duration::from_millis(SILENT)).await;
        let had = std::mem::take(&mut *self.had.lock().unwrap());
        had.iter().for_each(|fetch| self.fleet.redeliver(fetch));
    }

    /// Brings an answer, or loses it.
    async fn answer<R>(&self, answer: Result<R, QueueError>) -> Result<R, QueueError> {
        self.pass().await;
        let is_lost = {
            let mut world = self.world.lock().unwrap();
            world.strikes_rarely() && world.rng.random_bool(0.1)
        };
        match is_lost {
            true => Err(QueueError::Backend("no answer".into())),
            false => answer,
        }
    }

    fn lost(&self, fetch: &str) {
        self.had.lock().unwrap().remove(fetch);
    }
}

/// A fetch that a node has been given and may never hear of: then the servers give it to another one.
struct Given<'a>(&'a MemoryFleet, Option<String>);

impl Drop for Given<'_> {
    fn drop(&mut self) {
        if let Some(fetch) = &self.1 {
            self.0.redeliver(fetch);
        }
    }
}

#[async_trait]
impl FetchConsumer for Network<MemoryNode> {
    async fn take(&self) -> Result<TakenFetch, QueueError> {
        self.pass().await;
        let taken = self.to.take().await?;
        let mut given = Given(&self.fleet, Some(taken.order.fetch.clone()));
        let taken = self.answer(Ok(taken)).await?;
        self.had.lock().unwrap().extend(given.1.take());
        Ok(taken)
    }

    async fn report(&self, fetch: &str, change: FetchChange) -> Result<(), QueueError> {
        self.pass().await;
        let reported = self.to.report(fetch, change).await;
        if reported.is_err() {
            self.lost(fetch);
        }
        self.answer(reported).await
    }

    async fn done(&self, fetch: &str) -> Result<(), QueueError> {
        self.pass().await;
        let done = self.to.done(fetch).await;
        self.lost(fetch);
        self.answer(done).await
    }

    async fn give_back(&self, fetch: &str) -> Result<(), QueueError> {
        self.pass().await;
        let given_back = self.to.give_back(fetch).await;
        self.lost(fetch);
        self.answer(given_back).await
    }
}

#[async_trait]
impl FetchPublisher for Network<MemoryFleet> {
    async fn publish(&self, orders: Vec<FetchOrder>) -> Result<(), QueueError> {
        self.pass().await;
        // A call is repeated if its answer does not come: it comes twice.
        let repeated = self.world.lock().unwrap().strikes_rarely();
        if repeated {
            self.to.publish(orders.clone()).await?;
            self.pass().await;
        }
        let published = self.to.publish(orders).await;
        self.answer(published).await
    }

    async fn published(&self) -> Result<Vec<String>, QueueError> {
        self.pass().await;
        let published = self.to.published().await;
        self.answer(published).await
    }

    async fn ordered(&self) -> Result<Vec<String>, QueueError> {
        self.pass().await;
        let ordered = self.to.ordered().await;
        self.answer(ordered).await
    }

    async fn counts(&self) -> Result<FetchCounts, QueueError> {
        self.pass().await;
        let counts = self.to.counts().await;
        self.answer(counts).await
    }

    async fn next_report(&self, after: u64) -> Result<FetchReport, QueueError> {
        self.pass().await;
        let report = self.to.next_report(after).await;
        self.answer(report).await
    }

    async fn forget(&self, fetch: &str) -> Result<(), QueueError> {
        self.pass().await;
        let forgotten = self.to.forget(fetch).await;
        self.answer(forgotten).await
    }
}
