//! The requests of a source, made on its behalf: allowed origins, credentials, rate limit, retries.
//!
//! A component only ever asks. This module decides which data leave the machine.

mod allowed_origins;
mod authenticator;
mod calls;
mod client;
mod coding;
mod download;
mod intermediary;
mod limit;
mod month;
mod pace;
mod patience;
mod private;
mod public_dns;
mod redirect;
mod retry;
#[cfg(feature = "aws")]
pub mod sigv4;
mod source_headers;
mod throttle;
mod token;
mod transport;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::timeout;
use tracing::{Instrument, field::Empty, info_span};
use url::Url;

pub use allowed_origins::{AllowedOrigins, OriginAllowList, OriginError};
pub use authenticator::{
    AuthError, Authenticator, HeaderError, RequestAuth, RequestSigner, SignError,
};
pub use calls::Calls;
pub use client::ClientError;
pub use download::{Download, DownloadError, Downloads};
use intermediary::Pages;
pub use limit::{Limiter, Limiters, MonthlyRequests, Priority, RequestHalt, RequestLimits};
pub use limit::{SharedCount, SharedRate, SharedRateError, SharedRates};
pub use month::{CountError, MonthlyCount};
pub use patience::Patience;
pub use public_dns::PublicDnsResolver;
use source_headers::DroppedHeaders;
pub use source_headers::unsendable;
pub use throttle::{Throttle, Timetable, TimetableError};
pub use token::{OAuth, TokenError};
use transport::method_name;
pub use transport::{HttpTransport, RequestCredentials, SignableRequest};

use recording_host_model::{Event, Events, Request, RequestError, Response, clock::Clock};

/// How often a request is sent before a fault is handed on.
const TRIES: u32 = 6;
/// How long a request and its answer may take.
const WHOLE_REQUEST: Duration = Duration::from_secs(60);
/// How often a token that is not accepted is replaced for one request: another request may have
/// made the vendor drop the new one, too.
const RENEWALS: u32 = 3;

/// How long whoever wants to know how things are now waits for a request.
const SOON: Duration = Duration::from_secs(6);

