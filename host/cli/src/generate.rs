//! `generate`: prints a commented configuration to begin with.

use anyhow::Context;
use clap::Args;
use recording_host_config as config;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// The type of the source.
    #[arg(long, value_name = "TYPE", default_value = "genesys_cloud")]
    source: String,
    /// The type of the sink.
    #[arg(long, value_name = "TYPE", default_value = "filesystem")]
    sink: String,
}

impl Generate {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let schema = config::schema().context("the schema of the configuration")?;
        print!("{}", config::example(&schema, &self.source, &self.sink)?);
        Ok(Done::All)
    }
}
