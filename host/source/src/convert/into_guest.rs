//! Converts the host's data to the types of the interface 0.2.0.

use recording_host_model as model;

use super::all;
use crate::bindings::recording::source::types as wit;

impl From<&model::Purpose> for wit::Purpose {
    fn from(it: &model::Purpose) -> Self {
        match it {
            model::Purpose::Find(find) => wit::Purpose::Find(wit::Find {
                name: find.name.clone(),
                range: (&find.range).into(),
            }),
            model::Purpose::Fetch(fetch) => wit::Purpose::Fetch(wit::Fetch {
                name: fetch.name.clone(),
                conversations: fetch.conversations.iter().map(Into::into).collect(),
            }),
            model::Purpose::Estimate(range) => wit::Purpose::Estimate(range.into()),
            model::Purpose::Check => wit::Purpose::Check,
        }
    }
}

impl From<&model::TimeRange> for wit::TimeRange {
    fn from(it: &model::TimeRange) -> Self {
        wit::TimeRange {
            from: it.from,
            until: it.until,
        }
    }
}

impl From<&model::ConversationRef> for wit::ConversationRef {
    fn from(it: &model::ConversationRef) -> Self {
        wit::ConversationRef {
            id: it.id.clone(),
            start: it.start,
            recorded: it.recorded,
        }
    }
}

impl From<model::SplitState> for wit::State {
    fn from(it: model::SplitState) -> Self {
        wit::State {
            version: it.version,
            data: it.data,
        }
    }
}

impl From<model::SplitInput> for wit::Event {
    fn from(it: model::SplitInput) -> Self {
        match it {
            model::SplitInput::Resume => wit::Event::Resume,
            model::SplitInput::Response(Ok(response)) => wit::Event::Response(Ok(wit::Response {
                status: response.status,
                headers: response.headers,
                body: response.body,
            })),
            model::SplitInput::Response(Err(error)) => wit::Event::Response(Err(error.into())),
            model::SplitInput::Refresh(keys) => wit::Event::Refresh(all(keys)),
        }
    }
}

impl From<model::RequestError> for wit::RequestError {
    fn from(it: model::RequestError) -> Self {
        match it {
            model::RequestError::Refused(why) => wit::RequestError::Refused(why),
            model::RequestError::Unreachable(why) => wit::RequestError::Unreachable(why),
            model::RequestError::TooLarge(limit) => wit::RequestError::TooLarge(limit),
        }
    }
}

impl From<model::ArtifactKey> for wit::ArtifactKey {
    fn from(it: model::ArtifactKey) -> Self {
        match it {
            model::ArtifactKey::Recording(key) => wit::ArtifactKey::Recording(wit::RecordingKey {
                conversation: key.conversation,
                recording: key.recording,
                part: key.part,
            }),
            model::ArtifactKey::Bundle(id) => wit::ArtifactKey::Bundle(id),
        }
    }
}
