//! The origin behind signed links, as an object store serves them: no token, ranges, ETags.

mod audio;
mod bundle;
mod content;
mod etag;
mod link;
mod object;
mod refusal;
mod transcript;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::{Method, StatusCode};

use crate::{
    Given, Recording, RecordingKind, State,
    faults::Fault,
    http::{Reply, Request},
    rng::mix,
    server::World,
};
use audio::Assets;
use content::Content;
use etag::Tags;
use link::{Signer, Wrong};
use object::Object;
use refusal::refusal;
pub(crate) use refusal::server_error;

/// Bytes sent at a time.
const CHUNK: usize = 64 << 10;
/// Bundles that are kept ready, since making one takes a while.
const BUNDLES: usize = 4;

/// Everything needed to make and sign media.
pub(crate) struct Media {
    signer: Signer,
    assets: Assets,
    tags: Tags,
    bundles: Mutex<VecDeque<(String, Content)>>,
}

impl Media {
    pub(crate) fn new(seed: u64) -> Self {
        Media {
            signer: Signer::new(mix(seed ^ 0x006b_6579)),
            assets: Assets::new(),
            tags: Tags::default(),
            bundles: Mutex::default(),
        }
    }

    /// A signed link to a path of this origin.
    pub(crate) fn link(&self, world: &World, path: &str, now: u64) -> String {
        let lifetime = world.settings.link_lifetime.as_millis() as u64;
        let query = self.signer.query(path, (now + lifetime) / 1000);
        format!("{}{path}?{query}", world.media_url)
    }

    /// The file of a recording.
    fn recording(
        &self,
        conversation: &crate::Conversation,
        recording: &Recording,
        part: u32,
    ) -> Content {
        let seed = mix(conversation.index << 16 ^ recording.number << 8 ^ u64::from(part));
        match recording.kind {
            RecordingKind::Wav => self.assets.wav(recording.duration_ms),
            RecordingKind::Ogg => self.assets.ogg(recording.duration_ms, seed as u32),
            RecordingKind::Mp3 => self.assets.mp3(recording.duration_ms, seed),
            RecordingKind::Screen(_) => self.assets.screen(seed),
            RecordingKind::Transcript => transcript::zip(conversation),
            RecordingKind::Json => transcript::json(conversation),
        }
    }

    /// The bytes of a recording's file, all at once.
    pub(crate) fn bytes(
        &self,
        conversation: &crate::Conversation,
        recording: &Recording,
        part: u32,
    ) -> bytes::Bytes {
        let content = self.recording(conversation, recording, part);
        let mut bytes = vec![0; content.length() as usize];
        // Content made from settings is in memory: reading it does not fail.
        content.read(0, &mut bytes).unwrap_or_default();
        bytes.into()
    }
}

/// Answers a request.
pub(crate) async fn serve(world: &Arc<World>, request: &Request) -> Reply {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let text = "The specified method is not allowed against this resource.";
        let more = format!("<Method>{}</Method>", request.method);
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return refusal(status, "MethodNotAllowed", text, &more);
    }
    if request.header("authorization").is_some() {
        // An object store refuses two ways of authentication at once.
        let text = "Only one auth mechanism allowed";
        return refusal(StatusCode::BAD_REQUEST, "InvalidArgument", text, "");
    }
    let media = &world.media;
    let now = world.clock.now();
    if let Some(wrong) = media.signer.wrong(request, now) {
        return refusal::forbidden(wrong, now);
    }
    if world.chance.strikes(Fault::Expired).is_some() {
        return refusal::forbidden(Wrong::Expired { at: now }, now);
    }
    let Some(found) = find(world, &request.path, now).await else {
        let text = "The specified key does not exist.";
        let more = format!("<Key>{}</Key>", request.path.trim_start_matches('/'));
        return refusal(StatusCode::NOT_FOUND, "NoSuchKey", text, &more);
    };
    match media.tags.of(&request.path, &found.content).await {
        Ok(etag) => Object { etag, ..found }.send(request, &world.chance),
        Err(error) => {
            let text = format!("The file could not be read: {error}");
            refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                &text,
                "",
            )
        }
    }
}

