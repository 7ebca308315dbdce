//! A run in a build that has no fleets.

use recording_host_config::Config;
use recording_host_engine::Pipeline;
use recording_host_model::clock::Clock;

use crate::{control::Server, shard::Part, signals::Requests};

/// The pipelines of a configuration, for a command beside runs.
pub(crate) async fn pipelines(config: &Config, clock: Clock) -> anyhow::Result<Vec<Pipeline>> {
    Ok(config.pipelines(clock).await?)
}

/// This machine, which does all by itself.
pub(super) struct Machine;

/// Nobody asks anything.
pub(super) struct Attending;

impl Machine {
    pub(super) async fn join(_: &Config, _: Part, _: Clock) -> anyhow::Result<Self> {
        Ok(Machine)
    }

    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        pipeline
    }

    pub(super) async fn attend(&self, _: &Server, _: &Requests) -> anyhow::Result<Attending> {
        Ok(Attending)
    }
}