/// Makes the requests of one source.
#[derive(Debug)]
pub struct SourceHttp {
    exchange: Arc<dyn HttpTransport>,
    allow: AllowedOrigins,
    login: Arc<Authenticator>,
    limiter: Arc<Limiter>,
    throttle: Throttle,
    clock: Clock,
    jitter: Mutex<SmallRng>,
    calls: Arc<Mutex<Calls>>,
    refused_to_begin: AtomicU64,
    events: Events,
    patience: Patience,
    /// True if the API has answered once.
    reached: AtomicBool,
    /// The last trouble on the way that was warned of.
    warned: Mutex<String>,
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
        let client = Arc::new(client::client(
            &allow,
            Some(WHOLE_REQUEST),
            &recording_host_network::ClientTls::default(),
        )?);
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
            throttle: Throttle::default(),
            clock,
            jitter: Mutex::new(SmallRng::seed_from_u64(seed)),
            calls: Arc::default(),
            refused_to_begin: AtomicU64::default(),
            events: Events::default(),
            patience: Patience::default(),
            reached: AtomicBool::new(false),
            warned: Mutex::default(),
            dropped: DroppedHeaders::default(),
        }
    }

    /// Emits what happens as `events`.
    #[must_use]
    pub fn with_events(mut self, events: Events) -> Self {
        self.events = events;
        self
    }

    /// Sends nothing while `throttle` is closed.
    #[must_use]
    pub fn with_throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = throttle;
        self
    }

    /// Tries requests as often as `patience` says.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Returns true if a request is sent once, for an answer soon.
    fn is_hasty(&self) -> bool {
        self.patience.is_hasty(self.reached.load(Ordering::Relaxed))
    }

    /// The requests to the vendor's API so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls
            .lock()
            .map(|calls| calls.clone())
            .unwrap_or_default()
    }

    /// How often the API has refused a request that begins work, though the rate is within its limit: there
    /// is more of such work at once than it accepts.
    #[must_use]
    pub fn refused_to_begin(&self) -> u64 {
        self.refused_to_begin.load(Ordering::Relaxed)
    }

    /// How much longer requests pause because the API asked for it, if they do.
    #[must_use]
    pub fn paused(&self) -> Option<Duration> {
        self.limiter.paused(self.clock)
    }

    /// How long a further request of a priority would wait for the rate limit.
    #[must_use]
    pub fn delay(&self, priority: Priority) -> Duration {
        self.limiter.delay(self.clock, priority)
    }

    /// How many requests the vendor's current minute holds, and how many it may hold, if that is known.
    #[must_use]
    pub fn budget(&self) -> Option<(u64, u64)> {
        self.limiter.budget(self.clock)
    }

    /// Why no request is sent any more for now, if that is so.
    #[must_use]
    pub fn halted(&self) -> Option<RequestHalt> {
        self.limiter.halted()
    }

    /// The requests of this month with the credential, and the ceiling, if there is one.
    #[must_use]
    pub fn month(&self) -> Option<MonthlyRequests> {
        self.limiter.month(self.clock)
    }

    /// Makes a request for a split of the sort `kind` and hands over the final answer.
    ///
    /// # Errors
    /// [`RequestError`]: there is none.
    pub async fn send(
        &self,
        kind: &str,
        priority: Priority,
        request: &Request,
    ) -> Result<Response, RequestError> {
        let url = match self.allow.api(&request.url) {
            Ok(url) => url,
            Err(OriginError::Malformed) => {
                let host = |sign: &char| sign.is_ascii_alphanumeric() || "-.".contains(*sign);
                // The rest may be secret.
                let beginning: String = request.url.chars().take_while(host).take(80).collect();
                return Err(RequestError::Refused(format!(
                    "the URL of a request, which begins with `{beginning}`, is not an absolute http or https URL"
                )));
            }
            Err(error) => return Err(RequestError::Refused(error.to_string())),
        };
        if let Some(reason) = unsendable(&request.headers) {
            return Err(RequestError::Refused(reason));
        }
        let mut renewed = 0;
        let mut tried = 0;
        loop {
            tried += 1;
            let last = tried >= TRIES || self.is_hasty();
            let sent = (kind, priority);
            match self.attempt(sent, &url, request, last, &mut renewed).await {
                Attempt::Done(result) => return result,
                Attempt::Renew => tried -= 1,
                Attempt::Again(wait) => self.back_off(kind, tried, wait).await,
            }
        }
    }

    /// Sends a request once, with the credentials of now, and follows it to where it is redirected.
    async fn attempt(
        &self,
        (kind, priority): (&str, Priority),
        url: &Url,
        request: &Request,
        last: bool,
        renewed: &mut u32,
    ) -> Attempt {
        let mut url = url.clone();
        let pages = match self.login.is_for_any_server() {
            true => Pages::accepted_by(&request.headers),
            false => Pages::None,
        };
        for hop in 0.. {
            let exchange = self.exchange((kind, priority), &url, request, last);
            let exchanged = match self.is_hasty() {
                false => exchange.await,
                true => timeout(SOON, exchange).await.unwrap_or_else(|_| {
                    let host = intermediary::shown(&url);
                    let reason = format!("no answer of {host} in {} s", SOON.as_secs());
                    Err(unreached(reason, request.repeatable, true))
                }),
            };
            let (auth, response) = match exchanged {
                Ok(exchanged) => exchanged,
                Err(attempt) => return attempt,
            };
            // One that is unavailable itself may stay so: whoever asks is not to wait for that.
            if response.status < 500 && intermediary::answered(&url, &response, pages).is_none() {
                self.reached.store(true, Ordering::Relaxed);
            }
            if let Some(wait) = self.limiter.observe(&response, self.clock) {
                let millis = millis(wait);
                self.events.emit(|| Event::Throttled { millis });
            }
            let (status, body) = (response.status, &response.body);
            let is_page = intermediary::is_page(&response);
            let again = *renewed < RENEWALS && !is_page;
            if again && self.login.refused(&auth, status, body).await {
                *renewed += 1;
                return Attempt::Renew;
            }
            let location = header(&response, "location");
            let Some(to) = redirect::pointed(&url, status, location) else {
                return self.judge(&url, response, (request.repeatable, pages), priority, last);
            };
            let why = match redirect::target(&url, request.method, status, location) {
                None => "another request than this one would go there".to_owned(),
                Some(_) if hop >= redirect::MOST => "there were too many redirects".to_owned(),
                Some(next) => match self.allow.api(next.as_str()) {
                    Ok(next) => {
                        url = next;
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
            };
            // What the server says with it may be for the source.
            if !response.body.is_empty() && !is_page {
                return self.judge(&url, response, (request.repeatable, pages), priority, last);
            }
            let reason = intermediary::redirected(&url, &to, &why);
            self.warn(&reason, last);
            return unreached(reason, request.repeatable, last);
        }
        unreachable!("redirects are counted")
    }

    /// Sends a request to one place, within the limit.
    async fn exchange(
        &self,
        (kind, priority): (&str, Priority),
        url: &Url,
        request: &Request,
        last: bool,
    ) -> Result<(RequestAuth, Response), Attempt> {
        let auth = self.proof(url, request, last).await?;
        let method = method_name(request.method);
        let waiting = async {
            self.throttle.open(self.clock).await;
            let (clock, events) = (self.clock, &self.events);
            self.limiter.acquire_for(clock, priority, events).await;
        };
        waiting.instrument(info_span!("rate_limit")).await;
        self.count(&format!("{kind} {method}"));
        let began = Instant::now();
        let span = info_span!(
            "request",
            "otel.kind" = "client",
            kind,
            method,
            status = Empty
        );
        let sending = self.transmit(url, request, auth.credentials());
        let response = sending.instrument(span.clone()).await;
        if let Ok(response) = &response {
            span.record("status", i64::from(response.status));
        }
        drop(span);
        self.events.emit(|| Event::Request {
            kind: kind.to_owned(),
            method,
            status: response.as_ref().ok().map(|response| response.status),
            millis: millis(began.elapsed()),
        });
        match response {
            Ok(mut response) => {
                auth.cut_out(&mut response);
                Ok((auth, response))
            }
            Err(RequestError::Unreachable(reason)) => {
                Err(unreached(reason, request.repeatable, last))
            }
            Err(error) => Err(Attempt::Done(Err(error))),
        }
    }

    /// Warns of what stands between this machine and the API, once as long as it is the same; what is not
    /// tried again is the caller's to tell.
    fn warn(&self, reason: &str, last: bool) {
        if !last
            && let Ok(mut warned) = self.warned.lock()
            && *warned != reason
        {
            self.events.warn(&format!("{reason}; trying again"));
            reason.clone_into(&mut warned);
        }
    }

    /// Sends a request without the headers that are the host's.
    async fn transmit(
        &self,
        url: &Url,
        request: &Request,
        credentials: RequestCredentials<'_>,
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
    fn judge(
        &self,
        url: &Url,
        response: Response,
        (repeatable, pages): (bool, Pages),
        priority: Priority,
        last: bool,
    ) -> Attempt {
        if let Some(reason) = intermediary::answered(url, &response, pages) {
            self.warn(&reason, last);
            return unreached(reason, repeatable, last);
        }
        let asked = header(&response, "retry-after");
        let wait = asked.and_then(|asked| retry::retry_after(asked, self.clock.now()));
        match response.status {
            429 => {
                if let Ok(mut calls) = self.calls.lock() {
                    calls.refused += 1;
                }
                if priority == Priority::Begin && !self.limiter.is_full(self.clock) {
                    self.refused_to_begin.fetch_add(1, Ordering::Relaxed);
                }
                if last {
                    return Attempt::Done(Ok(response));
                }
                let asked = wait.unwrap_or(Duration::from_secs(5));
                let pause = asked.min(retry::LONGEST_WAIT);
                if pause < asked {
                    self.events.warn(&format!(
                        "{} asks for a pause of {} s; {} s are waited, and then it is asked again",
                        intermediary::shown(url),
                        asked.as_secs(),
                        pause.as_secs()
                    ));
                }
                self.limiter.refused(pause, wait.is_some(), self.clock);
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

/// How to proceed after a request that did not reach the API, which may be different soon.
fn unreached(reason: String, repeatable: bool, last: bool) -> Attempt {
    match last || !repeatable {
        true => Attempt::Done(Err(RequestError::Unreachable(reason))),
        false => Attempt::Again(None),
    }
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
