//! `control` and `top`: steer and watch a run on this machine.
//!
//! `run` serves a Unix socket in `data_dir`, for its own user alone. A request is a line of JSON, and so is
//! each answer.

mod client;
#[cfg(unix)]
mod server;
#[cfg(not(unix))]
#[path = "control/server_elsewhere.rs"]
mod server;
mod top;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use recording_host_config::SecretScope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Done, shard::Part, terminal::DisplayLine};
pub(super) use server::Server;
pub(super) use top::Top;

/// Where the run is.
#[derive(Debug, Args)]
pub(super) struct Whereabouts {
    /// The configuration of the run, YAML or TOML.
    #[arg(
        long,
        value_name = "FILE",
        env = "RECORDING_HOST_CONFIG",
        required_unless_present = "data_dir"
    )]
    config: Option<PathBuf>,
    /// The `data_dir` of the run, instead of its configuration.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    part: Part,
}

impl Whereabouts {
    /// The path of the socket.
    fn socket(&self) -> anyhow::Result<PathBuf> {
        let folder = match (&self.data_dir, &self.config) {
            (Some(folder), _) => folder.clone(),
            (None, Some(config)) => crate::load_for(config, SecretScope::Nothing)?.data_dir,
            // One of them is required.
            (None, None) => PathBuf::from("."),
        };
        Ok(folder.join(self.part.socket()))
    }
}

#[derive(Debug, Args)]
pub(super) struct Control {
    /// The command to the run.
    #[arg(value_enum)]
    command: Command,
    #[command(flatten)]
    whereabouts: Whereabouts,
}

/// A request to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(super) enum Command {
    /// Send no request and download nothing, until `resume`.
    Pause,
    /// Continue after `pause`.
    Resume,
    /// Begin nothing more, finish what is in progress, and end.
    Drain,
    /// Read the configuration and its secrets again.
    Reload,
    /// Print how far the run is, as a line of JSON.
    Status,
}

/// A line to the run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Request {
    Do {
        command: Command,
    },
    /// The display, for a terminal with so many columns, and the lines above it from a number on.
    Look {
        columns: u16,
        since: u64,
    },
}

/// A line from the run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
enum Answer {
    Done {
        text: String,
    },
    Failed {
        reason: String,
    },
    Status {
        status: Value,
    },
    Display {
        /// Lines that stand above.
        above: Vec<String>,
        /// The number of the next line above.
        next: u64,
        lines: Vec<DisplayLine>,
    },
}

impl Control {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let path = self.whereabouts.socket()?;
        let mut client = client::Client::connect(&path).await?;
        let command = self.command;
        match client.ask(&Request::Do { command }).await? {
            Answer::Done { text } => println!("{}", recording_host_model::lines(&text)),
            Answer::Status { status } => println!("{status}"),
            Answer::Failed { reason } => anyhow::bail!(reason),
            Answer::Display { .. } => {}
        }
        Ok(Done::All)
    }
}

/// A reason with what a socket's path may be, if it is too long.
#[cfg(unix)]
fn worded(path: &std::path::Path, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidInput => format!(
            "{}: {} bytes are too many for a socket's path (107 at most on Linux, 103 on macOS); give a `data_dir` with a shorter one",
            path.display(),
            path.as_os_str().len()
        ),
        std::io::ErrorKind::PermissionDenied => format!(
            "{}: {error}; only the user that runs the export may control it",
            path.display()
        ),
        _ => format!("{}: {error}", path.display()),
    }
}
