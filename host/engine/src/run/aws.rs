//! Sources whose requests are signed as an AWS identity.

use recording_host_http::{RequestSigner, sigv4::SigV4};
use recording_host_sink_s3::credentials::{Identity, provider};

/// An AWS identity, and what its requests are signed for.
#[derive(Clone, Debug)]
pub struct AwsAuth {
    /// Where its credentials come from.
    pub identity: Identity,
    /// The region; without one, that of the source's options, or of AWS' own settings.
    pub region: Option<String>,
    /// The service, such as `s3`.
    pub service: String,
}

/// Signs as an identity, or without one for S3 as AWS' own settings say; `region` is that of the source's options. An
/// error begins with the key of the source that is wrong.
pub(super) async fn signer(
    auth: Option<&AwsAuth>,
    region: Option<&str>,
) -> Result<Box<dyn RequestSigner>, String> {
    let default = AwsAuth {
        identity: Identity::default(),
        region: None,
        service: "s3".to_owned(),
    };
    let auth = auth.unwrap_or(&default);
    let region = auth.region.as_deref().or(region);
    let (provider, region) = provider(&auth.identity, region).await;
    let region = region.ok_or(".auth.region: missing, and AWS' own settings have none")?;
    let provider = provider.ok_or(".auth: there are no AWS credentials")?;
    Ok(Box::new(SigV4::new(provider, region, auth.service.clone())))
}
