//! Single recordings with their media, in a format of one's choice (Recording, MediaResult).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Refusal, params::Params, recording, retention};
use crate::{
    Conversation, Given, Recording, RecordingKind, State, http::Request, server::World, time::iso,
};

const FORMATS: [&str; 7] = [
    "WAV",
    "WEBM",
    "WAV_ULAW",
    "OGG_VORBIS",
    "OGG_OPUS",
    "MP3",
    "NONE",
];

/// When the transcoding of what began.
#[derive(Default)]
pub(crate) struct Transcodes(Mutex<HashMap<String, u64>>);

/// Lists the recordings of a conversation with their media, by channel.
pub(super) fn list(
    world: &World,
    id: &str,
    request: &Request,
) -> Result<(StatusCode, Value), Refusal> {
    let known = ["formatId", "mediaFormats", "maxWaitMs", "locale"];
    let params = Params::of(request, &known)?;
    params.number("maxWaitMs", 5000, 60_000)?;
    let format = params.choice("formatId", &FORMATS)?.unwrap_or("WEBM");
    let conversation = recording::conversation(world, id)?;
    let now = world.clock.now();
    let listed = conversation
        .recordings
        .iter()
        .filter(|one| now >= one.ended);
    let mut ready = true;
    let rows: Vec<Value> = listed
        .map(|one| {
            let digital = matches!(one.kind, RecordingKind::Transcript | RecordingKind::Json);
            let format = if digital { "NONE" } else { format };
            let (status, row) = row(world, &conversation, one, format, false, now);
            ready &= status == StatusCode::OK;
            row
        })
        .collect();
    match ready {
        true => Ok((StatusCode::OK, rows.into())),
        false => Ok((StatusCode::ACCEPTED, json!([]))),
    }
}

/// The form in which media are requested.
struct Form {
    audio: String,
    email: String,
    chat: String,
    message: String,
    download: bool,
}

impl Form {
    /// Reads the parameters; `more` may be given besides.
    fn of(request: &Request, more: &[&str]) -> Result<Self, Refusal> {
        let known = [
            "formatId",
            "emailFormatId",
            "chatFormatId",
            "messageFormatId",
            "download",
            "fileName",
            "locale",
            "mediaFormats",
        ];
        let params = Params::of(request, &[&known, more].concat())?;
        // The first one is the usual one.
        let choice = |name, known: [&str; 2]| -> Result<String, Refusal> {
            let given = params.choice(name, &known)?;
            Ok(given.unwrap_or(known[0]).to_owned())
        };
        Ok(Form {
            audio: params
                .choice("formatId", &FORMATS)?
                .unwrap_or("WEBM")
                .to_owned(),
            email: choice("emailFormatId", ["EML", "NONE"])?,
            chat: choice("chatFormatId", ["ZIP", "NONE"])?,
            message: choice("messageFormatId", ["ZIP", "NONE"])?,
            download: params.choice("download", &["true", "false"])? == Some("true"),
        })
    }
}

/// Gives one recording with its media.
pub(super) fn one(
    world: &World,
    id: &str,
    recording: &str,
    request: &Request,
) -> Result<(StatusCode, Value), Refusal> {
    let given = Form::of(request, &["includePauseAnnotationsForScreenRecordings"])?;
    let (conversation, recording) = recording::find(world, id, recording)?;
    let format = match recording::media(&conversation, &recording) {
        "email" => &given.email,
        "chat" => &given.chat,
        "message" => &given.message,
        "screen" => "WEBM",
        _ => &given.audio,
    };
    let now = world.clock.now();
    let answer = row(
        world,
        &conversation,
        &recording,
        format,
        given.download,
        now,
    );
    if answer.0 == StatusCode::ACCEPTED && recording.number == 1 {
        // Sometimes there is nothing to say yet.
        return Ok((StatusCode::ACCEPTED, json!({})));
    }
    Ok(answer)
}

