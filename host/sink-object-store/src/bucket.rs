//! Objects in a bucket that the crate `object_store` speaks to: what Google's and Microsoft's
//! have in common.

mod probe;

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    Attribute, Attributes, BackoffConfig, Error, GetOptions, GetRange, MultipartUpload,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutPayload, RetryConfig, TagSet,
    path::Path,
};
use tokio::task::JoinSet;

use recording_host_sink::{
    Aborted, Backpressure, Body, BodyReader, Health, ObjectMeta, ObjectOptions, PutOptions,
    PutResult, Retry, Segments, Sink, SinkError, Store,
};

/// The largest object that goes in one request, in bytes.
const SINGLE: usize = 16 << 20;
/// The size of a part, in bytes: an object of 10,000 parts has 80 GB.
const PART: usize = 8 << 20;
/// Parts that are uploaded at once.
const PARTS_AT_ONCE: usize = 3;

/// Each request once.
const ONCE: Retry = Retry {
    attempts: 1,
    max_backoff_seconds: 0,
};

fn retry_config(retry: Retry) -> RetryConfig {
    let backoff = BackoffConfig::default();
    let longest = Duration::from_secs(retry.max_backoff_seconds);
    RetryConfig {
        backoff: BackoffConfig {
            // Pauses are drawn between the first and the longest: there must be something between.
            max_backoff: longest.max(backoff.init_backoff),
            ..backoff
        },
        max_retries: retry.attempts.saturating_sub(1),
        ..RetryConfig::default()
    }
}

/// What a bucket is, apart from the clients that reach it.
#[derive(Clone, Debug)]
pub(super) struct BucketProperties {
    /// The sink's type.
    pub(super) sink: &'static str,
    /// The bucket as people write it, such as `gs://calls`.
    pub(super) url: String,
    pub(super) objects: ObjectOptions,
    /// The storage class of objects, or their access tier.
    pub(super) storage_class: Option<String>,
    /// Signals of backpressure that the connector of the store notes.
    pub(super) backpressure: Backpressure,
}

/// A bucket, whoever's it is.
#[derive(Clone)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The same, whose requests are sent once.
    once: Arc<dyn ObjectStore>,
    properties: BucketProperties,
}

/// The store behind it holds credentials and is not shown.
impl std::fmt::Debug for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bucket")
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

impl Bucket {
    /// A bucket with clients that `build` makes; `keys` names those of a configuration that are wrong if it cannot.
    pub(super) fn new<S: ObjectStore>(
        properties: BucketProperties,
        retry: Retry,
        keys: &str,
        build: impl Fn(RetryConfig) -> object_store::Result<S>,
    ) -> Result<Self, SinkError> {
        let built = |retry| match build(retry_config(retry)) {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => {
                let reason = format!("{error}; check {keys}");
                Err(SinkError::new(properties.sink, &properties.url, reason))
            }
        };
        Ok(Bucket {
            store: built(retry)?,
            once: built(ONCE)?,
            properties,
        })
    }

    fn failure(&self, key: &str, reason: impl Into<String>, retryable: bool) -> SinkError {
        let key = format!("{}/{key}", self.properties.url);
        SinkError::new(self.properties.sink, &key, reason).with_retryable(retryable)
    }

    fn broken(&self, key: &str) -> SinkError {
        self.failure(key, recording_host_sink::BodyAborted.to_string(), true)
    }

    fn error(&self, key: &str, error: &Error) -> SinkError {
        let said = without_queries(&error.to_string());
        let (reason, retryable) = match error {
            Error::Unauthenticated { .. } => (
                format!("the server does not accept the credentials; check `credentials`: {said}"),
                false,
            ),
            Error::PermissionDenied { .. } => (
                format!(
                    "access denied; the credentials need to create, read and list objects: {said}"
                ),
                false,
            ),
            Error::NotFound { .. } => (
                format!("not found; make the bucket or mend its name and `endpoint`: {said}"),
                false,
            ),
            Error::InvalidPath { .. } => (format!("the key cannot be used: {said}"), false),
            Error::NotSupported { .. } | Error::NotImplemented { .. } => (said, false),
            _ => (said, true),
        };
        self.failure(key, reason, retryable)
    }

