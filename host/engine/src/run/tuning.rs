//! How much a run does at once, and how it follows a source.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many things are under way at once.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Concurrency {
    /// Fetches under way, such as batch jobs at the vendor, at most: fewer as long as more bring nothing, or
    /// the vendor refuses more.
    #[schemars(range(min = 1, max = 4096))]
    pub splits: usize,
    /// Downloads, at most: fewer as long as more bring nothing, or a sink or an origin of media asks
    /// for less.
    #[schemars(range(min = 1, max = 4096))]
    pub transfers: usize,
}

impl Default for Concurrency {
    fn default() -> Self {
        Concurrency {
            splits: 512,
            transfers: 64,
        }
    }
}

/// How an export with an open end keeps up with new conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Follow {
    /// How long after its end a conversation is left alone, in seconds: its data are not complete at once.
    #[serde(rename = "settle_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub settle: Duration,
    /// How far behind the last search the next one begins, in seconds, for what came late.
    #[serde(rename = "look_back_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub look_back: Duration,
    /// The pause between two searches, in seconds.
    #[serde(rename = "every_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub every: Duration,
}

impl Default for Follow {
    fn default() -> Self {
        Follow {
            settle: Duration::from_secs(30 * 60),
            look_back: Duration::from_secs(48 * 3600),
            every: Duration::from_secs(5 * 60),
        }
    }
}

/// A length of time as a number of seconds.
mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_secs())
    }
}
