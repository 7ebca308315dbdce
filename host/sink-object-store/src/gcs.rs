//! Objects in Google Cloud Storage.
//!
//! Uploads of large objects that a killed writer leaves cannot be listed with this protocol: a
//! lifecycle rule of the bucket (`AbortIncompleteMultipartUpload`) removes them.

use std::sync::Arc;

use object_store::{ClientOptions, gcp::GoogleCloudStorageBuilder};
use secrecy::{ExposeSecret, SecretString};

pub use super::bucket::{Bucket, BucketOptions, BucketRetry};
use super::connector::Connector;
use recording_host_sink::{Backpressure, SinkError};

/// The type of this sink.
const NAME: &str = "gcs";

/// Where the bucket is, and who writes.
#[derive(Clone, Debug, Default)]
pub struct GcsSinkConfig {
    /// The bucket's name.
    pub bucket: String,
    /// The URL of a server other than Google's, such as an emulator.
    pub endpoint: Option<String>,
    /// Who writes.
    pub credentials: GcsCredentials,
    /// The properties of each object.
    pub options: BucketOptions,
    /// How requests are repeated.
    pub retry: BucketRetry,
}

/// Who writes.
#[derive(Clone, Debug, Default)]
pub enum GcsCredentials {
    /// Application default credentials: a file that is named in the environment, gcloud's, or the
    /// machine's.
    #[default]
    Default,
    /// A service account's key: the text of its JSON file.
    ServiceAccount(SecretString),
    /// An access token, which is not renewed.
    Token(SecretString),
    /// Nobody in particular, as with an emulator.
    Anonymous,
}

/// The sink `gcs`, with a client of its own.
///
/// # Errors
/// Says what is wrong with the settings.
pub fn open(settings: GcsSinkConfig) -> Result<Bucket, SinkError> {
    let url = format!("gs://{}", settings.bucket);
    let backpressure = Backpressure::default();
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_http_connector(Connector(backpressure.clone()))
        .with_bucket_name(&settings.bucket);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder
            .with_base_url(endpoint)
            .with_client_options(ClientOptions::new().with_allow_http(true));
    }
    builder = match &settings.credentials {
        GcsCredentials::Default => builder,
        GcsCredentials::ServiceAccount(key) => {
            builder.with_service_account_key(key.expose_secret())
        }
        GcsCredentials::Token(token) => builder.with_bearer_token(token.expose_secret()),
        // Requests that write ask for credentials all the same: empty ones are at hand.
        GcsCredentials::Anonymous => builder.with_skip_signature(true).with_bearer_token(""),
    };
    let built = |retry: BucketRetry| {
        let built = builder.clone().with_retry(retry.into()).build();
        built.map_err(|error| {
            let reason = format!("{error}; check `credentials`, `bucket` and `endpoint`");
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
