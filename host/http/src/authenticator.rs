//! Who a source's requests are made as: what proves it is added here, and only the host ever holds it.

use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use secrecy::{ExposeSecret, SecretString};

#[cfg(feature = "aws")]
use super::sigv4::{SigV4, SigV4Error};
use super::{
    token::{OAuth, TokenError},
    transport::{Credentials, HttpTransport, SignableRequest},
};
use recording_host_model::{clock::Clock, printable};

/// Who a source's requests are made as.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "aws"),
    allow(clippy::large_enum_variant, reason = "there is one for a source")
)]
pub enum Authenticator {
    /// Nobody in particular.
    None,
    /// An OAuth client.
    OAuth(OAuth),
    /// An AWS identity.
    #[cfg(feature = "aws")]
    SigV4(SigV4),
    /// A user name and a password (RFC 7617).
    Basic(SecretString, SecretString),
    /// A secret in a header, ready to be sent.
    Header(HeaderName, HeaderValue),
}

/// Why a secret cannot stand in a header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The source names a header that no secret goes into.
    #[error("the source wants a secret in the header `{0}`, which is not for secrets")]
    Name(String),
    /// No header has such a value.
    #[error("the secret, or the prefix before it, has a character that no header may have")]
    Value,
}

/// Headers that steer a connection: no source chooses their values.
const STEERING: [HeaderName; 6] = [
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    TE,
    UPGRADE,
];

/// Why a request cannot be proven to come from whom it comes.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It cannot be signed.
    #[cfg(feature = "aws")]
    #[error(transparent)]
    SigV4(#[from] SigV4Error),
}

impl AuthError {
    /// Returns true if a later attempt can succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            AuthError::Token(error) => error.retryable(),
            #[cfg(feature = "aws")]
            AuthError::SigV4(error) => error.retryable(),
        }
    }
}

impl AuthError {
    /// Returns true if it is about this request alone, so that others can be proven.
    pub fn is_of_the_request(&self) -> bool {
        match self {
            AuthError::Token(_) => false,
            #[cfg(feature = "aws")]
            AuthError::SigV4(error) => matches!(error, SigV4Error::Request(_)),
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
    pub fn credentials(&self) -> Credentials<'_> {
        match self {
            RequestAuth::None => Credentials::None,
            RequestAuth::Bearer(token, _) => Credentials::Bearer(token),
            RequestAuth::Signed(headers) => Credentials::Signed(headers),
            RequestAuth::Basic(user, password) => Credentials::Basic(user, password),
        }
    }

    /// Returns true if an access token was fetched for it just now.
    pub(crate) fn fresh(&self) -> bool {
        matches!(self, RequestAuth::Bearer(_, true))
    }
}

#[cfg_attr(
    not(feature = "aws"),
    allow(unused_variables, reason = "nothing signs")
)]
impl Authenticator {
    /// A secret in the header `name`, behind a `prefix`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn header(name: &str, prefix: &str, secret: &SecretString) -> Result<Self, HeaderError> {
        let wrong = || HeaderError::Name(printable(name));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        if STEERING.contains(&name) {
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
            #[cfg(feature = "aws")]
            Authenticator::SigV4(signer) => Ok(RequestAuth::Signed(signer.sign(request).await?)),
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

    /// Returns true if the answer says that the proof is no longer accepted and a new one may be: anything
    /// kept for it is dropped then.
    pub async fn refused(&self, proof: &RequestAuth, status: u16, body: &[u8]) -> bool {
        match (self, proof) {
            (Authenticator::OAuth(oauth), RequestAuth::Bearer(token, _)) if status == 401 => {
                oauth.forget(token).await;
                true
            }
            #[cfg(feature = "aws")]
            (Authenticator::SigV4(signer), RequestAuth::Signed(_)) => {
                signer.expired(status, body).await
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
