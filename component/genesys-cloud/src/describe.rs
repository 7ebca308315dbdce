//! The metadata of the recordings of some conversations: one call for each conversation, and one more
//! for all of them that yields the agents of their sessions.

use std::collections::BTreeMap;

use recording_source_sdk::{
    Failure, Missing, Note, RecordingAttributes, Request, RequestError, RequestResult, Response,
    SourceError, Step, Timestamp, Update,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{self, analytics, recording},
    metadata::{ConversationRow, fnv},
    options::Options,
    outcome::{TOO_LARGE, UNREADABLE, by_state, failure},
    patience::Absence,
};

/// The longest annotations that are kept, as JSON; of longer ones only the number is.
const ANNOTATIONS: usize = 16 << 10;
/// The most sessions that are remembered.
const MOST_SESSIONS: usize = 2000;
/// The most recordings of one conversation that are remembered; of more only the number is.
const MOST_RECORDINGS: usize = 800;

/// The progress of the requests, and their answers so far: nothing of these but ids and states.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Described {
    /// The agents of the sessions, until all recordings have been reported; none before they are
    /// requested.
    sessions: Option<Sessions>,
    /// The number of conversations requested so far.
    asked: usize,
    recordings: BTreeMap<String, Vec<KnownRecording>>,
    /// Conversations of whose recordings no list is kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unlisted: BTreeMap<String, Unlisted>,
    /// The number of conversations whose sessions have been requested, and the number requested
    /// together, if all at once are too many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    piecemeal: Option<(usize, usize)>,
    /// The time since which the answers about the current conversation are not the vendor's.
    #[serde(default)]
    absent: Absence,
}

/// The reason why no list of a conversation's recordings is kept.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unlisted {
    /// There are so many.
    Many(u32),
    /// Their metadata are larger than the host accepts: the limit, in bytes.
    TooLarge(u64),
    /// Their metadata cannot be read.
    Unreadable,
}

/// The agents of sessions, small enough for a state: sessions as digests, agents by their places.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Sessions {
    agents: Vec<String>,
    /// In the order of the digests.
    places: Vec<(u64, Vec<usize>)>,
}

/// A recording that is known of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub(crate) struct KnownRecording {
    pub(crate) id: String,
    /// `fileState`.
    pub(crate) state: String,
    /// `audio`, `screen`, `chat`, `email` or `message`.
    pub(crate) media: String,
}

/// A recording as a state keeps it: the usual words as letters, since there may be thousands.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Packed {
    Short(String, String, String),
    /// As earlier versions kept it.
    Long {
        id: String,
        state: String,
        media: String,
    },
}

const LETTERS: [(&str, &str); 3] = [("A", "AVAILABLE"), ("a", "audio"), ("s", "screen")];

impl From<KnownRecording> for Packed {
    fn from(known: KnownRecording) -> Self {
        let short = |word: String| {
            let found = LETTERS.iter().find(|(_, long)| *long == word);
            found.map_or(word, |(letter, _)| (*letter).to_owned())
        };
        Packed::Short(known.id, short(known.state), short(known.media))
    }
}

impl From<Packed> for KnownRecording {
    fn from(packed: Packed) -> Self {
        let long = |word: String| {
            let found = LETTERS.iter().find(|(letter, _)| *letter == word);
            found.map_or(word, |(_, long)| (*long).to_owned())
        };
        let (Packed::Short(id, state, media) | Packed::Long { id, state, media }) = packed;
        KnownRecording {
            id,
            state: long(state),
            media: long(media),
        }
    }
}

impl Described {
    /// A description that leaves out the agents of the sessions.
    pub(crate) fn without_sessions() -> Self {
        Described {
            sessions: Some(Sessions::default()),
            ..Described::default()
        }
    }

    /// The next request.
    pub(crate) fn ask(&self, options: &Options, conversations: &[String]) -> Request {
        match (&self.sessions, conversations.get(self.asked)) {
            (Some(_), Some(conversation)) if !self.is_asking_for_sessions(conversations) => {
                recording::metadata(options, conversation)
            }
            _ => analytics::details(options, self.piece(conversations)),
        }
    }

