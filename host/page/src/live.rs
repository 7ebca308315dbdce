//! A run that goes on beside the page: its events, as far as the overview shows them.

mod series;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use recording_host_model::{Activity, Backlog, Event, Progress, Subscriber};
use tokio::sync::Notify;

use series::{Point, Series};

/// How long the vendor's minute is.
const MINUTE: Duration = Duration::from_secs(60);

/// Figures are not said to be old up to here: a run counts each second while much happens.
const FRESH: Duration = Duration::from_secs(5);

/// A run that is watched.
pub struct Live {
    began: Instant,
    /// The sink whose archive is shown.
    sink: Mutex<String>,
    /// The run as a whole, in a word: `running`, `paused`, `draining`.
    state: Box<dyn Fn() -> &'static str + Send + Sync>,
    sources: Mutex<BTreeMap<String, Source>>,
    filed: Notify,
}

/// A source as its events tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) progress: Progress,
    pub(crate) activity: Activity,
    pub(crate) backlog: Backlog,
    /// When the activity was told.
    reported: Option<Instant>,
    /// A look at many things before or beside the export: what, how many are done, how many there are.
    pub(crate) examined: Option<(&'static str, u64, Option<u64>)>,
    /// The sinks that are unavailable.
    pub(crate) away: BTreeSet<String>,
    /// Recordings that this run has found unavailable for good, by code.
    pub(crate) losses: BTreeMap<String, u64>,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) series: Series,
    /// When the backlog was told, since the run began.
    counted: Duration,
    /// When it ended, since the run began.
    pub(crate) ended: Option<Duration>,
    /// The first and the last day of its interval, by their numbers since 1970.
    days: (i64, i64),
}

/// The days on which sources work whose run goes on: what no receipt has of them may still come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnderWay(Vec<(i64, i64)>);

impl UnderWay {
    pub(crate) fn has(&self, day: i64) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&day))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The number of the day since 1970.
fn day_of(ms: u64) -> i64 {
    i64::try_from(ms / 86_400_000).unwrap_or(i64::MAX)
}

impl Live {
    /// A run whose archive of this sink is shown; `state` tells in a word how the run as a whole is:
    /// `running`, `paused` or `draining`.
    #[must_use]
    pub fn new(sink: &str, state: impl Fn() -> &'static str + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Live {
            began: Instant::now(),
            sink: Mutex::new(sink.to_owned()),
            state: Box::new(state),
            sources: Mutex::default(),
            filed: Notify::new(),
        })
    }

    /// Watches a source that is searched from `from` (ms since 1970) up to `until`, or without an end; one that
    /// was read anew resumes where the one before ended.
    #[must_use]
    pub fn subscriber(
        self: &Arc<Self>,
        source: &str,
        from: u64,
        until: Option<u64>,
    ) -> Arc<dyn Subscriber> {
        let last = until.map_or(i64::MAX, |until| day_of(until.saturating_sub(1)));
        let mut sources = self.lock();
        let watched = sources.entry(source.to_owned()).or_default();
        watched.ended = None;
        watched.days = (day_of(from), last);
        drop(sources);
        let (live, source) = (Arc::clone(self), source.to_owned());
        Arc::new(move |event: &Event| live.heard(&source, event, Instant::now()))
    }

    /// Notes that the run of a source has ended: it waits for nothing any more.
    pub fn ended(&self, source: &str) {
        let now = self.age();
        if let Some(source) = self.lock().get_mut(source) {
            source.ended = Some(now);
            source.activity = Activity::default();
            source.examined = None;
            source.away.clear();
        }
    }

    /// The days on which sources still work.
    pub(crate) fn under_way(&self) -> UnderWay {
        let sources = self.lock();
        let work = sources.values().filter(|source| source.ended.is_none());
        UnderWay(work.map(|source| source.days).collect())
    }

    fn heard(&self, source: &str, event: &Event, now: Instant) {
        if matches!(event, Event::SegmentFiled { sink, .. } if *sink == *self.sink()) {
            self.filed.notify_one();
        }
        let since = now.duration_since(self.began);
        if let Some(source) = self.lock().get_mut(source) {
            source.take(event, since, now);
        }
    }

    /// Shows the archive of another sink from now on.
    pub fn show(&self, sink: &str) {
        sink.clone_into(&mut self.sink());
    }

    fn sink(&self) -> MutexGuard<'_, String> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was filed in the archive that is shown.
    pub(crate) async fn filed(&self) {
        self.filed.notified().await;
    }

    pub(crate) fn sources(&self) -> BTreeMap<String, Source> {
        self.lock().clone()
    }

    /// How long ago the run began.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// The run as a whole, in a word.
    pub(crate) fn state(&self) -> &'static str {
        let sources = self.lock();
        match !sources.is_empty() && sources.values().all(|source| source.ended.is_some()) {
            true => "ended",
            false => (self.state)(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Source>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("sink", &*self.sink())
            .finish_non_exhaustive()
    }
}

