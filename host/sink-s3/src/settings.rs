//! The settings of a bucket and of the objects in it.

use std::time::Duration;

use aws_sdk_s3::types::{ObjectCannedAcl, StorageClass};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::credentials::Identity;
use recording_host_network::ClientTls;
use recording_host_sink::{ObjectOptions, retry_settings};

/// Where the bucket is, how to reach it, and how objects are written. Its fields are keys of a configuration, but
/// for those that are made of other keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3SinkConfig {
    /// The bucket's name; it must exist.
    #[schemars(example = &"corp-recordings")]
    pub bucket: String,
    /// The region; that of AWS' default chain if left out.
    #[schemars(example = &"eu-west-1")]
    pub region: Option<String>,
    /// The URL of a server other than AWS.
    #[schemars(example = &"https://minio.example.com:9000")]
    pub endpoint: Option<String>,
    /// True if URLs have the bucket in the path and not in the host name.
    #[serde(default)]
    pub path_style: bool,
    /// How objects are encrypted where they lie.
    pub sse: Option<BucketEncryption>,
    /// The storage class of objects.
    #[serde(default, deserialize_with = "word")]
    #[schemars(with = "Option<String>", example = &"STANDARD_IA")]
    pub storage_class: Option<StorageClass>,
    /// A canned access control list for objects.
    #[serde(default, deserialize_with = "word")]
    #[schemars(with = "Option<String>", example = &"bucket-owner-full-control")]
    pub acl: Option<ObjectCannedAcl>,
    /// Who else may do what with objects, in the form `id="..."`.
    #[serde(default)]
    pub grants: Grants,
    /// The checksum that goes with objects; the server compares it with what arrived.
    #[serde(default)]
    pub checksum: Checksum,
    /// True if the requester pays.
    #[serde(default)]
    pub requester_pays: bool,
    /// How requests are repeated.
    #[serde(default)]
    pub retry: S3Retry,
    /// How long is waited for an answer.
    #[serde(default)]
    pub timeout: S3Timeout,
    /// Parts of one object that are uploaded at once.
    #[serde(default)]
    #[schemars(with = "Option<usize>", range(min = 1, max = 16))]
    pub parts_at_once: PartsAtOnce,
    /// How old unfinished uploads below `prefix` are, in hours, before a cleanup aborts them; 0 for all.
    #[serde(default)]
    #[schemars(with = "Option<u64>", extend("x-renamed-from" = "tidy_after_hours"))]
    pub cleanup_after_hours: CleanupAfterHours,
    /// The names and properties of objects.
    #[serde(skip)]
    pub objects: ObjectOptions,
    /// Who writes.
    #[serde(skip)]
    pub identity: Identity,
    /// How long objects can be neither deleted nor replaced.
    #[serde(skip)]
    pub object_lock: Option<ObjectLock>,
    /// The certificate that is shown to the server, and authorities of one's own.
    #[serde(skip)]
    pub tls: ClientTls,
}

/// Reads a word that the SDK has a type for, which keeps words that it does not know.
fn word<'de, D: Deserializer<'de>, W: for<'a> From<&'a str>>(
    deserializer: D,
) -> Result<Option<W>, D::Error> {
    let word = Option::<String>::deserialize(deserializer)?;
    Ok(word.as_deref().map(W::from))
}

/// How objects are encrypted where they lie.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum BucketEncryption {
    /// With keys of the server (SSE-S3).
    S3 {},
    /// With a key of the key management service (SSE-KMS).
    Kms {
        /// The key's id or ARN; without one, AWS' own key for S3.
        #[schemars(example = &"arn:aws:kms:eu-west-1:111122223333:key/archive")]
        key_id: Option<String>,
        /// True if the bucket's key saves calls to the key management service.
        #[schemars(example = true)]
        bucket_key: Option<bool>,
    },
}

/// Who else may do what with objects, in the form `id="..."`, `uri="..."` or `emailAddress="..."`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// May do everything.
    #[schemars(example = &"id=\"111122223333\"")]
    pub full_control: Option<String>,
    /// May read the object.
    #[schemars(example = &"id=\"111122223333\"")]
    pub read: Option<String>,
    /// May read the access control list.
    #[schemars(example = &"id=\"111122223333\"")]
    pub read_acp: Option<String>,
    /// May write the access control list.
    #[schemars(example = &"id=\"111122223333\"")]
    pub write_acp: Option<String>,
}

/// The checksum that goes with objects; the server compares it with what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// The first of the following that the server proves to check.
    #[default]
    Auto,
    /// CRC-64/NVME.
    Crc64nvme,
    /// CRC-32C.
    Crc32c,
    /// CRC-32.
    Crc32,
    /// MD5, in the header `Content-MD5`.
    Md5,
    /// None; the length is compared after each write.
    None,
}

/// How long objects can be neither deleted nor replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLock {
    /// The mode of the retention, which says who can lift it, and until when it lasts.
    pub retention: Option<(RetentionMode, Retention)>,
    /// True if a legal hold is put on objects.
    pub legal_hold: bool,
}

/// Who can lift a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetentionMode {
    /// Whoever has the permission.
    Governance,
    /// Nobody.
    Compliance,
}

/// How long a retention lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Days after the object is written.
    Days(u32),
    /// A point in time.
    Until(jiff::Timestamp),
}

retry_settings! {
    /// How requests are repeated.
    S3Retry {
        /// The pace: `adaptive` follows how often the server refuses, `standard` uses growing pauses alone.
        mode: RetryMode,
    }
}

/// The rule for the pace of repeated requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryMode {
    /// The pace follows how often the server refuses.
    #[default]
    Adaptive,
    /// Growing pauses alone.
    Standard,
}

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Timeout {
    /// For a connection, in seconds.
    pub connect_seconds: u64,
    /// For the first byte of an answer after the request has begun, in seconds.
    pub read_seconds: u64,
    /// For one attempt of a request, in seconds.
    pub attempt_seconds: u64,
}

impl Default for S3Timeout {
    fn default() -> Self {
        S3Timeout {
            connect_seconds: 10,
            read_seconds: 120,
            attempt_seconds: 300,
        }
    }
}

/// Parts of one object that are uploaded at once, 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Option<usize>")]
pub struct PartsAtOnce(pub usize);

impl Default for PartsAtOnce {
    fn default() -> Self {
        PartsAtOnce(3)
    }
}

impl From<Option<usize>> for PartsAtOnce {
    fn from(given: Option<usize>) -> Self {
        given.map_or_else(Self::default, PartsAtOnce)
    }
}

/// How old an unfinished upload is before it counts as left behind, in hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Option<u64>")]
pub struct CleanupAfterHours(pub u64);

impl Default for CleanupAfterHours {
    fn default() -> Self {
        CleanupAfterHours(24)
    }
}

impl From<Option<u64>> for CleanupAfterHours {
    fn from(given: Option<u64>) -> Self {
        given.map_or_else(Self::default, CleanupAfterHours)
    }
}

impl From<CleanupAfterHours> for Duration {
    fn from(CleanupAfterHours(hours): CleanupAfterHours) -> Self {
        Duration::from_secs(hours.saturating_mul(3600))
    }
}
