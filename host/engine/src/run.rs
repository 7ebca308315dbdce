//! Drives an export: searches, steps splits, hands artifacts to the transfer, files what is settled.
//!
//! A split's progress is committed before anything is built on it. Whatever
//! was not committed when a run ended is done again by the next one.

mod compact;
mod context;
mod deliver;
mod filing;
mod fill;
mod lane;
mod live;
mod pace;
pub(crate) mod parts;
mod search;
mod setup;
#[cfg(test)]
mod simulation;
mod sinks;
mod source;
mod step;
mod summary;
mod tasks;
mod tell;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinSet, time::Instant};

pub use search::Follow;
pub use setup::{Pipeline, VendorApi};
#[cfg(feature = "aws")]
pub use source::AwsAuth;
pub use source::{Auth, Interval, SourceConfig};
pub use summary::{Loss, Summary};
pub use tell::{Finding, State};

use crate::{privacy::Intake, receipt, recover::Claim, repair::Repaired, transfer::Output};
use deliver::Fetched;
use filing::Upkeep;
use lane::Lanes;
use live::Live;
use pace::Pace;
use parts::{Answers, Delivers, Steps};
use recording_host_model::{
    ArtifactKey, ArtifactResult, Event, Events, OptionError, SplitInput, clock::Clock,
};
use recording_host_sink::SinkError;
use recording_host_source::SandboxError;
use recording_host_state::{Queue, QueueError};
pub use step::source_error;
use step::{Stepped, Todo};
use tasks::{Happened, Tasks};

/// How long something may be unavailable before a run gives up.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// The longest pause between two attempts at something that is unavailable (ms).
const LONGEST_PAUSE: u64 = 120_000;
/// Rows in a file of metadata, at most.
const ROWS: usize = 10_000;
/// How often a run takes stock while something is under way.
const TICK: Duration = Duration::from_millis(500);
/// How long settled conversations of an export without an end wait to be filed (ms).
const FILE_AFTER: u64 = 15 * 60_000;
/// How long work under way is awaited when a run is stopped.
const DRAIN: Duration = Duration::from_secs(20);

/// Why a run ended early. What is done stays done; another run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An option of the source is wrong.
    #[error("options.{}: {}", .0.path, .0.message)]
    Options(OptionError),
    /// The source says that it cannot go on.
    #[error("the source stopped: {0}")]
    Source(String),
    /// The component failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A sink is unavailable.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The host's own doing failed.
    #[error("{0}")]
    Host(String),
    /// Steps were to be written down that hold what the source's `privacy` takes out.
    #[error("privacy: a record of the steps would hold what it takes out; leave out one of them")]
    Private,
    /// It was told to stop.
    #[error("stopped; run again to go on from here")]
    Stopped,
}

/// How many things are under way at once.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// Splits that have begun and are not done, such as batch jobs at the vendor.
    pub splits: usize,
    /// Downloads, at most: fewer as long as more bring nothing, or a sink or an origin of media asks
    /// for less.
    pub transfers: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Concurrency {
            splits: 48,
            transfers: 64,
        }
    }
}

/// Everything that a run needs, set up.
pub(crate) struct Run {
    pub(crate) export: String,
    /// What its receipts tell besides the segments.
    pub(crate) context: receipt::Context,
    pub(crate) interval: Interval,
    pub(crate) source: Arc<dyn Steps>,
    /// How many conversations the source takes in one fetch.
    pub(crate) fetch_size: usize,
    pub(crate) answers: Arc<dyn Answers>,
    pub(crate) transfer: Arc<dyn Delivers>,
    pub(crate) outputs: Vec<Arc<Output>>,
    /// The sinks that are unavailable from the start, by name.
    pub(crate) absent: Vec<String>,
    /// The sinks that are filled with all that they lack, though they are others than before.
    pub(crate) refill: BTreeSet<String>,
    /// Whether the sinks are compared with their receipts and put right.
    pub(crate) repair: bool,
    /// Which receipts are the export's.
    pub(crate) claim: Arc<Claim>,
    pub(crate) queue: Queue,
    /// What takes personal values out of all that comes in.
    pub(crate) intake: Intake,
    pub(crate) clock: Clock,
    pub(crate) concurrency: Concurrency,
    pub(crate) follow: Follow,
    /// Whether the run goes on until it is stopped.
    pub(crate) following: bool,
    /// How long after a conversation's end its recordings are waited for.
    pub(crate) late: Duration,
    /// How long after its end a conversation is asked for once more.
    pub(crate) confirm: Duration,
    pub(crate) events: Events,
}

