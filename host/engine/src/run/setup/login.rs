//! Who a source's requests are made as: the configuration's credentials, of the sort that the source needs.

use std::time::Duration;

use super::{Pipeline, RunError};
use crate::run::{AwsAuth, SourceAuth, aws};
use recording_host_http::{AllowedOrigins, Authenticator, OAuth};
use recording_host_model::{AuthScheme, Error, ErrorKind, Origin};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::time::timeout;

/// How long a log-in that is tried alone may take.
const ANSWERS: Duration = Duration::from_secs(8);

impl Pipeline {
    /// Asks for an access token if the source's credentials are those of an OAuth client; those of other
    /// sorts cannot be tried without a request to the source's API.
    ///
    /// # Errors
    /// [`Error`] says by [`is_retryable`](Error::is_retryable) whether a later attempt can succeed.
    pub async fn try_log_in(&self) -> Result<(), Error> {
        let http = self.connect().await?.http;
        let tried = timeout(ANSWERS, http.log_in()).await;
        let tried = tried.map_err(|_| {
            let late = format!("no answer to the log-in in {} s", ANSWERS.as_secs());
            Error::new(ErrorKind::Source, late).with_retryable(true)
        })?;
        tried.map_err(|error| {
            let retryable = error.retryable();
            Error::new(ErrorKind::Source, error).with_retryable(retryable)
        })
    }

    /// Who the source's requests are made as.
    pub(super) async fn login(
        &self,
        scheme: AuthScheme,
        origins: &[Origin],
        allow: &AllowedOrigins,
    ) -> Result<Authenticator, RunError> {
        let wrong = |reason: &str| {
            let needs = format!("sources.{}.auth: this source needs {reason}", self.name);
            Err(RunError::Config(needs))
        };
        match (scheme, &self.source.auth) {
            (AuthScheme::None, _) => Ok(Authenticator::None),
            (AuthScheme::Oauth2ClientCredentials, Some(SourceAuth::Client { id, secret, .. })) => {
                let endpoint = self.source.token_endpoint(origins).ok_or_else(|| {
                    RunError::Config(format!(
                        "sources.{}.auth.token_url: missing; give the URL at which access tokens are issued, since a component that is not built in does not decide where the secret goes",
                        self.name
                    ))
                })?;
                let endpoint = allow.token(endpoint).map_err(|error| {
                    RunError::Config(format!(
                        "sources.{}: the credentials are not sent to the token endpoint: {error}",
                        self.name
                    ))
                })?;
                let oauth = OAuth::new(endpoint, id.clone(), secret.clone());
                Ok(Authenticator::OAuth(oauth))
            }
            (AuthScheme::Oauth2ClientCredentials, _) => wrong("`client_id` and `client_secret`"),
            (AuthScheme::AwsSigv4, None) => self.signer(None).await,
            (AuthScheme::AwsSigv4, Some(SourceAuth::Aws(identity))) => {
                self.signer(Some(identity)).await
            }
            (AuthScheme::AwsSigv4, _) => wrong("AWS credentials, and has others"),
            (AuthScheme::Basic, Some(SourceAuth::Basic { username, password })) => {
                Ok(Authenticator::Basic(username.clone(), password.clone()))
            }
            (AuthScheme::Basic, _) => wrong("`username` and `password`"),
            (AuthScheme::Header(header), Some(SourceAuth::Secret(secret))) => {
                let made = Authenticator::header(&header.name, &header.prefix, secret);
                made.map_err(|error| {
                    RunError::Config(format!("sources.{}.auth: {error}", self.name))
                })
            }
            (AuthScheme::Header(header), _) => {
                wrong(&format!("`secret`, for the header `{}`", header.name))
            }
        }
    }

    /// A text that distinguishes the credentials of its requests from others, without their secret: for
    /// some sources no other one shares them.
    pub(super) fn credential(&self, origins: &[Origin]) -> String {
        if let Some(SourceAuth::Client { id, .. }) = &self.source.auth
            && let Some(endpoint) = self.source.token_endpoint(origins)
        {
            return format!("{endpoint}\n{}", id.expose_secret());
        }
        format!("source\n{}", self.name)
    }

    /// Signs as an AWS identity; without one, as AWS' own settings say.
    async fn signer(&self, identity: Option<&AwsAuth>) -> Result<Authenticator, RunError> {
        let region = self.source.options.get("region");
        let signer = aws::signer(identity, region.and_then(Value::as_str)).await;
        let signer =
            signer.map_err(|reason| RunError::Config(format!("sources.{}{reason}", self.name)))?;
        Ok(Authenticator::Signer(signer))
    }
}
