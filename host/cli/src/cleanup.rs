//! `cleanup`: removes temporary files and unfinished uploads left by interrupted runs.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use recording_host_config::SecretScope;
use serde_json::json;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Cleanup {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Cleanup {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let mut all = BTreeMap::new();
        for (name, sink) in crate::load_for(&self.config, SecretScope::Sinks)?
            .sinks()
            .await?
        {
            let removed = sink.cleanup().await?;
            if !self.json {
                println!("{name}: {removed} unfinished objects removed");
            }
            all.insert(name, json!({ "removed": removed }));
        }
        if self.json {
            println!("{}", json!({ "sinks": all }));
        }
        Ok(Done::All)
    }
}
