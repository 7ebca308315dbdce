//! Sets a run up: from a source's configuration and its sinks to a [`Run`].

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{sync::watch, time::Instant};

use super::{Concurrency, OnProgress, OnWarning, Run, RunError, Summary, source_error};
use crate::{
    clock::Clock,
    config::{Auth, SourceConfig},
    grant::{Allow, Grant, Limiter, OAuth, PublicOnly},
    metadata,
    queue::Queue,
    sandbox::{AuthScheme, Component, OriginRole, Purpose, SourceError, TimeRange, hex},
    sink::Sink,
    trace::Trace,
    transfer::{Output, Transfer, Zip},
};

/// An export from one source to some sinks.
#[derive(Clone)]
pub struct Pipeline {
    name: String,
    source: SourceConfig,
    component: Component,
    outputs: Vec<Output>,
    data_dir: PathBuf,
    clock: Clock,
    concurrency: Concurrency,
    on_progress: Option<OnProgress>,
    on_warning: Option<OnWarning>,
    trace: Option<Trace>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("component", &self.component)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

impl Pipeline {
    /// An export from the source `name`, whose queue is in `data_dir`.
    #[must_use]
    pub fn new(name: &str, source: SourceConfig, component: Component, data_dir: &Path) -> Self {
        Pipeline {
            name: name.to_owned(),
            source,
            component,
            outputs: Vec::new(),
            data_dir: data_dir.to_owned(),
            clock: Clock::default(),
            concurrency: Concurrency::default(),
            on_progress: None,
            on_warning: None,
            trace: None,
        }
    }

    /// Adds a sink, which gets everything that the source yields.
    #[must_use]
    pub fn sink(self, name: &str, sink: Arc<dyn Sink>, zip: Zip) -> Self {
        self.output(Output {
            name: name.to_owned(),
            sink,
            zip,
            metadata: metadata::Settings::default(),
        })
    }

    /// Adds a sink that wants its rows in a way of its own.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.outputs.push(output);
        self
    }

    /// Uses another clock than the real one.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Bounds what is under way at once.
    #[must_use]
    pub fn concurrency(mut self, concurrency: Concurrency) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Calls `report` now and then with the state of the run.
    #[must_use]
    pub fn on_progress(mut self, report: OnProgress) -> Self {
        self.on_progress = Some(report);
        self
    }

    /// Calls `warn` with each warning of the source.
    #[must_use]
    pub fn on_warning(mut self, warn: OnWarning) -> Self {
        self.on_warning = Some(warn);
        self
    }

    /// Writes down every step of the component.
    #[must_use]
    pub fn record(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs the export to its end.
    ///
    /// # Errors
    /// [`RunError`]; another run of the same export goes on from there.
    pub async fn run(self) -> Result<Summary, RunError> {
        // The sender must outlive the run: without it the receiver would be told of its end.
        let (_running, stop) = watch::channel(false);
        self.run_until(stop).await
    }

    /// Runs the export to its end, or until `stop` turns true.
    ///
    /// # Errors
    /// [`RunError`]; another run of the same export goes on from there.
    pub async fn run_until(self, stop: watch::Receiver<bool>) -> Result<Summary, RunError> {
        let began = Instant::now();
        for output in &self.outputs {
            output.sink.check().await?;
        }
        let run = self.set_up().await?;
        run.go(stop).await?;
        let progress = run.queue.progress().await?;
        let losses = run.queue.losses(1000).await?;
        Ok(Summary::new(
            progress,
            run.grant.calls(),
            losses,
            began.elapsed().as_secs_f64(),
        ))
    }

    async fn set_up(self) -> Result<Run, RunError> {
        let descriptor = self.component.describe()?;
        let export = self.export();
        let range = self.source.interval.clone();
        let purpose = Purpose::Export(TimeRange {
            from: range.from,
            until: range.until,
        });
        let options: Arc<str> = self.source.options.to_string().into();
        let started = self
            .component
            .start(&options, &purpose, self.clock.now())?
            .map_err(|error| match error {
                SourceError::Options(error) => RunError::Options(error),
                error => RunError::Source(source_error(&error)),
            })?;
        let allow = Allow::new(
            &started.origins,
            self.source.allow.as_deref(),
            self.source.allow_private_addresses,
        );
        let token_url = started
            .origins
            .iter()
            .find(|origin| origin.role == OriginRole::Token);
        let oauth = match (descriptor.auth, &self.source.auth, token_url) {
            (AuthScheme::None, _, _) => None,
            (
                AuthScheme::Oauth2ClientCredentials,
                Some(Auth {
                    client_id,
                    client_secret,
                }),
                Some(endpoint),
            ) => {
                let endpoint = allow.token(&endpoint.url).map_err(|error| {
                    RunError::Host(format!(
                        "sources.{}: the credentials are not sent to the token endpoint: {error}",
                        self.name
                    ))
                })?;
                Some(OAuth::new(
                    endpoint,
                    client_id.clone(),
                    client_secret.clone(),
                ))
            }
            (AuthScheme::Oauth2ClientCredentials, None, _) => {
                return Err(RunError::Host(format!(
                    "sources.{}.auth: this source needs `client_id` and `client_secret`",
                    self.name
                )));
            }
            (scheme, _, _) => {
                return Err(RunError::Host(format!(
                    "sources.{}: the component asks for {scheme:?}, which this host cannot give",
                    self.name
                )));
            }
        };
        let queue = Queue::open(&self.data_dir, &export)?;
        queue.add(started.splits, self.clock.now()).await?;
        let grant = Grant::new(
            client(Some(Duration::from_secs(60)), &allow)?,
            allow.clone(),
            oauth,
            Limiter::new(descriptor.rate_limit),
            self.clock,
        );
        let transfer = Transfer::new(
            client(None, &allow)?,
            allow,
            self.outputs.clone(),
            queue.clone(),
            self.data_dir.clone(),
            self.clock,
        );
        Ok(Run {
            export,
            options,
            component: self.component,
            grant: Arc::new(grant),
            transfer: Arc::new(transfer),
            outputs: self.outputs,
            queue,
            clock: self.clock,
            concurrency: self.concurrency,
            on_progress: self.on_progress,
            on_warning: self.on_warning,
            trace: self.trace,
        })
    }

    /// The export's name: the source's, and a digest of what is exported to where.
    fn export(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.source.options.to_string());
        let range = &self.source.interval;
        digest.update(format!("\n{}/{}", range.from, range.until));
        for output in &self.outputs {
            digest.update(format!("\n{} {:?}", output.name, output.zip));
        }
        let name: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        format!("{name}-{}", &hex(&digest.finalize())[..12])
    }
}

/// A client for the API or the media; redirects are not followed, since they could lead anywhere.
fn client(timeout: Option<Duration>, allow: &Allow) -> Result<reqwest::Client, RunError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("recording-host/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(15))
        .pool_max_idle_per_host(32);
    // Behind a proxy, names are resolved by the proxy, whose own address is mostly private.
    let proxied = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !allow.private() && !proxied {
        builder = builder.dns_resolver(Arc::new(PublicOnly));
    }
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    builder
        .build()
        .map_err(|error| RunError::Host(format!("the HTTP client: {error}")))
}
