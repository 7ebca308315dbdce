//! A sink under the name that the configuration gives it: two buckets are both of type `s3`, and what
//! an error is about must be the one that the operator can look up.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream::BoxStream};

use super::{Body, Health, ObjectMeta, PutOptions, PutResult, Sink, SinkError, Store};

/// A sink whose errors carry the name by which it is known.
#[derive(Debug)]
pub struct Named {
    name: String,
    below: Arc<dyn Sink>,
}

impl Named {
    /// Gives the sink `below` a name.
    #[must_use]
    pub fn new(name: &str, below: Arc<dyn Sink>) -> Self {
        Named {
            name: name.to_owned(),
            below,
        }
    }

    fn named(&self, error: SinkError) -> SinkError {
        SinkError {
            sink: self.name.clone(),
            ..error
        }
    }

    /// The store below. Only [`Sink::store`] hands this sink out as a store, and only if there is one.
    fn below(&self, key: &str) -> Result<&dyn Store, SinkError> {
        let unreadable = || SinkError::new(&self.name, key, "this sink cannot be read");
        self.below.store().ok_or_else(unreadable)
    }
}

#[async_trait]
impl Sink for Named {
    fn name(&self) -> &str {
        &self.name
    }

    async fn check(&self) -> Result<Health, SinkError> {
        self.below.check().await.map_err(|error| self.named(error))
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        let put = self.below.put(key, info, body).await;
        put.map_err(|error| self.named(error))
    }

    async fn cleanup(&self) -> Result<u64, SinkError> {
        self.below
            .cleanup()
            .await
            .map_err(|error| self.named(error))
    }

    fn backpressure(&self) -> u64 {
        self.below.backpressure()
    }

    fn encrypts(&self) -> bool {
        self.below.encrypts()
    }

    fn store(&self) -> Option<&dyn Store> {
        self.below.store().map(|_| self as &dyn Store)
    }
}

#[async_trait]
impl Store for Named {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        match self.below(prefix) {
            Ok(below) => below
                .list(prefix)
                .map(|found| found.map_err(|error| self.named(error)))
                .boxed(),
            Err(error) => futures_util::stream::iter([Err(error)]).boxed(),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        let got = self.below(key)?.get(key).await;
        got.map_err(|error| self.named(error))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Option<Body>, SinkError> {
        let got = self.below(key)?.get_range(key, range).await;
        got.map_err(|error| self.named(error))
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        let deleted = self.below(key)?.delete(key).await;
        deleted.map_err(|error| self.named(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SinkExt as _, StoreExt as _, filesystem::Filesystem, stdout::Stdout};

    #[tokio::test]
    async fn an_error_carries_the_name_and_no_ability_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let place = |path: &str| Arc::new(Filesystem::new(folder.path().join(path)));
        let lake = Named::new("lake", place("archive"));
        let data = bytes::Bytes::from_static(b"data");
        lake.put_bytes("a", PutOptions::default(), data)
            .await
            .unwrap();
        let store = lake.store().unwrap();
        assert_eq!(store.read("a").await.unwrap().unwrap(), b"data");
        let listed: Vec<_> = store.list("").collect().await;
        assert_eq!(listed[0].as_ref().unwrap().key, "a");
        store.delete("a").await.unwrap();
        assert!(store.get("a").await.unwrap().is_none());

        let blocked = Named::new("blocked", place("file/archive"));
        assert_eq!(blocked.check().await.unwrap_err().sink, "blocked");
        let data = bytes::Bytes::from_static(b"data");
        let put = blocked.put_bytes("a", PutOptions::default(), data).await;
        assert_eq!(put.unwrap_err().sink, "blocked");

        let stdout = Named::new("pipe", Arc::new(Stdout::default()));
        assert!(stdout.store().is_none());
        assert_eq!(stdout.get("a").await.unwrap_err().sink, "pipe");
    }
}
