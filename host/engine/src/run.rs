//! Drives an export: searches, steps splits, hands artifacts to the transfer, files what is completed.
//!
//! A split's progress is committed before anything is built on it. Whatever
//! was not committed when a run ended is done again by the next one.

mod adaptive_concurrency;
mod answer_room;
#[cfg(feature = "aws")]
mod aws;
#[cfg(not(feature = "aws"))]
#[path = "run/without_aws.rs"]
mod aws;
mod backfill;
mod backlog;
mod check;
mod compact;
mod context;
mod deliver;
mod discovery;
mod ending;
mod error;
mod fetch_concurrency;
mod filing;
mod fleet;
mod held;
mod in_flight;
mod job_times;
mod links;
mod node;
pub(crate) mod ports;
mod read_only;
mod results;
mod setup;
#[cfg(test)]
mod simulation;
mod sink_health;
mod sink_identity;
mod sink_outage;
mod source;
mod spans;
mod splits;
mod start_steps;
mod step;
mod summary;
mod suspect;
mod tasks;
mod tuning;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

pub use aws::AwsAuth;
pub use check::{CheckFinding, CheckState, check_sink};
pub(crate) use error::RunError;
pub use recording_host_http::{
    MonthlyRequests, OriginAllowList, RequestLimits, Throttle, Timetable,
};
pub use setup::{Pipeline, VendorApi};
pub use source::{Interval, SourceAuth, SourceConfig};
pub use summary::{Loss, RunReport, RunSummary};
pub use tuning::{Concurrency, Follow};

use crate::{
    privacy::Intake, receipt, recover::ReceiptOwnership, repair::RepairReport,
    transfer::SinkBinding,
};
use adaptive_concurrency::AdaptiveConcurrency;
use ending::Ending;
use fetch_concurrency::FetchConcurrency;
use filing::Upkeep;
pub(crate) use fleet::FleetRole;
use in_flight::InFlight;
use ports::{ArtifactDelivery, HttpGateway, SourceRuntime};
use recording_host_model::{
    Event, Events,
    clock::{Clock, Jumps},
};
use recording_host_state::{Ledger, WorkQueue};
use results::Results;
use sink_health::SinkHealth;
pub(crate) use step::{is_silent, stuck};
use tasks::{Happened, Tasks};

/// How long something may be unavailable before a run gives up.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The longest pause between two attempts at something that is unavailable (ms).
const LONGEST_PAUSE: u64 = 120_000;
/// Rows in a file of metadata, at most.
const ROWS: usize = 10_000;
/// How often a run takes stock while something is under way.
const TICK: Duration = Duration::from_millis(500);
/// How long a run sleeps, at most (ms).
const ASLEEP: u64 = 3_600_000;
/// The same while somebody subscribes to its events, which tell that it lives.
const WATCHED: u64 = 300_000;
/// How long completed conversations wait to be filed, at most (ms).
const FILE_AFTER: u64 = 15 * 60_000;
/// How long work under way is awaited when a run is stopped.
const DRAIN: Duration = Duration::from_secs(20);

/// Everything that a run needs, set up.
pub(crate) struct Engine {
    pub(crate) export: String,
    /// The content of its receipts besides the segments.
    pub(crate) context: receipt::ReceiptContext,
    pub(crate) interval: Interval,
    pub(crate) source: Arc<dyn SourceRuntime>,
    /// How many conversations the source takes in one fetch.
    pub(crate) fetch_size: usize,
    pub(crate) http: Arc<dyn HttpGateway>,
    pub(crate) transfer: Arc<dyn ArtifactDelivery>,
    pub(crate) bindings: Vec<Arc<SinkBinding>>,
    /// The sinks that are unavailable from the start, by name.
    pub(crate) absent: Vec<String>,
    /// The sinks that are filled with all that they lack, though they are others than before.
    pub(crate) refill: BTreeSet<String>,
    /// True if the sinks are compared with their receipts and put right.
    pub(crate) repair: bool,
    /// Which receipts are the export's.
    pub(crate) claim: Arc<ReceiptOwnership>,
    /// The record of what has become of each conversation.
    pub(crate) ledger: Arc<dyn Ledger>,
    /// The splits that workers claim, which may lie elsewhere.
    pub(crate) work: Arc<dyn WorkQueue>,
    /// Its part in a fleet.
    pub(crate) fleet: FleetRole,
    /// Takes personal values out of all that comes in.
    pub(crate) intake: Arc<Intake>,
    pub(crate) clock: Clock,
    pub(crate) concurrency: Concurrency,
    /// The room for large answers of the source.
    pub(crate) answer_room: answer_room::AnswerRoom,
    pub(crate) follow: Follow,
    /// True if the run continues until it is stopped.
    pub(crate) following: bool,
    /// True once no new work is to begin.
    pub(crate) drain: watch::Receiver<bool>,
    /// How long after a conversation's end its recordings are waited for.
    pub(crate) late: Duration,
    /// How long after its end a conversation is requested once more.
    pub(crate) confirm: Duration,
    pub(crate) events: Events,
    pub(crate) spans: spans::WorkSpans,
}

