//! Before an export from a bucket: whether it would work, and its size, requests and duration.

use genesys_simulator::Settings;
use serde_json::{Value, json};

use super::{config, push};
use crate::{
    s3_server::{Server, Ways},
    support::{Harness, export, files, run_program},
};

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 60,
        days: 2,
        ..Settings::default()
    })
    .await
}

/// The JSON output of a command of the program, and true if it succeeded.
async fn said(harness: &Harness, config: &Value, command: &str) -> (Value, bool) {
    let path = harness.write(config).display().to_string();
    // The server's clock is the real one.
    let output = run_program(&[command, "--json", "--config", &path]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (told["sources"]["calls"].clone(), output.status.success())
}

/// State and text of a finding.
fn of<'a>(findings: &'a Value, subject: &str) -> (&'a str, &'a str) {
    let found = findings.as_array().unwrap();
    let found = found.iter().find(|one| one["subject"] == subject);
    let found = found.unwrap_or_else(|| panic!("{subject}: {findings:#}"));
    (
        found["state"].as_str().unwrap(),
        found["text"].as_str().unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_bucket_says_that_all_is_well() {
    let server = Server::start(Ways::default()).await;
    let harness = harness().await;
    let organization = push(&harness, &server, |_| true);
    let config = config(&harness, &server.url, &organization);
    let (findings, content) = said(&harness, &config, "check").await;
    assert!(content, "{findings:#}");
    for subject in [
        "bucket",
        "layout",
        "newest recording",
        "metadata",
        "objects",
        "sink lake",
    ] {
        assert_eq!(of(&findings, subject).0, "good", "{findings:#}");
    }
    // The last day on which there was a conversation.
    let (_, until) = harness.organization().interval();
    let last = until.to_string();
    assert!(of(&findings, "layout").1.contains(&format!(
        "year={}/month={}/day=",
        &last[..4],
        last[5..7].trim_start_matches('0')
    )));
    // Folders of four levels, the newest hour, and the metadata of one file.
    assert_eq!(server.seen("ListObjectsV2").len(), 5);
    assert_eq!(server.seen("GetObject").len(), 1);
    assert_eq!(files(&harness.folder.path().join("bucket-output")).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_bucket_names_what_is_missing_and_the_way_out() {
    let server = Server::start(Ways::default()).await;
    let harness = harness().await;
    let organization = push(&harness, &server, |key| !key.ends_with("_metadata.json"));
    let config = config(&harness, &server.url, &organization);
    let (findings, content) = said(&harness, &config, "check").await;
    assert!(content, "what is doubtful works: {findings:#}");
    let (state, text) = of(&findings, "metadata");
    assert_eq!(state, "doubtful");
    assert!(text.contains("no-sidecar"), "{text}");

    for (change, subject, words) in [
        (
            json!({ "organization": "another" }),
            "layout",
            "check `organization` and `prefix`",
        ),
        (json!({ "bucket": "another" }), "bucket", "no such bucket"),
    ] {
        let mut config = config.clone();
        for (name, value) in change.as_object().unwrap() {
            config["sources"]["calls"]["options"][name] = value.clone();
        }
        let (findings, content) = said(&harness, &config, "check").await;
        let (state, text) = of(&findings, subject);
        assert!(
            !content && state == "bad" && text.contains(words),
            "{findings:#}"
        );
    }
    let mut wrong = config.clone();
    wrong["sources"]["calls"]["auth"]["secret_access_key"] = json!("another");
    let (findings, content) = said(&harness, &wrong, "check").await;
    let (state, text) = of(&findings, "credentials");
    assert!(
        !content && state == "bad" && text.contains("`auth`"),
        "{findings:#}"
    );
    // There is something, but not of the integration.
    server.place("stray/of-somebody/else.opus", b"?");
    let mut stray = config;
    stray["sources"]["calls"]["options"]["organization"] = json!("stray");
    let (findings, content) = said(&harness, &stray, "check").await;
    let (state, text) = of(&findings, "layout");
    assert!(
        !content && state == "bad" && text.contains("no folder `year=...`"),
        "{findings:#}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_a_bucket_says_what_an_export_takes() {
    let server = Server::start(Ways::default()).await;
    let harness = harness().await;
    let organization = push(&harness, &server, |_| true);
    let config = config(&harness, &server.url, &organization);
    let (plan, _) = said(&harness, &config, "plan").await;
    let read = server.seen("GetObject");
    assert!(
        !read.is_empty() && read.iter().all(|seen| seen.key.ends_with("_metadata.json")),
        "no media are moved"
    );
    assert_eq!(files(&harness.folder.path().join("bucket-output")).len(), 0);
    let summary = export(config).await;
    let total = &plan["total"];
    assert_eq!(total["conversations"], summary.conversations);
    assert_eq!(total["recorded"], summary.conversations);
    assert_eq!(plan["days"].as_array().unwrap().len(), 2);
    let near = |planned: &Value, real: u64, within: f64| {
        let planned = planned.as_u64().unwrap();
        let off = planned.abs_diff(real) as f64;
        assert!(
            off <= real as f64 * within,
            "{planned} planned, {real} came: {plan:#}"
        );
    };
    near(&total["recordings"], summary.recordings, 0.4);
    let searches: u64 = summary
        .api_calls
        .iter()
        .filter(|(kind, _)| kind.starts_with("listing"))
        .map(|(_, calls)| calls)
        .sum();
    // The look whether there is anything is no part of it.
    near(&plan["requests"]["search"], searches, 0.5);
    let fetches: u64 = summary
        .api_calls
        .iter()
        .filter(|(kind, _)| kind.starts_with("folders"))
        .map(|(_, calls)| calls)
        .sum();
    near(&plan["requests"]["folders GET"], fetches, 0.4);
    let measured = plan["sample"]["bytes"].as_u64().unwrap();
    assert!(
        measured > 0 && plan["sample"]["unmeasured"] == 0,
        "{plan:#}"
    );
}
