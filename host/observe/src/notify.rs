//! Somebody is told when an export fails, loses recordings or falls behind, and when it is well again.
//!
//! Each target is served by a task of its own, which looks at what is known of the sources twice a second. A
//! target that does not answer costs the export nothing.

mod deliver;
mod judge;
mod notice;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use recording_host_model::{Event, Subscriber, clock::Clock};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinSet};

use crate::Health;
use deliver::Deliverer;
pub use deliver::UndeliveredError;
use judge::Judge;
pub use notice::Notice;

/// How often a target's task looks.
const LOOK: Duration = Duration::from_millis(500);
/// How long the last notices may take when a run has ended.
const LAST: Duration = Duration::from_secs(30);

/// Somebody who is to be told.
#[derive(Clone, Debug)]
pub struct NoticeTarget {
    /// Its name in the configuration, by which failures are named.
    pub name: String,
    /// How it is told.
    pub way: NoticeTransport,
    /// The occasions that it is told of.
    pub on: BTreeSet<Occasion>,
    /// How far behind a source may be.
    pub lag: Duration,
    /// How long a source or a sink may be unavailable.
    pub failing: Duration,
    /// The shortest time between two notices of one occasion of one source.
    pub at_most_every: Duration,
}

/// How somebody is told.
#[derive(Clone, Debug)]
pub enum NoticeTransport {
    /// A POST to a URL.
    Webhook {
        /// The URL, which may be a secret.
        url: SecretString,
        /// The form of the body.
        format: NoticeFormat,
        /// The key of the signature, if it is signed.
        secret: Option<SecretString>,
    },
    /// A GET of a URL as long as all is well, so that whoever watches it notices silence.
    Ping {
        /// The URL, which may be a secret.
        url: SecretString,
        /// The pause between two of them.
        every: Duration,
    },
    /// A program that reads the notice as JSON from its standard input.
    Exec {
        /// The program and its arguments.
        command: Vec<String>,
        /// How long it may take.
        timeout: Duration,
    },
}

/// The form of a webhook's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeFormat {
    /// The fields of the notice.
    #[default]
    Json,
    /// A message for an incoming webhook of Slack.
    Slack,
    /// An adaptive card for a workflow of Microsoft Teams.
    Teams,
}

/// An occasion that somebody is told of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema, Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A run ended with an error, or a source or a sink is unavailable for too long.
    Failure,
    /// Recordings are unavailable that no notice has counted yet.
    Losses,
    /// A source is too far behind.
    Lag,
    /// A failure is over, or a source has caught up.
    Recovery,
}

/// The known state of a source.
#[derive(Clone, Debug, Default)]
struct KnownSource {
    clock: Clock,
    endless: bool,
    watermark: Option<u64>,
    losses: BTreeMap<String, u64>,
    /// The error that its run ended with.
    error: Option<String>,
}

/// The known state of all sources.
#[derive(Clone, Debug, Default)]
struct Sources {
    known: Arc<Mutex<BTreeMap<String, KnownSource>>>,
    health: Health,
}

impl Sources {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, KnownSource>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How each source is now.
    fn look(&self) -> BTreeMap<String, judge::SourceState> {
        let known = self.lock();
        let state = |(name, known): (&String, &KnownSource)| {
            let watermark = known.watermark.filter(|_| known.endless);
            let lag = watermark.map(|watermark| {
                Duration::from_millis(known.clock.now().saturating_sub(watermark))
            });
            let state = judge::SourceState {
                error: known.error.clone(),
                hindrances: self.health.hindrances(name),
                lag,
                losses: known.losses.clone(),
            };
            (name.clone(), state)
        };
        known.iter().map(state).collect()
    }

    fn heard(&self, source: &str, event: &Event) {
        let mut known = self.lock();
        let Some(source) = known.get_mut(source) else {
            return;
        };
        match event {
            Event::Progress(progress) => {
                source.watermark = progress.watermark.or(source.watermark);
            }
            Event::LossesFiled { codes } => {
                for (code, count) in codes {
                    *source.losses.entry(code.clone()).or_default() += *count as u64;
                }
            }
            _ => {}
        }
    }
}

/// The result of an attempt to tell somebody.
pub type OnDelivery = Arc<dyn Fn(&str, Result<(), UndeliveredError>) + Send + Sync>;

/// Tells the targets of a configuration what happens.
pub struct Notifier {
    sources: Sources,
    end: watch::Sender<bool>,
    /// Each ends with the name of its target, and with what that was told.
    tasks: JoinSet<(String, Judge)>,
    version: String,
    report: OnDelivery,
}

impl std::fmt::Debug for Notifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifier").finish_non_exhaustive()
    }
}

