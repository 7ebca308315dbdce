//! Downloads of what a source's links lead to; one that is cut resumes where it was, if the server can
//! do that.
//!
//! An object store's entity tag is the MD5 of a file that was uploaded in one part and not encrypted
//! with a key of its owner's. If that is asked for, the bytes are compared with a tag that looks like one.
//! It may be something else all the same: bytes that come twice alike are those that the origin has.

mod decoder;
mod request;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use rand::RngExt;
use reqwest::{StatusCode, Version, header::HeaderMap};
use tokio::time::timeout;
use tracing::{Span, field::Empty, info_span};

use super::{
    AllowedOrigins, Authenticator, ClientError, OriginError, RequestAuth, client,
    intermediary::{self, fault},
    millis,
    pace::Pace,
    retry,
    source_headers::DroppedHeaders,
    throttle::Throttle,
};
use decoder::Decoder;
use recording_host_model::{Artifact, Backpressure, Event, Events, clock::Clock};
use recording_host_network::ClientTls;

/// How often a download that was cut is resumed before its link counts as useless.
const RESUMES: u32 = 4;
/// How long a server may keep silent.
const SILENCE: Duration = Duration::from_secs(60);
/// How much is read of what a server says instead of a file, in bytes.
const REFUSAL: usize = 64 << 10;

/// Why there is no file, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Another attempt with the same link may succeed, after the pause that the server asks for, if it
    /// does.
    #[error("{reason}")]
    Retryable {
        /// A description of the failure.
        reason: String,
        /// How long the server asks to wait.
        after: Option<Duration>,
    },
    /// The link does not work, or works no longer: a fresh one may.
    #[error("{0}")]
    Link(String),
    /// The link may not be followed, whatever comes of it, or cannot be.
    #[error("{reason}")]
    Refused {
        /// A short stable code.
        code: &'static str,
        /// The fault.
        reason: String,
    },
    /// There are no credentials: no link that wants them works.
    #[error("{0}")]
    Credentials(String),
}

impl DownloadError {
    fn retryable(reason: impl Into<String>) -> Self {
        DownloadError::Retryable {
            reason: reason.into(),
            after: None,
        }
    }
}

impl From<OriginError> for DownloadError {
    fn from(error: OriginError) -> Self {
        DownloadError::Refused {
            code: error.code(),
            reason: error.to_string(),
        }
    }
}

/// Downloads what the links of one source lead to, from the origins that are allowed.
#[derive(Debug)]
pub struct Downloads {
    client: reqwest::Client,
    allow: AllowedOrigins,
    login: Arc<Authenticator>,
    clock: Clock,
    events: Events,
    dropped: DroppedHeaders,
    /// Counts how often origins of media demand less.
    backpressure: Backpressure,
    checks_etag: bool,
    throttle: Throttle,
    /// The MD5 of downloads that did not agree with their entity tags, by artifact.
    doubtful: Mutex<HashMap<String, [u8; 16]>>,
}

impl Downloads {
    /// Downloads from the origins of `allow`. Those that need the source's credentials are made as
    /// `login`; only origins that its requests may reach get them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(
        allow: AllowedOrigins,
        login: Arc<Authenticator>,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        Ok(Downloads {
            client: client::client(&allow, None, &ClientTls::default())?,
            allow,
            login,
            clock,
            events: Events::default(),
            dropped: DroppedHeaders::default(),
            backpressure: Backpressure::default(),
            checks_etag: false,
            throttle: Throttle::default(),
            doubtful: Mutex::default(),
        })
    }

    /// Emits what happens as `events`.
    #[must_use]
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Lets no more bytes pass than `throttle` does.
    #[must_use]
    pub fn with_throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Compares what comes with the MD5 in its entity tag, if `checks`. One core does about 0.5 GB/s of it.
    #[must_use]
    pub fn check_etag(mut self, checks: bool) -> Self {
        self.checks_etag = checks;
        self
    }

    /// How often origins of media have demanded less so far.
    #[must_use]
    pub fn backpressure(&self) -> u64 {
        self.backpressure.count()
    }

    /// Waits before attempt number `tried + 1`, as long as the server requested, if it did.
    pub async fn back_off(&self, tried: u32, asked: Option<Duration>) {
        let wait = retry::pause(tried, asked, rand::rng().random_range(0.1..1.0));
        self.events.emit(|| Event::DownloadRetried {
            attempts: tried,
            millis: millis(wait),
        });
        self.clock.sleep(wait).await;
    }

    /// The length of the file behind a link, by a request for its first byte; none if the answer lacks it.
    pub async fn length(&self, artifact: &Artifact) -> Option<u64> {
        if artifact.size.is_some() || artifact.download.authenticated {
            return artifact.size;
        }
        // A link is signed for GET: HEAD would be refused.
        let first = [("range", "bytes=0-0".to_owned())];
        let (_, response) = self.follow(artifact, &first).await.ok()?;
        match text(response.headers(), "content-range") {
            // `bytes 0-0/1234`
            Some(range) => range.rsplit('/').next()?.parse().ok(),
            // The server knows no ranges; dropped here, the rest is not read.
            None if response.status().is_success() => response.content_length(),
            None => None,
        }
    }

    /// Begins a download.
    ///
    /// # Errors
    /// [`DownloadError`] says what may help.
    pub async fn begin<'a>(
        &'a self,
        artifact: &'a Artifact,
    ) -> Result<Download<'a>, DownloadError> {
        let response = self.request(artifact, None).await?;
        if response.status() != StatusCode::OK {
            return Err(self.unexpected(&response));
        }
        let headers = response.headers();
        let ranges = text(headers, "accept-ranges").is_some_and(|unit| unit == "bytes");
        // A weak one says nothing about single bytes.
        let etag = text(headers, "etag").filter(|etag| ranges && !etag.starts_with("W/"));
        let decoder = Decoder::of(headers)?;
        // The length that a source announces is that of the recording itself.
        let announced = artifact.size.filter(|_| decoder.is_none());
        let size = response.content_length().or(announced);
        let framed =
            response.version() >= Version::HTTP_2 || headers.contains_key("transfer-encoding");
        Ok(Download {
            ends_with_connection: size.is_none() && !framed,
            size,
            md5: announced_md5(headers)
                .filter(|_| self.checks_etag)
                .map(|reported| (reported, Md5::new())),
            etag,
            span: info_span!("download", bytes = Empty),
            began: Instant::now(),
            came: 0,
            decoder,
            fruitless: 0,
            pace: Pace::default(),
            slow: false,
            downloads: self,
            artifact,
            response,
        })
    }
}

