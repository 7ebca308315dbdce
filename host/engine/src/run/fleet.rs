//! The part that an engine has in a fleet: it does all by itself, it leads and hands its fetches over, or it does
//! those of another. See [`recording_host_state::fleet`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Engine, RunError,
    in_flight::InFlight,
    splits::{Splits, is_search},
    tasks::Tasks,
};
use crate::identity;
use recording_host_state::{
    FetchOrder, OrderedSink, QueueError,
    fleet::{FetchConsumer, FetchPublisher, FetchReport},
};

/// After so long without another report there is none.
const NO_REPORT: Duration = Duration::from_secs(1);
/// How often the leader looks whether all fetches that are not done are there (ms).
const LOOK_AGAIN: u64 = 60_000;
/// For how long nothing may be reported of a fetch until it is handed over again (ms), at first; twice as long after each
/// time, since it may be a download that takes as long.
const SILENCE: u64 = 15 * 60_000;

/// The part of an engine in a fleet.
#[derive(Clone, Debug)]
pub(crate) enum FleetRole {
    /// There is no fleet.
    Alone,
    /// It has the ledger: it searches, hands fetches over, and files what nodes report.
    Leader(Arc<dyn FetchPublisher>),
    /// It does fetches of the leader, and has a ledger of these alone.
    Node(Arc<dyn FetchConsumer>),
}

impl FleetRole {
    pub(super) fn publisher(&self) -> Option<&Arc<dyn FetchPublisher>> {
        match self {
            FleetRole::Leader(publisher) => Some(publisher),
            _ => None,
        }
    }

    pub(super) fn consumer(&self) -> Option<&Arc<dyn FetchConsumer>> {
        match self {
            FleetRole::Node(consumer) => Some(consumer),
            _ => None,
        }
    }
}

/// The fetches that nodes have or are to take.
#[derive(Debug, Default)]
pub(super) struct HandedOver {
    fetches: BTreeMap<String, Heard>,
    /// When it was last looked whether all of them are there (ms).
    looked: u64,
    /// Those that were not there then.
    missed: BTreeSet<String>,
}

/// When something was last heard of a fetch.
#[derive(Debug)]
struct Heard {
    /// When (ms).
    at: u64,
    /// For how long there may be nothing (ms).
    silence: u64,
}

impl Heard {
    fn new(now: u64) -> Self {
        Heard {
            at: now,
            silence: SILENCE,
        }
    }
}

impl HandedOver {
    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.fetches.len()
    }

    /// Returns true if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.fetches.is_empty()
    }

    /// Returns true if a split belongs to one of them: then it is stepped by a node alone.
    pub(super) fn has(&self, split: &str) -> bool {
        !is_search(split) && self.fetches.keys().any(|fetch| split.starts_with(fetch))
    }

    /// Notes a fetch that is handed over; one that was before may be silent as long as then.
    fn add(&mut self, fetch: &str, now: u64) {
        let heard = self.fetches.entry(fetch.to_owned());
        heard.or_insert_with(|| Heard::new(now)).at = now;
    }

    /// Notes a report on a fetch.
    fn heard(&mut self, fetch: &str, now: u64) {
        if let Some(heard) = self.fetches.get_mut(fetch) {
            heard.at = now;
        }
    }

    /// The fetches of which nothing was heard for too long; from now on they may be silent for longer.
    fn silent(&mut self, now: u64) -> Vec<String> {
        let silent = self.fetches.iter_mut();
        let silent = silent.filter(|(_, heard)| now.saturating_sub(heard.at) > heard.silence);
        let silent = silent.map(|(fetch, heard)| {
            heard.at = now;
            heard.silence = heard.silence.saturating_mul(2);
            fetch.clone()
        });
        silent.collect()
    }
}

