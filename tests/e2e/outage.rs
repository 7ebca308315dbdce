//! A sink that is unavailable for minutes is waited for; a run that is told to stop can be resumed.

use std::{
    process::Stdio,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::{transfer::ArchiveMode, verify::verify};
use recording_host_model::clock::Clock;
use recording_host_sink::{Sink, filesystem::Filesystem};

use crate::support::{
    Guarded, Harness, SPEED, SinkRequest, export, files, media, out_of_order, same_media,
};

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 300,
        seed: 12,
        ..Settings::default()
    })
    .await
}

async fn in_order(harness: &Harness) {
    let sink = Filesystem::new(harness.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!((report.findings, report.conversations), (Vec::new(), 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_down_for_minutes_is_waited_for() {
    let calm = harness().await;
    export(calm.config()).await;
    let harness = harness().await;
    let clock = Clock::new(SPEED);
    // It takes some objects, and then none for five minutes.
    let (taken, refused) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    let back = Arc::new(OnceLock::new());
    let (counted, until) = (Arc::clone(&refused), Arc::clone(&back));
    let sink = Guarded::new(harness.output(), move |asked| {
        if asked == SinkRequest::Put && taken.fetch_add(1, Ordering::Relaxed) >= 50 {
            let now = clock.now();
            if now < *until.get_or_init(|| now + 300_000) {
                counted.fetch_add(1, Ordering::Relaxed);
                return Err(out_of_order(true));
            }
        }
        Ok(())
    });
    // The source of the configuration, and a sink of our own.
    let config = Config::new(harness.config()).unwrap();
    let pipeline = config.pipelines(clock).await.unwrap().pop().unwrap();
    let summary = pipeline
        .without_sinks()
        .sink("lake", Arc::new(sink), ArchiveMode::Unpack)
        .run()
        .await
        .unwrap();
    assert!(clock.now() >= *back.get().unwrap(), "it was waited for");
    let refused = refused.load(Ordering::Relaxed);
    // Those under way at once, and then one attempt after each pause.
    assert!((1..60).contains(&refused), "{refused}");
    assert_eq!(summary.conversations, 300);
    same_media(
        &media(&files(&harness.output())),
        &media(&files(&calm.output())),
    );
    in_order(&harness).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_can_be_gone_on_with() {
    let harness = harness().await;
    let config = harness.write(&harness.config());
    let mut child = harness
        .program()
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while media(&files(&harness.output())).len() < 10 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended too soon");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = Instant::now();
    let kill = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped; run it again to resume"), "{said}");
    assert!(told.elapsed() < Duration::from_secs(30));
    let left: Vec<String> = files(&harness.output())
        .into_keys()
        .filter(|key| key != ".recording-host.json")
        .filter(|key| key.rsplit('/').next().unwrap().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let summary = export(harness.config()).await;
    assert_eq!(summary.conversations, 300);
    in_order(&harness).await;
}
