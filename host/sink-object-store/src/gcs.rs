//! Objects in Google Cloud Storage.
//!
//! Uploads of large objects that a killed writer leaves cannot be listed with this protocol: a
//! lifecycle rule of the bucket (`AbortIncompleteMultipartUpload`) removes them.

use object_store::{ClientOptions, gcp::GoogleCloudStorageBuilder};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    bucket::{Bucket, BucketProperties},
    connector::Connector,
};
use recording_host_sink::{Backpressure, ObjectOptions, Retry, SinkError};

/// The type of this sink.
const NAME: &str = "gcs";

/// Where the bucket is, and who writes. Its fields are keys of a configuration, but for those that are made of
/// other keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcsSinkConfig {
    /// The bucket's name; it must exist.
    #[schemars(example = &"corp-recordings")]
    pub bucket: String,
    /// The URL of a server other than Google's, such as an emulator.
    #[schemars(example = &"http://127.0.0.1:4443")]
    pub endpoint: Option<String>,
    /// The storage class of objects.
    #[schemars(example = &"NEARLINE")]
    pub storage_class: Option<String>,
    /// How requests are repeated.
    #[serde(default)]
    pub retry: Retry,
    /// The names and properties of objects; there are no tags.
    #[serde(skip)]
    pub objects: ObjectOptions,
    /// Who writes.
    #[serde(skip)]
    pub credentials: GcsCredentials,
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
    let properties = BucketProperties {
        sink: NAME,
        url: format!("gs://{}", settings.bucket),
        objects: settings.objects,
        storage_class: settings.storage_class,
        backpressure,
    };
    let keys = "`credentials`, `bucket` and `endpoint`";
    Bucket::new(properties, settings.retry, keys, |retry| {
        builder.clone().with_retry(retry).build()
    })
}
