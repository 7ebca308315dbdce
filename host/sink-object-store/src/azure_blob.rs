//! Objects in Azure Blob Storage.
//!
//! Blocks of large objects that a killed writer leaves are removed by the service after a week.

use object_store::{ClientOptions, azure::MicrosoftAzureBuilder};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    bucket::{Bucket, BucketProperties},
    connector::Connector,
};
use recording_host_sink::{Backpressure, ObjectOptions, Retry, SinkError};

/// The type of this sink.
const NAME: &str = "azure_blob";

/// Where the container is, and who writes. Its fields are keys of a configuration, but for those that are made of
/// other keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureBlobSinkConfig {
    /// The storage account.
    #[schemars(example = &"corprecordings")]
    pub account: String,
    /// The container's name; it must exist.
    #[schemars(example = &"recordings")]
    pub container: String,
    /// The URL of a server other than Azure's public cloud, such as an emulator.
    #[schemars(example = &"http://127.0.0.1:10000/devstoreaccount1")]
    pub endpoint: Option<String>,
    /// The access tier of objects: `Hot`, `Cool`, `Cold` or `Archive`.
    #[schemars(example = &"Cool")]
    pub access_tier: Option<String>,
    /// How requests are repeated.
    #[serde(default)]
    pub retry: Retry,
    /// The names and properties of objects.
    #[serde(skip)]
    pub objects: ObjectOptions,
    /// Who writes.
    #[serde(skip)]
    pub credentials: AzureCredentials,
}

/// Who writes.
#[derive(Clone, Debug, Default)]
pub enum AzureCredentials {
    /// The credentials in the environment (`AZURE_...`), else the machine's managed identity.
    #[default]
    Default,
    /// The account's key.
    AccessKey(SecretString),
    /// A shared access signature: the query without its question mark.
    Sas(SecretString),
    /// An application of Entra ID.
    Client {
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
}

/// The sink `azure_blob`, with a client of its own.
///
/// # Errors
/// Says what is wrong with the settings.
pub fn open(settings: AzureBlobSinkConfig) -> Result<Bucket, SinkError> {
    let backpressure = Backpressure::default();
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_http_connector(Connector(backpressure.clone()))
        .with_account(&settings.account)
        .with_container_name(&settings.container)
        // An account that has no tags refuses the header even if it is empty.
        .with_disable_tagging(settings.objects.tags.is_empty());
    if let Some(endpoint) = &settings.endpoint {
        builder = builder
            .with_endpoint(endpoint.clone())
            .with_client_options(ClientOptions::new().with_allow_http(true));
    }
    builder = match &settings.credentials {
        AzureCredentials::Default => builder,
        AzureCredentials::AccessKey(key) => builder.with_access_key(key.expose_secret()),
        AzureCredentials::Sas(query) => {
            let query = query.expose_secret().trim_start_matches('?').as_bytes();
            let pairs = url::form_urlencoded::parse(query).into_owned();
            builder.with_sas_authorization(pairs.collect::<Vec<_>>())
        }
        AzureCredentials::Client {
            tenant_id,
            client_id,
            client_secret,
        } => builder.with_client_secret_authorization(
            client_id,
            client_secret.expose_secret(),
            tenant_id,
        ),
    };
    let properties = BucketProperties {
        sink: NAME,
        url: format!("az://{}/{}", settings.account, settings.container),
        objects: settings.objects,
        storage_class: settings.access_tier,
        backpressure,
    };
    let keys = "`credentials`, `account`, `container` and `endpoint`";
    Bucket::new(properties, settings.retry, keys, |retry| {
        builder.clone().with_retry(retry).build()
    })
}
