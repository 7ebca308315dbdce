//! Objects sent to a server of one's own: a request for each, to a URL that ends with the key.
//!
//! An answer of the class 2xx means that the object is stored: that it is whole and durable then
//! is the server's promise. Requests have a length or are chunked, so a server can tell an object
//! that was interrupted. Small objects are sent again after retryable failures; a large one that
//! fails is returned to the caller, who supplies it again.

use std::{io, time::Duration};

use async_trait::async_trait;
use futures_util::stream;
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    Body, BodyAborted, BodyReader, Health, PutOptions, PutResult, Segments, Sink, SinkError,
};
use crate::{Backpressure, Retry};
use recording_host_network::{ClientTls, fault, proxy, with_tls};

/// The type of this sink.
const NAME: &str = "http";

/// Objects up to this size, in bytes, are kept until they are stored.
const SMALL: usize = 8 << 20;

/// Where objects are sent, and how.
#[derive(Clone, Debug)]
pub struct HttpSinkConfig {
    /// The URL, with `{key}` at the end of its path.
    pub url: Template,
    /// How the sender proves who it is.
    pub auth: Option<Auth>,
    /// Further headers.
    pub headers: Vec<(HeaderName, SecretString)>,
    /// The certificate that is shown to the server, and authorities of one's own.
    pub tls: ClientTls,
    /// The form of requests, and how long they may take.
    pub options: HttpOptions,
}

/// The form of requests, and how long they may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpOptions {
    /// The method of the requests.
    pub method: Verb,
    /// How requests are repeated.
    pub retry: Retry,
    /// How long is waited.
    pub timeout: HttpTimeout,
}

/// `put` or `post`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// PUT.
    #[default]
    Put,
    /// POST.
    Post,
}

/// How the sender proves who it is.
#[derive(Clone, Debug)]
pub enum Auth {
    /// `Authorization: Bearer`.
    Bearer(SecretString),
    /// `Authorization: Basic`.
    Basic {
        /// The user.
        user: SecretString,
        /// The password.
        password: SecretString,
    },
}

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpTimeout {
    /// For a connection, in seconds.
    pub connect_seconds: u64,
    /// For any progress, in seconds.
    pub read_seconds: u64,
}

impl Default for HttpTimeout {
    fn default() -> Self {
        HttpTimeout {
            connect_seconds: 10,
            read_seconds: 120,
        }
    }
}

/// A URL whose beginning is fixed and whose path ends with the key of an object. The rest of its path and
/// its query may be a secret, and are not shown.
#[derive(Clone)]
pub struct Template(Url);

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Template {
    /// Reads a URL such as `https://archive.example/calls/{key}`.
    ///
    /// # Errors
    /// Says what is wrong with it, without telling it.
    pub fn new(text: &str) -> Result<Self, String> {
        let form = "must be of the form https://host/path/{key}, perhaps with a query";
        let (before, after) = text.split_once("{key}").ok_or(form)?;
        if !before.ends_with('/') || !(after.is_empty() || after.starts_with('?')) {
            return Err(form.to_owned());
        }
        let url = Url::parse(&format!("{before}{after}"))
            .map_err(|error| format!("{error}; it {form}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.path().ends_with('/') {
            return Err(form.to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must have no user and password; use `auth`".to_owned());
        }
        Ok(Template(url))
    }

    /// The URL that the URLs of all objects begin with.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.0
    }

    fn of(&self, key: &str) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(key.split('/'));
        }
        url
    }

    /// The URL for messages: its path may be a secret as well.
    fn shown(&self) -> String {
        let path = match self.0.path() {
            "/" => "/",
            _ => "/.../",
        };
        format!("{}{path}", self.0.origin().ascii_serialization())
    }
}

/// The sink `http`.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    settings: HttpSinkConfig,
    headers: HeaderMap,
    backpressure: Backpressure,
}

