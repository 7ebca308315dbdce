//! The configuration: YAML or TOML, unknown keys refused, each error with the key it is about.

mod example;
mod schema;
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

mod auth;

use std::{collections::BTreeMap, path::Path, path::PathBuf, sync::Arc, time::Duration};

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub use example::{UnknownType, example};
pub use schema::schema;
use sink::SinkConfig;

use crate::{
    clock::Clock,
    layout::Layout,
    privacy::{self, Privacy},
    run::{Concurrency, Follow, Pipeline},
    sandbox::{BUILTIN, Component, SandboxError},
    secret::{self, Backend, SecretError},
    sink::Sink,
    transfer::Output,
};

/// How long after its end a conversation's recordings are waited for, unless the source says otherwise.
const LATE_HOURS: u64 = 24;

/// How long after its end a conversation is asked for once more, unless the source says otherwise.
const CONFIRM_HOURS: u64 = 2;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is not YAML or TOML.
    #[error("{path}: {reason}")]
    Syntax {
        /// The file.
        path: String,
        /// Line, column and what is wrong.
        reason: String,
    },
    /// A key is unknown, missing, or has a wrong value.
    #[error("{at}: {reason}")]
    Key {
        /// The key's path.
        at: String,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// A secret cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A component cannot be used.
    #[error("sources.{at}: {source}")]
    Component {
        /// The source.
        at: String,
        /// What is wrong with it.
        source: SandboxError,
    },
}

/// A configuration whose keys are known to be right.
#[derive(Debug)]
pub struct Config {
    /// Where queues are kept.
    pub data_dir: PathBuf,
    /// What may be under way at once.
    pub concurrency: Concurrency,
    secrets: BTreeMap<String, Backend>,
    sources: BTreeMap<String, (Origin, SourceConfig)>,
    sinks: BTreeMap<String, SinkConfig>,
}

/// A source, ready to be set up.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// The component's options, a JSON object without `interval`.
    pub options: Value,
    /// What is exported: conversations that began in this range.
    pub interval: Interval,
    /// The credentials.
    pub auth: Option<Auth>,
    /// The origins that the operator allows; none for all that the component wants.
    pub allow: Option<Vec<String>>,
    /// Whether connections to private addresses are allowed.
    pub allow_private_addresses: bool,
    /// What is taken out of what the source tells before it is written down.
    pub privacy: Privacy,
    /// How an export with an open end keeps up.
    pub follow: Follow,
    /// How long after a conversation's end its recordings are waited for.
    pub late: Duration,
    /// How long after its end a conversation is asked for once more, if it was fetched before.
    pub confirm: Duration,
}

/// Who a source's requests are made as.
#[derive(Clone, Debug)]
pub enum Auth {
    /// An OAuth client.
    Client {
        /// The client's id.
        id: SecretString,
        /// The client's secret.
        secret: SecretString,
    },
    /// An AWS identity.
    #[cfg(feature = "s3")]
    Aws(Box<AwsAuth>),
}

/// An AWS identity, and what its requests are signed for.
#[cfg(feature = "s3")]
#[derive(Clone, Debug)]
pub struct AwsAuth {
    /// Where its credentials come from.
    pub identity: crate::sink::s3::Identity,
    /// The region; without one, that of the source's options, or of AWS' own settings.
    pub region: Option<String>,
    /// The service, such as `s3`.
    pub service: String,
}

/// A half-open range of time, in ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first instant inside.
    pub from: u64,
    /// The first instant after it; none if it has no end.
    pub until: Option<u64>,
}

