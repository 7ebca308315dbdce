//! The keys of a sink of type `s3`.

use std::sync::Arc;

use async_trait::async_trait;
use recording_host_sink::{ObjectOptions, Sink, SinkError};
use recording_host_sink_s3::{
    BucketEncryption, Checksum, Credentials, Grants, Identity, ObjectCannedAcl, ObjectLock,
    Retention, RetentionMode, Role, S3, S3SinkConfig, StorageClass,
};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{
    ConfigError, Hidden, Secrets,
    bucket::{BucketKeys, BucketLocation},
    value,
};
use crate::{source::MOST_HOURS, tls::TlsKeys};

/// The name of a role's session, unless one is given.
const SESSION: &str = "recording-host";

/// The most days of a retention, as of a bucket's default one (PutObjectLockConfiguration, Days).
const MOST_DAYS: u32 = 36_500;

/// Amazon S3, or whatever speaks its protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct S3Keys {
    /// Who writes; AWS' default chain if left out (environment, profile, web identity, container, instance).
    #[serde(default)]
    credentials: CredentialKeys,
    /// How long objects can be neither deleted nor replaced; the bucket must have object lock.
    object_lock: Option<LockKeys>,
    /// The certificate that is shown to the server, and authorities of one's own.
    #[serde(default)]
    tls: TlsKeys,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialKeys {
    /// A profile of AWS' files.
    #[schemars(example = &"archive")]
    profile: Option<String>,
    /// The access key's id.
    #[schemars(example = &"SECRET[env.AWS_KEY_ID]")]
    access_key_id: Option<Hidden>,
    /// The access key's secret.
    #[schemars(example = &"SECRET[env.AWS_SECRET]")]
    secret_access_key: Option<Hidden>,
    /// The token of temporary credentials.
    #[schemars(example = &"SECRET[env.AWS_TOKEN]")]
    session_token: Option<Hidden>,
    /// A role to take with these credentials; it is renewed in time.
    assume_role: Option<RoleKeys>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RoleKeys {
    /// The role's ARN.
    #[schemars(example = &"arn:aws:iam::111122223333:role/archive")]
    role_arn: String,
    /// The external id that the role's trust policy asks for.
    #[schemars(example = &"SECRET[env.AWS_EXTERNAL_ID]")]
    external_id: Option<Hidden>,
    /// The session's name, as CloudTrail shows it.
    #[schemars(extend("default" = SESSION))]
    session_name: Option<String>,
    /// The URL of the token service, if not that of AWS.
    #[schemars(example = &"https://sts.example.com")]
    endpoint: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LockKeys {
    /// Who can lift the retention.
    #[schemars(example = &"governance")]
    mode: Option<RetentionMode>,
    /// How many days after an object is written it lasts.
    #[schemars(example = 2555)]
    days: Option<u32>,
    /// Until when it lasts, instead of `days`.
    #[schemars(with = "Option<String>", example = &"2035-01-01T00:00:00Z")]
    until: Option<jiff::Timestamp>,
    /// True if a legal hold is put on objects.
    #[serde(default)]
    legal_hold: bool,
}

/// Refuses values that no server can take.
fn check_values(given: &S3SinkConfig, secrets: &Secrets) -> Result<(), ConfigError> {
    if given.acl.is_some() && given.grants != Grants::default() {
        let reason = "S3 takes either a canned `acl` or `grants`; leave one of them out";
        return Err(secrets.error("acl", reason));
    }
    if let Some(BucketEncryption::Kms {
        key_id: Some(id), ..
    }) = &given.sse
        && id.trim().is_empty()
    {
        let reason = "is empty; give the key's id or ARN, or leave it out for AWS' own key";
        return Err(secrets.error("sse.key_id", reason));
    }
    if let Some(region) = &given.region {
        check_region(region, given.endpoint.is_some())
            .map_err(|reason| secrets.error("region", reason))?;
    }
    let word = |at: &str, given: Option<&str>, known| {
        let known = given.map_or(Ok(()), |given| value::one_of(given, known));
        known.map_err(|reason| secrets.error(at, reason))
    };
    let class = given.storage_class.as_ref().map(StorageClass::as_str);
    word("storage_class", class, StorageClass::values())?;
    let acl = given.acl.as_ref().map(ObjectCannedAcl::as_str);
    word("acl", acl, ObjectCannedAcl::values())
}

/// Refuses numbers that are out of bounds.
fn check_numbers(given: &S3SinkConfig, secrets: &Secrets) -> Result<(), ConfigError> {
    let S3SinkConfig { retry, timeout, .. } = given;
    secrets.retry(retry.attempts, retry.max_backoff_seconds)?;
    secrets.wait("timeout.connect_seconds", timeout.connect_seconds, 1)?;
    secrets.wait("timeout.read_seconds", timeout.read_seconds, 1)?;
    secrets.wait("timeout.attempt_seconds", timeout.attempt_seconds, 1)?;
    if !(1..=16).contains(&given.parts_at_once.0) {
        return Err(secrets.error("parts_at_once", "must be 1 to 16"));
    }
    let hours = given.cleanup_after_hours.0;
    if hours > MOST_HOURS {
        let reason = format!("{hours} is more than {MOST_HOURS}, which is a hundred years");
        return Err(secrets.error("cleanup_after_hours", reason));
    }
    Ok(())
}

/// Refuses a region that AWS has none of that form of; `elsewhere`: the server is another one, which may call
/// its regions what it will.
fn check_region(region: &str, elsewhere: bool) -> Result<(), String> {
    let of_form = "regions are of the form eu-west-1";
    if region.trim().is_empty() {
        return Err(format!(
            "is empty; {of_form}; leave it out for that of the environment"
        ));
    }
    if region.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("`{region}` holds white space; {of_form}"));
    }
    if elsewhere {
        return Ok(());
    }
    let lower = region.to_ascii_lowercase();
    if lower != region {
        return Err(format!(
            "`{region}` has upper-case letters; write `{lower}`"
        ));
    }
    let whole = region.trim_end_matches(|c: char| c.is_ascii_lowercase());
    if whole.len() + 1 == region.len() && whole.ends_with(|c: char| c.is_ascii_digit()) {
        return Err(format!(
            "`{region}` is an availability zone; its region is `{whole}`"
        ));
    }
    match region
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-')
    {
        true => Ok(()),
        false => Err(format!("`{region}` is no region; {of_form}")),
    }
}