impl Source {
    fn take(&mut self, event: &Event, since: Duration, now: Instant) {
        match event {
            Event::Progress(progress) => {
                self.progress = progress.clone();
                self.examined = None;
            }
            Event::Activity(activity) => {
                self.activity = activity.clone();
                self.reported = Some(now);
            }
            Event::Backlog(backlog) => {
                self.backlog = backlog.clone();
                self.counted = since;
            }
            Event::Examined {
                subject,
                done,
                total,
            } => self.examined = Some((subject, *done, *total)),
            Event::Request { kind, .. } => self.requests += u64::from(kind != "token"),
            Event::ArtifactStored { stored } => {
                // One download feeds several sinks, and each may make something else of it.
                let most = stored.values().map(|stored| stored.bytes).max();
                self.bytes += most.unwrap_or_default();
            }
            Event::RecordingsLost { code, count } => {
                *self.losses.entry(code.clone()).or_default() += count;
            }
            Event::SinkUnavailable { sink } => {
                self.away.insert(sink.clone());
            }
            Event::SinkAvailable { sink, .. } => {
                self.away.remove(sink);
            }
            _ => return,
        }
        self.series.push(Point {
            at: since,
            bytes: self.bytes,
            stored: self.progress.stored,
            requests: self.backlog.requests_used.unwrap_or_default(),
        });
    }

    /// Conversations that there are to bring, as far as is known.
    pub(crate) fn total(&self) -> u64 {
        let counted = self.progress.counted.unwrap_or_default();
        self.progress.conversations.max(counted)
    }

    /// Conversations in receipts.
    pub(crate) fn filed(&self) -> u64 {
        self.progress.filed.values().sum()
    }

