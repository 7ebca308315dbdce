//! Objects in S3, or in whatever speaks its protocol.
//!
//! Objects up to 16 MiB go in one PUT, larger ones as a multipart upload, which resumes where a
//! killed writer left it. Each request carries a checksum that the server compares; a server that
//! cannot is found out by [`check`](Sink::check), and sizes are compared instead. What has arrived
//! is not copied on its way: requests are made of the segments that came.

mod backpressure;
mod body;
mod checksum;
mod client;
pub mod credentials;
mod error;
mod multipart;
mod object;
mod probe;
mod settings;
mod tls;

use std::{
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use aws_sdk_s3::Client;
pub use aws_sdk_s3::types::{ObjectCannedAcl, StorageClass};
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::sync::Semaphore;

pub use settings::{
    BucketEncryption, Checksum, CleanupAfterHours, Grants, ObjectLock, PartsAtOnce, Retention,
    RetentionMode, RetryMode, S3Retry, S3SinkConfig, S3Timeout,
};

pub use crate::credentials::{Credentials, Identity, Role};
use credentials::Renewed;
use recording_host_sink::{
    Backpressure, Body, BodyAborted, BodyReader, Health, ObjectMeta, PutOptions, PutResult,
    Segments, Sink, SinkError, Store,
};

/// The type of this sink.
pub(crate) const NAME: &str = "s3";

/// The largest object that goes in one PUT, in bytes.
const SINGLE: usize = 16 << 20;
/// Parts on their way beyond one for each object: what bounds the memory of large objects.
const MORE_PARTS: usize = 2;

/// The sink `s3`.
#[derive(Clone, Debug)]
pub struct S3 {
    client: Client,
    /// The credentials, if others can come.
    renewed: Option<Renewed>,
    backpressure: Backpressure,
    settings: Arc<S3SinkConfig>,
    found: Arc<RwLock<probe::ServerCapabilities>>,
    active: multipart::ActiveUploads,
    beginning: Arc<tokio::sync::Mutex<()>>,
    room: Arc<Semaphore>,
}

impl S3 {
    /// A sink with a client of its own.
    pub async fn new(mut settings: S3SinkConfig) -> Self {
        settings.objects.prefix = settings.objects.prefix.trim_matches('/').to_owned();
        let backpressure = Backpressure::default();
        let (client, renewed) = client::client(&settings, backpressure.clone()).await;
        S3 {
            client,
            renewed,
            backpressure,
            found: Arc::new(RwLock::new(probe::ServerCapabilities {
                algorithm: checksum::Algorithm::of(settings.checksum),
                // Unknown capabilities are not relied on.
                checks: false,
                conditional: false,
            })),
            settings: Arc::new(settings),
            active: multipart::ActiveUploads::default(),
            beginning: Arc::default(),
            room: Arc::new(Semaphore::new(MORE_PARTS)),
        }
    }

    fn key(&self, key: &str) -> String {
        if self.settings.objects.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.settings.objects.prefix)
        }
    }

    /// The known capabilities of the server.
    fn server(&self) -> probe::ServerCapabilities {
        *self.found.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl S3 {
    /// Takes up to `size` bytes, and their checksum while they come.
    async fn taken(
        &self,
        body: &mut BodyReader,
        size: usize,
    ) -> Result<(Segments, Option<checksum::Sum>), BodyAborted> {
        let mut digest = self.server().algorithm.map(checksum::Algorithm::digest);
        let taken = body.take_seen(size, |data| {
            if let Some(digest) = &mut digest {
                digest.update(data);
            }
        });
        Ok((taken.await?, digest.map(checksum::Digest::finish)))
    }

    /// Puts an object under its whole key.
    async fn put_at(
        &self,
        key: String,
        info: PutOptions,
        body: Body,
    ) -> Result<PutResult, SinkError> {
        let keep = self.settings.objects.overwrite.keeps(&info);
        let mut body = BodyReader::new(body);
        if info.size.is_none_or(|size| size <= SINGLE as u64) {
            let taken = self.taken(&mut body, SINGLE).await;
            let (first, sum) = taken.map_err(|_| self.broken(&key))?;
            if body.at_end().await.map_err(|_| self.broken(&key))? {
                if keep
                    && !self.server().conditional
                    && let Some(there) = self.head(&key).await?
                {
                    return self
                        .compare(&key, &info, there, BodyReader::whole(first))
                        .await;
                }
                return self.put_whole(&key, &info, (first, sum), keep).await;
            }
            body.give_back(first);
        }
        // To upload a large object in order to be told that it is there would be a waste.
        if keep && let Some(there) = self.head(&key).await? {
            return self.compare(&key, &info, there, body).await;
        }
        self.put_parts(&key, &info, &mut body, keep).await
    }
}

#[async_trait]
impl Sink for S3 {
    fn name(&self) -> &str {
        NAME
    }

    async fn check(&self) -> Result<Health, SinkError> {
        self.probe().await
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        let stored = self.put_at(self.key(key), info, body).await;
        stored.map_err(|mut error| {
            // Below the prefix, as whoever put it knows it.
            if let Some(different) = &mut error.different {
                key.clone_into(&mut different.key);
            }
            error
        })
    }

    async fn cleanup(&self) -> Result<u64, SinkError> {
        self.abort_old().await
    }

    fn backpressure(&self) -> u64 {
        self.backpressure.count()
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for S3 {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        let pages = self
            .client
            .list_objects_v2()
            .bucket(&self.settings.bucket)
            .prefix(self.key(prefix))
            .set_request_payer(self.settings.payer())
            .into_paginator()
            .send();
        stream::unfold(pages, |mut pages| async move {
            let page = pages.next().await?;
            Some((page, pages))
        })
        .flat_map(move |page| {
            let found: Vec<Result<ObjectMeta, SinkError>> = match page {
                Ok(page) => page
                    .contents()
                    .iter()
                    .filter_map(|object| self.found(object).map(Ok))
                    .collect(),
                Err(error) => vec![Err(self.error("", &error))],
            };
            stream::iter(found)
        })
        .boxed()
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        self.read(&self.key(key), None).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, SinkError> {
        self.read(&self.key(key), Some(range)).await
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        let key = self.key(key);
        let removed = self.remove(&key).await;
        removed.map_err(|error| self.error(&key, &error))
    }
}
