//! The key `cluster` in a build that has no fleets.

use schemars::JsonSchema;
use serde_json::Value;

use super::{ConfigError, key};

/// The machines that share the work of this configuration; this build has no fleets.
#[derive(JsonSchema)]
pub(super) struct RawCluster {}

/// There is none.
#[derive(Debug)]
pub(super) enum Cluster {}

/// Refuses the key.
pub(super) fn parsed(_: Value) -> Result<Cluster, ConfigError> {
    let reason = "this build has no fleets; build it with the feature `cluster`";
    Err(key("cluster", reason))
}
