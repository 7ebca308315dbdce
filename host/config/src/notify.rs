//! Who is told when an export fails, loses recordings or falls behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    ConfigError,
    address::web,
    key, parse_typed,
    secret::Backend,
    sink::{Hidden, Secrets},
};
use recording_host_observe::notify::{NoticeFormat, NoticeTarget, NoticeTransport, Occasion};
use reqwest::header::HeaderValue;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

/// The most seconds of anything: a year.
const MOST_SECONDS: u64 = 366 * 86_400;

/// Somebody who is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(tag = "type")]
pub(super) enum NotifierConfig {
    /// A POST to a URL, such as an incoming webhook of Slack or a workflow of Microsoft Teams.
    Webhook {
        /// Where it is sent.
        #[schemars(example = &"SECRET[env.SLACK_WEBHOOK_URL]")]
        url: Hidden,
        /// The form of the body.
        #[serde(default)]
        format: NoticeFormat,
        /// The key of an HMAC-SHA256 in the header `x-recording-host-signature`; not signed if left out.
        #[schemars(example = &"SECRET[env.WEBHOOK_KEY]")]
        secret: Option<Hidden>,
        /// The occasions that it is sent for; all if left out.
        #[serde(default = "all")]
        on: BTreeSet<Occasion>,
        /// How far behind a source may be, in seconds.
        #[serde(default = "lag")]
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        lag_seconds: u64,
        /// How long a source or a sink may be unavailable, in seconds.
        #[serde(default = "failing")]
        #[schemars(range(max = MOST_SECONDS))]
        failing_seconds: u64,
        /// The shortest time between two notices of one occasion of one source, in seconds.
        #[serde(default = "at_most")]
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        at_most_every_seconds: u64,
    },
    /// A GET of a URL for as long as all is well: whoever watches it notices silence.
    Ping {
        /// The URL that is requested.
        #[schemars(example = &"SECRET[env.HEALTHCHECKS_URL]")]
        url: Hidden,
        /// The pause between two of them, in seconds.
        #[serde(default = "ping")]
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        every_seconds: u64,
    },
    /// A program that reads the notice as JSON from its standard input. No shell is involved.
    Exec {
        /// The program and its arguments.
        #[schemars(length(min = 1), example = ["/usr/local/bin/page-somebody", "--team", "archive"])]
        command: Vec<String>,
        /// How long it may take, in seconds.
        #[serde(default = "patience")]
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        timeout_seconds: u64,
        /// The occasions that it is run for; all if left out.
        #[serde(default = "all")]
        on: BTreeSet<Occasion>,
        /// How far behind a source may be, in seconds.
        #[serde(default = "lag")]
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        lag_seconds: u64,
        /// How long a source or a sink may be unavailable, in seconds.
        #[serde(default = "failing")]
        #[schemars(range(max = MOST_SECONDS))]
        failing_seconds: u64,
        /// The shortest time between two notices of one occasion of one source, in seconds.
        #[serde(default = "at_most")]
        #[schemars(range(min = 1, max = MOST_SECONDS))]
        at_most_every_seconds: u64,
    },
}

fn all() -> BTreeSet<Occasion> {
    BTreeSet::from([
        Occasion::Failure,
        Occasion::Losses,
        Occasion::Lag,
        Occasion::Recovery,
    ])
}

fn lag() -> u64 {
    4 * 3600
}

fn failing() -> u64 {
    300
}

fn at_most() -> u64 {
    900
}

fn ping() -> u64 {
    300
}

fn patience() -> u64 {
    30
}

/// The schema of those who are told, by name.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    let kinds = NotifierConfig::json_schema(generator).to_value();
    let map = json!({ "type": "object", "default": {}, "additionalProperties": kinds });
    Schema::try_from(map).unwrap_or_default()
}

/// Reads those who are told, by name.
pub(super) fn parsed(
    raw: BTreeMap<String, Value>,
) -> Result<BTreeMap<String, NotifierConfig>, ConfigError> {
    let mut notifiers = BTreeMap::new();
    for (name, value) in raw {
        let at = format!("notify.{name}");
        let notifier: NotifierConfig = parse_typed(&at, value)?;
        notifier.check(&at)?;
        notifiers.insert(name, notifier);
    }
    Ok(notifiers)
}

