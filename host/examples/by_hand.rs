//! A pipeline without a configuration: a component from a file, its options, and a folder.
//!
//! `cargo run --example by_hand -- my-source.wasm https://files.example`: a component that needs no
//! credentials, such as the one of `component/examples/http-folder`.

use std::{path::Path, sync::Arc, time::Duration};

use recording_host::{
    ArchiveMode, Interval, OriginAllowList, Pipeline, SourceComponent, SourceConfig,
    sink::Filesystem,
};
use serde_json::json;

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(component), Some(url)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("give the component's file and the URL that it may reach");
    };
    // It is compiled, which takes a moment: not on a thread of the runtime.
    let component = tokio::task::spawn_blocking(move || {
        SourceComponent::open(Path::new(&component), None, None)
    });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let until = u64::try_from(now.as_millis())?;
    let interval = Interval {
        from: until - 365 * DAY_MS,
        until: Some(until),
    };
    let source = SourceConfig {
        allow: Some(OriginAllowList::Any(vec![url.clone()])),
        // Files lie there: nothing comes late.
        late: Duration::ZERO,
        confirm: Duration::ZERO,
        ..SourceConfig::new(json!({ "base_url": url }), interval)
    };
    let archive = Arc::new(Filesystem::new("archive".into()));
    let summary = Pipeline::new("files", source, component.await??, Path::new("queue"))
        .sink("archive", archive, ArchiveMode::Unpack)
        .run()
        .await?;
    println!("{} conversations", summary.conversations);
    Ok(())
}
