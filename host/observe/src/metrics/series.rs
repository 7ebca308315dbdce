//! The series, with their names and what they are.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

pub(super) type Labels = Vec<(&'static str, String)>;
type Seconds = Counter<f64, AtomicU64>;
type Float = Gauge<f64, AtomicU64>;
type Times = Family<Labels, Histogram, fn() -> Histogram>;

/// The upper bounds of the times of requests, in seconds.
const BOUNDS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

fn histogram() -> Histogram {
    Histogram::new(BOUNDS)
}

/// Makes the series of one sort, and what registers them under their names.
macro_rules! series {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal,)+) => {
        #[derive(Clone)]
        pub(super) struct Series {
            $($(#[doc = $help])+ pub(super) $field: $kind,)+
            /// How long requests to the source's API took.
            pub(super) times: Times,
        }

        impl Series {
            /// All series, registered in `registry`.
            pub(super) fn new(registry: &mut Registry) -> Self {
                let series = Series {
                    $($field: <$kind>::default(),)+
                    times: Family::new_with_constructor(histogram),
                };
                // The registry ends each with a full stop.
                $(registry.register($name, concat!($($help),+).trim().trim_end_matches('.'), series.$field.clone());)+
                let help = "How long requests to the source's API took";
                registry.register("http_client_rtt_seconds", help, series.times.clone());
                series
            }
        }
    };
}

series! {
    /// Conversations found, with those that were found again.
    received: Family<Labels, Counter> = "component_received_events",
    /// Bytes of downloads that came to their end.
    received_bytes: Family<Labels, Counter> = "component_received_bytes",
    /// Media objects stored in a sink.
    sent: Family<Labels, Counter> = "component_sent_events",
    /// Bytes of media objects stored in a sink.
    sent_bytes: Family<Labels, Counter> = "component_sent_bytes",
    /// Artifacts that are unavailable, by the code of the reason.
    discarded: Family<Labels, Counter> = "component_discarded_events",
    /// Failures: of requests, downloads and sinks.
    errors: Family<Labels, Counter> = "component_errors",
    /// Requests to the source's API, by kind and method.
    requests: Family<Labels, Counter> = "http_client_requests_sent",
    /// Responses of the source's API, by kind and status.
    responses: Family<Labels, Counter> = "http_client_responses",
    /// Requests and downloads that were begun again.
    retries: Family<Labels, Counter> = "retries",
    /// Pauses that the source's API asked for.
    throttled: Family<Labels, Seconds> = "throttled_seconds",
    /// Conversations whose rows and receipt are in a sink.
    filed: Family<Labels, Counter> = "filed_conversations",
    /// Recordings that are unavailable and that the receipts name, by code.
    losses: Family<Labels, Counter> = "losses",
    /// Conversations of the export that are filed in every sink, by outcome; `found` are all.
    conversations: Family<Labels, Gauge> = "conversations",
    /// Up to when conversations have been searched; for open intervals.
    searched_until: Family<Labels, Float> = "watermark_timestamp_seconds",
    /// How long ago that was; for open intervals.
    lag: Family<Labels, Float> = "source_lag_time_seconds",
    /// 1 if the source's API answered the last request, 0 if it did not or with an error of its own.
    source_available: Family<Labels, Gauge> = "source_available",
    /// Requests in the current minute of the vendor's limit.
    budget_used: Family<Labels, Gauge> = "api_budget_used",
    /// The most requests in a minute of the vendor's limit.
    budget_limit: Family<Labels, Gauge> = "api_budget_limit",
    /// Requests with the source's credential in this month, where there is a ceiling.
    month_requests: Family<Labels, Gauge> = "api_month_requests",
    /// The ceiling for requests in a month.
    month_limit: Family<Labels, Gauge> = "api_month_limit",
    /// Splits that have begun and are not done.
    splits: Family<Labels, Gauge> = "splits",
    /// Jobs at the vendor that are waited for.
    jobs: Family<Labels, Gauge> = "source_jobs",
    /// The age of the oldest job that is waited for.
    oldest_job: Family<Labels, Float> = "source_job_oldest_seconds",
    /// How many downloads may be under way at once, for now.
    concurrency: Family<Labels, Gauge> = "adaptive_concurrency_limit",
    /// The work that waits: artifacts for a download, artifacts and receipts for a sink.
    buffer_events: Family<Labels, Gauge> = "buffer_size_events",
    /// Bytes on the disk of `data_dir`: of the queue, and of what waits to be unpacked or transcoded.
    buffer_bytes: Family<Labels, Gauge> = "buffer_size_bytes",
    /// The most bytes that may wait to be unpacked or transcoded.
    buffer_max: Family<Labels, Gauge> = "buffer_max_size_bytes",
    /// 1 while a sink is available, 0 during an outage.
    sink_available: Family<Labels, Gauge> = "sink_available",
    /// Notices and pings, by the name of who is told and the result.
    notifications: Family<Labels, Counter> = "notifications",
    /// How long the program has been running.
    uptime: Float = "uptime_seconds",
    /// How often the program was started.
    started: Counter = "started",
}