/// Gives the media of a recording without a conversation.
pub(super) fn orphan(
    world: &World,
    id: &str,
    request: &Request,
) -> Result<(StatusCode, Value), Refusal> {
    let given = Form::of(request, &[])?;
    let (format, download) = (given.audio.as_str(), given.download);
    let number = retention::orphan(world, id).ok_or_else(|| {
        let text = format!("The orphan recording {id} was not found");
        Refusal::new(StatusCode::NOT_FOUND, "not.found", text)
    })?;
    let state = retention::orphan_state(number);
    let mut row = json!({ "id": id, "media": "audio", "fileState": state });
    if state != "AVAILABLE" || format == "NONE" {
        return Ok((StatusCode::OK, row));
    }
    let now = world.clock.now();
    let left = world.transcodes.left(world, id, format, download, now);
    if left > 0 {
        row["estimatedTranscodeTimeMs"] = json!(left);
        return Ok((StatusCode::ACCEPTED, row));
    }
    let keys = if download { &["S"][..] } else { &["0", "1"] };
    for key in keys {
        let path = format!("/orphans/{id}/{key}/{format}");
        row["mediaUris"][key] = json!({ "mediaUri": world.media.link(world, &path, now) });
    }
    Ok((StatusCode::OK, row))
}

/// A recording without its media, as it is after a change.
pub(super) fn without(
    world: &World,
    conversation: &Conversation,
    recording: &Recording,
    now: u64,
) -> Value {
    row(world, conversation, recording, "NONE", false, now).1
}

fn row(
    world: &World,
    conversation: &Conversation,
    recording: &Recording,
    format: &str,
    download: bool,
    now: u64,
) -> (StatusCode, Value) {
    let (id, own) = (&conversation.id, &recording.id);
    let audio = recording::media(conversation, recording) == "audio";
    let mut row = json!({
        "id": own,
        "conversationId": id,
        "media": recording::media(conversation, recording),
        "fileState": recording::file_state(world, recording, now),
        "sessionId": recording::session(world, conversation, recording),
        "annotations": recording::annotations(world, conversation, recording),
        "recordingFileRole": "CUSTOMER_EXPERIENCE",
        "creationTime": iso(conversation.start),
        "selfUri": format!("/api/v2/conversations/{id}/recordings/{own}"),
    });
    if let Some(subtype) = recording::subtype(recording) {
        row["mediaSubtype"] = json!(subtype);
    }
    if recording.number > 0 && audio {
        // The leg of an agent of one's own belongs to the consultation, too.
        let other = world
            .organization
            .conversation(conversation.index.saturating_sub(1))
            .id;
        row["associatedConversationIds"] = json!([id, other]);
    }
    recording::keeping(world, conversation, recording, &mut row);
    // Sensitive recordings are given redacted.
    let given =
        matches!(world.given(recording, now), Given::Files) || recording.state == State::Sensitive;
    if !given || format == "NONE" {
        return (StatusCode::OK, row);
    }
    if audio {
        let left = world.transcodes.left(world, own, format, download, now);
        if left > 0 {
            row["estimatedTranscodeTimeMs"] = json!(left);
            return (StatusCode::ACCEPTED, row);
        }
    }
    let keys: Vec<String> = match (audio, recording.kind) {
        (true, _) if download => vec!["S".into()],
        (true, _) => vec!["0".into(), "1".into()],
        (false, RecordingKind::Screen(parts)) => (0..parts).map(|part| part.to_string()).collect(),
        _ => vec!["0".into()],
    };
    let mut uris = json!({});
    for key in keys {
        let path = format!("/transcoded/{id}/{own}/{key}/{format}");
        uris[&key] = json!({ "mediaUri": world.media.link(world, &path, now) });
    }
    row["mediaUris"] = uris;
    row["startTime"] = json!(iso(conversation.start));
    row["endTime"] = json!(iso(conversation.start + recording.duration_ms));
    row["outputDurationMs"] = json!(recording.duration_ms);
    row["actualTranscodeTimeMs"] = json!(world.settings.transcode_time.as_millis() as u64);
    (StatusCode::OK, row)
}

impl Transcodes {
    /// How long a transcoding still takes (ms); the first question begins it.
    fn left(&self, world: &World, id: &str, format: &str, download: bool, now: u64) -> u64 {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{id} {format} {download}");
        let begun = *begun.entry(key).or_insert(now);
        let time = world.settings.transcode_time.as_millis() as u64;
        (begun + time).saturating_sub(now)
    }
}
