//! A fetch as it goes to another machine, and the changes that come back: JSON, with a version. A link is never
//! part of it.

mod delivered;
pub(super) mod parts;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FetchError, FetchFailure, QueueError};
use delivered::Delivered;
use parts::Bytes;
use recording_host_model::{
    Artifact, ArtifactKey, ArtifactResult, Container, Conversation, Download, IndexMetadata, Next,
    Object, ReportedOutcome, Split, SplitState, Step, Update, Wait,
};

/// The version of the format. Members may be added under the same one; readers ignore those that they do not
/// know.
const VERSION: u32 = 1;

/// A fetch, with all that a node needs to do it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchOrder {
    v: u32,
    /// Its name.
    pub fetch: String,
    /// True if objects that are not as they should be are replaced.
    #[serde(default)]
    pub repair: bool,
    /// The sinks that it is for, by name: a node has the same, or does not put anything into them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sinks: BTreeMap<String, OrderedSink>,
    pub(super) splits: Vec<OrderedSplit>,
    pub(super) conversations: Vec<OrderedConversation>,
    /// The artifacts that are known already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) artifacts: Vec<KnownArtifact>,
}

/// A sink, as the leader knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedSink {
    /// The id in its marker, or a text that identifies its place if it has no marker.
    pub marker: Option<String>,
    /// A digest of what determines which object stands under which key of it.
    pub identity: String,
}

/// A change to a ledger that a node reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchChange {
    v: u32,
    #[serde(flatten)]
    pub(super) kind: ChangeKind,
    /// What a node does of the fetch; then nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<Attempt>,
}

/// A split or an artifact, by its name, of which something is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Attempt {
    Begun(String),
    Ended(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ChangeKind {
    Step(Box<SplitStep>),
    Delivered(Vec<Delivered>),
    Abandoned(Abandoned),
}

/// A split, and when it is due (ms); never if it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OrderedSplit {
    id: String,
    kind: String,
    state: State,
    pub(super) due: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    version: u32,
    data: Bytes,
}

/// A conversation of a fetch, as the leader's ledger has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct OrderedConversation {
    pub(super) id: String,
    pub(super) start: u64,
    pub(super) ended: Option<u64>,
    pub(super) recorded: bool,
    /// The record, JSON as text.
    pub(super) record: Option<String>,
    pub(super) attempt: u32,
    /// The sinks that alone are to get it, and true for one that has had it before; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) wanting: Vec<(String, bool)>,
    /// Objects of it that sinks have, of earlier fetches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) objects: Vec<StoredObject>,
}

/// An artifact that was handed over before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KnownArtifact {
    /// The key, as text.
    pub(super) key: String,
    pub(super) conversation: Option<String>,
    pub(super) split: String,
    pub(super) status: String,
}

/// An object, with the sink that holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredObject {
    pub(super) sink: String,
    conversation: String,
    /// The members that receipts have as well.
    object: Object,
    stored: Option<(u64, String)>,
    aside: bool,
    file: String,
    index_metadata: Option<IndexMetadata>,
}

/// A step of a split, without links.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SplitStep {
    pub(super) split: String,
    pub(super) now: u64,
    pub(super) horizon: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conversations: Vec<Conversation>,
    /// The keys of artifacts, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    artifacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outcomes: Vec<ReportedOutcome>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    splits: Vec<OrderedSplit>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    updates: Vec<Update>,
    state: State,
    /// When it is due again (ms); none if it is done.
    due: Option<u64>,
}

/// A split that is let go.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Abandoned {
    pub(super) split: String,
    pub(super) now: u64,
    code: String,
    message: String,
    retryable: bool,
    divisible: bool,
}

/// What of errors names a member or a kind, and no value: that may be personal.
const NAMES: [&str; 3] = ["unknown variant ", "unknown field ", "missing field "];

/// Says what is not as it is to be, or else where.
fn unreadable(what: &str, error: &serde_json::Error) -> QueueError {
    let said = error.to_string();
    let said = match NAMES.iter().any(|name| said.starts_with(name)) {
        true => said,
        false => format!("at line {} column {}", error.line(), error.column()),
    };
    QueueError::Backend(format!("{what} cannot be read: {said}").into())
}

