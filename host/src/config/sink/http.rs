//! The keys of a sink of type `http`.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{ConfigError, Hidden, Secrets};
use crate::sink::http::{Auth, Retry, Settings, Template, Timeout, Verb};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    url: Hidden,
    #[serde(default)]
    method: Verb,
    auth: Option<AuthKeys>,
    #[serde(default)]
    headers: BTreeMap<String, Hidden>,
    #[serde(default)]
    retry: Retry,
    #[serde(default)]
    timeout: Timeout,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum AuthKeys {
    Bearer { token: Hidden },
    Basic { user: Hidden, password: Hidden },
    Header { name: String, value: Hidden },
}

impl Keys {
    pub(super) fn settings(&self, secrets: &Secrets) -> Result<Settings, ConfigError> {
        let url = secrets.get("url", &self.url)?;
        let url =
            Template::new(url.expose_secret()).map_err(|reason| secrets.error("url", reason))?;
        let mut headers = Vec::new();
        let mut add = |at: &str, name: &str, value: &Hidden| {
            let header = HeaderName::try_from(name)
                .map_err(|_| secrets.error(at, format!("`{name}` is no name of a header")))?;
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
                password: secrets.get("auth.password", password)?,
            }),
            Some(AuthKeys::Header { name, value }) => {
                add("auth.value", name, value)?;
                None
            }
        };
        Ok(Settings {
            url,
            method: self.method,
            auth,
            headers,
            retry: self.retry,
            timeout: self.timeout,
        })
    }
}
