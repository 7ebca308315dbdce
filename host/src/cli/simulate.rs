//! `simulate`: the simulator as a server.

use std::net::SocketAddr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use genesys_simulator::{Dialect, Settings, Simulator};

use super::{Done, stopped};

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
pub(super) struct Simulate {
    /// Where to serve the API; log-in and media get ports of their own.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// How many conversations the organisation has.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    conversations: u64,
    /// The same seed makes the same organisation.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How the batch API is spoken.
    #[arg(long, value_enum, default_value = "cloud")]
    dialect: DialectArg,
    /// Let time run this many times faster; give `run` the same.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    speed: f64,
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
            giant: self.giant,
            ..Settings::default()
        };
        let simulator = Simulator::start(self.listen, settings)
            .await
            .with_context(|| format!("--listen {}", self.listen))?;
        let (from, until) = simulator.organisation().interval();
        println!("api_url:       {}", simulator.api_url());
        println!("login_url:     {}", simulator.login_url());
        println!("media_origins: [\"{}\"]", simulator.media_url());
        println!("client_id:     {}", simulator.client_id());
        println!("client_secret: {}", simulator.client_secret());
        println!("interval:      {from}/{until}");
        println!("serving; Ctrl-C ends it");
        let mut stop = stopped()?;
        let _ = stop.wait_for(|stop| *stop).await;
        simulator.shutdown().await;
        Ok(Done::All)
    }
}
