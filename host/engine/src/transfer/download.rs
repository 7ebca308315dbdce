//! A download that goes on where it was cut, if the server can do that.
//!
//! An object store's entity tag is the MD5 of a file that was uploaded in one part and not encrypted
//! with a key of its owner's. Where a tag looks like one, the bytes are compared with it. The tag may
//! be something else all the same: bytes that come twice alike are those that the origin has.

use std::sync::PoisonError;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use reqwest::{
    StatusCode, Version,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::timeout;

use super::{Attempt, SILENCE, TRIES, Transfer, TransferError, claim::HEAD};
use recording_host_http::{
    Authenticator, RequestAuth, SignableRequest, is_the_sources, passing, redacted,
};
use recording_host_model::{Artifact, Method};
use recording_host_zip::shown;

/// How much is read of what a server says instead of a file, in bytes.
const REFUSAL: usize = 64 << 10;

/// The bytes behind a link.
pub(super) struct Download<'a> {
    transfer: &'a Transfer,
    artifact: &'a Artifact,
    response: reqwest::Response,
    /// The whole length, if known.
    pub(super) size: Option<u64>,
    /// Whether the end of the connection is all that tells where the body ends.
    pub(super) ends_with_connection: bool,
    /// Says whether the rest belongs to what came so far; none if the server cannot go on.
    etag: Option<String>,
    came: u64,
    /// The MD5 that the tag tells, and that of what came so far.
    md5: Option<([u8; 16], Md5)>,
    /// Interruptions since anything came.
    fruitless: u32,
}

impl<'a> Download<'a> {
    pub(super) async fn begin(
        transfer: &'a Transfer,
        artifact: &'a Artifact,
    ) -> Result<Self, Attempt> {
        let response = request(transfer, artifact, None).await?;
        if response.status() != StatusCode::OK {
            return Err(unexpected(&response));
        }
        let headers = response.headers();
        let ranges = text(headers, "accept-ranges").is_some_and(|unit| unit == "bytes");
        // A weak one says nothing about single bytes.
        let etag = text(headers, "etag").filter(|etag| ranges && !etag.starts_with("W/"));
        let size = response.content_length().or(artifact.size);
        let framed =
            response.version() >= Version::HTTP_2 || headers.contains_key("transfer-encoding");
        Ok(Download {
            ends_with_connection: size.is_none() && !framed,
            size,
            md5: told_md5(headers).map(|told| (told, Md5::new())),
            etag,
            came: 0,
            fruitless: 0,
            transfer,
            artifact,
            response,
        })
    }

    /// The MIME type that the server tells.
    pub(super) fn content_type(&self) -> Option<String> {
        text(self.response.headers(), "content-type")
    }

    /// The first bytes: enough of them to see what it is, or all there are.
    pub(super) async fn first(&mut self) -> Result<Option<Bytes>, Attempt> {
        let Some(first) = self.next().await? else {
            return Ok(None);
        };
        if first.len() >= HEAD {
            return Ok(Some(first));
        }
        let mut collected = BytesMut::from(&first[..]);
        while collected.len() < HEAD
            && let Some(more) = self.next().await?
        {
            collected.extend_from_slice(&more);
        }
        Ok(Some(collected.freeze()))
    }

    /// The next bytes, or none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Attempt> {
        loop {
            let reason = match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(data))) => {
                    self.came += data.len() as u64;
                    self.fruitless = 0;
                    if let Some((_, digest)) = &mut self.md5 {
                        digest.update(&data);
                    }
                    return Ok(Some(data));
                }
                Ok(Ok(None)) if self.size.is_none_or(|size| self.came >= size) => {
                    self.compare()?;
                    return Ok(None);
                }
                Ok(Ok(None)) => "the download ended early".to_owned(),
                Ok(Err(error)) => redacted(&error),
                Err(_) => "the media server fell silent".to_owned(),
            };
            self.go_on(reason).await?;
        }
    }

    /// Compares what came with the MD5 that the server told.
    fn compare(&mut self) -> Result<(), Attempt> {
        let Some((told, digest)) = self.md5.take() else {
            return Ok(());
        };
        let came: [u8; 16] = digest.finalize().into();
        let key = self.artifact.key.to_text();
        let doubtful = &self.transfer.doubtful;
        let mut doubtful = doubtful.lock().unwrap_or_else(PoisonError::into_inner);
        if came == told || doubtful.get(&key) == Some(&came) {
            doubtful.remove(&key);
            return Ok(());
        }
        doubtful.insert(key, came);
        Err(Attempt::Again(
            "the file is not the one that its entity tag tells".to_owned(),
        ))
    }

    /// Asks for the rest.
    async fn go_on(&mut self, mut reason: String) -> Result<(), Attempt> {
        let Some(etag) = self.etag.clone() else {
            return Err(Attempt::Again(reason));
        };
        while self.fruitless < TRIES {
            self.fruitless += 1;
            self.transfer.pause(self.fruitless).await;
            let response =
                match request(self.transfer, self.artifact, Some((self.came, &etag))).await {
                    Ok(response) => response,
                    Err(Attempt::Again(error)) => {
                        reason = error;
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
                // It is another file by now: begin anew.
                StatusCode::OK
                | StatusCode::PARTIAL_CONTENT
                | StatusCode::RANGE_NOT_SATISFIABLE => Err(Attempt::Again(
                    "the file changed while it was downloaded".to_owned(),
                )),
                _ => Err(unexpected(&response)),
            };
        }
        Err(Attempt::Again(reason))
    }
}

