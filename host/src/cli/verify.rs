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
    /// Read what is encrypted, too, by this file of identities as `age-keygen` writes it; may be
    /// repeated.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = Config::load(&self.config)?;
        let identities = super::identities(&self.identity)?;
        let mut reports = BTreeMap::new();
        for (name, sink) in config.sinks().await? {
            let Some(store) = sink.store() else {
                eprintln!("{name}: this sink cannot be read");
                continue;
            };
            let options = verify::Options {
                layout: config.layout(&name).cloned().unwrap_or_default(),
                full: self.full,
                identities: identities.clone(),
            };
            let report = verify::verify_with(store, options).await?;
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
