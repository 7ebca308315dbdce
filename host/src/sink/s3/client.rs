//! The client of a bucket: where it sends, as whom, how patiently.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Region, RequestChecksumCalculation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};

use super::{Settings, settings::RetryMode};
use crate::aws::{assumed, identified};

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
    let base = identified(loader, &settings.identity.source).load().await;
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
