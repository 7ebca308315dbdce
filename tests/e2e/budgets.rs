//! A run can be tried without doing it, and does no more than it may.

use std::time::Duration;

use genesys_simulator::Settings;
use serde_json::Value;

use crate::support::{Harness, filed, files, media};

async fn harness(conversations: u64) -> Harness {
    Harness::start(Settings {
        conversations,
        ..Settings::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_a_run_does_and_asks_for_nothing_that_costs() {
    let harness = harness(200).await;
    let path = harness.write(&harness.config()).display().to_string();
    let dry = async || {
        let arguments = ["run", "--dry-run", "--json", "--config", &path];
        let ran = harness.run_program(&arguments).await;
        assert_eq!(ran.status.code(), Some(0), "{ran:?}");
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
        report["sources"]["calls"].clone()
    };
    let would = dry().await;
    let requests = harness.simulator.stats().requests;
    assert!(
        requests.keys().all(|kind| !kind.contains("batch")),
        "{requests:?}"
    );
    assert!(!harness.output().exists());
    assert!(!harness.folder.path().join("data").exists());
    assert_eq!(would["found"], 200, "{would}");

    let ran = harness
        .run_program(&["run", "--json", "--config", &path])
        .await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let outcomes = &summary["sources"]["calls"]["outcomes"];
    let count = |word: &str| outcomes[word].as_u64().unwrap_or_default();
    let with_media = count("stored") + count("partial") + count("failed");
    let fetched = would["fetched"].as_u64().unwrap();
    assert!(
        fetched >= with_media && fetched <= 200,
        "{would} {outcomes}"
    );
    let lake = &would["sinks"]["lake"];
    assert_eq!(lake["conversations"], fetched);
    let kept = media(&files(&harness.output()));
    let keys = lake["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 3, "{lake}");
    let is_kept = |key: &&Value| {
        let stem = key
            .as_str()
            .unwrap()
            .strip_suffix("recording-id.ext")
            .unwrap();
        kept.keys().any(|kept| kept.starts_with(stem))
    };
    // Of some that are fetched there is no recording any more.
    assert!(keys.iter().any(|key| is_kept(&key)), "{lake}");
    let would = dry().await;
    assert_eq!((&would["found"], &would["waiting"]), (&0.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stops_at_its_limit_says_that_work_is_left_and_resumes() {
    // The time is up before the first job is done.
    let settings = Settings {
        conversations: 300,
        job_time: Duration::from_secs(60),
        ..Settings::default()
    };
    let harness = Harness::fast(settings, 20.0).await;
    let path = harness.write(&harness.config()).display().to_string();
    for limit in [["--max-time", "1s"], ["--max-bytes", "1MB"]] {
        let arguments = ["run", "--config", &path, limit[0], limit[1]];
        let ran = harness.run_program(&arguments).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(5), "{said}");
        let words = format!("{} has ended the run and work is left; run again", limit[0]);
        assert!(said.contains(&words), "{said}");
        let summary = String::from_utf8(ran.stdout).unwrap();
        for words in ["ended early    stopped", "API calls  ", "not filed yet"] {
            assert!(summary.contains(words), "{words}: {summary}");
        }
        if limit[0] == "--max-bytes" {
            let kept = media(&files(&harness.output()));
            let bytes: u64 = kept.values().map(|(length, _)| length).sum();
            assert!(bytes >= 1_000_000, "{bytes}");
        }
    }
    // What is left is told by a dry run: nobody is to think that it is done.
    let dry = ["run", "--dry-run", "--json", "--config", &path];
    let ran = harness.run_program(&dry).await;
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let would = &report["sources"]["calls"];
    let count = |name: &str| would[name].as_u64().unwrap();
    let left = 300 - filed(&harness.output()) as u64;
    assert!(left > 0);
    assert_eq!(
        count("found") + count("waiting") + count("unfiled"),
        left,
        "{would}"
    );
    let arguments = ["run", "--config", &path, "--max-bytes", "1TB"];
    let ran = harness.run_program(&arguments).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(filed(&harness.output()), 300);
    let wrong = ["run", "--config", &path, "--max-bytes", "much"];
    let ran = harness.run_program(&wrong).await;
    assert_eq!(ran.status.code(), Some(2));
}
