//! How a run is watched: what it writes on standard error, and what it serves.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use clap::{Args, ValueEnum};
use recording_host_engine::Pipeline;
use recording_host_model::{Level, Subscriber};
use recording_host_observe::{Format, Health, Log, Metrics, serve};

use super::terminal;

#[derive(Debug, Default, Args)]
pub(super) struct Watch {
    /// Serve metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "RECORDING_HOST_METRICS_LISTEN"
    )]
    metrics_listen: Option<SocketAddr>,
    /// The form of the lines on standard error; `json` writes one object a line.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Log every request, step and object as well.
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
    /// Log warnings and errors alone.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The observers of a run.
pub(super) struct Watching {
    watch: Watch,
    metrics: Metrics,
    health: Health,
}

impl Watch {
    /// Begins to serve, if that is asked for.
    pub(super) async fn begin(self) -> anyhow::Result<Watching> {
        if self.log_format == LogFormat::Json {
            terminal::write_json();
        }
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
        let pipeline = pipeline.subscribe(self.shown(&name));
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
    }

    fn shown(&self, name: &str) -> Arc<dyn Subscriber> {
        let least = match (self.watch.verbose, self.watch.quiet) {
            (true, _) => Level::Debug,
            (_, true) => Level::Warn,
            _ => Level::Info,
        };
        let log = |format| Arc::new(Log::new(name, format, least, std::io::stderr()));
        match self.watch.log_format {
            LogFormat::Json => log(Format::Json),
            LogFormat::Text if terminal::is_terminal() && least == Level::Info => {
                terminal::terminal(name)
            }
            LogFormat::Text => log(Format::Text),
        }
    }
}
