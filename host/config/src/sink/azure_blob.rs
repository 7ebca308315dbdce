//! The keys of a sink of type `azure_blob`.

use std::sync::Arc;

use async_trait::async_trait;
use recording_host_sink::{ObjectOptions, Sink, SinkError};
use recording_host_sink_object_store::azure_blob::{self, AzureBlobSinkConfig, AzureCredentials};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{
    ConfigError, Hidden, Secrets,
    bucket::{BucketKeys, BucketLocation},
    key, value,
};

/// The access tiers of a block blob.
const TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];

/// Azure Blob Storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureKeys {
    /// Who writes; what the environment says (`AZURE_...`), else the managed identity, if left out.
    #[serde(default)]
    credentials: CredentialKeys,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CredentialKeys {
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

/// Refuses properties of objects that the service does not take.
fn check_properties(
    settings: &AzureBlobSinkConfig,
    objects: &ObjectOptions,
) -> Result<(), (String, String)> {
    for name in objects.object_metadata.keys() {
        let sign = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
        if name.starts_with(|first: char| first.is_ascii_digit()) || !name.chars().all(sign) {
            let reason =
                "the service takes names of letters, digits and `_` that do not begin with a digit";
            return Err((format!("object_metadata.{name}"), reason.to_owned()));
        }
    }
    match &settings.access_tier {
        None => Ok(()),
        Some(tier) => {
            value::one_of(tier, &TIERS).map_err(|reason| ("access_tier".to_owned(), reason))
        }
    }
}

impl CredentialKeys {
    fn credentials(&self, secrets: &Secrets) -> Result<AzureCredentials, ConfigError> {
        let read = secrets.are_read();
        let optional = |name: &str, value: &Option<Hidden>| {
            secrets.optional(&format!("credentials.{name}"), value.as_ref())
        };
        let client = (
            &self.tenant_id,
            &self.client_id,
            optional("client_secret", &self.client_secret)?,
        );
        let key = optional("access_key", &self.access_key)?;
        Ok(match (key, optional("sas", &self.sas)?, client) {
            (None, None, (None, None, None)) => AzureCredentials::Default,
            (Some(key), None, (None, None, None)) => {
                if read && !is_base64(key.expose_secret()) {
                    let reason =
                        "is no account key: it is not Base64; copy the key from the account's page";
                    return Err(secrets.error("credentials.access_key", reason));
                }
                AzureCredentials::AccessKey(key)
            }
            (None, Some(sas), (None, None, None)) => {
                if read && !sas.expose_secret().contains("sig=") {
                    let reason = "is no shared access signature: it has no `sig=`; give the query of the URL, from `sv=` on";
                    return Err(secrets.error("credentials.sas", reason));
                }
                AzureCredentials::Sas(sas)
            }
            (None, None, (Some(tenant_id), Some(client_id), Some(client_secret))) => {
                AzureCredentials::Client {
                    tenant_id: tenant_id.clone(),
                    client_id: client_id.clone(),
                    client_secret,
                }
            }
            _ => {
                let reason = "give `access_key`, or `sas`, or `tenant_id`, `client_id` and `client_secret` together";
                return Err(secrets.error("credentials", reason));
            }
        })
    }
}

/// Returns true if a text is of the form of Base64 with its padding.
fn is_base64(text: &str) -> bool {
    let bare = text.trim_end_matches('=');
    let sign = |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'+' | b'/');
    text.len().is_multiple_of(4)
        && text.len() - bare.len() <= 2
        && !bare.is_empty()
        && bare.bytes().all(sign)
}

#[async_trait]
impl BucketKeys for AzureKeys {
    type Settings = AzureBlobSinkConfig;

    const KIND: &'static str = "azure_blob";
    const LOCATION_KEY: &'static str = "container";

    fn bucket_location(settings: &AzureBlobSinkConfig) -> BucketLocation<'_> {
        let endpoint = settings.endpoint.as_deref();
        let account = &settings.account;
        let public = || format!("https://{account}.blob.core.windows.net").into();
        BucketLocation {
            bucket: &settings.container,
            endpoint,
            server: endpoint.map_or_else(public, Into::into),
        }
    }

    fn check_location(settings: &AzureBlobSinkConfig, at: &str) -> Result<(), ConfigError> {
        let AzureBlobSinkConfig {
            account, container, ..
        } = settings;
        if account.is_empty() {
            let reason = "is empty; name the storage account";
            return Err(key(format!("{at}.account"), reason));
        }
        let lower = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit();
        if !(3..=24).contains(&account.len()) || !account.chars().all(lower) {
            let reason = format!(
                "`{account}` is not the name of a storage account, which has 3 to 24 lower-case letters and digits; a server is named as `endpoint`"
            );
            return Err(key(format!("{at}.account"), reason));
        }
        // Empty names and paths are refused elsewhere, for all types of sinks.
        let in_form = (3..=63).contains(&container.len())
            && container
                .split('-')
                .all(|part| !part.is_empty() && part.chars().all(lower));
        if !in_form && !container.is_empty() && !["$root", "$web"].contains(&container.as_str()) {
            let reason = format!(
                "`{container}` is not the name of a container, which has 3 to 63 lower-case letters, digits and single `-`"
            );
            return Err(key(format!("{at}.container"), reason));
        }
        Ok(())
    }

    fn settings(
        &self,
        given: &AzureBlobSinkConfig,
        objects: &ObjectOptions,
        secrets: &Secrets<'_>,
    ) -> Result<AzureBlobSinkConfig, ConfigError> {
        secrets.retry(given.retry.attempts, given.retry.max_backoff_seconds)?;
        check_properties(given, objects).map_err(|(at, reason)| secrets.error(&at, reason))?;
        Ok(AzureBlobSinkConfig {
            objects: objects.clone(),
            credentials: self.credentials.credentials(secrets)?,
            ..given.clone()
        })
    }

    async fn open(settings: AzureBlobSinkConfig) -> Result<Arc<dyn Sink>, SinkError> {
        Ok(Arc::new(azure_blob::open(settings)?))
    }
}
