//! Events of a running export, for whoever watches it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;

use crate::Level;

/// Something that happened. It holds ids, words, lengths and durations; never a secret, a signed link,
/// an address or a name of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A line that a source has for the log.
    Note {
        /// The kind of the split that it comes from.
        kind: String,
        /// How much it matters.
        level: Level,
        /// The line.
        text: String,
    },
    /// Something that an operator should look at.
    Warning {
        /// The incident, the thing affected, and the action taken.
        text: String,
    },
    /// How far the export is; at most once a second.
    Progress(Progress),
    /// The work under way; as often as `Progress`, and at least every five minutes.
    Activity(Activity),
    /// How much waits, and how much of the vendor's limit is used; as often as `Progress`.
    Backlog(Backlog),
    /// Another machine of the fleet leads the export, and this one does what comes; as often as `Progress`.
    StandingBy,
    /// How far a plan, a verification, a reconciliation or a repair is, which look at much and move little.
    Examined {
        /// The things that are counted, such as `days compared`.
        subject: &'static str,
        /// How many are done.
        done: u64,
        /// How many there are, if that is known.
        total: Option<u64>,
    },
    /// The results of a step of a split are committed.
    StepCommitted {
        /// The kind of the split.
        kind: String,
        /// Conversations found.
        conversations: usize,
        /// Artifacts handed over.
        artifacts: usize,
        /// Outcomes reported.
        outcomes: usize,
    },
    /// A request to the source's API was answered, or was not.
    Request {
        /// The kind of the split that sent it; `token` for an access token.
        kind: String,
        /// The method.
        method: &'static str,
        /// The status; none if there was no response.
        status: Option<u16>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// The source's API requested a pause: all requests with this credential wait.
    Throttled {
        /// For how long, in milliseconds.
        millis: u64,
    },
    /// A request is sent again.
    RequestRetried {
        /// The kind of the split.
        kind: String,
        /// How often it was sent before.
        attempts: u32,
        /// How long it waits, in milliseconds.
        millis: u64,
    },
    /// A download begins again, where it stopped if the server can do that.
    DownloadRetried {
        /// How often it was begun before.
        attempts: u32,
        /// How long it waits, in milliseconds.
        millis: u64,
    },
    /// All bytes of a download have come.
    Downloaded {
        /// How many there are.
        bytes: u64,
        /// How long it took since the first of them was asked for, in milliseconds.
        millis: u64,
    },
    /// An artifact is in the sinks that take it, and that is committed.
    ArtifactStored {
        /// The sinks that took it now, and what it became in each.
        stored: BTreeMap<String, StoredArtifact>,
    },
    /// An artifact is unavailable for now, or for good; whatever the source lacks itself is never one.
    ArtifactLost {
        /// Why, as a short stable code.
        code: String,
    },
    /// Recordings are unavailable for good: the outcome of their conversations is final.
    RecordingsLost {
        /// Why, as a short stable code.
        code: String,
        /// How many.
        count: u64,
    },
    /// An export with nothing to do now waits for what is due later, such as conversations that ended too
    /// recently. It may be stopped meanwhile: the next run resumes.
    Waiting {
        /// Until when, in milliseconds since 1970.
        until: u64,
    },
    /// A sink is unavailable; the others continue.
    SinkUnavailable {
        /// The sink.
        sink: String,
    },
    /// A sink is back.
    SinkAvailable {
        /// The sink.
        sink: String,
        /// The artifacts that it lacks.
        backlog: usize,
    },
    /// The rows and the receipt of a segment are in a sink that takes some of it.
    SegmentFiled {
        /// The sink.
        sink: String,
        /// The day on which its conversations began, `YYYY-MM-DD` in UTC.
        day: String,
        /// Its number in the export.
        number: i64,
        /// Conversations of it that the sink takes.
        conversations: usize,
    },
    /// Conversations of which something is unavailable are filed in a sink, the first that has them.
    LossesFiled {
        /// How much, by the code of the reason.
        codes: BTreeMap<String, usize>,
    },
}

