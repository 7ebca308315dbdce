//! `schema`: prints the JSON Schema of the configuration.

use clap::Args;
use recording_host_config as config;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        println!("{:#}", config::schema()?);
        Ok(Done::All)
    }
}