    /// The conversations whose sessions are requested next.
    fn piece<'a>(&self, conversations: &'a [String]) -> &'a [String] {
        let (from, size) = self.piecemeal.unwrap_or((0, conversations.len()));
        let rest = conversations.get(from..).unwrap_or_default();
        &rest[..rest.len().min(size.max(1))]
    }

    fn is_asking_for_sessions(&self, conversations: &[String]) -> bool {
        let rest = self
            .piecemeal
            .is_some_and(|(from, _)| from < conversations.len());
        self.sessions.is_none() || rest
    }

    /// Returns true if there is nothing more to request.
    pub(crate) fn is_complete(&self, conversations: &[String]) -> bool {
        self.asked >= conversations.len()
    }

    /// Everything known, by conversation.
    pub(crate) fn all(&self) -> &BTreeMap<String, Vec<KnownRecording>> {
        &self.recordings
    }

    /// The conversations of whose recordings no list is kept.
    pub(crate) fn unlisted(&self) -> &BTreeMap<String, Unlisted> {
        &self.unlisted
    }

    /// The known part for some of the conversations, in their order; the rest of them is requested.
    pub(crate) fn of(&self, conversations: &[String]) -> Self {
        let known = |id: &&String| self.recordings.contains_key(*id);
        let asked = conversations.iter().take_while(known).count();
        let mut recordings = self.recordings.clone();
        recordings.retain(|id, _| conversations.contains(id));
        let mut unlisted = self.unlisted.clone();
        unlisted.retain(|id, _| conversations.contains(id));
        Described {
            sessions: None,
            asked,
            recordings,
            unlisted,
            piecemeal: None,
            absent: self.absent.clone(),
        }
    }

    /// Processes an answer, and reports its content in `step`. Returns the time of the next attempt,
    /// if the answer was not the vendor's; `pace` is the time and the shortest pause.
    pub(crate) fn answered(
        &mut self,
        answer: RequestResult,
        conversations: &[String],
        pace: (Timestamp, u64),
        step: &mut Step,
    ) -> Result<Option<Timestamp>, SourceError> {
        if self.is_asking_for_sessions(conversations) {
            return self.reported_sessions(answer, conversations).map(|()| None);
        }
        let Some(conversation) = conversations.get(self.asked) else {
            return Ok(None);
        };
        let reported = match answer {
            Err(RequestError::TooLarge(limit)) => Err(Unlisted::TooLarge(limit)),
            answer => match api::success(answer)? {
                Ok(response) => read(&response, conversation, step).ok_or(Unlisted::Unreadable),
                // The conversation is not there any more, or hidden.
                Err(refusal) if refusal.status == 404 && refusal.is_the_vendors() => Ok(Vec::new()),
                Err(refusal) => return Err(refusal.into()),
            },
        };
        let list = match reported {
            Ok(list) => {
                self.absent.over_if_young(pace.0);
                list
            }
            Err(unlisted) => {
                if let (Unlisted::Unreadable, Some(until)) =
                    (unlisted, self.absent.again(pace.0, pace.1))
                {
                    return Ok(Some(until));
                }
                self.unlisted.insert(conversation.clone(), unlisted);
                Vec::new()
            }
        };
        self.listed(list, conversation, step);
        self.asked += 1;
        if self.is_complete(conversations) {
            self.sessions = Some(Sessions::default());
        }
        Ok(None)
    }

    /// Reports the recordings of a conversation.
    fn listed(&mut self, list: Vec<recording::Metadata>, conversation: &str, step: &mut Step) {
        let sessions = self.sessions.take().unwrap_or_default();
        let mut known = Vec::new();
        let mut nameless = 0;
        for one in list {
            let Some(id) = api::id(one.id.clone()) else {
                nameless += 1;
                continue;
            };
            known.push(KnownRecording {
                id: id.clone(),
                state: one.file_state.clone().unwrap_or_default(),
                media: one.media.clone().unwrap_or_default(),
            });
            step.updates.push(Update::Recording(RecordingAttributes {
                conversation: conversation.to_owned(),
                recording: id,
                attributes: attributes(one, &sessions),
            }));
        }
        if nameless > 0 {
            step.warn(format!(
                "conversation {conversation}: {nameless} of its recordings have no id that can be used: their metadata are left out"
            ));
        }
        self.sessions = Some(sessions);
        if known.len() > MOST_RECORDINGS {
            let many = u32::try_from(known.len()).unwrap_or(u32::MAX);
            self.unlisted
                .insert(conversation.to_owned(), Unlisted::Many(many));
            known.clear();
        }
        self.recordings.insert(conversation.to_owned(), known);
    }

    /// Processes the agents of the sessions, of all conversations or of a few of them.
    fn reported_sessions(
        &mut self,
        answer: RequestResult,
        conversations: &[String],
    ) -> Result<(), SourceError> {
        let asked = self.piece(conversations).len();
        let (from, size) = self.piecemeal.unwrap_or((0, conversations.len()));
        let page = match answer {
            Err(RequestError::TooLarge(_)) if asked > 1 => {
                self.piecemeal = Some((from, asked / 2));
                self.sessions.get_or_insert_default();
                return Ok(());
            }
            // Without it the agents of recordings stay unknown, and nothing else.
            Err(RequestError::TooLarge(_)) => analytics::Page::default(),
            answer => match api::success(answer)? {
                Ok(response) => analytics::Page::read(&response)?,
                Err(refusal) if refusal.status == 400 => analytics::Page::default(),
                Err(refusal) => return Err(refusal.into()),
            },
        };
        self.sessions.get_or_insert_default().add(page.rows);
        self.piecemeal = match from + asked < conversations.len() {
            true => Some((from + asked, size)),
            false => None,
        };
        Ok(())
    }
}

