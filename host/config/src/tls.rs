//! The keys `tls` of sources and sinks: a certificate to show, and authorities of one's own.

use std::path::Path;

use recording_host_network::{ClientTls, TlsError};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::{
    ConfigError, file,
    sink::{Hidden, Secrets},
};

/// A certificate to show to servers that demand one, and authorities of one's own. Each value is a file in
/// PEM, or a secret that holds PEM itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsKeys {
    /// The certificate that is shown, with its chain.
    #[schemars(example = &"/etc/recording-host/client.pem")]
    cert: Option<Hidden>,
    /// The private key of the certificate.
    #[schemars(example = &"SECRET[env.CLIENT_KEY]")]
    key: Option<Hidden>,
    /// Certificate authorities that are trusted besides those of the system.
    #[schemars(example = &"/etc/recording-host/authority.pem")]
    ca: Option<Hidden>,
}

impl TlsKeys {
    /// The settings, with what they name read; `below` is where they stand in the place of `secrets`.
    pub(crate) fn settings(
        &self,
        secrets: &Secrets,
        below: &str,
    ) -> Result<ClientTls, ConfigError> {
        if !secrets.are_read() {
            return Ok(ClientTls::default());
        }
        let read = |name: &str, value: &Option<Hidden>| match value {
            None => Ok(None),
            Some(value) => pem(secrets, &format!("{below}.{name}"), value).map(Some),
        };
        let certificate = match (read("cert", &self.cert)?, read("key", &self.key)?) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let both = [cert.expose_secret(), "\n", key.expose_secret()].concat();
                Some(SecretString::from(both))
            }
            _ => return Err(secrets.error(below, "`cert` and `key` go together")),
        };
        let authorities = read("ca", &self.ca)?;
        let tls = ClientTls {
            certificate,
            authorities: authorities.map(|pem| pem.expose_secret().to_owned()),
        };
        if tls.is_empty() {
            return Ok(tls);
        }
        tls.check().map_err(|error| match error {
            TlsError::Certificate(_) => secrets.error(below, error),
            TlsError::Authorities => secrets.error(&format!("{below}.ca"), error),
        })?;
        Ok(tls)
    }
}

/// The PEM that a value is, or that stands in the file that it names.
fn pem(secrets: &Secrets, at: &str, value: &Hidden) -> Result<SecretString, ConfigError> {
    let found = secrets.get(at, value)?;
    if found.expose_secret().contains("-----BEGIN ") {
        return Ok(found);
    }
    if value.is_reference() {
        let reason = "the secret holds no PEM, which begins with -----BEGIN";
        return Err(secrets.error(at, reason));
    }
    let path = Path::new(found.expose_secret());
    let wrong = |reason: &str| {
        let reason = format!("{}: {reason}; name a file in PEM", path.display());
        Err(secrets.error(at, reason))
    };
    match file::text(path) {
        Err(error) => wrong(&error),
        Ok(text) if text.contains("-----BEGIN ") => Ok(SecretString::from(text)),
        Ok(_) => wrong("holds no PEM, which begins with -----BEGIN"),
    }
}
