//! `reconcile`: compares the receipts with what the source has.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;

use super::{Done, clock::clock, print, terminal};

#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = crate::load(&self.config)?;
        let mut all = BTreeMap::new();
        for pipeline in config.pipelines(clock().await?).await? {
            let pipeline = pipeline
                .clone()
                .subscribe(terminal::terminal(pipeline.name()));
            let reconciled = pipeline.reconcile().await?;
            if !self.json {
                print::reconciled(pipeline.name(), &reconciled);
            }
            all.insert(pipeline.name().to_owned(), reconciled);
        }
        if self.json {
            println!("{}", serde_json::json!({ "sources": all }));
        }
        let complete = all
            .values()
            .all(recording_host_engine::reconcile::Reconciled::complete);
        Ok(if complete {
            Done::All
        } else {
            Done::WithLosses
        })
    }
}
