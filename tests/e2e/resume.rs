//! A run that was killed resumes where it was and ends with the same set.

use std::{collections::BTreeMap, fs::File, time::Duration};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::RunSummary;
use recording_host_model::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    running::Running,
    support::{Harness, SPEED, export, filed, files, media, receipts, rows, same_media, set},
};

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
    let printed = harness.folder.path().join("printed");
    let mut killed = 0;
    for attempt in 0..40_u64 {
        let print = File::options().create(true).append(true).open(&printed);
        let mut child = harness
            .program()
            .args(["run", "--config"])
            .arg(&config)
            .stdout(print.unwrap())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // A little longer each time, so that every stage is hit and the end is reached.
        tokio::time::sleep(Duration::from_millis(150 + attempt * 45)).await;
        match child.try_wait().unwrap() {
            Some(status) => {
                // Losses are simulated. A run that was killed may have named them, after its work.
                let printed = std::fs::read_to_string(&printed).unwrap();
                assert!(printed.contains("unavailable"), "{printed}");
                let is_named = printed.contains("named by earlier runs");
                let wanted = if is_named { 0 } else { 3 };
                assert_eq!(status.code(), Some(wanted), "{printed}");
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

/// What a run has found by the time that its report is there, and the report is dropped unread.
async fn unread(config: Value) -> RunSummary {
    let config = Config::new(config).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    let (_running, stop) = watch::channel(false);
    let report = pipelines.pop().unwrap().run_to_report(stop).await.unwrap();
    report.summary
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_that_nobody_was_told_of_are_named_by_the_next_run() {
    let harness = Harness::start(settings()).await;
    let unread = unread(harness.config()).await;
    assert!(!unread.losses.is_empty());
    let read = export(harness.config()).await;
    assert_eq!(
        (&read.losses, &read.losses_by_code, read.known_losses),
        (&unread.losses, &unread.losses_by_code, 0)
    );
    let again = export(harness.config()).await;
    assert!(again.losses.is_empty());
    let lost: u64 = read.losses_by_code.values().sum();
    assert!(again.known_losses > 0 && again.known_losses <= lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_of_a_source_that_was_done_when_the_run_was_killed_are_named_by_the_next() {
    let harness = Harness::start(settings()).await;
    // In real time: its jobs take longer than the test waits.
    let slow = Harness::of_a_day(20, 1.0).await;
    let mut config = harness.config();
    config["sources"]["slow"] = slow.config()["sources"]["calls"].take();
    let path = harness.write(&config).display().to_string();
    let mut run = Running::start(&harness, &["run", "--config", &path]);
    let all_filed = async {
        while filed(&harness.output()) < 600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all_filed)
        .await
        .unwrap();
    // What is left to do of that source takes less.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        run.child.try_wait().unwrap().is_none(),
        "the slow one goes on"
    );
    run.child.kill().await.unwrap();

    config["sources"].as_object_mut().unwrap().remove("slow");
    std::fs::write(&path, config.to_string()).unwrap();
    let ran = harness
        .run_program(&["run", "--json", "--config", &path])
        .await;
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let told = &told["sources"]["calls"];
    assert_eq!(ran.status.code(), Some(3), "{told}");
    assert_eq!(told["known_losses"], json!(0));
    let by_code: BTreeMap<String, u64> =
        serde_json::from_value(told["losses_by_code"].clone()).unwrap();
    assert!(by_code.values().sum::<u64>() > 0);
}
