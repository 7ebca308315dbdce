//! The metadata of a conversation's recordings (RecordingMetadata), without their media.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Refusal;
use crate::{
    Given, Recording, RecordingKind, State,
    faults::Fault,
    id::{Kind, uuid},
    server::World,
    time::iso,
};

const BEFORE: &str = "/api/v2/conversations/";
const AFTER: &str = "/recordingmetadata";

/// The id of the conversation that a path is about, if it is of this resource.
pub(super) fn conversation(path: &str) -> Option<&str> {
    let id = path.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    (!id.contains('/')).then_some(id)
}

/// Lists the recordings of a conversation.
pub(super) fn metadata(world: &World, id: &str) -> Result<(StatusCode, Value), Refusal> {
    let now = world.clock.now();
    let found = uuid(id).and_then(|_| world.organisation.find(id));
    let found = found.filter(|conversation| conversation.start <= now);
    let conversation = found.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "conversation.not.found",
            format!("The conversation {id} was not found"),
        )
    })?;
    let session = world
        .organisation
        .ids
        .make(Kind::Session, conversation.index, 0);
    let listed = conversation
        .recordings
        .iter()
        .filter(|recording| now >= recording.ended && recording.state != State::Sensitive);
    let rows = listed.map(|recording| {
        let thing = conversation.index << 12 | recording.number;
        let odd = world.chance.marks(Fault::UnknownValues, thing).is_some();
        let screen = matches!(recording.kind, RecordingKind::Screen(_));
        json!({
            "id": recording.id,
            "conversationId": id,
            "startTime": screen.then(|| iso(conversation.start)),
            "media": match recording.kind {
                RecordingKind::Screen(_) => "screen",
                RecordingKind::Transcript | RecordingKind::Json => conversation.media.name(),
                _ => "audio",
            },
            "mediaSubtype": if screen { "Screen" } else { "Trunk" },
            "fileState": if odd { "QUARANTINED" } else { file_state(recording, now) },
            "annotations": [],
            "sessionId": session,
            "selfUri": format!("{BEFORE}{id}{AFTER}/{}", recording.id),
        })
    });
    Ok((StatusCode::OK, rows.collect()))
}

fn file_state(recording: &Recording, now: u64) -> &'static str {
    match (recording.given(now), recording.state) {
        (Given::Files, _) => "AVAILABLE",
        (_, State::Archived) => "ARCHIVED",
        (_, State::Deleted) => "DELETED",
        _ => "UPLOADING",
    }
}
