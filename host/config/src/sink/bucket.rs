//! The keys of sinks of the types `gcs` and `azure_blob`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{super::place::Place, ConfigError, Hidden, Secrets};
use recording_host_sink::Overwrite;
#[cfg(feature = "sink-azure-blob")]
use recording_host_sink_object_store::azure_blob;
#[cfg(feature = "sink-gcs")]
use recording_host_sink_object_store::gcs;

#[cfg(feature = "sink-gcs")]
/// Google Cloud Storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GcsKeys {
    /// The bucket's name; it must exist.
    #[schemars(example = &"corp-recordings")]
    bucket: String,
    /// What all keys begin with.
    #[serde(default)]
    #[schemars(example = &"genesys")]
    prefix: String,
    /// The URL of a server other than Google's, such as an emulator.
    #[schemars(example = &"http://127.0.0.1:4443")]
    endpoint: Option<String>,
    /// Who writes; application default credentials if left out.
    #[serde(default)]
    credentials: GcsCredentials,
    /// The storage class of objects.
    #[schemars(example = &"NEARLINE")]
    storage_class: Option<String>,
    /// User metadata of each object.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("department", "claims")]))]
    object_metadata: BTreeMap<String, String>,
    /// The content encoding that objects are labelled with.
    #[schemars(example = &"identity")]
    content_encoding: Option<String>,
    /// What is done about an object that is there already.
    #[serde(default)]
    overwrite: Overwrite,
    /// How requests are repeated.
    #[serde(default)]
    retry: gcs::Retry,
}

#[cfg(feature = "sink-gcs")]
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GcsCredentials {
    /// A service account's key: the text of its JSON file.
    #[schemars(example = &"SECRET[env.GCS_SERVICE_ACCOUNT]")]
    service_account: Option<Hidden>,
    /// An access token, which is not renewed.
    #[schemars(example = &"SECRET[env.GCS_TOKEN]")]
    token: Option<Hidden>,
    /// Whether nobody in particular writes, as with an emulator.
    #[serde(default)]
    anonymous: bool,
}

#[cfg(feature = "sink-gcs")]
impl GcsKeys {
    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    pub(super) fn place(&self) -> Place {
        let endpoint = self.endpoint.as_deref();
        let endpoint = endpoint.unwrap_or("https://storage.googleapis.com");
        Place::bucket("gcs", endpoint, &self.bucket, &self.prefix)
    }

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
/// Azure Blob Storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureBlobKeys {
    /// The storage account.
    #[schemars(example = &"corprecordings")]
    account: String,
    /// The container's name; it must exist.
    #[schemars(example = &"recordings")]
    container: String,
    /// What all keys begin with.
    #[serde(default)]
    #[schemars(example = &"genesys")]
    prefix: String,
    /// The URL of a server other than Azure's public cloud, such as an emulator.
    #[schemars(example = &"http://127.0.0.1:10000/devstoreaccount1")]
    endpoint: Option<String>,
    /// Who writes; what the environment says (`AZURE_...`), else the managed identity, if left out.
    #[serde(default)]
    credentials: AzureCredentials,
    /// The access tier of objects: `Hot`, `Cool`, `Cold` or `Archive`.
    #[schemars(example = &"Cool")]
    access_tier: Option<String>,
    /// Tags of each object.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("retention", "7y")]))]
    tags: BTreeMap<String, String>,
    /// User metadata of each object.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("department", "claims")]))]
    object_metadata: BTreeMap<String, String>,
    /// The content encoding that objects are labelled with.
    #[schemars(example = &"identity")]
    content_encoding: Option<String>,
    /// What is done about an object that is there already.
    #[serde(default)]
    overwrite: Overwrite,
    /// How requests are repeated.
    #[serde(default)]
    retry: azure_blob::Retry,
}

#[cfg(feature = "sink-azure-blob")]
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AzureCredentials {
    /// The account's key.
    #[schemars(example = &"SECRET[env.AZURE_KEY]")]
    access_key: Option<Hidden>,
    /// A shared access signature: the query without its question mark.
    #[schemars(example = &"SECRET[env.AZURE_SAS]")]
    sas: Option<Hidden>,
    /// The directory of an application of Entra ID.
    #[schemars(example = &"00000000-0000-0000-0000-000000000000")]
    tenant_id: Option<String>,
    /// The application.
    #[schemars(example = &"00000000-0000-0000-0000-000000000000")]
    client_id: Option<String>,
    /// The application's secret.
    #[schemars(example = &"SECRET[env.AZURE_SECRET]")]
    client_secret: Option<Hidden>,
}

#[cfg(feature = "sink-azure-blob")]
impl AzureBlobKeys {
    pub(super) fn account(&self) -> &str {
        &self.account
    }

    pub(super) fn container(&self) -> &str {
        &self.container
    }

    pub(super) fn place(&self) -> Place {
        let public = format!("https://{}.blob.core.windows.net", self.account);
        let endpoint = self.endpoint.as_deref().unwrap_or(&public);
        Place::bucket("azure_blob", endpoint, &self.container, &self.prefix)
    }

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
