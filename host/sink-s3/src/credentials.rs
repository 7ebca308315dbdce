//! AWS credentials: where they come from, and the role that is taken with them.

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, profile::ProfileFileCredentialsProvider,
    sts::AssumeRoleProvider,
};
use aws_sdk_s3::config::SharedCredentialsProvider;
use secrecy::{ExposeSecret, SecretString};

/// Who speaks with AWS.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Where the credentials come from.
    pub source: Credentials,
    /// A role that is taken with them.
    pub role: Option<Role>,
}

/// Where credentials come from.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// AWS' default chain: environment, profile, web identity, container, instance.
    #[default]
    Chain,
    /// A profile of the AWS configuration files.
    Profile(String),
    /// Given as they are.
    Static {
        /// The access key's id.
        access_key_id: SecretString,
        /// The access key's secret.
        secret_access_key: SecretString,
        /// The token of temporary credentials.
        session_token: Option<SecretString>,
    },
}

/// A role to take by STS.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// The external id that its trust policy asks for.
    pub external_id: Option<SecretString>,
    /// The name of the session, as CloudTrail shows it.
    pub session_name: String,
    /// The URL of the token service, if not that of AWS.
    pub endpoint: Option<String>,
}

/// Makes a loader of AWS settings take its credentials from `source`.
pub(crate) fn identified(loader: ConfigLoader, source: &Credentials) -> ConfigLoader {
    match source {
        Credentials::Chain => loader,
        Credentials::Profile(name) => {
            // The chain would look into the environment first.
            let profile = ProfileFileCredentialsProvider::builder().profile_name(name);
            loader
                .profile_name(name)
                .credentials_provider(profile.build())
        }
        Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => loader.credentials_provider(aws_sdk_s3::config::Credentials::new(
            access_key_id.expose_secret(),
            secret_access_key.expose_secret(),
            session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned()),
            None,
            "configuration",
        )),
    }
}

/// Yields the credentials of a role that is taken with those of `base`.
pub(crate) async fn assumed(role: &Role, base: SdkConfig) -> AssumeRoleProvider {
    let base = match &role.endpoint {
        Some(endpoint) => base.into_builder().endpoint_url(endpoint).build(),
        None => base,
    };
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(&role.session_name);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id.expose_secret());
    }
    provider.configure(&base).build().await
}

/// Yields the credentials of `identity`, if it has any, and the region: the given one, or that of
/// AWS' own settings.
pub async fn provider(
    identity: &Identity,
    region: Option<&str>,
) -> (Option<SharedCredentialsProvider>, Option<String>) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let base = identified(loader, &identity.source).load().await;
    let region = base.region().map(ToString::to_string);
    let provider = match &identity.role {
        Some(role) => Some(SharedCredentialsProvider::new(assumed(role, base).await)),
        None => base.credentials_provider(),
    };
    (provider, region)
}
