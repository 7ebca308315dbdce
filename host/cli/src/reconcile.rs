//! `reconcile`: compares the receipts with what the source has.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;

use super::{Done, clock::clock, print, run::pipelines, terminal::Display};

#[derive(Debug, Args)]
pub(super) struct Reconcile {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Print the differences as JSON.
    #[arg(long)]
    json: bool,
}

impl Reconcile {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = crate::load(&self.config)?;
        let mut all = BTreeMap::new();
        for pipeline in pipelines(&config, clock().await?).await? {
            let display = Display::begin();
            let watched = pipeline
                .clone()
                .subscribe(display.subscriber(pipeline.name()));
            let reconciled = watched.reconcile().await?;
            drop(display);
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
            .all(recording_host_engine::reconcile::ReconcileReport::complete);
        Ok(if complete {
            Done::All
        } else {
            Done::WithLosses
        })
    }
}
