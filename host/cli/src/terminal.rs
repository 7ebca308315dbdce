//! The output during a command, on standard error: progress, warnings, and the log of what happens.
//!
//! Somebody who looks at a terminal gets a [`Display`] that changes; everybody else gets lines, each with its
//! time. Results are not printed here: they go to standard output.

mod bars;
mod board;
mod words;

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::{Args, ValueEnum};
use indicatif::MultiProgress;
use recording_host_model::{Events, Level, Subscriber, lines};
use recording_host_observe::{Format, Log};
use serde_json::json;
use tokio::sync::watch;

use bars::Bars;
pub(crate) use bars::{Picture, columns, drawn};
#[cfg(unix)]
pub(crate) use board::Board;
pub(crate) use board::DisplayLine;

/// How a command tells on standard error how far it is.
#[derive(Clone, Copy, Debug, Default, Args)]
#[command(next_help_heading = "Output while it runs")]
pub(crate) struct Output {
    /// Format of the log on standard error; `json` writes one object per line.
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true)]
    log_format: LogFormat,
    /// Also log every request, step and object.
    #[arg(long, short, conflicts_with = "quiet", global = true)]
    verbose: bool,
    /// Log only warnings and errors.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The output that the command line asks for; set once.
static OUTPUT: OnceLock<Output> = OnceLock::new();
/// The bars on the terminal, if any are shown: lines go above them.
static SHOWN: Mutex<Option<MultiProgress>> = Mutex::new(None);
/// True once standard error is the log of a run, in which each line has its time.
static LOGS: AtomicBool = AtomicBool::new(false);

impl Output {
    /// Has all output of the program be as asked from here on.
    pub(crate) fn apply(self) {
        let _ = OUTPUT.set(self);
    }

    fn asked() -> Self {
        OUTPUT.get().copied().unwrap_or_default()
    }

    fn least(self) -> Level {
        match (self.verbose, self.quiet) {
            (true, _) => Level::Debug,
            (_, true) => Level::Warn,
            _ => Level::Info,
        }
    }

    fn is_json(self) -> bool {
        self.log_format == LogFormat::Json
    }

    /// Returns true if bars are drawn: somebody looks, at a terminal that can move its cursor.
    fn has_bars(self) -> bool {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        !self.is_json() && self.least() == Level::Info && io::stderr().is_terminal() && !dumb
    }
}

/// Shows how far the sources of a command are, until it is dropped.
pub(crate) struct Display(Option<Bars>);

impl Display {
    /// One that shows nothing.
    pub(crate) fn none() -> Self {
        Display(None)
    }

    /// Begins to show.
    pub(crate) fn begin() -> Self {
        let bars = Bars::begin();
        *shown() = bars.as_ref().map(Bars::multi);
        Display(bars)
    }

    /// Makes lines that belong to no source lines of a log, unless there are bars to write them above.
    pub(crate) fn log_lines(&self) {
        LOGS.store(self.0.is_none(), Ordering::Relaxed);
    }

    /// Shows what happens to a source or, in a verification, to a sink.
    pub(crate) fn subscriber(&self, name: &str) -> Arc<dyn Subscriber> {
        if let Some(bars) = &self.0 {
            return bars.subscriber(name);
        }
        let asked = Output::asked();
        let format = match asked.log_format {
            LogFormat::Text => Format::Text,
            LogFormat::Json => Format::Json,
        };
        Arc::new(Log::new(name, format, asked.least(), Stderr))
    }

    /// The same as events to be emitted.
    pub(crate) fn events(&self, name: &str) -> Events {
        Events::default().with(self.subscriber(name))
    }

    /// Removes a source whose work is done.
    pub(crate) fn ended(&self, name: &str) {
        if let Some(bars) = &self.0 {
            bars.ended(name);
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bars) = &self.0 {
            *shown() = None;
            bars.end();
        }
    }
}

fn shown() -> std::sync::MutexGuard<'static, Option<MultiProgress>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a line that belongs to no source: the level and the text. In a log it has its time.
pub(crate) fn say(level: &str, text: &str) {
    let asked = Output::asked();
    if level == "info" && asked.quiet {
        return;
    }
    let text = lines(text);
    let line = match asked.is_json() {
        true => {
            let time = format!("{:.3}", jiff::Timestamp::now());
            json!({ "time": time, "level": level, "event": "message", "text": text }).to_string()
        }
        false if LOGS.load(Ordering::Relaxed) => {
            let now = jiff::Timestamp::now();
            format!("{now:.0} {level:<5} recording-host: {text}")
        }
        false => match level {
            "error" => format!("error: {text}"),
            "warn" => format!("warning: {text}"),
            _ => text,
        },
    };
    if let Some(multi) = &*shown() {
        let _ = multi.println(line);
        return;
    }
    // A log that nobody reads ends the run, but not here and not at once.
    // In one piece: others write there, too.
    let _ = Stderr.write_all(format!("{line}\n").as_bytes());
}

/// Turns true once nobody can read standard error any more.
static CLOSED: OnceLock<watch::Sender<bool>> = OnceLock::new();

fn closing() -> &'static watch::Sender<bool> {
    CLOSED.get_or_init(|| watch::channel(false).0)
}

/// Waits until whoever read standard error has gone.
pub(crate) async fn closed() {
    let mut reported = closing().subscribe();
    // The sender is never dropped.
    let _ = reported.wait_for(|closed| *closed).await;
}

/// Standard error, which notes when nobody reads it any more.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        noted(io::stderr().write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        noted(io::stderr().flush())
    }
}

fn noted<T>(written: io::Result<T>) -> io::Result<T> {
    if matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe) {
        closing().send_replace(true);
    }
    written
}
