//! AWS Signature Version 4: each request is signed with credentials that only the host ever holds.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider},
};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4::SigningParams,
};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::Mutex;

use super::{
    authenticator::{RequestSigner, SignError},
    transport::SignableRequest,
};

/// How long before their end temporary credentials are renewed.
const EARLY: Duration = Duration::from_secs(300);

/// Signs the requests to one service in one region.
#[derive(Debug)]
pub struct SigV4 {
    provider: SharedCredentialsProvider,
    region: String,
    service: String,
    cached: Mutex<Option<Credentials>>,
}

impl SigV4 {
    /// Signs with the credentials that `provider` yields.
    #[must_use]
    pub fn new(provider: SharedCredentialsProvider, region: String, service: String) -> Self {
        SigV4 {
            provider,
            region,
            service,
            cached: Mutex::new(None),
        }
    }

    async fn signed_headers(&self, request: SignableRequest<'_>) -> Result<HeaderMap, SignError> {
        let identity = self.credentials().await?.into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        // S3 takes the path as it is sent; other services encode it once more.
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let wrong = |error: &dyn std::error::Error| SignError::Request(error.to_string());
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            // The server compares it with the real time, however fast a simulated one runs.
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| wrong(&error))?
            .into();
        let amz = request.headers.iter().filter(|(name, _)| is_signed(name));
        let signable = aws_sigv4::http_request::SignableRequest::new(
            super::transport::method_name(request.method),
            request.url.as_str(),
            amz.map(|(name, value)| (name.as_str(), value.as_str())),
            SignableBody::Bytes(request.body),
        )
        .map_err(|error| wrong(&error))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| wrong(&error))?
            .into_parts();
        let mut headers = HeaderMap::new();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(&error))?;
            let mut value = HeaderValue::from_str(value).map_err(|error| wrong(&error))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }

    async fn credentials(&self) -> Result<Credentials, SignError> {
        let mut cached = self.cached.lock().await;
        let soon = SystemTime::now() + EARLY;
        let lasts = |known: &&Credentials| known.expiry().is_none_or(|end| end > soon);
        if let Some(known) = cached.as_ref().filter(lasts) {
            return Ok(known.clone());
        }
        let fetched = self.provider.provide_credentials().await.map_err(|error| {
            SignError::Credentials {
                reason: format!(
                    "no AWS credentials: {error}; check `auth` of the source, or AWS' own settings"
                ),
                retryable: matches!(
                    error,
                    CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_)
                ),
            }
        })?;
        *cached = Some(fetched.clone());
        Ok(fetched)
    }
}

#[async_trait]
impl RequestSigner for SigV4 {
    async fn sign(&self, request: SignableRequest<'_>) -> Result<HeaderMap, SignError> {
        self.signed_headers(request).await
    }

    async fn expired(&self, status: u16, body: &[u8]) -> bool {
        const WORDS: [&[u8]; 2] = [b"ExpiredToken", b"TokenRefreshRequired"];
        let says = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
        if !matches!(status, 400 | 403) || !WORDS.into_iter().any(says) {
            return false;
        }
        *self.cached.lock().await = None;
        true
    }
}

/// Returns true if a source's header is signed: AWS' own must be, others may change on the way.
fn is_signed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("x-amz-") && !is_ours(&name)
}

/// Returns true if a header, in lower case, is one that signing adds: a source's own is left out.
pub(crate) fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "x-amz-date" | "x-amz-content-sha256" | "x-amz-security-token"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::Method;
    use url::Url;

    fn signer(service: &str, token: Option<&str>) -> SigV4 {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "hush-hush",
            token.map(str::to_owned),
            None,
            "test",
        );
        let provider = SharedCredentialsProvider::new(keys);
        SigV4::new(provider, "eu-west-1".to_owned(), service.to_owned())
    }

    fn get<'a>(url: &'a Url, headers: &'a [(String, String)]) -> SignableRequest<'a> {
        SignableRequest {
            method: Method::Get,
            url,
            headers,
            body: b"",
        }
    }

    #[tokio::test]
    async fn a_signature_covers_aws_headers_and_no_secret_is_shown() {
        let url = Url::parse("https://bucket.example/year%3D2026/a.opus?x=1").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let own = [
            pair("x-amz-request-payer", "requester"),
            pair("x-amz-security-token", "stolen"),
            pair("range", "bytes=5-"),
        ];
        let signer = signer("s3", Some("session-hush"));
        let signed = signer.sign(get(&url, &own)).await.unwrap();
        let authorization = signed["authorization"].to_str().unwrap();
        let scope = "/eu-west-1/s3/aws4_request";
        assert!(
            authorization.contains("Credential=AKIDEXAMPLE/") && authorization.contains(scope),
            "{authorization}"
        );
        let names = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-request-payer;x-amz-security-token";
        assert!(authorization.contains(names), "{authorization}");
        assert_eq!(signed["x-amz-security-token"], "session-hush");
        let shown = format!("{signer:?} {signed:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[tokio::test]
    async fn credentials_are_dropped_only_when_the_server_says_that_they_have_expired() {
        let signer = signer("s3", None);
        signer.credentials().await.unwrap();
        assert!(!signer.expired(403, b"<Code>AccessDenied</Code>").await);
        assert!(!signer.expired(500, b"<Code>ExpiredToken</Code>").await);
        assert!(signer.cached.lock().await.is_some());
        assert!(signer.expired(400, b"<Code>ExpiredToken</Code>").await);
        assert!(signer.cached.lock().await.is_none());
    }
}