/// How far an export is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Conversations found.
    pub conversations: u64,
    /// Conversations that the source has counted in what it was asked for so far; none if it tells no count.
    pub counted: Option<u64>,
    /// Conversations of which the source has said what became of them, and handed over what it has.
    pub fetched: u64,
    /// Of the fetched ones, those whose outcome is final: their media are where they belong.
    pub stored: u64,
    /// Conversations filed, by the word of their outcome.
    pub filed: BTreeMap<String, u64>,
    /// Artifacts delivered to every sink.
    pub artifacts: u64,
    /// Media objects and their bytes, counted in the sink that has most.
    pub objects: u64,
    /// See `objects`.
    pub bytes: u64,
    /// Up to when conversations have been searched, ms since the epoch; none before the first search is done.
    pub watermark: Option<u64>,
}

/// The work that a run has under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Activity {
    /// Splits that have begun and are not done.
    pub splits: usize,
    /// Jobs at the vendor that are waited for.
    pub jobs: usize,
    /// How long ago the oldest of them was submitted, in milliseconds.
    pub oldest_job_millis: Option<u64>,
    /// Artifacts with a link that wait for a download.
    pub links: usize,
    /// How many downloads may be under way at once.
    pub transfers: usize,
    /// How much longer requests pause because the source's API asked for it, in milliseconds.
    pub paused_millis: Option<u64>,
}

/// Work that waits somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Artifacts that each sink lacks and gets once it is available; every sink is in it.
    pub artifacts: BTreeMap<String, u64>,
    /// Conversations whose rows and receipt each sink lacks, though they are complete; every sink is in it.
    pub conversations: BTreeMap<String, u64>,
    /// Fetches that wait for a machine of the fleet; none if there is no fleet, or another machine leads.
    pub fetches: Option<u64>,
    /// The length of the queue's files in `data_dir`, in bytes.
    pub queue_bytes: u64,
    /// The room that downloads and recordings to be unpacked or transcoded take in `data_dir`, in bytes.
    pub spool_bytes: u64,
    /// The most that they may take, in bytes.
    pub spool_max_bytes: u64,
    /// Requests in the current minute of the vendor's limit, by its own count where it tells one; none if
    /// the source has no such limit.
    pub requests_used: Option<u64>,
    /// The most requests in such a minute.
    pub requests_allowed: Option<u64>,
    /// Requests that were made with the source's credential in this month (UTC); none without a ceiling.
    pub month_requests: Option<u64>,
    /// The most requests in a month.
    pub month_allowed: Option<u64>,
}

/// An artifact as a sink has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StoredArtifact {
    /// Objects.
    pub objects: usize,
    /// Their length in bytes.
    pub bytes: u64,
}

/// Watches an export.
///
/// It is called where something happens and must return soon: one that writes to slow places hands
/// events to a task or thread of its own.
pub trait Subscriber: Send + Sync {
    /// Takes an event.
    fn on_event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Subscriber for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// Delivers events to any number of subscribers, each of which gets all of them, in the order in which
/// they were emitted by one task.
#[derive(Clone, Default)]
pub struct Events(Arc<[Arc<dyn Subscriber>]>);

impl Events {
    /// The same with one more subscriber.
    #[must_use]
    pub fn with(&self, subscriber: Arc<dyn Subscriber>) -> Self {
        Events(self.0.iter().cloned().chain([subscriber]).collect())
    }

    /// Returns true if anybody subscribes.
    #[must_use]
    pub fn has_subscribers(&self) -> bool {
        !self.0.is_empty()
    }

    /// Delivers an event; made only if somebody subscribes.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.has_subscribers() {
            return;
        }
        let event = event();
        for subscriber in self.0.iter() {
            subscriber.on_event(&event);
        }
    }

    /// Delivers a warning.
    pub fn warn(&self, text: &str) {
        self.emit(|| Event::Warning {
            text: text.to_owned(),
        });
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} subscribers)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_subscriber_gets_every_event_in_order() {
        let seen: [Arc<Mutex<Vec<Event>>>; 2] = Default::default();
        let mut events = Events::default();
        for seen in &seen {
            let seen = Arc::clone(seen);
            let keep = move |event: &Event| seen.lock().unwrap().push(event.clone());
            events = events.with(Arc::new(keep));
        }
        events.warn("one");
        events.emit(|| Event::Throttled { millis: 7 });
        for seen in &seen {
            let seen = seen.lock().unwrap();
            let text = "one".to_owned();
            assert_eq!(
                *seen,
                [Event::Warning { text }, Event::Throttled { millis: 7 }]
            );
        }
    }

    #[test]
    fn an_event_that_nobody_waits_for_is_not_made() {
        Events::default().emit(|| panic!("made for nobody"));
    }
}
