//! Access tokens by OAuth 2.0 client credentials; only the host ever holds them.

use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use recording_host_model::{Method, Request, RequestError, Response, clock::Clock, printable};

use super::{
    header, intermediary, redirect,
    retry::{is_retryable, retry_after},
    transport::{HttpTransport, RequestCredentials},
};

/// How long a token lives of which that is not said, in seconds.
const LIFETIME: f64 = 300.0;
/// The longest that a token is believed to live, in seconds.
const LONGEST_LIFETIME: f64 = 86_400.0;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The log-in host cannot be reached, or is unavailable.
    #[error("no access token from {host}: {reason}; the attempt can be repeated")]
    Unreachable {
        /// The log-in host.
        host: String,
        /// A description of the failure.
        reason: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
    /// Something on the way to the log-in host answered in its place.
    #[error("no access token from {host}: {reason}")]
    Intermediary {
        /// The log-in host.
        host: String,
        /// Who answered in its place, and how to fix it.
        reason: String,
    },
    /// The credentials are wrong.
    #[error(
        "{host} refused the client credentials ({reason}); check `auth.client_id`, `auth.client_secret` and the region"
    )]
    Refused {
        /// The log-in host.
        host: String,
        /// The status and the OAuth error code.
        reason: String,
    },
}

impl TokenError {
    /// Returns true if a later attempt can succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        !matches!(self, TokenError::Refused { .. })
    }

    /// How long the log-in host asks to wait, if it does.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            TokenError::Unreachable { wait, .. } => *wait,
            TokenError::Intermediary { .. } | TokenError::Refused { .. } => None,
        }
    }
}

/// The client credentials of a source and the token that they last yielded.
#[derive(Debug)]
pub struct OAuth {
    endpoint: Url,
    client_id: SecretString,
    client_secret: SecretString,
    cached: Mutex<Option<Token>>,
}

