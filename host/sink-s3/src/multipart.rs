//! Large objects: parts that are uploaded at once, and uploads that resume where a killed writer left
//! them.

mod complete;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use aws_sdk_s3::types::{ChecksumType, CompletedPart, MultipartUpload, Part};
use md5::{Digest as _, Md5};
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet};

use super::{
    S3,
    body::stream,
    checksum::{Sum, sum_in, with_body_sum, with_sum},
    error::{code, status},
    object::with_options,
};
use recording_host_sink::{BodyReader, PutOptions, PutResult, Segments, SinkError};

/// The least size of a part, in bytes.
pub(super) const PART: usize = 8 << 20;
/// How many parts there may be.
const PARTS: u64 = 10_000;

/// The size of part `number` (from 1) of an object. It follows from what is known beforehand, so
/// that an upload that resumes has the same parts.
fn part_size(size: Option<u64>, number: usize) -> usize {
    match size {
        Some(size) => usize::try_from(size.div_ceil(PARTS)).map_or(PART, |least| least.max(PART)),
        // 8 MiB up to 8 GB, then larger, and at most 64 MiB: 500 GB in all.
        None => PART << ((number - 1) / 1000).min(3),
    }
}

/// Uploads that this process works on: nobody else in it may resume or abort them.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveUploads(Arc<Mutex<HashSet<String>>>);

/// An upload while it is worked on.
#[derive(Debug)]
struct UploadGuard {
    id: String,
    active: ActiveUploads,
}

impl ActiveUploads {
    fn set(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, id: &str) -> Option<UploadGuard> {
        self.set().insert(id.to_owned()).then(|| UploadGuard {
            id: id.to_owned(),
            active: self.clone(),
        })
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.active.set().remove(&self.id);
    }
}

/// A part that the server has.
struct UploadedPart {
    part: CompletedPart,
    sum: Option<Sum>,
    length: usize,
}

/// How a part's way to the server ended, with its number.
type PartResult = (i32, Result<UploadedPart, SinkError>);

/// Why an upload did not come to its end.
enum Stopped {
    /// The uploaded parts may be of use to the next attempt.
    Keep(SinkError),
    /// Nothing of it is of use.
    Abort(SinkError),
}

impl From<SinkError> for Stopped {
    fn from(error: SinkError) -> Self {
        if error.retryable {
            Stopped::Keep(error)
        } else {
            Stopped::Abort(error)
        }
    }
}

impl S3 {
    /// Puts an object in parts.
    pub(super) async fn put_parts(
        &self,
        key: &str,
        info: &PutOptions,
        body: &mut BodyReader,
        keep: bool,
    ) -> Result<PutResult, SinkError> {
        let (upload, parts) = {
            // An upload is held when its id is known: nobody may find it before.
            let _alone = self.beginning.lock().await;
            match self.left_behind(key).await {
                Some(found) => found,
                None => (self.begin(key, info).await?, HashMap::new()),
            }
        };
        let result = self.send(key, &upload, parts, info, body, keep).await;
        match result {
            Ok(stored) => Ok(stored),
            Err(Stopped::Keep(error)) => Err(error),
            Err(Stopped::Abort(error)) => {
                // The bucket keeps and bills the parts of an upload that is not aborted.
                let _ = self.abort(key, &upload.id).await;
                Err(error)
            }
        }
    }

    async fn begin(&self, key: &str, info: &PutOptions) -> Result<UploadGuard, SinkError> {
        let algorithm = self.server().algorithm.and_then(|known| known.sdk());
        let upload = with_options!(self.client.create_multipart_upload(), &self.settings, info)
            .key(key)
            .set_checksum_type(algorithm.as_ref().map(|_| ChecksumType::FullObject))
            .set_checksum_algorithm(algorithm)
            .send()
            .await
            .map_err(|error| self.error(key, &error))?;
        upload
            .upload_id()
            .and_then(|id| self.active.hold(id))
            .ok_or_else(|| self.failure(key, "the server began an upload without an id", true))
    }

