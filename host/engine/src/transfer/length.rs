//! How long a file is, without moving it.

use tokio::time::timeout;

use super::SILENCE;
use recording_host_http::AllowedOrigins;
use recording_host_model::Artifact;

/// The length of what a link leads to, by a request for its first byte; none if that is not told.
pub(crate) async fn length(
    client: &reqwest::Client,
    allow: &AllowedOrigins,
    artifact: &Artifact,
) -> Option<u64> {
    if artifact.size.is_some() || artifact.download.authenticated {
        return artifact.size;
    }
    let url = allow.media(&artifact.download.url).ok()?;
    // A link is signed for GET: HEAD would be refused.
    let mut request = client.get(url).header("range", "bytes=0-0");
    for (name, value) in &artifact.download.headers {
        request = request.header(name, value);
    }
    let response = timeout(SILENCE, request.send()).await.ok()?.ok()?;
    let range = response.headers().get("content-range");
    match range.and_then(|range| range.to_str().ok()) {
        // `bytes 0-0/1234`
        Some(range) => range.rsplit('/').next()?.parse().ok(),
        // The server knows no ranges; dropped here, the rest is not read.
        None if response.status().is_success() => response.content_length(),
        None => None,
    }
}
