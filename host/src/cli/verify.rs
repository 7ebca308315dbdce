//! `verify`: compares what the sinks hold with the receipts in them.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use recording_host::{Config, verify};

use super::{Done, print};

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read every object and compare its sha256, not its length alone.
    #[arg(long)]
    full: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = Config::load(&self.config)?;
        let mut reports = BTreeMap::new();
        for (name, sink) in config.sinks().await? {
            let Some(store) = sink.store() else {
                eprintln!("{name}: this sink cannot be read");
                continue;
            };
            let layout = config.layout(&name).cloned().unwrap_or_default();
            let report = verify::verify_layout(store, &layout, self.full).await?;
            if !self.json {
                print::report(&name, &report);
            }
            reports.insert(name, report);
        }
        if self.json {
            println!("{}", serde_json::json!({ "sinks": reports }));
        }
        let findings: usize = reports.values().map(|report| report.findings.len()).sum();
        anyhow::ensure!(
            findings == 0,
            "{findings} objects are not as their receipts say"
        );
        Ok(Done::All)
    }
}
