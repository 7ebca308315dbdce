//! What goes wrong, by chance, and repeatably for a seed and an order of requests.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use serde_json::json;

use crate::{
    dice::Dice,
    http::{Reply, reply, set},
};

const SORT_FAULT: u64 = 4;

/// How often each fault strikes, between 0 (never) and 1 (always).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// A connection ends without an answer, on any origin.
    pub reset: f64,
    /// 500, 502, 503 or 504 with HTML, on any origin.
    pub server_error: f64,
    /// 429 although the documented limit is not reached.
    pub throttle: f64,
    /// 401, and all tokens are worthless from then on.
    pub unauthorized: f64,
    /// A signed link answers as if it had expired.
    pub expired: f64,
    /// A download is cut in its middle.
    pub cut: f64,
    /// A job is not found any more.
    pub lost_job: f64,
    /// A job never completes.
    pub stuck_job: f64,
}

impl Faults {
    /// Every fault at the same rate.
    #[must_use]
    pub fn all(rate: f64) -> Self {
        Faults {
            reset: rate,
            server_error: rate,
            throttle: rate,
            unauthorized: rate,
            expired: rate,
            cut: rate,
            lost_job: rate,
            stuck_job: rate,
        }
    }
}

/// Decides whether a fault strikes.
pub(crate) struct Chance {
    seed: u64,
    serial: AtomicU64,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Chance {
            seed,
            serial: AtomicU64::new(0),
        }
    }

    /// Whether a fault of this rate strikes now.
    pub(crate) fn strikes(&self, rate: f64) -> bool {
        if rate <= 0.0 {
            return false;
        }
        (self.any() >> 11) as f64 / (1_u64 << 53) as f64 <= rate
    }

    pub(crate) fn any(&self) -> u64 {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        Dice::new(self.seed, SORT_FAULT, serial).any()
    }
}

/// What a gateway answers when what is behind it fails.
pub(crate) fn server_error(chance: &Chance) -> Reply {
    let statuses = [500, 502, 503, 504];
    let status = statuses[(chance.any() % 4) as usize];
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    reply(
        status,
        "text/html",
        format!("<html><body><h1>{status}</h1></body></html>"),
    )
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
    reply(
        StatusCode::UNAUTHORIZED,
        "application/json",
        body.to_string(),
    )
}
