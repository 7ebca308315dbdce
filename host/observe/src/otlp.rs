//! Traces of a run to an OpenTelemetry collector, over HTTP with protobuf.
//!
//! A trace is all that is done for one fetch or one search: its requests, the artifacts that it hands over,
//! their downloads, and the puts into each sink. Spans hold ids, words, lengths and times; no URL, no number
//! and no name.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::{Layer, Registry, filter::filter_fn, layer::SubscriberExt};

/// How long the collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The target of our spans: libraries make spans of their own, which say nothing about an export.
const TARGET: &str = "recording_host";

/// Traces cannot be sent.
#[derive(Debug, thiserror::Error)]
#[error("give a URL such as http://127.0.0.1:4318: {0}")]
pub struct TracesError(String);

/// Told once when spans cannot be delivered, and again after they could be.
pub type Complaint = Arc<dyn Fn(&str) + Send + Sync>;

/// Sends the spans of the process, from now on.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sends spans to the collector at `endpoint`, `/v1/traces` below it, from a thread of their own. Must be
    /// called within a runtime, once in a process. What OpenTelemetry's specification says of the environment
    /// holds, as of `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_TRACES_SAMPLER`.
    ///
    /// # Errors
    /// [`TracesError`] if the endpoint is no URL, or something in the process traces already.
    pub fn start(
        endpoint: &str,
        version: &'static str,
        complain: Complaint,
    ) -> Result<Self, TracesError> {
        let fail = |error: &dyn fmt::Display| TracesError(error.to_string());
        let client = reqwest::Client::builder().timeout(TIMEOUT).build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OnRuntime {
                runtime: Handle::current(),
                client: client.map_err(|error| fail(&error))?,
                failing: AtomicBool::new(false),
                complain,
            })
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .build()
            .map_err(|error| fail(&error))?;
        let resource = Resource::builder()
            .with_service_name("recording-host")
            .with_attribute(opentelemetry::KeyValue::new("service.version", version))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("recording-host"))
            // Where in the code a span was made is of no use to an operator.
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| metadata.target().starts_with(TARGET)));
        let subscriber = Registry::default().with(layer);
        tracing::subscriber::set_global_default(subscriber).map_err(|error| fail(&error))?;
        Ok(Traces { provider })
    }

    /// Sends what is left, and ends.
    pub async fn finish(self) {
        // It waits for a thread that sends through this runtime.
        let ending = tokio::task::spawn_blocking(move || self.provider.shutdown());
        let _ = ending.await;
    }
}

/// Sends from the exporter's thread, which has no runtime, through that of the program.
struct OnRuntime {
    runtime: Handle,
    client: reqwest::Client,
    /// True if the last request failed.
    failing: AtomicBool,
    complain: Complaint,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnRuntime").finish_non_exhaustive()
    }
}

impl OnRuntime {
    fn note(&self, failure: Option<String>) {
        let before = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        if let (Some(failure), false) = (failure, before) {
            (self.complain)(&failure);
        }
    }
}

#[async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let response = client.execute(request).await?;
            let mut answer = Response::new(Bytes::new());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = response.headers().clone();
            *answer.body_mut() = response.bytes().await?;
            Ok::<_, reqwest::Error>(answer)
        });
        let sent = sending.await?;
        let failure = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!(
                "the answer has the status {}",
                answer.status().as_u16()
            )),
            Err(error) if error.is_timeout() => Some("no answer in time".to_owned()),
            Err(_) => Some("the collector cannot be reached".to_owned()),
        };
        self.note(failure);
        Ok(sent?)
    }
}
