//! The requests of a source, made on its behalf: allowed origins, credentials, rate limit, retries.
//!
//! A component only ever asks. This module decides which data leave the machine.

mod allowed_origins;
mod authenticator;
mod client;
mod download;
mod limit;
mod public_dns;
mod retry;
#[cfg(feature = "aws")]
mod sigv4;
mod source_headers;
mod token;
mod transport;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use url::Url;

pub use allowed_origins::{AllowedOrigins, OriginError};
pub use authenticator::{AuthError, Authenticator, HeaderError, RequestAuth};
pub use client::ClientError;
pub use download::{Download, DownloadError, Downloads};
pub use limit::{Limiter, Limiters};
pub use public_dns::PublicDnsResolver;
#[cfg(feature = "aws")]
pub use sigv4::{SigV4, SigV4Error};
use source_headers::DroppedHeaders;
pub use source_headers::unsendable;
pub use token::{OAuth, TokenError};
use transport::method_name;
pub use transport::{Credentials, HttpTransport, SignableRequest};

use recording_host_model::{Event, Events, Request, RequestError, Response, clock::Clock};

/// How often a request is sent before a fault is handed on.
const TRIES: u32 = 6;
/// How long a request and its answer may take.
const WHOLE_REQUEST: Duration = Duration::from_secs(60);
/// How often a token that is not accepted is replaced for one request: another request may have
/// made the vendor drop the new one, too.
const RENEWALS: u32 = 3;

/// The requests to the vendor's API.
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
    limiter: Arc<Limiter>,
    clock: Clock,
    jitter: Mutex<SmallRng>,
    calls: Arc<Mutex<Calls>>,
    events: Events,
    dropped: DroppedHeaders,
}