impl Engine {
    /// Hands over the fetches that earlier runs have left; `splits` keeps what is not part of them.
    pub(super) async fn hand_over_all(&self, in_flight: &mut InFlight) -> Result<(), RunError> {
        let Some(publisher) = self.fleet.publisher() else {
            return Ok(());
        };
        self.publish_all(in_flight).await?;
        let published = publisher.published().await?;
        // Whoever no longer leads does not know those of the one that does.
        self.ledger.confirm().await?;
        // Those that an earlier run had in full when it was interrupted.
        for fetch in published {
            if !in_flight.handed.fetches.contains_key(&fetch) {
                publisher.forget(&fetch).await?;
            }
        }
        let mut kept = Splits::default();
        for (id, due) in self.work.open_splits().await? {
            if !in_flight.handed.has(&id) {
                kept.add(id, due);
            }
        }
        in_flight.splits = kept;
        let handed = &in_flight.handed;
        in_flight.links.keep(|split| !handed.has(split));
        Ok(())
    }

    /// Publishes all fetches that are not done.
    pub(super) async fn publish_all(&self, in_flight: &mut InFlight) -> Result<(), RunError> {
        let Some(publisher) = self.fleet.publisher() else {
            return Ok(());
        };
        let mut orders = self.ledger.orders(&self.export).await?;
        self.complete_orders(&mut orders).await?;
        for order in &orders {
            in_flight.handed.add(&order.fetch, self.clock.elapsed());
        }
        Ok(publisher.publish(orders).await?)
    }

    /// Says in orders what this run knows beyond the ledger of the fetch.
    async fn complete_orders(&self, orders: &mut [FetchOrder]) -> Result<(), RunError> {
        let sinks = self.ledger.sinks().await?.into_iter();
        let sinks = sinks.filter(|sink| !sink.lapsed);
        let sinks: BTreeMap<String, OrderedSink> = sinks
            .map(|sink| {
                let identity = identity::digest(&sink.identity);
                let marker = sink.marker;
                (sink.name, OrderedSink { marker, identity })
            })
            .collect();
        for order in orders {
            order.repair = self.repair;
            order.sinks.clone_from(&sinks);
        }
        Ok(())
    }

