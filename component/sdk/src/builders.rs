//! Short ways to make and read the types of the interface.

use jiff::{Timestamp as Instant, fmt::rfc2822};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Artifact, ArtifactKey, Container, Conversation, Download, Failure, Finding, HandedOver, Level,
    Method, Missing, Next, Note, Origin, OriginRole, Outcome, OutcomeResult, RecordingKey, Request,
    RequestError, Response, SourceError, State, Step, Timestamp, Update, Verdict,
};

/// The code of the outcome that a `find` gives a conversation that has not ended: the host waits for
/// its end, up to a point, before it asks for a `fetch`.
pub const NOT_ENDED: &str = "not-ended";

/// A clock that is wrong by more than this spoils settle times and signatures (ms).
const SKEW: u64 = 60_000;

/// The most characters of a vendor's message that are kept.
const MOST_MESSAGE: usize = 300;

/// The beginning of a vendor's message: it goes into logs and receipts, so it is kept short.
#[must_use]
pub fn excerpt(message: &str) -> String {
    message.chars().take(MOST_MESSAGE).collect()
}

impl Step {
    /// A step that yields nothing but its next action.
    #[must_use]
    pub fn then(next: Next) -> Self {
        Step {
            conversations: Vec::new(),
            artifacts: Vec::new(),
            outcomes: Vec::new(),
            splits: Vec::new(),
            updates: Vec::new(),
            notes: Vec::new(),
            next,
        }
    }

    /// A step that reports the findings of a check.
    #[must_use]
    pub fn found(findings: Vec<Finding>, next: Next) -> Self {
        Step {
            updates: findings.into_iter().map(Update::Finding).collect(),
            ..Step::then(next)
        }
    }

    /// Adds a line about the progress to the log.
    pub fn inform(&mut self, text: impl Into<String>) {
        self.notes.push(Note::info(text));
    }

    /// Adds a line to the log that an operator should look at.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.notes.push(Note::warning(text));
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

impl From<RequestError> for SourceError {
    /// The error of the split after a failed request: one that may pass is [`SourceError::Transient`].
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Unreachable(reason) => SourceError::Transient(reason),
            RequestError::Refused(reason) => SourceError::Permanent(reason),
            RequestError::TooLarge(limit) => {
                SourceError::Permanent(format!("the response is larger than {limit} bytes"))
            }
        }
    }
}

impl Request {
    /// A request that only reads: the host may repeat it.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Request {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: None,
            repeatable: true,
        }
    }

    /// The same request with one more header, whose name is in lower case.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Origin {
    /// An origin of requests, which carry credentials, and of downloads that need them.
    #[must_use]
    pub fn api(url: impl Into<String>) -> Self {
        Self::with_role(url, OriginRole::Api)
    }

    /// An origin of downloads without credentials.
    #[must_use]
    pub fn media(url: impl Into<String>) -> Self {
        Self::with_role(url, OriginRole::Media)
    }

    fn with_role(url: impl Into<String>, role: OriginRole) -> Self {
        Origin {
            url: url.into(),
            role,
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

    /// A finding about the distance of the server's clock, as in its header `date`, from `now`: for a
    /// check.
    #[must_use]
    pub fn clock(&self, now: Timestamp) -> Option<Finding> {
        let date = self.header("date")?;
        let at: Instant = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
        let skew = u64::try_from(at.as_millisecond()).ok()?.abs_diff(now);
        let apart = format!("{} s from the vendor's", skew / 1000);
        Some(match skew > SKEW {
            true => Finding::bad("clock", format!("{apart}; set this machine's clock by NTP")),
            false => Finding::good("clock", apart),
        })
    }
}

impl Finding {
    /// A finding of a check about a subject.
    #[must_use]
    pub fn new(subject: &str, verdict: Verdict, text: impl Into<String>) -> Self {
        Finding {
            subject: subject.to_owned(),
            verdict,
            text: text.into(),
        }
    }

    /// A finding about something that is as an export needs it.
    #[must_use]
    pub fn good(subject: &str, text: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Good, text)
    }

    /// A finding that an export can live with, and an operator should look at.
    #[must_use]
    pub fn doubtful(subject: &str, text: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Doubtful, text)
    }

    /// A problem that stops an export; the text says how to fix it.
    #[must_use]
    pub fn bad(subject: &str, text: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Bad, text)
    }
}

