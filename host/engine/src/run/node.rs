//! The work of a node in a fleet: it takes fetches, does them with a ledger of its own, and reports each change
//! before it commits it there.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    Engine, RunError,
    adaptive_concurrency::AdaptiveConcurrency,
    fetch_concurrency::FetchConcurrency,
    held::HeldFetch,
    in_flight::InFlight,
    results::Results,
    sink_health::SinkHealth,
    sink_identity::marker_of,
    sink_outage::ProbeDone,
    suspect::{Stopping, Suspect},
    tasks::{Happened, Tasks},
};
use crate::identity;
use recording_host_model::clock::Jumps;
use recording_host_sink::SinkError;
use recording_host_state::{
    FetchChange, FetchError, FetchOrder, OrderedSink, QueueError,
    fleet::{FetchConsumer, TakenFetch},
};

/// How often a node tells what is under way, at most.
const REPORT: Duration = Duration::from_secs(1);

impl Engine {
    /// Does fetches of the fleet until `stop` turns true; those that are not done then are given back.
    pub(crate) async fn work(&self, mut stop: watch::Receiver<bool>) -> Result<(), RunError> {
        let Some(consumer) = self.fleet.consumer() else {
            return Ok(());
        };
        let mut in_flight = self.idle_node().await?;
        let mut tasks = Tasks::default();
        let mut results = Results::default();
        let mut jumps = Jumps::new(self.clock);
        let mut draining = self.drain.clone();
        let mut reported = Instant::now();
        loop {
            let now = self.clock.now();
            reported = self.report_in_time(reported, &in_flight);
            if tasks.is_empty() && results.is_empty() {
                in_flight.held.lost.clear();
            }
            self.note_jump(&mut jumps, &mut in_flight);
            self.adjust_fetches(&mut in_flight, now);
            self.probe_sinks(&mut in_flight, &mut tasks.probes, now);
            if !results.is_full() {
                self.start_downloads(&mut in_flight, &mut tasks.transfers, now);
            }
            self.start_steps(&mut in_flight, &mut tasks.steps, now, true)
                .await?;
            self.write_some_results(&mut results, &mut tasks);
            self.hand_in(consumer, &mut in_flight).await?;
            self.take_on_waiting(&mut in_flight).await?;
            self.take_fetches(consumer, &in_flight, &mut tasks).await?;
            if *self.drain.borrow() && in_flight.held.held.is_empty() {
                return Ok(());
            }
            let wait = self.wait_until(in_flight.next_due(now));
            match tasks
                .next(&mut stop, &mut draining, self.clock, wait)
                .await?
            {
                Happened::StepDone(done) => {
                    self.on_step(*done, &mut in_flight, &mut tasks.steps)
                        .await?;
                }
                Happened::TransferDone(done) => {
                    results.extend(self.on_transfer(*done, &mut in_flight).await?);
                }
                Happened::ProbeDone(done) => self.on_node_probe(done, &mut in_flight).await?,
                Happened::ResultsWritten(written) => {
                    self.on_results_written(written, &mut in_flight).await?;
                }
                Happened::FetchTaken(taken) => {
                    let Some(taken) = self.readable(*taken)? else {
                        continue;
                    };
                    if in_flight.held.is_under_way(&taken.order.fetch) {
                        (tasks, results) = Default::default();
                        in_flight = self.start_over(consumer, &taken, in_flight).await?;
                    }
                    self.take_on(taken, &mut in_flight).await?;
                }
                Happened::BackfillDone(_) | Happened::Reported(_) | Happened::Time => {}
                Happened::Stop => {
                    self.drain(&mut in_flight, tasks, &mut results).await?;
                    self.hand_in(consumer, &mut in_flight).await?;
                    return self.give_all_back(consumer, &in_flight).await;
                }
            }
        }
    }

    /// A fetch that was taken, unless it cannot be read: that costs nothing else.
    fn readable(
        &self,
        taken: Result<TakenFetch, QueueError>,
    ) -> Result<Option<TakenFetch>, RunError> {
        match taken {
            Ok(taken) => Ok(Some(taken)),
            Err(error) => match error.fetch_error() {
                Some(unreadable @ FetchError::Unreadable { .. }) => {
                    self.warn(&unreadable.to_string());
                    Ok(None)
                }
                _ => Err(error.into()),
            },
        }
    }

    /// Tells what is under way if it was told long ago; returns when it was told last.
    fn report_in_time(&self, reported: Instant, in_flight: &InFlight) -> Instant {
        if reported.elapsed() < REPORT {
            return reported;
        }
        self.report_activity(in_flight);
        Instant::now()
    }

