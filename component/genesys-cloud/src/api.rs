//! The vendor's JSON: requests are written exactly, answers read tolerantly.
//!
//! Field names and their meaning are those of the vendor's SDKs (ErrorBody; the modules name theirs).

pub(crate) mod analytics;
pub(crate) mod batch;
pub(crate) mod directory;
pub(crate) mod recording;

use recording_source_sdk::{
    Method, Request, RequestResult, Response, SourceError, excerpt,
    json::{self, Object, Odd},
    options::is_plain,
};
use serde_json::Value;

use crate::options::Options;

fn post(options: &Options, path: &str, body: &Value, repeatable: bool) -> Request {
    Request {
        method: Method::Post,
        body: Some(serde_json::to_vec(body).expect("a value is JSON")),
        repeatable,
        ..get(options, path).with_header("content-type", "application/json")
    }
}

fn get(options: &Options, path: &str) -> Request {
    Request::get(format!("{}{path}", options.api_url)).with_header("accept", "application/json")
}

/// An unsuccessful answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The vendor's code, empty if the body is not the vendor's.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Refusal {
    /// Returns true if the vendor itself refuses, and not something on the way.
    pub(crate) fn is_the_vendors(&self) -> bool {
        !self.code.is_empty()
    }

    /// Returns true if the vendor refuses the number of hits or the length of the interval.
    pub(crate) fn too_wide(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        self.status == 400
            && ["100000", "100,000", "interval", "pagination"]
                .iter()
                .any(|word| text.contains(word))
    }

    /// Returns true if the vendor refuses the number of items.
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
            // Without the vendor's code, this is a gateway that cannot find the vendor.
            404 if !refusal.is_the_vendors() => SourceError::Transient(text),
            404 => SourceError::Gone(text),
            408 | 409 | 429 | 500 | 502..=599 => SourceError::Transient(text),
            _ => SourceError::Permanent(text),
        }
    }
}

/// The body of a successful answer; otherwise the refusal.
pub(crate) fn success(answer: RequestResult) -> Result<Result<Response, Refusal>, SourceError> {
    let response = answer?;
    if (200..300).contains(&response.status) {
        return Ok(Ok(response));
    }
    // ErrorBody; errors of the vendor's edge are HTML or empty.
    let reported = json::object(&response.body, |body| {
        (body.text("code"), body.text("message"))
    });
    let (code, message) = reported.map(|(reported, _)| reported).unwrap_or_default();
    Ok(Err(Refusal {
        status: response.status,
        code: code.unwrap_or_default(),
        message: excerpt(&message.unwrap_or_default()),
    }))
}

/// Reads a successful answer that is an object; a body that is not the vendor's may be right the
/// next time.
pub(crate) fn object<T>(
    response: &Response,
    read: impl FnOnce(&Object<'_>) -> T,
) -> Result<(T, Odd), SourceError> {
    json::object(&response.body, read)
        .map_err(|error| undocumented(response.status, &error.to_string()))
}

/// Reads a successful answer that is a list of objects.
pub(crate) fn list<T>(
    response: &Response,
    read: impl FnMut(&Object<'_>) -> T,
) -> Result<(Vec<T>, Odd), SourceError> {
    json::list(&response.body, read)
        .map_err(|error| undocumented(response.status, &error.to_string()))
}

/// The error for a body that is not the vendor's.
fn undocumented(status: u16, what: &str) -> SourceError {
    SourceError::Transient(format!(
        "status {status} with a body that is not as documented: {what}"
    ))
}

/// The elements of a body's main list: if that is no list, the body is not the vendor's.
fn essential<'a>(object: &Object<'a>, name: &str) -> Result<Vec<&'a str>, SourceError> {
    match object.raw(name) {
        Some(raw) if !raw.starts_with('[') => Err(undocumented(200, &format!("{name} is no list"))),
        _ => Ok(object.elements(name)),
    }
}

/// An id as the vendor makes them, which may stand in a path.
pub(crate) fn id(text: Option<String>) -> Option<String> {
    text.filter(|id| id.len() <= 200 && is_plain(id, "-_."))
}
