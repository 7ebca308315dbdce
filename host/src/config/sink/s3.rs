//! The keys of a sink of type `s3`.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_s3::types::{ObjectCannedAcl, StorageClass};
use serde::Deserialize;

use super::{ConfigError, Hidden, Secrets};
use crate::sink::{
    Overwrite,
    s3::{
        Checksum, Credentials, Encryption, Grants, Identity, ObjectLock, PartsAtOnce, Retention,
        RetentionMode, Retry, Role, Settings, TidyAfter, Timeout,
    },
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    bucket: String,
    #[serde(default)]
    prefix: String,
    region: Option<String>,
    endpoint: Option<String>,
    #[serde(default)]
    path_style: bool,
    #[serde(default)]
    credentials: CredentialKeys,
    sse: Option<Encryption>,
    storage_class: Option<String>,
    acl: Option<String>,
    #[serde(default)]
    grants: Grants,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    object_metadata: BTreeMap<String, String>,
    content_encoding: Option<String>,
    #[serde(default)]
    checksum: Checksum,
    object_lock: Option<LockKeys>,
    #[serde(default)]
    overwrite: Overwrite,
    #[serde(default)]
    requester_pays: bool,
    #[serde(default)]
    retry: Retry,
    #[serde(default)]
    timeout: Timeout,
    parts_at_once: Option<usize>,
    tidy_after_hours: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CredentialKeys {
    profile: Option<String>,
    access_key_id: Option<Hidden>,
    secret_access_key: Option<Hidden>,
    session_token: Option<Hidden>,
    assume_role: Option<RoleKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleKeys {
    role_arn: String,
    external_id: Option<Hidden>,
    session_name: Option<String>,
    endpoint: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockKeys {
    mode: Option<RetentionMode>,
    days: Option<u32>,
    until: Option<jiff::Timestamp>,
    #[serde(default)]
    legal_hold: bool,
}

impl Keys {
    pub(super) fn settings(&self, secrets: &Secrets) -> Result<Settings, ConfigError> {
        let storage_class = match &self.storage_class {
            Some(name) => Some(StorageClass::try_parse(name).map_err(|_| {
                secrets.error("storage_class", unknown(name, StorageClass::values()))
            })?),
            None => None,
        };
        let acl = match &self.acl {
            Some(name) => Some(
                ObjectCannedAcl::try_parse(name)
                    .map_err(|_| secrets.error("acl", unknown(name, ObjectCannedAcl::values())))?,
            ),
            None => None,
        };
        for (name, value) in &self.object_metadata {
            let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if !plain(value) || !plain(name) || name.is_empty() || name.contains([' ', ':']) {
                let at = format!("object_metadata.{name}");
                return Err(secrets.error(&at, "names and values must be printable ASCII"));
            }
        }
        for (name, url) in [
            ("endpoint", &self.endpoint),
            (
                "credentials.assume_role.endpoint",
                match &self.credentials.assume_role {
                    Some(role) => &role.endpoint,
                    None => &None,
                },
            ),
        ] {
            if let Some(url) = url
                && !url.starts_with("https://")
                && !url.starts_with("http://")
            {
                let reason = format!("`{url}` is not of the form https://host");
                return Err(secrets.error(name, reason));
            }
        }
        if self.retry.attempts == 0 {
            return Err(secrets.error("retry.attempts", "must be at least 1"));
        }
        let parts_at_once = match self.parts_at_once {
            None => PartsAtOnce::default(),
            Some(parts @ 1..=16) => PartsAtOnce(parts),
            Some(_) => return Err(secrets.error("parts_at_once", "must be 1 to 16")),
        };
        let object_lock = match &self.object_lock {
            None => None,
            Some(_) if self.checksum == Checksum::None => {
                let reason = "S3 takes objects under `object_lock` only with a checksum";
                return Err(secrets.error("checksum", reason));
            }
            Some(lock) => Some(lock.lock(secrets)?),
        };
        Ok(Settings {
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            path_style: self.path_style,
            identity: self.credentials.identity(secrets, "credentials")?,
            encryption: self.sse.clone(),
            storage_class,
            acl,
            grants: self.grants.clone(),
            tags: self.tags.clone(),
            object_metadata: self.object_metadata.clone(),
            content_encoding: self.content_encoding.clone(),
            checksum: self.checksum,
            object_lock,
            overwrite: self.overwrite,
            requester_pays: self.requester_pays,
            retry: self.retry,
            timeout: self.timeout,
            parts_at_once,
            tidy_after: self
                .tidy_after_hours
                .map_or_else(TidyAfter::default, |hours| {
                    TidyAfter(Duration::from_secs(hours.saturating_mul(3600)))
                }),
        })
    }
}

impl CredentialKeys {
    /// Who is meant by the keys that stand at `below` in the place of `secrets`; empty if right there.
    pub(in crate::config) fn identity(
        &self,
        secrets: &Secrets,
        below: &str,
    ) -> Result<Identity, ConfigError> {
        let optional = |name: &str, value: &Option<Hidden>| {
            let name = format!("{below}.{name}");
            secrets.optional(name.trim_start_matches('.'), value.as_ref())
        };
        let wrong = |reason: &str| secrets.error(below, reason);
        let id = optional("access_key_id", &self.access_key_id)?;
        let secret = optional("secret_access_key", &self.secret_access_key)?;
        let token = optional("session_token", &self.session_token)?;
        let source = match (id, secret, token, &self.profile) {
            (None, None, None, None) => Credentials::Chain,
            (None, None, None, Some(profile)) => Credentials::Profile(profile.clone()),
            (Some(access_key_id), Some(secret_access_key), session_token, None) => {
                Credentials::Static {
                    access_key_id,
                    secret_access_key,
                    session_token,
                }
            }
            (_, _, _, Some(_)) => return Err(wrong("give either `profile` or keys")),
            _ => return Err(wrong("`access_key_id` and `secret_access_key` go together")),
        };
        let role = match &self.assume_role {
            None => None,
            Some(role) => Some(Role {
                arn: role.role_arn.clone(),
                external_id: optional("assume_role.external_id", &role.external_id)?,
                session_name: role
                    .session_name
                    .clone()
                    .unwrap_or_else(|| "recording-host".to_owned()),
                endpoint: role.endpoint.clone(),
            }),
        };
        Ok(Identity { source, role })
    }
}

impl LockKeys {
    fn lock(&self, secrets: &Secrets) -> Result<ObjectLock, ConfigError> {
        let wrong = |reason: &str| Err(secrets.error("object_lock", reason));
        let retention = match (self.mode, self.days, self.until) {
            (None, None, None) if self.legal_hold => None,
            (Some(mode), Some(days), None) => Some((mode, Retention::Days(days))),
            (Some(mode), None, Some(until)) => Some((mode, Retention::Until(until))),
            (_, Some(_), Some(_)) => return wrong("give either `days` or `until`"),
            (Some(_), None, None) => return wrong("`mode` needs `days` or `until`"),
            (None, None, None) => {
                return wrong("give `mode` with `days` or `until`, or `legal_hold: true`");
            }
            (None, _, _) => return wrong("`mode` is missing; use governance or compliance"),
        };
        Ok(ObjectLock {
            retention,
            legal_hold: self.legal_hold,
        })
    }
}

fn unknown(name: &str, values: &[&str]) -> String {
    format!("`{name}` is not known; use one of {}", values.join(", "))
}
