//! Metrics of a run in the form of Prometheus, with Vector's names where it has one.
//!
//! No label holds an id, a number or a key of a recording: the number of series is that of sources, sinks,
//! kinds of requests and codes.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};
use recording_host_model::{Activity, Event, Progress, Subscriber};

type Labels = Vec<(&'static str, String)>;
type Seconds = Counter<f64, AtomicU64>;
type Float = Gauge<f64, AtomicU64>;
type Times = Family<Labels, Histogram, fn() -> Histogram>;

/// The outcomes that have a series from the start: an alert on an increase needs the zero before it.
const OUTCOMES: [&str; 4] = ["stored", "no-recording", "skipped", "failed"];
/// The upper bounds of the times of requests, in seconds.
const BOUNDS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The metrics of all sources of a run.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    began: Instant,
    uptime: Float,
    times: Times,
    series: Series,
}

#[derive(Clone, Default)]
struct Series {
    received: Family<Labels, Counter>,
    sent: Family<Labels, Counter>,
    sent_bytes: Family<Labels, Counter>,
    discarded: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    requests: Family<Labels, Counter>,
    responses: Family<Labels, Counter>,
    retries: Family<Labels, Counter>,
    throttled: Family<Labels, Seconds>,
    filed: Family<Labels, Counter>,
    conversations: Family<Labels, Gauge>,
    searched_until: Family<Labels, Float>,
    splits: Family<Labels, Gauge>,
    jobs: Family<Labels, Gauge>,
    oldest_job: Family<Labels, Float>,
    waiting: Family<Labels, Gauge>,
    backlog: Family<Labels, Gauge>,
    available: Family<Labels, Gauge>,
}

impl Series {
    fn register(&self, registry: &mut Registry) {
        let mut counter = |name: &str, help: &str, family: &Family<Labels, Counter>| {
            registry.register(name, help, family.clone());
        };
        counter(
            "component_received_events",
            "Conversations found, with those that were found again.",
            &self.received,
        );
        counter(
            "component_sent_events",
            "Media objects stored in a sink.",
            &self.sent,
        );
        counter(
            "component_sent_bytes",
            "Bytes of media objects stored in a sink.",
            &self.sent_bytes,
        );
        counter(
            "component_discarded_events",
            "Recordings that are unavailable for good, by the code of the reason.",
            &self.discarded,
        );
        counter(
            "component_errors",
            "Failures: of requests, downloads and sinks.",
            &self.errors,
        );
        counter(
            "http_client_requests_sent",
            "Requests to the source's API, by kind and method.",
            &self.requests,
        );
        counter(
            "http_client_responses",
            "Responses of the source's API, by kind and status.",
            &self.responses,
        );
        counter(
            "retries",
            "Requests and downloads that were begun again.",
            &self.retries,
        );
        counter(
            "filed_conversations",
            "Conversations whose rows and receipt are in a sink.",
            &self.filed,
        );
        let mut gauge = |name: &str, help: &str, family: &Family<Labels, Gauge>| {
            registry.register(name, help, family.clone());
        };
        gauge(
            "conversations",
            "Conversations of the export that are filed in every sink, by outcome; `found` are all.",
            &self.conversations,
        );
        gauge(
            "splits",
            "Splits that have begun and are not done.",
            &self.splits,
        );
        gauge(
            "source_jobs",
            "Jobs at the vendor that are waited for.",
            &self.jobs,
        );
        gauge(
            "buffer_size_events",
            "Artifacts that have a link and wait for a download.",
            &self.waiting,
        );
        gauge(
            "sink_backlog",
            "Artifacts that a sink lacked when it was back after an outage.",
            &self.backlog,
        );
        gauge(
            "sink_available",
            "1 while a sink is available, 0 during an outage.",
            &self.available,
        );
        registry.register(
            "throttled_seconds",
            "Pauses that the source's API asked for.",
            self.throttled.clone(),
        );
        registry.register(
            "source_job_oldest_seconds",
            "The age of the oldest job that is waited for.",
            self.oldest_job.clone(),
        );
        registry.register(
            "watermark_timestamp_seconds",
            "Up to when conversations have been searched; for open intervals.",
            self.searched_until.clone(),
        );
    }
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
        let uptime = Float::default();
        let help = "How long the program has been running.";
        registry.register("uptime_seconds", help, uptime.clone());
        let times: Times = Family::new_with_constructor(histogram);
        let help = "How long requests to the source's API took.";
        registry.register("http_client_rtt_seconds", help, times.clone());
        let series = Series::default();
        series.register(&mut registry);
        Metrics(Arc::new(Inner {
            registry,
            began: Instant::now(),
            uptime,
            times,
            series,
        }))
    }

    /// All of it in the text format of OpenMetrics.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.uptime.set(self.0.began.elapsed().as_secs_f64());
        let mut text = String::new();
        // Writing to a string fails for no reason.
        let _ = encode(&mut text, &self.0.registry);
        text
    }

    /// Counts what happens to the source `source`, which has the sinks `sinks`.
    #[must_use]
    pub fn subscriber(&self, source: &str, sinks: &[String]) -> Arc<dyn Subscriber> {
        let watched = Watched {
            metrics: self.clone(),
            source: source.to_owned(),
        };
        let series = &self.0.series;
        for outcome in OUTCOMES {
            let labels = watched.labels(&[("outcome", outcome)]);
            series.conversations.get_or_create(&labels).set(0);
        }
        for sink in sinks {
            series.available.get_or_create(&watched.sink(sink)).set(1);
        }
        let lost = watched.labels(&[("intentional", "false"), ("reason", "")]);
        series.discarded.get_or_create(&lost).inc_by(0);
        Arc::new(watched)
    }
}

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