    /// Gives all fetches back, at the end.
    async fn give_all_back(
        &self,
        consumer: &Arc<dyn FetchConsumer>,
        in_flight: &InFlight,
    ) -> Result<(), RunError> {
        self.break_off(in_flight).await;
        for fetch in in_flight.held.names() {
            consumer.give_back(&fetch).await?;
        }
        Ok(())
    }

    /// Says that this node does not stop for what it is doing of suspects.
    async fn break_off(&self, in_flight: &InFlight) {
        let held = in_flight.held.held.values();
        for suspect in held.filter_map(|held| held.suspect.as_ref()) {
            suspect.break_off().await;
        }
    }

    /// Gives all fetches back but one that has come back: the results that were under way for it would count as
    /// those of now.
    async fn start_over(
        &self,
        consumer: &Arc<dyn FetchConsumer>,
        taken: &TakenFetch,
        mut in_flight: InFlight,
    ) -> Result<InFlight, RunError> {
        self.break_off(&in_flight).await;
        for fetch in in_flight.held.names() {
            self.lose_fetch(&fetch, &mut in_flight).await?;
            if fetch != taken.order.fetch {
                consumer.give_back(&fetch).await?;
            }
        }
        self.idle_node().await
    }

    /// A node that has nothing to do.
    async fn idle_node(&self) -> Result<InFlight, RunError> {
        let sinks = SinkHealth::new(self.bindings.len(), true);
        let most = self.concurrency.transfers;
        let concurrency = AdaptiveConcurrency::new(most, self.backpressure(), Instant::now());
        let fetches = FetchConcurrency::new(self.concurrency.splits, self.clock.elapsed());
        let mut in_flight =
            InFlight::load(&*self.work, &*self.ledger, sinks, fetches, concurrency).await?;
        in_flight.discovery.search_at(None);
        in_flight.discovery.none_until(None);
        for sink_index in self.indexes(&self.absent) {
            in_flight.sinks.open(sink_index, self.clock.now());
        }
        Ok(in_flight)
    }

    /// Waits for another fetch, if there is room for one and the node does not drain.
    async fn take_fetches(
        &self,
        consumer: &Arc<dyn FetchConsumer>,
        in_flight: &InFlight,
        tasks: &mut Tasks,
    ) -> Result<(), RunError> {
        if *self.drain.borrow() {
            return self.take_no_more(consumer, tasks).await;
        }
        let most = in_flight.fetches.limit();
        let full = in_flight.held.held.len() + in_flight.held.waiting.len() >= most;
        if !full && tasks.taking.is_empty() {
            let consumer = Arc::clone(consumer);
            tasks.taking.spawn(async move { consumer.take().await });
        }
        Ok(())
    }

    /// Compares the sinks of this node with those that a fetch is for. One that cannot be read gets nothing for now,
    /// and one that the leader does not have gets nothing before a fetch is for it.
    async fn compare_sinks(
        &self,
        order: &FetchOrder,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        in_flight.held.sinks.clone_from(&order.sinks);
        for (sink_index, binding) in self.bindings.iter().enumerate() {
            let left_out = &mut in_flight.held.left_out;
            if !order.sinks.contains_key(&binding.name) {
                if left_out.insert(sink_index) {
                    in_flight.sinks.leave_out(sink_index, self.clock.now());
                }
                continue;
            }
            if left_out.remove(&sink_index) {
                in_flight.sinks.succeeded(sink_index);
            }
            if in_flight.sinks.is_unavailable(sink_index) {
                continue;
            }
            match self.check_sink(sink_index, &order.sinks).await {
                Err(RunError::Sink(error)) if error.retryable => {
                    in_flight.sinks.open(sink_index, self.clock.now());
                    self.on_sink_unavailable(sink_index, &error.to_string());
                }
                checked => checked?,
            }
        }
        Ok(())
    }

    /// Fails if a sink of this node is another one than that of the same name that the leader has: receipts would name
    /// what is not there.
    async fn check_sink(
        &self,
        sink_index: usize,
        sinks: &BTreeMap<String, OrderedSink>,
    ) -> Result<(), RunError> {
        let binding = &self.bindings[sink_index];
        let Some(ordered) = sinks.get(&binding.name) else {
            return Ok(());
        };
        let differs = |how: &str| {
            let location = binding.location.as_deref().unwrap_or(&binding.name);
            let reason = format!(
                "the sink {} of this machine {how} the sink of the node that leads: give all machines of a fleet the same sinks, and a folder that all of them share if it is a folder",
                binding.name
            );
            Err(SinkError::new(&binding.name, location, reason).into())
        };
        if ordered.identity != identity::digest(&identity::sink(binding)) {
            return differs("puts objects under other keys or in another form than");
        }
        // Of one that cannot be read nobody knows more than that.
        if binding.sink.store().is_some() && marker_of(binding, false).await? != ordered.marker {
            return differs("is in another place than");
        }
        Ok(())
    }

