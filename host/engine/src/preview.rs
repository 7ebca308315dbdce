//! Says what a run would do with a conversation: which sinks take it, under which keys, with which row.
//!
//! The conversation passes what it passes in a run: the intake that takes personal values out, the sinks'
//! conditions, their layouts, and the writer of rows. Nothing is contacted, and no sink is opened.

use std::{collections::BTreeMap, convert::Infallible, io};

use recording_host_metadata::{RowSettings, Writer};
use recording_host_model::{
    CompletedConversation, Conversation, ConversationRecord, Failure, KeyContext, Named, Next,
    Object, Outcome, RecordingAttributes, RecordingKey, Reported, ReportedOutcome, SplitState,
    Step, Update, layout::Layout, route::Route,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    privacy::{Intake, Privacy},
    transfer::{ArchiveMode, file_keys},
};

/// How a sink treats conversations, without the sink itself.
#[derive(Clone, Debug)]
pub struct SinkRules {
    /// The sink's name in the configuration.
    pub name: String,
    /// How it wants archives.
    pub zip: ArchiveMode,
    /// How it wants recordings, if not as they are.
    pub transcode: Option<recording_host_transcode::TranscodeSettings>,
    /// The content that it takes.
    pub route: Route,
    /// Where the media lie in it.
    pub layout: Layout,
}

/// A conversation as a source reports it, with one recording or none.
#[derive(Clone, Debug)]
pub struct PreviewInput {
    /// The conversation.
    pub conversation: Conversation,
    /// The names of its divisions, in their order, as far as they are known.
    pub division_names: Vec<String>,
    /// Its recording.
    pub recording: Option<PreviewRecording>,
    /// Why its recording is unavailable, as code and message.
    pub failure: Option<(String, String)>,
}

/// The recording of a [`PreviewInput`].
#[derive(Clone, Debug)]
pub struct PreviewRecording {
    /// Its id.
    pub id: String,
    /// Its MIME type.
    pub content_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// What the source reports of it.
    pub attributes: Vec<(String, String)>,
}

/// What a run would do with a conversation in a sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SinkPreview {
    /// True if the sink takes it.
    pub takes: bool,
    /// The keys of its recording, without the prefix of the sink; `*` stands for the names of files in an
    /// archive that is unpacked.
    pub keys: Vec<String>,
    /// Its row as in JSON Lines; none if the sink takes no rows.
    pub row: Option<Map<String, Value>>,
}

/// What a run would do with a conversation in each sink, by name, if personal values are taken out by
/// `privacy`.
///
/// # Errors
/// The row cannot be written, which no memory has ever refused.
pub fn preview(
    input: &PreviewInput,
    privacy: &Privacy,
    sinks: &[SinkRules],
) -> io::Result<BTreeMap<String, SinkPreview>> {
    let (id, record, failure) = taken_in(input, privacy);
    let mut previews = BTreeMap::new();
    for sink in sinks {
        let mut preview = SinkPreview {
            takes: sink.route.condition.holds(&record),
            ..SinkPreview::default()
        };
        if preview.takes {
            if let (true, Some(recording)) = (sink.route.content.media, &input.recording) {
                preview.keys = keys(sink, &id, &record, recording);
            }
            if sink.route.content.metadata {
                let completed = completed(&id, &record, &failure, input, &sink.name, &preview.keys);
                preview.row = Some(row(&completed, &sink.name)?);
            }
        }
        previews.insert(sink.name.clone(), preview);
    }
    Ok(previews)
}

