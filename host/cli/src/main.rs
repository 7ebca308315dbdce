//! The program: one file for each command, one way to print, one meaning of exit codes.

/// Prints a line, as the standard macro of this name does; but where nobody reads any more, as behind
/// `| head`, the line is dropped, and nothing panics.
macro_rules! println {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($line)*);
    }};
}

/// The same on standard error.
macro_rules! eprintln {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($line)*);
    }};
}

/// Prints without ending the line, and drops what nobody reads.
macro_rules! print {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout().lock(), $($text)*);
    }};
}

mod allocator;
#[cfg(feature = "page")]
mod archive;
#[cfg(feature = "page")]
mod browse;
mod check;
mod cleanup;
#[cfg(feature = "simulator")]
mod clock;
#[cfg(not(feature = "simulator"))]
#[path = "machine_clock.rs"]
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
mod componentize;
mod control;
mod decrypt;
#[cfg(feature = "simulator")]
mod demo;
#[cfg(feature = "page")]
mod evidence;
mod exit_code;
mod generate;
mod genesys;
mod inspect;
mod new_source;
mod observe;
mod plan;
mod print;
mod reconcile;
mod run;
mod schema;
mod service;
mod shard;
mod shell;
mod signals;
#[cfg(feature = "simulator")]
mod simulate;
mod slow;
mod status;
mod terminal;
mod test;
#[cfg(feature = "page")]
mod tokens;
#[cfg(feature = "page")]
mod ui;
#[cfg(not(feature = "page"))]
#[path = "without_ui.rs"]
mod ui;
mod validate;
mod verify;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, Subcommand};
use recording_host_config::{Config, SecretScope};
use recording_host_model::Error;
use recording_host_sink::encryption::{Identities, IdentityError};

use exit_code::{Done, EXIT_CODES};
use signals::stopped;

/// Brings call recordings out of a contact-center cloud into storage of your own.
#[derive(Debug, Parser)]
#[command(
    name = "recording-host",
    version,
    about,
    long_about = None,
    max_term_width = 100,
    after_help = EXIT_CODES
)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: terminal::Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Exports a simulated contact center to a folder; needs no account.
    #[cfg(feature = "simulator")]
    Demo(demo::Demo),
    /// Exports recordings and metadata as configured; resumes where the last run stopped.
    Run(run::Run),
    /// Estimates the size, requests and duration of an export, day by day.
    Plan(plan::Plan),
    /// Tests the log-in, permissions and sinks, and reports what is missing and how to fix it.
    Check(check::Check),
    /// Checks a configuration without touching network or sinks.
    Validate(validate::Validate),
    /// Tries routing, layout and privacy on sample conversations, offline.
    Test(test::Test),
    /// Compares what the sinks hold with the receipts in them.
    Verify(verify::Verify),
    /// Shows an archive in a browser: search, listen, verify.
    #[cfg(feature = "page")]
    Browse(Box<browse::Browse>),
    /// Packs recordings, rows and receipts of conversations into a zip that anybody can check.
    #[cfg(feature = "page")]
    Evidence(Box<evidence::Evidence>),
    /// Decrypts objects written by a sink with `encrypt`.
    Decrypt(decrypt::Decrypt),
    /// Asks the source again and names, day by day, what the receipts do not have.
    Reconcile(reconcile::Reconcile),
    /// Lets Genesys Cloud's own S3 integration push recordings to a bucket.
    Push(genesys::Push),
    /// Shows what is done, in progress and waiting, of a running or stopped export.
    Status(status::Status),
    /// Pauses, resumes, drains or reloads a run on this machine.
    Control(control::Control),
    /// Makes, shows and leaves the fleet of machines that share a configuration's work.
    #[cfg(feature = "cluster")]
    Cluster(cluster::ClusterCommand),
    /// Shows the display of a run on this machine.
    Top(control::Top),
    /// Removes temporary files and unfinished uploads left by interrupted runs.
    #[command(alias = "tidy")]
    Cleanup(cleanup::Cleanup),
    /// Serves a simulated Genesys Cloud to try a configuration on.
    #[cfg(feature = "simulator")]
    Simulate(Box<simulate::Simulate>),
    /// Prints a commented configuration to start from.
    Generate(generate::Generate),
    /// Prints the JSON Schema of the configuration, for editors and other tools.
    Schema(schema::Schema),
    /// Shows what a component imports, wants and accepts.
    Inspect(inspect::Inspect),
    /// Turns a core module, as cargo builds it from a source in Rust, into a component.
    Componentize(componentize::Componentize),
    /// Writes a folder with the beginnings of a source of your own.
    NewSource(new_source::NewSource),
    /// Prints a script that completes commands and options in a shell.
    Completions(shell::Completions),
    /// Writes manual pages into a folder.
    Man(shell::Man),
}

