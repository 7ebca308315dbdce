//! The keys of a sink of type `gcs`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use recording_host_sink::{Overwrite, Sink};
use recording_host_sink_object_store::gcs::{
    self, BucketOptions, Credentials, GcsSinkConfig, Retry,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Hidden, Secrets, key, registry::SinkKeys};
use crate::location::Location;

/// Google Cloud Storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// The bucket's name; it must exist.
    #[schemars(example = &"corp-recordings")]
    bucket: String,
    /// The prefix of all keys.
    #[serde(default)]
    #[schemars(example = &"genesys")]
    prefix: String,
    /// The URL of a server other than Google's, such as an emulator.
    #[schemars(example = &"http://127.0.0.1:4443")]
    endpoint: Option<String>,
    /// Who writes; application default credentials if left out.
    #[serde(default)]
    credentials: CredentialKeys,
    /// The storage class of objects.
    #[schemars(example = &"NEARLINE")]
    storage_class: Option<String>,
    /// User metadata of each object.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("department", "claims")]))]
    object_metadata: BTreeMap<String, String>,
    /// The content encoding that objects are labeled with.
    #[schemars(example = &"identity")]
    content_encoding: Option<String>,
    /// How to treat an object that is there already.
    #[serde(default)]
    overwrite: Overwrite,
    /// How requests are repeated.
    #[serde(default)]
    retry: Retry,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CredentialKeys {
    /// A service account's key: the text of its JSON file.
    #[schemars(example = &"SECRET[env.GCS_SERVICE_ACCOUNT]")]
    service_account: Option<Hidden>,
    /// An access token, which is not renewed.
    #[schemars(example = &"SECRET[env.GCS_TOKEN]")]
    token: Option<Hidden>,
    /// True if nobody in particular writes, as with an emulator.
    #[serde(default)]
    anonymous: bool,
}

impl Keys {
    fn settings(&self, secrets: &Secrets) -> Result<GcsSinkConfig, ConfigError> {
        secrets.server("endpoint", self.endpoint.as_deref())?;
        secrets.wait(
            "retry.max_backoff_seconds",
            self.retry.max_backoff_seconds,
            0,
        )?;
        let given = &self.credentials;
        let service_account = secrets.optional(
            "credentials.service_account",
            given.service_account.as_ref(),
        )?;
        let token = secrets.optional("credentials.token", given.token.as_ref())?;
        let credentials = match (service_account, token, given.anonymous) {
            (None, None, false) => Credentials::Default,
            (Some(key), None, false) => Credentials::ServiceAccount(key),
            (None, Some(token), false) => Credentials::Token(token),
            (None, None, true) => Credentials::Anonymous,
            _ => {
                let reason = "give one of `service_account`, `token` and `anonymous`";
                return Err(secrets.error("credentials", reason));
            }
        };
        Ok(GcsSinkConfig {
            bucket: self.bucket.clone(),
            endpoint: self.endpoint.clone(),
            credentials,
            options: BucketOptions {
                prefix: self.prefix.clone(),
                storage_class: self.storage_class.clone(),
                object_metadata: self.object_metadata.clone(),
                tags: BTreeMap::new(),
                content_encoding: self.content_encoding.clone(),
                overwrite: self.overwrite,
            },
            retry: self.retry,
        })
    }
}

#[async_trait]
impl SinkKeys for Keys {
    fn place_key(&self) -> &'static str {
        "bucket"
    }

    fn location(&self) -> Location {
        let endpoint = self.endpoint.as_deref();
        let endpoint = endpoint.unwrap_or("https://storage.googleapis.com");
        Location::bucket("gcs", endpoint, &self.bucket, &self.prefix)
    }

    fn bucket(&self) -> Option<&str> {
        Some(&self.bucket)
    }

    fn validate(&self, secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        self.settings(secrets).map(|_| ())
    }

    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        let opened = gcs::open(self.settings(secrets)?);
        Ok(Arc::new(
            opened.map_err(|error| key(secrets.at, error.reason))?,
        ))
    }
}