impl Notifier {
    /// Begins to watch; `report` gets the name of a target and the result each time that it is told
    /// something. Must be called within a runtime.
    ///
    /// # Errors
    /// [`UndeliveredError`] if there can be no HTTP client, as without certificates of authorities.
    pub fn start(
        targets: Vec<NoticeTarget>,
        health: Health,
        version: &str,
        report: &OnDelivery,
    ) -> Result<Self, UndeliveredError> {
        let sources = Sources {
            known: Arc::default(),
            health,
        };
        let mut notifier = Notifier {
            sources,
            end: watch::channel(false).0,
            tasks: JoinSet::new(),
            version: version.to_owned(),
            report: Arc::clone(report),
        };
        let tellers = notifier.tellers(targets)?;
        notifier.spawn(tellers, &mut BTreeMap::new());
        Ok(notifier)
    }

    /// Tells other targets from here on. One that has the name of one before is not told again what that
    /// was; what is being delivered to the ones before is given half a minute.
    ///
    /// # Errors
    /// As [`start`](Self::start); then the targets stay as they are.
    pub async fn retarget(&mut self, targets: Vec<NoticeTarget>) -> Result<(), UndeliveredError> {
        let tellers = self.tellers(targets)?;
        let _ = self.end.send(true);
        let mut reported = BTreeMap::new();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                reported.extend(ended);
            }
        };
        let _ = tokio::time::timeout(LAST, all).await;
        self.tasks.abort_all();
        self.spawn(tellers, &mut reported);
        Ok(())
    }

    fn tellers(&self, targets: Vec<NoticeTarget>) -> Result<Vec<Teller>, UndeliveredError> {
        let teller = |target: NoticeTarget| {
            Ok(Teller {
                deliverer: Deliverer::new(&target, &self.version)?,
                judge: Judge::default(),
                target,
                sources: self.sources.clone(),
                report: Arc::clone(&self.report),
            })
        };
        targets.into_iter().map(teller).collect()
    }

    /// Begins to tell, where `told` is what each was told before.
    fn spawn(&mut self, tellers: Vec<Teller>, reported: &mut BTreeMap<String, Judge>) {
        let (end, ended) = watch::channel(false);
        self.end = end;
        for mut teller in tellers {
            teller.judge = reported.remove(&teller.target.name).unwrap_or_default();
            self.tasks.spawn(teller.run(ended.clone()));
        }
    }

    /// Watches a source, whose time is that of `clock`; `endless`: its interval has no end, so that it can
    /// fall behind.
    #[must_use]
    pub fn subscriber(&self, source: &str, clock: Clock, endless: bool) -> Arc<dyn Subscriber> {
        let mut sources = self.sources.lock();
        // What was lost before a reload has been told, and counts on; nor has it caught up by that.
        let before = sources.remove(source).unwrap_or_default();
        let known = KnownSource {
            clock,
            endless,
            losses: before.losses,
            watermark: before.watermark,
            error: None,
        };
        sources.insert(source.to_owned(), known);
        drop(sources);
        let (sources, source) = (self.sources.clone(), source.to_owned());
        Arc::new(move |event: &Event| sources.heard(&source, event))
    }

    /// Notes that the run of a source ended with an error; also of one that never began.
    pub fn failed(&self, source: &str, error: &str) {
        let mut known = self.sources.lock();
        known.entry(source.to_owned()).or_default().error = Some(error.to_owned());
    }

    /// Delivers what is left to say, for half a minute at most, and ends.
    pub async fn finish(mut self) {
        let _ = self.end.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST, all).await;
    }
}

/// Serves one target.
struct Teller {
    target: NoticeTarget,
    deliverer: Deliverer,
    judge: Judge,
    sources: Sources,
    report: OnDelivery,
}

impl Teller {
    async fn run(mut self, mut ended: watch::Receiver<bool>) -> (String, Judge) {
        let mut pinged: Option<Instant> = None;
        loop {
            // What is known at the end is told as well.
            let last = *ended.borrow();
            let states = self.sources.look();
            match &self.target.way {
                NoticeTransport::Ping { every, .. } => {
                    let due = pinged.is_none_or(|at| at.elapsed() >= *every) || last;
                    if due && judge::lives(&states, &self.sources.health.stuck()) {
                        pinged = Some(Instant::now());
                        let result = self.deliverer.ping().await;
                        (self.report)(&self.target.name, result);
                    }
                }
                _ => self.tell(&states).await,
            }
            if last {
                return (self.target.name, self.judge);
            }
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn tell(&mut self, states: &BTreeMap<String, judge::SourceState>) {
        for notice in self.judge.due(&self.target, states, Instant::now()) {
            let result = self.deliverer.deliver(&notice).await;
            let reported = result.is_ok();
            (self.report)(&self.target.name, result);
            self.judge.reported(&notice, reported, Instant::now());
        }
    }
}
