//! Answers that stand for a failure, in the words of the origin that gives them.

use hyper::StatusCode;
use serde_json::json;

use crate::{
    http::{Reply, reply, set},
    rng::Rng,
};

/// The answer of a gateway when the server behind it fails.
pub(crate) fn server_error(rng: &mut Rng) -> Reply {
    let status = failing(rng);
    reply(
        status,
        "text/html",
        format!("<html><body><h1>{status}</h1></body></html>"),
    )
}

/// One of the statuses of a failing server.
pub(crate) fn failing(rng: &mut Rng) -> StatusCode {
    [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ][rng.below(4) as usize]
}

/// A limit of its own for one resource, below the documented one.
pub(crate) fn throttled() -> Reply {
    let body = json!({
        "message": "Rate limit exceeded the maximum. Retry the request in [3] seconds",
        "code": "too.many.requests",
        "status": 429,
        "limit": { "key": "batch.download.rate.per.minute", "namespace": "recording", "value": 60 },
    });
    let status = StatusCode::TOO_MANY_REQUESTS;
    let mut answer = reply(status, "application/json", body.to_string());
    set(&mut answer, "retry-after", "3");
    answer
}

/// A token that has become worthless before its time.
pub(crate) fn unauthorized() -> Reply {
    let body = json!({
        "message": "Invalid login credentials.",
        "code": "bad.credentials",
        "status": 401,
    });
    let status = StatusCode::UNAUTHORIZED;
    reply(status, "application/json", body.to_string())
}

/// A request that took too long to be answered.
pub(crate) fn timeout() -> Reply {
    let body = json!({
        "message": "The request timed out.",
        "code": "request.timeout",
        "status": 408,
    });
    let status = StatusCode::REQUEST_TIMEOUT;
    reply(status, "application/json", body.to_string())
}

/// A log-in service that is down for a while.
pub(crate) fn unavailable() -> Reply {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let text = "<html><body><h1>Service Unavailable</h1></body></html>";
    reply(status, "text/html", text)
}