    /// How long the requests still pause for the vendor's sake.
    pub(crate) fn paused(&self, now: Instant) -> Option<Duration> {
        let left = self.activity.paused_millis.unwrap_or_default();
        let left = left.saturating_sub(self.reported_millis(now));
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// How old the oldest job at the vendor is.
    pub(crate) fn oldest_job(&self, now: Instant) -> Option<Duration> {
        let age = self.activity.oldest_job_millis?;
        Some(Duration::from_millis(age + self.reported_millis(now)))
    }

    fn reported_millis(&self, now: Instant) -> u64 {
        let since = self
            .reported
            .map_or(Duration::ZERO, |reported| now - reported);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// When the rest is stored at the pace of now, if that can be told: the source must count its
    /// conversations.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        let rest = self.total().saturating_sub(self.progress.stored);
        let each_second = self.series.rate(now, |point| point.stored);
        let known = self.progress.counted.is_some() && rest > 0 && each_second > 0.0;
        known.then(|| Duration::from_secs((rest as f64 / each_second).ceil() as u64))
    }

    /// How long ago the run has counted, if that is long for one that goes on.
    pub(crate) fn stale(&self, now: Duration) -> Option<Duration> {
        let since = now.saturating_sub(self.counted);
        (self.ended.is_none() && since > FRESH).then_some(since)
    }

    /// Bytes stored in a second, now.
    pub(crate) fn throughput(&self, now: Duration) -> f64 {
        self.series.rate(now, |point| point.bytes)
    }

    /// Requests in the current minute of the vendor's limit; none were made since one that is over.
    pub(crate) fn requests_of_minute(&self, now: Duration) -> u64 {
        let used = self.backlog.requests_used;
        let current = now.saturating_sub(self.counted) < MINUTE;
        used.filter(|_| current).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    #[test]
    fn a_source_is_shown_as_its_events_tell_it() {
        let live = Live::new("lake", || "paused");
        let _ = live.subscriber("calls", DAY, Some(3 * DAY));
        let began = live.began;
        let reported = |event: Event, seconds: u64| {
            live.heard("calls", &event, began + Duration::from_secs(seconds));
        };
        let progress = |stored: u64| {
            Event::Progress(Progress {
                conversations: 90,
                counted: Some(100),
                stored,
                ..Progress::default()
            })
        };
        reported(progress(10), 1);
        reported(progress(30), 11);
        let lost = || Event::RecordingsLost {
            code: "deleted".to_owned(),
            count: 2,
        };
        reported(lost(), 11);
        reported(lost(), 11);
        let sink = || "nas".to_owned();
        reported(Event::SinkUnavailable { sink: sink() }, 11);
        reported(Event::SinkUnavailable { sink: sink() }, 11);
        let activity = Activity {
            jobs: 1,
            oldest_job_millis: Some(500),
            paused_millis: Some(3000),
            ..Activity::default()
        };
        reported(Event::Activity(activity), 11);

        let source = &live.sources()["calls"];
        assert_eq!((source.total(), source.losses["deleted"]), (100, 4));
        assert_eq!(source.away, BTreeSet::from([sink()]));
        // 2 in a second, and 70 are left.
        let seconds = Duration::from_secs;
        assert_eq!(source.left(seconds(11)), Some(seconds(35)));
        assert_eq!(source.left(seconds(100)), None);
        let later = |millis: u64| began + Duration::from_millis(11_000 + millis);
        assert_eq!(source.paused(later(1000)), Some(Duration::from_secs(2)));
        assert_eq!(source.paused(later(3000)), None);
        assert_eq!(source.oldest_job(later(500)), Some(Duration::from_secs(1)));

        reported(
            Event::SinkAvailable {
                sink: sink(),
                backlog: 3,
            },
            12,
        );
        assert!(live.sources()["calls"].away.is_empty());
        assert_eq!(live.state(), "paused");
        let days = |live: &Live| [0, 1, 2, 3].map(|day| live.under_way().has(day));
        assert_eq!(days(&live), [false, true, true, false]);
        live.ended("calls");
        assert_eq!(live.state(), "ended");
        assert!(live.under_way().is_empty());
        assert_eq!(live.sources()["calls"].activity, Activity::default());
        let _ = live.subscriber("calls", DAY, Some(3 * DAY));
        assert_eq!(live.state(), "paused");
    }

    #[test]
    fn figures_that_were_told_long_ago_are_said_to_be_old() {
        let live = Live::new("lake", || "running");
        let _ = live.subscriber("calls", DAY, Some(3 * DAY));
        let backlog = Backlog {
            requests_used: Some(7),
            ..Backlog::default()
        };
        let began = live.began;
        let seconds = Duration::from_secs;
        live.heard("calls", &Event::Backlog(backlog), began + seconds(11));
        let source = &live.sources()["calls"];
        assert_eq!(source.stale(seconds(16)), None);
        assert_eq!(source.stale(seconds(17)), Some(seconds(6)));
        let requests = [12, 70, 71].map(|at| source.requests_of_minute(seconds(at)));
        assert_eq!(requests, [7, 7, 0]);
    }

    #[tokio::test]
    async fn what_is_filed_in_another_sink_changes_nothing_here() {
        let live = Live::new("lake", || "running");
        let filed = |sink: &str| Event::SegmentFiled {
            sink: sink.to_owned(),
            day: "2026-01-01".to_owned(),
            number: 1,
            conversations: 1,
        };
        let subscriber = live.subscriber("calls", DAY, Some(3 * DAY));
        subscriber.on_event(&filed("nas"));
        let mut waits = std::pin::pin!(live.filed());
        let is_there = |waits: std::pin::Pin<&mut _>| futures_util::FutureExt::now_or_never(waits);
        assert!(is_there(waits.as_mut()).is_none());
        subscriber.on_event(&filed("lake"));
        assert!(is_there(waits.as_mut()).is_some());
    }
}
