//! Splits, the pieces of work of a source, and the steps that they take.

use crate::{
    Artifact, ArtifactKey, Conversation, Note, Origin, ReportedOutcome, Request, RequestError,
    Response, Update,
};

/// The purpose of work that is started; an export starts work many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Find the conversations that began in a range.
    Find(Find),
    /// Hand over the recordings of conversations that were found.
    Fetch(Fetch),
    /// Say how many conversations began in each day of a range, and find a few of them as examples.
    Estimate(TimeRange),
    /// Prove that the log-in and the permissions suffice.
    Check,
}

/// A half-open range of time.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant inside.
    pub from: u64,
    /// The first instant after it.
    pub until: u64,
}

/// A range to search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Unique in the export; the ids of all splits that come of this work begin with it.
    pub name: String,
    /// The range in which the conversations began.
    pub range: TimeRange,
}

/// Conversations whose recordings are to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Unique in the export; the ids of all splits that come of this work begin with it.
    pub name: String,
    /// The conversations, each at most once.
    pub conversations: Vec<ConversationRef>,
}

/// A conversation whose recordings are to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRef {
    /// The vendor's id.
    pub id: String,
    /// When it began, as the source said when it found it.
    pub start: u64,
    /// True if the vendor says that a recording of it was begun: to have none is a loss then.
    pub recorded: bool,
}

/// How work begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Every origin that the work may talk to; the host grants those that its operator allows too.
    pub origins: Vec<Origin>,
    /// The splits to begin with.
    pub splits: Vec<Split>,
    /// How many conversations one `fetch` takes at most.
    pub fetch_size: u32,
}

/// A piece of work, durable between steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Unique in the export.
    pub id: String,
    /// The sort of work in a word: for logs and limits.
    pub kind: String,
    /// Where it is.
    pub state: SplitState,
}

/// A split's memory between steps: ids and progress, never a link, a token or personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitState {
    /// The version of the source's state format.
    pub version: u32,
    /// The state itself, meaningful to the source alone.
    pub data: Vec<u8>,
}

/// Why a split is stepped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitInput {
    /// It is new, has waited long enough, or is repeated after an interruption.
    Resume,
    /// Its last request has been answered, or has failed.
    Response(Result<Response, RequestError>),
    /// These artifacts of a split that was done were unavailable from their links: obtain them anew.
    Refresh(Vec<ArtifactKey>),
}

/// The result of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Conversations found.
    pub conversations: Vec<Conversation>,
    /// Recordings to fetch; one that was handed over before may be repeated, with a fresh link.
    pub artifacts: Vec<Artifact>,
    /// Outcomes of conversations.
    pub outcomes: Vec<ReportedOutcome>,
    /// New work; a split whose id is known already is ignored.
    pub splits: Vec<Split>,
    /// Facts learned about conversations that this step or an earlier one found.
    pub updates: Vec<Update>,
    /// Lines for the log, without personal data.
    pub notes: Vec<Note>,
    /// The next action for this split.
    pub next: Next,
}

/// A step that yields nothing but what is next.
impl From<Next> for Step {
    fn from(next: Next) -> Self {
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
}

/// The next action for a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the request and step again with the response.
    Send(Send),
    /// Step again at that time.
    Wait(Wait),
    /// There is no more to do; the state is what a later refresh begins with.
    Done(SplitState),
}

/// A request and the state that awaits its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// The request.
    pub request: Request,
    /// The state that takes the response.
    pub state: SplitState,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When to resume.
    pub until: u64,
    /// The state to resume with.
    pub state: SplitState,
    /// The vendor's job that is waited for, if it is one.
    pub job: Option<Job>,
}

/// A job at the vendor's that a split waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The kind of job; jobs of one kind take about as long.
    pub kind: String,
    /// When it was submitted (ms).
    pub since: u64,
    /// How much of it is done, if the vendor reports it.
    pub done: Option<u64>,
    /// How much there is to do, in the same unit.
    pub total: Option<u64>,
    /// When to resume at the latest (ms).
    pub latest: u64,
}
