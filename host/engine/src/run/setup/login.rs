//! Who a source's requests are made as: the configuration's credentials, of the sort that the source needs.

use super::{Pipeline, RunError};
use crate::run::Auth;
use recording_host_http::{AllowedOrigins, Authenticator, OAuth};
use recording_host_model::{AuthScheme, Origin, OriginRole};
use secrecy::ExposeSecret;

impl Pipeline {
    /// Who the source's requests are made as.
    pub(super) async fn login(
        &self,
        scheme: AuthScheme,
        origins: &[Origin],
        allow: &AllowedOrigins,
    ) -> Result<Authenticator, RunError> {
        let endpoint = origins
            .iter()
            .find(|origin| origin.role == OriginRole::Token);
        match (scheme, &self.source.auth, endpoint) {
            (AuthScheme::None, _, _) => Ok(Authenticator::None),
            (
                AuthScheme::Oauth2ClientCredentials,
                Some(Auth::Client { id, secret }),
                Some(endpoint),
            ) => {
                let endpoint = allow.token(&endpoint.url).map_err(|error| {
                    RunError::Host(format!(
                        "sources.{}: the credentials are not sent to the token endpoint: {error}",
                        self.name
                    ))
                })?;
                let oauth = OAuth::new(endpoint, id.clone(), secret.clone());
                Ok(Authenticator::OAuth(oauth))
            }
            (AuthScheme::Oauth2ClientCredentials, _, Some(_)) => Err(RunError::Host(format!(
                "sources.{}.auth: this source needs `client_id` and `client_secret`",
                self.name
            ))),
            (AuthScheme::Oauth2ClientCredentials, _, None) => Err(RunError::Host(format!(
                "sources.{}: the component names no token endpoint",
                self.name
            ))),
            (AuthScheme::AwsSigv4, auth, _) => self.sigv4(auth.as_ref()).await,
        }
    }

    /// What tells the credentials of its requests from others, without their secret; none if they have a
    /// rate limit of their own.
    pub(super) fn credential(&self, origins: &[Origin]) -> Option<String> {
        let mut origins = origins.iter();
        let endpoint = origins.find(|origin| origin.role == OriginRole::Token)?;
        match &self.source.auth {
            Some(Auth::Client { id, .. }) => {
                Some(format!("{}\n{}", endpoint.url, id.expose_secret()))
            }
            _ => None,
        }
    }

    /// Signs as the AWS identity of the configuration, or of AWS' own settings.
    #[cfg(feature = "aws")]
    async fn sigv4(&self, auth: Option<&Auth>) -> Result<Authenticator, RunError> {
        let wrong = |at: &str, reason: &str| {
            RunError::Host(format!("sources.{}.{at}: {reason}", self.name))
        };
        let (identity, region, service) = match auth {
            None => (recording_host_sink_s3::Identity::default(), None, "s3"),
            Some(Auth::Aws(aws)) => (
                aws.identity.clone(),
                aws.region.as_deref(),
                aws.service.as_str(),
            ),
            Some(Auth::Client { .. }) => {
                let reason = "this source needs AWS credentials, not an OAuth client";
                return Err(wrong("auth", reason));
            }
        };
        let region = region.or_else(|| self.source.options.get("region")?.as_str());
        let (provider, region) =
            recording_host_sink_s3::credentials::provider(&identity, region).await;
        let region = region
            .ok_or_else(|| wrong("auth.region", "missing, and AWS' own settings have none"))?;
        let provider = provider.ok_or_else(|| wrong("auth", "there are no AWS credentials"))?;
        let signer = recording_host_http::SigV4::new(provider, region, service.to_owned());
        Ok(Authenticator::SigV4(signer))
    }

    #[cfg(not(feature = "aws"))]
    async fn sigv4(&self, _auth: Option<&Auth>) -> Result<Authenticator, RunError> {
        Err(RunError::Host(format!(
            "sources.{}: this source needs AWS credentials; build it with the feature `s3`",
            self.name
        )))
    }
}
