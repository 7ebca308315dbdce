//! Stands in for the keys of an AWS identity in a build without them.

use recording_host_engine::run::SourceAuth;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::{ConfigError, key, sink::Secrets};

pub(super) fn schema(_: &mut SchemaGenerator) -> Value {
    json!({ "type": "object" })
}

pub(super) fn read(
    at: &str,
    _table: Map<String, Value>,
    _secrets: &Secrets<'_>,
) -> Result<SourceAuth, ConfigError> {
    Err(key(
        at,
        "neither `client_id` nor `client_secret`; for AWS credentials build it with the feature `s3`",
    ))
}
