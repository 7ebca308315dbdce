//! Who a source's requests are made as: what proves it is added here, and only the host ever holds it.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use super::{
    Attempt, SOON, SourceHttp, millis,
    source_headers::is_smuggling,
    token::{OAuth, TokenError},
    transport::{HttpTransport, RequestCredentials, SignableRequest},
    unreached,
};
use recording_host_model::{Event, Request, RequestError, Response, clock::Clock, printable};

/// Who a source's requests are made as.
#[derive(Debug)]
pub enum Authenticator {
    /// Nobody in particular.
    None,
    /// An OAuth client.
    OAuth(OAuth),
    /// Somebody whose requests are signed one by one, such as an AWS identity.
    Signer(Box<dyn RequestSigner>),
    /// A user name and a password (RFC 7617).
    Basic(SecretString, SecretString),
    /// A secret in a header, ready to be sent.
    Header(HeaderName, HeaderValue),
}

impl Authenticator {
    /// Returns true if web servers of all kinds take it, and not the APIs of vendors alone.
    pub(crate) fn is_for_any_server(&self) -> bool {
        match self {
            Authenticator::None | Authenticator::Basic(..) | Authenticator::Header(..) => true,
            Authenticator::OAuth(_) | Authenticator::Signer(_) => false,
        }
    }
}

/// Signs requests with credentials that only the host ever holds.
#[async_trait]
pub trait RequestSigner: fmt::Debug + Send + Sync {
    /// The headers that a request must have to count as signed.
    ///
    /// # Errors
    /// [`SignError`] says whether a later attempt can succeed.
    async fn sign(&self, request: SignableRequest<'_>) -> Result<HeaderMap, SignError>;

    /// Drops credentials of which the server says that their time is up; returns true if it did.
    async fn expired(&self, status: u16, body: &[u8]) -> bool;
}

/// Why a request cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There are no credentials.
    #[error("{reason}")]
    Credentials {
        /// The obstacle and how to overcome it, without any secret.
        reason: String,
        /// True if a later attempt can succeed.
        retryable: bool,
    },
    /// The request is not one that can be signed.
    #[error("the request cannot be signed: {0}")]
    Request(String),
}

/// How much earlier a log-in is given up on the way there, so that it is named.
const LOG_IN: Duration = Duration::from_millis(500);

/// Why a secret cannot stand in a header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The source names a header that no secret goes into.
    #[error("the source wants a secret in the header `{0}`, which no source may choose")]
    Name(String),
    /// No header has such a value.
    #[error("the secret, or the prefix before it, has a character that no header may have")]
    Value,
}

/// Why a request cannot be proven to come from whom it comes.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It cannot be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl AuthError {
    /// Returns true if a later attempt can succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            AuthError::Token(error) => error.retryable(),
            AuthError::Sign(error) => matches!(
                error,
                SignError::Credentials {
                    retryable: true,
                    ..
                }
            ),
        }
    }
}

impl AuthError {
    /// How long whoever gives the credentials asks to wait, if they do.
    pub(crate) fn wait(&self) -> Option<Duration> {
        match self {
            AuthError::Token(error) => error.wait(),
            AuthError::Sign(_) => None,
        }
    }

    /// Returns true if something on the way to whoever knows the credentials answered in its place.
    pub(crate) fn is_of_an_intermediary(&self) -> bool {
        matches!(self, AuthError::Token(TokenError::Intermediary { .. }))
    }

    /// Returns true if it is about this request alone, so that others can be proven.
    pub fn is_of_the_request(&self) -> bool {
        match self {
            AuthError::Token(_) => false,
            AuthError::Sign(error) => matches!(error, SignError::Request(_)),
        }
    }
}

/// The proof of one request.
#[derive(Debug)]
pub enum RequestAuth {
    /// Nothing.
    None,
    /// A token, and whether it was fetched just now.
    Bearer(HeaderValue, bool),
    /// Headers that prove it.
    Signed(HeaderMap),
    /// A user name and a password.
    Basic(SecretString, SecretString),
}

