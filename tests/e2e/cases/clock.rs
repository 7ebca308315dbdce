//! A machine whose clock is wrong at first, or sleeps: a run goes by the time that it is.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::json;

use super::cloud::{Cloud, Recording, row};
use crate::support::{in_time, program};

/// The time in `seconds` from now, in the vendor's format.
fn from_now(seconds: i64) -> String {
    let span = jiff::SignedDuration::from_secs(seconds);
    let then = jiff::Timestamp::now().checked_add(span).unwrap();
    format!("{then:.3}")
}

/// What the clock of the machine shows against the time that it is, from here on.
fn set(file: &Path, offset: &str) {
    std::fs::write(file, offset).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libfaketime, which tests/run installs"]
async fn one_that_follows_goes_by_the_clock_once_that_is_right() {
    let library = std::env::var("LIBFAKETIME")
        .expect("LIBFAKETIME is not set: tests/run installs faketime and sets it");
    // The clock is behind: the call is of the future. It is ahead: the token would have ended long ago.
    for wrong in ["-2h", "+2h"] {
        let mut call = row(1);
        call["conversationStart"] = json!(from_now(-600));
        call["conversationEnd"] = json!(from_now(-300));
        let mut cloud = Cloud::honest(vec![(call, vec![Recording::call(1, 0)])]).await;
        cloud.options = json!({ "interval": format!("{}/..", &from_now(-86_400)[..10]) });
        // Seldom enough that the limit has room for more than searches.
        cloud.source = json!({ "late_hours": 0,
            "follow": { "every_seconds": 3, "settle_seconds": 1, "look_back_seconds": 3600 } });
        let config = cloud.configuration();
        let clock = cloud.folder("clock");
        set(&clock, wrong);
        let mut run = tokio::process::Command::from(program());
        run.args(["run", "--follow", "--config", &config])
            .env("LD_PRELOAD", &library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut run = run.spawn().unwrap();
        let searches = async |more: u64| {
            let before = cloud.asked("page");
            while cloud.asked("page") < before + more {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        in_time(searches(3)).await;
        if wrong.starts_with('-') {
            assert!(cloud.recordings().is_empty(), "a call of its future");
        }
        set(&clock, "+0");
        in_time(async {
            while cloud.recordings().len() != 1 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        // It follows on.
        in_time(searches(2)).await;
        assert!(run.try_wait().unwrap().is_none(), "{wrong}");
        run.kill().await.unwrap();
    }
}
