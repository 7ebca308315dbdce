//! `demo`: the simulator and an export of it in one process.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Context;
use clap::Args;
use genesys_simulator::{Dialect, Settings, Simulator};
use recording_host_config::Config;
use recording_host_model::clock::Clock;
use serde_json::json;

use super::{Done, print, simulate::DialectArg, stopped, terminal};

/// How much faster than real the demo's time runs: jobs take seconds, not minutes.
const SPEED: f64 = 20.0;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the recordings go.
    #[arg(long, value_name = "DIR", default_value = "recording-host-demo")]
    output: PathBuf,
    /// How many conversations the contact center has.
    #[arg(long, value_name = "N", default_value_t = 500)]
    conversations: u64,
    /// The same seed makes the same contact center.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How the batch API is spoken.
    #[arg(long, value_enum, default_value = "cloud")]
    dialect: DialectArg,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let settings = Settings {
            conversations: self.conversations,
            seed: self.seed,
            dialect: self.dialect.into(),
            speed: SPEED,
            ..Settings::default()
        };
        let dialect = settings.dialect;
        let simulator = Simulator::start((Ipv4Addr::LOCALHOST, 0).into(), settings).await?;
        let queue = tempfile::tempdir().context("a folder for the queue")?;
        let (from, until) = simulator.organization().interval();
        // The configuration that a user would write in a file, with the simulator's addresses in it.
        let config = Config::new(json!({
            "data_dir": queue.path(),
            "sources": { "demo": {
                "type": "genesys_cloud",
                "auth": {
                    "client_id": simulator.client_id(),
                    "client_secret": simulator.client_secret(),
                },
                "allow_private_addresses": true,
                "options": {
                    "api_url": simulator.api_url(),
                    "login_url": simulator.login_url(),
                    "media_origins": [simulator.media_url()],
                    "dialect": match dialect { Dialect::Cloud => "cloud", Dialect::Guide => "guide" },
                    "interval": format!("{from}/{until}"),
                },
            } },
            "sinks": { "files": { "type": "filesystem", "path": self.output } },
        }))?;
        let mut pipelines = config.pipelines(Clock::new(SPEED)).await?;
        let pipeline = pipelines.pop().context("the demo has one source")?;
        let summary = pipeline
            .subscribe(terminal::terminal("demo"))
            .run_until(stopped()?)
            .await?;
        terminal::end_progress();
        let stats = simulator.stats();
        simulator.shutdown().await;
        if self.json {
            let mut value = serde_json::to_value(&summary)?;
            value["output"] = json!(self.output);
            value["simulator"] = json!({ "requests": stats.requests, "rejected": stats.rejected });
            println!("{value}");
        } else {
            print::summary("demo", &summary);
            println!("  files          {}", self.output.display());
        }
        // The simulated contact center has archived and deleted recordings: part of the show.
        Ok(Done::All)
    }
}
