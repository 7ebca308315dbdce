//! The output during a command, on standard error: progress and warnings.

use std::{
    io::{IsTerminal, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use recording_host_model::{Event, Level, Progress, Subscriber};

/// The pause between two lines of progress in a log.
const EVERY: Duration = Duration::from_secs(30);

/// Shows what happens to a source.
struct Terminal {
    name: String,
    /// One line that changes, or a line now and then in a log.
    is_terminal: bool,
    /// The last line of progress in a log, and when it was written.
    last: Mutex<Option<(Instant, String)>>,
}

/// Shows the progress and the warnings of the source `name`.
pub(crate) fn terminal(name: &str) -> Arc<dyn Subscriber> {
    Arc::new(Terminal {
        name: name.to_owned(),
        is_terminal: std::io::stderr().is_terminal(),
        last: Mutex::new(None),
    })
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
        if self.is_terminal {
            let _ = write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush());
            return;
        }
        let Ok(mut last) = self.last.lock() else {
            return;
        };
        let due = last
            .as_ref()
            .is_none_or(|(at, before)| at.elapsed() >= EVERY && *before != line);
        if due {
            let _ = writeln!(out, "{line}");
            *last = Some((Instant::now(), line));
        }
    }

    fn warning(&self, text: &str) {
        eprintln!("{}: warning: {text}", self.name);
    }
}

/// Ends the line that changes.
pub(crate) fn end_progress() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}