/// Reads JSON whose member `v` is a version of its format, which is looked at first: a later one than `known` was
/// written by a later version of this program, and is refused.
pub(super) fn read<T: serde::de::DeserializeOwned>(
    what: &str,
    bytes: &[u8],
    known: u32,
) -> Result<T, QueueError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_slice(bytes).map_err(|error| unreadable(what, &error))?;
    if v > known {
        let what = what.to_owned();
        return Err(FetchError::LaterFormat { what, version: v }.into());
    }
    serde_json::from_slice(bytes).map_err(|error| unreadable(what, &error))
}

impl FetchOrder {
    pub(super) fn new(
        fetch: String,
        splits: Vec<OrderedSplit>,
        conversations: Vec<OrderedConversation>,
        artifacts: Vec<KnownArtifact>,
    ) -> Self {
        FetchOrder {
            v: VERSION,
            fetch,
            repair: false,
            sinks: BTreeMap::new(),
            splits,
            conversations,
            artifacts,
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) has written.
    ///
    /// # Errors
    /// [`FetchError::LaterFormat`] within [`QueueError::Backend`], or another one there if it is no order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, QueueError> {
        read("a fetch", bytes, VERSION)
    }

    /// The order as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts, numbers and lists have no other way to go.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The ids of its conversations.
    pub fn conversations(&self) -> impl Iterator<Item = &str> {
        self.conversations.iter().map(|one| one.id.as_str())
    }
}

impl FetchChange {
    /// A step of a split that was committed at a time (ms), with the horizon of that commit.
    #[must_use]
    pub fn step(split: &str, step: &Step, now: u64, horizon: u64) -> Self {
        let (state, due) = match &step.next {
            Next::Send(send) => (&send.state, Some(now)),
            Next::Wait(wait) => (&wait.state, Some(wait.until)),
            Next::Done(state) => (state, None),
        };
        let splits = step.splits.iter();
        Self::of(ChangeKind::Step(Box::new(SplitStep {
            split: split.to_owned(),
            now,
            horizon,
            conversations: step.conversations.clone(),
            artifacts: step.artifacts.iter().map(|it| it.key.to_text()).collect(),
            outcomes: step.outcomes.clone(),
            splits: splits
                .map(|split| OrderedSplit::new(split.clone(), Some(now)))
                .collect(),
            updates: step.updates.clone(),
            state: State::of(state.clone()),
            due,
        })))
    }

    /// The results of artifacts.
    #[must_use]
    pub fn delivered(results: &[ArtifactResult]) -> Self {
        Self::of(ChangeKind::Delivered(
            results.iter().map(Delivered::of).collect(),
        ))
    }

    /// That a node begins to do something of a split or an artifact, which changes nothing. If it stops, others know
    /// what it was doing.
    #[must_use]
    pub fn begun(what: &str) -> Self {
        Self::attempt(Attempt::Begun(what.to_owned()))
    }

    /// That what the node has [begun](Self::begun) has come to an end, with a result or without.
    #[must_use]
    pub fn ended(what: &str) -> Self {
        Self::attempt(Attempt::Ended(what.to_owned()))
    }

    /// What nodes have [begun](Self::begun) of a fetch and none has come to the end of, and how often.
    #[must_use]
    pub fn begun_in_vain(reported: &[Self]) -> BTreeMap<String, u64> {
        let mut begun = BTreeMap::new();
        for change in reported {
            match (&change.attempt, &change.kind) {
                (Some(Attempt::Begun(what)), _) => *begun.entry(what.clone()).or_default() += 1,
                (Some(Attempt::Ended(what)), _) => drop(begun.remove(what)),
                (None, ChangeKind::Step(step)) => drop(begun.remove(&step.split)),
                (None, ChangeKind::Abandoned(gone)) => drop(begun.remove(&gone.split)),
                (None, ChangeKind::Delivered(results)) => {
                    begun.retain(|what, _| !results.iter().any(|it| it.artifact == *what));
                }
            }
        }
        begun
    }

