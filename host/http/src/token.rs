//! Access tokens by OAuth 2.0 client credentials; only the host ever holds them.

use reqwest::{StatusCode, header::HeaderValue};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use recording_host_model::{Method, Request, RequestError, clock::Clock};

use super::{
    retry::is_retryable,
    transport::{Credentials, HttpTransport},
};

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
        matches!(self, TokenError::Unreachable { .. })
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
    /// When it is renewed (ms since the epoch).
    renew: u64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Denied {
    error: String,
}

impl OAuth {
    /// Credentials for the token endpoint at `endpoint`.
    #[must_use]
    pub fn new(endpoint: Url, client_id: SecretString, client_secret: SecretString) -> Self {
        OAuth {
            endpoint,
            client_id,
            client_secret,
            cached: Mutex::new(None),
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
        if let Some(token) = cached.as_ref().filter(|token| clock.now() < token.renew) {
            return Ok((token.header.clone(), false));
        }
        let host = self.endpoint.host_str().unwrap_or_default().to_owned();
        let unreachable = |reason| TokenError::Unreachable {
            host: host.clone(),
            reason,
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
        let credentials = Credentials::Basic(&self.client_id, &self.client_secret);
        let response = exchange
            .exchange(&self.endpoint, &request, credentials)
            .await
            .map_err(|fault| match fault {
                RequestError::Unreachable(reason) | RequestError::Refused(reason) => {
                    unreachable(reason)
                }
                RequestError::TooLarge(_) => unreachable("the answer is too large".to_owned()),
            })?;
        let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::BAD_GATEWAY);
        if is_retryable(response.status) {
            return Err(unreachable(format!("status {status}")));
        }
        let body = response.body;
        let granted: Granted = match serde_json::from_slice(&body) {
            Ok(granted) if status.is_success() => granted,
            _ => {
                let code = serde_json::from_slice::<Denied>(&body)
                    .map_or_else(|_| String::new(), |denied| format!(", {}", denied.error));
                return Err(TokenError::Refused {
                    host,
                    reason: format!("status {}{code}", status.as_u16()),
                });
            }
        };
        let mut header = HeaderValue::from_str(&format!("Bearer {}", granted.access_token))
            .map_err(|_| unreachable("the token is no header value".to_owned()))?;
        header.set_sensitive(true);
        let lifetime = granted.expires_in.unwrap_or(300) * 1000;
        *cached = Some(Token {
            header: header.clone(),
            // Early enough that a request under way does not meet the end.
            renew: clock.now() + lifetime - (lifetime / 10).min(60_000),
        });
        Ok((header, true))
    }

    /// Drops a token that the API did not accept, so that the next request fetches another.
    pub async fn forget(&self, header: &HeaderValue) {
        let mut cached = self.cached.lock().await;
        if cached.as_ref().is_some_and(|token| token.header == header) {
            *cached = None;
        }
    }
}
