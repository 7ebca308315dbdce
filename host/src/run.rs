//! Drives an export: steps the splits, hands artifacts to the transfer, files what is settled.
//!
//! A split's progress is committed before anything is built on it. Whatever
//! was not committed when a run ended is done again by the next one.

mod setup;
mod summary;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet};

pub use setup::Pipeline;
pub use summary::{Loss, Summary};

use crate::{
    clock::Clock,
    grant::Grant,
    queue::{Contents, Delivered, Queue, QueueError, artifact_key, artifact_text},
    receipt,
    sandbox::{
        Artifact, Component, Event, Level, Next, OptionError, Request, SandboxError, SourceError,
        Split, Step,
    },
    sink::SinkError,
    trace::Trace,
    transfer::{Output, Transfer, TransferError},
};

/// How often a split is repeated after failures that may pass.
const STEP_TRIES: u32 = 8;
/// How often a fresh link is asked for.
const RENEWALS: u32 = 3;
/// How many deliveries wait for a sink that is out of order.
const SINK_TRIES: u32 = 6;
/// Rows in a file of metadata, at most.
const ROWS: usize = 10_000;
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
    /// A sink is out of order.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The host's own doing failed.
    #[error("{0}")]
    Host(String),
    /// It was told to stop.
    #[error("stopped; run again to go on from here")]
    Stopped,
}

/// How many things are under way at once.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// Splits that have begun and are not done, such as batch jobs at the vendor.
    pub splits: usize,
    /// Downloads.
    pub transfers: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Concurrency {
            splits: 48,
            transfers: 16,
        }
    }
}

/// Called now and then with the state of a run.
pub type OnProgress = Arc<dyn Fn(&crate::queue::Progress) + Send + Sync>;

/// Called with each warning of a source.
pub type OnWarning = Arc<dyn Fn(&str) + Send + Sync>;

/// Everything that a run needs, set up.
pub(crate) struct Run {
    pub(crate) export: String,
    pub(crate) options: Arc<str>,
    pub(crate) component: Component,
    pub(crate) grant: Arc<Grant>,
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) queue: Queue,
    pub(crate) clock: Clock,
    pub(crate) concurrency: Concurrency,
    pub(crate) on_progress: Option<OnProgress>,
    pub(crate) on_warning: Option<OnWarning>,
    pub(crate) trace: Option<Trace>,
}

/// What a split is stepped with next.
enum Todo {
    Event(Event),
    Request(Request),
}

struct Stepped {
    split: Split,
    result: Result<Result<Step, SourceError>, SandboxError>,
}

struct Fetched {
    artifact: Artifact,
    split: String,
    result: Result<Contents, TransferError>,
}

/// The state of a run that lives in memory alone.
#[derive(Default)]
struct Live {
    /// Splits that wait, by the time at which they are due (ms).
    due: BTreeSet<(u64, String)>,
    /// Splits that have been stepped and are not done.
    begun: HashSet<String>,
    /// Splits that are being stepped.
    stepping: HashSet<String>,
    /// Failures of each split in a row.
    failures: HashMap<String, u32>,
    /// Artifacts with a link that wait for a download.
    links: VecDeque<(Artifact, String)>,
    /// Artifacts that wait for a download or are under way, as text.
    fetching: HashSet<String>,
    /// How often a fresh link was asked for.
    renewals: HashMap<String, u32>,
    /// Artifacts without a usable link, by the split that obtains them anew.
    stale: BTreeMap<String, Vec<String>>,
    /// How often the sinks failed in a row.
    sink_failures: u32,
}

