//! The parts of a run, seen from its loop: the source, the vendor's API, and the way to the sinks.
//!
//! Each is a trait of one or two calls, so that the loop can be simulated with faults in no time.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::task::{JoinError, spawn_blocking};

use crate::transfer::{DeliveryReport, SinkBinding, Transfer, TransferError};
use recording_host_http::{Calls, MonthlyRequests, Priority, RequestHalt, SourceHttp};
use recording_host_model::{
    Artifact, Purpose, Request, RequestError, Response, SourceError, SplitInput, SplitState,
    Started, Step,
};
use recording_host_source::{SandboxError, SourceComponent, Trace};

type Stepped<T> = Result<Result<T, SourceError>, SandboxError>;

/// Steps the splits of a source.
#[async_trait]
pub(crate) trait SourceRuntime: Send + Sync {
    async fn start(&self, purpose: Purpose, now: u64) -> Stepped<Started>;
    async fn step(&self, state: SplitState, event: SplitInput, now: u64) -> Stepped<Step>;
}

/// Answers the requests of a source.
#[async_trait]
pub(crate) trait HttpGateway: Send + Sync {
    async fn send(
        &self,
        kind: &str,
        priority: Priority,
        request: &Request,
    ) -> Result<Response, RequestError>;
    fn calls(&self) -> Calls;
    /// How often the API has refused a request that begins work, though the rate is within its limit.
    fn refused_to_begin(&self) -> u64;
    /// How much longer requests pause because the API asked for it, if they do.
    fn paused(&self) -> Option<Duration>;
    /// How long a further request of a priority would wait for the rate limit.
    fn delay(&self, priority: Priority) -> Duration;
    /// How many requests the vendor's current minute holds, and how many it may hold, if that is known.
    fn budget(&self) -> Option<(u64, u64)> {
        None
    }
    /// Why no request is sent any more for now, if that is so.
    fn halted(&self) -> Option<RequestHalt> {
        None
    }
    /// The requests of this month, if they are counted.
    fn month(&self) -> Option<MonthlyRequests> {
        None
    }
}

/// Delivers artifacts to the sinks.
#[async_trait]
pub(crate) trait ArtifactDelivery: Send + Sync {
    async fn deliver(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError>;
    /// Delivers an artifact that was not what it claims to be, or keeps aside what comes in its place.
    async fn keep_aside(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError> {
        self.deliver(artifact, bindings).await
    }
    /// How often origins of media have asked for less so far.
    fn backpressure(&self) -> u64;
    /// The room that is taken where downloads wait to be unpacked or transcoded, and all there is, in bytes.
    fn spooled(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// A component with the options of its source.
pub(crate) struct Sandboxed {
    pub(crate) component: SourceComponent,
    pub(crate) options: Arc<str>,
    pub(crate) trace: Option<Trace>,
}

impl Sandboxed {
    // A component may take its time, up to its deadline: not on a thread of the runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        call: &'static str,
        work: impl FnOnce(&SourceComponent, &str) -> Stepped<T> + Send + 'static,
    ) -> Stepped<T> {
        let (component, options) = (self.component.clone(), Arc::clone(&self.options));
        spawn_blocking(move || work(&component, &options))
            .await
            .unwrap_or_else(|error: JoinError| {
                let reason = error.to_string();
                Err(SandboxError::Trap { call, reason })
            })
    }
}

#[async_trait]
impl SourceRuntime for Sandboxed {
    async fn start(&self, purpose: Purpose, now: u64) -> Stepped<Started> {
        self.blocking("start", move |component, options| {
            component.start(options, &purpose, now)
        })
        .await
    }

    async fn step(&self, state: SplitState, event: SplitInput, now: u64) -> Stepped<Step> {
        let trace = self.trace.clone();
        self.blocking("step", move |component, options| {
            if let Some(trace) = trace {
                trace
                    .write(component, options, &state, &event, now)
                    .map_err(|error| SandboxError::Trap {
                        call: "record",
                        reason: error.to_string(),
                    })?;
            }
            component.step(options, state, event, now)
        })
        .await
    }
}

#[async_trait]
impl HttpGateway for SourceHttp {
    async fn send(
        &self,
        kind: &str,
        priority: Priority,
        request: &Request,
    ) -> Result<Response, RequestError> {
        SourceHttp::send(self, kind, priority, request).await
    }

    fn calls(&self) -> Calls {
        SourceHttp::calls(self)
    }

    fn refused_to_begin(&self) -> u64 {
        SourceHttp::refused_to_begin(self)
    }

    fn paused(&self) -> Option<Duration> {
        SourceHttp::paused(self)
    }

    fn delay(&self, priority: Priority) -> Duration {
        SourceHttp::delay(self, priority)
    }

    fn budget(&self) -> Option<(u64, u64)> {
        SourceHttp::budget(self)
    }

    fn halted(&self) -> Option<RequestHalt> {
        SourceHttp::halted(self)
    }

    fn month(&self) -> Option<MonthlyRequests> {
        SourceHttp::month(self)
    }
}

#[async_trait]
impl ArtifactDelivery for Transfer {
    async fn deliver(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError> {
        Transfer::deliver(self, artifact, bindings).await
    }

    async fn keep_aside(
        &self,
        artifact: &Artifact,
        bindings: &[&SinkBinding],
    ) -> Result<DeliveryReport, TransferError> {
        Transfer::keep_aside(self, artifact, bindings).await
    }

    fn backpressure(&self) -> u64 {
        Transfer::backpressure(self)
    }

    fn spooled(&self) -> (u64, u64) {
        Transfer::spool_room(self)
    }
}