impl SourceHttp {
    /// Grants requests to the origins of `allow`, as `login`, within `limiter`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn new(
        allow: AllowedOrigins,
        login: Arc<Authenticator>,
        limiter: Arc<Limiter>,
        clock: Clock,
    ) -> Result<Self, ClientError> {
        let seed = rand::rng().random();
        let client = Arc::new(client::client(&allow, Some(WHOLE_REQUEST))?);
        Ok(Self::over(client, allow, login, limiter, clock, seed))
    }

    /// The same over any network, with pauses that follow from a seed.
    pub fn over(
        exchange: Arc<dyn HttpTransport>,
        allow: AllowedOrigins,
        login: Arc<Authenticator>,
        limiter: Arc<Limiter>,
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
            events: Events::default(),
            dropped: DroppedHeaders::default(),
        }
    }

    /// Emits what happens as `events`.
    #[must_use]
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// The requests to the vendor's API so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls
            .lock()
            .map(|calls| calls.clone())
            .unwrap_or_default()
    }

    /// Makes a request for a split of the sort `kind` and hands over the final answer.
    ///
    /// # Errors
    /// [`RequestError`]: there is none.
    pub async fn send(&self, kind: &str, request: &Request) -> Result<Response, RequestError> {
        let url = match self.allow.api(&request.url) {
            Ok(url) => url,
            Err(error) => return Err(RequestError::Refused(error.to_string())),
        };
        if let Some(reason) = unsendable(&request.headers) {
            return Err(RequestError::Refused(reason));
        }
        let mut renewed = 0;
        let mut tried = 0;
        loop {
            tried += 1;
            let last = tried == TRIES;
            match self.attempt(kind, &url, request, last, &mut renewed).await {
                Attempt::Done(result) => return result,
                Attempt::Renew => {}
                Attempt::Again(wait) => self.back_off(kind, tried, wait).await,
            }
        }
    }

    /// Sends a request once, with the credentials of now.
    async fn attempt(
        &self,
        kind: &str,
        url: &Url,
        request: &Request,
        last: bool,
        renewed: &mut u32,
    ) -> Attempt {
        // Anew for each try: a signature is of its time.
        let signable = SignableRequest {
            method: request.method,
            url,
            headers: &request.headers,
            body: request.body.as_deref().unwrap_or_default(),
        };
        let auth = self.login.prove(signable, &*self.exchange, self.clock);
        let auth = match auth.await {
            Ok(auth) => auth,
            Err(error) if error.retryable() && !last => return Attempt::Again(None),
            // A source sees only the status of refused credentials.
            Err(error) => {
                return Attempt::Done(Err(match error.retryable() {
                    true => RequestError::Unreachable(error.to_string()),
                    false => RequestError::Refused(error.to_string()),
                }));
            }
        };
        if auth.fresh() {
            self.count("token");
        }
        self.limiter.acquire(self.clock).await;
        self.count(&format!("{kind} {}", method_name(request.method)));
        let began = Instant::now();
        let response = self.exchange(url, request, auth.credentials()).await;
        self.events.emit(|| Event::Request {
            kind: kind.to_owned(),
            method: method_name(request.method),
            status: response.as_ref().ok().map(|response| response.status),
            millis: millis(began.elapsed()),
        });
        let response = match response {
            Ok(response) => response,
            Err(error @ RequestError::TooLarge(_)) => return Attempt::Done(Err(error)),
            Err(_) if request.repeatable && !last => return Attempt::Again(None),
            Err(error) => return Attempt::Done(Err(error)),
        };
        self.limiter.observe(&response, self.clock);
        let (status, body) = (response.status, &response.body);
        if *renewed < RENEWALS && self.login.refused(&auth, status, body).await {
            *renewed += 1;
            return Attempt::Renew;
        }
        self.judge(response, request.repeatable, last)
    }

    /// Sends a request without the headers that are the host's.
    async fn exchange(
        &self,
        url: &Url,
        request: &Request,
        credentials: Credentials<'_>,
    ) -> Result<Response, RequestError> {
        let kept = self
            .dropped
            .kept(&request.headers, credentials, &self.events);
        let request = Request {
            headers: kept.cloned().collect(),
            ..request.clone()
        };
        self.exchange.exchange(url, &request, credentials).await
    }

    /// Decides how to proceed after a response to the request.
    fn judge(&self, response: Response, repeatable: bool, last: bool) -> Attempt {
        let asked = header(&response, "retry-after");
        let wait = asked.and_then(|asked| retry::retry_after(asked, self.clock.now()));
        match response.status {
            429 => {
                if let Ok(mut calls) = self.calls.lock() {
                    calls.refused += 1;
                }
                if last {
                    return Attempt::Done(Ok(response));
                }
                let pause = wait.unwrap_or(Duration::from_secs(5));
                self.limiter.pause(pause, self.clock);
                self.events.emit(|| Event::Throttled {
                    millis: millis(pause),
                });
                Attempt::Again(wait)
            }
            status if retry::is_retryable(status) && repeatable && !last => Attempt::Again(wait),
            _ => Attempt::Done(Ok(response)),
        }
    }

    /// Waits with full jitter before try number `tried + 1`, or as long as the server says.
    async fn back_off(&self, kind: &str, tried: u32, server: Option<Duration>) {
        let jitter = self
            .jitter
            .lock()
            .map_or(0.5, |mut jitter| jitter.random_range(0.1..1.0));
        let wait = retry::pause(tried, server, jitter);
        self.events.emit(|| Event::RequestRetried {
            kind: kind.to_owned(),
            attempts: tried,
            millis: millis(wait),
        });
        self.clock.sleep(wait).await;
    }

    fn count(&self, kind: &str) {
        if let Ok(mut calls) = self.calls.lock() {
            *calls.sent.entry(kind.to_owned()).or_default() += 1;
        }
    }
}

/// The result of an attempt.
enum Attempt {
    /// That is the result.
    Done(Result<Response, RequestError>),
    /// The credentials are no longer accepted: with new ones, at once.
    Renew,
    /// Once more, after the pause that the server asks for, if it does.
    Again(Option<Duration>),
}

/// A length of time in milliseconds.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response
        .headers
        .iter()
        .find(|(header, _)| header == name)
        .map(|(_, value)| value.as_str())
}

/// A description of a failed request, without its URL, whose query may be a signature.
fn redacted(error: &reqwest::Error) -> String {
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
