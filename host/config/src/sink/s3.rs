//! The keys of a sink of type `s3`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use recording_host_sink::{Overwrite, Sink};
use recording_host_sink_s3::{
    BucketEncryption, Checksum, CleanupAfter, Credentials, Grants, Identity, ObjectCannedAcl,
    ObjectLock, PartsAtOnce, Retention, RetentionMode, Role, S3, S3Retry, S3SinkConfig, S3Timeout,
    StorageClass,
};
use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::{ConfigError, Hidden, Secrets, registry::SinkKeys, value};
use crate::{location::Location, source::MOST_HOURS, tls::TlsKeys};

/// The name of a role's session, unless one is given.
const SESSION: &str = "recording-host";

/// The most days of a retention, as of a bucket's default one (PutObjectLockConfiguration, Days).
const MOST_DAYS: u32 = 36_500;

/// Amazon S3, or whatever speaks its protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct S3Keys {
    /// The bucket's name; it must exist.
    #[schemars(example = &"corp-recordings")]
    bucket: String,
    /// The prefix of all keys. Give one in a bucket that others use, too.
    #[serde(default)]
    #[schemars(example = &"genesys")]
    prefix: String,
    /// The region; that of AWS' default chain if left out.
    #[schemars(example = &"eu-west-1")]
    region: Option<String>,
    /// The URL of a server other than AWS.
    #[schemars(example = &"https://minio.example.com:9000")]
    endpoint: Option<String>,
    /// True if URLs have the bucket in the path and not in the host name.
    #[serde(default)]
    path_style: bool,
    /// Who writes; AWS' default chain if left out (environment, profile, web identity, container, instance).
    #[serde(default)]
    credentials: CredentialKeys,
    /// How objects are encrypted where they lie.
    sse: Option<BucketEncryption>,
    /// The storage class of objects.
    #[schemars(example = &"STANDARD_IA")]
    storage_class: Option<String>,
    /// A canned access control list for objects.
    #[schemars(example = &"bucket-owner-full-control")]
    acl: Option<String>,
    /// Who else may do what with objects, in the form `id="..."`.
    #[serde(default)]
    grants: Grants,
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
    /// The checksum that goes with objects; the server compares it with what arrived.
    #[serde(default)]
    checksum: Checksum,
    /// How long objects can be neither deleted nor replaced; the bucket must have object lock.
    object_lock: Option<LockKeys>,
    /// How to treat an object that is there already.
    #[serde(default)]
    overwrite: Overwrite,
    /// True if the requester pays.
    #[serde(default)]
    requester_pays: bool,
    /// The certificate that is shown to the server, and authorities of one's own.
    #[serde(default)]
    tls: TlsKeys,
    /// How requests are repeated.
    #[serde(default)]
    retry: S3Retry,
    /// How long is waited for an answer.
    #[serde(default)]
    timeout: S3Timeout,
    /// Parts of one object that are uploaded at once.
    #[schemars(range(min = 1, max = 16), extend("default" = PartsAtOnce::default().0))]
    parts_at_once: Option<usize>,
    /// How old unfinished uploads below `prefix` are, in hours, before a cleanup aborts them; 0 for all.
    #[schemars(extend("default" = CleanupAfter::default().0.as_secs() / 3600))]
    #[serde(alias = "tidy_after_hours")]
    cleanup_after_hours: Option<u64>,
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