/// The server of Amazon S3: buckets have one name space for all regions of a partition.
fn amazon(region: Option<&str>, endpoint: Option<&str>) -> Option<&'static str> {
    let host = match endpoint {
        None => None,
        Some(endpoint) => {
            let url = Url::parse(endpoint).ok()?;
            let host = url.host_str()?.to_owned();
            let suffixes = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"];
            if !suffixes.iter().any(|suffix| host.ends_with(suffix)) {
                return None;
            }
            Some(host)
        }
    };
    // A region stands in the host: `s3.cn-north-1.amazonaws.com.cn`.
    let reported = |partition: &str| {
        let region = region.is_some_and(|region| region.starts_with(partition));
        let host = host.as_deref();
        region
            || host.is_some_and(|host| {
                host.split(['.', '/'])
                    .any(|part| part.starts_with(partition))
            })
    };
    Some(if reported("cn-") {
        "https://s3.amazonaws.com.cn"
    } else if reported("us-gov-") {
        "https://s3.us-gov.amazonaws.com"
    } else if reported("eusc-") {
        "https://s3.amazonaws.eu"
    } else {
        "https://s3.amazonaws.com"
    })
}

#[async_trait]
impl BucketKeys for S3Keys {
    type Settings = S3SinkConfig;

    const KIND: &'static str = "s3";