impl Run {
    /// Runs the export to its end, or until `stop` turns true.
    pub(crate) async fn go(&self, mut stop: watch::Receiver<bool>) -> Result<(), RunError> {
        let mut live = Live {
            due: self
                .queue
                .open_splits()
                .await?
                .into_iter()
                .map(|(id, due)| (due, id))
                .collect(),
            stale: self.queue.undelivered().await?,
            ..Live::default()
        };
        let mut steps: JoinSet<Stepped> = JoinSet::new();
        let mut fetches: JoinSet<Fetched> = JoinSet::new();
        let mut delivered = Vec::new();
        let mut last_filed = Instant::now();
        self.file_segments(ROWS).await?;
        loop {
            self.launch(&mut live, &mut steps, &mut fetches).await?;
            if !delivered.is_empty() && (delivered.len() >= 32 || fetches.is_empty()) {
                self.delivered(&mut delivered, &mut live).await?;
            }
            if last_filed.elapsed() > Duration::from_secs(2) {
                self.file_segments(ROWS).await?;
                self.report().await?;
                last_filed = Instant::now();
            }
            if steps.is_empty() && fetches.is_empty() && live.due.is_empty() {
                break;
            }
            let next_due = live.due.first().map_or(u64::MAX, |(due, _)| *due);
            let wait = next_due
                .saturating_sub(self.clock.now())
                .clamp(1, 1000 * 3600);
            tokio::select! {
                Some(stepped) = steps.join_next() => {
                    let stepped = stepped.map_err(|error| RunError::Host(error.to_string()))?;
                    self.stepped(stepped, &mut live, &mut steps).await?;
                }
                Some(fetched) = fetches.join_next() => {
                    let fetched = fetched.map_err(|error| RunError::Host(error.to_string()))?;
                    delivered.extend(self.fetched(fetched, &mut live)?);
                }
                () = self.clock.sleep(Duration::from_millis(wait)) => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                _ = stop.wait_for(|stop| *stop) => {
                    self.drain(&mut live, fetches, &mut delivered).await?;
                    return Err(RunError::Stopped);
                }
            }
        }
        self.queue.delivered(delivered).await?;
        self.queue.settle_forgotten().await?;
        self.file_segments(1).await?;
        self.report().await
    }

    /// Starts as many steps and downloads as may be under way.
    async fn launch(
        &self,
        live: &mut Live,
        steps: &mut JoinSet<Stepped>,
        fetches: &mut JoinSet<Fetched>,
    ) -> Result<(), RunError> {
        while fetches.len() < self.concurrency.transfers {
            let Some((artifact, split)) = live.links.pop_front() else {
                break;
            };
            let transfer = Arc::clone(&self.transfer);
            fetches.spawn(async move {
                let result = transfer.deliver(&artifact).await;
                Fetched {
                    artifact,
                    split,
                    result,
                }
            });
        }
        // Links expire: no new ones are asked for while so many wait.
        let crowded = live.links.len() > self.concurrency.transfers * 64;
        let now = self.clock.now();
        let mut later = Vec::new();
        while steps.len() < self.concurrency.splits && !crowded {
            let Some((due, id)) = live.due.first().cloned() else {
                break;
            };
            if due > now {
                break;
            }
            live.due.pop_first();
            let new = !live.begun.contains(&id);
            if new && live.begun.len() >= self.concurrency.splits {
                later.push((due, id));
                continue;
            }
            if let Some(split) = self.queue.split(id.clone()).await? {
                live.begun.insert(id);
                self.spawn(live, steps, split, Todo::Event(Event::Due));
            }
        }
        live.due.extend(later);
        let ready: Vec<String> = live
            .stale
            .keys()
            .filter(|id| !live.begun.contains(*id) && !live.stepping.contains(*id))
            .cloned()
            .collect();
        for id in ready {
            if steps.len() >= self.concurrency.splits || crowded {
                break;
            }
            let keys = live.stale.remove(&id).unwrap_or_default();
            let keys = keys.iter().filter_map(|key| artifact_key(key)).collect();
            if let Some(split) = self.queue.split(id.clone()).await? {
                live.begun.insert(id);
                self.spawn(live, steps, split, Todo::Event(Event::Renew(keys)));
            }
        }
        Ok(())
    }

    fn spawn(&self, live: &mut Live, steps: &mut JoinSet<Stepped>, split: Split, todo: Todo) {
        live.stepping.insert(split.id.clone());
        let component = self.component.clone();
        let options = Arc::clone(&self.options);
        let grant = Arc::clone(&self.grant);
        let (clock, trace) = (self.clock, self.trace.clone());
        steps.spawn(
            async move { advance(component, options, grant, clock, trace, split, todo).await },
        );
    }