/// The file at a path, without its tag.
async fn find(world: &Arc<World>, path: &str, now: u64) -> Option<Object> {
    let object = |content, content_type, stored| Object {
        content,
        content_type,
        etag: String::new(),
        stored,
    };
    if let Some(id) = path
        .strip_prefix("/bundles/")
        .and_then(|rest| rest.strip_suffix(".zip"))
    {
        let (content, stored) = ready_bundle(world, id).await?;
        return Some(object(content, "application/zip", stored));
    }
    if let Some(rest) = path.strip_prefix("/transcoded/") {
        return transcoded(world, rest, now);
    }
    if let Some(rest) = path.strip_prefix("/orphans/") {
        return orphan(world, rest);
    }
    let mut parts = path.strip_prefix("/recordings/")?.split('/');
    let conversation = world.organization.find(parts.next()?)?;
    let id = parts.next()?;
    let recording = conversation.recordings.iter().find(|r| r.id == id)?;
    let part: u32 = parts.next()?.parse().ok()?;
    let there = world.given(recording, now) == Given::Files && part < recording.kind.parts();
    there.then(|| {
        let content = world.media.recording(&conversation, recording, part);
        let content_type = recording.kind.content_type();
        object(content, content_type, recording.ended + recording.delay_ms)
    })
}

/// The file of a recording in a format of one's choice: conversation, recording, channel, format.
fn transcoded(world: &World, path: &str, now: u64) -> Option<Object> {
    let parts: Vec<&str> = path.split('/').collect();
    let [conversation, id, channel, format] = parts[..] else {
        return None;
    };
    let conversation = world.organization.find(conversation)?;
    let recording = conversation.recordings.iter().find(|r| r.id == id)?;
    let sensitive = recording.state == State::Sensitive;
    if !sensitive && world.given(recording, now) != Given::Files {
        return None;
    }
    let part: u32 = channel.parse().unwrap_or(0);
    let audio = matches!(
        recording.kind,
        RecordingKind::Ogg | RecordingKind::Wav | RecordingKind::Mp3
    );
    let mut recording = recording.clone();
    let content_type = match format {
        "WAV" | "WAV_ULAW" => "audio/wav",
        "MP3" => "audio/mpeg",
        "OGG_OPUS" | "OGG_VORBIS" => "audio/ogg",
        "WEBM" if audio => "audio/webm",
        "WEBM" => "video/webm",
        "EML" => "message/rfc822",
        _ => "application/zip",
    };
    let content = match (format, content_type) {
        ("EML", _) => transcript::eml(&conversation),
        ("ZIP", _) => transcript::zip(&conversation),
        (_, kind) => {
            recording.kind = match kind {
                "audio/wav" => RecordingKind::Wav,
                "audio/mpeg" => RecordingKind::Mp3,
                "audio/ogg" => RecordingKind::Ogg,
                _ => RecordingKind::Screen(1),
            };
            world.media.recording(&conversation, &recording, part)
        }
    };
    Some(Object {
        content,
        content_type,
        etag: String::new(),
        stored: recording.ended + recording.delay_ms,
    })
}

/// The file of a recording without a conversation: its id, channel, format.
fn orphan(world: &World, path: &str) -> Option<Object> {
    let parts: Vec<&str> = path.split('/').collect();
    let [id, channel, format] = parts[..] else {
        return None;
    };
    let number = crate::api::orphan(world, id)?;
    let seed = mix(number << 8 ^ channel.parse::<u64>().unwrap_or(9));
    let assets = &world.media.assets;
    let (content, content_type) = match format {
        "WAV" | "WAV_ULAW" => (assets.wav(2000), "audio/wav"),
        "MP3" => (assets.mp3(2000, seed), "audio/mpeg"),
        "OGG_OPUS" | "OGG_VORBIS" => (assets.ogg(2000, seed as u32), "audio/ogg"),
        _ => (assets.screen(seed), "audio/webm"),
    };
    Some(Object {
        content,
        content_type,
        etag: String::new(),
        stored: world.organization.interval().0.as_millisecond() as u64,
    })
}

/// The bundle of a job that is done, and when the job was submitted.
async fn ready_bundle(world: &Arc<World>, id: &str) -> Option<(Content, u64)> {
    let bundles = || {
        let bundles = &world.media.bundles;
        bundles.lock().unwrap_or_else(PoisonError::into_inner)
    };
    let (rows, stored) = crate::api::batch::bundled(world, id)?;
    let known = bundles().iter().find(|(known, _)| known == id).cloned();
    if let Some((_, content)) = known {
        return Some((content, stored));
    }
    let maker = Arc::clone(world);
    let content = tokio::task::spawn_blocking(move || bundle::make(&maker, &rows))
        .await
        .ok()?
        .ok()?;
    let mut bundles = bundles();
    bundles.push_back((id.to_owned(), content.clone()));
    if bundles.len() > BUNDLES {
        bundles.pop_front();
    }
    Some((content, stored))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
