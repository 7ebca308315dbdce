//! Takes recordings, rows and receipts from a stream, and acknowledges each once it is kept.
//!
//! `cargo run --example deliveries -- config.yaml`: the sources of the file, whatever its sinks are.

use std::{path::Path, sync::Arc};

use recording_host::{ArchiveMode, Clock, Config, sink::deliveries};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or("config.yaml".to_owned());
    for pipeline in Config::load(Path::new(&path))?
        .pipelines(Clock::default())
        .await?
    {
        let (sink, mut deliveries) = deliveries("example");
        let pipeline = pipeline.without_sinks();
        let run = pipeline
            .sink("example", Arc::new(sink), ArchiveMode::Keep)
            .run();
        // It ends with the run, which owns the sink.
        let taking = async {
            while let Some(mut delivery) = deliveries.next().await {
                let mut size = 0;
                while let Some(frame) = delivery.body().next().await? {
                    size += frame.len();
                }
                println!("{size:>12} {}", delivery.key());
                delivery.acknowledge();
            }
            anyhow::Ok(())
        };
        let (summary, taken) = tokio::join!(run, taking);
        taken?;
        println!("{} conversations", summary?.conversations);
    }
    Ok(())
}