impl NotifierConfig {
    /// Refuses numbers out of their bounds, and a command that is empty.
    fn check(&self, at: &str) -> Result<(), ConfigError> {
        let times: &[(&str, u64, u64)] = match self {
            NotifierConfig::Ping { every_seconds, .. } => &[("every_seconds", 1, *every_seconds)],
            NotifierConfig::Webhook {
                lag_seconds,
                failing_seconds,
                at_most_every_seconds,
                ..
            } => &[
                ("lag_seconds", 1, *lag_seconds),
                ("failing_seconds", 0, *failing_seconds),
                ("at_most_every_seconds", 1, *at_most_every_seconds),
            ],
            NotifierConfig::Exec {
                timeout_seconds,
                lag_seconds,
                failing_seconds,
                at_most_every_seconds,
                ..
            } => &[
                ("timeout_seconds", 1, *timeout_seconds),
                ("lag_seconds", 1, *lag_seconds),
                ("failing_seconds", 0, *failing_seconds),
                ("at_most_every_seconds", 1, *at_most_every_seconds),
            ],
        };
        for (name, least, value) in times {
            if !(*least..=MOST_SECONDS).contains(value) {
                let reason = format!("{value} is not within {least} and {MOST_SECONDS}");
                return Err(key(format!("{at}.{name}"), reason));
            }
        }
        match self {
            NotifierConfig::Exec { command, .. }
                if command.first().is_none_or(String::is_empty) =>
            {
                Err(key(format!("{at}.command"), "is empty; give a program"))
            }
            NotifierConfig::Exec { on, .. } | NotifierConfig::Webhook { on, .. }
                if on.is_empty() =>
            {
                let reason = "names no occasion, so nothing would be sent; leave it out to be notified of all";
                Err(key(format!("{at}.on"), reason))
            }
            _ => Ok(()),
        }
    }

    /// The lag that it tells of; none if it tells of none.
    pub(super) fn lag_seconds(&self) -> Option<u64> {
        match self {
            NotifierConfig::Ping { .. } => None,
            NotifierConfig::Webhook {
                on, lag_seconds, ..
            }
            | NotifierConfig::Exec {
                on, lag_seconds, ..
            } => on.contains(&Occasion::Lag).then_some(*lag_seconds),
        }
    }

    /// Whom it tells, with the secrets that it takes.
    pub(super) fn target(
        &self,
        name: &str,
        backends: &BTreeMap<String, Backend>,
    ) -> Result<NoticeTarget, ConfigError> {
        let at = format!("notify.{name}");
        let secrets = Secrets { at: &at, backends };
        let seconds = Duration::from_secs;
        let target = |way, on: &BTreeSet<Occasion>, lag, failing, at_most| NoticeTarget {
            name: name.to_owned(),
            way,
            on: on.clone(),
            lag: seconds(lag),
            failing: seconds(failing),
            at_most_every: seconds(at_most),
        };
        match self {
            NotifierConfig::Webhook {
                url,
                format,
                secret,
                on,
                lag_seconds,
                failing_seconds,
                at_most_every_seconds,
            } => {
                let secret = secret.as_ref();
                let way = NoticeTransport::Webhook {
                    url: address(&secrets, url)?,
                    format: *format,
                    secret: secret.map(|key| secrets.get("secret", key)).transpose()?,
                };
                Ok(target(
                    way,
                    on,
                    *lag_seconds,
                    *failing_seconds,
                    *at_most_every_seconds,
                ))
            }
            NotifierConfig::Ping { url, every_seconds } => {
                let way = NoticeTransport::Ping {
                    url: address(&secrets, url)?,
                    every: seconds(*every_seconds),
                };
                Ok(target(way, &BTreeSet::new(), lag(), failing(), at_most()))
            }
            NotifierConfig::Exec {
                command,
                timeout_seconds,
                on,
                lag_seconds,
                failing_seconds,
                at_most_every_seconds,
            } => {
                let way = NoticeTransport::Exec {
                    command: command.clone(),
                    timeout: seconds(*timeout_seconds),
                };
                Ok(target(
                    way,
                    on,
                    *lag_seconds,
                    *failing_seconds,
                    *at_most_every_seconds,
                ))
            }
        }
    }
}

