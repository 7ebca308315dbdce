//! The log-in service, and the count of what each token has asked for.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::{
    http::{Reply, Request, reply},
    rng::mix,
    server::World,
};

/// Where tokens are given out.
pub(crate) const PATH: &str = "/oauth/token";
/// The length of a window of the rate limit (ms).
const WINDOW: u64 = 60_000;

/// The tokens that were given out.
pub(crate) struct Tokens {
    seed: u64,
    serial: AtomicU64,
    given: Mutex<HashMap<String, Token>>,
}

#[derive(Clone, Copy)]
struct Token {
    expires: u64,
    window_ends: u64,
    count: u64,
    used: u64,
}

/// How much a token has used of its window.
pub(crate) struct Usage {
    pub(crate) count: u64,
    /// Seconds until the window ends.
    pub(crate) reset: u64,
}

impl Tokens {
    pub(crate) fn new(seed: u64) -> Self {
        Tokens {
            seed,
            serial: AtomicU64::new(0),
            given: Mutex::default(),
        }
    }

    /// An id for a request.
    pub(crate) fn correlation(&self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    fn next(&self) -> u64 {
        mix(self.seed ^ mix(self.serial.fetch_add(1, Ordering::Relaxed)))
    }

    fn give(&self, now: u64, lifetime: u64) -> String {
        let token = format!(
            "{:016x}{:016x}{:016x}",
            self.next(),
            self.next(),
            self.next()
        );
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|_, token| token.expires > now);
        given.insert(
            token.clone(),
            Token {
                expires: now + lifetime,
                window_ends: 0,
                count: 0,
                used: now,
            },
        );
        token
    }

    /// Makes all tokens worthless.
    pub(crate) fn forget(&self) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.clear();
    }

    /// Counts a request against its token.
    pub(crate) fn spend(
        &self,
        request: &Request,
        now: u64,
        idle: Option<u64>,
    ) -> Result<Usage, String> {
        let header = request
            .header("authorization")
            .ok_or("No authentication bearer token specified in authorization header")?;
        let token = header
            .strip_prefix("Bearer ")
            .or_else(|| header.strip_prefix("bearer "))
            .ok_or("The authorization header holds no bearer token")?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let token = given
            .get_mut(token)
            .filter(|token| token.expires > now)
            .filter(|token| idle.is_none_or(|idle| now < token.used + idle))
            .ok_or("Invalid login credentials: the token is unknown or has expired")?;
        if now >= token.window_ends {
            token.window_ends = now + WINDOW;
            token.count = 0;
        }
        token.count += 1;
        token.used = now;
        Ok(Usage {
            count: token.count,
            reset: (token.window_ends - now).div_ceil(1000),
        })
    }
}

/// Answers a request to the log-in service, and says why if it is refused.
pub(crate) fn serve(world: &World, request: &Request) -> (Reply, Option<String>) {
    let refuse = |status: StatusCode, error: &str, description: &str| {
        let body = json!({
            "error": error,
            "description": description,
            "error_description": description,
        });
        let text = format!("{error}: {description}");
        (
            reply(status, "application/json", body.to_string()),
            Some(text),
        )
    };
    if request.path != PATH {
        return refuse(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is only /oauth/token",
        );
    }
    if request.method != Method::POST {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return refuse(status, "invalid_request", "a token is asked for with POST");
    }
    let bad = StatusCode::BAD_REQUEST;
    if !request.is("application/x-www-form-urlencoded") {
        return refuse(bad, "invalid_request", "the body must be a form");
    }
    if request.body.as_ref() != b"grant_type=client_credentials" {
        let text = "grant_type must be client_credentials, and nothing else be given";
        return refuse(bad, "unsupported_grant_type", text);
    }
    let wanted = format!("{}:{}", world.client_id, world.client_secret());
    let right = request
        .header("authorization")
        .and_then(|header| header.strip_prefix("Basic "))
        .is_some_and(|given| given == base64(wanted.as_bytes()));
    if !right {
        let status = StatusCode::UNAUTHORIZED;
        return refuse(
            status,
            "invalid_client",
            "client not found: invalid id or secret",
        );
    }
    let lifetime = world.settings.token_lifetime.as_secs();
    let token = world.tokens.give(world.clock.now(), lifetime * 1000);
    let body = json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": lifetime.saturating_sub(1),
    });
    (
        reply(StatusCode::OK, "application/json", body.to_string()),
        None,
    )
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0, |bits, byte| bits << 8 | usize::from(*byte));
        for at in 0..4 {
            if at <= chunk.len() {
                text.push(LETTERS[bits >> (18 - 6 * at) & 63] as char);
            } else {
                text.push('=');
            }
        }
    }
    text
}