#[derive(Debug)]
enum Origin {
    Builtin(&'static [u8]),
    File {
        path: PathBuf,
        sha256: Option<String>,
    },
}

/// What is exported from where to where.
#[derive(Deserialize, JsonSchema)]
#[schemars(title = "A configuration of recording-host")]
#[serde(deny_unknown_fields)]
struct RawConfig {
    /// The folder for the queues; kept between runs, it lets a run go on where the last one stopped.
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
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawSource {
    r#type: String,
    /// The component's file.
    #[serde(default)]
    #[schemars(example = &"my-source.wasm")]
    path: Option<PathBuf>,
    /// The sha256 that the file must have.
    #[serde(default)]
    #[schemars(example = &"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    sha256: Option<String>,
    /// OAuth client credentials; the component never sees them.
    #[serde(default)]
    auth: Option<Value>,
    /// Origins that may be reached. What the component wants and this list does not cover is refused.
    #[serde(default)]
    #[schemars(example = ["https://api.mypurecloud.ie", "https://*.amazonaws.com"])]
    allow: Option<Vec<String>>,
    /// Whether loopback and private networks may be reached, and by plain HTTP.
    #[serde(default)]
    allow_private_addresses: bool,
    /// Personal values that are taken out before anything is written down.
    #[serde(default)]
    privacy: Option<RawPrivacy>,
    /// For intervals without an end: how the export keeps up.
    #[serde(default)]
    follow: Follow,
    /// How long after a conversation's end recordings that are not ready are asked for again, in hours.
    #[serde(default)]
    #[schemars(extend("default" = LATE_HOURS))]
    late_hours: Option<u64>,
    /// How long after its end a conversation that was fetched before is asked for once more, in hours; 0 for never.
    #[serde(default)]
    #[schemars(extend("default" = CONFIRM_HOURS))]
    confirm_hours: Option<u64>,
    /// What is exported, and how.
    options: Value,
}

/// What of a source's personal values is written down, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPrivacy {
    /// What pseudonyms are made with, 32 random characters or more; keep it secret.
    #[serde(default)]
    #[schemars(example = &"SECRET[env.PSEUDONYM_KEY]")]
    key: Option<String>,
    /// Fields whose values are replaced by pseudonyms.
    #[serde(default)]
    #[schemars(example = ["ani", "dnis", "agents", "attributes.customer_id"])]
    pseudonymise: Vec<String>,
    /// Fields that are left out.
    #[serde(default)]
    #[schemars(example = ["tags", "attributes.*", "reason"])]
    drop: Vec<String>,
}

impl RawPrivacy {
    fn resolved(
        self,
        at: &str,
        secrets: &BTreeMap<String, Backend>,
    ) -> Result<Privacy, ConfigError> {
        let fields = privacy::Fields {
            pseudonymise: self.pseudonymise,
            drop: self.drop,
        };
        let secret = self
            .key
            .map(|value| secret::resolve(&value, &format!("{at}.key"), secrets));
        Privacy::new(&fields, secret.transpose()?)
            .map_err(|error| key(format!("{at}.{}", error.at), error.reason))
    }
}

fn key(at: impl Into<String>, reason: impl ToString) -> ConfigError {
    ConfigError::Key {
        at: at.into(),
        reason: reason.to_string(),
    }
}

fn parse<T: DeserializeOwned>(at: &str, value: Value) -> Result<T, ConfigError> {
    serde_json::from_value(value).map_err(|error| key(at, error))
}

impl Config {
    /// Reads and checks a file; names ending in `.toml` are TOML, all others YAML.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: name.clone(),
            source,
        })?;
        let syntax = |reason: String| ConfigError::Syntax {
            path: name.clone(),
            reason,
        };
        let value: Value = if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            toml::from_str(&text).map_err(|error| syntax(error.to_string()))?
        } else {
            serde_yaml_ng::from_str(&text).map_err(|error| syntax(error.to_string()))?
        };
        Self::new(value)
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn new(value: Value) -> Result<Self, ConfigError> {
        let raw: RawConfig = parse("the configuration", value)?;
        let mut secrets = BTreeMap::new();
        for (name, value) in raw.secret {
            let backend = parse(&format!("secret.{name}"), value)?;
            secrets.insert(name, backend);
        }
        let mut sources = BTreeMap::new();
        for (name, value) in raw.sources {
            let source = source(&name, value, &secrets)?;
            sources.insert(name, source);
        }
        if sources.is_empty() {
            return Err(key("sources", "there is none; add one"));
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
        for (name, (_, source)) in &sources {
            for sink in sinks.values().filter(|sink| sink.takes(name)) {
                if let Some(field) = sink.blind(&source.privacy) {
                    return Err(key(
                        format!("{}.condition.{field}", sink.at()),
                        format!(
                            "`sources.{name}.privacy` takes `{field}` out before sinks are chosen; leave out one of them"
                        ),
                    ));
                }
            }
            if !sinks.values().any(|sink| sink.takes(name)) {
                return Err(key(
                    "sinks",
                    format!("no sink takes the source `{name}`; name it in a sink's `inputs`"),
                ));
            }
        }
        Ok(Config {
            data_dir: raw.data_dir,
            concurrency: raw.concurrency,
            secrets,
            sources,
            sinks,
        })
    }

    /// Checks what can be checked offline: the components, their options, and the sinks' secrets.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub fn validate(&self, clock: Clock) -> Result<(), ConfigError> {
        for (name, (origin, source)) in &self.sources {
            self.check_options(name, source, &load(name, origin)?, clock)?;
        }
        for sink in self.sinks.values() {
            sink.validate(&self.secrets)?;
        }
        Ok(())
    }

    /// Loads the components, makes the sinks, and joins them: a pipeline for each source.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub async fn pipelines(&self, clock: Clock) -> Result<Vec<Pipeline>, ConfigError> {
        let mut pipelines = Vec::new();
        for (name, (origin, source)) in &self.sources {
            let component = load(name, origin)?;
            self.check_options(name, source, &component, clock)?;
            let mut pipeline = Pipeline::new(name, source.clone(), component, &self.data_dir)
                .clock(clock)
                .concurrency(self.concurrency);
            for (sink_name, sink) in &self.sinks {
                if sink.takes(name) {
                    let made = sink.sink(&self.secrets).await?;
                    pipeline = pipeline.output(Output {
                        zip: sink.zip(),
                        transcode: sink.transcode(),
                        metadata: sink.metadata(),
                        route: sink.route(),
                        layout: sink.layout().clone(),
                        ..Output::new(sink_name, made)
                    });
                }
            }
            pipelines.push(pipeline);
        }
        Ok(pipelines)
    }

    /// Whether a sink writes to standard output, which nothing else may write to then.
    #[must_use]
    pub fn prints(&self) -> bool {
        self.sinks.values().any(SinkConfig::prints)
    }

    /// Makes the sinks alone, by name.
    ///
    /// # Errors
    /// [`ConfigError`] names the key.
    pub async fn sinks(&self) -> Result<Vec<(String, Arc<dyn Sink>)>, ConfigError> {
        let mut sinks = Vec::new();
        for (name, sink) in &self.sinks {
            sinks.push((name.clone(), sink.sink(&self.secrets).await?));
        }
        Ok(sinks)
    }

    /// Where the media lie in a sink.
    #[must_use]
    pub fn layout(&self, sink: &str) -> Option<&Layout> {
        self.sinks.get(sink).map(SinkConfig::layout)
    }

    fn check_options(
        &self,
        name: &str,
        source: &SourceConfig,
        component: &Component,
        clock: Clock,
    ) -> Result<(), ConfigError> {
        use crate::sandbox::{Find, Purpose, SourceError, TimeRange};
        let now = clock.now();
        let purpose = Purpose::Find(Find {
            name: "check".to_owned(),
            range: TimeRange {
                from: source.interval.from,
                until: source.interval.until.unwrap_or(u64::MAX),
            },
        });
        let started = component
            .start(&source.options.to_string(), &purpose, now)
            .map_err(|source| ConfigError::Component {
                at: name.to_owned(),
                source,
            })?;
        match started {
            Ok(_) => auth::suits(name, source.auth.as_ref(), component),
            Err(SourceError::Options(error)) => Err(key(
                format!("sources.{name}.options.{}", error.path),
                error.message,
            )),
            Err(error) => Err(key(
                format!("sources.{name}"),
                crate::run::source_error(&error),
            )),
        }
    }
}