/// A URL that a notice can be sent to; an error does not show it.
fn address(secrets: &Secrets<'_>, url: &Hidden) -> Result<SecretString, ConfigError> {
    let url = secrets.get("url", url)?;
    match web(url.expose_secret()) {
        Ok(_) if HeaderValue::from_str(url.expose_secret()).is_ok() => Ok(url),
        Ok(_) => Err(secrets.error("url", "is no URL: it holds characters that none has")),
        Err(reason) => Err(secrets.error(
            "url",
            format!("is no URL that a notice can be sent to: it {reason}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(value: Value) -> String {
        let raw = BTreeMap::from([("ops".to_owned(), value)]);
        let targets = parsed(raw).and_then(|all| all["ops"].target("ops", &BTreeMap::new()));
        targets.map(drop).unwrap_err().to_string()
    }

    #[test]
    fn each_mistake_is_named_by_its_key_and_no_url_is_shown() {
        // Long: one table of mistakes.
        let hook = |more: Value| {
            let mut hook =
                json!({ "type": "webhook", "url": "https://hooks.example.com/T0/secret" });
            hook.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            hook
        };
        for (value, message) in [
            (
                hook(json!({ "lag_seconds": 0 })),
                "notify.ops.lag_seconds: 0 is not within 1",
            ),
            (
                hook(json!({ "on": [] })),
                "notify.ops.on: names no occasion",
            ),
            (
                hook(json!({ "url": "hooks.example.com/secret" })),
                "notify.ops.url: is no URL",
            ),
            (
                hook(json!({ "url": "https://u:secret@hooks.example.com/" })),
                "notify.ops.url: is no URL that a notice can be sent to: it holds a user or a password (for hooks.example.com)",
            ),
            (
                hook(json!({ "secret": "SECRET[v.x]" })),
                "notify.ops.secret: there is no secret backend",
            ),
            (
                json!({ "type": "exec", "command": [] }),
                "notify.ops.command: is empty",
            ),
            (
                json!({ "type": "ping", "url": "https://a/", "every_seconds": 0 }),
                "notify.ops.every_seconds: 0",
            ),
            (
                json!({ "type": "pager" }),
                "notify.ops.type: `pager` is none of `webhook`, `ping`, `exec`",
            ),
            (json!({ "url": "https://a/" }), "notify.ops.type: missing"),
            (
                json!({ "type": "ping" }),
                "notify.ops: the key `url` is missing",
            ),
            (
                hook(json!({ "on": ["failure", "errors"] })),
                "notify.ops.on[1]: `errors` is none of `",
            ),
            (
                hook(json!({ "format": "discord" })),
                "notify.ops.format: `discord` is none of `",
            ),
            (
                hook(json!({ "lag_seconds": "x" })),
                "notify.ops.lag_seconds: is the text `x`; it must be a whole number",
            ),
            (
                hook(json!({ "every": 1 })),
                "notify.ops.every: unknown field `every`",
            ),
        ] {
            let error = refused(value);
            assert!(error.starts_with(message), "{error}");
            assert!(
                !error.contains("secret\"") && !error.contains("T0"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let raw = json!({ "type": "exec", "command": ["page"] });
        let all = parsed(BTreeMap::from([("ops".to_owned(), raw)])).unwrap();
        let target = all["ops"].target("ops", &BTreeMap::new()).unwrap();
        assert_eq!(target.on.len(), 4);
        assert_eq!(target.lag, Duration::from_secs(14_400));
        assert_eq!(target.failing, Duration::from_secs(300));
        assert_eq!(target.at_most_every, Duration::from_secs(900));
    }
}
