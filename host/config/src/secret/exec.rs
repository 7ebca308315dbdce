//! Runs a command that prints a secret.
//!
//! Its standard output is the secret and is never shown; its standard error might contain one, and is
//! discarded.

#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::{
    io::{self, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process_group};

/// Bytes that a secret may have.
const MOST: u64 = 64 << 10;
/// The pause between two looks at a command that has closed its output.
const PAUSE: Duration = Duration::from_millis(5);

/// How long a command may take without a word about it.
const SILENCE: Duration = Duration::from_secs(3);

/// Tells the program and how long it may take.
type Slow = fn(&str, Duration);

/// Who is told of a command that takes its time.
static SLOW: OnceLock<Slow> = OnceLock::new();

/// Has `tell` be told of each command that has not printed its secret within three seconds: the program, and
/// how long it may take. The first call counts.
pub fn on_slow_secret(tell: fn(&str, Duration)) {
    let _ = SLOW.set(tell);
}

/// Why a command gave no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExecError {
    /// There is nothing to run.
    #[error("the backend's `command` is empty; give a program and its arguments as a list")]
    Empty,
    /// The command does not ask for a key.
    #[error("no argument of the backend's `command` contains the placeholder `{{key}}`")]
    Keyless,
    /// It cannot be run.
    #[error("`{program}` cannot be run: {}", crate::file::words(source))]
    Run {
        /// The program.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("`{program}` took longer than {} s and was killed; see `timeout_seconds`", limit.as_secs())]
    Time {
        /// The program.
        program: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It says that it failed.
    #[error(
        "`{program}` failed ({status}); run it by hand to see why, its output is not shown here"
    )]
    Status {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// Its output is no secret.
    #[error("`{program}` printed {what}")]
    Output {
        /// The program.
        program: String,
        /// The fault of the output.
        what: &'static str,
    },
}

/// Returns the output of `command` for `key`, within a time.
pub(super) fn run(command: &[String], key: &str, limit: Duration) -> Result<String, ExecError> {
    let until = Instant::now() + limit;
    let (program, arguments) = command.split_first().ok_or(ExecError::Empty)?;
    if !arguments.iter().any(|argument| argument.contains("{key}")) {
        return Err(ExecError::Keyless);
    }
    let cannot = |source| ExecError::Run {
        program: program.clone(),
        source,
    };
    let mut command = Command::new(program);
    // A group of its own, so that what the command itself has started ends with it.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command
        .args(arguments.iter().map(|given| given.replace("{key}", key)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(cannot)?;
    let slow = || {
        if let Some(tell) = SLOW.get() {
            tell(program, limit);
        }
    };
    let ended =
        printed(&mut child, until, slow).and_then(|text| Ok((text, end(&mut child, until)?)));
    if ended.is_err() {
        // It may be over by now; either way it is no longer waited for.
        kill(&mut child);
        let _ = child.wait();
    }
    let (bytes, status) = match ended {
        Ok(ended) => ended,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(ExecError::Time {
                program: program.clone(),
                limit,
            });
        }
        Err(error) => return Err(cannot(error)),
    };
    let wrong = |what| ExecError::Output {
        program: program.clone(),
        what,
    };
    // First of all, because it is not read further and may then end with a broken pipe.
    if bytes.len() as u64 > MOST {
        return Err(wrong("more than 64 KiB, which is no secret"));
    }
    if !status.success() {
        return Err(ExecError::Status {
            program: program.clone(),
            status,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("something that is not UTF-8"))?;
    match super::bare(&text) {
        "" => Err(wrong("nothing")),
        _ => Ok(text),
    }
}

/// Ends a child and all that it has started.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
}

/// The output of a child. A grandchild may hold the output open, so reading is left behind in time.
fn printed(child: &mut Child, until: Instant, slow: impl Fn()) -> io::Result<Vec<u8>> {
    let output = child.stdout.take();
    let (tell, reported) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.map_or(Ok(0), |output| {
            output.take(MOST + 1).read_to_end(&mut bytes)
        });
        // Nobody listens any more if it took too long.
        let _ = tell.send(read.map(|_| bytes));
    });
    let left = || until.saturating_duration_since(Instant::now());
    let mut printed = reported.recv_timeout(left().min(SILENCE));
    if matches!(printed, Err(RecvTimeoutError::Timeout)) && !left().is_zero() {
        slow();
        printed = reported.recv_timeout(left());
    }
    printed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// How a child that has closed its output ends.
fn end(child: &mut Child, until: Instant) -> io::Result<ExitStatus> {
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(status),
            None if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
            None => thread::sleep(PAUSE),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<String, String> {
        let command = ["sh", "-c", script, "sh", "{key}"].map(str::to_owned);
        run(&command, "token", limit).map_err(|error| error.to_string())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_is_given_the_key_and_prints_the_secret() {
        let printed = sh("echo \"of $1\"; echo noise >&2", LONG);
        assert_eq!(printed.as_deref(), Ok("of token\n"));
        // The key is an argument, whatever stands in it.
        let command = ["printf", "%s", "{key}"].map(str::to_owned);
        let printed = run(&command, "a; echo $HOME", LONG).unwrap();
        assert_eq!(printed, "a; echo $HOME");
    }

    #[test]
    fn a_command_that_fails_is_named_and_nothing_that_it_said_is_shown() {
        for (script, message) in [
            (
                "echo hush; echo hush >&2; exit 3",
                "`sh` failed (exit status: 3)",
            ),
            ("exit 0", "`sh` printed nothing"),
            ("printf '\\377'", "not UTF-8"),
            ("head -c 70000 /dev/zero", "more than 64 KiB"),
        ] {
            let error = sh(script, LONG).unwrap_err();
            assert!(error.contains(message), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let absent = ["/nowhere/pass", "{key}"].map(str::to_owned);
        let error = run(&absent, "token", LONG).unwrap_err().to_string();
        assert!(
            error.starts_with("`/nowhere/pass` cannot be run: "),
            "{error}"
        );
        assert!(matches!(run(&[], "k", LONG), Err(ExecError::Empty)));
        let keyless = ["echo", "hush"].map(str::to_owned);
        let error = run(&keyless, "token", LONG).unwrap_err().to_string();
        assert!(error.contains("`{key}`"), "{error}");
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed() {
        let limit = Duration::from_millis(200);
        for script in [
            "exec sleep 600",
            "sleep 600 & echo hush",
            "exec >&-; exec sleep 600",
        ] {
            let error = sh(script, limit).unwrap_err();
            assert!(error.contains("and was killed"), "{script}: {error}");
        }
    }

    #[test]
    fn what_a_command_has_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        assert!(sh(&script, Duration::from_millis(500)).is_err());
        let pid: i32 = std::fs::read_to_string(pid)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        // Until it is collected it is a zombie, which runs no more.
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        while !stat().is_empty() && !stat().contains(") Z ") {
            thread::sleep(PAUSE);
        }
    }
}
