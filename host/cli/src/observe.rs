//! How a run is watched: what it shows on standard error, and what it serves.

use std::{net::SocketAddr, path::Path, sync::Arc};

use anyhow::Context;
use clap::Args;
use recording_host_config::Config;
use recording_host_engine::Pipeline;
use recording_host_model::clock::Clock;
use recording_host_observe::{
    Health, Measured, Metrics,
    notify::{Notifier, OnDelivery},
    otlp::Traces,
    serve,
};

use super::{
    service,
    terminal::{self, Display},
    ui::{Beside, Ui},
};

#[derive(Debug, Default, Args)]
pub(super) struct Watch {
    /// Serve metrics for Prometheus at `/metrics`, and health at `/healthz` and `/readyz`.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "RECORDING_HOST_METRICS_LISTEN"
    )]
    metrics_listen: Option<SocketAddr>,
    /// Send a trace of each fetch to the OpenTelemetry collector at this URL, by OTLP over HTTP.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    #[command(flatten)]
    ui: Ui,
}

/// The observers of a run.
pub(super) struct Watching {
    watch: Watch,
    display: Display,
    metrics: Metrics,
    health: Health,
    notifier: Option<Notifier>,
    traces: Option<Traces>,
    page: Beside,
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
        let traces = self.otlp_endpoint.as_deref().map(traces).transpose()?;
        Ok(Watching {
            traces,
            watch: self,
            display: Display::begin(),
            metrics,
            health,
            notifier: None,
            page: Beside::default(),
        })
    }
}

/// The name of the archive of a sink: two configurations may have a sink of one name.
fn location(sink: &str, config: &Path) -> String {
    format!("{sink} of {}", config.display())
}

/// Begins to send traces.
fn traces(endpoint: &str) -> anyhow::Result<Traces> {
    let complain = |reason: &str| {
        let text = format!("--otlp-endpoint: traces are lost: {reason}");
        terminal::say("warn", &text);
    };
    let traces = Traces::start(endpoint, env!("CARGO_PKG_VERSION"), Arc::new(complain));
    traces.context("--otlp-endpoint")
}

impl Watching {
    /// Begins to tell those whom a configuration names what happens.
    pub(super) async fn notify(&mut self, config: &Config) -> anyhow::Result<()> {
        let targets = config.notify()?;
        if let Some(notifier) = &mut self.notifier {
            return notifier.retarget(targets).await.context("notify");
        }
        if targets.is_empty() {
            return Ok(());
        }
        let metrics = self.metrics.clone();
        let report: OnDelivery = Arc::new(move |name, result| {
            metrics.notified(name, result.is_ok());
            if let Err(error) = result {
                let text = format!("notify.{name}: not delivered: {error}");
                terminal::say("warn", &text);
            }
        });
        let version = env!("CARGO_PKG_VERSION");
        let notifier = Notifier::start(targets, self.health.clone(), version, &report);
        self.notifier = Some(notifier.context("notify")?);
        Ok(())
    }

    /// Begins to show the run and its archive in a browser, if that is asked for.
    pub(super) async fn show(
        &mut self,
        config: &Config,
        path: &Path,
        state: impl Fn() -> &'static str + Send + Sync + 'static,
    ) -> anyhow::Result<()> {
        let ui = &self.watch.ui;
        self.page = ui.begin(config, |sink| location(sink, path), state).await?;
        Ok(())
    }

    /// Has the page show the archive of the configuration that takes the place of the one before. If that cannot
    /// be, it says so, and the page stays as it is.
    pub(super) async fn turn_page(&self, config: &Config, path: &Path) {
        let turned = self.page.turn_to(config, |sink| location(sink, path)).await;
        if let Err(error) = turned {
            let text = format!("--ui: {error:#}; the page shows the archive of before");
            terminal::say("warn", &text);
        }
    }

    /// Tells a service manager that the program is ready, and that it lives.
    pub(super) fn ready(&self) {
        self.display.log_lines();
        service::ready(&self.health);
    }

    /// Notes why a run failed; of none in particular, why none began.
    pub(super) fn failed(&self, source: &str, error: &str) {
        if let Some(notifier) = &self.notifier {
            notifier.failed(source, error);
        }
    }

    /// Takes the display away, so that what is printed next stands by itself.
    pub(super) fn end_display(&mut self) {
        self.display = Display::none();
    }

    /// Lets everybody be told what is left to tell.
    pub(super) async fn finish(self) {
        service::stopping();
        if let Some(notifier) = self.notifier {
            notifier.finish().await;
        }
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }

    /// Watches the run of a pipeline of a configuration.
    pub(super) fn over(&self, pipeline: Pipeline, config: &Config, clock: Clock) -> Pipeline {
        let name = pipeline.name().to_owned();
        let type_of = |key: String| config.type_of(&key).unwrap_or_default().to_owned();
        let endless = pipeline.interval().until.is_none();
        let sinks = pipeline.sinks().into_iter();
        let sinks = sinks.map(|sink| (sink.clone(), type_of(format!("sinks.{sink}"))));
        let measured = Measured {
            source: name.clone(),
            source_type: type_of(format!("sources.{name}")),
            sinks: sinks.collect(),
            clock,
            endless,
        };
        let mut pipeline = self
            .page
            .over(pipeline)
            .subscribe(self.display.subscriber(&name))
            .subscribe(self.health.subscriber(&name));
        if let Some(notifier) = &self.notifier {
            pipeline = pipeline.subscribe(notifier.subscriber(&name, clock, endless));
        }
        match self.watch.metrics_listen {
            None => pipeline,
            Some(_) => pipeline.subscribe(self.metrics.subscriber(measured)),
        }
    }

    /// Notes that the run of a source has ended.
    pub(super) fn ended(&self, source: &str) {
        self.health.ended(source);
        self.display.ended(source);
        self.page.ended(source);
    }
}