    /// Writes down what a step yielded and goes on with its split.
    async fn stepped(
        &self,
        stepped: Stepped,
        live: &mut Live,
        steps: &mut JoinSet<Stepped>,
    ) -> Result<(), RunError> {
        let Stepped { mut split, result } = stepped;
        live.stepping.remove(&split.id);
        let step = match result {
            Ok(Ok(step)) => step,
            Ok(Err(SourceError::Transient(reason))) => {
                return self.failed(split.id, RunError::Source(reason), live);
            }
            Ok(Err(SourceError::Options(error))) => return Err(RunError::Options(error)),
            Ok(Err(error)) => return Err(RunError::Source(source_error(&error))),
            Err(error) => return self.failed(split.id, error.into(), live),
        };
        live.failures.remove(&split.id);
        for note in &step.notes {
            if let (Level::Warn, Some(warn)) = (note.level, &self.on_warning) {
                warn(&format!("{}: {}", split.kind, note.text));
            }
        }
        let now = self.clock.now();
        let (added, wanted) = self.queue.commit(split.id.clone(), &step, now).await?;
        live.due.extend(added.into_iter().map(|id| (now, id)));
        for artifact in step.artifacts {
            let key = artifact_text(&artifact.key);
            if wanted.contains(&key) && live.fetching.insert(key.clone()) {
                if let Some(stale) = live.stale.get_mut(&split.id) {
                    stale.retain(|known| *known != key);
                }
                live.links.push_back((artifact, split.id.clone()));
            }
        }
        live.stale.retain(|_, keys| !keys.is_empty());
        match step.next {
            Next::Send(send) => {
                split.state = send.state;
                self.spawn(live, steps, split, Todo::Request(send.request));
            }
            Next::Wait(wait) => {
                live.due.insert((wait.until, split.id));
            }
            Next::Done(_) => {
                live.begun.remove(&split.id);
            }
        }
        Ok(())
    }

    /// Repeats a split from its last state after a while, unless it has failed too often.
    fn failed(&self, id: String, error: RunError, live: &mut Live) -> Result<(), RunError> {
        let failures = live.failures.entry(id.clone()).or_default();
        *failures += 1;
        if *failures > STEP_TRIES {
            return Err(error);
        }
        let wait = 1000 << (*failures).min(6);
        live.due.insert((self.clock.now() + wait, id));
        Ok(())
    }

    /// Writes down what was delivered; until then, links to the same artifacts are ignored.
    async fn delivered(
        &self,
        delivered: &mut Vec<Delivered>,
        live: &mut Live,
    ) -> Result<(), RunError> {
        let keys: Vec<String> = delivered.iter().map(|one| one.artifact.clone()).collect();
        self.queue.delivered(std::mem::take(delivered)).await?;
        for key in &keys {
            live.fetching.remove(key);
        }
        Ok(())
    }

    /// Says what has become of an artifact, if that is final.
    fn fetched(&self, fetched: Fetched, live: &mut Live) -> Result<Option<Delivered>, RunError> {
        let Fetched {
            artifact,
            split,
            result,
        } = fetched;
        let key = artifact_text(&artifact.key);
        match result {
            Ok(contents) => {
                live.sink_failures = 0;
                Ok(Some(Delivered {
                    artifact: key,
                    result: Ok(contents),
                }))
            }
            Err(TransferError::Sink(error)) => {
                live.sink_failures += 1;
                if !error.retryable || live.sink_failures > SINK_TRIES {
                    return Err(error.into());
                }
                live.links.push_back((artifact, split));
                Ok(None)
            }
            Err(TransferError::Link(reason)) => {
                let renewals = live.renewals.entry(key.clone()).or_default();
                *renewals += 1;
                if *renewals > RENEWALS {
                    return Ok(Some(Delivered {
                        artifact: key,
                        result: Err(("download".to_owned(), reason)),
                    }));
                }
                live.fetching.remove(&key);
                live.stale.entry(split).or_default().push(key);
                Ok(None)
            }
            Err(TransferError::Refused(error)) => {
                Err(RunError::Host(format!("a download was refused: {error}")))
            }
            Err(TransferError::Host(reason)) => Err(RunError::Host(reason)),
        }
    }

