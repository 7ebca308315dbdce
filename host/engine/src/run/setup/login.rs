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
        let wrong = |reason: &str| {
            let needs = format!("sources.{}.auth: this source needs {reason}", self.name);
            Err(RunError::Config(needs))
        };
        match (scheme, &self.source.auth) {
            (AuthScheme::None, _) => Ok(Authenticator::None),
            (AuthScheme::Oauth2ClientCredentials, Some(auth @ Auth::Client { id, secret, .. })) => {
                let endpoint = self.token_endpoint(auth, origins).ok_or_else(|| {
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
            (AuthScheme::AwsSigv4, auth) => self.sigv4(auth.as_ref()).await,
            (AuthScheme::Basic, Some(Auth::Basic { username, password })) => {
                Ok(Authenticator::Basic(username.clone(), password.clone()))
            }
            (AuthScheme::Basic, _) => wrong("`username` and `password`"),
            (AuthScheme::Header(header), Some(Auth::Secret(secret))) => {
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
        if let Some(auth @ Auth::Client { id, .. }) = &self.source.auth
            && let Some(endpoint) = self.token_endpoint(auth, origins)
        {
            return format!("{endpoint}\n{}", id.expose_secret());
        }
        format!("source\n{}", self.name)
    }

    /// Where access tokens are issued: what the operator says comes before what a built-in source says.
    fn token_endpoint<'a>(&self, auth: &'a Auth, origins: &'a [Origin]) -> Option<&'a str> {
        if let Auth::Client {
            token_url: Some(url),
            ..
        } = auth
        {
            return Some(url);
        }
        let mut origins = origins.iter().filter(|_| self.source.builtin);
        let proposed = origins.find(|it| it.role == OriginRole::Token)?;
        Some(&proposed.url)
    }

    /// Signs as the AWS identity of the configuration, or of AWS' own settings.
    #[cfg(feature = "aws")]
    async fn sigv4(&self, auth: Option<&Auth>) -> Result<Authenticator, RunError> {
        let wrong = |at: &str, reason: &str| {
            RunError::Config(format!("sources.{}.{at}: {reason}", self.name))
        };
        let (identity, region, service) = match auth {
            None => (recording_host_sink_s3::Identity::default(), None, "s3"),
            Some(Auth::Aws(aws)) => (
                aws.identity.clone(),
                aws.region.as_deref(),
                aws.service.as_str(),
            ),
            Some(_) => {
                let reason = "this source needs AWS credentials, and has others";
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
        Err(RunError::Config(format!(
            "sources.{}: this source needs AWS credentials; build it with the feature `s3`",
            self.name
        )))
    }
}