/// Asks for an artifact, from a place on if its ETag is still the same.
async fn request(
    transfer: &Transfer,
    artifact: &Artifact,
    rest: Option<(u64, &str)>,
) -> Result<reqwest::Response, Attempt> {
    let recipe = &artifact.download;
    let url = match recipe.authenticated {
        // Credentials go only to where the source's own requests may go.
        true => transfer.allow.api(&recipe.url),
        false => transfer.allow.media(&recipe.url),
    }
    .map_err(TransferError::from)?;
    check_headers(&recipe.headers)?;
    let login = match recipe.authenticated {
        true => &*transfer.login,
        false => &Authenticator::None,
    };
    let provable = SignableRequest {
        method: Method::Get,
        url: &url,
        headers: &recipe.headers,
        body: b"",
    };
    let proof = login
        .prove(provable, &transfer.client, transfer.clock)
        .await
        .map_err(|error| match error.is_of_the_request() {
            true => TransferError::item("bad-link", error.to_string()).into(),
            false if error.retryable() => Attempt::Again(error.to_string()),
            false => TransferError::Host(error.to_string()).into(),
        })?;
    let credentials = proof.credentials();
    let mut request = transfer.client.get(url.clone());
    for (name, value) in &recipe.headers {
        if is_the_sources(name, credentials) {
            request = request.header(name, value);
        }
    }
    request = match &proof {
        RequestAuth::None => request,
        RequestAuth::Bearer(token, _) => request.header("authorization", token),
        RequestAuth::Signed(headers) => request.headers(headers.clone()),
    };
    if let Some((from, etag)) = rest {
        request = request
            .header("range", format!("bytes={from}-"))
            .header("if-range", etag);
    }
    let pushback = &transfer.pushback;
    let response = timeout(SILENCE, request.send())
        .await
        .map_err(|_| {
            pushback.felt();
            Attempt::Again("the media server did not answer".to_owned())
        })?
        .map_err(|error| Attempt::Again(redacted(&error)))?;
    let status = response.status();
    pushback.answered(status.as_u16());
    if passing(status) {
        return Err(unexpected(&response));
    }
    let answers = status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE;
    if !answers && recipe.authenticated {
        let body = refusal(response).await;
        let refused = login.refused(&proof, status.as_u16(), &body).await;
        let reason = format!("the media server answered {status}");
        return Err(match refused {
            true => Attempt::Again(reason),
            false => TransferError::Link(reason).into(),
        });
    }
    Ok(response)
}

/// Refuses headers that cannot be sent. Their values are left out: they may be secret.
fn check_headers(headers: &[(String, String)]) -> Result<(), TransferError> {
    let wrong = headers.iter().find(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
    });
    match wrong {
        None => Ok(()),
        Some((name, _)) => Err(TransferError::item(
            "bad-header",
            format!(
                "the source gives a header `{}` that cannot be sent",
                shown(name)
            ),
        )),
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

/// What an answer without the file means.
fn unexpected(response: &reqwest::Response) -> Attempt {
    let status = response.status();
    let reason = format!("the media server answered {status}");
    if passing(status) {
        Attempt::Again(reason)
    } else {
        TransferError::Link(reason).into()
    }
}

/// The MD5 that an entity tag tells, if it looks like one.
fn told_md5(headers: &HeaderMap) -> Option<[u8; 16]> {
    let tag = text(headers, "etag")?;
    let hex = tag.strip_prefix('"')?.strip_suffix('"')?;
    if hex.len() != 32 || headers.contains_key("x-amz-server-side-encryption-aws-kms-key-id") {
        return None;
    }
    let mut told = [0; 16];
    for (byte, place) in told.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(place..place + 2)?, 16).ok()?;
    }
    Some(told)
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}
