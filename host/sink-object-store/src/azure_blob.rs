//! Objects in Azure Blob Storage.
//!
//! Blocks of large objects that a killed writer leaves are removed by the service after a week.

use std::sync::Arc;

use object_store::{ClientOptions, azure::MicrosoftAzureBuilder};
use secrecy::{ExposeSecret, SecretString};

pub use super::bucket::{Bucket, BucketOptions, BucketRetry};
use super::connector::Connector;
use recording_host_sink::{Backpressure, SinkError};

/// The type of this sink.
const NAME: &str = "azure_blob";

/// Where the container is, and who writes.
#[derive(Clone, Debug, Default)]
pub struct AzureBlobSinkConfig {
    /// The storage account.
    pub account: String,
    /// The container's name.
    pub container: String,
    /// The URL of a server other than Azure's public cloud, such as an emulator.
    pub endpoint: Option<String>,
    /// Who writes.
    pub credentials: AzureCredentials,
    /// The properties of each object.
    pub options: BucketOptions,
    /// How requests are repeated.
    pub retry: BucketRetry,
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
    let url = format!("az://{}/{}", settings.account, settings.container);
    let backpressure = Backpressure::default();
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_http_connector(Connector(backpressure.clone()))
        .with_account(&settings.account)
        .with_container_name(&settings.container)
        // An account that has no tags refuses the header even if it is empty.
        .with_disable_tagging(settings.options.tags.is_empty());
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
    let built = |retry: BucketRetry| {
        let built = builder.clone().with_retry(retry.into()).build();
        built.map_err(|error| {
            let reason =
                format!("{error}; check `credentials`, `account`, `container` and `endpoint`");
            SinkError::new(NAME, &url, reason)
        })
    };
    Ok(Bucket {
        store: Arc::new(built(settings.retry)?),
        once: Arc::new(built(BucketRetry::ONCE)?),
        sink: NAME,
        url,
        options: settings.options,
        backpressure,
    })
}
