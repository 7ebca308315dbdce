//! Metrics of a run in the form of Prometheus, with Vector's names where it has one.
//!
//! No label holds an id, a number or a key of a recording: the number of series is that of sources, sinks,
//! kinds of requests and codes.

mod series;
mod server;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use prometheus_client::{encoding::text::encode, metrics::info::Info, registry::Registry};
use recording_host_model::{
    Activity, Backlog, Event, Progress, StoredArtifact, Subscriber, clock::Clock,
};
use series::{Labels, Series};
pub use server::serve;

use crate::health::Answers;

/// The outcomes that have a series as soon as one has.
const OUTCOMES: [&str; 5] = ["stored", "partial", "no-recording", "skipped", "failed"];

/// The metrics of all sources of a run.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    began: Instant,
    series: Series,
    sources: Mutex<Vec<Arc<SourceMetrics>>>,
}

/// A source that is to be measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name in the configuration.
    pub source: String,
    /// Its type in the configuration.
    pub source_type: String,
    /// The types of its sinks, by their names in the configuration.
    pub sinks: BTreeMap<String, String>,
    /// Its clock, by which lag and ages are told.
    pub clock: Clock,
    /// True if its interval has no end, so that it can fall behind.
    pub endless: bool,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of a program of the version `version`.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let mut registry = Registry::with_prefix("recording_host");
        let version = Info::new(vec![("version", version.to_owned())]);
        registry.register("build", "The program's version.", version);
        let series = Series::new(&mut registry);
        series.started.inc();
        Metrics(Arc::new(Inner {
            registry,
            began: Instant::now(),
            series,
            sources: Mutex::default(),
        }))
    }

    /// Counts that somebody was told something, or that it failed.
    pub fn notified(&self, target: &str, delivered: bool) {
        let result = if delivered { "delivered" } else { "failed" };
        let labels = [("notifier", target), ("result", result)];
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        let series = &self.0.series.notifications;
        series.get_or_create(&labels.into()).inc();
    }

    /// All of it in the text format of OpenMetrics.
    #[must_use]
    pub fn text(&self) -> String {
        let series = &self.0.series;
        series.uptime.set(self.0.began.elapsed().as_secs_f64());
        let sources = self.0.sources.lock();
        for source in sources.unwrap_or_else(PoisonError::into_inner).iter() {
            source.refresh();
        }
        let mut text = String::new();
        // Writing to a string fails for no reason.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Counts what happens to a source.
    #[must_use]
    pub fn subscriber(&self, of: Measured) -> Arc<dyn Subscriber> {
        let source = Arc::new(SourceMetrics {
            series: self.0.series.clone(),
            of,
            state: Mutex::default(),
        });
        source.begin();
        let mut sources = self
            .0
            .sources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // One that was read anew takes the place of the one before.
        sources.retain(|other| other.of.source != source.of.source);
        sources.push(Arc::clone(&source));
        source
    }
}

/// The metrics of one source.
struct SourceMetrics {
    series: Series,
    of: Measured,
    state: Mutex<Moving>,
}

/// What values follow from. Instants are in ms since the epoch of the source's clock.
#[derive(Default)]
struct Moving {
    watermark: Option<u64>,
    oldest_job: Option<u64>,
    answers: Answers,
}

impl SourceMetrics {
    /// Has a series for each thing that an alert waits for, before it happens: an increase is seen only
    /// from a value that was there.
    fn begin(&self) {
        let series = &self.series;
        for (kind, stage) in [
            ("request_failed", "requesting"),
            ("download_failed", "receiving"),
            ("sink_unavailable", "sending"),
        ] {
            let labels = self.labels(&[("error_type", kind), ("stage", stage)]);
            series.errors.get_or_create(&labels).inc_by(0);
        }
        let retries = self.labels(&[("kind", "download")]);
        series.retries.get_or_create(&retries).inc_by(0);
        let throttled = series.throttled.get_or_create(&self.labels(&[]));
        throttled.inc_by(0.0);
        let received = series.received_bytes.get_or_create(&self.labels(&[]));
        received.inc_by(0);
        for sink in self.of.sinks.keys() {
            let labels = self.sink(sink, &[]);
            series.sink_available.get_or_create(&labels).set(1);
            series.sent.get_or_create(&labels).inc_by(0);
            series.sent_bytes.get_or_create(&labels).inc_by(0);
            series.filed.get_or_create(&labels).inc_by(0);
        }
    }

