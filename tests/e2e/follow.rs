//! An export without an end keeps up: nothing twice, nothing missed, through faults and absences.

use std::{collections::BTreeMap, time::Duration};

use genesys_simulator::{Faults, Settings};
use recording_host_config::Config;
use recording_host_engine::{RunSummary, run::Pipeline, verify::verify};
use recording_host_model::clock::Clock;
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Harness, SPEED, files, receipts};

/// How much faster than real time runs: a day in a minute.
const FAST: f64 = 1500.0;
const HOUR: u64 = 3_600_000;

async fn harness(faults: Faults) -> Harness {
    Harness::fast(
        Settings {
            conversations: 400,
            seed: 31,
            days: 1,
            clock_start: Some("2026-01-05T00:00:00Z".parse().unwrap()),
            late: 0.05,
            late_by: Duration::from_secs(3600),
            sensitive: 0.02,
            uploading: 0.0,
            faults,
            ..Settings::default()
        },
        FAST,
    )
    .await
}

/// A harness whose one day has just ended.
async fn just_ended(conversations: u64, speed: f64) -> Harness {
    let settings = Settings {
        conversations,
        days: 1,
        clock_start: Some("2026-01-06T00:00:00Z".parse().unwrap()),
        ..Settings::default()
    };
    Harness::fast(settings, speed).await
}

fn config(harness: &Harness) -> Value {
    let mut config = harness.config();
    let source = &mut config["sources"]["calls"];
    source["options"]["interval"] = json!("2026-01-05/..");
    source["options"]["job_timeout_seconds"] = json!(600);
    source["options"]["job_attempts"] = json!(10);
    source["late_hours"] = json!(3);
    source["follow"] =
        json!({ "settle_seconds": 900, "look_back_seconds": 7200, "every_seconds": 600 });
    config
}

async fn pipeline(harness: &Harness, clock: Clock) -> Pipeline {
    let config = Config::new(config(harness)).unwrap();
    config.pipelines(clock).await.unwrap().pop().unwrap()
}

/// The simulator's time, on a clock of the host's.
fn clock(harness: &Harness, speed: f64) -> Clock {
    let now = u64::try_from(harness.simulator.now().as_millisecond()).unwrap();
    Clock::starting_at(now, speed)
}

/// Follows until `ms` on the clock.
async fn follow(harness: &Harness, clock: Clock, ms: u64) {
    let (tell, told) = watch::channel(false);
    let run = pipeline(harness, clock).await.follow().run_until(told);
    let stop = async {
        clock.sleep_until(ms).await;
        tell.send(true).unwrap();
        // The sender lives as long as the run.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = run => assert!(ended.is_ok(), "{ended:?}"),
        () = stop => unreachable!(),
    }
}