    /// How many nodes have taken a fetch, one after another, since anything of it was last changed.
    #[must_use]
    pub fn taken_in_vain(reported: &[Self]) -> u64 {
        let mut taken = 0;
        for change in reported {
            match (&change.attempt, &change.kind) {
                (Some(_), _) => {}
                (None, ChangeKind::Delivered(results)) if results.is_empty() => taken += 1,
                (None, _) => taken = 0,
            }
        }
        taken
    }

    fn attempt(attempt: Attempt) -> Self {
        FetchChange {
            attempt: Some(attempt),
            ..Self::delivered(&[])
        }
    }

    /// A split that was let go at a time (ms).
    #[must_use]
    pub fn abandoned(split: &str, failure: &FetchFailure, now: u64) -> Self {
        Self::of(ChangeKind::Abandoned(Abandoned {
            split: split.to_owned(),
            now,
            code: failure.code.clone(),
            message: failure.message.clone(),
            retryable: failure.retryable,
            divisible: failure.divisible,
        }))
    }

    fn of(kind: ChangeKind) -> Self {
        FetchChange {
            v: VERSION,
            kind,
            attempt: None,
        }
    }

    /// Reads what [`to_bytes`](Self::to_bytes) has written.
    ///
    /// # Errors
    /// [`FetchError::LaterFormat`] within [`QueueError::Backend`], or another one there if it is no change.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, QueueError> {
        read("a report of a fetch", bytes, VERSION)
    }

    /// The change as JSON.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl State {
    fn of(state: SplitState) -> Self {
        State {
            version: state.version,
            data: Bytes::of(state.data),
        }
    }

    fn into_state(self) -> SplitState {
        SplitState {
            version: self.version,
            data: self.data.into_bytes(),
        }
    }
}

impl OrderedSplit {
    pub(super) fn new(split: Split, due: Option<u64>) -> Self {
        OrderedSplit {
            id: split.id,
            kind: split.kind,
            state: State::of(split.state),
            due,
        }
    }

    pub(super) fn into_split(self) -> Split {
        Split {
            id: self.id,
            kind: self.kind,
            state: self.state.into_state(),
        }
    }
}

impl SplitStep {
    /// The step, its artifacts without links.
    pub(super) fn into_step(self) -> Step {
        let artifacts = self.artifacts.iter();
        let artifacts =
            artifacts.filter_map(|key| Some(without_link(ArtifactKey::from_text(key)?)));
        let state = self.state.into_state();
        Step {
            conversations: self.conversations,
            artifacts: artifacts.collect(),
            outcomes: self.outcomes,
            splits: self
                .splits
                .into_iter()
                .map(OrderedSplit::into_split)
                .collect(),
            updates: self.updates,
            notes: Vec::new(),
            next: match self.due {
                None => Next::Done(state),
                Some(until) => Next::Wait(Wait {
                    until,
                    state,
                    job: None,
                }),
            },
        }
    }
}

/// An artifact of which the key alone is known.
fn without_link(key: ArtifactKey) -> Artifact {
    Artifact {
        key,
        download: Download {
            url: String::new(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    }
}

impl StoredObject {
    pub(super) fn of(sink: &str, object: &Object) -> Self {
        StoredObject {
            sink: sink.to_owned(),
            conversation: object.conversation.clone(),
            stored: object.stored.clone(),
            aside: object.aside,
            file: object.file.clone(),
            index_metadata: object.index_metadata.as_deref().cloned(),
            object: object.clone(),
        }
    }

    pub(super) fn into_object(self) -> Object {
        Object {
            conversation: self.conversation,
            stored: self.stored,
            aside: self.aside,
            file: self.file,
            index_metadata: self.index_metadata.map(Into::into),
            ..self.object
        }
    }
}

impl Abandoned {
    pub(super) fn into_failure(self) -> FetchFailure {
        FetchFailure {
            code: self.code,
            message: self.message,
            retryable: self.retryable,
            divisible: self.divisible,
        }
    }
}
