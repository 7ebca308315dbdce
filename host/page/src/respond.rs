//! Answers: what every one of them has in its header.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use maud::Markup;

/// The policy for browsers: they load nothing but what comes from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// An answer of this type and body.
pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into());
    streamed(
        status,
        kind,
        body.map_err(|never| match never {}).boxed_unsync(),
    )
}

/// An answer whose body comes piece by piece.
pub(crate) fn streamed(
    status: StatusCode,
    kind: &'static str,
    body: UnsyncBoxBody<Bytes, io::Error>,
) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let fixed: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A page.
pub(crate) fn html(status: StatusCode, page: &Markup) -> Answer {
    answer(status, "text/html; charset=utf-8", page.0.clone())
}

/// A refusal in a sentence.
pub(crate) fn plain(status: StatusCode, text: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", format!("{text}\n"))
}

/// On to another page.
pub(crate) fn see_other(path: &'static str) -> Answer {
    let mut answer = plain(StatusCode::SEE_OTHER, "see there");
    let path = HeaderValue::from_static(path);
    answer.headers_mut().insert(header::LOCATION, path);
    answer
}
