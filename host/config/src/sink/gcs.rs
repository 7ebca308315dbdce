//! The keys of a sink of type `gcs`.

use std::sync::Arc;

use async_trait::async_trait;
use recording_host_sink::{ObjectOptions, Sink, SinkError};
use recording_host_sink_object_store::gcs::{self, GcsCredentials, GcsSinkConfig};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::{
    ConfigError, Hidden, Secrets,
    bucket::{BucketKeys, BucketLocation},
    value,
};

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
    /// Who writes; application default credentials if left out.
    #[serde(default)]
    credentials: CredentialKeys,
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

impl CredentialKeys {
    fn credentials(&self, secrets: &Secrets) -> Result<GcsCredentials, ConfigError> {
        let service_account =
            secrets.optional("credentials.service_account", self.service_account.as_ref())?;
        let token = secrets.optional("credentials.token", self.token.as_ref())?;
        Ok(match (service_account, token, self.anonymous) {
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
impl BucketKeys for GcsKeys {
    type Settings = GcsSinkConfig;

    const KIND: &'static str = "gcs";
    const LACKS: &'static [&'static str] = &["tags"];

    fn bucket_location(settings: &GcsSinkConfig) -> BucketLocation<'_> {
        let endpoint = settings.endpoint.as_deref();
        BucketLocation {
            bucket: &settings.bucket,
            endpoint,
            server: endpoint.unwrap_or("https://storage.googleapis.com").into(),
        }
    }

    fn settings(
        &self,
        given: &GcsSinkConfig,
        objects: &ObjectOptions,
        secrets: &Secrets<'_>,
    ) -> Result<GcsSinkConfig, ConfigError> {
        secrets.retry(given.retry.attempts, given.retry.max_backoff_seconds)?;
        if let Some(class) = &given.storage_class {
            let known = value::one_of(class, &CLASSES);
            known.map_err(|reason| secrets.error("storage_class", reason))?;
        }
        Ok(GcsSinkConfig {
            objects: objects.clone(),
            credentials: self.credentials.credentials(secrets)?,
            ..given.clone()
        })
    }

    async fn open(settings: GcsSinkConfig) -> Result<Arc<dyn Sink>, SinkError> {
        Ok(Arc::new(gcs::open(settings)?))
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
