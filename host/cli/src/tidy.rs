//! `tidy`: removes what killed writers left in the sinks.

use std::path::PathBuf;

use clap::Args;
use recording_host_config::Config;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Tidy {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Tidy {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        for (name, sink) in Config::load(&self.config)?.sinks().await? {
            let removed = sink.tidy().await?;
            println!("{name}: {removed} unfinished objects removed");
        }
        Ok(Done::All)
    }
}
