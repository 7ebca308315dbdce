//! What the metadata tell of the recordings of some conversations: one call for each conversation,
//! and one more for all of them that tells whose session is whose.

use std::collections::BTreeMap;

use recording_source_sdk::{AboutRecording, Answer, Fact, Request, SourceError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{self, analytics, recording},
    metadata::{Parsed, fnv},
    options::Options,
};

/// The longest annotations that are kept, as JSON; of longer ones the number alone.
const ANNOTATIONS: usize = 16 << 10;
/// Sessions that are remembered at most.
const MOST_SESSIONS: usize = 4000;

/// What has been asked and told so far. Nothing of it but ids and states.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Described {
    /// Whose sessions are, until all recordings have been told of; none before that is asked for.
    sessions: Option<Sessions>,
    /// How many conversations have been asked for.
    asked: usize,
    recordings: BTreeMap<String, Vec<Known>>,
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
pub(crate) struct Known {
    pub(crate) id: String,
    /// `fileState`.
    pub(crate) state: String,
    /// `audio`, `screen`, `chat`, `email` or `message`.
    pub(crate) media: String,
}

impl Described {
    /// One that leaves out whose session is whose.
    pub(crate) fn without_sessions() -> Self {
        Described {
            sessions: Some(Sessions::default()),
            ..Described::default()
        }
    }

    /// The next question.
    pub(crate) fn ask(&self, options: &Options, conversations: &[String]) -> Request {
        match (&self.sessions, conversations.get(self.asked)) {
            (Some(_), Some(conversation)) => recording::metadata(options, conversation),
            _ => analytics::details(options, conversations),
        }
    }

    /// Whether there is nothing more to ask.
    pub(crate) fn is_complete(&self, conversations: &[String]) -> bool {
        self.asked >= conversations.len()
    }

    /// All that is known, by conversation.
    pub(crate) fn all(&self) -> &BTreeMap<String, Vec<Known>> {
        &self.recordings
    }

    /// What is known of some of the conversations.
    pub(crate) fn of(&self, conversations: &[String]) -> Self {
        let mut recordings = self.recordings.clone();
        recordings.retain(|id, _| conversations.contains(id));
        Described {
            sessions: None,
            asked: conversations.len(),
            recordings,
        }
    }

    /// Takes an answer, and says what is learnt from it.
    pub(crate) fn answered(
        &mut self,
        answer: Answer,
        conversations: &[String],
    ) -> Result<Vec<Fact>, SourceError> {
        let response = api::success(answer)?;
        let Some(sessions) = &self.sessions else {
            let page: analytics::Page = match response {
                Ok(response) => api::parse(&response)?,
                // Without it the agents of recordings stay unknown, and nothing else.
                Err(refusal) if refusal.status == 400 => analytics::Page::default(),
                Err(refusal) => return Err(refusal.into()),
            };
            self.sessions = Some(Sessions::of(page.conversations));
            return Ok(Vec::new());
        };
        let Some(conversation) = conversations.get(self.asked) else {
            return Ok(Vec::new());
        };
        let list: Vec<recording::Metadata> = match response {
            Ok(response) => api::parse(&response)?,
            // The conversation is not there any more, or hidden.
            Err(refusal) if refusal.status == 404 => Vec::new(),
            Err(refusal) => return Err(refusal.into()),
        };
        let mut facts = Vec::new();
        let mut known = Vec::new();
        for one in list {
            let Some(id) = api::id(one.id.clone()) else {
                continue;
            };
            known.push(Known {
                id: id.clone(),
                state: one.file_state.clone().unwrap_or_default(),
                media: one.media.clone().unwrap_or_default(),
            });
            facts.push(Fact::Recording(AboutRecording {
                conversation: conversation.clone(),
                recording: id,
                attributes: attributes(one, sessions),
            }));
        }
        self.recordings.insert(conversation.clone(), known);
        self.asked += 1;
        if self.is_complete(conversations) {
            self.sessions = Some(Sessions::default());
        }
        Ok(facts)
    }
}

impl Sessions {
    /// The agents of each session, and of the sessions that they talk to.
    fn of(rows: Vec<Parsed>) -> Self {
        let mut sessions = Sessions::default();
        let rows = rows.into_iter().flat_map(|row| row.0);
        for (session, user) in rows.flat_map(|row| row.sessions) {
            if sessions.places.len() >= MOST_SESSIONS {
                break;
            }
            let known = sessions.agents.iter().position(|known| *known == user);
            let place = known.unwrap_or_else(|| {
                sessions.agents.push(user);
                sessions.agents.len() - 1
            });
            let digest = fnv(&session);
            let found = sessions.places.binary_search_by_key(&digest, |one| one.0);
            let at = found.unwrap_or_else(|at| {
                sessions.places.insert(at, (digest, Vec::new()));
                at
            });
            let places = &mut sessions.places[at].1;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        sessions
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
    let annotations = one.annotations.filter(|list| !list.is_empty());
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