    /// The last upload of this key that was left behind, with its parts; others are aborted, as
    /// are those that were begun with another checksum or storage class. A server that cannot
    /// list uploads has none.
    async fn left_behind(&self, key: &str) -> Option<(UploadGuard, HashMap<i32, Part>)> {
        let mut uploads = self.uploads(key, 1).await.ok()?;
        uploads.retain(|upload| upload.key() == Some(key));
        uploads.sort_by_key(|upload| upload.initiated().map(|at| at.secs()));
        let algorithm = self.server().algorithm.and_then(|known| known.sdk());
        let mut found = None;
        for upload in uploads.into_iter().rev() {
            let Some(held) = upload.upload_id().and_then(|id| self.active.hold(id)) else {
                continue;
            };
            // A server that does not say is believed: the parts are compared in any case.
            let fits = (upload.checksum_algorithm().is_none()
                || upload.checksum_algorithm() == algorithm.as_ref())
                && (self.settings.storage_class.is_none()
                    || upload.storage_class().is_none()
                    || upload.storage_class() == self.settings.storage_class.as_ref());
            if found.is_none()
                && fits
                && let Some(parts) = self.parts(key, &held.id).await
            {
                found = Some((held, parts));
            } else {
                let _ = self.abort(key, &held.id).await;
            }
        }
        found
    }

    async fn parts(&self, key: &str, id: &str) -> Option<HashMap<i32, Part>> {
        let mut pages = self
            .client
            .list_parts()
            .bucket(&self.settings.bucket)
            .key(key)
            .upload_id(id)
            .set_request_payer(self.settings.payer())
            .into_paginator()
            .send();
        let mut parts = HashMap::new();
        while let Some(page) = pages.next().await {
            for part in page.ok()?.parts.unwrap_or_default() {
                parts.insert(part.part_number()?, part);
            }
        }
        Some(parts)
    }

    async fn send(
        &self,
        key: &str,
        upload: &UploadGuard,
        mut there: HashMap<i32, Part>,
        info: &PutOptions,
        body: &mut BodyReader,
        keep: bool,
    ) -> Result<PutResult, Stopped> {
        let mut flying = JoinSet::new();
        let mut sent = BTreeMap::new();
        loop {
            let number = sent.len() + flying.len() + 1;
            // Whoever feeds the body knows best whether it can be read again: nothing is kept.
            let (data, sum) = self
                .taken(body, part_size(info.size, number))
                .await
                .map_err(|_| Stopped::Abort(self.broken(key)))?;
            if data.is_empty() {
                break;
            }
            let length = data.len();
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            if let Some(part) = there.remove(&number).filter(|part| equal(part, &data, sum)) {
                let etag = part.e_tag().map(str::to_owned);
                let part = completed(number, etag, sum);
                sent.insert(number, UploadedPart { part, sum, length });
                continue;
            }
            let mut room = None;
            while !flying.is_empty() {
                if flying.len() < self.settings.parts_at_once.0
                    && let Ok(permit) = self.room.clone().try_acquire_owned()
                {
                    room = Some(permit);
                    break;
                }
                self.landed(key, flying.join_next().await, &mut sent)?;
            }
            let part = self.part(key, &upload.id, number, data, sum, room);
            flying.spawn(part);
        }
        while !flying.is_empty() {
            self.landed(key, flying.join_next().await, &mut sent)?;
        }
        self.complete(key, upload, sent, info, keep).await
    }

    /// A part on its way; it owns all that it needs.
    fn part(
        &self,
        key: &str,
        id: &str,
        number: i32,
        data: Segments,
        sum: Option<Sum>,
        room: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = PartResult> + Send + use<> {
        let sink = self.clone();
        let (key, id) = (key.to_owned(), id.to_owned());
        async move {
            let length = data.len();
            let request = sink
                .client
                .upload_part()
                .bucket(&sink.settings.bucket)
                .key(&key)
                .upload_id(id)
                .part_number(number)
                .content_length(length as i64)
                .set_request_payer(sink.settings.payer())
                .body(stream(data));
            let answer = with_body_sum!(request, sum).send().await;
            drop(room);
            let result = answer
                .map(|answer| UploadedPart {
                    part: completed(number, answer.e_tag().map(str::to_owned), sum),
                    sum,
                    length,
                })
                .map_err(|error| sink.error(&key, &error));
            (number, result)
        }
    }

    fn landed(
        &self,
        key: &str,
        joined: Option<Result<PartResult, tokio::task::JoinError>>,
        sent: &mut BTreeMap<i32, UploadedPart>,
    ) -> Result<(), SinkError> {
        match joined {
            Some(Ok((number, result))) => {
                sent.insert(number, result?);
                Ok(())
            }
            Some(Err(error)) => Err(self.failure(key, error.to_string(), true)),
            None => Ok(()),
        }
    }

    async fn abort(&self, key: &str, id: &str) -> Result<(), SinkError> {
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.settings.bucket)
            .key(key)
            .upload_id(id)
            .set_request_payer(self.settings.payer());
        match request.send().await {
            Err(error) if code(&error) != "NoSuchUpload" => Err(self.error(key, &error)),
            _ => Ok(()),
        }
    }

