//! `validate`: checks a configuration offline.

use std::path::PathBuf;

use clap::Args;
use recording_host_config::Config;
use recording_host_model::clock::Clock;

use super::{Done, terminal};

#[derive(Debug, Args)]
pub(super) struct Validate {
    /// The configuration, YAML or TOML.
    #[arg(long, value_name = "FILE", env = "RECORDING_HOST_CONFIG")]
    config: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Validate {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        let config = Config::load(&self.config)?;
        for warning in config.validate(Clock::default())? {
            terminal::say("warn", &warning);
        }
        match self.json {
            true => println!("{}", serde_json::json!({ "valid": true })),
            false => println!("{}: valid; nothing was contacted", self.config.display()),
        }
        Ok(Done::All)
    }
}
