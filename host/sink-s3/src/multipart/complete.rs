//! The end of an upload: its parts become the object, and that it is the right one is proved.

use std::collections::BTreeMap;

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{ChecksumType, CompletedMultipartUpload},
};

use super::{Stopped, UploadGuard, UploadedPart};
use crate::{
    S3,
    checksum::{Sum, sum_in, with_sum},
    error::{code, status},
};
use recording_host_sink::{PutOptions, PutResult, SinkError};

impl S3 {
    pub(super) async fn complete(
        &self,
        key: &str,
        upload: &UploadGuard,
        sent: BTreeMap<i32, UploadedPart>,
        info: &PutOptions,
        keep: bool,
    ) -> Result<PutResult, Stopped> {
        let server = self.server();
        let size = sent.values().map(|part| part.length as u64).sum();
        let sum = sent
            .values()
            .map(|part| Some((part.sum?, part.length)))
            .reduce(|one, next| {
                let ((one, length), (next, more)) = (one?, next?);
                Some((one.then(next, more)?, length + more))
            })
            .flatten()
            .map(|(sum, _)| sum)
            // That of a single part proves nothing if it cannot be given for the whole.
            .filter(|sum| sum.algorithm.sdk().is_some());
        let parts = sent.into_values().map(|sent| sent.part).collect();
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.settings.bucket)
            .key(key)
            .upload_id(&upload.id)
            .set_checksum_type(sum.map(|_| ChecksumType::FullObject))
            .set_if_none_match((keep && server.conditional).then(|| "*".to_owned()))
            .set_request_payer(self.settings.payer())
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            );
        let error = match with_sum!(request, sum).send().await {
            Ok(answer) => {
                let echoed = sum_in!(answer)
                    .and_then(|(algorithm, text)| sum?.text(algorithm).map(|sum| sum == text));
                let etag = answer.e_tag().map(str::to_owned);
                let stored = PutResult {
                    size,
                    etag,
                    encrypted: None,
                };
                // Nothing is left of the upload.
                let proved = self.prove_whole(key, stored, sum, echoed).await;
                return proved.map_err(Stopped::Keep);
            }
            Err(error) => error,
        };
        self.incomplete(key, upload, (size, sum), info, &error)
            .await
    }

    /// The result of a refusal to complete an upload: the object may be there all the same.
    async fn incomplete<E>(
        &self,
        key: &str,
        upload: &UploadGuard,
        (size, sum): (u64, Option<Sum>),
        info: &PutOptions,
        error: &SdkError<E>,
    ) -> Result<PutResult, Stopped>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let exists = status(error) == Some(412);
        // An answer that was lost on the way makes a repetition find no upload any more, and one without
        // content says nothing either.
        let unsaid = status(error).is_some_and(|status| status < 300) && code(error).is_empty();
        if exists || unsaid || code(error) == "NoSuchUpload" {
            let there = self.head(key).await?;
            match there {
                Some(there) if there.has(sum) == Some(true) => {
                    if exists {
                        let _ = self.abort(key, &upload.id).await;
                    }
                    return Ok(there.stored());
                }
                Some(there) if exists && (there.size != size || there.has(sum).is_some()) => {
                    return Err(Stopped::Abort(self.refused(key, &there, info)));
                }
                _ if exists => {
                    let reason =
                        "another writer has put the object in the meantime; try again to compare";
                    return Err(Stopped::Abort(self.failure(key, reason, true)));
                }
                _ => {}
            }
        }
        // Parts that the server does not accept any more are of no use to the next attempt.
        let useless = matches!(
            code(error),
            "InvalidPart" | "BadDigest" | "InvalidPartOrder"
        );
        let error = self.error(key, error);
        Err(if useless {
            Stopped::Abort(error)
        } else {
            error.into()
        })
    }

    /// [`prove`](S3::prove) for parts: that each was checked does not prove the whole.
    async fn prove_whole(
        &self,
        key: &str,
        stored: PutResult,
        sum: Option<Sum>,
        echoed: Option<bool>,
    ) -> Result<PutResult, SinkError> {
        let echoed = match echoed {
            Some(echoed) => Some(echoed),
            None => match self.head(key).await? {
                Some(there) => Some(there.has(sum).unwrap_or(there.size == stored.size)),
                None => Some(false),
            },
        };
        self.prove(key, stored, sum, echoed).await
    }
}
