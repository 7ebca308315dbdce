//! `demo`: the simulator and an export of it in one process.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use genesys_simulator::{Settings, Simulator};
use recording_host_config::Config;
use recording_host_model::clock::Clock;
use serde_json::json;

use super::{
    Done, print,
    simulate::{DialectArg, Trial},
    stopped,
    terminal::Display,
    ui::Ui,
};

/// How much faster than real the demo's time runs: jobs take seconds, not minutes.
const SPEED: f64 = 20.0;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where the recordings go; the configuration is left beside it, as DIR.yaml.
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
    #[command(flatten)]
    ui: Ui,
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
        let left = self.output.with_extension("yaml");
        let trial = |data_dir: &Path| {
            let trial = Trial {
                name: "demo",
                simulator: &simulator,
                dialect,
                data_dir,
                output: &self.output,
            };
            trial.to_string()
        };
        let ran = queue.path().join("demo.yaml");
        write(&ran, &trial(&queue.path().join("data")))?;
        let comment = "# What `recording-host demo` has exported with; its contact center is gone, what it left can be verified.\n";
        let data = self.output.with_extension("data");
        write(&left, &format!("{comment}{}", trial(&data)))?;
        let config = Config::load(&ran)?;
        let mut pipelines = config.pipelines(Clock::new(SPEED)).await?;
        let pipeline = pipelines.pop().context("the demo has one source")?;
        let location = |_: &str| self.output.display().to_string();
        let page = self.ui.begin(&config, location, || "running").await?;
        let display = Display::begin();
        let stop = stopped()?;
        let summary = page
            .over(pipeline)
            .subscribe(display.subscriber("demo"))
            .run_until(stop.clone())
            .await?;
        page.ended("demo");
        drop(display);
        let stats = simulator.stats();
        simulator.shutdown().await;
        if self.json {
            let mut value = serde_json::to_value(&summary)?;
            value["output"] = json!(self.output);
            value["config"] = json!(left);
            value["simulator"] = json!({ "requests": stats.requests, "rejected": stats.rejected });
            println!("{value}");
        } else {
            // Its queue is gone.
            print::summary("demo", &summary, false);
            println!("  files          {}", self.output.display());
            if !summary.losses.is_empty() {
                println!(
                    "the losses are simulated: this contact center has archived and deleted recordings, as real ones have"
                );
            }
            print_next(&left);
        }
        page.stay(stop).await;
        match summary.is_complete() {
            true => Ok(Done::All),
            false => Ok(Done::WithLosses),
        }
    }
}

fn print_next(config: &Path) {
    let program = std::env::args().next();
    println!(
        "next: {} verify --full --config {}",
        program.as_deref().unwrap_or("recording-host"),
        config.display()
    );
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| path.display().to_string())
}
