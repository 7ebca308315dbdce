//! The settings of a bucket and of the objects in it.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_s3::types::{ObjectCannedAcl, StorageClass};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credentials::Identity;
use recording_host_network::ClientTls;
use recording_host_sink::Overwrite;

/// Where the bucket is, how to reach it, and how objects are written.
#[derive(Clone, Debug, Default)]
pub struct S3SinkConfig {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix of all keys, without a slash at the end.
    pub prefix: String,
    /// The region; without one, the default chain's.
    pub region: Option<String>,
    /// The URL of a server other than AWS.
    pub endpoint: Option<String>,
    /// True if URLs have the bucket in the path and not in the host name.
    pub path_style: bool,
    /// Who writes.
    pub identity: Identity,
    /// How objects are encrypted where they lie.
    pub encryption: Option<BucketEncryption>,
    /// The storage class of objects.
    pub storage_class: Option<StorageClass>,
    /// A canned access control list for objects.
    pub acl: Option<ObjectCannedAcl>,
    /// Who else may do what with objects.
    pub grants: Grants,
    /// Tags of objects.
    pub tags: BTreeMap<String, String>,
    /// User metadata of objects.
    pub object_metadata: BTreeMap<String, String>,
    /// The content encoding that objects are labeled with.
    pub content_encoding: Option<String>,
    /// The checksum that goes with objects.
    pub checksum: Checksum,
    /// How long objects can be neither deleted nor replaced.
    pub object_lock: Option<ObjectLock>,
    /// How to treat objects that are there already.
    pub overwrite: Overwrite,
    /// True if the requester pays.
    pub requester_pays: bool,
    /// The certificate that is shown to the server, and authorities of one's own.
    pub tls: ClientTls,
    /// How requests are repeated.
    pub retry: S3Retry,
    /// How long is waited for an answer.
    pub timeout: S3Timeout,
    /// Parts of one object that are uploaded at once.
    pub parts_at_once: PartsAtOnce,
    /// How old an unfinished upload is before it counts as left behind.
    pub cleanup_after: CleanupAfter,
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

/// How requests are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Retry {
    /// The pace: `adaptive` follows how often the server refuses, `standard` uses growing pauses alone.
    pub mode: RetryMode,
    /// Attempts in all.
    pub attempts: u32,
    /// The longest pause between two, in seconds.
    pub max_backoff_seconds: u64,
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

impl Default for S3Retry {
    fn default() -> Self {
        S3Retry {
            mode: RetryMode::Adaptive,
            attempts: 6,
            max_backoff_seconds: 20,
        }
    }
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartsAtOnce(pub usize);

impl Default for PartsAtOnce {
    fn default() -> Self {
        PartsAtOnce(3)
    }
}

/// How old an unfinished upload is before it counts as left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupAfter(pub Duration);

impl Default for CleanupAfter {
    fn default() -> Self {
        CleanupAfter(Duration::from_secs(24 * 3600))
    }
}
