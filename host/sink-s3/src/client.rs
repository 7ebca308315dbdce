//! The client of a bucket: where it sends, as whom, how patiently.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation,
        SharedCredentialsProvider, retry::RetryConfig, timeout::TimeoutConfig,
    },
};

use super::{
    S3SinkConfig,
    backpressure::Listener,
    settings::RetryMode,
    tls::{Patience, Transport},
};
use crate::credentials::{Renewed, assumed, identified};
use recording_host_sink::Backpressure;

/// The client for a bucket, and its credentials if they can be fetched anew; what its retries hide is noted
/// in `backpressure`.
pub(super) async fn client(
    settings: &S3SinkConfig,
    backpressure: Backpressure,
) -> (Client, Option<Renewed>) {
    let retry = match settings.retry.mode {
        RetryMode::Adaptive => RetryConfig::adaptive(),
        RetryMode::Standard => RetryConfig::standard(),
    }
    .with_max_attempts(u32::try_from(settings.retry.attempts.max(1)).unwrap_or(u32::MAX))
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
        .interceptor(Listener(backpressure))
        // The sink computes checksums itself, while the bytes are in the cache.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    if !settings.tls.is_empty() {
        let patience = Patience {
            connect: Duration::from_secs(settings.timeout.connect_seconds),
            read: Duration::from_secs(settings.timeout.read_seconds),
        };
        // What cannot be used was refused with the configuration.
        if let Ok(transport) = Transport::new(&settings.tls, patience) {
            config = config.http_client(transport);
        }
    }
    let provider = match &settings.identity.role {
        Some(role) => Some(SharedCredentialsProvider::new(assumed(role, base).await)),
        None if settings.identity.is_fixed() => None,
        None => base.credentials_provider(),
    };
    let renewed = provider.map(Renewed::new);
    if let Some(renewed) = &renewed {
        config = config
            .credentials_provider(renewed.clone())
            .identity_cache(IdentityCache::no_cache());
    }
    (Client::from_conf(config.build()), renewed)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::retry;

    use super::*;
    use crate::{S3Retry, S3Timeout};

    #[tokio::test]
    async fn the_client_is_as_patient_as_the_settings_say() {
        for (mode, sdk) in [
            (RetryMode::Adaptive, retry::RetryMode::Adaptive),
            (RetryMode::Standard, retry::RetryMode::Standard),
        ] {
            let settings = S3SinkConfig {
                region: Some("eu-west-1".to_owned()),
                retry: S3Retry {
                    mode,
                    attempts: 7,
                    max_backoff_seconds: 8,
                },
                timeout: S3Timeout {
                    connect_seconds: 9,
                    read_seconds: 10,
                    attempt_seconds: 11,
                },
                ..S3SinkConfig::default()
            };
            let (client, _) = client(&settings, Backpressure::default()).await;
            let retry = client.config().retry_config().unwrap();
            assert_eq!((retry.mode(), retry.max_attempts()), (sdk, 7));
            assert_eq!(retry.max_backoff(), Duration::from_secs(8));
            let timeout = client.config().timeout_config().unwrap();
            let seconds = |seconds| Some(Duration::from_secs(seconds));
            assert_eq!(timeout.connect_timeout(), seconds(9));
            assert_eq!(timeout.read_timeout(), seconds(10));
            assert_eq!(timeout.operation_attempt_timeout(), seconds(11));
        }
    }
}
