//! Single objects: what goes with each, one PUT, and whether one that is there is the same.

use std::ops::Range;

use aws_sdk_s3::{
    error::SdkError,
    operation::delete_object::DeleteObjectError,
    primitives::DateTime,
    types::{ChecksumAlgorithm, ChecksumMode, ObjectLockMode, RequestPayer, ServerSideEncryption},
};

use super::{
    BucketEncryption, Retention, RetentionMode, S3, S3SinkConfig,
    body::stream,
    checksum::{Algorithm, Sum, sum_in, with_body_sum},
    error::{code, status},
};
use recording_host_sink::{
    Aborted, Body, BodyReader, ObjectMeta, PutOptions, PutResult, Segments, SinkError,
};

/// Gives a request that begins an object everything that the settings say about objects.
macro_rules! with_options {
    ($request:expr, $settings:expr, $info:expr) => {{
        let settings: &$crate::S3SinkConfig = $settings;
        let lock = settings.object_lock.as_ref();
        let retention = lock.and_then(|lock| lock.retention);
        $request
            .bucket(&settings.bucket)
            .content_type(&$info.content_type)
            .set_content_encoding(settings.objects.content_encoding.clone())
            .set_server_side_encryption(settings.encryption())
            .set_ssekms_key_id(settings.kms_key())
            .set_bucket_key_enabled(settings.bucket_key())
            .set_storage_class(settings.storage_class.clone())
            .set_acl(settings.acl.clone())
            .set_grant_full_control(settings.grants.full_control.clone())
            .set_grant_read(settings.grants.read.clone())
            .set_grant_read_acp(settings.grants.read_acp.clone())
            .set_grant_write_acp(settings.grants.write_acp.clone())
            .set_tagging(settings.tagging())
            .set_metadata(settings.metadata())
            .set_object_lock_mode(retention.map(|(mode, _)| mode.into()))
            .set_object_lock_retain_until_date(retention.map(|(_, until)| until.into()))
            .set_object_lock_legal_hold_status(
                lock.filter(|lock| lock.legal_hold)
                    .map(|_| aws_sdk_s3::types::ObjectLockLegalHoldStatus::On),
            )
            .set_request_payer(settings.payer())
    }};
}
pub(super) use with_options;

impl S3SinkConfig {
    pub(super) fn encryption(&self) -> Option<ServerSideEncryption> {
        self.sse.as_ref().map(|encryption| match encryption {
            BucketEncryption::S3 {} => ServerSideEncryption::Aes256,
            BucketEncryption::Kms { .. } => ServerSideEncryption::AwsKms,
        })
    }

    pub(super) fn kms_key(&self) -> Option<String> {
        match &self.sse {
            Some(BucketEncryption::Kms { key_id, .. }) => key_id.clone(),
            _ => None,
        }
    }

    pub(super) fn bucket_key(&self) -> Option<bool> {
        match &self.sse {
            Some(BucketEncryption::Kms { bucket_key, .. }) => *bucket_key,
            _ => None,
        }
    }

    pub(super) fn tagging(&self) -> Option<String> {
        (!self.objects.tags.is_empty()).then(|| {
            url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&self.objects.tags)
                .finish()
        })
    }

    pub(super) fn metadata(&self) -> Option<std::collections::HashMap<String, String>> {
        let pairs = self.objects.object_metadata.iter();
        (!self.objects.object_metadata.is_empty()).then(|| {
            pairs
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        })
    }

    /// The algorithm as a request has to name it beside the checksum: AWS asks for that with a retention.
    pub(super) fn named(&self, algorithm: Option<Algorithm>) -> Option<ChecksumAlgorithm> {
        self.object_lock.as_ref().and(algorithm?.sdk())
    }

    pub(super) fn payer(&self) -> Option<RequestPayer> {
        self.requester_pays.then_some(RequestPayer::Requester)
    }
}

