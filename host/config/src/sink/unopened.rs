//! A sink that stands for another where nothing is stored or read, so that its secrets are not needed.

use async_trait::async_trait;
use recording_host_sink::{Body, Health, PutOptions, PutResult, Sink, SinkError};

#[derive(Debug)]
pub(super) struct Unopened;

impl Unopened {
    fn refuse<T>(&self) -> Result<T, SinkError> {
        Err(SinkError::new(
            self.name(),
            "",
            "the configuration was read without the secrets of its sinks; load it with all of them",
        ))
    }
}

#[async_trait]
impl Sink for Unopened {
    async fn check(&self) -> Result<Health, SinkError> {
        self.refuse()
    }

    async fn put(&self, _: &str, _: PutOptions, _: Body) -> Result<PutResult, SinkError> {
        self.refuse()
    }
}
