//! The keys of a sink of type `stdout`: there are none.

use std::sync::Arc;

use async_trait::async_trait;
use recording_host_sink::{Sink, stdout::Stdout};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{ConfigError, Secrets, registry::SinkKeys};
use crate::location::Location;

/// One line of JSON for each object on standard output.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StdoutKeys {}

#[async_trait]
impl SinkKeys for StdoutKeys {
    fn location_key(&self) -> &'static str {
        "type"
    }

    fn location(&self) -> Location {
        Location::named("stdout", "")
    }

    fn prints(&self) -> bool {
        true
    }

    async fn open(&self, _: &Secrets<'_>) -> Result<Arc<dyn Sink>, ConfigError> {
        Ok(Arc::new(Stdout::default()))
    }
}
