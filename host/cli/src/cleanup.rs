//! `cleanup`: removes temporary files and unfinished uploads left by interrupted runs.

use std::path::PathBuf;

use clap::Args;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Cleanup {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        for (name, sink) in crate::load(&self.config)?.sinks().await? {
            let removed = sink.cleanup().await?;
            println!("{name}: {removed} unfinished objects removed");
        }
        Ok(Done::All)
    }
}
