//! The client of a bucket: where it sends, as whom, how patiently.

use std::time::Duration;

use aws_config::{profile::ProfileFileCredentialsProvider, sts::AssumeRoleProvider};
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Region, RequestChecksumCalculation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use secrecy::ExposeSecret;

use super::{
    Credentials, Settings,
    settings::{RetryMode, Role},
};

pub(super) async fn client(settings: &Settings) -> Client {
    let retry = match settings.retry.mode {
        RetryMode::Adaptive => RetryConfig::adaptive(),
        RetryMode::Standard => RetryConfig::standard(),
    }
    .with_max_attempts(settings.retry.attempts.max(1))
    .with_max_backoff(Duration::from_secs(settings.retry.max_backoff_seconds));
    let timeout = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(settings.timeout.connect_seconds))
        .read_timeout(Duration::from_secs(settings.timeout.read_seconds))
        .operation_attempt_timeout(Duration::from_secs(settings.timeout.attempt_seconds))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(retry)
        .timeout_config(timeout);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    match &settings.identity.source {
        Credentials::Chain => {}
        Credentials::Profile(name) => {
            // The chain would look into the environment first.
            let profile = ProfileFileCredentialsProvider::builder().profile_name(name);
            loader = loader
                .profile_name(name)
                .credentials_provider(profile.build());
        }
        Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
        } => {
            loader = loader.credentials_provider(aws_sdk_s3::config::Credentials::new(
                access_key_id.expose_secret(),
                secret_access_key.expose_secret(),
                session_token
                    .as_ref()
                    .map(|token| token.expose_secret().to_owned()),
                None,
                "configuration",
            ));
        }
    }
    let base = loader.load().await;
    let mut config = aws_sdk_s3::config::Builder::from(&base)
        .force_path_style(settings.path_style)
        // The sink computes checksums itself, while the bytes are in the cache.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    if let Some(role) = &settings.identity.role {
        config = config.credentials_provider(assumed(role, base).await);
    }
    Client::from_conf(config.build())
}

async fn assumed(role: &Role, base: aws_config::SdkConfig) -> AssumeRoleProvider {
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
