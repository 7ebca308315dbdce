//! The vendor's JSON: requests written exactly, answers read tolerantly.
//!
//! Field names and their meaning are those of the vendor's SDKs (ErrorBody; the modules name theirs).

pub(crate) mod analytics;
pub(crate) mod batch;
pub(crate) mod directory;
pub(crate) mod recording;

use recording_source_sdk::{Answer, Method, Request, Response, SourceError};
use serde::Deserialize;
use serde_json::Value;

use crate::options::Options;

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

fn post(options: &Options, path: &str, body: &Value, repeatable: bool) -> Request {
    Request {
        method: Method::Post,
        url: format!("{}{path}", options.api_url),
        headers: vec![
            ("accept".to_owned(), "application/json".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ],
        body: Some(body.to_string().into_bytes()),
        repeatable,
    }
}

fn get(options: &Options, path: &str) -> Request {
    Request {
        method: Method::Get,
        url: format!("{}{path}", options.api_url),
        headers: vec![("accept".to_owned(), "application/json".to_owned())],
        body: None,
        repeatable: true,
    }
}

/// A value as it may stand in a query.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The vendor's code, empty if the body is not the vendor's.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// Whether the vendor refuses the number of hits or the length of the interval.
    pub(crate) fn too_wide(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        self.status == 400
            && ["100000", "100,000", "interval", "pagination"]
                .iter()
                .any(|word| text.contains(word))
    }

    /// Whether the vendor refuses the number of items.
    pub(crate) fn too_many_items(&self) -> bool {
        self.status == 413 || self.code.contains("too.many.items")
    }
}

impl From<Refusal> for SourceError {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            code,
            message,
        } = &refusal;
        let text = match (code.as_str(), message.as_str()) {
            ("", "") => format!("status {status}"),
            ("", message) => format!("status {status}: {message}"),
            (code, message) => format!("status {status}, {code}: {message}"),
        };
        match status {
            401 => SourceError::Auth(text),
            403 => SourceError::Forbidden(text),
            404 => SourceError::Gone(text),
            408 | 409 | 429 | 500 | 502..=599 => SourceError::Transient(text),
            _ => SourceError::Permanent(text),
        }
    }
}

/// The body of a successful answer; otherwise what was refused.
pub(crate) fn success(answer: Answer) -> Result<Result<Response, Refusal>, SourceError> {
    let response = answer.response()?;
    if (200..300).contains(&response.status) {
        return Ok(Ok(response));
    }
    // Errors of the vendor's edge are HTML or empty.
    let body: ErrorBody = serde_json::from_slice(&response.body).unwrap_or_default();
    Ok(Err(Refusal {
        status: response.status,
        code: body.code.unwrap_or_default(),
        message: body.message.unwrap_or_default().chars().take(300).collect(),
    }))
}

/// Reads a successful answer; a body that is not the vendor's may be right the next time.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(response: &Response) -> Result<T, SourceError> {
    serde_json::from_slice(&response.body).map_err(|error| {
        SourceError::Transient(format!(
            "status {} with a body that is not as documented: {error}",
            response.status
        ))
    })
}

/// An id as the vendor makes them, which may stand in a path.
pub(crate) fn id(text: Option<String>) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.filter(|id| !id.is_empty() && id.len() <= 200 && id.chars().all(plain))
}