/// The conversation as it is written down, once personal values are out: its id, the record, and why its
/// recording is unavailable.
fn taken_in(
    input: &PreviewInput,
    privacy: &Privacy,
) -> (String, ConversationRecord, Option<(String, String)>) {
    let id = input.conversation.id.clone();
    let recordings = input.recording.iter().map(|recording| {
        Update::Recording(RecordingAttributes {
            conversation: id.clone(),
            recording: recording.id.clone(),
            attributes: recording.attributes.clone(),
        })
    });
    let divisions = input.conversation.divisions.iter();
    let names = divisions.zip(&input.division_names);
    let names = names.map(|(id, name)| {
        Update::Name(Named {
            id: id.clone(),
            name: name.clone(),
        })
    });
    let outcomes = input.failure.iter().map(|(code, message)| ReportedOutcome {
        conversation: id.clone(),
        result: Reported::Failed(Failure {
            code: code.clone(),
            message: message.clone(),
            retryable: false,
        }),
    });
    let step = Intake::new(privacy.clone()).step(Step {
        conversations: vec![input.conversation.clone()],
        outcomes: outcomes.collect(),
        updates: recordings.chain(names).collect(),
        ..Step::from(Next::Done(SplitState {
            version: 1,
            data: Vec::new(),
        }))
    });
    let mut record = step
        .conversations
        .first()
        .map(ConversationRecord::from)
        .unwrap_or_default();
    name_divisions(&mut record, &step.updates);
    for update in step.updates {
        if let Update::Recording(reported) = update
            && !reported.attributes.is_empty()
        {
            let attributes = reported.attributes.into_iter().collect();
            record.recordings.insert(reported.recording, attributes);
        }
    }
    let failure = step
        .outcomes
        .into_iter()
        .find_map(|outcome| match outcome.result {
            Reported::Failed(failure) => Some((failure.code, failure.message)),
            _ => None,
        });
    (id, record, failure)
}

/// Gives the divisions of a record the names that are among updates.
fn name_divisions(record: &mut ConversationRecord, updates: &[Update]) {
    let names = updates.iter().filter_map(|update| match update {
        Update::Name(Named { id, name }) => Some((id, name)),
        _ => None,
    });
    let names: BTreeMap<&String, &String> = names.collect();
    let named = |id: &String| Ok::<_, Infallible>(names.get(id).map(|name| (*name).clone()));
    let Ok(()) = record.name_divisions(named);
}

/// The keys of the files that a recording becomes in a sink.
fn keys(
    sink: &SinkRules,
    conversation: &str,
    record: &ConversationRecord,
    recording: &PreviewRecording,
) -> Vec<String> {
    let key = RecordingKey {
        conversation: conversation.to_owned(),
        recording: recording.id.clone(),
        part: 0,
    };
    let known = KeyContext {
        start: record.start,
        record: Some(record.clone()),
    };
    file_keys(&key, &known, &recording.content_type, sink)
}

fn completed(
    id: &str,
    record: &ConversationRecord,
    failure: &Option<(String, String)>,
    input: &PreviewInput,
    sink: &str,
    keys: &[String],
) -> CompletedConversation {
    let objects = keys
        .iter()
        .take(1)
        .zip(&input.recording)
        .map(|(key, recording)| Object {
            conversation: id.to_owned(),
            recording: recording.id.clone(),
            key: key.clone(),
            member: None,
            content_type: recording.content_type.clone(),
            size: recording.size,
            sha256: recording.sha256.clone(),
            etag: None,
            stored: None,
            note: None,
            aside: false,
            file: String::new(),
            index_metadata: None,
        });
    let outcome = match (failure, &input.recording) {
        (Some((code, message)), _) => Outcome::Failed {
            code: code.clone(),
            message: message.clone(),
        },
        (None, Some(_)) => Outcome::Stored,
        (None, None) => Outcome::NoRecording,
    };
    CompletedConversation {
        id: id.to_owned(),
        record: record.clone(),
        outcome,
        attempt: 1,
        revision: None,
        objects: BTreeMap::from([(sink.to_owned(), objects.collect())]),
        lost_in: BTreeMap::new(),
    }
}

/// The row as JSON Lines have it.
fn row(completed: &CompletedConversation, sink: &str) -> io::Result<Map<String, Value>> {
    let mut rows = Writer::new(RowSettings::default(), Vec::new())?;
    rows.write(completed, sink)?;
    Ok(serde_json::from_slice(&rows.finish()?)?)
}
