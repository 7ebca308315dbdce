//! Watches an export: counts its requests by their status, and prints warnings.
//!
//! `cargo run --example watch -- config.yaml`

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use recording_host::{Clock, Config, Event, Subscriber};

#[derive(Default)]
struct Requests(Mutex<BTreeMap<Option<u16>, u64>>);

impl Subscriber for Requests {
    fn on_event(&self, event: &Event) {
        match event {
            Event::Request { status, .. } => {
                let mut counts = self.0.lock().expect("nobody panics with it");
                *counts.entry(*status).or_default() += 1;
            }
            Event::Warning { text } => eprintln!("warning: {text}"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or("config.yaml".to_owned());
    let config = Config::load(Path::new(&path))?;
    for pipeline in config.pipelines(Clock::default()).await? {
        let requests = Arc::new(Requests::default());
        pipeline.subscribe(requests.clone()).run().await?;
        println!("requests by status: {:?}", requests.0);
    }
    Ok(())
}
