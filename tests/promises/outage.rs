//! A sink that is out of order for minutes is waited for; a run that is told to stop can go on.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use genesys_simulator::Settings;
use recording_host::{
    Config,
    clock::Clock,
    sink::{Body, Health, ObjectInfo, Sink, SinkError, Store, Stored, filesystem::Filesystem},
    transfer::Zip,
    verify::verify,
};

use crate::support::{Center, SPEED, export, files, media, program, same_media};

/// A folder that is out of order for some time.
#[derive(Debug)]
struct Unsteady {
    folder: Filesystem,
    clock: Clock,
    /// From when and until when (ms).
    down: (u64, u64),
    refused: AtomicU64,
}

#[async_trait]
impl Sink for Unsteady {
    async fn check(&self) -> Result<Health, SinkError> {
        self.folder.check().await
    }

    async fn put(&self, key: &str, info: ObjectInfo, body: Body) -> Result<Stored, SinkError> {
        if (self.down.0..self.down.1).contains(&self.clock.now()) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(SinkError {
                sink: "unsteady".into(),
                key: key.into(),
                reason: "out of order".into(),
                retryable: true,
            });
        }
        self.folder.put(key, info, body).await
    }

    fn store(&self) -> Option<&dyn Store> {
        self.folder.store()
    }
}

async fn center() -> Center {
    Center::start(Settings {
        conversations: 300,
        seed: 12,
        ..Settings::default()
    })
    .await
}

async fn in_order(center: &Center) {
    let sink = Filesystem::new(center.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!((report.findings, report.conversations), (Vec::new(), 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_down_for_minutes_is_waited_for() {
    let calm = center().await;
    export(calm.config()).await;
    let center = center().await;
    let clock = Clock::new(SPEED);
    let began = clock.now();
    let sink = Arc::new(Unsteady {
        folder: Filesystem::new(center.output()),
        clock,
        down: (began + 20_000, began + 320_000),
        refused: AtomicU64::new(0),
    });
    // The source of the configuration, and a sink of our own.
    let config = Config::new(center.config()).unwrap();
    let pipeline = config.pipelines(clock).await.unwrap().pop().unwrap();
    let summary = pipeline
        .without_sinks()
        .sink("lake", Arc::clone(&sink) as Arc<dyn Sink>, Zip::Unpack)
        .run()
        .await
        .unwrap();
    assert!(clock.now() >= sink.down.1, "it was waited for");
    let refused = sink.refused.load(Ordering::Relaxed);
    // Those under way at once, and then one attempt after each pause.
    assert!((1..60).contains(&refused), "{refused}");
    assert_eq!(summary.conversations, 300);
    same_media(
        &media(&files(&center.output())),
        &media(&files(&calm.output())),
    );
    in_order(&center).await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_told_to_stop_can_be_gone_on_with() {
    let center = center().await;
    let config = center.write(&center.config());
    let mut child = program()
        .args(["run", "--speed", &SPEED.to_string(), "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while media(&files(&center.output())).len() < 10 {
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
    assert!(said.contains("run again to go on from here"), "{said}");
    assert!(told.elapsed() < Duration::from_secs(30));
    let left: Vec<String> = files(&center.output())
        .into_keys()
        .filter(|key| key.rsplit('/').next().unwrap().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let summary = export(center.config()).await;
    assert_eq!(summary.conversations, 300);
    in_order(&center).await;
}
