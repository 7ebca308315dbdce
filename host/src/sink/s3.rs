//! Objects in S3, or in whatever speaks its protocol.
//!
//! Small objects go in one PUT, larger ones as a multipart upload that is
//! aborted if it cannot be completed. Each request carries a CRC-64/NVME.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, RequestChecksumCalculation},
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream, stream::BoxStream};
use secrecy::{ExposeSecret, SecretString};

use super::{Body, Found, Health, ObjectInfo, Sink, SinkError, Store, Stored};

/// The size of a part, and the largest object that goes in one PUT, in bytes.
pub const PART: usize = 8 << 20;
/// How many parts there may be.
const PARTS: u64 = 10_000;

/// Where the bucket is and how to reach it.
#[derive(Debug)]
pub struct Settings {
    /// The bucket's name.
    pub bucket: String,
    /// What all keys begin with, without a slash at the end.
    pub prefix: String,
    /// The region; without one, the default chain's.
    pub region: Option<String>,
    /// The URL of a server other than AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path and not in the host name.
    pub path_style: bool,
    /// Access key id and secret; without them, the default chain's.
    pub credentials: Option<(SecretString, SecretString)>,
}

/// The sink `s3`.
#[derive(Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
    prefix: String,
    endpoint: Option<String>,
}

impl S3 {
    /// A sink with a client of its own.
    pub async fn new(settings: Settings) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = settings.region {
            loader = loader.region(Region::new(region));
        }
        if let Some((id, secret)) = &settings.credentials {
            loader = loader.credentials_provider(Credentials::new(
                id.expose_secret(),
                secret.expose_secret(),
                None,
                None,
                "configuration",
            ));
        }
        let mut config = aws_sdk_s3::config::Builder::from(&loader.load().await)
            .force_path_style(settings.path_style)
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        S3 {
            client: Client::from_conf(config.build()),
            bucket: settings.bucket,
            prefix: settings.prefix.trim_matches('/').to_owned(),
            endpoint: settings.endpoint,
        }
    }

    fn key(&self, key: &str) -> String {
        if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        }
    }

    fn error<E, R>(&self, key: &str, error: &SdkError<E, R>) -> SinkError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let code = error
            .as_service_error()
            .and_then(ProvideErrorMetadata::code)
            .unwrap_or_default();
        let (reason, retryable) = match code {
            "NoSuchBucket" => ("the bucket does not exist; make it or mend `bucket`".to_owned(), false),
            "AccessDenied" => (
                "access denied; the credentials need s3:PutObject, s3:AbortMultipartUpload and s3:ListBucket".to_owned(),
                false,
            ),
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" => (
                format!("{code}: the server does not accept the credentials; check `credentials`"),
                false,
            ),
            _ => (self.explain(error), true),
        };
        SinkError {
            sink: "s3".into(),
            key: format!("s3://{}/{key}", self.bucket),
            reason,
            retryable,
        }
    }

    /// What went wrong, in one line.
    fn explain<E, R>(&self, error: &SdkError<E, R>) -> String
    where
        E: std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        match (error, &self.endpoint) {
            (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), Some(endpoint)) => {
                format!("no answer from {endpoint}: {cause}; check `endpoint`")
            }
            (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_), None) => {
                format!(
                    "no answer from AWS: {cause}; check `region`, the network, and where the credentials come from"
                )
            }
            (error, _) => format!("{error}: {cause}"),
        }
    }

    fn broken(&self, key: &str) -> SinkError {
        SinkError {
            sink: "s3".into(),
            key: format!("s3://{}/{key}", self.bucket),
            reason: super::Broken.to_string(),
            retryable: true,
        }
    }

    async fn put_whole(&self, key: &str, info: &ObjectInfo, data: Bytes) -> Result<(), SinkError> {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(&info.content_type)
            .content_length(data.len() as i64)
            .checksum_crc64_nvme(base64(checksum(&data)))
            .body(ByteStream::from(data))
            .send()
            .await
            .map_err(|error| self.error(key, &error))?;
        Ok(())
    }

    async fn put_parts(
        &self,
        key: &str,
        info: &ObjectInfo,
        first: Bytes,
        body: &mut Parts,
    ) -> Result<u64, SinkError> {
        let upload = self
            .client
            .create_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .content_type(&info.content_type)
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .checksum_type(ChecksumType::FullObject)
            .send()
            .await
            .map_err(|error| self.error(key, &error))?;
        let id = upload.upload_id().unwrap_or_default().to_owned();
        let result = self.upload(key, &id, first, body).await;
        if result.is_err() {
            // The bucket keeps and bills the parts of an upload that is not aborted.
            let _ = self
                .client
                .abort_multipart_upload()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(&id)
                .send()
                .await;
        }
        result
    }

    async fn upload(
        &self,
        key: &str,
        id: &str,
        first: Bytes,
        body: &mut Parts,
    ) -> Result<u64, SinkError> {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        let mut done = Vec::new();
        let mut size = 0;
        let mut part = Some(first);
        while let Some(data) = part {
            let number = done.len() as i32 + 1;
            size += data.len() as u64;
            digest.update(&data);
            let sum = base64(checksum(&data));
            let answer = self
                .client
                .upload_part()
                .bucket(&self.bucket)
                .key(key)
                .upload_id(id)
                .part_number(number)
                .content_length(data.len() as i64)
                .checksum_crc64_nvme(&sum)
                .body(ByteStream::from(data))
                .send()
                .await
                .map_err(|error| self.error(key, &error))?;
            done.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(answer.e_tag().map(str::to_owned))
                    .checksum_crc64_nvme(sum)
                    .build(),
            );
            part = body.next().await.map_err(|_| self.broken(key))?;
        }
        self.client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(key)
            .upload_id(id)
            .checksum_type(ChecksumType::FullObject)
            .checksum_crc64_nvme(base64(digest.finalize()))
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(done))
                    .build(),
            )
            .send()
            .await
            .map_err(|error| self.error(key, &error))?;
        Ok(size)
    }
}