    fn bucket_location(settings: &S3SinkConfig) -> BucketLocation<'_> {
        // Whatever the region is: no two buckets of a server share a name.
        let endpoint = settings.endpoint.as_deref();
        let server = amazon(settings.region.as_deref(), endpoint);
        BucketLocation {
            bucket: &settings.bucket,
            endpoint,
            server: server.or(endpoint).unwrap_or_default().into(),
        }
    }

    fn settings(
        &self,
        given: &S3SinkConfig,
        objects: &ObjectOptions,
        secrets: &Secrets<'_>,
    ) -> Result<S3SinkConfig, ConfigError> {
        check_values(given, secrets)?;
        check_numbers(given, secrets)?;
        let object_lock = match &self.object_lock {
            None => None,
            Some(_) if given.checksum == Checksum::None => {
                let reason = "S3 takes objects under `object_lock` only with a checksum";
                return Err(secrets.error("checksum", reason));
            }
            Some(lock) => Some(lock.lock(secrets)?),
        };
        Ok(S3SinkConfig {
            objects: objects.clone(),
            identity: self.credentials.identity(secrets, "credentials")?,
            object_lock,
            tls: self.tls.settings(secrets, "tls")?,
            ..given.clone()
        })
    }

    async fn open(settings: S3SinkConfig) -> Result<Arc<dyn Sink>, SinkError> {
        Ok(Arc::new(S3::new(settings).await))
    }
}

impl CredentialKeys {
    /// Who is meant by the keys that stand at `below` in the place of `secrets`; empty if right there.
    pub(crate) fn identity(&self, secrets: &Secrets, below: &str) -> Result<Identity, ConfigError> {
        let optional = |name: &str, value: &Option<Hidden>| {
            let name = format!("{below}.{name}");
            secrets.optional(name.trim_start_matches('.'), value.as_ref())
        };
        let wrong = |reason: &str| secrets.error(below, reason);
        let wrong_at = |name: &str, reason: String| {
            let name = format!("{below}.{name}");
            secrets.error(name.trim_start_matches('.'), reason)
        };
        let id = optional("access_key_id", &self.access_key_id)?;
        let secret = optional("secret_access_key", &self.secret_access_key)?;
        let token = optional("session_token", &self.session_token)?;
        if self
            .profile
            .as_ref()
            .is_some_and(|name| name.trim().is_empty())
        {
            let reason = "is empty; name a profile of AWS' files, or leave it out";
            return Err(wrong_at("profile", reason.to_owned()));
        }
        if let Some(role) = &self.assume_role {
            let at = format!("{below}.assume_role.endpoint");
            secrets.server(at.trim_start_matches('.'), role.endpoint.as_deref())?;
            role.check()
                .map_err(|(name, reason)| wrong_at(&format!("assume_role.{name}"), reason))?;
        }
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
                    .unwrap_or_else(|| SESSION.to_owned()),
                endpoint: role.endpoint.clone(),
            }),
        };
        Ok(Identity { source, role })
    }
}

impl RoleKeys {
    /// Refuses what the token service would.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let parts: Vec<&str> = self.role_arn.splitn(6, ':').collect();
        let is_arn = matches!(parts[..], ["arn", _, _, _, _, role] if !role.is_empty());
        if !is_arn {
            let arn = &self.role_arn;
            let reason = format!(
                "`{arn}` is no ARN of a role, which is of the form arn:aws:iam::ACCOUNT:role/NAME"
            );
            return Err(("role_arn", reason));
        }
        // AssumeRole, RoleSessionName.
        let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "_+=,.@-".contains(sign);
        match &self.session_name {
            Some(name) if !(2..=64).contains(&name.len()) || !name.chars().all(is_sign) => {
                let reason = "must have 2 to 64 letters, digits or signs out of _+=,.@-";
                Err(("session_name", reason.to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl LockKeys {
    fn lock(&self, secrets: &Secrets) -> Result<ObjectLock, ConfigError> {
        let wrong = |reason: &str| Err(secrets.error("object_lock", reason));
        if let Some(days) = self.days
            && !(1..=MOST_DAYS).contains(&days)
        {
            let reason =
                format!("{days} is not within 1 and {MOST_DAYS}, which is a hundred years");
            return Err(secrets.error("object_lock.days", reason));
        }
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