impl From<RetentionMode> for ObjectLockMode {
    fn from(mode: RetentionMode) -> Self {
        match mode {
            RetentionMode::Governance => ObjectLockMode::Governance,
            RetentionMode::Compliance => ObjectLockMode::Compliance,
        }
    }
}

impl From<Retention> for DateTime {
    fn from(retention: Retention) -> Self {
        let seconds = match retention {
            Retention::Days(days) => {
                jiff::Timestamp::now().as_second() + i64::from(days) * 24 * 3600
            }
            Retention::Until(until) => until.as_second(),
        };
        DateTime::from_secs(seconds)
    }
}

/// An object that is there.
#[derive(Debug)]
pub(super) struct ExistingObject {
    pub(super) size: u64,
    pub(super) etag: Option<String>,
    /// A checksum of all of it.
    pub(super) sum: Option<(Algorithm, String)>,
    pub(super) encryption: Option<ServerSideEncryption>,
}

impl ExistingObject {
    pub(super) fn stored(self) -> PutResult {
        PutResult {
            size: self.size,
            etag: self.etag,
            encrypted: None,
        }
    }

    /// Returns true if it has this checksum; none if it has none of this kind.
    pub(super) fn has(&self, sum: Option<Sum>) -> Option<bool> {
        let (algorithm, text) = self.sum.as_ref()?;
        sum?.text(*algorithm).map(|sum| sum == *text)
    }
}

