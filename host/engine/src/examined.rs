//! Tells how far a look at many things is.

use std::sync::atomic::{AtomicU64, Ordering};

use recording_host_model::{Event, Events};

/// Things of one sort that are looked at one after the other, or several at once.
#[derive(Debug)]
pub(crate) struct Examined<'a> {
    events: &'a Events,
    subject: &'static str,
    done: AtomicU64,
    total: Option<u64>,
}

impl<'a> Examined<'a> {
    /// So many things, none of which has been looked at; says so.
    pub(crate) fn new(events: &'a Events, subject: &'static str, total: usize) -> Self {
        Self::of(events, subject, Some(total as u64))
    }

    /// The same where their number may be unknown.
    pub(crate) fn of(events: &'a Events, subject: &'static str, total: Option<u64>) -> Self {
        let examined = Examined {
            events,
            subject,
            done: AtomicU64::new(0),
            total,
        };
        examined.more(0);
        examined
    }

    /// Notes that one more is done.
    pub(crate) fn one(&self) {
        self.more(1);
    }

    /// Notes that some more are done.
    pub(crate) fn more(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        self.events.emit(|| Event::Examined {
            subject: self.subject,
            done,
            total: self.total,
        });
    }
}