/// Checks that the export is complete in the end.
async fn complete(harness: &Harness, summary: &RunSummary, clock: Clock) {
    assert_eq!(summary.conversations, 400);
    let mut latest = BTreeMap::<String, (u64, String, usize)>::new();
    for line in receipts(&files(&harness.output())) {
        let Some(id) = line["conversation_id"].as_str() else {
            continue;
        };
        let attempt = line["attempt"].as_u64().unwrap();
        let outcome = line["outcome"].as_str().unwrap().to_owned();
        let recordings: std::collections::BTreeSet<&str> = line["objects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|object| object["recording"].as_str().unwrap())
            .collect();
        let of = latest.entry(id.to_owned()).or_default();
        assert_ne!(of.0, attempt, "{id} has an attempt twice");
        if attempt > of.0 {
            *of = (attempt, outcome, recordings.len());
        }
    }
    assert_eq!(latest.len(), 400);
    for index in 0..400 {
        let conversation = harness.organization().conversation(index);
        let can_be_had = conversation.recordings.iter();
        let there = can_be_had.filter(|one| one.obtainable().is_some()).count();
        let (_, outcome, stored) = &latest[&conversation.id];
        let asked = conversation.flagged || outcome != "no-recording";
        if asked {
            assert_eq!(*stored, there, "{outcome} {conversation:?}");
        }
    }
    let sink = Filesystem::new(harness.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!((report.findings, report.conversations), (Vec::new(), 400));
    let reconciled = pipeline(harness, clock).await.reconcile().await.unwrap();
    assert_eq!(reconciled.source, 400);
    assert!(reconciled.complete(), "{reconciled:#?}");
}

fn midnight(harness: &Harness) -> u64 {
    let (from, _) = harness.organization().interval();
    u64::try_from(from.as_millisecond()).unwrap() + 24 * HOUR
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_followed_through_faults_and_nothing_is_missed() {
    let harness = harness(Faults::all(0.05)).await;
    let clock = clock(&harness, FAST);
    follow(&harness, clock, midnight(&harness) + 2 * HOUR).await;
    // A run that ends by itself waits for recordings that are still late.
    let summary = pipeline(&harness, clock).await.run().await.unwrap();
    complete(&harness, &summary, clock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_absence_everything_is_caught_up() {
    let harness = harness(Faults::default()).await;
    let clock = clock(&harness, FAST);
    let end = midnight(&harness);
    follow(&harness, clock, end - 20 * HOUR).await;
    clock.sleep_until(end - 6 * HOUR).await;
    follow(&harness, clock, end - 3 * HOUR).await;
    clock.sleep_until(end + 2 * HOUR).await;
    let summary = pipeline(&harness, clock).await.run().await.unwrap();
    complete(&harness, &summary, clock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interval_with_an_end_cannot_be_followed() {
    let harness = harness(Faults::default()).await;
    let mut config = config(&harness);
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/2026-01-06");
    let config = Config::new(config).unwrap();
    let pipelines = config.pipelines(Clock::default()).await;
    let pipeline = pipelines.unwrap().pop().unwrap().follow();
    let error = pipeline.run().await.unwrap_err().to_string();
    assert!(error.contains("sources.calls.options.interval"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_just_ended_is_asked_for_once_more_as_long_after_as_the_configuration_says() {
    // A busy machine must not take longer than the hours that are not to be waited for.
    for (hours, speed) in [(0, SPEED), (3, FAST)] {
        let harness = just_ended(96, speed).await;
        let mut config = config(&harness);
        config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/2026-01-06");
        config["sources"]["calls"]["options"]["job_timeout_seconds"] = json!(86_400);
        config["sources"]["calls"]["confirm_hours"] = json!(hours);
        // Unavailable recordings are not waited for.
        config["sources"]["calls"]["late_hours"] = json!(0);
        let clock = clock(&harness, speed);
        let config = Config::new(config).unwrap();
        let mut pipelines = config.pipelines(clock).await.unwrap();
        let run = pipelines.pop().unwrap().run();
        let run = tokio::time::timeout(Duration::from_secs(100), run).await;
        let summary = run.expect("an option is not heeded").unwrap();
        assert_eq!(summary.conversations, 96);
        let stats = harness.simulator.stats();
        // One batch has room for all that a search finds. Of those there are one or two: a run that
        // begins in the first minutes after the interval takes what has settled, then the rest.
        let batches = stats.requests["POST /api/v2/recording/batchrequests"];
        let searches = stats.requests["POST /api/v2/analytics/conversations/details/query"];
        assert_eq!(
            batches > searches,
            hours > 0,
            "{batches} batches, {searches} searches"
        );
        let waited = clock.now() - midnight(&harness);
        assert_eq!(waited > 2 * HOUR, hours > 0, "{hours}: {waited} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_for_what_has_just_ended_says_until_when() {
    let harness = just_ended(20, FAST).await;
    let mut config = config(&harness);
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/2026-01-06");
    config["sources"]["calls"]["confirm_hours"] = json!(3);
    let path = harness.write(&config).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{said}");
    let mut waits = said
        .lines()
        .filter(|line| line.contains("nothing to do until 2026-01-06T"));
    let line = waits.next().unwrap_or_else(|| panic!("{said}"));
    assert!(
        line.contains("it may be stopped, the next run resumes"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_left_alone_as_long_as_the_configuration_says() {
    let mut found = Vec::new();
    for settle in [900, 7200] {
        let harness = just_ended(200, SPEED).await;
        let mut config = config(&harness);
        let source = &mut config["sources"]["calls"];
        source["options"]["mode"] = json!("metadata_only");
        source["confirm_hours"] = json!(0);
        source["follow"]["settle_seconds"] = json!(settle);
        let clock = clock(&harness, SPEED);
        let config = Config::new(config).unwrap();
        let mut pipelines = config.pipelines(clock).await.unwrap();
        let summary = pipelines.pop().unwrap().run().await.unwrap();
        let starts: Vec<u64> = (0..200)
            .map(|index| harness.organization().conversation(index).start)
            .collect();
        let before = |ms: u64| {
            let rest = ms - settle * 1000;
            starts.iter().filter(|start| **start < rest).count() as u64
        };
        // The search began between the one time and the other.
        let expected = before(midnight(&harness))..=before(clock.now());
        assert!(expected.contains(&summary.conversations), "{expected:?}");
        found.push(summary.conversations);
    }
    assert!(found[0] > found[1], "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_are_as_far_apart_as_the_configuration_says() {
    let harness = harness(Faults::default()).await;
    let mut config = config(&harness);
    config["sources"]["calls"]["follow"]["every_seconds"] = json!(7200);
    let clock = clock(&harness, FAST);
    let config = Config::new(config).unwrap();
    let mut pipelines = config.pipelines(clock).await.unwrap();
    let (tell, told) = watch::channel(false);
    let run = pipelines.pop().unwrap().follow().run_until(told);
    let stop = async {
        clock.sleep_until(midnight(&harness) - 12 * HOUR).await;
        tell.send(true).unwrap();
    };
    let (ended, ()) = tokio::join!(run, stop);
    assert!(ended.is_ok(), "{ended:?}");
    let stats = harness.simulator.stats();
    let queries = stats.requests["POST /api/v2/analytics/conversations/details/query"];
    // Six searches in twelve hours at most, of a page or two each.
    assert!((2..=16).contains(&queries), "{queries}");
}
