//! `plan`: estimates the size, requests and duration of an export.

mod cost;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use clap::Args;
use recording_host_config::SecretScope;
use recording_host_engine::plan::picture;

use super::{Done, clock::clock, print, run::pipelines, terminal::Display};

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Draw the days into this file (SVG); with several sources, each in one of its own beside it.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

impl Plan {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = crate::load_within(&self.config, SecretScope::All, crate::SECRETS)?;
        let mut all = BTreeMap::new();
        let pipelines = pipelines(&config, clock().await?).await?;
        let several = pipelines.len() > 1;
        for pipeline in pipelines {
            let name = pipeline.name();
            let display = Display::begin();
            let watched = pipeline.clone().subscribe(display.subscriber(name));
            let plan = watched.plan().await?;
            drop(display);
            let month = pipeline.month()?;
            let cost = config.prices().map(|prices| prices.cost(&plan));
            if !self.json {
                print::plan(name, &plan);
                if let Some(month) = &month {
                    print::beyond_month(&plan, month);
                }
                if let (Some(cost), Some(prices)) = (&cost, config.prices()) {
                    cost::print(cost, &plan, prices);
                }
            }
            if let Some(path) = &self.picture {
                let path = match several {
                    true => path.with_file_name(format!(
                        "{name}-{}",
                        path.file_name().unwrap_or_default().display()
                    )),
                    false => path.clone(),
                };
                let drawn = picture(&plan, name);
                std::fs::write(&path, drawn).with_context(|| path.display().to_string())?;
            }
            let mut plan = serde_json::to_value(plan)?;
            plan["cost"] = serde_json::to_value(cost)?;
            all.insert(name.to_owned(), plan);
        }
        if self.json {
            println!("{}", serde_json::json!({ "sources": all }));
        }
        Ok(Done::All)
    }
}
