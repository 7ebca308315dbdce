//! The metadata of a conversation's recordings (RecordingMetadata), and their restoration.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, body, media as file, params::Params, permission};
use crate::{
    Conversation, Given, Recording, RecordingKind, State, faults::Fault, http::Request, id::Kind,
    server::World, time::iso,
};

const DAY: u64 = 86_400_000;

/// The organization's settings (RecordingSettings).
pub(super) fn settings(world: &World) -> Value {
    let minutes = world.settings.link_lifetime.as_secs() / 60;
    json!({
        "maxSimultaneousStreams": 1,
        "regionalRecordingStorageEnabled": false,
        "recordingPlaybackUrlTtl": minutes,
        "recordingBatchDownloadUrlTtl": minutes,
    })
}

/// Lists the recordings of a conversation.
pub(super) fn metadata(world: &World, id: &str) -> Result<(StatusCode, Value), Refusal> {
    let conversation = conversation(world, id)?;
    let now = world.clock.now();
    let listed = conversation
        .recordings
        .iter()
        .filter(|one| now >= one.ended);
    let rows = listed.map(|recording| row(world, &conversation, recording, now));
    Ok((StatusCode::OK, rows.collect()))
}

/// Describes one recording.
pub(super) fn one(
    world: &World,
    id: &str,
    recording: &str,
) -> Result<(StatusCode, Value), Refusal> {
    let (conversation, recording) = find(world, id, recording)?;
    let now = world.clock.now();
    Ok((StatusCode::OK, row(world, &conversation, &recording, now)))
}

/// The conversation with this id.
pub(super) fn conversation(world: &World, id: &str) -> Result<Conversation, Refusal> {
    world.visible(id).ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "conversation.not.found",
            format!("The conversation {id} was not found"),
        )
    })
}

/// The recording with this id in its conversation.
pub(super) fn find(
    world: &World,
    id: &str,
    recording: &str,
) -> Result<(Conversation, Recording), Refusal> {
    let conversation = conversation(world, id)?;
    let now = world.clock.now();
    let mut recordings = conversation.recordings.iter();
    let found = recordings.find(|one| one.id == recording && now >= one.ended);
    let found = found.cloned().ok_or_else(|| {
        let text = format!("The recording {recording} was not found");
        Refusal::new(StatusCode::NOT_FOUND, "not.found", text)
    })?;
    Ok((conversation, found))
}

fn row(world: &World, conversation: &Conversation, recording: &Recording, now: u64) -> Value {
    let id = &conversation.id;
    let thing = conversation.index << 12 | recording.number;
    let odd = world.chance.marks(Fault::UnknownValues, thing).is_some();
    let state = if odd {
        "QUARANTINED"
    } else {
        file_state(world, recording, now)
    };
    let mut row = json!({
        "id": recording.id,
        "conversationId": id,
        "media": media(conversation, recording),
        "fileState": state,
        "sessionId": session(world, conversation, recording),
        "region": "eu-west-1",
        "selfUri": format!("/api/v2/conversations/{id}/recordingmetadata/{}", recording.id),
    });
    if matches!(recording.kind, RecordingKind::Screen(_)) {
        row["startTime"] = json!(iso(conversation.start));
    }
    if let Some(subtype) = subtype(recording) {
        row["mediaSubtype"] = json!(subtype);
    }
    if state == "AVAILABLE" {
        row["annotations"] = annotations(world, conversation, recording);
    }
    keeping(world, conversation, recording, &mut row);
    row
}

/// Adds until when a recording is kept, and where.
pub(super) fn keeping(
    world: &World,
    conversation: &Conversation,
    recording: &Recording,
    row: &mut Value,
) {
    if recording.state == State::Archived {
        row["archiveDate"] = json!(iso(conversation.end + DAY));
        row["archiveMedium"] = json!("CLOUDARCHIVE");
        row["deleteDate"] = json!(iso(conversation.end + 3650 * DAY));
    }
    if let Some((_, until)) = world.restored(&recording.id) {
        row["restoreExpirationTime"] = json!(iso(until));
    }
}

