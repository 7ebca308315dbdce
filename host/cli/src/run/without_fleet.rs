//! A run in a build that has no fleets.

use recording_host_config::Config;
use recording_host_engine::Pipeline;

use crate::{control::Server, signals::Requests};

/// This machine, which does all by itself.
pub(super) struct Machine;

impl Machine {
    pub(super) async fn join(_: &Config) -> anyhow::Result<Self> {
        Ok(Machine)
    }

    pub(super) fn over(&self, pipeline: Pipeline) -> Pipeline {
        pipeline
    }

    pub(super) async fn attend(&self, _: &Server, _: &Requests) -> anyhow::Result<()> {
        Ok(())
    }
}
