//! What the metadata tell of the recordings of some conversations: one call for each conversation,
//! and one more for all of them that tells whose session is whose.

use std::collections::BTreeMap;

use recording_source_sdk::{AboutRecording, Answer, Fact, Request, SourceError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    api::{self, analytics, recording},
    metadata::Parsed,
    options::Options,
};

/// The longest annotations that are kept, as JSON; of longer ones the number alone.
const ANNOTATIONS: usize = 16 << 10;

/// What has been asked and told so far. Nothing of it but ids and states.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Described {
    /// The agents of sessions, until all recordings have been told of; none before they are asked for.
    sessions: Option<BTreeMap<String, Vec<String>>>,
    /// How many conversations have been asked for.
    asked: usize,
    recordings: BTreeMap<String, Vec<Known>>,
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
            sessions: Some(BTreeMap::new()),
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
                Err(refusal) => return Err(refusal.into()),
            };
            self.sessions = Some(agents(page.conversations));
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
            self.sessions = Some(BTreeMap::new());
        }
        Ok(facts)
    }
}

/// The agents of each session, and of the sessions that they talk to.
fn agents(rows: Vec<Parsed>) -> BTreeMap<String, Vec<String>> {
    let mut agents = BTreeMap::<String, Vec<String>>::new();
    for (session, user) in rows
        .into_iter()
        .flat_map(|row| row.0)
        .flat_map(|row| row.sessions)
    {
        let users = agents.entry(session).or_default();
        if !users.contains(&user) {
            users.push(user);
        }
    }
    agents
}

fn attributes(
    one: recording::Metadata,
    sessions: &BTreeMap<String, Vec<String>>,
) -> Vec<(String, String)> {
    let users = one.session_id.as_ref().and_then(|id| sessions.get(id));
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
        ("agent_ids", users.map(|users| users.join(","))),
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
