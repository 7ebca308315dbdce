//! The configuration: YAML or TOML, unknown keys refused, each error with the key it is about.

#[cfg_attr(
    not(any(feature = "s3", feature = "sink-azure-blob", feature = "sink-gcs")),
    allow(dead_code, reason = "buckets need more of it than notices do")
)]
mod address;
mod allow;
mod auth;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(not(feature = "cluster"))]
#[path = "without_cluster.rs"]
mod cluster;
mod error;
mod example;
mod file;
mod interval;
mod limits;
#[cfg_attr(
    not(any(feature = "s3", feature = "sink-azure-blob", feature = "sink-gcs")),
    allow(dead_code, reason = "buckets need more of it than folders do")
)]
mod location;
#[cfg(test)]
mod newcomer_tests;
mod notify;
mod overlap;
mod parse;
mod path;
mod routes;
mod samples;
mod schema;
pub mod secret;
mod secret_scope;
#[cfg_attr(
    not(all(
        feature = "s3",
        feature = "sink-azure-blob",
        feature = "sink-gcs",
        feature = "sink-http"
    )),
    allow(
        dead_code,
        unused_variables,
        reason = "sinks that are left out need more of it"
    )
)]
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod wording;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

#[cfg(feature = "cluster")]
pub use cluster::Cluster;
#[cfg(not(feature = "cluster"))]
use cluster::Cluster;
use cluster::RawCluster;
pub use error::ConfigError;
pub use example::{UnknownType, example};
pub use interval::interval;
use notify::NotifierConfig;
use parse::{parse, parse_typed};
use path::{check_folder, check_path};
use routes::check_routes;
pub use samples::{Expectation, Sample};
pub use schema::schema;
pub use secret_scope::SecretScope;
use sink::SinkConfig;
use source::ComponentOrigin;
pub use source::wrong_option;
use text::Positions;

use crate::secret::Backend;
use limits::{RawLimits, check_concurrency, check_prices, check_wait};
use recording_host_engine::{
    plan::Prices,
    run::{Concurrency, Pipeline, SourceConfig},
};
use recording_host_http::{Limiters, Throttle};
use recording_host_model::{Error, ErrorKind, clock::Clock, layout::Layout};
use recording_host_observe::notify::NoticeTarget;
use recording_host_sink::Sink;

/// A configuration whose keys are known to be right.
#[derive(Debug)]
pub struct Config {
    /// Where queues are kept.
    pub data_dir: PathBuf,
    /// Limits on work under way at once.
    pub concurrency: Concurrency,
    scope: SecretScope,
    secrets: BTreeMap<String, Backend>,
    sources: BTreeMap<String, (ComponentOrigin, SourceConfig)>,
    sinks: BTreeMap<String, SinkConfig>,
    notify: BTreeMap<String, NotifierConfig>,
    throttle: Throttle,
    prices: Option<Prices>,
    #[cfg_attr(not(feature = "cluster"), allow(dead_code))]
    cluster: Option<Cluster>,
    tests: Vec<Sample>,
    /// The `type` of each source and sink, by its key.
    types: BTreeMap<String, String>,
    positions: Positions,
}

/// The exports: from which sources to which sinks.
#[derive(Deserialize, JsonSchema)]
#[schemars(title = "A configuration of recording-host")]
#[serde(deny_unknown_fields)]
struct RawConfig {
    /// The folder for the queues; kept between runs, it lets a run resume where the last one stopped.
    #[schemars(example = &"/var/lib/recording-host")]
    data_dir: PathBuf,
    /// Backends for `SECRET[backend.key]`, by name.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Backend>")]
    secret: BTreeMap<String, Value>,
    /// Where recordings come from, by name.
    #[schemars(schema_with = "schema::sources")]
    sources: BTreeMap<String, Value>,
    /// Where recordings go, by name.
    #[schemars(schema_with = "schema::sinks")]
    sinks: BTreeMap<String, Value>,
    /// How many things are under way at once.
    #[serde(default)]
    concurrency: Concurrency,
    /// How much is downloaded, and when.
    #[serde(default)]
    limits: RawLimits,
    /// The prices of requests, traffic and storage, for `plan`.
    #[serde(default)]
    prices: Option<Prices>,
    /// The fleet that this machine is part of; without it, the machine does all by itself.
    #[serde(default)]
    #[schemars(with = "Option<RawCluster>")]
    cluster: Option<Value>,
    /// Who is told when a run fails, loses recordings or falls behind, by name.
    #[serde(default)]
    #[schemars(schema_with = "notify::schema")]
    notify: BTreeMap<String, Value>,
    /// Conversations that `test` tries this configuration on, and what is expected of each.
    #[serde(default)]
    tests: Vec<samples::RawSample>,
}

