//! The keys of a sink of type `http`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use recording_host_model::hex;
use recording_host_sink::{
    Sink,
    http::{Auth, Http, HttpOptions, HttpSinkConfig, Template},
};
use reqwest::header::{HeaderName, HeaderValue};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    ConfigError, Hidden, Secrets, key,
    registry::{SinkKeys, SinkParts},
};
use crate::{
    location::Location,
    parse::{parse, parts},
    tls::TlsKeys,
};

/// All keys of a sink of type `http`.
#[derive(Debug)]
pub(super) struct HttpSink {
    options: HttpOptions,
    keys: HttpKeys,
}

/// Each object a request to a server of your own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HttpKeys {
    /// Where objects are sent, with `{key}` at the end of the path.
    #[schemars(example = &"https://archive.example.com/calls/{key}")]
    url: Hidden,
    /// How the sender proves who it is.
    auth: Option<AuthKeys>,
    /// Further headers, by name.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("x-tenant", "calls")]))]
    headers: BTreeMap<String, Hidden>,
    /// The certificate that is shown to the server, and authorities of one's own.
    #[serde(default)]
    tls: TlsKeys,
}

/// Headers that say where a request goes and where it ends: two of one cost every upload.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum AuthKeys {
    /// `Authorization: Bearer`.
    Bearer {
        /// The token.
        #[schemars(example = &"SECRET[env.ARCHIVE_TOKEN]")]
        token: Hidden,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The user's name.
        #[schemars(example = &"SECRET[env.ARCHIVE_USER]")]
        user: Hidden,
        /// The user's password.
        #[schemars(example = &"SECRET[env.ARCHIVE_PASSWORD]")]
        password: Hidden,
    },
    /// A header of another name.
    Header {
        /// The header's name.
        #[schemars(example = &"x-archive-token")]
        name: String,
        /// The header's value.
        #[schemars(example = &"SECRET[env.ARCHIVE_TOKEN]")]
        value: Hidden,
    },
}

impl HttpSink {
    fn settings(&self, secrets: &Secrets) -> Result<HttpSinkConfig, ConfigError> {
        let HttpOptions { retry, timeout, .. } = self.options;
        secrets.retry(retry.attempts, retry.max_backoff_seconds)?;
        secrets.wait("timeout.connect_seconds", timeout.connect_seconds, 1)?;
        secrets.wait("timeout.read_seconds", timeout.read_seconds, 1)?;
        self.keys.settings(self.options, secrets)
    }
}

impl HttpKeys {
    fn settings(
        &self,
        options: HttpOptions,
        secrets: &Secrets,
    ) -> Result<HttpSinkConfig, ConfigError> {
        let url = secrets.get("url", &self.url)?;
        let url =
            Template::new(url.expose_secret()).map_err(|reason| secrets.error("url", reason))?;
        let mut headers = Vec::new();
        let mut add = |at: &str, name: &str, value: &Hidden| {
            let header = HeaderName::try_from(name)
                .map_err(|_| secrets.error(at, format!("`{name}` is no name of a header")))?;
            if FRAMING.contains(&header.as_str()) {
                let reason = format!("`{name}` is set by the program itself; leave it out");
                return Err(secrets.error(at, reason));
            }
            let value = secrets.get(at, value)?;
            if HeaderValue::from_str(value.expose_secret()).is_err() {
                return Err(secrets.error(at, "the value cannot stand in a header"));
            }
            headers.push((header, value));
            Ok(())
        };
        for (name, value) in &self.headers {
            add(&format!("headers.{name}"), name, value)?;
        }
        let auth = match &self.auth {
            None => None,
            Some(AuthKeys::Bearer { token }) => {
                Some(Auth::Bearer(secrets.get("auth.token", token)?))
            }
            Some(AuthKeys::Basic { user, password }) => Some(Auth::Basic {
                user: secrets.get("auth.user", user)?,
                password: secrets.get_or_empty("auth.password", password)?,
            }),
            Some(AuthKeys::Header { name, value }) => {
                add("auth.value", name, value)?;
                None
            }
        };
        Ok(HttpSinkConfig {
            url,
            auth,
            headers,
            tls: self.tls.settings(secrets, "tls")?,
            options,
        })
    }
}

/// The location below a URL whose path may be a secret: a digest stands for each part of the path.
fn hidden(url: &Url) -> Location {
    Location::url("http", url, |part| {
        hex(&Sha256::digest(part))[..12].to_owned()
    })
}

impl SinkParts for HttpSink {
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut all = HttpKeys::json_schema(generator).to_value();
        parts::join(&mut all, &HttpOptions::json_schema(generator).to_value());
        Schema::try_from(all).unwrap_or_default()
    }

    fn read(
        at: &str,
        mut table: Map<String, Value>,
        known: &Map<String, Value>,
    ) -> Result<Self, ConfigError> {
        parts::refuse_others(at, &table, known)?;
        Ok(HttpSink {
            options: parts::take(at, &mut table)?,
            keys: parse(at, Value::Object(table))?,
        })
    }
}

#[async_trait]
impl SinkKeys for HttpSink {
    fn location_key(&self) -> &'static str {
        "url"
    }

    /// The URL's beginning. One that stands here in plain text may hold a secret all the same, so
    /// that its path is given as a digest; a reference to a secret is given as it is.
    fn location(&self) -> Location {
        match Template::new(&self.keys.url.0) {
            Ok(url) => hidden(url.base()),
            Err(_) => Location::named("http", &self.keys.url.0),
        }
    }

    /// The URL's beginning, with a secret looked up.
    fn revealed_location(&self, secrets: &Secrets<'_>) -> Result<Location, ConfigError> {
        let url = secrets.get("url", &self.keys.url)?;
        let url =
            Template::new(url.expose_secret()).map_err(|reason| secrets.error("url", reason))?;
        Ok(hidden(url.base()))
    }

    fn may_be_secret(&self) -> bool {
        true
    }

    fn validate(&self, secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        self.settings(secrets).map(|_| ())
    }

    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        let opened = Http::new(self.settings(secrets)?);
        Ok(Arc::new(
            opened.map_err(|error| key(secrets.at, error.reason))?,
        ))
    }
}