    /// Publishes again what nobody has any more, though it is not done: somebody else has removed it.
    pub(super) async fn publish_missing(&self, in_flight: &mut InFlight) -> Result<(), RunError> {
        let Some(publisher) = self.fleet.publisher() else {
            return Ok(());
        };
        let now = self.clock.elapsed();
        let handed = &mut in_flight.handed;
        if handed.is_empty() || now.saturating_sub(handed.looked) < LOOK_AGAIN {
            return Ok(());
        }
        handed.looked = now;
        self.take_back_silent(now, in_flight).await?;
        let handed = &mut in_flight.handed;
        let there: BTreeSet<String> = publisher.ordered().await?.into_iter().collect();
        let missed = handed
            .fetches
            .keys()
            .filter(|fetch| !there.contains(*fetch));
        let missed = missed.cloned().collect();
        let before = std::mem::replace(&mut handed.missed, missed);
        let mut missing = Vec::new();
        // The last report of one that has only just ended is on the way.
        for fetch in before.intersection(&handed.missed) {
            if !self.ledger.is_finished(fetch.clone()).await? {
                missing.push(self.ledger.order(fetch.clone()).await?);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.warn(&format!(
            "{} fetches were removed from the fleet's streams; they are published again",
            missing.len()
        ));
        self.complete_orders(&mut missing).await?;
        Ok(publisher.publish(missing).await?)
    }

    /// Takes all fetches back from the nodes, with what they have reported so far: what they report from now on is
    /// refused. Whoever takes them next begins with what the ledger has.
    pub(super) async fn recall(&self, in_flight: &mut InFlight) -> Result<(), RunError> {
        let Some(publisher) = self.fleet.publisher() else {
            return Ok(());
        };
        loop {
            let next = publisher.next_report(self.ledger.applied().await?);
            match tokio::time::timeout(NO_REPORT, next).await {
                Ok(report) => self.on_report(report, in_flight).await?,
                Err(_) => break,
            }
        }
        let published = publisher.published().await?;
        self.ledger.confirm().await?;
        for fetch in published {
            publisher.forget(&fetch).await?;
        }
        Ok(())
    }

    /// How many fetches may be under way: nodes bound their own.
    pub(super) fn most_fetches(&self, in_flight: &InFlight) -> usize {
        match self.fleet.publisher() {
            Some(_) => self.concurrency.splits,
            None => in_flight.fetches.limit(),
        }
    }

    /// Hands a fetch over that has begun; returns false if there is nobody to hand it to.
    pub(super) async fn hand_over(
        &self,
        fetch: &str,
        in_flight: &mut InFlight,
    ) -> Result<bool, RunError> {
        let Some(publisher) = self.fleet.publisher() else {
            return Ok(false);
        };
        if !self.ledger.is_finished(fetch.to_owned()).await? {
            let mut orders = vec![self.ledger.order(fetch.to_owned()).await?];
            self.complete_orders(&mut orders).await?;
            publisher.publish(orders).await?;
            in_flight.handed.add(fetch, self.clock.elapsed());
        }
        Ok(true)
    }

    /// Waits for the next report, beside all else.
    pub(super) async fn await_report(&self, tasks: &mut Tasks) -> Result<(), RunError> {
        if let Some(publisher) = self.fleet.publisher()
            && tasks.reports.is_empty()
        {
            let (publisher, after) = (Arc::clone(publisher), self.ledger.applied().await?);
            tasks
                .reports
                .spawn(async move { publisher.next_report(after).await });
        }
        Ok(())
    }

    /// Takes fetches back of which nobody reports anything: a machine that has one may hang, and servers that were killed
    /// have taken one for done that was not.
    async fn take_back_silent(&self, now: u64, in_flight: &mut InFlight) -> Result<(), RunError> {
        for fetch in in_flight.handed.silent(now) {
            if !self.ledger.is_finished(fetch.clone()).await? {
                self.warn(&format!(
                    "no machine has reported anything of {fetch} for long; it is handed over again"
                ));
                self.take_back(&fetch, in_flight).await?;
            }
        }
        Ok(())
    }

    /// Takes a fetch back, as the ledger has it, and hands it over again.
    async fn take_back(&self, fetch: &str, in_flight: &mut InFlight) -> Result<(), RunError> {
        // Whoever no longer leads takes nothing back.
        self.ledger.confirm().await?;
        if let Some(publisher) = self.fleet.publisher() {
            publisher.forget(fetch).await?;
        }
        if in_flight.handed.fetches.contains_key(fetch) {
            self.hand_over(fetch, in_flight).await?;
        }
        Ok(())
    }

    /// Applies what a node has reported. Of a fetch of which something cannot be read, all that comes after is for
    /// nothing: it is taken back, and handed over as the ledger has it.
    pub(super) async fn on_report(
        &self,
        report: Result<FetchReport, QueueError>,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let unreadable = report.as_ref().err().and_then(QueueError::unreadable);
        if let Some((fetch, reason)) = unreadable {
            self.warn(&format!(
                "what a machine reported of {fetch} cannot be read: {reason}; it is handed over again"
            ));
            return self.take_back(fetch, in_flight).await;
        }
        let report = report?;
        let fetch = report.fetch.clone();
        in_flight.handed.heard(&fetch, self.clock.elapsed());
        let bindings = self.bindings.iter();
        let sinks = bindings.map(|binding| binding.name.clone()).collect();
        if !self.ledger.apply(report, sinks).await? {
            return Ok(());
        }
        // Before anything more is done about it here: nobody else has it any more.
        if let Some(publisher) = self.fleet.publisher() {
            publisher.forget(&fetch).await?;
        }
        if in_flight.handed.fetches.remove(&fetch).is_some() {
            // There is room for another, and some of its conversations may be fetched again.
            in_flight.discovery.found(true);
            // A sink that the node could not reach, or that its configuration lacks, may be here.
            let there = in_flight.sinks.available();
            self.request_owed_links(there, in_flight).await?;
        }
        Ok(())
    }
}
