//! The configuration of a source.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    ConfigError, allow, auth, file, interval::interval, key, limits::RawCeilings, parse,
    path::check_path, wording,
};
use crate::{
    secret::{self, Backend},
    sink::Secrets,
    tls::TlsKeys,
};
use recording_host_engine::{
    privacy::{self, Privacy},
    run::{Follow, Interval, SourceAuth, SourceConfig},
};
use recording_host_model::{Find, OptionError, Purpose, SourceError, TimeRange, clock::Clock};
use recording_host_source::{BUILTIN, CompilationCache, SourceComponent};

/// The option that the host takes out.
const INTERVAL: &str = "interval";

/// How long after its end a conversation's recordings are waited for, unless the source says otherwise.
const LATE_HOURS: u64 = 24;

/// The most hours that anything is waited for.
pub(super) const MOST_HOURS: u64 = 100 * 366 * 24;

/// How long after its end a conversation is requested once more, unless the source says otherwise.
const CONFIRM_HOURS: u64 = 2;

/// Where a component comes from.
#[derive(Clone, Debug)]
pub(super) enum ComponentOrigin {
    /// It is part of the program.
    Builtin(&'static [u8]),
    /// It is a file.
    File {
        path: PathBuf,
        sha256: Option<String>,
    },
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
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
    /// Origins that may be reached. What the component wants and this does not cover is refused.
    #[serde(default)]
    #[schemars(with = "Option<allow::AllowKeys>")]
    allow: Option<Value>,
    /// The certificate that its client shows, and authorities of one's own.
    #[serde(default)]
    tls: Option<TlsKeys>,
    /// True if loopback and private networks may be reached, and by plain HTTP.
    #[serde(default)]
    allow_private_addresses: bool,
    /// True if downloads are compared with the MD5 in their entity tags, where these look like one, as those
    /// of S3 do. That takes 2 s of a processor's time for each GB.
    #[serde(default)]
    check_etag: bool,
    /// The most requests with this source's credential; of sources that share one, the lowest ceiling counts.
    #[serde(default)]
    limits: RawCeilings,
    /// Personal values that are taken out before anything is written down.
    #[serde(default)]
    privacy: Option<RawPrivacy>,
    /// For intervals without an end: how the export keeps up.
    #[serde(default)]
    follow: Follow,
    /// How long after a conversation's end recordings that are not ready are requested again, in hours.
    #[serde(default)]
    #[schemars(extend("default" = LATE_HOURS))]
    late_hours: Option<u64>,
    /// How long after its end a conversation fetched before is requested once more, in hours; 0 for never.
    #[serde(default)]
    #[schemars(extend("default" = CONFIRM_HOURS))]
    confirm_hours: Option<u64>,
    /// The source's own options: what is exported, and how.
    options: Value,
}

/// Rules for which personal values of a source are written down, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawPrivacy {
    /// The key that pseudonyms are made with, 32 random characters or more; keep it secret.
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
        let fields = privacy::PrivacyFields {
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

impl ComponentOrigin {
    /// Loads the component of the source `name`.
    pub(super) fn load(&self, name: &str) -> Result<SourceComponent, ConfigError> {
        if let ComponentOrigin::File { path, .. } = self {
            is_component(path).map_err(|reason| key(format!("sources.{name}.path"), reason))?;
        }
        let cache = CompilationCache::of_user();
        match self {
            ComponentOrigin::Builtin(wasm) => SourceComponent::load(wasm, cache.as_ref()),
            ComponentOrigin::File { path, sha256 } => {
                SourceComponent::open(path, sha256.as_deref(), cache.as_ref())
            }
        }
        .map_err(|source| ConfigError::Component {
            at: name.to_owned(),
            source,
        })
    }
}

/// Refuses what is no WebAssembly at all.
fn is_component(path: &Path) -> Result<(), String> {
    let shown = path.display();
    if path.is_dir() {
        return Err(format!("{shown} is a folder; name the component's file"));
    }
    let mut magic = [0; 4];
    let read = file::regular(path)
        .and_then(|mut file| file.read(&mut magic).map_err(|error| file::words(&error)));
    match read {
        Err(error) => Err(format!("{shown}: {error}; name the component's file")),
        Ok(4) if magic == *b"\0asm" => Ok(()),
        Ok(_) => Err(format!(
            "{shown} is no WebAssembly component; name the file that the build of the component has written, mostly *.wasm"
        )),
    }
}

/// Lets the component check the options of the source `name`.
pub(super) fn check_options(
    name: &str,
    source: &SourceConfig,
    component: &SourceComponent,
    clock: Clock,
) -> Result<(), ConfigError> {
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
        .map_err(|error| ConfigError::Component {
            at: name.to_owned(),
            source: error,
        })?;
    match started {
        Ok(started) => {
            for origin in &started.origins {
                no_user(&origin.url)
                    .map_err(|reason| key(format!("sources.{name}.options"), reason))?;
            }
            auth::suits(name, source.auth.as_ref(), component)?;
            let checked = source.check_origins(&started.origins);
            checked.map_err(|error| key(format!("sources.{name}"), error))
        }
        Err(SourceError::Options(error)) => {
            let message = wording::worded(&error.message, wording::is_shown(&error.path));
            let path = error.path;
            let text = wrong_option(&OptionError { path, message });
            let (path, message) = text.split_once(": ").unwrap_or(("", &text));
            let at = format!("sources.{name}.{path}");
            Err(key(at.trim_end_matches('.'), message))
        }
        Err(error) => Err(key(format!("sources.{name}"), error)),
    }
}

/// A component's complaint about an option, with the option's path in the configuration of its source.
#[must_use]
pub fn wrong_option(error: &OptionError) -> String {
    let OptionError { path, message } = error;
    let hint = match path.as_str() {
        INTERVAL => {
            "; a component asks for no interval: the host takes that out of the options, and hands it over as the range of `find`"
        }
        _ => "",
    };
    format!("options.{path}: {message}{hint}")
}

/// Reads what a configuration says about the source `name`: its own secrets from `secrets`, the key of its
/// pseudonyms, which is part of what its export is, from `keys`.
pub(super) fn source(
    name: &str,
    value: Value,
    secrets: &BTreeMap<String, Backend>,
    keys: &BTreeMap<String, Backend>,
) -> Result<(ComponentOrigin, SourceConfig), ConfigError> {
    let at = format!("sources.{name}");
    if !value.is_object() {
        return Err(key(at, "must be a table with `type` and `options`"));
    }
    if value.get(INTERVAL).is_some() {
        return Err(key(
            format!("{at}.{INTERVAL}"),
            format!("belongs in the options: `{at}.options.{INTERVAL}`"),
        ));
    }
    let raw: RawSource = parse(&at, value)?;
    if let Some(path) = &raw.path {
        check_path(&format!("{at}.path"), path, "the component's file")?;
    }
    check_hours(&at, "late_hours", raw.late_hours)?;
    check_hours(&at, "confirm_hours", raw.confirm_hours)?;
    check_follow(&at, &raw.follow)?;
    let origin = origin(&at, &raw.r#type, raw.path, raw.sha256, raw.allow.is_some())?;
    let allow = raw
        .allow
        .map(|value| allow::read(&format!("{at}.allow"), value));
    let allow = allow.transpose()?;
    let Value::Object(mut options) = raw.options else {
        return Err(key(format!("{at}.options"), "must be a table of options"));
    };
    if let Some(path) = secret_in(&options) {
        return Err(key(
            format!("{at}.options.{path}"),
            format!(
                "names a secret, and options are handed to the component, which gets none; put it under `{at}.auth` with the keys that the component's log-in needs (`recording-host inspect` prints which): the host adds it to the requests"
            ),
        ));
    }
    let interval = taken_interval(&at, &mut options)?;
    let auth = raw.auth;
    let auth = auth.map(|value| auth::auth(&format!("{at}.auth"), value, secrets));
    let auth = auth.transpose()?;
    check_token_url(&at, &origin, auth.as_ref())?;
    let privacy = match raw.privacy {
        None => Privacy::default(),
        Some(raw) => raw.resolved(&format!("{at}.privacy"), keys)?,
    };
    let below = Secrets {
        at: &at,
        backends: secrets,
    };
    let tls = raw.tls.unwrap_or_default().settings(&below, "tls")?;
    let config = SourceConfig {
        options: Value::Object(options),
        interval,
        auth,
        allow,
        builtin: matches!(origin, ComponentOrigin::Builtin(_)),
        tls,
        allow_private_addresses: raw.allow_private_addresses,
        check_etag: raw.check_etag,
        limits: raw.limits.checked(&format!("{at}.limits"))?,
        privacy,
        follow: raw.follow,
        late: Duration::from_secs(raw.late_hours.unwrap_or(LATE_HOURS) * 3600),
        confirm: Duration::from_secs(raw.confirm_hours.unwrap_or(CONFIRM_HOURS) * 3600),
    };
    Ok((origin, config))
}

/// Takes the interval of the source at `at` out of its options.
fn taken_interval(at: &str, options: &mut Map<String, Value>) -> Result<Interval, ConfigError> {
    let here = format!("{at}.options.{INTERVAL}");
    match options.remove(INTERVAL) {
        Some(Value::String(text)) => interval(&text).map_err(|reason| key(&here, reason)),
        Some(_) => Err(key(
            here,
            "must be a text, such as 2026-01-01/2026-02-01 (UTC, the end excluded)",
        )),
        None if let Some(typed) = options.keys().find(|name| like_interval(name)) => Err(key(
            format!("{at}.options.{typed}"),
            "unknown option; did you mean `interval`?",
        )),
        None => Err(key(
            here,
            "missing; give a range such as 2026-01-01/2026-02-01 (UTC, the end excluded)",
        )),
    }
}

/// Refuses a client's secret for a component from a file without the URL that it goes to.
fn check_token_url(
    at: &str,
    origin: &ComponentOrigin,
    auth: Option<&SourceAuth>,
) -> Result<(), ConfigError> {
    let names_none = matches!(
        auth,
        Some(SourceAuth::Client {
            token_url: None,
            ..
        })
    );
    match origin {
        ComponentOrigin::File { .. } if names_none => Err(key(
            format!("{at}.auth.token_url"),
            "missing; give the URL at which access tokens are issued: a component from a file does not decide where the client's secret goes",
        )),
        _ => Ok(()),
    }
}

/// Refuses hours that no time of day can be counted in.
fn check_hours(at: &str, name: &str, hours: Option<u64>) -> Result<(), ConfigError> {
    let Some(hours) = hours.filter(|hours| *hours > MOST_HOURS) else {
        return Ok(());
    };
    let reason = format!("{hours} is more than {MOST_HOURS}, which is a hundred years");
    Err(key(format!("{at}.{name}"), reason))
}

/// Refuses lengths of time without an end, and a search without a pause.
fn check_follow(at: &str, follow: &Follow) -> Result<(), ConfigError> {
    let most = MOST_HOURS * 3600;
    for (name, given, least) in [
        ("settle_seconds", follow.settle, 0),
        ("look_back_seconds", follow.look_back, 0),
        ("every_seconds", follow.every, 1),
    ] {
        let seconds = given.as_secs();
        if !(least..=most).contains(&seconds) {
            return Err(key(
                format!("{at}.follow.{name}"),
                format!("{seconds} is not within {least} and {most}"),
            ));
        }
    }
    Ok(())
}

/// Refuses a URL that holds credentials, which are not shown.
pub(super) fn no_user(url: &str) -> Result<(), String> {
    let parsed = url::Url::parse(&url.replacen("://*.", "://any.", 1));
    match parsed {
        Ok(parsed) if !parsed.username().is_empty() || parsed.password().is_some() => Err(format!(
            "the URL of {} holds a user or a password; put credentials only into `auth`",
            parsed.host_str().unwrap_or_default()
        )),
        _ => Ok(()),
    }
}

/// The path of an option that holds a `SECRET[backend.key]`, if there is one.
fn secret_in(options: &Map<String, Value>) -> Option<String> {
    fn names_one(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains("SECRET["),
            Value::Array(items) => items.iter().any(names_one),
            Value::Object(fields) => fields.values().any(names_one),
            _ => false,
        }
    }
    options.iter().find_map(|(name, value)| match value {
        Value::Object(inner) => secret_in(inner).map(|path| format!("{name}.{path}")),
        value => names_one(value).then(|| name.clone()),
    })
}

/// Where a source's component comes from; one from a file needs a list of the origins that it may reach.
fn origin(
    at: &str,
    r#type: &str,
    path: Option<PathBuf>,
    sha256: Option<String>,
    is_allowed: bool,
) -> Result<ComponentOrigin, ConfigError> {
    let builtin = BUILTIN.iter().find(|(name, _)| *name == r#type);
    if let Some(digest) = &sha256 {
        let at = format!("{at}.sha256");
        if builtin.is_some() {
            let reason = "is for a component from a file; leave it out for one that is built in";
            return Err(key(at, reason));
        }
        if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let reason = format!("`{digest}` is no sha256, which has 64 hexadecimal digits");
            return Err(key(at, reason));
        }
    }
    match (r#type, path, builtin) {
        (_, None, Some((_, wasm))) => Ok(ComponentOrigin::Builtin(wasm)),
        (name, Some(_), Some(_)) => Err(key(
            format!("{at}.path"),
            format!("{name} is built in; use `type: component` for a file"),
        )),
        ("component", Some(path), None) => {
            if !is_allowed {
                return Err(key(
                    format!("{at}.allow"),
                    "a component from a file reaches only origins that are listed here",
                ));
            }
            Ok(ComponentOrigin::File { path, sha256 })
        }
        ("component", None, None) => Err(key(format!("{at}.path"), "missing")),
        (other, _, None) => Err(key(
            format!("{at}.type"),
            format!("`{other}` is not known; use genesys_cloud, genesys_bucket or component"),
        )),
    }
}

/// Returns true if an option's name is `interval` with a slip of the hand.
fn like_interval(name: &str) -> bool {
    strsim::damerau_levenshtein(&name.to_lowercase(), "interval") <= 2
}