impl Note {
    /// A line about the progress.
    #[must_use]
    pub fn info(text: impl Into<String>) -> Self {
        Note {
            level: Level::Info,
            text: text.into(),
        }
    }

    /// A line that an operator should look at.
    #[must_use]
    pub fn warning(text: impl Into<String>) -> Self {
        Note {
            level: Level::Warn,
            text: text.into(),
        }
    }

    /// A line that names the dropped fields by their paths; `what` says which they are.
    #[must_use]
    pub fn left_out(what: &str, paths: &[String]) -> Self {
        Self::warning(format!(
            "{what} cannot be read and are left out: {}",
            paths.join(", ")
        ))
    }
}

impl Outcome {
    /// The outcome of a conversation.
    #[must_use]
    pub fn new(conversation: impl Into<String>, result: OutcomeResult) -> Self {
        Outcome {
            conversation: conversation.into(),
            result,
        }
    }
}

impl OutcomeResult {
    /// The result for a conversation of which so many artifacts are handed over, and these recordings
    /// are not.
    ///
    /// ```
    /// use recording_source_sdk::{Missing, OutcomeResult};
    ///
    /// let lost = Missing::new(Some("r1"), "deleted", "it has been deleted", false);
    /// let late = Missing::new(Some("r2"), "uploading", "it is being uploaded", true);
    /// let nothing = OutcomeResult::of(0, vec![lost.clone(), late]);
    /// assert!(matches!(nothing, OutcomeResult::Failed(failure) if failure.code == "uploading"));
    /// assert!(matches!(OutcomeResult::of(1, vec![lost]), OutcomeResult::HandedOver(_)));
    /// assert!(matches!(OutcomeResult::of(0, Vec::new()), OutcomeResult::NoRecording));
    /// ```
    #[must_use]
    pub fn of(artifacts: u32, missing: Vec<Missing>) -> Self {
        if artifacts > 0 {
            return OutcomeResult::HandedOver(HandedOver { artifacts, missing });
        }
        // A failure that may pass comes first: it is worth another request.
        match missing.into_iter().max_by_key(|one| one.failure.retryable) {
            Some(one) => OutcomeResult::Failed(one.failure),
            None => OutcomeResult::NoRecording,
        }
    }
}

impl Missing {
    /// A recording that is unavailable, or an unknown one of a conversation; `retryable` is true if a
    /// later attempt may succeed.
    #[must_use]
    pub fn new(recording: Option<&str>, code: &str, message: &str, retryable: bool) -> Self {
        Missing {
            recording: recording.map(str::to_owned),
            failure: Failure {
                code: code.to_owned(),
                message: message.to_owned(),
                retryable,
            },
        }
    }
}

impl ArtifactKey {
    /// The key of a part of a recording, counted from 0.
    #[must_use]
    pub fn part(conversation: &str, recording: &str, part: u32) -> Self {
        ArtifactKey::Recording(RecordingKey {
            conversation: conversation.to_owned(),
            recording: recording.to_owned(),
            part,
        })
    }

    /// The recording that the artifact is a part of; none if it is an archive of many.
    #[must_use]
    pub fn recording(&self) -> Option<&RecordingKey> {
        match self {
            ArtifactKey::Recording(key) => Some(key),
            ArtifactKey::Bundle(_) => None,
        }
    }
}

impl Artifact {
    /// A file whose length and digest are not known; a zip archive is known by its media type.
    #[must_use]
    pub fn new(key: ArtifactKey, download: Download, content_type: Option<&str>) -> Self {
        Artifact {
            key,
            download,
            content_type: content_type.map(str::to_owned),
            container: match content_type {
                Some("application/zip") => Container::Zip,
                _ => Container::Single,
            },
            size: None,
            sha256: None,
        }
    }
}

impl Download {
    /// A signed link: it is fetched as it is, without credentials.
    #[must_use]
    pub fn signed(url: impl Into<String>) -> Self {
        Download {
            url: url.into(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        }
    }

    /// A request to an `api` origin as a download: with its headers, and with credentials.
    #[must_use]
    pub fn authenticated(request: Request) -> Self {
        Download {
            url: request.url,
            headers: request.headers,
            authenticated: true,
            expires: None,
        }
    }
}
impl Conversation {
    /// A conversation that was recorded, and of which nothing else is known but its start.
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
            revision: None,
            attributes: Vec::new(),
        }
    }
}