impl Run {
    /// Runs the export to its end, or until `stop` turns true; says what was put right.
    pub(crate) async fn go(&self, mut stop: watch::Receiver<bool>) -> Result<Repaired, RunError> {
        let (mut live, repaired) = self.begin(&mut stop).await?;
        let mut tasks = Tasks::default();
        let mut delivered = Vec::new();
        let mut upkeep = Upkeep::new(self.clock.now());
        loop {
            // One time for all of a turn: what is due by then is begun, or waits for something else.
            let now = self.clock.now();
            self.start_work(&mut live, &mut tasks, now).await?;
            if !delivered.is_empty() && (delivered.len() >= 32 || tasks.fetches.is_empty()) {
                self.delivered(&mut delivered, &mut live).await?;
            }
            let idle = tasks.is_empty() && live.is_idle();
            if upkeep.is_due(now) || idle {
                self.keep_up(&mut upkeep, &mut live, now).await?;
            }
            if idle && self.finished(&mut live).await? {
                self.report().await?;
                return Ok(repaired);
            }
            // What the end of all work has brought up is begun at once.
            let next = match idle && live.wanted {
                true => now,
                false => live.next(now),
            };
            let wait = next.saturating_sub(self.clock.now()).clamp(1, 3_600_000);
            let wait = Duration::from_millis(wait);
            match tasks.next(&mut stop, self.clock, wait).await? {
                Happened::Stepped(stepped) => {
                    self.stepped(*stepped, &mut live, &mut tasks.steps).await?;
                }
                Happened::Fetched(fetched) => {
                    delivered.extend(self.fetched(*fetched, &mut live).await?);
                }
                Happened::Tried(tried) => {
                    // What the sink is owed must be known in full.
                    self.delivered(&mut delivered, &mut live).await?;
                    self.tried(tried, &mut live).await?;
                }
                Happened::Filled(filled) => self.filled(*filled, &mut live).await?,
                Happened::Time => {}
                Happened::Stop => {
                    self.drain(&mut live, tasks.fetches, &mut delivered).await?;
                    return Err(RunError::Stopped);
                }
            }
        }
    }

    /// What is left to do, once the sinks are known and, if it is asked for, repaired.
    async fn begin(&self, stop: &mut watch::Receiver<bool>) -> Result<(Live, Repaired), RunError> {
        let lanes = Lanes::new(self.outputs.len(), self.following);
        let most = self.concurrency.transfers;
        let pace = Pace::new(most, self.pushed_back(), Instant::now());
        let mut live = Live::load(&self.queue, lanes, pace).await?;
        live.next_search = Some(0);
        live.filling.due = true;
        for place in self.places(&self.absent) {
            live.lanes.leave(place, self.clock.now());
        }
        let mut there: Vec<usize> = (0..self.outputs.len()).collect();
        live.strangers = there.iter().copied().collect();
        there.retain(|place| !live.lanes.is_away(*place));
        self.know_sinks(&there, &mut live, stop).await?;
        there.retain(|place| !live.lanes.is_away(*place));
        let repaired = self.repair_sinks(&live).await?;
        self.catch_up(there, &mut live).await?;
        Ok((live, repaired))
    }

    /// Starts what is due and may be under way.
    async fn start_work(
        &self,
        live: &mut Live,
        tasks: &mut Tasks,
        now: u64,
    ) -> Result<(), RunError> {
        self.search(live, now).await?;
        self.gather(live, now).await?;
        self.try_sinks(live, &mut tasks.tries, now);
        self.fill_sinks(live, &mut tasks.fills, now).await?;
        if !live.links.is_empty() {
            self.mark_sinks(live).await?;
        }
        self.fetch(live, &mut tasks.fetches, now);
        self.launch(live, &mut tasks.steps, now).await
    }

    /// With nothing under way: whether nothing is left to do, now or later.
    async fn finished(&self, live: &mut Live) -> Result<bool, RunError> {
        if live.wanted || live.next_wanted.is_some() {
            return Ok(false);
        }
        // Settling may have put conversations off.
        live.next_wanted = self.next_wanted().await?;
        if live.next_wanted.is_some() || !live.stale.is_empty() {
            return Ok(false);
        }
        if self.queue.settle_forgotten().await? > 0 {
            live.wanted = true;
            return Ok(false);
        }
        if live.next_search.is_some() {
            return Ok(false);
        }
        let mut all = self.file(1, live).await?;
        if all && self.compact(live).await? {
            all = self.file(1, live).await?;
        }
        if live.wanted {
            return Ok(false);
        }
        all &= !self.queue.any_waits_for_sinks().await?;
        // Whether a sink that is away lacks something, nobody knows.
        all &= live.strangers.is_empty() && !self.any_away_lacks(live).await?;
        match live.lanes.refused() {
            // The others have everything.
            Some(error) if !all => Err(error.clone().into()),
            _ => Ok(all),
        }
    }

