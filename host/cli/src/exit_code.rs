//! The exit codes of the program: one meaning for all commands.

use std::process::ExitCode;

use recording_host_config::UnknownType;
use recording_host_model::{Error, ErrorKind};
use recording_host_sink::encryption::IdentityError;

use super::{print, terminal};

/// The codes as the help tells them.
pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 all delivered, 1 failed (run it again to resume), 2 wrong configuration or usage, \
3 finished, but some recordings were unavailable and are named, \
4 nothing to prove: `verify` found no receipt, `test` no sample, \
5 stopped by --max-bytes, --max-time or `control drain`: work is left, \
6 the month's limit of requests is reached: work is left.";

/// How a command ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// All is delivered.
    All,
    /// Some recordings were unavailable.
    WithLosses,
    /// There is nothing that could be proven.
    Nothing,
    /// A limit of the run was reached, and work is left.
    WorkLeft,
}

/// Prints the error of a command that failed, and returns the exit code of how it ended.
pub(super) fn of(result: anyhow::Result<Done>) -> ExitCode {
    match result {
        Ok(Done::All) => ExitCode::SUCCESS,
        Ok(Done::WithLosses) => ExitCode::from(3),
        Ok(Done::Nothing) => ExitCode::from(4),
        Ok(Done::WorkLeft) => ExitCode::from(5),
        Err(error) => {
            terminal::say("error", &print::chain(&error));
            let of_config = |error: &Error| error.kind() == ErrorKind::Config;
            let config = error.downcast_ref().is_some_and(of_config)
                || error.is::<UnknownType>()
                || error.is::<IdentityError>();
            let spent = |error: &Error| error.kind() == ErrorKind::Budget;
            let spent = error.downcast_ref().is_some_and(spent);
            ExitCode::from(match (config, spent) {
                (true, _) => 2,
                (_, true) => 6,
                _ => 1,
            })
        }
    }
}
