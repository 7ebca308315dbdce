//! The requests of a source, made on its behalf: allowed origins, credentials, rate limit, retries.
//!
//! A component only ever asks. What leaves the machine is decided here.

mod allowed_origins;
mod authenticator;
mod limit;
mod public_dns;
#[cfg(feature = "aws")]
mod sigv4;
mod token;
mod transport;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::StatusCode;

pub use allowed_origins::{AllowedOrigins, OriginError};
pub use authenticator::{AuthError, Authenticator, RequestAuth};
pub use limit::Limiter;
pub use public_dns::PublicDnsResolver;
#[cfg(feature = "aws")]
pub use sigv4::{SigV4, SigV4Error};
pub use token::{OAuth, TokenError};
use transport::method;
pub use transport::{Credentials, HttpTransport, SignableRequest, is_the_sources};

use recording_host_model::{Request, RequestError, Response, clock::Clock};

/// How often a request is sent before a fault is handed on.
const TRIES: u32 = 6;
/// How often a token that is not accepted is replaced for one request: another request may have
/// made the vendor drop the new one, too.
const RENEWALS: u32 = 3;
/// The longest that a server may ask us to wait before a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What was asked of the vendor's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Calls {
    /// Requests sent, by the sort of split and method; `token` are requests for access tokens.
    pub sent: BTreeMap<String, u64>,
    /// Answers with status 429.
    pub refused: u64,
}

/// Makes the requests of one source.
#[derive(Debug)]
pub struct SourceHttp {
    exchange: Arc<dyn HttpTransport>,
    allow: AllowedOrigins,
    login: Arc<Authenticator>,
    limiter: Limiter,
    clock: Clock,
    jitter: Mutex<SmallRng>,
    calls: Arc<Mutex<Calls>>,
}

impl SourceHttp {
    /// Grants requests to the origins of `allow`, as `login`, within `limiter`.
    #[must_use]
    pub fn new(
        client: reqwest::Client,
        allow: AllowedOrigins,
        login: Arc<Authenticator>,
        limiter: Limiter,
        clock: Clock,
    ) -> Self {
        let seed = rand::rng().random();
        Self::over(Arc::new(client), allow, login, limiter, clock, seed)
    }

    /// The same over any network, with pauses that follow from a seed.
    pub fn over(
        exchange: Arc<dyn HttpTransport>,
        allow: AllowedOrigins,
        login: Arc<Authenticator>,
        limiter: Limiter,
        clock: Clock,
        seed: u64,
    ) -> Self {
        SourceHttp {
            exchange,
            allow,
            login,
            limiter,
            clock,
            jitter: Mutex::new(SmallRng::seed_from_u64(seed)),
            calls: Arc::default(),
        }
    }

    /// What has been asked of the vendor's API so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls
            .lock()
            .map(|calls| calls.clone())
            .unwrap_or_default()
    }

    /// Makes a request for a split of the sort `kind` and hands over the final answer.
    pub async fn send(&self, kind: &str, request: &Request) -> Result<Response, RequestError> {
        let url = match self.allow.api(&request.url) {
            Ok(url) => url,
            Err(error) => return Err(RequestError::Refused(error.to_string())),
        };
        let mut renewed = 0;
        let mut tried = 0;
        loop {
            tried += 1;
            let again = tried < TRIES;
            // Anew for each try: a signature is of its time.
            let provable = SignableRequest {
                method: request.method,
                url: &url,
                headers: &request.headers,
                body: request.body.as_deref().unwrap_or_default(),
            };
            let proof = match self
                .login
                .prove(provable, &*self.exchange, self.clock)
                .await
            {
                Ok(proof) => proof,
                Err(error) if error.retryable() && again => {
                    self.back_off(tried, None).await;
                    continue;
                }
                // What a source sees of refused credentials is the status alone.
                Err(error) => {
                    return Err(if error.retryable() {
                        RequestError::Unreachable(error.to_string())
                    } else {
                        RequestError::Refused(error.to_string())
                    });
                }
            };
            if proof.fresh() {
                self.count("token");
            }
            self.limiter.acquire(self.clock).await;
            self.count(&format!("{kind} {}", method(request.method)));
            let credentials = proof.credentials();
            let response = self.exchange.exchange(&url, request, credentials).await;
            match response {
                Ok(response) => {
                    self.limiter.observe(&response, self.clock);
                    if renewed < RENEWALS
                        && self
                            .login
                            .refused(&proof, response.status, &response.body)
                            .await
                    {
                        renewed += 1;
                        continue;
                    }
                    match response.status {
                        429 => {
                            if let Ok(mut calls) = self.calls.lock() {
                                calls.refused += 1;
                            }
                            if !again {
                                return Ok(response);
                            }
                            let wait = retry_after(&response);
                            self.limiter
                                .pause(wait.unwrap_or(Duration::from_secs(5)), self.clock);
                            self.back_off(tried, wait).await;
                        }
                        408 | 500 | 502 | 503 | 504 if request.repeatable && again => {
                            self.back_off(tried, retry_after(&response)).await;
                        }
                        _ => return Ok(response),
                    }
                }
                Err(fault @ RequestError::TooLarge(_)) => return Err(fault),
                Err(_) if request.repeatable && again => self.back_off(tried, None).await,
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Waits with full jitter before try number `tried + 1`, or as long as the server says.
    async fn back_off(&self, tried: u32, server: Option<Duration>) {
        let ceiling = Duration::from_millis(500 << tried.min(6));
        let part = self
            .jitter
            .lock()
            .map_or(0.5, |mut jitter| jitter.random_range(0.1..1.0));
        let jitter = ceiling.mul_f64(part);
        let wait = server.map_or(jitter, |server| server.min(LONGEST_WAIT));
        self.clock.sleep(wait).await;
    }

    fn count(&self, kind: &str) {
        if let Ok(mut calls) = self.calls.lock() {
            *calls.sent.entry(kind.to_owned()).or_default() += 1;
        }
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    header(response, "retry-after")?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(header, _)| header == name)
        .map(|(_, value)| value.as_str())
}

/// What went wrong with a request, without its URL, whose query may be a signature.
pub fn redacted(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if std::ptr::addr_eq(cause, error) {
        kind.to_owned()
    } else {
        format!("{kind}: {cause}")
    }
}

/// Whether a later attempt at the same thing can succeed after this status.
pub fn passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}
