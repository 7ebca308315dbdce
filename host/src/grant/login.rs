//! Who a source's requests are made as: what proves it is added here, and only the host ever holds it.

use reqwest::header::{HeaderMap, HeaderValue};

#[cfg(feature = "s3")]
use super::sigv4::{SigV4, SigV4Error};
use super::{
    exchange::{Credentials, Exchange, Provable},
    token::{OAuth, TokenError},
};
use crate::clock::Clock;

/// Who a source's requests are made as.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "s3"),
    allow(clippy::large_enum_variant, reason = "there is one for a source")
)]
pub enum Login {
    /// Nobody in particular.
    None,
    /// An OAuth client.
    OAuth(OAuth),
    /// An AWS identity.
    #[cfg(feature = "s3")]
    SigV4(SigV4),
}

/// Why a request cannot be proven to come from whom it comes.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// There is no access token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It cannot be signed.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    SigV4(#[from] SigV4Error),
}

impl LoginError {
    /// Whether a later attempt can succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            LoginError::Token(error) => error.retryable(),
            #[cfg(feature = "s3")]
            LoginError::SigV4(error) => error.retryable(),
        }
    }
}

impl LoginError {
    /// Whether it is about this request alone, so that others can be proven.
    pub(crate) fn is_of_the_request(&self) -> bool {
        match self {
            LoginError::Token(_) => false,
            #[cfg(feature = "s3")]
            LoginError::SigV4(error) => matches!(error, SigV4Error::Request(_)),
        }
    }
}

/// What proves one request.
#[derive(Debug)]
pub(crate) enum Proof {
    None,
    /// A token, and whether it was fetched just now.
    Bearer(HeaderValue, bool),
    /// Signed headers.
    #[cfg_attr(not(feature = "s3"), allow(dead_code, reason = "nothing signs"))]
    Signed(HeaderMap),
}

impl Proof {
    pub(crate) fn credentials(&self) -> Credentials<'_> {
        match self {
            Proof::None => Credentials::None,
            Proof::Bearer(token, _) => Credentials::Bearer(token),
            Proof::Signed(headers) => Credentials::Signed(headers),
        }
    }

    /// Whether an access token was fetched for it just now.
    pub(crate) fn fresh(&self) -> bool {
        matches!(self, Proof::Bearer(_, true))
    }
}

#[cfg_attr(not(feature = "s3"), allow(unused_variables, reason = "nothing signs"))]
impl Login {
    /// Makes the proof of a request.
    ///
    /// # Errors
    /// [`LoginError`] says whether a later attempt can succeed.
    pub(crate) async fn prove(
        &self,
        request: Provable<'_>,
        exchange: &dyn Exchange,
        clock: Clock,
    ) -> Result<Proof, LoginError> {
        match self {
            Login::None => Ok(Proof::None),
            Login::OAuth(oauth) => {
                let (token, fresh) = oauth.token(exchange, clock).await?;
                Ok(Proof::Bearer(token, fresh))
            }
            #[cfg(feature = "s3")]
            Login::SigV4(signer) => Ok(Proof::Signed(signer.sign(request).await?)),
        }
    }

    /// Whether the answer says that the proof is no longer accepted and a new one may be: what was
    /// kept for it is dropped then.
    pub(crate) async fn refused(&self, proof: &Proof, status: u16, body: &[u8]) -> bool {
        match (self, proof) {
            (Login::OAuth(oauth), Proof::Bearer(token, _)) if status == 401 => {
                oauth.forget(token).await;
                true
            }
            #[cfg(feature = "s3")]
            (Login::SigV4(signer), Proof::Signed(_)) => signer.expired(status, body).await,
            _ => false,
        }
    }
}