#[async_trait]
impl Sink for S3 {
    async fn check(&self) -> Result<Health, SinkError> {
        let key = self.key(".recording-host-probe");
        self.client
            .head_bucket()
            .bucket(&self.bucket)
            .send()
            .await
            .map_err(|error| {
                // HEAD answers have no body, so the status is all there is.
                let status = error.raw_response().map(|answer| answer.status().as_u16());
                let mut failure = self.error("", &error);
                match status {
                    Some(404) => {
                        failure.reason = "the bucket does not exist; make it or mend `bucket`".into();
                    }
                    Some(403) => {
                        failure.reason = "the server refuses the credentials for this bucket; check `credentials` and the policy".into();
                    }
                    _ => {}
                }
                failure.retryable = false;
                failure
            })?;
        let info = ObjectInfo {
            content_type: "text/plain".into(),
            size: Some(0),
            replace: true,
        };
        self.put_whole(&key, &info, Bytes::new()).await?;
        let deleted = self.client.delete_object().bucket(&self.bucket).key(&key);
        match deleted.send().await {
            // An archive may well forbid deletion: then the empty probe stays.
            Err(error) if error.code() != Some("AccessDenied") => Err(self.error(&key, &error)),
            _ => Ok(Health::default()),
        }
    }

    async fn put(&self, key: &str, info: ObjectInfo, body: Body) -> Result<Stored, SinkError> {
        let key = self.key(key);
        let mut parts = Parts {
            body,
            rest: BytesMut::new(),
            size: part_size(info.size),
        };
        let first = parts.next().await.map_err(|_| self.broken(&key))?;
        let first = first.unwrap_or_default();
        let size = if first.len() < parts.size {
            let size = first.len() as u64;
            self.put_whole(&key, &info, first).await?;
            size
        } else {
            self.put_parts(&key, &info, first, &mut parts).await?
        };
        Ok(Stored { size, etag: None })
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for S3 {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<Found, SinkError>> {
        let own = self.key("");
        let pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(self.key(prefix))
            .into_paginator()
            .send();
        stream::unfold(pages, |mut pages| async move {
            let page = pages.next().await?;
            Some((page, pages))
        })
        .flat_map(move |page| {
            let found: Vec<Result<Found, SinkError>> = match page {
                Ok(page) => page
                    .contents()
                    .iter()
                    .filter_map(|object| {
                        let key = object.key()?.strip_prefix(&own)?.to_owned();
                        let size = u64::try_from(object.size()?).ok()?;
                        Some(Ok(Found {
                            key,
                            size,
                            etag: object.e_tag().map(str::to_owned),
                        }))
                    })
                    .collect(),
                Err(error) => vec![Err(self.error("", &error))],
            };
            stream::iter(found)
        })
        .boxed()
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        let key = self.key(key);
        let request = self.client.get_object().bucket(&self.bucket).key(&key);
        let mut answer = match request.send().await {
            Ok(answer) => answer.body,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(self.error(&key, &error)),
        };
        let (feed, body) = Body::channel();
        tokio::spawn(async move {
            while let Some(data) = answer.next().await {
                // A reader is told of a failure by the body that breaks off.
                let Ok(data) = data else { return };
                if feed.send(data).await.is_err() {
                    return;
                }
            }
            feed.end().await;
        });
        Ok(Some(body))
    }
}

/// A body cut into parts of equal size, but for the last.
#[derive(Debug)]
struct Parts {
    body: Body,
    rest: BytesMut,
    size: usize,
}

impl Parts {
    async fn next(&mut self) -> Result<Option<Bytes>, super::Broken> {
        while self.rest.len() < self.size {
            match self.body.next().await? {
                Some(data) => self.rest.extend_from_slice(&data),
                None if self.rest.is_empty() => return Ok(None),
                None => return Ok(Some(self.rest.split().freeze())),
            }
        }
        Ok(Some(self.rest.split_to(self.size).freeze()))
    }
}

/// Parts large enough that an object of this size needs no more than there may be.
fn part_size(size: Option<u64>) -> usize {
    let least = size.unwrap_or(0).div_ceil(PARTS);
    usize::try_from(least).map_or(PART, |least| least.max(PART))
}

fn checksum(data: &[u8]) -> u64 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, data)
}

fn base64(sum: u64) -> String {
    aws_smithy_types::base64::encode(sum.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_cut_into_equal_parts_and_a_broken_one_into_none() {
        let (feed, body) = Body::channel();
        let mut parts = Parts {
            body,
            rest: BytesMut::new(),
            size: 4,
        };
        tokio::spawn(async move {
            for piece in ["abc", "defgh", "i"] {
                feed.send(Bytes::from_static(piece.as_bytes()))
                    .await
                    .unwrap();
            }
            drop(feed);
        });
        assert_eq!(parts.next().await.unwrap().unwrap(), "abcd");
        assert_eq!(parts.next().await.unwrap().unwrap(), "efgh");
        assert!(parts.next().await.is_err());
    }

    #[test]
    fn five_terabytes_fit_into_ten_thousand_parts() {
        let size = 5 << 40;
        assert!(size / part_size(Some(size)) as u64 <= PARTS);
        assert_eq!(part_size(None), PART);
    }
}
