//! The client that all traffic of a source goes through.

use std::{sync::Arc, time::Duration};

use super::{AllowedOrigins, PublicDnsResolver, SourceHttp, WHOLE_REQUEST};
use recording_host_network::{ClientTls, proxy, with_tls};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// Idle connections that are kept to one host: as many as there are downloads at once.
const IDLE: usize = 64;

/// The HTTP client cannot be made, as when the system has no certificates.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client: {0}")]
pub struct ClientError(pub(super) String);

/// A client for the origins of `allow`, with a time limit for whole requests if there is one.
/// Redirects are left to the caller, which checks where they lead.
pub(super) fn client(
    allow: &AllowedOrigins,
    timeout: Option<Duration>,
    tls: &ClientTls,
) -> Result<reqwest::Client, ClientError> {
    proxy::check().map_err(ClientError)?;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("recording-host/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_max_idle_per_host(IDLE);
    if !allow.private() {
        // Behind a proxy only its own name is resolved here, and those that NO_PROXY leaves out.
        builder = builder.dns_resolver(Arc::new(PublicDnsResolver::except(proxy::hosts())));
    }
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    with_tls(builder, tls)
        .map_err(|error| ClientError(error.to_string()))?
        .build()
        .map_err(|error| ClientError(error.to_string()))
}

impl SourceHttp {
    /// Makes its requests with these TLS settings.
    ///
    /// # Errors
    /// [`ClientError`] if they cannot be used.
    pub fn with_tls(mut self, tls: &ClientTls) -> Result<Self, ClientError> {
        self.exchange = Arc::new(client(&self.allow, Some(WHOLE_REQUEST), tls)?);
        Ok(self)
    }
}
