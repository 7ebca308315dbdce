//! `status`: what the queues hold, of a running export or a stopped one.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use recording_host_config::SecretScope;

use super::{Done, clock::clock, print, shard::Part};

#[derive(Debug, Args)]
pub(super) struct Status {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// List the conversations of which recordings are unavailable, with the reasons.
    #[arg(long)]
    losses: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    part: Part,
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = crate::load_for(&self.config, SecretScope::Queues)?;
        let mut all = BTreeMap::new();
        for pipeline in config.pipelines(clock().await?).await? {
            let pipeline = self.part.of(pipeline)?;
            let status = pipeline.status().await?;
            let month = pipeline.month()?;
            let losses = match self.losses {
                true => pipeline.losses(usize::MAX).await?,
                false => Vec::new(),
            };
            if !self.json {
                print::status(pipeline.name(), status.as_ref());
                if let Some(month) = &month {
                    print::month(month);
                }
                print::losses(&losses);
            }
            let mut status = serde_json::to_value(status)?;
            if let (Some(month), Some(status)) = (&month, status.as_object_mut()) {
                status.insert("month_requests".to_owned(), month.requests.into());
                status.insert("month_allowed".to_owned(), month.ceiling.into());
            }
            if self.losses {
                status["losses"] = serde_json::to_value(losses)?;
            }
            all.insert(pipeline.name().to_owned(), status);
        }
        if self.json {
            println!("{}", serde_json::json!({ "sources": all }));
        }
        Ok(Done::All)
    }
}
