//! The headers that a source gives its requests and downloads: which can be sent, and which are the host's.

use std::{collections::BTreeSet, sync::Mutex};

use reqwest::header::{HeaderName, HeaderValue};

use super::RequestCredentials;
use recording_host_model::{Events, printable};

/// Names the headers of a source that the host leaves out, each once.
#[derive(Debug, Default)]
pub(super) struct DroppedHeaders(Mutex<BTreeSet<String>>);

impl DroppedHeaders {
    /// The headers that are sent. Those left out are named in a warning when they first occur.
    pub(super) fn kept<'a>(
        &self,
        headers: &'a [(String, String)],
        credentials: RequestCredentials<'_>,
        events: &Events,
    ) -> impl Iterator<Item = &'a (String, String)> {
        let (kept, dropped): (Vec<_>, Vec<_>) = headers
            .iter()
            .partition(|(name, _)| is_the_sources(name, credentials));
        for (name, _) in dropped {
            let name = name.to_ascii_lowercase();
            let is_new = self
                .0
                .lock()
                .is_ok_and(|mut seen| seen.insert(name.clone()));
            if is_new {
                events.warn(&format!(
                    "the source sets the header `{name}`, which is left out: the host alone sets it. Credentials come from `auth`, for the scheme that `describe` names"
                ));
            }
        }
        kept.into_iter()
    }
}

/// Returns true if a source may set this header: none that proves who asks, and none that the host adds.
fn is_the_sources(name: &str, credentials: RequestCredentials<'_>) -> bool {
    let name = name.to_ascii_lowercase();
    let signed =
        matches!(credentials, RequestCredentials::Signed(headers) if headers.contains_key(&name));
    let hosts = matches!(name.as_str(), "authorization" | "host" | "accept-encoding");
    !hosts && !signed
}

/// The reason why headers are not sent, if they are not: no header can be so, or no source may choose it.
/// Their values are left out: they may be secret.
#[must_use]
pub fn unsendable(headers: &[(String, String)]) -> Option<String> {
    if let Some((name, _)) = headers.iter().find(|(name, _)| is_smuggling(name)) {
        return Some(format!(
            "the source gives a header `{}`, which no source may set; a log-in belongs into the `auth` of its `describe`",
            printable(name)
        ));
    }
    let (name, _) = headers.iter().find(|(name, value)| {
        HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err()
    })?;
    Some(format!(
        "the source gives a header `{}` that cannot be sent: a name is a token such as `accept`, and a value has no line ends or other control characters",
        printable(name)
    ))
}

/// Returns true if a header steers the connection, or tells a proxy or server who asks: a source may not
/// choose it, since it could say something else than what the host checks.
pub(super) fn is_smuggling(name: &str) -> bool {
    const EXACT: [&str; 14] = [
        "connection",
        "content-length",
        "cookie",
        "cookie2",
        "expect",
        "forwarded",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "x-real-ip",
    ];
    let name = name.to_ascii_lowercase();
    EXACT.contains(&name.as_str())
        || name.starts_with("proxy-")
        || name.starts_with("x-forwarded-")
        || name.starts_with("x-http-method")
}
