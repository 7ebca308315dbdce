//! How a command learns that it is to stop, or to read its configuration anew.

#[cfg(unix)]
use std::io::{self, IsTerminal};

use tokio::sync::watch;

use super::terminal;

/// A request from outside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalRequest {
    Stop,
    #[cfg(unix)]
    Reload,
    #[cfg(unix)]
    Nothing,
}

/// The requests from outside, for a run.
pub(super) struct Requests {
    /// Turns true when it is to stop.
    pub(super) stop: watch::Receiver<bool>,
    /// Asks for that.
    #[cfg_attr(
        not(feature = "cluster"),
        allow(dead_code, reason = "machines of a fleet ask")
    )]
    pub(super) ask_stop: watch::Sender<bool>,
    /// Changes when the configuration is to be read anew.
    pub(super) reload: watch::Receiver<u64>,
    /// Asks for that.
    pub(super) ask_reload: watch::Sender<u64>,
}

/// Turns true at the first SIGTERM or Ctrl-C, when the terminal is closed, or when nobody reads standard
/// error any more; a second signal ends the process.
pub(super) fn stopped() -> anyhow::Result<watch::Receiver<bool>> {
    Ok(requests(false)?.stop)
}

/// The requests from outside. With `reloads`, SIGHUP has the configuration read anew, unless it says that
/// the terminal was closed; without, it stops.
pub(super) fn requests(reloads: bool) -> anyhow::Result<Requests> {
    let (tell_stop, stop) = watch::channel(false);
    let ask_stop = tell_stop.clone();
    let (ask_reload, reload) = watch::channel(0);
    #[cfg(unix)]
    let tell_reload = ask_reload.clone();
    let mut signals = system::Signals::new(reloads)?;
    tokio::spawn(async move {
        let mut stopping = false;
        loop {
            let asked = tokio::select! {
                asked = signals.next() => asked,
                () = terminal::closed(), if !stopping => SignalRequest::Stop,
            };
            match asked {
                #[cfg(unix)]
                SignalRequest::Nothing => {}
                #[cfg(unix)]
                SignalRequest::Reload => tell_reload.send_modify(|count| *count += 1),
                SignalRequest::Stop if stopping => std::process::exit(130),
                SignalRequest::Stop => {
                    stopping = true;
                    terminal::say(
                        "info",
                        "stopping: finishing the downloads under way; another signal stops at once",
                    );
                    let _ = tell_stop.send(true);
                }
            }
        }
    });
    Ok(Requests {
        stop,
        ask_stop,
        reload,
        ask_reload,
    })
}

/// Returns true if one of the standard streams is a terminal.
#[cfg(unix)]
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}

#[cfg(unix)]
mod system {
    use tokio::signal::{
        ctrl_c,
        unix::{Signal, SignalKind, signal},
    };

    use super::{SignalRequest, has_terminal};

    pub(super) struct Signals {
        terminate: Signal,
        /// None if whoever started the program has it ignore SIGHUP, as `nohup` does.
        hangup: Option<Signal>,
        reloads: bool,
        /// True if there was a terminal when the program began.
        had_terminal: bool,
        hung_up: bool,
    }

    impl Signals {
        pub(super) fn new(reloads: bool) -> anyhow::Result<Self> {
            let heeds = reloads || !ignores_hangup();
            Ok(Signals {
                terminate: signal(SignalKind::terminate())?,
                hangup: heeds.then(|| signal(SignalKind::hangup())).transpose()?,
                reloads,
                had_terminal: has_terminal(),
                hung_up: false,
            })
        }

        pub(super) async fn next(&mut self) -> SignalRequest {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.terminate.recv() => SignalRequest::Stop,
                _ = ctrl_c() => SignalRequest::Stop,
                _ = hangup => {
                    let closed = self.had_terminal && !has_terminal();
                    match self.reloads && !closed {
                        true => SignalRequest::Reload,
                        // The system may say it twice, and a shell once more.
                        false if self.hung_up => SignalRequest::Nothing,
                        false => {
                            self.hung_up = true;
                            SignalRequest::Stop
                        }
                    }
                }
            }
        }
    }

    /// Returns true if the program was started with SIGHUP ignored; only Linux tells.
    fn ignores_hangup() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mut lines = status.lines();
        let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        // SIGHUP is signal 1, the first bit.
        mask.is_some_and(|mask| mask & 1 == 1)
    }
}

#[cfg(not(unix))]
mod system {
    use super::SignalRequest;

    pub(super) struct Signals;

    impl Signals {
        pub(super) fn new(_: bool) -> anyhow::Result<Self> {
            Ok(Signals)
        }

        pub(super) async fn next(&mut self) -> SignalRequest {
            let _ = tokio::signal::ctrl_c().await;
            SignalRequest::Stop
        }
    }
}