    /// Unfinished uploads of keys that begin with `prefix`, from at most `pages` pages.
    async fn uploads(&self, prefix: &str, pages: usize) -> Result<Vec<MultipartUpload>, SinkError> {
        let mut uploads = Vec::new();
        let (mut key, mut id) = (None, None);
        for _ in 0..pages {
            let answer = self
                .client
                .list_multipart_uploads()
                .bucket(&self.settings.bucket)
                .prefix(prefix)
                .set_key_marker(key)
                .set_upload_id_marker(id)
                .set_request_payer(self.settings.payer())
                .send()
                .await;
            let answer = match answer {
                // A server that cannot list uploads.
                Err(error) if matches!(status(&error), Some(404 | 405 | 501)) => break,
                answer => answer.map_err(|error| self.error(prefix, &error))?,
            };
            (key, id) = (
                answer.next_key_marker().map(str::to_owned),
                answer.next_upload_id_marker().map(str::to_owned),
            );
            let more = answer.is_truncated() == Some(true) && key.is_some();
            uploads.extend(answer.uploads.unwrap_or_default());
            if !more {
                break;
            }
        }
        Ok(uploads)
    }

    /// Aborts uploads below the prefix that nobody has worked on for long.
    pub(super) async fn abort_old(&self) -> Result<u64, SinkError> {
        let age = Duration::from(self.settings.cleanup_after_hours);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        let mut aborted = 0;
        for upload in self.uploads(&self.key(""), usize::MAX).await? {
            let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else {
                continue;
            };
            let begun = upload
                .initiated()
                .and_then(|at| u64::try_from(at.secs()).ok())
                .map(Duration::from_secs);
            // An age of nought means all, whatever the server's clock says.
            let old = age.is_zero() || begun.is_some_and(|begun| begun + age < now);
            if old && let Some(_held) = self.active.hold(id) {
                self.abort(key, id).await?;
                aborted += 1;
            }
        }
        Ok(aborted)
    }
}

fn completed(number: i32, etag: Option<String>, sum: Option<Sum>) -> CompletedPart {
    let part = CompletedPart::builder().part_number(number).set_e_tag(etag);
    with_sum!(part, sum).build()
}

/// Returns true if the server has the same bytes as this part.
fn equal(part: &Part, data: &Segments, sum: Option<Sum>) -> bool {
    if part.size().and_then(|size| usize::try_from(size).ok()) != Some(data.len()) {
        return false;
    }
    if let Some(((algorithm, text), sum)) = sum_in!(*part).zip(sum)
        && let Some(own) = sum.text(algorithm)
    {
        return own == text;
    }
    let mut digest = Md5::new();
    for data in data.iter() {
        digest.update(data);
    }
    let own = recording_host_model::hex(&digest.finalize());
    part.e_tag()
        .is_some_and(|etag| etag.trim_matches('"').eq_ignore_ascii_case(&own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_terabytes_fit_into_ten_thousand_parts() {
        let size = 5 << 40;
        assert!(size / part_size(Some(size), 1) as u64 <= PARTS);
        assert_eq!(part_size(Some(20 << 20), 3), PART);
        let unknown: u64 = (1..=PARTS as usize)
            .map(|number| part_size(None, number) as u64)
            .sum();
        assert!(unknown > 500_000_000_000, "{unknown}");
        assert!(part_size(None, 10_000) <= 64 << 20);
    }

    #[test]
    fn an_upload_is_held_by_one_writer_until_it_lets_go() {
        let active = ActiveUploads::default();
        let held = active.hold("upload").unwrap();
        assert!(active.hold("upload").is_none());
        drop(held);
        assert!(active.hold("upload").is_some());
    }
}
