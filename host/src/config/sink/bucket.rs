//! The keys of sinks of the types `gcs` and `azure_blob`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ConfigError, Hidden, Secrets};
use crate::sink::Overwrite;
#[cfg(feature = "sink-azure-blob")]
use crate::sink::azure_blob;
#[cfg(feature = "sink-gcs")]
use crate::sink::gcs;

#[cfg(feature = "sink-gcs")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GcsKeys {
    bucket: String,
    #[serde(default)]
    prefix: String,
    endpoint: Option<String>,
    #[serde(default)]
    credentials: GcsCredentials,
    storage_class: Option<String>,
    #[serde(default)]
    object_metadata: BTreeMap<String, String>,
    content_encoding: Option<String>,
    #[serde(default)]
    overwrite: Overwrite,
    #[serde(default)]
    retry: gcs::Retry,
}

#[cfg(feature = "sink-gcs")]
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GcsCredentials {
    service_account: Option<Hidden>,
    token: Option<Hidden>,
    #[serde(default)]
    anonymous: bool,
}

#[cfg(feature = "sink-gcs")]
impl GcsKeys {
    pub(super) fn settings(&self, secrets: &Secrets) -> Result<gcs::Settings, ConfigError> {
        let given = &self.credentials;
        let service_account = secrets.optional(
            "credentials.service_account",
            given.service_account.as_ref(),
        )?;
        let token = secrets.optional("credentials.token", given.token.as_ref())?;
        let credentials = match (service_account, token, given.anonymous) {
            (None, None, false) => gcs::Credentials::Default,
            (Some(key), None, false) => gcs::Credentials::ServiceAccount(key),
            (None, Some(token), false) => gcs::Credentials::Token(token),
            (None, None, true) => gcs::Credentials::Anonymous,
            _ => {
                let reason = "give one of `service_account`, `token` and `anonymous`";
                return Err(secrets.error("credentials", reason));
            }
        };
        Ok(gcs::Settings {
            bucket: self.bucket.clone(),
            endpoint: self.endpoint.clone(),
            credentials,
            options: gcs::Options {
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

#[cfg(feature = "sink-azure-blob")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureBlobKeys {
    account: String,
    container: String,
    #[serde(default)]
    prefix: String,
    endpoint: Option<String>,
    #[serde(default)]
    credentials: AzureCredentials,
    access_tier: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    object_metadata: BTreeMap<String, String>,
    content_encoding: Option<String>,
    #[serde(default)]
    overwrite: Overwrite,
    #[serde(default)]
    retry: azure_blob::Retry,
}

#[cfg(feature = "sink-azure-blob")]
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct AzureCredentials {
    access_key: Option<Hidden>,
    sas: Option<Hidden>,
    tenant_id: Option<String>,
    client_id: Option<String>,
    client_secret: Option<Hidden>,
}

#[cfg(feature = "sink-azure-blob")]
impl AzureBlobKeys {
    pub(super) fn settings(&self, secrets: &Secrets) -> Result<azure_blob::Settings, ConfigError> {
        let given = &self.credentials;
        let optional = |name: &str, value: &Option<Hidden>| {
            secrets.optional(&format!("credentials.{name}"), value.as_ref())
        };
        let client = (
            &given.tenant_id,
            &given.client_id,
            optional("client_secret", &given.client_secret)?,
        );
        let key = optional("access_key", &given.access_key)?;
        let credentials = match (key, optional("sas", &given.sas)?, client) {
            (None, None, (None, None, None)) => azure_blob::Credentials::Default,
            (Some(key), None, (None, None, None)) => azure_blob::Credentials::AccessKey(key),
            (None, Some(sas), (None, None, None)) => azure_blob::Credentials::Sas(sas),
            (None, None, (Some(tenant_id), Some(client_id), Some(client_secret))) => {
                azure_blob::Credentials::Client {
                    tenant_id: tenant_id.clone(),
                    client_id: client_id.clone(),
                    client_secret,
                }
            }
            _ => {
                let reason = "give `access_key`, or `sas`, or `tenant_id`, `client_id` and `client_secret` together";
                return Err(secrets.error("credentials", reason));
            }
        };
        Ok(azure_blob::Settings {
            account: self.account.clone(),
            container: self.container.clone(),
            endpoint: self.endpoint.clone(),
            credentials,
            options: azure_blob::Options {
                prefix: self.prefix.clone(),
                storage_class: self.access_tier.clone(),
                object_metadata: self.object_metadata.clone(),
                tags: self.tags.clone(),
                content_encoding: self.content_encoding.clone(),
                overwrite: self.overwrite,
            },
            retry: self.retry,
        })
    }
}