impl RequestAuth {
    /// The credentials that go with the request.
    #[must_use]
    pub fn credentials(&self) -> RequestCredentials<'_> {
        match self {
            RequestAuth::None => RequestCredentials::None,
            RequestAuth::Bearer(token, _) => RequestCredentials::Bearer(token),
            RequestAuth::Signed(headers) => RequestCredentials::Signed(headers),
            RequestAuth::Basic(user, password) => RequestCredentials::Basic(user, password),
        }
    }

    /// Cuts the credentials out of an answer: a server may echo what it was sent, and the source does not
    /// see them.
    pub(crate) fn cut_out(&self, response: &mut Response) {
        for secret in self.secrets() {
            for (_, value) in &mut response.headers {
                if value.contains(&secret) {
                    *value = value.replace(&secret, CUT);
                }
            }
            cut(&mut response.body, secret.as_bytes());
        }
    }

    /// The texts that nobody but the server may see. What is short stands in answers by chance.
    fn secrets(&self) -> Vec<String> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let sent: Vec<String> = match self {
            RequestAuth::None => Vec::new(),
            RequestAuth::Bearer(token, _) => vec![text(token)],
            // A signature is of one request, and over soon; session tokens and keys are not.
            RequestAuth::Signed(headers) => headers
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "x-amz-date" | "x-amz-content-sha256"))
                .map(|(_, value)| text(value))
                .filter(|value| !value.starts_with("AWS4-"))
                .collect(),
            RequestAuth::Basic(user, password) => {
                let (user, password) = (user.expose_secret(), password.expose_secret());
                let pair = STANDARD.encode(format!("{user}:{password}"));
                vec![pair, password.to_owned()]
            }
        };
        // A scheme or a prefix stands before the secret itself.
        let words = sent.iter().flat_map(|sent| sent.split_whitespace());
        let secrets = words.filter(|word| word.len() >= SHORTEST);
        secrets.map(str::to_owned).collect()
    }

    /// Returns true if an access token was fetched for it just now.
    pub(crate) fn fresh(&self) -> bool {
        matches!(self, RequestAuth::Bearer(_, true))
    }
}

impl Authenticator {
    /// A secret in the header `name`, behind a `prefix`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn header(name: &str, prefix: &str, secret: &SecretString) -> Result<Self, HeaderError> {
        let wrong = || HeaderError::Name(printable(name));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        if name == HOST || is_smuggling(name.as_str()) {
            return Err(wrong());
        }
        let value = format!("{prefix}{}", secret.expose_secret());
        let mut value = HeaderValue::from_str(&value).map_err(|_| HeaderError::Value)?;
        value.set_sensitive(true);
        Ok(Authenticator::Header(name, value))
    }

    /// Makes the proof of a request.
    ///
    /// # Errors
    /// [`AuthError`] says whether a later attempt can succeed.
    pub async fn prove(
        &self,
        request: SignableRequest<'_>,
        exchange: &dyn HttpTransport,
        clock: Clock,
    ) -> Result<RequestAuth, AuthError> {
        match self {
            Authenticator::None => Ok(RequestAuth::None),
            Authenticator::OAuth(oauth) => {
                let (token, fresh) = oauth.token(exchange, clock).await?;
                Ok(RequestAuth::Bearer(token, fresh))
            }
            Authenticator::Signer(signer) => Ok(RequestAuth::Signed(signer.sign(request).await?)),
            Authenticator::Basic(user, password) => {
                Ok(RequestAuth::Basic(user.clone(), password.clone()))
            }
            Authenticator::Header(name, value) => {
                Ok(RequestAuth::Signed(HeaderMap::from_iter([(
                    name.clone(),
                    value.clone(),
                )])))
            }
        }
    }

    /// The error of a proof that was not there in time.
    pub(crate) fn late(&self, time: Duration) -> AuthError {
        match self {
            Authenticator::OAuth(oauth) => oauth.late(time).into(),
            _ => AuthError::Sign(SignError::Credentials {
                reason: format!(
                    "no answer from where they come from in {} s",
                    time.as_secs()
                ),
                retryable: true,
            }),
        }
    }

    /// Returns true if the answer says that the proof is no longer accepted and a new one may be: anything
    /// kept for it is dropped then.
    pub async fn refused(&self, proof: &RequestAuth, status: u16, body: &[u8]) -> bool {
        match (self, proof) {
            (Authenticator::OAuth(oauth), RequestAuth::Bearer(token, _)) if status == 401 => {
                oauth.forget(token).await;
                true
            }
            (Authenticator::Signer(signer), RequestAuth::Signed(_)) => {
                signer.expired(status, body).await
            }
            _ => false,
        }
    }
}

/// The kind of a request for an access token.
const TOKEN: &str = "token";

