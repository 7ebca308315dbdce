//! `simulate`: the simulator as a server.

mod trial;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use genesys_simulator::{Dialect, Faults, Organization, Push, Settings, Simulator, Stats};
use jiff::Timestamp;

use super::{Done, clock, stopped};
pub(super) use trial::Trial;

/// How the batch API is spoken.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DialectArg {
    /// As the vendor's SDKs do.
    Cloud,
    /// As the guide on bulk export does.
    Guide,
}

impl From<DialectArg> for Dialect {
    fn from(dialect: DialectArg) -> Self {
        match dialect {
            DialectArg::Cloud => Dialect::Cloud,
            DialectArg::Guide => Dialect::Guide,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = fault_help())]
pub(super) struct Simulate {
    /// Where to serve the API; log-in and media get the next two ports.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Serve log-in and media at the API's port, too.
    #[arg(long)]
    one_port: bool,
    /// Write what the organization's S3 integration pushes to a bucket into this folder, and end.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["listen", "one_port"])]
    push: Option<PathBuf>,
    /// How many conversations the organization has.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    conversations: u64,
    /// The same seed makes the same organization.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How the batch API is spoken.
    #[arg(long, value_enum, default_value = "cloud")]
    dialect: DialectArg,
    /// Let time run this many times faster; a client that asks `clock_url` for the time keeps up.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
    /// Start the simulated clock at this instant, such as 2026-01-05T09:00:00Z: what begins later
    /// is not there yet, and what ends later is still in progress.
    #[arg(long, value_name = "INSTANT")]
    clock_start: Option<Timestamp>,
    /// Let faults strike at these rates, such as `all=0.05,cut=0.2,reset=0`; what comes later
    /// counts. `--help` lists the faults.
    #[arg(long, value_name = "SPEC", value_parser = Faults::parse)]
    faults: Option<Faults>,
    /// The same seed lets the same faults strike for the same order of requests [default: SEED].
    #[arg(long, value_name = "N")]
    fault_seed: Option<u64>,
    /// Over how many days the conversations are spread.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    days: u32,
    /// Let recording have been begun of this share of the conversations, between 0 and 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.94, value_parser = share, hide_short_help = true)]
    recorded: f64,
    /// Let this share of the conversations, between 0 and 1, never end.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share, hide_short_help = true)]
    never_ended: f64,
    /// Add this many recordings that have no conversation.
    #[arg(long, value_name = "N", default_value_t = 0)]
    orphans: u64,
    /// Let this share of the recordings, between 0 and 1, be sensitive: they are left out silently.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    sensitive: f64,
    /// Let the client lack this permission, such as recording:recording:view; may be repeated.
    #[arg(long, value_name = "PERMISSION")]
    denied: Vec<String>,
    /// Leave the names of agents out of the analytics.
    #[arg(long)]
    nameless: bool,
    /// Make the first voice recording a WAV of about this many bytes.
    #[arg(long, value_name = "BYTES", hide_short_help = true)]
    giant: Option<u64>,
}

impl Simulate {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let settings = Settings {
            conversations: self.conversations,
            seed: self.seed,
            dialect: self.dialect.into(),
            speed: self.speed,
            clock_start: self.clock_start,
            faults: self.faults.clone().unwrap_or_default(),
            fault_seed: self.fault_seed,
            days: self.days,
            recorded: self.recorded,
            never_ended: self.never_ended,
            giant: self.giant,
            one_port: self.one_port,
            orphans: self.orphans,
            sensitive: self.sensitive,
            denied: self.denied.clone(),
            nameless: self.nameless,
            ..Settings::default()
        };
        if let Some(folder) = &self.push {
            return push(settings, folder);
        }
        let listen = self.listen;
        let simulator = Simulator::start(listen, settings).await.with_context(|| {
            format!("--listen {listen}: give another address, such as 127.0.0.1:0 for free ports")
        })?;
        self.announce(&simulator);
        let mut stop = stopped()?;
        let _ = stop.wait_for(|stop| *stop).await;
        println!("# {}", ended(&simulator.stats()));
        simulator.shutdown().await;
        Ok(Done::All)
    }

    /// Prints a configuration, and as comments what else there is to know: all of it may be saved.
    fn announce(&self, simulator: &Simulator) {
        let organization = simulator.organization();
        println!(
            "# A simulated contact center with {} conversations. Save this as simulated.yaml, and try:",
            organization.conversations()
        );
        if self.speed == 1.0 && self.clock_start.is_none() {
            println!("#   recording-host check --config simulated.yaml");
        } else {
            // A client in real time would call its clock wrong.
            println!("#   export {}={}", clock::VARIABLE, simulator.clock_url());
            println!("#   recording-host check --config simulated.yaml");
        }
        println!("#   recording-host run --config simulated.yaml");
        println!(
            "#   recording-host push start --config simulated.yaml --integration {}",
            organization.integration_id()
        );
        let trial = Trial {
            name: "simulated",
            simulator,
            dialect: self.dialect.into(),
            data_dir: Path::new("simulated-data"),
            output: Path::new("simulated-recordings"),
        };
        print!("{trial}");
        println!(
            "# clock: {:.0}, {} times as fast as the real one",
            simulator.now(),
            self.speed
        );
        println!("# faults: {}", self.faults.clone().unwrap_or_default());
        println!("# serving; Ctrl-C ends it");
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a number between 0 and 1".to_owned())
}

/// Writes every object of the bucket into a folder.
fn push(settings: Settings, folder: &Path) -> anyhow::Result<Done> {
    let organization = Organization::new(settings);
    let push = Push::new(&organization);
    let mut written = 0_u64;
    for object in push.objects() {
        let path = folder.join(&object.key);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, &object.body))
            .with_context(|| path.display().to_string())?;
        written += 1;
    }
    let (from, until) = organization.interval();
    println!("objects:       {written}");
    println!("organization:  {}", push.organization_id());
    println!("interval:      {from}/{until}");
    Ok(Done::All)
}

/// One line on what was served.
fn ended(stats: &Stats) -> String {
    let requests: u64 = stats.requests.values().sum();
    let mut line = format!(
        "{requests} requests answered, {} refused with 429, {} rejected; faults:",
        stats.refused, stats.rejected
    );
    if stats.struck.is_empty() {
        line += " none";
    }
    for (name, count) in &stats.struck {
        // Writing to a string does not fail.
        let _ = write!(line, " {name} {count}");
    }
    line
}

fn fault_help() -> String {
    let mut text = "Faults, each with a rate between 0 (never) and 1 (whenever it can); \
        lengths of time are simulated ones:\n"
        .to_owned();
    for (name, what) in [("all", "Every fault.")].iter().chain(Faults::known()) {
        let _ = write!(text, "\n  {name:<20} {}", what.trim());
    }
    text
}