impl Http {
    /// A sink with a client of its own.
    ///
    /// # Errors
    /// Says what is wrong with the settings.
    pub fn new(settings: HttpSinkConfig) -> Result<Self, SinkError> {
        let shown = settings.url.shown();
        let failure = |reason: String| SinkError::new(NAME, &shown, reason);
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let mut value = HeaderValue::from_str(value.expose_secret())
                .map_err(|_| failure(format!("the header {name} has an invalid value")))?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        proxy::check().map_err(failure)?;
        let builder = with_tls(Client::builder(), &settings.tls);
        let client = builder
            .map_err(|error| failure(format!("`tls`: {error}")))?
            .user_agent(concat!("recording-host/", env!("CARGO_PKG_VERSION")))
            // A redirect could lead credentials and recordings anywhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(
                settings.options.timeout.connect_seconds,
            ))
            .read_timeout(Duration::from_secs(settings.options.timeout.read_seconds))
            .build()
            .map_err(|error| failure(error.to_string()))?;
        Ok(Http {
            client,
            settings,
            headers,
            backpressure: Backpressure::default(),
        })
    }

    fn failure(&self, key: &str, reason: impl Into<String>, retryable: bool) -> SinkError {
        let key = format!("{}{key}", self.settings.url.shown());
        SinkError::new(NAME, &key, reason).with_retryable(retryable)
    }

    fn request(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        let request = self
            .client
            .request(method, url)
            .headers(self.headers.clone());
        match &self.settings.auth {
            None => request,
            Some(Auth::Bearer(token)) => request.bearer_auth(token.expose_secret()),
            Some(Auth::Basic { user, password }) => {
                request.basic_auth(user.expose_secret(), Some(password.expose_secret()))
            }
        }
    }

    /// One attempt; the pause that the server asks for goes with an error.
    async fn send(
        &self,
        key: &str,
        info: &PutOptions,
        size: Option<u64>,
        body: reqwest::Body,
    ) -> Result<Option<String>, (SinkError, Option<Duration>)> {
        let method = match self.settings.options.method {
            Verb::Put => Method::PUT,
            Verb::Post => Method::POST,
        };
        let mut request = self
            .request(method, self.settings.url.of(key))
            .header(CONTENT_TYPE, &info.content_type)
            .body(body);
        if let Some(size) = size {
            request = request.header(CONTENT_LENGTH, size);
        }
        let answer = request.send().await.map_err(|error| {
            if error.is_timeout() {
                self.backpressure.on_timeout();
            }
            (self.unreached(key, error), None)
        })?;
        self.backpressure.on_response(answer.status().as_u16());
        if answer.status().is_success() {
            let etag = answer
                .headers()
                .get(ETAG)
                .and_then(|etag| etag.to_str().ok());
            return Ok(etag.map(str::to_owned));
        }
        let pause = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|pause| pause.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        Err((self.refused(key, &answer), pause))
    }

    fn unreached(&self, key: &str, error: reqwest::Error) -> SinkError {
        let reason = format!("no answer: {}; check `url`", fault(&error));
        self.failure(key, reason, true)
    }

    fn refused(&self, key: &str, answer: &Response) -> SinkError {
        let status = answer.status();
        // A log-in that a proxy wants does not come by itself.
        let passes = status != StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        if let Some(by) = proxy::answered(answer.url(), status.as_u16()) {
            return self.failure(key, by, passes);
        }
        let way = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check `auth` and `headers`",
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "; check `url` and `method`",
            StatusCode::PAYLOAD_TOO_LARGE => "; let the server take objects of this size",
            _ if status.is_redirection() => {
                "; redirects are not followed: set `url` to where it leads"
            }
            _ => "",
        };
        let retryable = (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT;
        self.failure(key, format!("the server answers {status}{way}"), retryable)
    }

    async fn put_small(
        &self,
        key: &str,
        info: &PutOptions,
        data: Segments,
    ) -> Result<PutResult, SinkError> {
        let size = data.len() as u64;
        let most = Duration::from_secs(self.settings.options.retry.max_backoff_seconds);
        let mut tried = 0;
        loop {
            tried += 1;
            let pieces = data.clone().into_iter().map(Ok::<_, io::Error>);
            let body = if data.is_empty() {
                reqwest::Body::from("")
            } else {
                reqwest::Body::wrap_stream(stream::iter(pieces))
            };
            match self.send(key, info, Some(size), body).await {
                Ok(etag) => {
                    return Ok(PutResult {
                        size,
                        etag,
                        encrypted: None,
                    });
                }
                Err((error, pause))
                    if error.retryable && tried < self.settings.options.retry.attempts =>
                {
                    let growing = Duration::from_millis(200 << tried.min(16));
                    let longest = pause.unwrap_or(growing).min(most);
                    let drawn = rand::random_range(0.5..=1.0);
                    tokio::time::sleep(match pause {
                        Some(_) => longest,
                        None => longest.mul_f64(drawn),
                    })
                    .await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Sink for Http {
    fn name(&self) -> &str {
        NAME
    }

    async fn check(&self) -> Result<Health, SinkError> {
        // Nothing is known of what the server would make of a probe, so none is sent.
        let answer = self
            .request(Method::HEAD, self.settings.url.0.clone())
            .send()
            .await
            .map_err(|error| self.unreached("", error))?;
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
            || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || status.is_redirection()
            || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(self.refused("", &answer));
        }
        Ok(Health {
            found: format!("{}: the server answers", self.settings.url.shown()),
        })
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        let broken = |_: BodyAborted| self.failure(key, BodyAborted.to_string(), true);
        let mut body = BodyReader::new(body);
        let first = body.take(SMALL).await.map_err(broken)?;
        if body.at_end().await.map_err(broken)? {
            return self.put_small(key, &info, first).await;
        }
        body.give_back(first);
        let counted = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counting = counted.clone();
        let pieces = stream::unfold(Some(body), move |body| {
            let counting = counting.clone();
            async move {
                let mut body = body?;
                match body.next().await {
                    Ok(Some(data)) => {
                        let length = data.len() as u64;
                        counting.fetch_add(length, std::sync::atomic::Ordering::Relaxed);
                        Some((Ok(data), Some(body)))
                    }
                    Ok(None) => None,
                    // The request breaks off, too.
                    Err(broken) => Some((Err(broken), None)),
                }
            }
        });
        let body = reqwest::Body::wrap_stream(pieces);
        let etag = self
            .send(key, &info, info.size, body)
            .await
            .map_err(|(error, _)| error)?;
        let size = counted.load(std::sync::atomic::Ordering::Relaxed);
        if info.size.is_some_and(|expected| expected != size) {
            return Err(self.failure(key, "the server answered before it had everything", true));
        }
        Ok(PutResult {
            size,
            etag,
            encrypted: None,
        })
    }

    fn backpressure(&self) -> u64 {
        self.backpressure.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_the_fixed_beginning_of_the_url() {
        let template = Template::new("https://host/a/{key}?sig=hush").unwrap();
        let url = template.of("b c/../d?e#f%20");
        assert_eq!(url.origin().ascii_serialization(), "https://host");
        assert!(url.path().starts_with("/a/b%20c/"), "{url}");
        assert!(url.path().ends_with("/d%3Fe%23f%2520"), "{url}");
        assert_eq!(url.query(), Some("sig=hush"));
        assert!(!format!("{template:?}").contains("hush"));
    }

    #[test]
    fn a_url_without_a_fixed_beginning_is_refused() {
        for text in [
            "https://host/a",
            "https://{key}/a",
            "https://host{key}",
            "https://host/a-{key}",
            "https://host/{key}/b",
            "ftp://host/{key}",
            "https://user:pass@host/{key}",
        ] {
            assert!(Template::new(text).is_err(), "{text}");
        }
    }
}
