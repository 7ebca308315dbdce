//! Short ways to make and read what the interface is made of.

use jiff::{Timestamp as Instant, fmt::rfc2822};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Answer, Conversation, Fault, Finding, Level, Next, Note, Response, SourceError, State, Step,
    Timestamp, Verdict,
};

/// The code of the outcome that a `find` gives a conversation that has not ended: the host waits for
/// its end, up to a point, before it asks for a `fetch`.
pub const NOT_ENDED: &str = "not-ended";

/// A clock that is wrong by more than this spoils settle times and signatures (ms).
const SKEW: u64 = 60_000;

impl Step {
    /// A step that yields nothing but what is to happen next.
    #[must_use]
    pub fn then(next: Next) -> Self {
        Step {
            conversations: Vec::new(),
            artifacts: Vec::new(),
            outcomes: Vec::new(),
            splits: Vec::new(),
            facts: Vec::new(),
            notes: Vec::new(),
            next,
        }
    }
}

impl State {
    /// A state that is JSON.
    ///
    /// # Panics
    /// If the memory cannot be JSON, as a map whose keys are no text.
    #[must_use]
    pub fn write(version: u32, memory: &impl Serialize) -> Self {
        State {
            version,
            data: serde_json::to_vec(memory).expect("states are plain data"),
        }
    }

    /// Reads a state of this version that is JSON.
    ///
    /// # Errors
    /// [`SourceError::IncompatibleState`] if another version wrote it.
    pub fn read<T: DeserializeOwned>(&self, version: u32) -> Result<T, SourceError> {
        if self.version != version {
            return Err(SourceError::IncompatibleState(self.version));
        }
        serde_json::from_slice(&self.data)
            .map_err(|error| SourceError::Permanent(format!("the split's state: {error}")))
    }
}

impl Answer {
    /// The server's answer, if there is one.
    ///
    /// # Errors
    /// What a fault means: one that may pass is [`SourceError::Transient`].
    pub fn response(self) -> Result<Response, SourceError> {
        match self {
            Answer::Response(response) => Ok(response),
            Answer::Fault(Fault::Unreachable(reason)) => Err(SourceError::Transient(reason)),
            Answer::Fault(Fault::Refused(reason)) => Err(SourceError::Permanent(reason)),
            Answer::Fault(Fault::TooLarge(limit)) => Err(SourceError::Permanent(format!(
                "the answer is larger than {limit} bytes"
            ))),
        }
    }
}

impl Response {
    /// The value of a header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// How far the server's clock, as its header `date` tells it, is from `now`: for a check.
    #[must_use]
    pub fn clock(&self, now: Timestamp) -> Option<Finding> {
        let date = self.header("date")?;
        let at: Instant = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
        let skew = u64::try_from(at.as_millisecond()).ok()?.abs_diff(now);
        let apart = format!("{} s from the vendor's", skew / 1000);
        Some(match skew > SKEW {
            true => Finding::new(
                "clock",
                Verdict::Bad,
                format!("{apart}; set this machine's clock by NTP"),
            ),
            false => Finding::new("clock", Verdict::Good, apart),
        })
    }
}

impl Finding {
    /// What a check has found about a subject.
    #[must_use]
    pub fn new(subject: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        Finding {
            subject: subject.to_owned(),
            verdict,
            text: text.into(),
        }
    }
}

impl Note {
    /// A line that an operator should look at.
    #[must_use]
    pub fn warning(text: String) -> Self {
        Note {
            level: Level::Warn,
            text,
        }
    }
}

impl Conversation {
    /// One that was recorded, and of which nothing else is known but when it began.
    #[must_use]
    pub fn bare(id: impl Into<String>, start: Timestamp) -> Self {
        Conversation {
            id: id.into(),
            start,
            end: None,
            direction: None,
            ani: None,
            dnis: None,
            agents: Vec::new(),
            queues: Vec::new(),
            wrap_up_codes: Vec::new(),
            tags: Vec::new(),
            divisions: Vec::new(),
            media_types: Vec::new(),
            recorded: true,
            extent: None,
            attributes: Vec::new(),
        }
    }
}
