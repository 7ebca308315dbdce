//! The requests of a download: checked, with credentials where they belong, and followed to where they are
//! redirected.

use tokio::time::timeout;
use url::Url;

use super::{DownloadError, Downloads, SILENCE, text};
use recording_host_network::ClientTls;

use crate::{
    ClientError, RequestAuth, SignableRequest, client,
    intermediary::{self, fault},
    redirect,
    source_headers::unsendable,
};
use recording_host_model::{Artifact, Method};

impl Downloads {
    /// Makes its requests with these TLS settings.
    ///
    /// # Errors
    /// [`ClientError`] if they cannot be used.
    pub fn with_tls(mut self, tls: &ClientTls) -> Result<Self, ClientError> {
        self.client = client::client(&self.allow, None, tls)?;
        Ok(self)
    }

    /// Asks for an artifact with these further headers, wherever it is redirected to; each place is checked
    /// as the first one is. Returns the credentials that were sent to the last of them, too.
    pub(super) async fn follow(
        &self,
        artifact: &Artifact,
        more: &[(&str, String)],
    ) -> Result<(RequestAuth, reqwest::Response), DownloadError> {
        let recipe = &artifact.download;
        if let Some(reason) = unsendable(&recipe.headers) {
            let code = "bad-header";
            return Err(DownloadError::Refused { code, reason });
        }
        let mut headers = &recipe.headers[..];
        // Credentials are sent only where the source's own requests may go.
        let mut authenticated = recipe.authenticated;
        let mut url = match authenticated {
            true => self.allow.api(&recipe.url)?,
            false => self.allow.media(&recipe.url)?,
        };
        for _ in 0..=redirect::MOST {
            let proof = match authenticated {
                true => self.proof(&url, headers).await?,
                false => RequestAuth::None,
            };
            let response = self.send(&url, headers, more, &proof).await?;
            let location = text(response.headers(), "location");
            let status = response.status().as_u16();
            let next = redirect::target(&url, Method::Get, status, location.as_deref());
            let Some(next) = next else {
                return Ok((proof, response));
            };
            let (from, origin) = (intermediary::shown(&url), url.origin());
            if authenticated && let Ok(next) = self.allow.api(next.as_str()) {
                url = next;
            } else {
                authenticated = false;
                url = self.allow.media(next.as_str()).map_err(|error| {
                    // A portal in between redirects, too: another time the link may work.
                    DownloadError::Link(format!("{from} redirects the download: {error}"))
                })?;
            }
            if url.origin() != origin {
                // They were meant for the first place, and may be secret.
                headers = &[];
            }
        }
        let reason = format!("{} redirects without end", intermediary::shown(&url));
        Err(DownloadError::Link(reason))
    }

    /// The credentials for a request.
    async fn proof(
        &self,
        url: &Url,
        headers: &[(String, String)],
    ) -> Result<RequestAuth, DownloadError> {
        let signable = SignableRequest {
            method: Method::Get,
            url,
            headers,
            body: b"",
        };
        let proof = self.login.prove(signable, &self.client, self.clock).await;
        proof.map_err(|error| {
            let reason = error.to_string();
            match error.is_of_the_request() {
                true => DownloadError::Refused {
                    code: "bad-link",
                    reason,
                },
                false if error.retryable() => DownloadError::retryable(reason),
                false => DownloadError::Credentials(reason),
            }
        })
    }

    /// Sends a request to one place.
    async fn send(
        &self,
        url: &Url,
        headers: &[(String, String)],
        more: &[(&str, String)],
        proof: &RequestAuth,
    ) -> Result<reqwest::Response, DownloadError> {
        self.throttle.open(self.clock).await;
        let credentials = proof.credentials();
        // The bytes that are stored are those of the file itself.
        let mut request = self
            .client
            .get(url.clone())
            .header("accept-encoding", "identity");
        for (name, value) in self.dropped.kept(headers, credentials, &self.events) {
            request = request.header(name, value);
        }
        request = credentials.add_to(request);
        for (name, value) in more {
            request = request.header(*name, value);
        }
        match timeout(SILENCE, request.send()).await {
            Ok(response) => response.map_err(|error| DownloadError::retryable(fault(&error))),
            Err(_) => {
                self.backpressure.on_timeout();
                Err(DownloadError::retryable("the media server did not answer"))
            }
        }
    }
}