/// The metadata of a conversation's recordings; none if the answer is not the vendor's.
fn read(
    response: &Response,
    conversation: &str,
    step: &mut Step,
) -> Option<Vec<recording::Metadata>> {
    let (list, odd) = api::list(response, recording::Metadata::read).ok()?;
    if odd.count() > 0 {
        let what = format!(
            "conversation {conversation}: {} fields of the metadata of its recordings",
            odd.count()
        );
        step.notes.push(Note::left_out(&what, &odd.paths()));
    }
    Some(list)
}

impl Unlisted {
    /// The resulting failure of a conversation of which so many recordings have been named.
    pub(crate) fn missing(self, named: u32) -> Option<Missing> {
        let failure: Failure = match self {
            Unlisted::Many(all) if named >= all => return None,
            Unlisted::Many(all) => Failure {
                message: format!("{} of its {all} recordings were not returned", all - named),
                ..by_state("")
            },
            other => other.unknown(),
        };
        Some(Missing {
            recording: None,
            failure,
        })
    }

    /// The failure for recordings that are not known.
    fn unknown(self) -> Failure {
        match self {
            Unlisted::Unreadable | Unlisted::Many(_) => failure(
                UNREADABLE,
                "the metadata of its recordings cannot be read: a recording may be missing"
                    .to_owned(),
            ),
            Unlisted::TooLarge(limit) => failure(
                TOO_LARGE,
                format!(
                    "the metadata of its recordings have more than {limit} bytes: a recording may be missing"
                ),
            ),
        }
    }

    /// The reason why the recordings of a conversation cannot be requested one by one.
    pub(crate) fn hides(self) -> Failure {
        match self {
            Unlisted::Many(all) => failure(
                TOO_LARGE,
                format!(
                    "it has {all} recordings: more than {MOST_RECORDINGS} cannot be asked for one by one; leave out `format`"
                ),
            ),
            other => other.unknown(),
        }
    }
}

impl Sessions {
    /// Takes in the agents of each session, and of the sessions that they talk to.
    fn add(&mut self, rows: Vec<ConversationRow>) {
        for (session, user) in rows.into_iter().flat_map(|row| row.sessions) {
            if self.places.len() >= MOST_SESSIONS {
                break;
            }
            let known = self.agents.iter().position(|known| *known == user);
            let place = known.unwrap_or_else(|| {
                self.agents.push(user);
                self.agents.len() - 1
            });
            let digest = fnv(&session);
            let found = self.places.binary_search_by_key(&digest, |one| one.0);
            let at = found.unwrap_or_else(|at| {
                self.places.insert(at, (digest, Vec::new()));
                at
            });
            let places = &mut self.places[at].1;
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }

    /// The ids of a session's agents.
    fn agents(&self, session: &str) -> Option<String> {
        let digest = fnv(session);
        let at = self
            .places
            .binary_search_by_key(&digest, |one| one.0)
            .ok()?;
        let agents = self.places[at].1.iter();
        let agents = agents.filter_map(|place| self.agents.get(*place));
        Some(agents.cloned().collect::<Vec<_>>().join(","))
    }
}

fn attributes(one: recording::Metadata, sessions: &Sessions) -> Vec<(String, String)> {
    let session = one.session_id.as_deref();
    let agents = session.and_then(|id| sessions.agents(id));
    let annotations = Some(one.annotations).filter(|list| !list.is_empty());
    let count = annotations.as_ref().map(|list| list.len().to_string());
    let text = annotations.map(|list| Value::Array(list).to_string());
    [
        ("file_state", one.file_state),
        ("media", one.media),
        ("media_subtype", one.media_subtype),
        ("media_subject", one.media_subject),
        ("start_time", one.start_time),
        ("end_time", one.end_time),
        ("session_id", one.session_id),
        ("agent_ids", agents),
        ("archive_date", one.archive_date),
        ("archive_medium", one.archive_medium),
        ("delete_date", one.delete_date),
        ("export_date", one.export_date),
        ("exported_date", one.exported_date),
        ("restore_expiration_time", one.restore_expiration_time),
        ("region", one.region),
        ("annotation_count", count),
        ("annotations", text.filter(|text| text.len() <= ANNOTATIONS)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("recording.{name}"), value?)))
    .collect()
}