/// The bytes behind a link.
#[derive(Debug)]
pub struct Download<'a> {
    downloads: &'a Downloads,
    artifact: &'a Artifact,
    response: reqwest::Response,
    /// The whole length on the way, if known.
    size: Option<u64>,
    /// The decoder of its content codings, if it has any.
    decoder: Option<Decoder>,
    /// True if the end of the connection alone shows where the body ends.
    ends_with_connection: bool,
    /// Says whether the rest belongs to what came so far; none if the server cannot resume.
    etag: Option<String>,
    /// It ends when this is dropped.
    span: Span,
    began: Instant,
    came: u64,
    /// The MD5 that the tag contains, and that of what came so far, if they are compared.
    md5: Option<([u8; 16], Md5)>,
    /// Interruptions since anything came.
    fruitless: u32,
    pace: Pace,
    /// True if it is to be started over because it trickles.
    slow: bool,
}

impl Download<'_> {
    /// The whole length in bytes, if known.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size.filter(|_| self.decoder.is_none())
    }

    /// Returns true if the end of the connection alone shows where the file ends.
    #[must_use]
    pub fn ends_with_connection(&self) -> bool {
        self.ends_with_connection
    }

    /// The MIME type that the server states.
    #[must_use]
    pub fn content_type(&self) -> Option<String> {
        text(self.response.headers(), "content-type")
    }

    /// The first bytes, at least `enough` of them, or all there are.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn first(&mut self, enough: usize) -> Result<Option<Bytes>, DownloadError> {
        let Some(first) = self.next().await? else {
            return Ok(None);
        };
        if first.len() >= enough {
            return Ok(Some(first));
        }
        let mut collected = BytesMut::from(&first[..]);
        while collected.len() < enough
            && let Some(more) = self.next().await?
        {
            collected.extend_from_slice(&more);
        }
        Ok(Some(collected.freeze()))
    }

    /// The next bytes, or none at the end.
    ///
    /// # Errors
    /// [`DownloadError`], if it was cut and cannot be resumed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, DownloadError> {
        loop {
            if let Some(data) = self.decoder.as_mut().map_or(Ok(None), Decoder::next)? {
                return Ok(Some(data));
            }
            if std::mem::take(&mut self.slow) {
                let reason = "the media server sends less than 1 kB a second";
                self.resume(reason.to_owned()).await?;
            }
            let asked = Instant::now();
            let reason = match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(data))) => {
                    self.came += data.len() as u64;
                    self.slow = self.pace.note(asked.elapsed(), data.len());
                    if !self.pace.trickles() {
                        self.fruitless = 0;
                    }
                    if let Some((_, digest)) = &mut self.md5 {
                        digest.update(&data);
                    }
                    let downloads = self.downloads;
                    downloads.throttle.pass(data.len(), downloads.clock).await;
                    let Some(decoder) = &mut self.decoder else {
                        return Ok(Some(data));
                    };
                    decoder.push(data);
                    continue;
                }
                Ok(Ok(None)) if self.size.is_none_or(|size| self.came >= size) => {
                    self.compare()?;
                    if let Some(rest) = self.decoder.as_mut().map(Decoder::finish).transpose()?
                        && !rest.is_empty()
                    {
                        return Ok(Some(rest));
                    }
                    let bytes = i64::try_from(self.came).unwrap_or(i64::MAX);
                    self.span.record("bytes", bytes);
                    self.downloads.events.emit(|| Event::Downloaded {
                        bytes: self.came,
                        millis: millis(self.began.elapsed()),
                    });
                    return Ok(None);
                }
                Ok(Ok(None)) => "the download ended early".to_owned(),
                Ok(Err(error)) => fault(&error),
                Err(_) => "the media server fell silent".to_owned(),
            };
            self.resume(reason).await?;
        }
    }

    /// Compares what came with the MD5 that the server sent.
    fn compare(&mut self) -> Result<(), DownloadError> {
        let Some((reported, digest)) = self.md5.take() else {
            return Ok(());
        };
        let came: [u8; 16] = digest.finalize().into();
        let key = self.artifact.key.to_text();
        let doubtful = &self.downloads.doubtful;
        let mut doubtful = doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        if came == reported || doubtful.get(&key) == Some(&came) {
            doubtful.remove(&key);
            return Ok(());
        }
        doubtful.insert(key, came);
        Err(DownloadError::retryable(
            "the file is not the one that its entity tag names",
        ))
    }

    /// Asks for the rest.
    async fn resume(&mut self, mut reason: String) -> Result<(), DownloadError> {
        let Some(etag) = self.etag.clone() else {
            return Err(DownloadError::retryable(reason));
        };
        let mut asked = None;
        while self.fruitless < RESUMES {
            self.fruitless += 1;
            self.downloads.back_off(self.fruitless, asked.take()).await;
            let rest = Some((self.came, &*etag));
            let response = match self.downloads.request(self.artifact, rest).await {
                Ok(response) => response,
                Err(DownloadError::Retryable {
                    reason: error,
                    after,
                }) => {
                    (reason, asked) = (error, after);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let from = format!("bytes {}-", self.came);
            let rest = text(response.headers(), "content-range")
                .is_some_and(|range| range.starts_with(&from));
            return match response.status() {
                StatusCode::PARTIAL_CONTENT if rest => {
                    self.response = response;
                    Ok(())
                }
                // It is another file by now: start over.
                StatusCode::OK
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::RANGE_NOT_SATISFIABLE => Err(DownloadError::retryable(
                    "the file changed while it was downloaded",
                )),
                _ => Err(self.downloads.unexpected(&response)),
            };
        }
        Err(DownloadError::Retryable {
            reason,
            after: asked,
        })
    }
}

impl Downloads {
    /// Asks for an artifact, from a byte on if its entity tag is still the same.
    async fn request(
        &self,
        artifact: &Artifact,
        rest: Option<(u64, &str)>,
    ) -> Result<reqwest::Response, DownloadError> {
        let rest = rest.map(|(from, etag)| {
            [
                ("range", format!("bytes={from}-")),
                ("if-range", etag.to_owned()),
            ]
        });
        let rest = rest.as_ref().map_or(&[][..], |rest| &rest[..]);
        let (proof, response) = self.follow(artifact, rest).await?;
        let status = response.status();
        self.backpressure.on_response(status.as_u16());
        if retry::is_retryable(status.as_u16()) {
            return Err(self.unexpected(&response));
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(DownloadError::retryable(intermediary::demands(
                response.url(),
            )));
        }
        let answers = status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE;
        if !answers && !matches!(proof, RequestAuth::None) {
            let body = refusal(response).await;
            let refused = self.login.refused(&proof, status.as_u16(), &body).await;
            let reason = format!("the media server answered {status}");
            return Err(match refused {
                true => DownloadError::retryable(reason),
                false => DownloadError::Link(reason),
            });
        }
        Ok(response)
    }

    /// The error for an answer without the file.
    fn unexpected(&self, response: &reqwest::Response) -> DownloadError {
        let status = response.status();
        let reason = format!("the media server answered {status}");
        if !retry::is_retryable(status.as_u16()) {
            return DownloadError::Link(reason);
        }
        let asked = text(response.headers(), "retry-after");
        DownloadError::Retryable {
            reason,
            after: asked.and_then(|asked| retry::retry_after(&asked, self.clock.now())),
        }
    }
}

/// The first bytes of what a server says instead of the file.
async fn refusal(mut response: reqwest::Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Ok(Some(chunk))) = timeout(SILENCE, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() > REFUSAL {
            break;
        }
    }
    body
}

/// The MD5 that an entity tag contains, if it looks like one.
fn announced_md5(headers: &HeaderMap) -> Option<[u8; 16]> {
    let tag = text(headers, "etag")?;
    let hex = tag.strip_prefix('"')?.strip_suffix('"')?;
    if hex.len() != 32 || headers.contains_key("x-amz-server-side-encryption-aws-kms-key-id") {
        return None;
    }
    let mut reported = [0; 16];
    for (byte, at) in reported.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(reported)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests;
