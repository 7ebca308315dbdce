//! The output during a command, on standard error: progress and warnings.

use std::{
    io::{IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use recording_host_model::{Event, Level, Progress, Subscriber};
use recording_host_observe::{Format, Log};
use serde_json::json;

/// Shows what happens to a source, on a line that changes.
struct Terminal {
    name: String,
}

/// Shows the progress and the warnings of the source `name`; in a log, as lines with their time.
pub(crate) fn terminal(name: &str) -> Arc<dyn Subscriber> {
    match is_terminal() {
        true => Arc::new(Terminal {
            name: name.to_owned(),
        }),
        false => Arc::new(Log::new(name, Format::Text, Level::Info, std::io::stderr())),
    }
}

/// Returns true if somebody looks at standard error.
pub(crate) fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

impl Subscriber for Terminal {
    fn on_event(&self, event: &Event) {
        match event {
            Event::Progress(progress) => self.progress(progress),
            Event::Warning { text } => self.warning(text),
            Event::Note {
                kind,
                level: Level::Warn,
                text,
            } => self.warning(&format!("{kind}: {text}")),
            _ => {}
        }
    }
}

impl Terminal {
    fn progress(&self, progress: &Progress) {
        let filed: u64 = progress.filed.values().sum();
        let line = format!(
            "{}: {} conversations found, {} artifacts delivered, {filed} conversations filed",
            self.name, progress.conversations, progress.artifacts
        );
        let mut out = std::io::stderr().lock();
        // Progress is worth no error.
        let _ = write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush());
    }

    fn warning(&self, text: &str) {
        eprintln!("{}: warning: {text}", self.name);
    }
}

/// True if all lines on standard error are JSON.
static JSON: AtomicBool = AtomicBool::new(false);

/// Has all lines written as JSON from here on.
pub(crate) fn write_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Writes a line that belongs to no source: the level and the text.
pub(crate) fn say(level: &str, text: &str) {
    let line = match JSON.load(Ordering::Relaxed) {
        true => {
            let time = format!("{:.3}", jiff::Timestamp::now());
            json!({ "time": time, "level": level, "event": "message", "text": text }).to_string()
        }
        false => match level {
            "error" => format!("error: {text}"),
            "warn" => format!("warning: {text}"),
            _ => text.to_owned(),
        },
    };
    // A log that nobody reads any more ends no run.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Ends the line that changes.
pub(crate) fn end_progress() {
    if is_terminal() && !JSON.load(Ordering::Relaxed) {
        eprintln!();
    }
}
