//! `check`: tries out the source and the sinks of a configuration.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use recording_host_engine::run::State;

use super::{Done, clock::clock, print, terminal};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = crate::load(&self.config)?;
        let mut all = BTreeMap::new();
        let mut bad = 0;
        for pipeline in config.pipelines(clock().await?).await? {
            let pipeline = pipeline
                .clone()
                .subscribe(terminal::terminal(pipeline.name()));
            let findings = pipeline.check().await?;
            if !self.json {
                print::findings(pipeline.name(), &findings);
            }
            let wrong = findings.iter().filter(|found| found.state == State::Bad);
            bad += wrong.count();
            all.insert(pipeline.name().to_owned(), findings);
        }
        if self.json {
            println!("{}", serde_json::json!({ "sources": all }));
        }
        anyhow::ensure!(bad == 0, "{bad} checks failed; see the fix under each");
        Ok(Done::All)
    }
}