/// The metrics of one source.
struct Watched {
    metrics: Metrics,
    source: String,
}

impl Watched {
    fn labels(&self, more: &[(&'static str, &str)]) -> Labels {
        let component = [
            ("component_kind", "source"),
            ("component_id", self.source.as_str()),
        ];
        let labels = component.iter().chain(more);
        labels
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    }

    fn sink(&self, sink: &str) -> Labels {
        let labels = [
            ("component_kind", "sink"),
            ("component_id", sink),
            ("source", self.source.as_str()),
        ];
        labels.map(|(name, value)| (name, value.to_owned())).into()
    }

    fn request(&self, kind: &str, method: &str, status: Option<u16>, millis: u64) {
        let series = &self.metrics.0.series;
        let sent = self.labels(&[("kind", kind), ("method", method)]);
        series.requests.get_or_create(&sent).inc();
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let answered = self.labels(&[("kind", kind), ("status", &status)]);
        series.responses.get_or_create(&answered).inc();
        let times = &self.metrics.0.times;
        let time = times.get_or_create(&self.labels(&[("kind", kind)]));
        time.observe(millis as f64 / 1000.0);
        if status == "none" || status.starts_with('5') {
            self.error("request_failed", "requesting");
        }
    }

    fn error(&self, kind: &str, stage: &str) {
        let labels = self.labels(&[("error_type", kind), ("stage", stage)]);
        self.metrics.0.series.errors.get_or_create(&labels).inc();
    }

    fn progress(&self, progress: &Progress) {
        let series = &self.metrics.0.series;
        let filed = progress
            .filed
            .iter()
            .map(|(word, count)| (word.as_str(), *count));
        for (outcome, count) in filed.chain([("found", progress.conversations)]) {
            let labels = self.labels(&[("outcome", outcome)]);
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            series.conversations.get_or_create(&labels).set(count);
        }
        if let Some(at) = progress.watermark {
            let watermark = series.searched_until.get_or_create(&self.labels(&[]));
            watermark.set(at as f64 / 1000.0);
        }
    }

    fn activity(&self, activity: &Activity) {
        let (series, labels) = (&self.metrics.0.series, self.labels(&[]));
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        series
            .splits
            .get_or_create(&labels)
            .set(count(activity.splits));
        series.jobs.get_or_create(&labels).set(count(activity.jobs));
        series
            .waiting
            .get_or_create(&labels)
            .set(count(activity.links));
        let oldest = activity.oldest_job_millis.unwrap_or_default() as f64 / 1000.0;
        series.oldest_job.get_or_create(&labels).set(oldest);
    }
}

impl Subscriber for Watched {
    fn on_event(&self, event: &Event) {
        let series = &self.metrics.0.series;
        match event {
            Event::Progress(progress) => self.progress(progress),
            Event::Activity(activity) => self.activity(activity),
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
            Event::RequestRetried { kind, .. } => {
                let labels = self.labels(&[("kind", kind)]);
                series.retries.get_or_create(&labels).inc();
            }
            Event::DownloadRetried { .. } => {
                self.error("download_failed", "receiving");
                let labels = self.labels(&[("kind", "download")]);
                series.retries.get_or_create(&labels).inc();
            }
            Event::ArtifactStored { stored, .. } => {
                for (sink, stored) in stored {
                    let labels = self.sink(sink);
                    let objects = series.sent.get_or_create(&labels);
                    objects.inc_by(stored.objects as u64);
                    series
                        .sent_bytes
                        .get_or_create(&labels)
                        .inc_by(stored.bytes);
                }
            }
            Event::RecordingsLost { code, count } => {
                let labels = self.labels(&[("intentional", "false"), ("reason", code)]);
                series.discarded.get_or_create(&labels).inc_by(*count);
            }
            Event::SinkUnavailable { sink } => {
                series.available.get_or_create(&self.sink(sink)).set(0);
                self.error("sink_unavailable", "sending");
            }
            Event::SinkAvailable { sink, backlog } => {
                let labels = self.sink(sink);
                series.available.get_or_create(&labels).set(1);
                let backlog = i64::try_from(*backlog).unwrap_or(i64::MAX);
                series.backlog.get_or_create(&labels).set(backlog);
            }
            Event::SegmentFiled {
                sink,
                conversations,
                ..
            } => {
                let filed = series.filed.get_or_create(&self.sink(sink));
                filed.inc_by(*conversations as u64);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use recording_host_model::Stored;

    #[test]
    fn events_are_counted_by_source_and_sink() {
        let metrics = Metrics::new("1.2.3");
        let calls = metrics.subscriber("calls", &["lake".to_owned()]);
        for status in [Some(200), Some(503), None] {
            calls.on_event(&Event::Request {
                kind: "find".to_owned(),
                method: "GET",
                status,
                millis: 30,
            });
        }
        calls.on_event(&Event::ArtifactStored {
            stored: BTreeMap::from([(
                "lake".to_owned(),
                Stored {
                    objects: 2,
                    bytes: 7,
                },
            )]),
        });
        calls.on_event(&Event::Progress(Progress {
            conversations: 5,
            filed: BTreeMap::from([("failed".to_owned(), 1)]),
            watermark: Some(1500),
            ..Progress::default()
        }));
        calls.on_event(&Event::SinkUnavailable {
            sink: "lake".to_owned(),
        });
        let text = metrics.text();
        let source = r#"component_kind="source",component_id="calls""#;
        let sink = r#"component_kind="sink",component_id="lake",source="calls""#;
        for line in [
            r#"recording_host_build_info{version="1.2.3"} 1"#.to_owned(),
            format!(
                r#"recording_host_http_client_responses_total{{{source},kind="find",status="none"}} 1"#
            ),
            format!(r#"recording_host_http_client_rtt_seconds_count{{{source},kind="find"}} 3"#),
            format!(
                r#"recording_host_component_errors_total{{{source},error_type="request_failed",stage="requesting"}} 2"#
            ),
            format!("recording_host_component_sent_bytes_total{{{sink}}} 7"),
            format!(r#"recording_host_conversations{{{source},outcome="failed"}} 1"#),
            format!(r#"recording_host_conversations{{{source},outcome="stored"}} 0"#),
            format!("recording_host_watermark_timestamp_seconds{{{source}}} 1.5"),
            format!("recording_host_sink_available{{{sink}}} 0"),
        ] {
            assert!(text.lines().any(|there| there == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