    /// Gives back what a node that drains has been about to take.
    async fn take_no_more(
        &self,
        consumer: &Arc<dyn FetchConsumer>,
        tasks: &mut Tasks,
    ) -> Result<(), RunError> {
        if let Some(Some(Ok(Ok(taken)))) = tasks.taking.join_next().now_or_never() {
            consumer.give_back(&taken.order.fetch).await?;
        }
        // What has been taken by half is another node's once this one has been silent for long.
        tasks.taking = JoinSet::new();
        Ok(())
    }

    /// Goes on with a sink that is back: the leader brings it what it is owed.
    async fn on_node_probe(
        &self,
        done: ProbeDone,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let ProbeDone { sink_index, result } = done;
        in_flight.sinks.probed(sink_index);
        if in_flight.held.left_out.contains(&sink_index) {
            return Ok(());
        }
        if let Err(error) = result {
            return self.sink_failed(sink_index, error, in_flight);
        }
        match self.check_sink(sink_index, &in_flight.held.sinks).await {
            Ok(()) => in_flight.sinks.succeeded(sink_index),
            Err(RunError::Sink(error)) if error.retryable => {
                self.sink_failed(sink_index, error, in_flight)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes those on that have waited for others.
    async fn take_on_waiting(&self, in_flight: &mut InFlight) -> Result<(), RunError> {
        for taken in std::mem::take(&mut in_flight.held.waiting) {
            self.take_on(taken, in_flight).await?;
        }
        Ok(())
    }

    /// Takes a fetch on, where the node before has left it.
    async fn take_on(&self, taken: TakenFetch, in_flight: &mut InFlight) -> Result<(), RunError> {
        if in_flight.held.shares(taken.order.conversations()) {
            in_flight.held.waiting.push(taken);
            return Ok(());
        }
        let fetch = taken.order.fetch.clone();
        self.compare_sinks(&taken.order, in_flight).await?;
        let suspect = Suspect::of(&taken, &self.fleet, &in_flight.held.turn);
        if suspect.is_some() {
            self.warn(&format!(
                "machines have taken {fetch} {} times, and none has ended it: one thing of it is done at a time",
                taken.deliveries
            ));
        }
        let held = HeldFetch {
            conversations: taken.order.conversations().map(str::to_owned).collect(),
            repair: taken.order.repair,
            suspect,
        };
        // Nothing of what it was here before holds it up.
        in_flight.forget(&fetch);
        let stopping = Stopping::of(&taken.changes);
        self.ledger.take_on(taken, self.clock.now()).await?;
        in_flight.held.held.insert(fetch.clone(), held);
        in_flight.held.changed(&fetch);
        self.give_up(&fetch, stopping, in_flight).await?;
        for (id, due) in self.open_splits_of(&fetch).await? {
            in_flight.splits.add(id, due);
        }
        for (split, keys) in self.undelivered_of(&fetch).await? {
            in_flight.links.want(&split, keys);
        }
        Ok(())
    }

    /// Says of the fetches that are finished that they are done.
    async fn hand_in(
        &self,
        consumer: &Arc<dyn FetchConsumer>,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        for fetch in std::mem::take(&mut in_flight.held.changed) {
            if self.ledger.is_finished(fetch.clone()).await? {
                consumer.done(&fetch).await?;
                self.lose_fetch(&fetch, in_flight).await?;
            }
        }
        Ok(())
    }

    /// Reports a change of the fetch of a split before it is committed here. False if the fetch is no longer this
    /// node's: then nothing is to be committed.
    pub(super) async fn report_change(
        &self,
        split: &str,
        change: impl FnOnce() -> FetchChange,
        in_flight: &mut InFlight,
    ) -> Result<bool, RunError> {
        let Some(consumer) = self.fleet.consumer() else {
            return Ok(true);
        };
        let Some(fetch) = in_flight.held.of_split(split).map(str::to_owned) else {
            return Ok(false);
        };
        match consumer.report(&fetch, change()).await {
            Ok(()) => {
                in_flight.held.changed(&fetch);
                Ok(true)
            }
            Err(QueueError::NotHeld(_)) => {
                self.lose_fetch(&fetch, in_flight).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets go of a fetch: it is done, or another node's. What is under way for it counts for nothing.
    pub(super) async fn lose_fetch(
        &self,
        fetch: &str,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let Some(held) = in_flight.held.held.remove(fetch) else {
            return Ok(());
        };
        in_flight.held.changed.remove(fetch);
        in_flight.held.lost.insert(fetch.to_owned());
        in_flight.forget(fetch);
        Ok(self
            .ledger
            .let_go(fetch.to_owned(), held.conversations)
            .await?)
    }
}