fn load(name: &str, origin: &Origin) -> Result<Component, ConfigError> {
    match origin {
        Origin::Builtin(wasm) => Component::load(wasm),
        Origin::File { path, sha256 } => Component::open(path, sha256.as_deref()),
    }
    .map_err(|source| ConfigError::Component {
        at: name.to_owned(),
        source,
    })
}

fn source(
    name: &str,
    value: Value,
    secrets: &BTreeMap<String, Backend>,
) -> Result<(Origin, SourceConfig), ConfigError> {
    let at = format!("sources.{name}");
    let raw: RawSource = parse(&at, value)?;
    let builtin = BUILTIN.iter().find(|(name, _)| *name == raw.r#type);
    let origin = match (raw.r#type.as_str(), raw.path, builtin) {
        (_, None, Some((_, wasm))) => Origin::Builtin(wasm),
        (name, Some(_), Some(_)) => {
            return Err(key(
                format!("{at}.path"),
                format!("{name} is built in; use `type: component` for a file"),
            ));
        }
        ("component", Some(path), None) => {
            if raw.allow.is_none() {
                return Err(key(
                    format!("{at}.allow"),
                    "a component from a file reaches only origins that are listed here",
                ));
            }
            Origin::File {
                path,
                sha256: raw.sha256,
            }
        }
        ("component", None, None) => return Err(key(format!("{at}.path"), "missing")),
        (other, _, None) => {
            return Err(key(
                format!("{at}.type"),
                format!("`{other}` is not known; use genesys_cloud, genesys_bucket or component"),
            ));
        }
    };
    let Value::Object(mut options) = raw.options else {
        return Err(key(format!("{at}.options"), "must be a table of options"));
    };
    let at_interval = format!("{at}.options.interval");
    let interval = match options.remove("interval") {
        Some(Value::String(text)) => interval(&text).map_err(|reason| key(&at_interval, reason))?,
        _ => {
            return Err(key(
                at_interval,
                "missing; give a range such as 2026-01-01/2026-02-01 (UTC, the end excluded)",
            ));
        }
    };
    let auth = match raw.auth {
        None => None,
        Some(value) => Some(auth::auth(&format!("{at}.auth"), value, secrets)?),
    };
    let privacy = match raw.privacy {
        None => Privacy::default(),
        Some(raw) => raw.resolved(&format!("{at}.privacy"), secrets)?,
    };
    let config = SourceConfig {
        options: Value::Object(options),
        interval,
        auth,
        allow: raw.allow,
        allow_private_addresses: raw.allow_private_addresses,
        privacy,
        follow: raw.follow,
        late: Duration::from_secs(raw.late_hours.unwrap_or(LATE_HOURS) * 3600),
        confirm: Duration::from_secs(raw.confirm_hours.unwrap_or(CONFIRM_HOURS) * 3600),
    };
    Ok((origin, config))
}

/// Reads a range such as `2026-01-01/2026-02-01`, `2026-01-01T08:00:00Z/2026-01-01T09:00:00Z`, or
/// `2026-01-01/..`, which has no end.
fn interval(text: &str) -> Result<Interval, String> {
    let instant = |text: &str| -> Result<u64, String> {
        let at = if text.contains('T') {
            text.parse::<jiff::Timestamp>()
        } else {
            format!("{text}T00:00:00Z").parse()
        };
        at.map_err(|error| format!("`{text}`: {error}"))
            .and_then(|at| {
                u64::try_from(at.as_millisecond()).map_err(|_| format!("`{text}` is before 1970"))
            })
    };
    let (from, until) = text
        .split_once('/')
        .ok_or_else(|| format!("`{text}` is not a range such as 2026-01-01/2026-02-01"))?;
    let from = instant(from)?;
    if until == ".." {
        return Ok(Interval { from, until: None });
    }
    let until = instant(until)?;
    if from < until {
        Ok(Interval {
            from,
            until: Some(until),
        })
    } else {
        Err(format!("`{text}` ends before it begins"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Value {
        json!({
            "data_dir": "d",
            "sources": { "calls": { "type": "genesys_cloud",
                "auth": { "client_id": "a", "client_secret": "b" },
                "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" } } },
            "sinks": { "files": { "type": "filesystem", "inputs": ["calls"], "path": "out" } }
        })
    }

    #[test]
    fn each_mistake_is_named_by_its_key() {
        assert!(Config::new(config()).is_ok());
        let broken: [(&str, Value, &str); 6] = [
            (
                "/sinks/files/pth",
                json!("x"),
                "sinks.files.pth: unknown field `pth`",
            ),
            (
                "/sinks/files/inputs",
                json!(["cals"]),
                "sinks.files.inputs: there is no source `cals`",
            ),
            (
                "/sources/calls/options/interval",
                json!("2026"),
                "sources.calls.options.interval: `2026`",
            ),
            (
                "/sources/calls/type",
                json!("zoom"),
                "sources.calls.type: `zoom` is not known",
            ),
            (
                "/sources/calls/auth/client_id",
                json!("SECRET[v.x]"),
                "sources.calls.auth.client_id: there is no secret backend",
            ),
            ("/dta_dir", json!("x"), "unknown field `dta_dir`"),
        ];
        for (pointer, value, message) in broken {
            let mut config = config();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[name] = value;
            let error = Config::new(config).unwrap_err().to_string();
            assert!(error.contains(message), "{pointer}: {error}");
        }
    }

    #[test]
    fn a_condition_on_what_privacy_takes_out_is_refused() {
        let mut config = config();
        config["sources"]["calls"]["privacy"] = json!({ "drop": ["queues.name", "tags"] });
        assert!(Config::new(config.clone()).is_ok());
        config["sinks"]["files"]["condition"] = json!({ "queues": ["billing"] });
        let error = Config::new(config).unwrap_err().to_string();
        let place = "sinks.files.condition.queues: `sources.calls.privacy` takes `queues` out";
        assert!(error.starts_with(place), "{error}");
    }

    #[test]
    fn days_are_utc_and_the_end_is_excluded() {
        let range = interval("2026-01-01/2026-01-02").unwrap();
        assert_eq!(range.until, Some(range.from + 86_400_000));
        assert_eq!(interval("2026-01-01/..").unwrap().until, None);
        assert!(interval("2026-01-02/2026-01-01").is_err());
    }
}