impl SourceHttp {
    /// Proves who a request comes from.
    pub(super) async fn proof(
        &self,
        url: &Url,
        request: &Request,
        last: bool,
    ) -> Result<RequestAuth, Attempt> {
        // Anew for each try: a signature is of its time.
        let signable = SignableRequest {
            method: request.method,
            url,
            headers: &request.headers,
            body: request.body.as_deref().unwrap_or_default(),
        };
        let began = Instant::now();
        let auth = self.login.prove(signable, &*self.exchange, self.clock);
        let auth = match self.is_hasty() {
            false => auth.await,
            true => {
                let proven = timeout(SOON - LOG_IN, auth).await;
                proven.unwrap_or_else(|_| Err(self.login.late(SOON)))
            }
        };
        let status = match &auth {
            Ok(auth) if auth.fresh() => Some(Some(200)),
            Ok(_) => None,
            Err(_) => Some(None),
        };
        if let Some(status) = status {
            self.events.emit(|| Event::Request {
                kind: TOKEN.to_owned(),
                method: "POST",
                status,
                millis: millis(began.elapsed()),
            });
        }
        let auth = match auth {
            Ok(auth) => auth,
            Err(error) if error.retryable() => {
                let reason = error.to_string();
                if error.is_of_an_intermediary() {
                    self.warn(&reason, last);
                }
                return Err(match (last, error.wait()) {
                    (false, Some(wait)) => Attempt::Again(Some(wait)),
                    _ => unreached(reason, true, last),
                });
            }
            // A source sees only the status of refused credentials.
            Err(error) => return Err(Attempt::Done(Err(RequestError::Refused(error.to_string())))),
        };
        if auth.fresh() {
            self.count(TOKEN);
        }
        Ok(auth)
    }

    /// Tries the credentials, if that takes no request to the API: an access token is asked for.
    ///
    /// # Errors
    /// [`AuthError`] says whether a later attempt can succeed.
    pub async fn log_in(&self) -> Result<(), AuthError> {
        match &*self.login {
            Authenticator::OAuth(oauth) => {
                oauth.token(&*self.exchange, self.clock).await?;
            }
            Authenticator::None
            | Authenticator::Signer(_)
            | Authenticator::Basic(..)
            | Authenticator::Header(..) => {}
        }
        Ok(())
    }
}

/// Stands where credentials were cut out.
const CUT: &str = "[cut out]";
/// Bytes that a secret has at least.
const SHORTEST: usize = 8;

/// Puts [`CUT`] in place of each occurrence of a secret.
fn cut(body: &mut Vec<u8>, secret: &[u8]) {
    let mut from = 0;
    while let Some(at) = find(&body[from..], secret) {
        let at = from + at;
        body.splice(at..at + secret.len(), CUT.bytes());
        from = at + CUT.len();
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_echoes_of_the_credentials_is_cut_out_of_its_answer() {
        let header = HeaderValue::from_static("Bearer s3cret-token");
        let auth = RequestAuth::Bearer(header, false);
        let mut response = Response {
            status: 200,
            headers: vec![("x-echo".to_owned(), "Bearer s3cret-token".to_owned())],
            body: b"{\"a\":\"s3cret-token\",\"b\":\"Bearer s3cret-token\"}".to_vec(),
        };
        auth.cut_out(&mut response);
        assert_eq!(response.headers[0].1, "Bearer [cut out]");
        let body = String::from_utf8(response.body).unwrap();
        assert_eq!(body, r#"{"a":"[cut out]","b":"Bearer [cut out]"}"#);
        let pair = RequestAuth::Basic("user".into(), "s3cret-word".into());
        let mut response = Response {
            status: 200,
            headers: Vec::new(),
            body: b"Basic dXNlcjpzM2NyZXQtd29yZA== s3cret-word".to_vec(),
        };
        pair.cut_out(&mut response);
        assert_eq!(response.body, b"Basic [cut out] [cut out]");
    }

    #[test]
    fn a_secret_goes_into_a_header_that_is_for_secrets_and_shows_itself_nowhere() {
        let made = |name: &str, prefix: &str, secret: &str| {
            Authenticator::header(name, prefix, &SecretString::from(secret))
        };
        let good = made("x-api-key", "Key ", "s3cret").unwrap();
        assert!(matches!(&good, Authenticator::Header(_, value) if value == "Key s3cret"));
        assert!(!format!("{good:?}").contains("s3cret"));
        for name in ["host", "Transfer-Encoding", "content-length", "a b", ""] {
            let error = made(name, "", "s3cret").unwrap_err();
            assert!(matches!(error, HeaderError::Name(_)), "{name}: {error}");
        }
        for (prefix, secret) in [("a\r\nb: ", "s3cret"), ("", "s3\ncret")] {
            let error = made("x-api-key", prefix, secret).unwrap_err();
            assert!(matches!(error, HeaderError::Value), "{error}");
            assert!(!error.to_string().contains("cret\n"), "{error}");
        }
    }
}