    /// The places of some sinks among the outputs.
    fn places<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = usize> + 'a {
        let outputs = self.outputs.iter().enumerate();
        let named = outputs.filter(|(_, output)| names.contains(&output.name));
        named.map(|(place, _)| place)
    }

    /// Starts as many steps as may be under way.
    async fn launch(
        &self,
        live: &mut Live,
        steps: &mut JoinSet<Stepped>,
        now: u64,
    ) -> Result<(), RunError> {
        // Links expire: no new ones are asked for while so many wait.
        if live.links.len() > live.pace.limit() * 64 {
            return Ok(());
        }
        let most = self.concurrency.splits;
        while steps.len() < most {
            let Some(id) = live.take(now, most) else {
                break;
            };
            // What a split was asked to obtain anew is not yet part of its state.
            let event = live
                .asked
                .get(&id)
                .map_or(SplitInput::Resume, |keys| renew(keys));
            if let Some(split) = self.queue.split(id).await? {
                self.spawn(steps, split, Todo::SplitInput(event));
            }
        }
        let ready: Vec<String> = live
            .stale
            .keys()
            .filter(|id| !live.begun.contains(*id) && !live.is_open(id))
            .take(most.saturating_sub(steps.len()))
            .cloned()
            .collect();
        for id in ready {
            let keys = live.stale.remove(&id).unwrap_or_default();
            let event = renew(&keys);
            live.begun.insert(id.clone());
            live.asked.insert(id.clone(), keys.clone());
            live.renewing.insert(id.clone(), keys);
            if let Some(split) = self.queue.split(id).await? {
                self.spawn(steps, split, Todo::SplitInput(event));
            }
        }
        Ok(())
    }

    /// Writes down what was delivered; until then, links to the same artifacts are ignored.
    async fn delivered(
        &self,
        delivered: &mut Vec<ArtifactResult>,
        live: &mut Live,
    ) -> Result<(), RunError> {
        let keys: Vec<String> = delivered.iter().map(|one| one.artifact.clone()).collect();
        self.remove_copies(delivered).await?;
        self.commit_results(std::mem::take(delivered)).await?;
        for key in &keys {
            live.fetching.remove(key);
            live.renewals.remove(key);
        }
        Ok(())
    }

    /// Writes down what became of artifacts, without personal values.
    async fn commit_results(&self, mut results: Vec<ArtifactResult>) -> Result<(), QueueError> {
        self.intake.results(&mut results);
        let happened: Vec<Event> = match self.events.has_subscribers() {
            true => results.iter().filter_map(event_of).collect(),
            false => Vec::new(),
        };
        self.queue.delivered(results).await?;
        for event in happened {
            self.events.emit(|| event);
        }
        Ok(())
    }

    /// Lets downloads under way come to their end, for a while.
    async fn drain(
        &self,
        live: &mut Live,
        mut fetches: JoinSet<Fetched>,
        delivered: &mut Vec<ArtifactResult>,
    ) -> Result<(), RunError> {
        let draining = async {
            while let Some(Ok(fetched)) = fetches.join_next().await {
                if let Ok(done) = self.fetched(fetched, live).await {
                    delivered.extend(done);
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN, draining).await;
        self.delivered(delivered, live).await
    }

    async fn report(&self) -> Result<(), RunError> {
        if self.events.has_subscribers() {
            let progress = self.queue.progress().await?;
            self.events.emit(|| Event::Progress(progress));
        }
        Ok(())
    }

    fn warn(&self, text: &str) {
        self.events.warn(text);
    }
}

/// What is emitted of an artifact's result; nothing of one that waits for sinks that are away.
fn event_of(result: &ArtifactResult) -> Option<Event> {
    let lost = |code: &str| {
        let code = code.to_owned();
        Some(Event::ArtifactLost { code })
    };
    match &result.result {
        Err((code, _)) => lost(code),
        Ok(contents) => match &contents.lost {
            Some(missing) if contents.lost_in.is_empty() => lost(&missing.code),
            _ if result.took.is_empty() => None,
            _ => Some(Event::ArtifactStored {
                sinks: result.took.clone(),
                objects: contents.objects.len(),
                bytes: contents.objects.iter().map(|(_, object)| object.size).sum(),
            }),
        },
    }
}

/// A length of time in ms.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}

fn renew(keys: &[String]) -> SplitInput {
    SplitInput::Refresh(
        keys.iter()
            .filter_map(|key| ArtifactKey::from_text(key))
            .collect(),
    )
}

/// How long to wait before attempt number `failures + 1` (ms).
fn pause(failures: u32) -> u64 {
    (1000_u64 << failures.min(10)).min(LONGEST_PAUSE)
}
