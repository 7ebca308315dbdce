//! What a configuration says about a sink, and the sink made from it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{ConfigError, key};
use crate::{
    secret::Backend,
    sink::{Sink, filesystem::Filesystem},
    transfer::Zip,
};

/// A sink whose keys are known to be right.
#[derive(Debug)]
pub(super) struct SinkConfig {
    /// Where it stands in the configuration.
    at: String,
    common: Common,
    kind: Kind,
}

/// Keys that every sink has.
#[derive(Debug, Deserialize)]
struct Common {
    #[serde(default)]
    inputs: Option<Vec<String>>,
    #[serde(default)]
    zip: Zip,
}

/// The names of the keys in [`Common`].
const COMMON: [&str; 2] = ["inputs", "zip"];

#[derive(Debug)]
enum Kind {
    Filesystem(FilesystemKeys),
    S3(S3Keys),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesystemKeys {
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(feature = "s3"),
    expect(dead_code, reason = "the keys are checked in any build")
)]
struct S3Keys {
    bucket: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    endpoint: Option<String>,
    #[serde(default)]
    path_style: bool,
    #[serde(default)]
    credentials: Option<StaticCredentials>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticCredentials {
    access_key_id: String,
    secret_access_key: String,
}

impl std::fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticCredentials")
    }
}

/// Reads the keys at `at`; an error names the very key that it is about.
fn keys<T: DeserializeOwned>(at: &str, value: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner();
        if path == "." {
            key(at, reason)
        } else {
            key(format!("{at}.{path}"), reason)
        }
    })
}

impl SinkConfig {
    /// Reads the sink `name`.
    pub(super) fn new(name: &str, value: Value) -> Result<Self, ConfigError> {
        let at = format!("sinks.{name}");
        let Value::Object(mut table) = value else {
            return Err(key(at, "must be a table with a `type`"));
        };
        let common: Map<String, Value> = COMMON
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), table.remove(*name)?)))
            .collect();
        let common = keys(&at, Value::Object(common))?;
        let named = table.remove("type");
        let rest = Value::Object(table);
        let kind = match named.as_ref().and_then(Value::as_str) {
            Some("filesystem") => Kind::Filesystem(keys(&at, rest)?),
            Some("s3") => Kind::S3(keys(&at, rest)?),
            other => {
                let given = other.map_or("missing".to_owned(), |other| {
                    format!("`{other}` is not known")
                });
                return Err(key(
                    format!("{at}.type"),
                    format!("{given}; use filesystem or s3"),
                ));
            }
        };
        Ok(SinkConfig { at, common, kind })
    }

    /// Where it stands in the configuration.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// The sources that it takes; none for all.
    pub(super) fn inputs(&self) -> Option<&[String]> {
        self.common.inputs.as_deref()
    }

    /// Whether it takes this source.
    pub(super) fn takes(&self, source: &str) -> bool {
        self.inputs()
            .is_none_or(|inputs| inputs.iter().any(|input| input == source))
    }

    /// How it wants archives.
    pub(super) fn zip(&self) -> Zip {
        self.common.zip
    }

    /// Checks what can be checked offline.
    pub(super) fn validate(&self, secrets: &BTreeMap<String, Backend>) -> Result<(), ConfigError> {
        match &self.kind {
            Kind::Filesystem(_) => Ok(()),
            #[cfg(feature = "s3")]
            Kind::S3(given) => given.settings(&self.at, secrets).map(|_| ()),
            #[cfg(not(feature = "s3"))]
            Kind::S3(_) => Err(left_out(&self.at, "s3")),
        }
    }

    /// Makes the sink.
    pub(super) async fn sink(
        &self,
        secrets: &BTreeMap<String, Backend>,
    ) -> Result<Arc<dyn Sink>, ConfigError> {
        match &self.kind {
            Kind::Filesystem(given) => Ok(Arc::new(Filesystem::new(given.path.clone()))),
            #[cfg(feature = "s3")]
            Kind::S3(given) => {
                let settings = given.settings(&self.at, secrets)?;
                Ok(Arc::new(crate::sink::s3::S3::new(settings).await))
            }
            #[cfg(not(feature = "s3"))]
            Kind::S3(_) => Err(left_out(&self.at, "s3")),
        }
    }
}

#[cfg(feature = "s3")]
impl S3Keys {
    fn settings(
        &self,
        at: &str,
        secrets: &BTreeMap<String, Backend>,
    ) -> Result<crate::sink::s3::Settings, ConfigError> {
        let at = format!("{at}.credentials");
        let resolve = |name: &str, value: &str| {
            crate::secret::resolve(value, &format!("{at}.{name}"), secrets)
        };
        let credentials = match &self.credentials {
            None => Default::default(),
            Some(given) => crate::sink::s3::Credentials::Static {
                access_key_id: resolve("access_key_id", &given.access_key_id)?,
                secret_access_key: resolve("secret_access_key", &given.secret_access_key)?,
                session_token: None,
            },
        };
        Ok(crate::sink::s3::Settings {
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            path_style: self.path_style,
            identity: crate::sink::s3::Identity {
                source: credentials,
                role: None,
            },
            ..Default::default()
        })
    }
}

#[cfg(not(feature = "s3"))]
fn left_out(at: &str, name: &str) -> ConfigError {
    key(
        format!("{at}.type"),
        format!("this build has no `{name}`; build it with the feature `{name}`"),
    )
}
