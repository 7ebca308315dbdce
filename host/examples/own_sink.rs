//! Embeds an export with a sink of its own, which counts bytes by type and keeps nothing.
//!
//! `cargo run --example own_sink -- config.yaml`: the sources and sinks of the file, and this one.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use recording_host::{
    ArchiveMode, Clock, Config,
    sink::{Body, Health, PutOptions, PutResult, Sink, SinkError},
};

#[derive(Debug, Default)]
struct Counter(Mutex<BTreeMap<String, u64>>);

#[async_trait::async_trait]
impl Sink for Counter {
    async fn check(&self) -> Result<Health, SinkError> {
        Ok(Health::default())
    }

    async fn put(
        &self,
        key: &str,
        info: PutOptions,
        mut body: Body,
    ) -> Result<PutResult, SinkError> {
        let mut size = 0;
        while let Some(data) = body.next().await.map_err(|aborted| {
            SinkError::new("counter", key, aborted.to_string()).with_retryable(true)
        })? {
            size += data.len() as u64;
        }
        let mut counts = self.0.lock().expect("nobody panics with it");
        *counts.entry(info.content_type).or_default() += size;
        Ok(PutResult::new(size))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or("config.yaml".to_owned());
    for pipeline in Config::load(Path::new(&path))?
        .pipelines(Clock::default())
        .await?
    {
        let counter = Arc::new(Counter::default());
        let pipeline = pipeline.sink("counter", counter.clone(), ArchiveMode::Keep);
        let summary = pipeline.run().await?;
        println!("{} conversations, {:?}", summary.conversations, counter.0);
    }
    Ok(())
}