    fn path(&self, key: &str) -> Result<Path, SinkError> {
        let full = match self.properties.objects.prefix.trim_matches('/') {
            "" => key.to_owned(),
            prefix => format!("{prefix}/{key}"),
        };
        Path::parse(full).map_err(|error| self.error(key, &error.into()))
    }

    fn attributes(&self, info: &PutOptions) -> Attributes {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, info.content_type.clone().into());
        if let Some(class) = &self.properties.storage_class {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        if let Some(encoding) = &self.properties.objects.content_encoding {
            attributes.insert(Attribute::ContentEncoding, encoding.clone().into());
        }
        for (name, value) in &self.properties.objects.object_metadata {
            let name = Attribute::Metadata(name.clone().into());
            attributes.insert(name, value.clone().into());
        }
        attributes
    }

    fn tags(&self) -> TagSet {
        let mut tags = TagSet::default();
        for (name, value) in &self.properties.objects.tags {
            tags.push(name, value);
        }
        tags
    }

    async fn head(
        &self,
        key: &str,
        path: &Path,
    ) -> Result<Option<object_store::ObjectMeta>, SinkError> {
        match self.store.head(path).await {
            Ok(there) => Ok(Some(there)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    async fn read(
        &self,
        key: &str,
        path: &Path,
        range: Option<Range<u64>>,
    ) -> Result<Option<Body>, SinkError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let mut answer = match self.store.get_opts(path, options).await {
            Ok(answer) => answer.into_stream(),
            Err(Error::NotFound { .. }) => return Ok(None),
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

    /// Compares an object that is there with one that is to be put.
    async fn compare(
        &self,
        key: &str,
        info: &PutOptions,
        there: object_store::ObjectMeta,
        mut body: BodyReader,
    ) -> Result<PutResult, SinkError> {
        let mut same = info.size.is_none_or(|size| size == there.size);
        if same {
            let read = self.read(key, &there.location, None).await?;
            let mut read = BodyReader::new(read.ok_or_else(|| self.gone(key))?);
            same = read.equals(&mut body).await.map_err(|which| match which {
                Aborted::Own => {
                    let reason = "reading the object that is there was interrupted";
                    self.failure(key, reason, true)
                }
                Aborted::Other => self.broken(key),
            })?;
        }
        if same {
            return Ok(PutResult {
                size: there.size,
                etag: there.e_tag,
                encrypted: None,
            });
        }
        let overwrite = self.properties.objects.overwrite;
        let reason = overwrite.refusal(there.size, info);
        let error = self.failure(key, reason, false);
        Err(error.with_different(key, overwrite, info))
    }

    fn gone(&self, key: &str) -> SinkError {
        self.failure(key, "the object came and went; try again", true)
    }

    async fn put_whole(
        &self,
        key: &str,
        path: &Path,
        info: &PutOptions,
        data: Segments,
        keep: bool,
    ) -> Result<PutResult, SinkError> {
        let size = data.len() as u64;
        let options = object_store::PutOptions {
            mode: if keep {
                PutMode::Create
            } else {
                PutMode::Overwrite
            },
            tags: self.tags(),
            attributes: self.attributes(info),
            ..Default::default()
        };
        let payload: PutPayload = data.iter().cloned().collect();
        match self.store.put_opts(path, payload, options).await {
            Ok(put) => self.proved(key, path, size, put.e_tag).await,
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                let there = self.head(key, path).await?;
                let there = there.ok_or_else(|| self.gone(key))?;
                self.compare(key, info, there, BodyReader::whole(data))
                    .await
            }
            Err(error) => Err(self.error(key, &error)),
        }
    }

    async fn put_parts(
        &self,
        key: &str,
        path: &Path,
        info: &PutOptions,
        body: &mut BodyReader,
    ) -> Result<PutResult, SinkError> {
        let options = PutMultipartOptions {
            tags: self.tags(),
            attributes: self.attributes(info),
            ..Default::default()
        };
        let mut upload = self
            .store
            .put_multipart_opts(path, options)
            .await
            .map_err(|error| self.error(key, &error))?;
        match self.send(key, info, &mut *upload, body).await {
            Ok((size, etag)) => self.proved(key, path, size, etag).await,
            Err(error) => {
                // The bucket may keep and bill the parts of an upload that is not aborted.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    async fn send(
        &self,
        key: &str,
        info: &PutOptions,
        upload: &mut dyn MultipartUpload,
        body: &mut BodyReader,
    ) -> Result<(u64, Option<String>), SinkError> {
        let least = info.size.unwrap_or_default().div_ceil(10_000);
        let part = usize::try_from(least).map_or(PART, |least| least.max(PART));
        let mut flying: JoinSet<Result<(), Error>> = JoinSet::new();
        let landed = |joined: Option<Result<Result<(), Error>, _>>| match joined {
            Some(Ok(Err(error))) => Err(self.error(key, &error)),
            Some(Err(error)) => Err(self.error(key, &Error::JoinError { source: error })),
            _ => Ok(()),
        };
        let mut size = 0;
        loop {
            let data = body.take(part).await.map_err(|_| self.broken(key))?;
            if data.is_empty() {
                break;
            }
            size += data.len() as u64;
            while flying.len() >= PARTS_AT_ONCE {
                landed(flying.join_next().await)?;
            }
            flying.spawn(upload.put_part(data.into_iter().collect()));
        }
        while !flying.is_empty() {
            landed(flying.join_next().await)?;
        }
        let put = upload.complete().await;
        let put = put.map_err(|error| self.error(key, &error))?;
        Ok((size, put.e_tag))
    }

    /// Makes sure that an object has arrived whole.
    async fn proved(
        &self,
        key: &str,
        path: &Path,
        size: u64,
        etag: Option<String>,
    ) -> Result<PutResult, SinkError> {
        match self.head(key, path).await? {
            Some(there) if there.size == size => Ok(PutResult {
                size,
                etag: etag.or(there.e_tag),
                encrypted: None,
            }),
            _ => {
                let reason = format!(
                    "the server reports success, and the object is not the {size} bytes that were sent; it is tried again"
                );
                Err(self.failure(key, reason, true))
            }
        }
    }
}

#[async_trait]
impl Sink for Bucket {
    fn name(&self) -> &str {
        self.properties.sink
    }

    async fn check(&self) -> Result<Health, SinkError> {
        // Whoever waits for the answer repeats it: what is amiss is to be named within seconds.
        let once = Bucket {
            store: Arc::clone(&self.once),
            ..self.clone()
        };
        once.probe().await
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        let path = self.path(key)?;
        let keep = self.properties.objects.overwrite.keeps(&info);
        let mut body = BodyReader::new(body);
        if info.size.is_none_or(|size| size <= SINGLE as u64) {
            let first = body.take(SINGLE).await.map_err(|_| self.broken(key))?;
            if body.at_end().await.map_err(|_| self.broken(key))? {
                return self.put_whole(key, &path, &info, first, keep).await;
            }
            body.give_back(first);
        }
        // Parts cannot be put on the condition that nothing is there.
        if keep && let Some(there) = self.head(key, &path).await? {
            return self.compare(key, &info, there, body).await;
        }
        self.put_parts(key, &path, &info, &mut body).await
    }

    fn backpressure(&self) -> u64 {
        self.properties.backpressure.count()
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for Bucket {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        let own = match self.properties.objects.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let full = format!("{own}{prefix}");
        // The store lists whole folders.
        let folder = full.rsplit_once('/').map(|(folder, _)| Path::parse(folder));
        let folder = match folder.transpose() {
            Ok(folder) => folder,
            Err(error) => {
                let error = self.error(prefix, &error.into());
                return stream::once(async { Err(error) }).boxed();
            }
        };
        self.store
            .list(folder.as_ref())
            .map_err(|error| self.error("", &error))
            .try_filter_map(move |object| {
                let key = object.location.as_ref();
                let found = key.starts_with(&full).then(|| ObjectMeta {
                    key: key[own.len()..].to_owned(),
                    size: object.size,
                    etag: object.e_tag.clone(),
                });
                async { Ok(found) }
            })
            .boxed()
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        self.read(key, &self.path(key)?, None).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, SinkError> {
        self.read(key, &self.path(key)?, Some(range)).await
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        match self.store.delete(&self.path(key)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(key, &error)),
        }
    }
}

/// A message without the queries of URLs, which may be signatures, in one line.
fn without_queries(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| match word.split_once('?') {
            Some((address, query)) if address.contains("://") => {
                let end = query.trim_start_matches(|c: char| !matches!(c, ')' | ':' | ',' | '"'));
                format!("{address}{end}")
            }
            _ => word.to_owned(),
        });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