/// The medium of a recording, in the vendor's word.
pub(super) fn media(conversation: &Conversation, recording: &Recording) -> &'static str {
    match recording.kind {
        RecordingKind::Screen(_) => "screen",
        RecordingKind::Transcript | RecordingKind::Json => conversation.media.name(),
        _ => "audio",
    }
}

/// Which leg of a call it is of.
pub(super) fn subtype(recording: &Recording) -> Option<&'static str> {
    match recording.kind {
        RecordingKind::Screen(_) => Some("Screen"),
        RecordingKind::Transcript | RecordingKind::Json => None,
        _ if recording.number == 0 => Some("Trunk"),
        _ if recording.duration_ms.is_multiple_of(2) => Some("Station"),
        _ => Some("Consult"),
    }
}

/// The session that it belongs to: the customer's, or that of the agent on a leg of one's own.
pub(super) fn session(world: &World, conversation: &Conversation, recording: &Recording) -> String {
    let own = recording.number > 0;
    let place = if own { 2 } else { 0 };
    world.organization.session(conversation, place)
}

/// The notes on it, and where it was paused.
pub(super) fn annotations(
    world: &World,
    conversation: &Conversation,
    recording: &Recording,
) -> Value {
    let ids = &world.organization.ids;
    if !permission::sees_annotations(world)
        || !conversation.odd.is_multiple_of(4)
        || media(conversation, recording) != "audio"
    {
        return json!([]);
    }
    let thing = conversation.index << 12 | recording.number;
    let odd = world.chance.marks(Fault::UnknownValues, thing).is_some();
    json!([{
        "id": ids.make(Kind::Annotation, conversation.index, recording.number),
        "type": "pause",
        "reason": if odd { "Meditation" } else { "Hold" },
        "location": recording.duration_ms / 2,
        "durationMs": 1000,
        // Where it is in the conversation; `location` is where it is in what can be played.
        "absoluteLocation": recording.duration_ms / 2,
        "absoluteDurationMs": 1000,
        "description": "a second of silence",
    }])
}

pub(super) fn file_state(world: &World, recording: &Recording, now: u64) -> &'static str {
    let restored = world.restored(&recording.id).is_some();
    match (world.given(recording, now), recording.state) {
        (Given::Files, State::Archived) => "RESTORED",
        (Given::Files, _) | (_, State::Sensitive) => "AVAILABLE",
        (_, State::Archived) if restored => "RESTORING",
        (_, State::Archived) => "ARCHIVED",
        (_, State::Deleted) => "DELETED",
        _ => "UPLOADING",
    }
}

/// Recording, as far as it may be changed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Change {
    archive_date: String,
    #[serde(default)]
    delete_date: Option<String>,
    #[serde(default)]
    export_date: Option<String>,
}

/// Restores an archived recording: its archive date becomes a later one.
pub(super) fn restore(
    world: &World,
    id: &str,
    recording: &str,
    request: &Request,
) -> Result<(StatusCode, Value), Refusal> {
    Params::of(request, &["clearExport"])?.choice("clearExport", &["true", "false"])?;
    let change: Change = body(request)?;
    let (conversation, recording) = find(world, id, recording)?;
    let now = world.clock.now();
    let date = |text: &str| {
        crate::time::parse(text).ok_or_else(|| {
            let text = format!("{text} is not an instant");
            Refusal::new(StatusCode::BAD_REQUEST, "invalid.date", text)
        })
    };
    let until = date(&change.archive_date)?;
    let kept = conversation.end + 3650 * DAY;
    let same = match &change.delete_date {
        Some(text) => date(text)? == kept,
        None => false,
    };
    if !same || change.export_date.is_some() {
        let text = "The date of deletion or export changes, which takes editRetention";
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "missing.permissions",
            text,
        ));
    }
    if recording.state != State::Archived || until <= now {
        return Err(Refusal::bad(
            "Only an archived recording is restored, until a date in the future",
        ));
    }
    world.restore(&recording.id, now, until);
    Ok((
        StatusCode::OK,
        file::without(world, &conversation, &recording, now),
    ))
}
