//! The keys of a sink of type `gcs`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use recording_host_sink::{Overwrite, Sink};
use recording_host_sink_object_store::gcs::{
    self, BucketOptions, BucketRetry, GcsCredentials, GcsSinkConfig,
};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, Hidden, Secrets, key, registry::SinkKeys, value};
use crate::location::Location;

/// The storage classes, the last three of which newer buckets do not have.
const CLASSES: [&str; 7] = [
    "STANDARD",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
    "MULTI_REGIONAL",
    "REGIONAL",
    "DURABLE_REDUCED_AVAILABILITY",
];

/// Google Cloud Storage.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GcsKeys {
    /// The bucket's name; it must exist.
    #[schemars(example = &"corp-recordings")]
    bucket: String,
    /// The prefix of all keys. Give one in a bucket that others use, too.
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

impl GcsKeys {
    fn settings(&self, secrets: &Secrets) -> Result<GcsSinkConfig, ConfigError> {
        secrets.server("endpoint", self.endpoint.as_deref())?;
        secrets.retry(self.retry.attempts, self.retry.max_backoff_seconds)?;
        let properties = value::object_metadata(&self.object_metadata)
            .and_then(|()| value::content_encoding(self.content_encoding.as_deref()));
        properties.map_err(|(at, reason)| secrets.error(&at, reason))?;
        if let Some(class) = &self.storage_class {
            let known = value::one_of(class, &CLASSES);
            known.map_err(|reason| secrets.error("storage_class", reason))?;
        }
        let given = &self.credentials;
        let service_account = secrets.optional(
            "credentials.service_account",
            given.service_account.as_ref(),
        )?;
        let token = secrets.optional("credentials.token", given.token.as_ref())?;
        let credentials = match (service_account, token, given.anonymous) {
            (None, None, false) => GcsCredentials::Default,
            (Some(key), None, false) => {
                check_service_account(&key, secrets.are_read())
                    .map_err(|reason| secrets.error("credentials.service_account", reason))?;
                GcsCredentials::ServiceAccount(key)
            }
            (None, Some(token), false) => GcsCredentials::Token(token),
            (None, None, true) => GcsCredentials::Anonymous,
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

/// Refuses what is not the text of a service account's key; the text is not shown. `read`: it is that of the
/// secret, and none that stands in for it.
fn check_service_account(key: &SecretString, read: bool) -> Result<(), String> {
    let text = key.expose_secret().trim();
    if !read {
        return Ok(());
    }
    if !text.starts_with('{') {
        let hint = match text.contains(['/', '\\']) || text.ends_with(".json") {
            true => ", and this looks like a path",
            false => "",
        };
        return Err(format!(
            "must be the text of the key's JSON file{hint}; take it from a secret backend of type `directory`"
        ));
    }
    let fields: Value = serde_json::from_str(text)
        .map_err(|_| "is not the whole text of the key's JSON file".to_owned())?;
    let kind = fields["type"].as_str().unwrap_or_default();
    let missing = ["client_email", "private_key", "private_key_id"];
    match missing.iter().find(|name| !fields[**name].is_string()) {
        None => Ok(()),
        Some(_) if !kind.is_empty() && kind != "service_account" => Err(format!(
            "is a file of the type `{kind}`; make a key of a service account, or leave `credentials` out and name the file in GOOGLE_APPLICATION_CREDENTIALS"
        )),
        Some(name) => Err(format!(
            "has no `{name}`, which the key of a service account has"
        )),
    }
}

#[async_trait]
impl SinkKeys for GcsKeys {
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
        self.settings(secrets).map(drop)
    }

    fn keeps_different(&self) -> bool {
        self.overwrite == Overwrite::Never
    }

    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        let opened = gcs::open(self.settings(secrets)?);
        Ok(Arc::new(
            opened.map_err(|error| key(secrets.at, error.reason))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_given_by_the_text_of_its_key() {
        let whole = r#"{"type": "service_account", "client_email": "a@b", "private_key_id": "1", "private_key": "hush"}"#;
        assert_eq!(check_service_account(&whole.into(), true), Ok(()));
        assert_eq!(check_service_account(&"stands in".into(), false), Ok(()));
        for (text, words) in [
            ("/etc/key.json", "this looks like a path"),
            ("key.json", "this looks like a path"),
            ("hush", "must be the text of the key's JSON file; take"),
            (&whole[..60], "is not the whole text"),
            (
                r#"{"type": "authorized_user", "x": "hush"}"#,
                "of the type `authorized_user`",
            ),
            (
                r#"{"client_email": "a@b", "private_key": 1}"#,
                "has no `private_key`",
            ),
        ] {
            let error = check_service_account(&text.into(), true).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
            assert!(
                !error.contains("hush") && !error.contains("/etc"),
                "{error}"
            );
        }
    }
}