fn key(at: impl Into<String>, reason: impl ToString) -> ConfigError {
    ConfigError::Key {
        at: at.into(),
        reason: reason.to_string(),
    }
}

/// The `type` of everything in some tables of the configuration, by its key.
fn types(tables: &[(&str, &BTreeMap<String, Value>)]) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for (table, parts) in tables {
        for (name, part) in *parts {
            if let Some(of) = part["type"].as_str() {
                types.insert(format!("{table}.{name}"), of.to_owned());
            }
        }
    }
    types
}

impl Config {
    /// Reads and checks a file; names ending in `.toml` are TOML, all others YAML.
    ///
    /// # Errors
    /// [`Error`] names the key, with its line and column.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::load_for(path, SecretScope::All)
    }

    /// As [`load`](Self::load), but other secrets than those of `scope` are not read, and nothing that needs
    /// them can be done with the configuration.
    ///
    /// # Errors
    /// As there.
    pub fn load_for(path: &Path, scope: SecretScope) -> Result<Self, Error> {
        Self::load_within(path, scope, Duration::MAX)
    }

    /// As [`load_for`](Self::load_for), but each command that prints a secret may take no longer than `limit`.
    ///
    /// # Errors
    /// As there.
    pub fn load_within(path: &Path, scope: SecretScope, limit: Duration) -> Result<Self, Error> {
        let (value, positions) = text::load(path)?;
        match Self::checked(value, scope, limit) {
            Ok(config) => Ok(Config {
                positions,
                ..config
            }),
            Err(error) => Err(positions.locate(error).into()),
        }
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// [`Error`] names the key.
    pub fn new(value: Value) -> Result<Self, Error> {
        Ok(Self::checked(value, SecretScope::All, Duration::MAX)?)
    }

    /// Warnings about keys of sinks that are given by their former names, and about notices of a lag that
    /// there always is. Those about options of a source come from [`validate`](Self::validate) and from a
    /// run, which know the component.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let sinks = self.sinks.values().flat_map(SinkConfig::warnings).cloned();
        let mut warnings: Vec<String> = sinks.collect();
        for (notifier, reported) in &self.notify {
            let Some(lag) = reported.lag_seconds() else {
                continue;
            };
            for (name, (_, source)) in &self.sources {
                let follow = source.follow;
                let usual = (follow.settle + follow.every).as_secs();
                if source.interval.until.is_none() && lag <= usual {
                    warnings.push(format!(
                        "notify.{notifier}.lag_seconds: {lag} is no more than `follow.settle_seconds` and `follow.every_seconds` of `sources.{name}` together ({usual}), so lag is reported when there is none; choose more"
                    ));
                }
            }
        }
        warnings
    }

    fn checked(value: Value, scope: SecretScope, limit: Duration) -> Result<Self, ConfigError> {
        let raw: RawConfig = parse("", value)?;
        check_path("data_dir", &raw.data_dir, "a folder for the queues")?;
        check_concurrency(raw.concurrency)?;
        let throttle = raw.limits.throttle()?;
        let cluster = raw.cluster.map(cluster::parsed).transpose()?;
        raw.prices.as_ref().map_or(Ok(()), check_prices)?;
        let mut secrets = BTreeMap::new();
        for (name, value) in raw.secret {
            let at = format!("secret.{name}");
            let backend: Backend = parse_typed(&at, value)?;
            if let Backend::Directory { path } | Backend::File { path } = &backend {
                check_path(&format!("{at}.path"), path, "where the secrets are")?;
            }
            if let Backend::Exec {
                timeout_seconds, ..
            } = &backend
            {
                check_wait(&format!("{at}.timeout_seconds"), *timeout_seconds, 1)?;
            }
            secrets.insert(name, backend.within(limit));
        }
        let unread = secret_scope::unread(&secrets);
        let (of_sources, of_sinks, keys) = scope.backends(&secrets, &unread);
        let types = types(&[("sources", &raw.sources), ("sinks", &raw.sinks)]);
        let mut sources = BTreeMap::new();
        for (name, value) in raw.sources {
            let source = source::source(&name, value, of_sources, keys)?;
            sources.insert(name, source);
        }
        if sources.is_empty() {
            return Err(key("sources", "is empty; add one"));
        }
        let mut sinks = BTreeMap::new();
        for (name, value) in raw.sinks {
            let sink = SinkConfig::new(&name, value)?;
            for input in sink.inputs().unwrap_or_default() {
                if !sources.contains_key(input) {
                    return Err(key(
                        format!("{}.inputs", sink.at()),
                        format!("there is no source `{input}`"),
                    ));
                }
            }
            sinks.insert(name, sink);
        }
        overlap::refuse(&sinks, &raw.data_dir, of_sinks)?;
        check_routes(&sources, &sinks)?;
        Ok(Config {
            data_dir: raw.data_dir,
            tests: samples::checked("tests", raw.tests, &sources, &sinks)?,
            concurrency: raw.concurrency,
            secrets: of_sinks.clone(),
            scope,
            sources,
            sinks,
            notify: notify::parsed(raw.notify)?,
            throttle,
            prices: raw.prices,
            cluster,
            types,
            positions: Positions::default(),
        })
    }

    /// Checks what can be checked offline: the components, their options, and the sinks' secrets. Returns
    /// all [`warnings`](Self::warnings), those about options included.
    ///
    /// # Errors
    /// [`Error`] names the key.
    pub fn validate(&self, clock: Clock) -> Result<Vec<String>, Error> {
        let checked = self.check(clock);
        Ok(checked.map_err(|error| self.positions.locate(error))?)
    }

    fn check(&self, clock: Clock) -> Result<Vec<String>, ConfigError> {
        let mut warnings = self.warnings();
        check_folder(&self.data_dir).map_err(|reason| key("data_dir", reason))?;
        for (name, (origin, source)) in &self.sources {
            let component = origin.load(name)?;
            source::check_options(name, source, &component, clock)?;
            let described = component.describe();
            let described = described.map_err(|source| ConfigError::Component {
                at: name.clone(),
                source,
            })?;
            warnings.extend(source.warnings(name, &described.options_schema));
        }
        for sink in self.sinks.values() {
            sink.validate(&self.secrets)?;
        }
        self.targets()?;
        Ok(warnings)
    }

    /// Loads the components, makes the sinks, and joins them: a pipeline for each source.
    ///
    /// # Errors
    /// [`Error`] names the key.
    pub async fn pipelines(&self, clock: Clock) -> Result<Vec<Pipeline>, Error> {
        let joined = self.join(clock).await;
        Ok(joined.map_err(|error| self.positions.locate(error))?)
    }

    async fn join(&self, clock: Clock) -> Result<Vec<Pipeline>, ConfigError> {
        let mut pipelines = Vec::new();
        // Sources with one client share the vendor's limit for it.
        let limiters = Limiters::default();
        for name in self.sources.keys() {
            pipelines.push(self.pipeline(name, clock, &limiters).await?);
        }
        Ok(pipelines)
    }

    /// As [`pipelines`](Self::pipelines), but a source whose component fails while it is asked whether it accepts its
    /// options costs itself alone: it comes by name, with its error, beside the pipelines of the others.
    ///
    /// # Errors
    /// As there, or if all components fail.
    pub async fn usable_pipelines(
        &self,
        clock: Clock,
    ) -> Result<(Vec<Pipeline>, Vec<(String, Error)>), Error> {
        let (mut pipelines, mut failed) = (Vec::new(), Vec::new());
        let limiters = Limiters::default();
        for name in self.sources.keys() {
            match self.pipeline(name, clock, &limiters).await {
                Ok(pipeline) => pipelines.push(pipeline),
                Err(error) if error.is_trap() => failed.push((name.clone(), error)),
                Err(error) => return Err(self.positions.locate(error).into()),
            }
        }
        if pipelines.is_empty()
            && let Some((_, error)) = failed.pop()
        {
            return Err(self.positions.locate(error).into());
        }
        let failed = failed.into_iter();
        let failed = failed.map(|(name, error)| (name, Error::new(ErrorKind::Component, error)));
        Ok((pipelines, failed.collect()))
    }

    /// One whose secrets are not read tells of its queue alone.
    async fn pipeline(
        &self,
        name: &str,
        clock: Clock,
        limiters: &Limiters,
    ) -> Result<Pipeline, ConfigError> {
        let (origin, source) = &self.sources[name];
        let (load, of) = (origin.clone(), name.to_owned());
        // Compiling takes a second: not on a thread that others wait for.
        let loading = tokio::task::spawn_blocking(move || load.load(&of)).await;
        let component = match loading {
            Ok(component) => component?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        source::check_options(name, source, &component, clock)?;
        let mut pipeline = Pipeline::new(name, source.clone(), component, &self.data_dir)
            .clock(clock)
            .limiters(limiters)
            .throttle(&self.throttle)
            .concurrency(self.concurrency);
        for (sink_name, sink) in &self.sinks {
            if sink.takes(name) {
                let made = match self.scope {
                    SecretScope::All => sink.sink(&self.secrets).await?,
                    SecretScope::Sinks | SecretScope::Queues | SecretScope::Nothing => {
                        sink.unopened()
                    }
                };
                pipeline = pipeline.bind(sink.binding(sink_name, made));
            }
        }
        Ok(pipeline)
    }

    /// The throttle of all its pipelines.
    #[must_use]
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// The fleet that this machine is part of, if it is part of one.
    #[cfg(feature = "cluster")]
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// The prices by which an export is estimated, if they are given.
    #[must_use]
    pub fn prices(&self) -> Option<&Prices> {
        self.prices.as_ref()
    }

    /// The `type` of a source or a sink, by its key, such as `sinks.lake`.
    #[must_use]
    pub fn type_of(&self, key: &str) -> Option<&str> {
        self.types.get(key).map(String::as_str)
    }

    /// Returns true if a sink writes to standard output, which nothing else may write to then.
    #[must_use]
    pub fn prints(&self) -> bool {
        self.sinks.values().any(SinkConfig::prints)
    }

    /// Makes the sinks alone, by name.
    ///
    /// # Errors
    /// [`Error`] names the key.
    pub async fn sinks(&self) -> Result<Vec<(String, Arc<dyn Sink>)>, Error> {
        let mut sinks = Vec::new();
        for (name, sink) in &self.sinks {
            let made = sink.sink(&self.secrets).await;
            let made = made.map_err(|error| self.positions.locate(error))?;
            sinks.push((name.clone(), made));
        }
        Ok(sinks)
    }

    /// Who is told what happens in a run.
    ///
    /// # Errors
    /// [`Error`] names the key of a secret that is unavailable.
    #[doc(hidden)]
    pub fn notify(&self) -> Result<Vec<NoticeTarget>, Error> {
        let targets = self.targets();
        Ok(targets.map_err(|error| self.positions.locate(error))?)
    }

    fn targets(&self) -> Result<Vec<NoticeTarget>, ConfigError> {
        let notifiers = self.notify.iter();
        notifiers
            .map(|(name, notifier)| notifier.target(name, &self.secrets))
            .collect()
    }

    /// The location of a sink in one form, however it is written: `file:/mnt/archive`,
    /// `s3:https://s3.amazonaws.com/bucket/prefix/`. It holds no secret; two sinks of a
    /// configuration never share one.
    #[must_use]
    pub fn location(&self, sink: &str) -> Option<String> {
        self.sinks.get(sink).map(|sink| sink.location().to_string())
    }

    /// Where the media lie in a sink.
    #[must_use]
    pub fn layout(&self, sink: &str) -> Option<&Layout> {
        self.sinks.get(sink).map(SinkConfig::layout)
    }
}