    /// Sets what changes with the time alone.
    fn refresh(&self) {
        let now = self.of.clock.now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let since = |then: u64| now.saturating_sub(then) as f64 / 1000.0;
        if let Some(watermark) = state.watermark {
            let lag = self.series.lag.get_or_create(&self.labels(&[]));
            lag.set(since(watermark));
        }
        let oldest = self.series.oldest_job.get_or_create(&self.labels(&[]));
        oldest.set(state.oldest_job.map_or(0.0, since));
    }

    fn labels(&self, more: &[(&'static str, &str)]) -> Labels {
        labels("source", &self.of.source, &self.of.source_type, more)
    }

    fn sink(&self, sink: &str, more: &[(&'static str, &str)]) -> Labels {
        let kind = self.of.sinks.get(sink).map_or("", String::as_str);
        let mut labels = labels("sink", sink, kind, more);
        labels.push(("source", self.of.source.clone()));
        labels
    }

    fn request(&self, kind: &str, method: &str, status: Option<u16>, millis: u64) {
        let series = &self.series;
        let sent = self.labels(&[("kind", kind), ("method", method)]);
        series.requests.get_or_create(&sent).inc();
        let word = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let answered = self.labels(&[("kind", kind), ("status", &word)]);
        series.responses.get_or_create(&answered).inc();
        let time = series.times.get_or_create(&self.labels(&[("kind", kind)]));
        time.observe(millis as f64 / 1000.0);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answers.heard(kind, status);
        if let Some(answers) = state.answers.now() {
            let available = series.source_available.get_or_create(&self.labels(&[]));
            available.set(i64::from(answers));
        }
        drop(state);
        if status.is_none_or(|status| status >= 500) {
            self.error("request_failed", "requesting");
        }
    }

    fn retry(&self, kind: &str) {
        let labels = self.labels(&[("kind", kind)]);
        self.series.retries.get_or_create(&labels).inc();
    }

    fn error(&self, kind: &str, stage: &str) {
        let labels = self.labels(&[("error_type", kind), ("stage", stage)]);
        self.series.errors.get_or_create(&labels).inc();
    }

    fn progress(&self, progress: &Progress) {
        let series = &self.series;
        let none = OUTCOMES.iter().map(|outcome| (*outcome, 0));
        let mut counts: BTreeMap<&str, u64> = none.collect();
        counts.extend(progress.filed.iter().map(|(word, n)| (word.as_str(), *n)));
        counts.insert("found", progress.conversations);
        for (outcome, count) in counts {
            let labels = self.labels(&[("outcome", outcome)]);
            series
                .conversations
                .get_or_create(&labels)
                .set(gauge(count));
        }
        if let Some(at) = progress.watermark.filter(|_| self.of.endless) {
            let watermark = series.searched_until.get_or_create(&self.labels(&[]));
            watermark.set(at as f64 / 1000.0);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.watermark = Some(at);
        }
    }

    fn activity(&self, activity: &Activity) {
        let (series, labels) = (&self.series, self.labels(&[]));
        let set = |family: &prometheus_client::metrics::family::Family<Labels, _>, count: usize| {
            let series: &prometheus_client::metrics::gauge::Gauge = &family.get_or_create(&labels);
            series.set(gauge(count as u64));
        };
        set(&series.splits, activity.splits);
        set(&series.jobs, activity.jobs);
        set(&series.concurrency, activity.transfers);
        let waiting = self.labels(&[("buffer_id", "downloads")]);
        let waiting = series.buffer_events.get_or_create(&waiting);
        waiting.set(gauge(activity.links as u64));
        let oldest = activity.oldest_job_millis;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.oldest_job = oldest.map(|age| self.of.clock.now().saturating_sub(age));
    }

    fn backlog(&self, backlog: &Backlog) {
        let series = &self.series;
        for (buffer, counts) in [
            ("backlog", &backlog.artifacts),
            ("receipts", &backlog.conversations),
        ] {
            for (sink, count) in counts {
                let labels = self.sink(sink, &[("buffer_id", buffer)]);
                series
                    .buffer_events
                    .get_or_create(&labels)
                    .set(gauge(*count));
            }
        }
        let spool = self.labels(&[("buffer_id", "spool")]);
        let queue = self.labels(&[("buffer_id", "queue")]);
        let bytes = &series.buffer_bytes;
        bytes.get_or_create(&queue).set(gauge(backlog.queue_bytes));
        // A machine of a fleet that stands by does not tell it.
        if backlog.spool_max_bytes > 0 {
            bytes.get_or_create(&spool).set(gauge(backlog.spool_bytes));
            let most = series.buffer_max.get_or_create(&spool);
            most.set(gauge(backlog.spool_max_bytes));
        }
        let labels = self.labels(&[("buffer_id", "fetches")]);
        match backlog.fetches {
            Some(fetches) => {
                let waiting = series.buffer_events.get_or_create(&labels);
                waiting.set(gauge(fetches));
            }
            // Another machine tells it by now.
            None => drop(series.buffer_events.remove(&labels)),
        }
        let labels = self.labels(&[]);
        if let Some(used) = backlog.requests_used {
            series.budget_used.get_or_create(&labels).set(gauge(used));
        }
        if let Some(allowed) = backlog.requests_allowed {
            let limit = series.budget_limit.get_or_create(&labels);
            limit.set(gauge(allowed));
        }
        if let Some(requests) = backlog.month_requests {
            let month = series.month_requests.get_or_create(&labels);
            month.set(gauge(requests));
        }
        if let Some(allowed) = backlog.month_allowed {
            let limit = series.month_limit.get_or_create(&labels);
            limit.set(gauge(allowed));
        }
    }

    fn stored(&self, stored: &BTreeMap<String, StoredArtifact>) {
        for (sink, stored) in stored {
            let labels = self.sink(sink, &[]);
            let objects = self.series.sent.get_or_create(&labels);
            objects.inc_by(stored.objects as u64);
            let bytes = self.series.sent_bytes.get_or_create(&labels);
            bytes.inc_by(stored.bytes);
        }
    }
}

/// The labels of a component.
fn labels(kind: &str, id: &str, of_type: &str, more: &[(&'static str, &str)]) -> Labels {
    let component = [
        ("component_kind", kind),
        ("component_id", id),
        ("component_type", of_type),
    ];
    let labels = component.iter().chain(more);
    labels
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Subscriber for SourceMetrics {
    fn on_event(&self, event: &Event) {
        let series = &self.series;
        match event {
            Event::Progress(progress) => self.progress(progress),
            Event::Activity(activity) => self.activity(activity),
            Event::Backlog(backlog) => self.backlog(backlog),
            Event::StepCommitted { conversations, .. } => {
                let received = series.received.get_or_create(&self.labels(&[]));
                received.inc_by(*conversations as u64);
            }
            Event::Request {
                kind,
                method,
                status,
                millis,
            } => self.request(kind, method, *status, *millis),
            Event::Throttled { millis } => {
                let paused = series.throttled.get_or_create(&self.labels(&[]));
                paused.inc_by(*millis as f64 / 1000.0);
            }
            Event::RequestRetried { kind, .. } => self.retry(kind),
            Event::DownloadRetried { .. } => {
                self.error("download_failed", "receiving");
                self.retry("download");
            }
            Event::Downloaded { bytes, .. } => {
                let received = series.received_bytes.get_or_create(&self.labels(&[]));
                received.inc_by(*bytes);
            }
            Event::ArtifactStored { stored } => self.stored(stored),
            Event::RecordingsLost { code, count } => {
                let labels = self.labels(&[("intentional", "false"), ("reason", code)]);
                series.discarded.get_or_create(&labels).inc_by(*count);
            }
            Event::LossesFiled { codes } => {
                for (code, count) in codes {
                    let losses = series
                        .losses
                        .get_or_create(&self.labels(&[("reason", code)]));
                    losses.inc_by(*count as u64);
                }
            }
            Event::SinkUnavailable { sink } => {
                let available = series.sink_available.get_or_create(&self.sink(sink, &[]));
                available.set(0);
                self.error("sink_unavailable", "sending");
            }
            Event::SinkAvailable { sink, .. } => {
                let available = series.sink_available.get_or_create(&self.sink(sink, &[]));
                available.set(1);
            }
            Event::SegmentFiled {
                sink,
                conversations,
                ..
            } => {
                let filed = series.filed.get_or_create(&self.sink(sink, &[]));
                filed.inc_by(*conversations as u64);
            }
            _ => {}
        }
    }
}
