//! The origin behind signed links, as an object store serves them: no token, ranges, ETags.

mod audio;
mod bundle;
mod content;
mod transcript;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::{Method, Response, StatusCode, body::Frame};
use sha2::{Digest, Sha256};

use crate::{
    Recording, RecordingKind,
    dice::mix,
    http::{Reply, Request, empty, reply, set},
    server::World,
};
use audio::Assets;
use content::Content;

/// Bytes sent at a time.
const CHUNK: usize = 64 << 10;
/// Bundles that are kept ready, since making one takes a while.
const BUNDLES: usize = 4;

/// Everything needed to make and sign media.
pub(crate) struct Media {
    key: [u8; 32],
    assets: Assets,
    bundles: Mutex<VecDeque<(String, Content)>>,
}

impl Media {
    pub(crate) fn new(seed: u64) -> Self {
        Media {
            key: Sha256::digest(mix(seed ^ 0x006b_6579).to_le_bytes()).into(),
            assets: Assets::new(),
            bundles: Mutex::default(),
        }
    }

    /// A signed link to a path of this origin.
    pub(crate) fn link(&self, world: &World, path: &str, now: u64) -> String {
        let lifetime = world.settings.link_lifetime.as_millis() as u64;
        let expires = (now + lifetime) / 1000;
        let signature = self.signature(path, expires);
        let origin = &world.media_url;
        format!("{origin}{path}?Expires={expires}&Signature={signature}&Key-Pair-Id=SIMULATED")
    }

    fn signature(&self, path: &str, expires: u64) -> String {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update(format!("{path}\n{expires}"));
        hex(&digest.finalize())
    }

    /// Why a link does not work, if so.
    fn wrong(&self, request: &Request, now: u64) -> Option<(&'static str, &'static str)> {
        let (mut expires, mut signature) = (None, None);
        for pair in request.query.split('&') {
            match pair.split_once('=') {
                Some(("Expires", value)) => expires = value.parse::<u64>().ok(),
                Some(("Signature", value)) => signature = Some(value),
                _ => {}
            }
        }
        match (expires, signature) {
            (Some(expires), Some(signature)) => {
                if signature != self.signature(&request.path, expires) {
                    let text = "The signature does not match the request";
                    Some(("SignatureDoesNotMatch", text))
                } else if now >= expires * 1000 {
                    Some(("AccessDenied", "Request has expired"))
                } else {
                    None
                }
            }
            _ => Some(("AccessDenied", "The link is not signed")),
        }
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
}

/// Answers a request.
pub(crate) async fn serve(world: &Arc<World>, request: &Request) -> Reply {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let text = "The specified method is not allowed";
        return xml(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", text);
    }
    if request.header("authorization").is_some() {
        // An object store refuses two ways of authentication at once.
        let text = "Only one auth mechanism allowed";
        return xml(StatusCode::BAD_REQUEST, "InvalidArgument", text);
    }
    if let Some((code, text)) = world.media.wrong(request, world.clock.now()) {
        return xml(StatusCode::FORBIDDEN, code, text);
    }
    match find(world, &request.path).await {
        Some((content, content_type)) => send(world, request, content, content_type),
        None => xml(StatusCode::NOT_FOUND, "NoSuchKey", "The key does not exist"),
    }
}

/// What a link that has expired is answered with.
pub(crate) fn expired() -> Reply {
    xml(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired")
}

async fn find(world: &Arc<World>, path: &str) -> Option<(Content, &'static str)> {
    if let Some(id) = path
        .strip_prefix("/bundles/")
        .and_then(|rest| rest.strip_suffix(".zip"))
    {
        return Some((ready_bundle(world, id).await?, "application/zip"));
    }
    let mut parts = path.strip_prefix("/recordings/")?.split('/');
    let conversation = world.organisation.find(parts.next()?)?;
    let id = parts.next()?;
    let recording = conversation.recordings.iter().find(|r| r.id == id)?;
    let part: u32 = parts.next()?.parse().ok()?;
    let there = recording.state.error().is_none() && part < recording.kind.parts();
    there.then(|| {
        let content = world.media.recording(&conversation, recording, part);
        (content, recording.kind.content_type())
    })
}

async fn ready_bundle(world: &Arc<World>, id: &str) -> Option<Content> {
    let bundles = || {
        let bundles = &world.media.bundles;
        bundles.lock().unwrap_or_else(PoisonError::into_inner)
    };
    let known = bundles().iter().find(|(known, _)| known == id).cloned();
    if let Some((_, content)) = known {
        return Some(content);
    }
    let rows = crate::api::batch::bundled(world, id)?;
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
    Some(content)
}

fn send(world: &World, request: &Request, content: Content, content_type: &str) -> Reply {
    let length = content.length();
    let etag = format!(
        "\"{}\"",
        &world.media.signature(&request.path, length)[..32]
    );
    let wanted = request
        .header("range")
        .filter(|_| request.header("if-range").is_none_or(|known| known == etag))
        .and_then(|range| range.strip_prefix("bytes="))
        .filter(|range| !range.contains(','));
    let range = match wanted {
        None => None,
        Some(range) => match part(range, length) {
            Some(range) => Some(range),
            None => {
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                let mut answer = xml(status, "InvalidRange", "The range is not satisfiable");
                set(&mut answer, "content-range", &format!("bytes */{length}"));
                return answer;
            }
        },
    };
    let (from, until) = range.unwrap_or((0, length));
    let cut = world
        .chance
        .strikes(world.settings.faults.cut)
        .then(|| from + world.chance.any() % (until - from).max(1));
    let mut answer = if request.method == Method::HEAD {
        empty(StatusCode::OK)
    } else {
        let body = stream::unfold((content, from), move |(content, at)| async move {
            if cut.is_some_and(|cut| at >= cut) {
                let error = io::Error::from(io::ErrorKind::ConnectionReset);
                return Some((Err(error), (content, at)));
            }
            let end = cut.unwrap_or(until).min(at + CHUNK as u64);
            let mut buffer = vec![0; (end - at) as usize];
            if buffer.is_empty() {
                return None;
            }
            let read = content.read(at, &mut buffer);
            Some((
                read.map(|()| Frame::data(Bytes::from(buffer))),
                (content, end),
            ))
        });
        Response::new(StreamBody::new(body).boxed_unsync())
    };
    if range.is_some() {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {from}-{}/{length}", until.saturating_sub(1));
        set(&mut answer, "content-range", &text);
    }
    set(&mut answer, "content-length", &(until - from).to_string());
    set(&mut answer, "content-type", content_type);
    set(&mut answer, "accept-ranges", "bytes");
    set(&mut answer, "etag", &etag);
    answer
}

/// The half-open range that `5-9`, `5-` or `-5` means.
fn part(range: &str, length: u64) -> Option<(u64, u64)> {
    let (from, to) = range.split_once('-')?;
    let (from, until) = match (from, to) {
        ("", last) => (length.saturating_sub(last.parse().ok()?), length),
        (from, "") => (from.parse().ok()?, length),
        (from, to) => (
            from.parse().ok()?,
            to.parse::<u64>().ok()?.saturating_add(1),
        ),
    };
    (from < until.min(length)).then_some((from, until.min(length)))
}

fn xml(status: StatusCode, code: &str, message: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    reply(status, "application/xml", body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
