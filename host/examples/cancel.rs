//! Ends an export after a minute; what is done stays, and the next run resumes from there.
//!
//! `cargo run --example cancel -- config.yaml`

use std::{path::Path, time::Duration};

use recording_host::{Clock, Config, ErrorKind};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or("config.yaml".to_owned());
    let config = Config::load(Path::new(&path))?;
    for pipeline in config.pipelines(Clock::default()).await? {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(60)).await;
            // Nobody listens any more if the run has come to its end.
            let _ = stop.send(true);
        });
        match pipeline.run_until(stopped).await {
            Ok(summary) => println!("{} conversations", summary.conversations),
            Err(error) if error.kind() == ErrorKind::Stopped => {
                println!("stopped; run it again to resume")
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
