//! The certificate that a client shows, and the authorities that it trusts besides those of the system.

use reqwest::{Certificate, Client, ClientBuilder, Identity};
use secrecy::{ExposeSecret, SecretString};

/// The TLS settings of a client, in PEM.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    /// The certificate that is shown to servers that demand one, with its chain, and its private key.
    pub certificate: Option<SecretString>,
    /// Authorities that are trusted besides those of the system.
    pub authorities: Option<String>,
}

/// Why TLS settings cannot be used; no part of a key is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The certificate or the key is none, or they do not belong together.
    #[error(
        "the certificate and the key cannot be used: {0}; both must be PEM, and the key that of the certificate"
    )]
    Certificate(String),
    /// There is no authority's certificate.
    #[error("holds no certificate of an authority that can be used; it must be PEM")]
    Authorities,
}

impl ClientTls {
    /// Returns true if nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.authorities.is_none()
    }

    /// Makes a client of the settings, to see whether they can be used.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn check(&self) -> Result<(), TlsError> {
        match with_tls(Client::builder(), self)?.build() {
            Ok(_) => Ok(()),
            Err(error) => Err(TlsError::Certificate(deepest(&error))),
        }
    }
}

/// Has the clients of `builder` use the settings.
///
/// # Errors
/// [`TlsError`].
pub fn with_tls(mut builder: ClientBuilder, tls: &ClientTls) -> Result<ClientBuilder, TlsError> {
    if let Some(pem) = &tls.certificate {
        let identity = Identity::from_pem(pem.expose_secret().as_bytes());
        let identity = identity.map_err(|error| TlsError::Certificate(deepest(&error)))?;
        builder = builder.identity(identity);
    }
    if let Some(pem) = &tls.authorities {
        let found = Certificate::from_pem_bundle(pem.as_bytes());
        let found = found.map_err(|_| TlsError::Authorities)?;
        if found.is_empty() {
            return Err(TlsError::Authorities);
        }
        builder = builder.tls_certs_merge(found);
    }
    Ok(builder)
}

/// The innermost cause of an error.
fn deepest(error: &reqwest::Error) -> String {
    let layers = crate::layers(error);
    layers.last().cloned().unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_and_not_shown() {
        let with = |certificate: Option<&str>, authorities: Option<&str>| ClientTls {
            certificate: certificate.map(|text| SecretString::from(text.to_owned())),
            authorities: authorities.map(str::to_owned),
        };
        assert_eq!(ClientTls::default().check(), Ok(()));
        let error = with(Some("hush"), None).check().unwrap_err().to_string();
        assert!(
            error.contains("must be PEM") && !error.contains("hush"),
            "{error}"
        );
        let error = with(None, Some("hush")).check().unwrap_err();
        assert_eq!(error, TlsError::Authorities);
        assert!(!format!("{:?}", with(Some("hush"), None)).contains("hush"));
    }
}