    /// Lets downloads under way come to their end, for a while.
    async fn drain(
        &self,
        live: &mut Live,
        mut fetches: JoinSet<Fetched>,
        delivered: &mut Vec<Delivered>,
    ) -> Result<(), RunError> {
        let draining = async {
            while let Some(Ok(fetched)) = fetches.join_next().await {
                if let Ok(done) = self.fetched(fetched, live) {
                    delivered.extend(done);
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN, draining).await;
        self.delivered(delivered, live).await
    }

    /// Files what is settled: days with at least `least` conversations.
    async fn file_segments(&self, least: usize) -> Result<(), RunError> {
        for number in self.queue.close_segments(least, ROWS).await? {
            let segment = Arc::new(self.queue.segment(number).await?);
            for output in &self.outputs {
                self.file(&segment, output).await?;
            }
            self.queue.filed(&segment).await?;
        }
        Ok(())
    }

    async fn file(
        &self,
        closed: &Arc<crate::queue::Segment>,
        output: &Output,
    ) -> Result<(), RunError> {
        let mut tried = 0;
        loop {
            match receipt::file(&self.export, closed, output).await {
                Ok(()) => return Ok(()),
                Err(error) if error.retryable && tried < SINK_TRIES => {
                    tried += 1;
                    self.clock.sleep(Duration::from_secs(1 << tried)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn report(&self) -> Result<(), RunError> {
        if let Some(report) = &self.on_progress {
            report(&self.queue.progress().await?);
        }
        Ok(())
    }
}

/// Steps a split until there is something to write down.
async fn advance(
    component: Component,
    options: Arc<str>,
    grant: Arc<Grant>,
    clock: Clock,
    trace: Option<Trace>,
    mut split: Split,
    mut todo: Todo,
) -> Stepped {
    loop {
        let event = match todo {
            Todo::Event(event) => event,
            Todo::Request(request) => Event::Answer(grant.send(&split.kind, &request).await),
        };
        let (sandbox, options, state) =
            (component.clone(), Arc::clone(&options), split.state.clone());
        let (now, trace) = (clock.now(), trace.clone());
        // A component may take its time, up to its deadline: not on a thread of the runtime.
        let stepped = tokio::task::spawn_blocking(move || {
            if let Some(trace) = trace {
                trace
                    .write(&sandbox, &options, &state, &event, now)
                    .map_err(|error| SandboxError::Trap {
                        call: "record",
                        reason: error.to_string(),
                    })?;
            }
            sandbox.step(&options, &state, &event, now)
        })
        .await;
        let result = stepped.unwrap_or_else(|error| {
            Err(SandboxError::Trap {
                call: "step",
                reason: error.to_string(),
            })
        });
        match result {
            Ok(Ok(Step {
                next: Next::Send(send),
                conversations,
                artifacts,
                outcomes,
                splits,
                notes,
            })) if conversations.is_empty()
                && artifacts.is_empty()
                && outcomes.is_empty()
                && splits.is_empty()
                && notes.is_empty() =>
            {
                split.state = send.state;
                todo = Todo::Request(send.request);
            }
            result => return Stepped { split, result },
        }
    }
}

/// A source's error in words.
pub(crate) fn source_error(error: &SourceError) -> String {
    match error {
        SourceError::Options(error) => format!("option {}: {}", error.path, error.message),
        SourceError::Auth(text) => format!("the log-in failed: {text}"),
        SourceError::Forbidden(permission) => {
            format!("a permission is missing: {permission}; give it to a role of the OAuth client")
        }
        SourceError::Gone(text) => format!("gone: {text}"),
        SourceError::Transient(text) | SourceError::Permanent(text) => text.clone(),
        SourceError::IncompatibleState(version) => format!(
            "the queue was written by another version of the component (state {version}); finish with that one, or begin anew with an empty data_dir"
        ),
    }
}
