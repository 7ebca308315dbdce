//! A run that was killed resumes where it was and ends with the same set.

use std::time::Duration;

use genesys_simulator::Settings;

use crate::support::{Harness, export, files, media, receipts, rows, same_media, set};

fn settings() -> Settings {
    Settings {
        conversations: 600,
        seed: 3,
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_runs_end_with_the_same_set_as_an_undisturbed_one() {
    let undisturbed = Harness::start(settings()).await;
    export(undisturbed.config()).await;
    let wanted = files(&undisturbed.output());

    let harness = Harness::start(settings()).await;
    let config = harness.write(&harness.config());
    let mut killed = 0;
    for attempt in 0..40_u64 {
        let mut child = harness
            .program()
            .args(["run", "--config"])
            .arg(&config)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // A little longer each time, so that every stage is hit and the end is reached.
        tokio::time::sleep(Duration::from_millis(150 + attempt * 45)).await;
        match child.try_wait().unwrap() {
            Some(status) => {
                assert_eq!(status.code(), Some(3), "losses are simulated");
                break;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
            }
        }
    }
    assert!(killed >= 3, "killed {killed} times");
    // Whatever is left, and nothing if all is done.
    let summary = export(harness.config()).await;
    assert_eq!(summary.conversations, 600);
    let found = files(&harness.output());
    same_media(&media(&found), &media(&wanted));
    assert_eq!(set(&rows(&found)), set(&rows(&wanted)));
    set(&receipts(&found));
    let left: Vec<&String> = found
        .keys()
        .filter(|key| {
            ![
                "recordings/",
                "metadata/",
                "receipts/",
                "README.txt",
                ".recording-host.json",
            ]
            .iter()
            .any(|p| key.starts_with(p))
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_export_is_not_repeated() {
    let harness = Harness::start(settings()).await;
    let first = export(harness.config()).await;
    let before = harness.simulator.stats();
    let second = export(harness.config()).await;
    assert_eq!(harness.simulator.stats(), before);
    assert_eq!(
        (second.conversations, second.recordings, second.outcomes),
        (first.conversations, first.recordings, first.outcomes)
    );
}