impl S3 {
    /// The size, entity tag, checksum and encryption of an object, or none if there is none.
    pub(super) async fn head(&self, key: &str) -> Result<Option<ExistingObject>, SinkError> {
        let answer = self
            .client
            .head_object()
            .bucket(&self.settings.bucket)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .set_request_payer(self.settings.payer())
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(Some(ExistingObject {
                size: match answer.content_length().map(u64::try_from) {
                    Some(Ok(length)) => length,
                    // A server, or something before it, that says nothing of the length.
                    _ => self.measured(key).await?,
                },
                etag: answer.e_tag().map(str::to_owned),
                sum: sum_in!(answer),
                encryption: answer.server_side_encryption().cloned(),
            })),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    fn interrupted(&self, key: &str) -> SinkError {
        let reason = "reading the object that is there was interrupted";
        self.failure(key, reason, true)
    }

    /// The length of an object, by reading it.
    async fn measured(&self, key: &str) -> Result<u64, SinkError> {
        let missing = || self.failure(key, "the object came and went; try again", true);
        let mut body = BodyReader::new(self.read(key, None).await?.ok_or_else(missing)?);
        let mut size = 0;
        while let Some(data) = body.next().await.map_err(|_| self.interrupted(key))? {
            size += data.len() as u64;
        }
        Ok(size)
    }

    /// Puts an object, whose checksum is known if one is to go with it, in one request.
    pub(super) async fn put_whole(
        &self,
        key: &str,
        info: &PutOptions,
        (data, sum): (Segments, Option<Sum>),
        keep: bool,
    ) -> Result<PutResult, SinkError> {
        let server = self.server();
        let size = data.len() as u64;
        let request = with_options!(self.client.put_object(), &self.settings, info)
            .key(key)
            .content_length(data.len() as i64)
            .set_checksum_algorithm(self.settings.named(sum.map(|sum| sum.algorithm)))
            .set_if_none_match((keep && server.conditional).then(|| "*".to_owned()))
            .body(stream(data.clone()));
        let answer = match with_body_sum!(request, sum).send().await {
            Ok(answer) => answer,
            Err(error) if status(&error) == Some(412) => {
                let Some(there) = self.head(key).await? else {
                    return Err(self.failure(key, "the object came and went; try again", true));
                };
                return self
                    .compare(key, info, there, BodyReader::whole(data))
                    .await;
            }
            Err(error) => return Err(self.error(key, &error)),
        };
        let echoed = sum_in!(answer)
            .and_then(|(algorithm, text)| sum?.text(algorithm).map(|sum| sum == text));
        let etag = answer.e_tag().map(str::to_owned);
        let stored = PutResult {
            size,
            etag,
            encrypted: None,
        };
        self.prove(key, stored, sum, echoed).await
    }

    /// Makes sure that an object has arrived, unless the answer has proved it already.
    pub(super) async fn prove(
        &self,
        key: &str,
        stored: PutResult,
        sum: Option<Sum>,
        echoed: Option<bool>,
    ) -> Result<PutResult, SinkError> {
        let matches = match echoed {
            Some(matches) => matches,
            None if sum.is_some() && self.server().checks => true,
            None => match self.head(key).await? {
                Some(there) => there.has(sum).unwrap_or(there.size == stored.size),
                None => false,
            },
        };
        if matches {
            Ok(stored)
        } else {
            let reason = format!(
                "the server reports success, and the object is not the {} bytes that were sent; it is tried again",
                stored.size
            );
            Err(self.failure(key, reason, true))
        }
    }

    /// Compares an object that is there with one that is to be put.
    pub(super) async fn compare(
        &self,
        key: &str,
        info: &PutOptions,
        there: ExistingObject,
        mut body: BodyReader,
    ) -> Result<PutResult, SinkError> {
        let same = match (&there.sum, info.size) {
            (_, Some(size)) if size != there.size => false,
            (Some((algorithm, expected)), _) => {
                let mut digest = algorithm.digest();
                let mut size = 0;
                while let Some(data) = body.next().await.map_err(|_| self.broken(key))? {
                    digest.update(&data);
                    size += data.len() as u64;
                }
                size == there.size && digest.finish().text(*algorithm).as_ref() == Some(expected)
            }
            (None, _) => self.reads_the_same(key, &mut body).await?,
        };
        if same {
            return Ok(there.stored());
        }
        Err(self.refused(key, &there, info))
    }

    /// Reads an object beside the one that is to be put.
    async fn reads_the_same(&self, key: &str, body: &mut BodyReader) -> Result<bool, SinkError> {
        let Some(there) = self.read(key, None).await? else {
            return Err(self.failure(key, "the object came and went; try again", true));
        };
        let mut there = BodyReader::new(there);
        there.equals(body).await.map_err(|which| match which {
            Aborted::Own => self.interrupted(key),
            Aborted::Other => self.broken(key),
        })
    }

    /// The bytes of an object, or those in a range of it, or none if there is no object.
    pub(super) async fn read(
        &self,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<Body>, SinkError> {
        let range = range.map(|range| format!("bytes={}-{}", range.start, range.end.max(1) - 1));
        let request = self
            .client
            .get_object()
            .bucket(&self.settings.bucket)
            .key(key)
            .set_range(range)
            .set_request_payer(self.settings.payer());
        let mut answer = match request.send().await {
            Ok(answer) => answer.body,
            Err(error) if code(&error) == "NoSuchKey" => return Ok(None),
            Err(error) => return Err(self.error(key, &error)),
        };
        let (feed, body) = Body::channel();
        tokio::spawn(async move {
            while let Some(data) = answer.next().await {
                // A reader learns of a failure from the body that breaks off.
                let Ok(data) = data else { return };
                if feed.send(data).await.is_err() {
                    return;
                }
            }
            feed.end().await;
        });
        Ok(Some(body))
    }

    /// Removes an object, if there is one.
    pub(super) async fn remove(&self, key: &str) -> Result<(), SdkError<DeleteObjectError>> {
        let request = self
            .client
            .delete_object()
            .bucket(&self.settings.bucket)
            .key(key)
            .set_request_payer(self.settings.payer());
        request.send().await.map(drop)
    }

    /// An object of a listing, if its key is below the prefix.
    pub(super) fn found(&self, object: &aws_sdk_s3::types::Object) -> Option<ObjectMeta> {
        Some(ObjectMeta {
            key: object.key()?.strip_prefix(&self.key(""))?.to_owned(),
            size: u64::try_from(object.size()?).ok()?,
            etag: object.e_tag().map(str::to_owned),
        })
    }
}
