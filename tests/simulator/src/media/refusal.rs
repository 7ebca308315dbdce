//! Errors as S3 writes them: XML with a code, a message and the ids of the request.

use hyper::StatusCode;

use super::link::Wrong;
use crate::{
    faults::answer,
    http::{Reply, reply},
    rng::Rng,
    time::iso,
};

/// An error; `more` are further elements.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str, more: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}<RequestId>SIMULATED0000001</RequestId><HostId>c2ltdWxhdGVk</HostId></Error>"
    );
    reply(status, "application/xml", body)
}

/// The answer to a link that does not work.
pub(super) fn forbidden(wrong: Wrong, now: u64) -> Reply {
    let status = StatusCode::FORBIDDEN;
    match wrong {
        Wrong::Unsigned => refusal(status, "AccessDenied", "Access Denied", ""),
        Wrong::Forged => {
            let text = "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
            refusal(status, "SignatureDoesNotMatch", text, "")
        }
        Wrong::Expired { at } => {
            let more = format!(
                "<Expires>{}</Expires><ServerTime>{}</ServerTime>",
                iso(at),
                iso(now)
            );
            refusal(status, "AccessDenied", "Request has expired", &more)
        }
    }
}

/// The answer when the store, or a gateway before it, fails.
pub(crate) fn server_error(rng: &mut Rng) -> Reply {
    match answer::failing(&mut rng.clone()) {
        status @ StatusCode::INTERNAL_SERVER_ERROR => {
            let text = "We encountered an internal error. Please try again.";
            refusal(status, "InternalError", text, "")
        }
        status @ StatusCode::SERVICE_UNAVAILABLE => {
            refusal(status, "SlowDown", "Please reduce your request rate.", "")
        }
        _ => answer::server_error(rng),
    }
}