/// Reads a configuration, and says which of its keys have another name now.
fn load(path: &std::path::Path) -> Result<Config, Error> {
    load_for(path, SecretScope::All)
}

/// The same for a command that needs no other secrets than those of `scope`.
fn load_for(path: &std::path::Path, scope: SecretScope) -> Result<Config, Error> {
    load_within(path, scope, Duration::MAX)
}

/// How long a command that says how things are now waits for a command that prints a secret.
const SECRETS: Duration = Duration::from_secs(5);

/// The same with less patience for commands that print secrets.
fn load_within(
    path: &std::path::Path,
    scope: SecretScope,
    limit: Duration,
) -> Result<Config, Error> {
    let config = Config::load_within(path, scope, limit)?;
    for warning in config.warnings() {
        terminal::say("warn", &warning);
    }
    Ok(config)
}

/// Runs a command and says by its exit code how it went.
fn main() -> ExitCode {
    allocator::keep_little();
    let args = Args::parse();
    args.output.apply();
    recording_host_config::secret::on_slow_secret(|program, limit| {
        let limit = limit.as_secs();
        let text = format!(
            "waiting for `{program}`, which is to print a secret, for {limit} s at most (`timeout_seconds`)"
        );
        terminal::say("warn", &text);
    });
    let result = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let result = runtime.block_on(dispatch(args.command));
            // What hangs in the system, such as a file of a server that is gone, is not waited for.
            runtime.shutdown_timeout(Duration::from_secs(1));
            result
        });
    exit_code::of(result)
}

async fn dispatch(command: Command) -> anyhow::Result<Done> {
    match command {
        #[cfg(feature = "simulator")]
        Command::Demo(demo) => demo.run().await,
        Command::Run(run) => run.run().await,
        Command::Plan(plan) => plan.run().await,
        Command::Check(check) => check.run().await,
        Command::Validate(validate) => validate.run(),
        Command::Test(test) => test.run(),
        Command::Verify(verify) => verify.run().await,
        #[cfg(feature = "page")]
        Command::Browse(browse) => browse.run().await,
        #[cfg(feature = "page")]
        Command::Evidence(evidence) => evidence.run().await,
        Command::Decrypt(decrypt) => decrypt.run().await,
        Command::Reconcile(reconcile) => reconcile.run().await,
        Command::Push(push) => push.run().await,
        Command::Status(status) => status.run().await,
        Command::Control(control) => control.run().await,
        #[cfg(feature = "cluster")]
        Command::Cluster(cluster) => cluster.run().await,
        Command::Top(top) => top.run().await,
        Command::Cleanup(cleanup) => cleanup.run().await,
        #[cfg(feature = "simulator")]
        Command::Simulate(simulate) => simulate.run().await,
        Command::Generate(generate) => generate.run(),
        Command::Schema(schema) => schema.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Componentize(componentize) => componentize.run(),
        Command::NewSource(new) => new.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

/// Ends the program as a wrong use of it.
fn usage(reason: &str) -> ! {
    Args::command()
        .error(clap::error::ErrorKind::ArgumentConflict, reason)
        .exit()
}

/// Reads files of identities; without any, nothing can be decrypted.
fn identities(paths: &[PathBuf]) -> Result<Identities, IdentityError> {
    let mut identities = Identities::default();
    for path in paths {
        identities.extend(Identities::load(path)?);
    }
    Ok(identities)
}
