//! `validate`: checks a configuration offline.

use std::path::PathBuf;

use clap::Args;
use recording_host_config::Config;
use recording_host_model::clock::Clock;

use super::Done;

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let config = Config::load(&self.config)?;
        for warning in config.validate(Clock::default())? {
            eprintln!("warning: {warning}");
        }
        println!("{}: valid; nothing was contacted", self.config.display());
        Ok(Done::All)
    }
}
