//! How a run is watched: what it shows on standard error, and what it serves.

use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;
use recording_host_engine::Pipeline;
use recording_host_observe::{Health, Metrics, serve};

use super::terminal::{self, Display};

#[derive(Debug, Default, Args)]
pub(super) struct Watch {
    /// Serve metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "RECORDING_HOST_METRICS_LISTEN"
    )]
    metrics_listen: Option<SocketAddr>,
}

/// What watches a run.
pub(super) struct Watching {
    watch: Watch,
    display: Display,
    metrics: Metrics,
    health: Health,
}

impl Watch {
    /// Begins to serve, if that is asked for.
    pub(super) async fn begin(self) -> anyhow::Result<Watching> {
        let (metrics, health) = (Metrics::new(env!("CARGO_PKG_VERSION")), Health::default());
        if let Some(address) = self.metrics_listen {
            let serving = serve(address, metrics.clone(), health.clone()).await;
            let (address, serving) =
                serving.with_context(|| format!("--metrics-listen {address}"))?;
            terminal::say("info", &format!("metrics at http://{address}/metrics"));
            tokio::spawn(serving);
        }
        Ok(Watching {
            watch: self,
            display: Display::begin(),
            metrics,
            health,
        })
    }
}

impl Watching {
    /// Watches the run of a pipeline.
    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        let name = pipeline.name().to_owned();
        let sinks = pipeline.sinks();
        let pipeline = pipeline.subscribe(self.display.subscriber(&name));
        match self.watch.metrics_listen {
            None => pipeline,
            Some(_) => pipeline
                .subscribe(self.metrics.subscriber(&name, &sinks))
                .subscribe(self.health.subscriber(&name)),
        }
    }

    /// Notes that the run of a source has ended.
    pub(super) fn ended(&self, source: &str) {
        self.health.ended(source);
        self.display.ended(source);
    }
}