impl S3Keys {
    /// Refuses values that no server can take.
    fn check_values(&self, secrets: &Secrets) -> Result<(), ConfigError> {
        let properties = value::tags(&self.tags)
            .and_then(|()| value::object_metadata(&self.object_metadata))
            .and_then(|()| value::content_encoding(self.content_encoding.as_deref()));
        properties.map_err(|(at, reason)| secrets.error(&at, reason))?;
        if self.acl.is_some() && self.grants != Grants::default() {
            let reason = "S3 takes either a canned `acl` or `grants`; leave one of them out";
            return Err(secrets.error("acl", reason));
        }
        if let Some(BucketEncryption::Kms {
            key_id: Some(id), ..
        }) = &self.sse
            && id.trim().is_empty()
        {
            let reason = "is empty; give the key's id or ARN, or leave it out for AWS' own key";
            return Err(secrets.error("sse.key_id", reason));
        }
        secrets.server("endpoint", self.endpoint.as_deref())?;
        if let Some(region) = &self.region {
            check_region(region, self.endpoint.is_some())
                .map_err(|reason| secrets.error("region", reason))?;
        }
        let attempts = self.retry.attempts as usize;
        secrets.retry(attempts, self.retry.max_backoff_seconds)?;
        let timeout = self.timeout;
        secrets.wait("timeout.connect_seconds", timeout.connect_seconds, 1)?;
        secrets.wait("timeout.read_seconds", timeout.read_seconds, 1)?;
        secrets.wait("timeout.attempt_seconds", timeout.attempt_seconds, 1)?;
        match self.cleanup_after_hours {
            Some(hours) if hours > MOST_HOURS => {
                let reason = format!("{hours} is more than {MOST_HOURS}, which is a hundred years");
                Err(secrets.error("cleanup_after_hours", reason))
            }
            _ => Ok(()),
        }
    }

    fn settings(&self, secrets: &Secrets) -> Result<S3SinkConfig, ConfigError> {
        self.check_values(secrets)?;
        let word = |at: &str, given: Option<&String>, known| {
            let known = given.map_or(Ok(()), |given| value::one_of(given, known));
            known.map_err(|reason| secrets.error(at, reason))
        };
        word(
            "storage_class",
            self.storage_class.as_ref(),
            StorageClass::values(),
        )?;
        word("acl", self.acl.as_ref(), ObjectCannedAcl::values())?;
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
        Ok(S3SinkConfig {
            bucket: self.bucket.clone(),
            prefix: self.prefix.clone(),
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            path_style: self.path_style,
            identity: self.credentials.identity(secrets, "credentials")?,
            encryption: self.sse.clone(),
            storage_class: self.storage_class.as_deref().map(StorageClass::from),
            acl: self.acl.as_deref().map(ObjectCannedAcl::from),
            grants: self.grants.clone(),
            tags: self.tags.clone(),
            object_metadata: self.object_metadata.clone(),
            content_encoding: self.content_encoding.clone(),
            checksum: self.checksum,
            object_lock,
            overwrite: self.overwrite,
            requester_pays: self.requester_pays,
            tls: self.tls.settings(secrets, "tls")?,
            retry: self.retry,
            timeout: self.timeout,
            parts_at_once,
            cleanup_after: self
                .cleanup_after_hours
                .map_or_else(CleanupAfter::default, |hours| {
                    CleanupAfter(Duration::from_secs(hours.saturating_mul(3600)))
                }),
        })
    }
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
    let told = |partition: &str| {
        let region = region.is_some_and(|region| region.starts_with(partition));
        let host = host.as_deref();
        region
            || host.is_some_and(|host| {
                host.split(['.', '/'])
                    .any(|part| part.starts_with(partition))
            })
    };
    Some(if told("cn-") {
        "https://s3.amazonaws.com.cn"
    } else if told("us-gov-") {
        "https://s3.us-gov.amazonaws.com"
    } else if told("eusc-") {
        "https://s3.amazonaws.eu"
    } else {
        "https://s3.amazonaws.com"
    })
}

#[async_trait]
impl SinkKeys for S3Keys {
    fn place_key(&self) -> &'static str {
        "bucket"
    }

    fn location(&self) -> Location {
        // Whatever the region is: no two buckets of a server share a name.
        let endpoint = self.endpoint.as_deref();
        let server = amazon(self.region.as_deref(), endpoint);
        let server = server.or(endpoint).unwrap_or_default();
        Location::bucket("s3", server, &self.bucket, &self.prefix)
    }

    fn bucket(&self) -> Option<&str> {
        Some(&self.bucket)
    }

    fn validate(&self, secrets: &Secrets<'_>) -> Result<(), ConfigError> {
        self.settings(secrets).map(|_| ())
    }

    fn keeps_different(&self) -> bool {
        self.overwrite == Overwrite::Never
    }

    async fn open(&self, secrets: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        Ok(Arc::new(S3::new(self.settings(secrets)?).await))
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
