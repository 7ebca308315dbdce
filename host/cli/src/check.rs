//! `check`: tries out the source and the sinks of a configuration.

use std::{collections::BTreeMap, path::PathBuf};

use clap::Args;
use futures_util::future::{join, join_all};
use recording_host_config::{Config, SecretScope};
use recording_host_engine::run::{CheckFinding, CheckState, check_sink};

use super::{Done, clock::clock, print, run::pipelines, terminal::Display};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let config = match crate::load_within(&self.config, SecretScope::All, crate::SECRETS) {
            Ok(config) => config,
            Err(error) => {
                self.sinks_alone().await;
                return Err(error.into());
            }
        };
        let mut all = BTreeMap::new();
        let mut bad = 0;
        let pipelines = pipelines(&config, clock().await?).await?;
        let display = Display::begin();
        let checks = pipelines.into_iter().map(|pipeline| async {
            let name = pipeline.name().to_owned();
            let pipeline = pipeline.subscribe(display.subscriber(&name));
            (name, pipeline.check().await)
        });
        #[cfg(feature = "cluster")]
        let fleet = super::cluster::check(&config);
        #[cfg(not(feature = "cluster"))]
        let fleet = std::future::ready(None);
        let (checked, fleet) = join(join_all(checks), fleet).await;
        drop(display);
        let is_bad = |found: &&CheckFinding| found.state == CheckState::Bad;
        for (name, findings) in checked {
            let findings = findings?;
            if !self.json {
                print::findings(&name, &findings);
            }
            bad += findings.iter().filter(is_bad).count();
            all.insert(name, findings);
        }
        bad += fleet.iter().filter(is_bad).count();
        let mut found = serde_json::json!({ "sources": all });
        if let Some(fleet) = fleet {
            if !self.json {
                print::findings("cluster", std::slice::from_ref(&fleet));
            }
            found["cluster"] = serde_json::to_value(fleet)?;
        }
        if self.json {
            println!("{found}");
        }
        anyhow::ensure!(bad != 1, "a check failed; see its fix above");
        anyhow::ensure!(bad == 0, "{bad} checks failed; see the fix of each above");
        Ok(Done::All)
    }

    /// Checks the sinks of a configuration whose sources cannot be used, as for want of a secret.
    async fn sinks_alone(&self) {
        let config = Config::load_within(&self.config, SecretScope::Sinks, crate::SECRETS);
        let Ok(config) = config else { return };
        let Ok(sinks) = config.sinks().await else {
            return;
        };
        let checks = sinks.iter().map(|(name, sink)| check_sink(name, &**sink));
        let findings = join_all(checks).await;
        match self.json {
            true => println!(
                "{}",
                serde_json::json!({ "sources": {}, "sinks": findings })
            ),
            false => print::findings("sinks", &findings),
        }
    }
}