impl Engine {
    /// Runs the export to its end, or until `stop` turns true; says what was put right.
    pub(crate) async fn run(
        &self,
        mut stop: watch::Receiver<bool>,
    ) -> Result<RepairReport, RunError> {
        let (mut in_flight, repaired) = self.begin(&mut stop).await?;
        let (mut tasks, mut results) = (Tasks::default(), Results::default());
        let mut upkeep = Upkeep::new(self.clock.elapsed());
        let mut jumps = Jumps::new(self.clock);
        let mut draining = self.drain.clone();
        let (mut reported, mut waits_until) = (None, 0);
        loop {
            // One time for all of a turn: what is due by then is begun, or waits for something else.
            let now = self.clock.now();
            self.note_jump(&mut jumps, &mut in_flight);
            let ending = self.ending(&mut reported);
            self.start_work(&mut in_flight, &mut tasks, &results, now, ending.as_ref())
                .await?;
            self.write_some_results(&mut results, &mut tasks);
            let idle = tasks.is_empty() && in_flight.is_idle();
            if upkeep.is_due(self.clock.elapsed()) || idle {
                self.complete_and_file(&mut upkeep, &mut in_flight, now)
                    .await?;
            }
            if let Some(ending) = ending.filter(|ending| ending.is_over(&in_flight, &tasks)) {
                self.end(ending, &mut in_flight, tasks, &mut results)
                    .await?;
                return Ok(repaired);
            }
            if idle && self.finished(&mut in_flight).await? {
                self.name_sinks_without(&mut in_flight, true).await?;
                self.report(&in_flight).await?;
                return Ok(repaired);
            }
            // What the end of all work has brought up is begun at once.
            let next = match idle && in_flight.discovery.is_wanted() {
                true => now,
                false => in_flight.next_due(now),
            };
            self.tell_wait(&in_flight, &mut waits_until, next, idle);
            let wait = self.wait_until(next);
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
                Happened::ProbeDone(done) => {
                    // What the sink is owed must be known in full.
                    self.write_all_results(&mut results, &mut tasks.writing, &mut in_flight)
                        .await?;
                    self.on_probe(done, &mut in_flight).await?;
                }
                Happened::BackfillDone(done) => self.on_backfill(*done, &mut in_flight).await?,
                Happened::ResultsWritten(written) => {
                    self.on_results_written(written, &mut in_flight).await?;
                }
                Happened::Reported(report) => self.on_report(*report, &mut in_flight).await?,
                Happened::FetchTaken(_) | Happened::Time => {}
                Happened::Stop => {
                    self.drain(&mut in_flight, tasks, &mut results).await?;
                    return Err(RunError::Stopped);
                }
            }
        }
    }

    /// Shifts what is due by a time of day, if that has jumped.
    fn note_jump(&self, jumps: &mut Jumps, in_flight: &mut InFlight) {
        let Some(jump) = jumps.since_last(self.clock) else {
            return;
        };
        in_flight.shift(jump);
        let direction = if jump < 0 { "back" } else { "ahead" };
        let seconds = jump.unsigned_abs() / 1000;
        self.warn(&format!(
            "the time of day jumped {direction} by {seconds} s: the machine's clock was set, or the machine slept"
        ));
    }

    /// How long the loop may sleep until then.
    fn wait_until(&self, next: u64) -> Duration {
        let most = match self.events.has_subscribers() {
            true => WATCHED,
            false => ASLEEP,
        };
        let wait = next.saturating_sub(self.clock.now()).clamp(1, most);
        Duration::from_millis(wait).min(self.clock.reliance())
    }

    /// The work that is left to do, once the sinks are known and, if requested, repaired.
    async fn begin(
        &self,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(InFlight, RepairReport), RunError> {
        let sinks = SinkHealth::new(self.bindings.len(), self.following);
        let most = self.concurrency.transfers;
        let concurrency = AdaptiveConcurrency::new(most, self.backpressure(), Instant::now());
        let fetches = FetchConcurrency::new(self.concurrency.splits, self.clock.elapsed());
        let mut in_flight =
            InFlight::load(&*self.work, &*self.ledger, sinks, fetches, concurrency).await?;
        in_flight.backfill.look();
        self.hand_over_all(&mut in_flight).await?;
        for sink_index in self.indexes(&self.absent) {
            in_flight.sinks.open(sink_index, self.clock.now());
        }
        let there = in_flight.sinks.available();
        self.know_sinks(&there, &mut in_flight, stop).await?;
        let repaired = self.repair_sinks(&in_flight).await?;
        let there = in_flight.sinks.available();
        self.request_owed_links(there, &mut in_flight).await?;
        Ok((in_flight, repaired))
    }

    /// Starts what is due and may be under way.
    async fn start_work(
        &self,
        in_flight: &mut InFlight,
        tasks: &mut Tasks,
        results: &Results,
        now: u64,
        ending: Option<&Ending>,
    ) -> Result<(), RunError> {
        if ending.is_none() {
            self.discover(in_flight, now).await?;
            self.form_fetches(in_flight, now).await?;
            self.adjust_fetches(in_flight, now);
        }
        self.publish_missing(in_flight).await?;
        self.await_report(tasks).await?;
        self.probe_sinks(in_flight, &mut tasks.probes, now);
        self.backfill_sinks(in_flight, &mut tasks.backfills, now)
            .await?;
        if in_flight.links.waiting() > 0 {
            self.mark_sinks(in_flight).await?;
        }
        if !results.is_full() {
            self.start_downloads(in_flight, &mut tasks.transfers, now);
        }
        let begins = ending.is_none();
        match ending {
            // They would wait for requests that are not sent.
            Some(Ending::Spent(_)) => Ok(()),
            _ => {
                self.start_steps(in_flight, &mut tasks.steps, now, begins)
                    .await
            }
        }
    }

    /// With nothing under way: whether nothing is left to do, now or later.
    async fn finished(&self, in_flight: &mut InFlight) -> Result<bool, RunError> {
        if !in_flight.discovery.is_fetched() {
            return Ok(false);
        }
        // Completing may have put conversations off.
        in_flight.discovery.none_until(self.next_wanted().await?);
        if !in_flight.discovery.is_fetched() || in_flight.links.any_stale() {
            return Ok(false);
        }
        if self.ledger.settle_forgotten().await? > 0 {
            in_flight.discovery.found(true);
            return Ok(false);
        }
        if !in_flight.discovery.is_searched() {
            return Ok(false);
        }
        let mut all = self.file(1, in_flight).await?.everywhere;
        if all && self.compact(in_flight).await? {
            all = self.file(1, in_flight).await?.everywhere;
        }
        if in_flight.discovery.is_wanted() {
            return Ok(false);
        }
        all &= !self.ledger.any_waits_for_sinks().await?;
        // Nobody knows whether a sink that is unavailable lacks something.
        all &= !in_flight.sinks.any_unverified() && !self.any_away_lacks(in_flight).await?;
        match in_flight.sinks.given_up() {
            // The others have everything.
            Some(error) if !all => Err(error.clone().into()),
            _ => Ok(all),
        }
    }

    /// The indexes of some sinks among the bindings.
    fn indexes<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = usize> + 'a {
        let bindings = self.bindings.iter().enumerate();
        let named = bindings.filter(|(_, binding)| names.contains(&binding.name));
        named.map(|(sink_index, _)| sink_index)
    }

    /// Lets downloads under way come to their end, for a while.
    async fn drain(
        &self,
        in_flight: &mut InFlight,
        mut tasks: Tasks,
        results: &mut Results,
    ) -> Result<(), RunError> {
        let draining = async {
            while let Some(Ok(done)) = tasks.transfers.join_next().await {
                if let Ok(result) = self.on_transfer(done, in_flight).await {
                    results.extend(result);
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN, draining).await;
        self.write_all_results(results, &mut tasks.writing, in_flight)
            .await
    }

    async fn report(&self, in_flight: &InFlight) -> Result<(), RunError> {
        if self.events.has_subscribers() {
            let progress = self.ledger.progress().await?;
            self.events.emit(|| Event::Progress(progress));
            self.report_activity(in_flight);
            let backlog = self.backlog().await?;
            self.events.emit(|| Event::Backlog(backlog));
        }
        Ok(())
    }

    /// Tells what is under way here. Of a machine that leads its node does.
    fn report_activity(&self, in_flight: &InFlight) {
        if self.fleet.publisher().is_none() {
            let activity = in_flight.activity(self.clock.now(), self.http.paused());
            self.events.emit(|| Event::Activity(activity));
        }
    }

    fn warn(&self, text: &str) {
        self.events.warn(text);
    }
}

/// A length of time in ms.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}

/// How long to wait before attempt number `failures + 1` (ms).
fn pause(failures: u32) -> u64 {
    (1000_u64 << failures.min(10)).min(LONGEST_PAUSE)
}