#[derive(Clone, Debug)]
struct Token {
    header: HeaderValue,
    /// When it is renewed, in the clock's elapsed time (ms).
    renew: u64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Granted {
    /// How long the token lives, in milliseconds; whoever issues it may name any number.
    fn lifetime(&self) -> u64 {
        let reported = match &self.expires_in {
            serde_json::Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        };
        let reported = reported.filter(|seconds: &f64| seconds.is_finite());
        let seconds = reported.map_or(LIFETIME, |seconds| seconds.clamp(0.0, LONGEST_LIFETIME));
        (seconds * 1000.0) as u64
    }
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

impl OAuth {
    /// RequestCredentials for the token endpoint at `endpoint`.
    #[must_use]
    pub fn new(endpoint: Url, client_id: SecretString, client_secret: SecretString) -> Self {
        OAuth {
            endpoint,
            client_id,
            client_secret,
            cached: Mutex::new(None),
        }
    }

    /// The error of a log-in that has not answered in time.
    pub(crate) fn late(&self, time: Duration) -> TokenError {
        TokenError::Unreachable {
            host: intermediary::shown(&self.endpoint),
            reason: format!("no answer in {} s", time.as_secs()),
            wait: None,
        }
    }

    /// The value of the Authorization header, and whether it was fetched just now.
    ///
    /// # Errors
    /// [`TokenError`] says whether a later attempt can succeed.
    pub(crate) async fn token(
        &self,
        exchange: &dyn HttpTransport,
        clock: Clock,
    ) -> Result<(HeaderValue, bool), TokenError> {
        let mut cached = self.cached.lock().await;
        if let Some(token) = cached
            .as_ref()
            .filter(|token| clock.elapsed() < token.renew)
        {
            return Ok((token.header.clone(), false));
        }
        let host = intermediary::shown(&self.endpoint);
        let unreachable = |reason| TokenError::Unreachable {
            host: host.clone(),
            reason,
            wait: None,
        };
        let request = Request {
            method: Method::Post,
            url: self.endpoint.to_string(),
            headers: vec![(
                "content-type".to_owned(),
                "application/x-www-form-urlencoded".to_owned(),
            )],
            body: Some(b"grant_type=client_credentials".to_vec()),
            repeatable: true,
        };
        let credentials = RequestCredentials::Basic(&self.client_id, &self.client_secret);
        let response = exchange
            .exchange(&self.endpoint, &request, credentials)
            .await
            .map_err(|fault| match fault {
                RequestError::Unreachable(reason) | RequestError::Refused(reason) => {
                    unreachable(reason)
                }
                RequestError::TooLarge(_) => unreachable("the answer is too large".to_owned()),
            })?;
        let granted = self.granted(&response, clock.now())?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", granted.access_token))
            .map_err(|_| unreachable("the token is no header value".to_owned()))?;
        bearer.set_sensitive(true);
        let lifetime = granted.lifetime();
        *cached = Some(Token {
            header: bearer.clone(),
            // Early enough that a request under way does not meet the end.
            renew: clock.elapsed() + lifetime - (lifetime / 10).min(60_000),
        });
        Ok((bearer, true))
    }

    /// The token in an answer of the log-in service. Only what that service itself says, in the words of
    /// RFC 6749, section 5.2, is about the credentials; all else may be different the next time.
    fn granted(&self, response: &Response, now: u64) -> Result<Granted, TokenError> {
        let host = intermediary::shown(&self.endpoint);
        let status = response.status;
        let wait = header(response, "retry-after").and_then(|text| retry_after(text, now));
        let unreachable = |reason: String| TokenError::Unreachable {
            host: host.clone(),
            reason,
            wait: wait.filter(|_| is_retryable(status)),
        };
        if is_retryable(status) {
            return Err(unreachable(format!("status {status}")));
        }
        let location = header(response, "location");
        if let Some(to) = redirect::pointed(&self.endpoint, status, location) {
            let why = "credentials are sent to the token endpoint alone (`auth.token_url`)";
            let reason = intermediary::redirected(&self.endpoint, &to, why);
            return Err(TokenError::Intermediary { host, reason });
        }
        if let Some(reason) =
            intermediary::answered(&self.endpoint, response, intermediary::Pages::None)
        {
            return Err(TokenError::Intermediary { host, reason });
        }
        if (200..300).contains(&status) {
            return serde_json::from_slice(&response.body)
                .map_err(|_| unreachable(format!("status {status}, but no token in the answer")));
        }
        let denied = serde_json::from_slice::<Denied>(&response.body).ok();
        match denied {
            Some(denied) => Err(TokenError::Refused {
                host,
                reason: format!("status {status}, {}", printable(&denied.error)),
            }),
            None if matches!(status, 400 | 401) => Err(TokenError::Refused {
                host,
                reason: format!("status {status}"),
            }),
            None => Err(unreachable(format!(
                "status {status} but not in the form of a log-in service; check the address, and any proxy on the way"
            ))),
        }
    }

    /// Drops a token that the API did not accept, so that the next request fetches another.
    pub async fn forget(&self, header: &HeaderValue) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|token| token.header == header) {
            *cached = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(status: u16, kind: &str, body: &str) -> Result<Granted, TokenError> {
        let endpoint = Url::parse("https://login.example/oauth/token").unwrap();
        let secret = || SecretString::from("hush");
        let answer = Response {
            status,
            headers: vec![
                ("content-type".to_owned(), kind.to_owned()),
                ("retry-after".to_owned(), "7".to_owned()),
                (
                    "location".to_owned(),
                    "https://portal.example/?back=hush".to_owned(),
                ),
            ],
            body: body.into(),
        };
        OAuth::new(endpoint, secret(), secret()).granted(&answer, 0)
    }

    #[test]
    fn only_the_log_in_service_itself_refuses_credentials() {
        let json = "application/json";
        for (status, kind, body) in [
            (400, json, r#"{"error": "invalid_client"}"#),
            (401, json, r#"{"error": "invalid_client"}"#),
            (403, json, r#"{"error": "access_denied"}"#),
            (401, "", ""),
        ] {
            let error = granted(status, kind, body).err().unwrap();
            assert!(!error.retryable(), "{error}");
        }
        for (status, kind, body, words) in [
            (
                200,
                "text/html",
                "<html>blocked",
                "page of HTML with status 200",
            ),
            (
                403,
                "text/html",
                "<html>blocked",
                "page of HTML with status 403",
            ),
            (
                401,
                "text/html",
                "<html>blocked",
                "page of HTML with status 401",
            ),
            (407, "", "", "demands a log-in of its own"),
            (302, "", "", "redirects to portal.example,"),
            (404, "text/plain", "no", "status 404"),
            (502, "", "", "status 502"),
            (200, json, "{}", "no token"),
            (200, json, "", "no token"),
        ] {
            let error = granted(status, kind, body).err().unwrap();
            let text = error.to_string();
            assert!(
                error.retryable() && text.contains(words),
                "{status}: {text}"
            );
            assert!(text.contains("login.example"), "{text}");
            assert!(!text.contains("hush"), "{text}");
            let wait = (status == 502).then(|| Duration::from_secs(7));
            assert_eq!(error.wait(), wait, "{status}");
        }
    }

    #[test]
    fn a_lifetime_is_within_bounds_whatever_number_is_given() {
        for (reported, millis) in [
            ("3600", 3_600_000),
            ("\"3600\"", 3_600_000),
            ("18446744073709551615", 86_400_000),
            ("1e300", 86_400_000),
            ("-1", 0),
            ("null", 300_000),
            ("{}", 300_000),
        ] {
            let body = format!(r#"{{"access_token": "t", "expires_in": {reported}}}"#);
            let granted = granted(200, "application/json", &body).unwrap();
            assert_eq!(granted.lifetime(), millis, "{reported}");
        }
    }
}
