//! Genesys Cloud's own integration is made to push to a bucket, and what it pushed is exported from there.

use std::{
    collections::{BTreeSet, HashSet},
    process::Output,
};

use genesys_simulator::{MediaType, Push, Settings, State};
use serde_json::{Value, json};

use crate::{
    bucket_source::config,
    s3_server::{Server, Ways},
    support::{Harness, export, files, media, program},
};

/// Runs `push` with these arguments against a contact center.
async fn push(harness: &Harness, arguments: &[&str]) -> Output {
    let path = harness.write(&harness.config()).display().to_string();
    let (action, rest) = arguments.split_first().unwrap();
    let mut all = vec!["push", action, "--config", &path];
    all.extend(rest);
    harness.run_program(&all).await
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

/// The id of the job that was started.
fn job(output: &Output) -> String {
    let said = said(output);
    let line = said.lines().find_map(|line| line.strip_prefix("job "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

async fn posts(harness: &Harness) -> u64 {
    let requests = harness.simulator.stats().requests;
    let posts = requests.get("POST /api/v2/recording/jobs");
    posts.copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_followed_to_its_end_and_what_it_pushed_is_exported_from_the_bucket() {
    let harness = Harness::start(Settings {
        conversations: 60,
        uploading: 0.1,
        ..Settings::default()
    })
    .await;
    let integration = harness.organization().integration_id();
    let ran = push(&harness, &["start", "--integration", &integration]).await;
    // Some recordings are not there yet: they are named, and the exit code says so.
    assert_eq!(ran.status.code(), Some(3), "{}", said(&ran));
    let id = job(&ran);
    for word in ["PENDING, 0 %", "PROCESSING", "FULFILLED, 100 %"] {
        assert!(said(&ran).contains(word), "{word}: {}", said(&ran));
    }
    let failed = push(&harness, &["failed", &id]).await;
    let failed: BTreeSet<String> = std::str::from_utf8(&failed.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| line["recording_id"].as_str().unwrap().to_owned())
        .collect();
    let uploading: BTreeSet<String> = (0..60)
        .flat_map(|index| harness.organization().conversation(index).recordings)
        .filter(|recording| recording.state == State::Uploading)
        .map(|recording| recording.id)
        .collect();
    assert_eq!(failed, uploading);
    assert!(!failed.is_empty());

    let server = Server::start(Ways::default()).await;
    let pushed = harness.simulator.pushed();
    let integration = Push::new(harness.organization());
    for object in integration.objects() {
        assert!(pushed.contains(&object.recording));
        server.place(&object.key, &object.body);
    }
    let organization = integration.organization_id();
    export(config(&harness, &server.url, &organization)).await;
    let stored = media(&files(&harness.folder.path().join("bucket-output")));
    let exported: BTreeSet<&str> = pushed
        .iter()
        .map(String::as_str)
        .filter(|id| stored.keys().any(|key| key.contains(id)))
        .collect();
    assert_eq!(exported.len(), pushed.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_one_job_however_often_it_is_started_and_nothing_is_pushed_twice() {
    let harness = Harness::start(Settings {
        conversations: 30,
        uploading: 0.0,
        ..Settings::default()
    })
    .await;
    let integration = harness.organization().integration_id();
    let path = harness.write(&harness.config());
    let mut child = harness
        .program()
        .args(["push", "start", "--integration"])
        .arg(&integration)
        .arg("--config")
        .arg(&path)
        .spawn()
        .unwrap();
    while posts(&harness).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = push(&harness, &["start", "--integration", &integration]).await;
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    assert_eq!(posts(&harness).await, 1);
    assert!(said(&ran).contains(" 0 skipped"), "{}", said(&ran));

    // A new job finds that all of it was pushed before.
    let again = push(&harness, &["start", "--integration", &integration]).await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert_ne!(job(&ran), job(&again));
    let number = harness.simulator.pushed().len();
    let words = format!("0 of {number} recordings pushed, {number} skipped");
    assert!(said(&again).contains(&words), "{}", said(&again));

    let listed = push(&harness, &["list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(listed["jobs"][0]["id"], json!(job(&again)));
    assert_eq!(listed["jobs"][0]["state"], "FULFILLED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_job_is_not_asked_for_and_one_can_be_cancelled() {
    let harness = Harness::start(Settings {
        conversations: 30,
        ..Settings::default()
    })
    .await;
    let integration = harness.organization().integration_id();
    let foreign = harness.simulator.add_foreign_job();
    // Slow enough to be canceled before it is ready.
    let path = harness.write(&harness.config());
    let mut child = program()
        .args(["push", "start", "--integration", &integration, "--config"])
        .arg(&path)
        .spawn()
        .unwrap();
    while posts(&harness).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let other = ["start", "--integration", &integration, "--no-screens"];
    let busy = push(&harness, &other).await;
    assert_eq!(busy.status.code(), Some(1));
    let words = said(&busy);
    assert!(
        words.contains("2 jobs are already running") && words.contains(&foreign),
        "{words}"
    );
    assert_eq!(posts(&harness).await, 1);

    let listed = push(&harness, &["list", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let own = listed["jobs"][0]["id"].as_str().unwrap();
    let cancelled = push(&harness, &["cancel", own]).await;
    assert!(cancelled.status.success(), "{}", said(&cancelled));
    let followed = push(&harness, &["follow", own]).await;
    assert_eq!(followed.status.code(), Some(1));
    assert!(
        said(&followed).contains("was cancelled"),
        "{}",
        said(&followed)
    );
    assert!(
        push(&harness, &other)
            .await
            .status
            .code()
            .is_some_and(|code| code != 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_told_with_what_to_do() {
    let harness = Harness::start(Settings {
        conversations: 5,
        ..Settings::default()
    })
    .await;
    let foreign = harness.simulator.add_foreign_job();
    let nobodys = "00000000-0000-4000-8000-000000000000";
    for (arguments, message) in [
        (
            &["start", "--integration", nobodys][..],
            "refuses to create a job: status 400",
        ),
        (
            &["follow", &foreign][..],
            "only who created a job can change it",
        ),
        (&["cancel", &foreign][..], "status 403"),
        (&["follow", nobodys][..], "there is no such job"),
        (&["follow", "../users"][..], "is not the id of a job"),
        (
            &["list", "--source", "other"][..],
            "no such source of type genesys_cloud",
        ),
    ] {
        let ran = push(&harness, arguments).await;
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}");
        assert!(
            said(&ran).contains(message),
            "{arguments:?}: {}",
            said(&ran)
        );
    }
    harness.simulator.turn_bulk_actions_off();
    let off = push(&harness, &["list"]).await;
    assert!(
        said(&off).contains("status 501") && said(&off).contains("has no recording bulk actions"),
        "{}",
        said(&off)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_pushes_what_is_selected_and_not_before_its_time() {
    let harness = Harness::start(Settings {
        conversations: 80,
        uploading: 0.0,
        ..Settings::default()
    })
    .await;
    let integration = harness.organization().integration_id();
    let selected = [
        "start",
        "--integration",
        &integration,
        "--media",
        "email,chat",
    ];
    let ran = push(&harness, &selected).await;
    assert!(ran.status.success(), "{}", said(&ran));
    let written = |media: MediaType| matches!(media, MediaType::Email | MediaType::Chat);
    let expected: HashSet<String> = (0..80)
        .map(|index| harness.organization().conversation(index))
        .filter(|conversation| written(conversation.media))
        .flat_map(|conversation| conversation.recordings)
        .filter(|recording| recording.state != State::Deleted)
        .map(|recording| recording.id)
        .collect();
    assert!(expected.len() > 3);
    assert_eq!(harness.simulator.pushed(), expected);
    // The rest is accepted at once, and pushed next century.
    let later = [
        "start",
        "--integration",
        &integration,
        "--at",
        "2126-01-01T00:00:00Z",
    ];
    let ran = push(&harness, &later).await;
    assert!(ran.status.success(), "{}", said(&ran));
    assert_eq!(harness.simulator.pushed(), expected);
}
