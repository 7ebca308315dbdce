//! The keys of a sink of type `azure_blob`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use recording_host_sink::{Overwrite, Sink};
use recording_host_sink_object_store::azure_blob::{
    self, AzureBlobSinkConfig, AzureCredentials, BucketOptions, BucketRetry,
};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{ConfigError, Hidden, Secrets, key, registry::SinkKeys, value};
use crate::location::Location;

/// The access tiers of a block blob.
const TIERS: [&str; 4] = ["Hot", "Cool", "Cold", "Archive"];

/// Azure Blob Storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AzureKeys {
    /// The storage account.
    #[schemars(example = &"corprecordings")]
    account: String,
    /// The container's name; it must exist.
    #[schemars(example = &"recordings")]
    container: String,
    /// The prefix of all keys. Give one in a bucket that others use, too.
    #[serde(default)]
    #[schemars(example = &"genesys")]
    prefix: String,
    /// The URL of a server other than Azure's public cloud, such as an emulator.
    #[schemars(example = &"http://127.0.0.1:10000/devstoreaccount1")]
    endpoint: Option<String>,
    /// Who writes; what the environment says (`AZURE_...`), else the managed identity, if left out.
    #[serde(default)]
    credentials: CredentialKeys,
    /// The access tier of objects: `Hot`, `Cool`, `Cold` or `Archive`.
    #[schemars(example = &"Cool")]
    access_tier: Option<String>,
    /// Tags of each object.
    #[serde(default)]
    #[schemars(example = BTreeMap::from([("retention", "7y")]))]
    tags: BTreeMap<String, String>,
    /// User metadata of each object, printable ASCII.
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
    retry: BucketRetry,
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

impl AzureKeys {
    /// Refuses properties of objects that the service does not take.
    fn check_properties(&self) -> Result<(), (String, String)> {
        value::tags(&self.tags)?;
        value::object_metadata(&self.object_metadata)?;
        value::content_encoding(self.content_encoding.as_deref())?;
        for name in self.object_metadata.keys() {
            let sign = |sign: char| sign.is_ascii_alphanumeric() || sign == '_';
            if name.starts_with(|first: char| first.is_ascii_digit()) || !name.chars().all(sign) {
                let reason = "the service takes names of letters, digits and `_` that do not begin with a digit";
                return Err((format!("object_metadata.{name}"), reason.to_owned()));
            }
        }
        match &self.access_tier {
            None => Ok(()),
            Some(tier) => {
                value::one_of(tier, &TIERS).map_err(|reason| ("access_tier".to_owned(), reason))
            }
        }
    }

    fn settings(&self, secrets: &Secrets) -> Result<AzureBlobSinkConfig, ConfigError> {
        secrets.server("endpoint", self.endpoint.as_deref())?;
        secrets.retry(self.retry.attempts, self.retry.max_backoff_seconds)?;
        self.check_properties()
            .map_err(|(at, reason)| secrets.error(&at, reason))?;
        let (given, read) = (&self.credentials, secrets.are_read());
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
        };
        Ok(AzureBlobSinkConfig {
            account: self.account.clone(),
            container: self.container.clone(),
            endpoint: self.endpoint.clone(),
            credentials,
            options: BucketOptions {
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
impl SinkKeys for AzureKeys {
    fn place_key(&self) -> &'static str {
        "container"
    }

    fn location(&self) -> Location {
        let public = format!("https://{}.blob.core.windows.net", self.account);
        let endpoint = self.endpoint.as_deref().unwrap_or(&public);
        Location::bucket("azure_blob", endpoint, &self.container, &self.prefix)
    }

    fn check_place(&self, at: &str) -> Result<(), ConfigError> {
        if self.account.is_empty() {
            let reason = "is empty; name the storage account";
            return Err(key(format!("{at}.account"), reason));
        }
        let account = &self.account;
        let lower = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit();
        if !(3..=24).contains(&account.len()) || !account.chars().all(lower) {
            let reason = format!(
                "`{account}` is not the name of a storage account, which has 3 to 24 lower-case letters and digits; a server is named as `endpoint`"
            );
            return Err(key(format!("{at}.account"), reason));
        }
        // Empty names and paths are refused elsewhere, for all types of sinks.
        let container = &self.container;
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

    fn bucket(&self) -> Option<&str> {
        Some(&self.container)
    }

    fn validate(&self, secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        self.settings(secrets).map(|_| ())
    }

    fn keeps_different(&self) -> bool {
        self.overwrite == Overwrite::Never
    }

    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        let opened = azure_blob::open(self.settings(secrets)?);
        Ok(Arc::new(
            opened.map_err(|error| key(secrets.at, error.reason))?,
        ))
    }
}
