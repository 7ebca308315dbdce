//! A running export can be watched: metrics, health, a log that machines read.

use std::{collections::BTreeMap, process::Stdio};

use genesys_simulator::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::{
    monitoring::eventually,
    support::{Harness, files, in_time, media},
};

/// How much faster than real time runs: what is completed is filed after a second.
const FAST: f64 = 1500.0;

/// The series of conversations by outcome.
const OUTCOMES: &str = "recording_host_conversations{";

/// A program that runs, with what it writes on standard error.
pub(crate) struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    pub(crate) address: String,
}

impl Running {
    /// Follows an export, watched on a port of its own.
    pub(crate) async fn follow(harness: &Harness, arguments: &[&str]) -> Self {
        Self::follow_as(harness, harness.config(), arguments, &[]).await
    }

    /// The same with a configuration that is made an endless one, and an environment.
    pub(crate) async fn follow_as(
        harness: &Harness,
        mut config: Value,
        arguments: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
        config["sources"]["calls"]["late_hours"] = json!(1);
        config["sources"]["calls"]["follow"] =
            json!({ "settle_seconds": 60, "look_back_seconds": 60, "every_seconds": 60 });
        let path = harness.write(&config);
        let mut program = Command::from(harness.program());
        program
            .args(["run", "--follow", "--metrics-listen", "127.0.0.1:0"])
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .arg("--config")
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = program.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = in_time(lines.next_line()).await.unwrap().unwrap();
        let address = first.split("http://").nth(1).unwrap();
        let address = address.split("/metrics").next().unwrap().to_owned();
        Running {
            child,
            lines,
            address,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("http://{}{path}", self.address))
            .await
            .unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The samples, by their names with labels.
    async fn samples(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        lines.map(sample).collect()
    }

    /// Stops it and returns its exit code and the lines that it wrote.
    pub(crate) async fn stop(mut self) -> (Option<i32>, Vec<String>) {
        let id = self.child.id().unwrap().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(killed.unwrap().success());
        let mut lines = Vec::new();
        while let Some(line) = in_time(self.lines.next_line()).await.unwrap() {
            lines.push(line);
        }
        (self.child.wait().await.unwrap().code(), lines)
    }
}

async fn harness(settings: Settings) -> Harness {
    let settings = Settings {
        days: 1,
        clock_start: Some("2026-01-06T00:00:00Z".parse().unwrap()),
        ..settings
    };
    Harness::fast(settings, FAST).await
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_agree_with_what_is_stored_and_health_with_what_happens() {
    let harness = harness(Settings {
        conversations: 120,
        ..Settings::default()
    })
    .await;
    let running = Running::follow(&harness, &[]).await;
    let stored = r#"recording_host_component_sent_events_total{component_kind="sink",component_id="lake",component_type="filesystem",source="calls"}"#;
    let bytes = stored.replace("events", "bytes");
    let found = r#"recording_host_conversations{component_kind="source",component_id="calls",component_type="genesys_cloud",outcome="found"}"#;
    let samples = eventually("all is filed", || async {
        let samples = running.samples().await;
        let all = samples
            .iter()
            .filter(|(name, _)| name.starts_with(OUTCOMES));
        let filed: f64 = all.filter(|(name, _)| *name != found).map(|(_, n)| n).sum();
        (filed >= 120.0).then_some(samples)
    })
    .await;
    let kept = files(&harness.output());
    let kept = media(&kept);
    assert_eq!(samples[stored], kept.len() as f64);
    let length: u64 = kept.values().map(|(length, _)| length).sum();
    assert_eq!(samples[&bytes], length as f64);
    assert_eq!(samples[found], 120.0);
    let requests = harness.simulator.stats().requests;
    let requests: u64 = requests.values().sum();
    let sent = "recording_host_http_client_requests_sent_total";
    let sent: f64 = samples
        .iter()
        .filter(|(name, _)| name.starts_with(sent))
        .map(|(_, n)| n)
        .sum();
    assert!(
        sent > 0.0 && sent <= requests as f64,
        "{sent} of {requests}"
    );
    assert_eq!(running.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(running.get("/readyz").await.0, 200);
    assert_eq!(running.get("/other").await.0, 404);
    let (code, lines) = running.stop().await;
    assert_eq!(code, Some(0), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_the_log_is_json_and_holds_nothing_personal() {
    let harness = harness(Settings {
        conversations: 60,
        ..Settings::default()
    })
    .await;
    let running = Running::follow(&harness, &["--log-format", "json", "--verbose"]).await;
    let stored = "recording_host_component_sent_events_total";
    eventually("a recording and a receipt", || async {
        let samples = running.samples().await;
        let mut stored = samples.iter().filter(|(name, _)| name.starts_with(stored));
        let filed = files(&harness.output());
        let filed = filed.keys().any(|key| key.contains("receipts/"));
        (filed && stored.any(|(_, count)| *count > 0.0)).then_some(())
    })
    .await;
    let (code, lines) = running.stop().await;
    assert_eq!(code, Some(0));
    let mut events = BTreeMap::<String, usize>::new();
    for line in &lines {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(
            line["time"].is_string() && line["level"].is_string(),
            "{line}"
        );
        *events
            .entry(line["event"].as_str().unwrap().to_owned())
            .or_default() += 1;
    }
    for event in [
        "request",
        "step_committed",
        "artifact_stored",
        "segment_filed",
        "message",
    ] {
        assert!(events.contains_key(event), "{event}: {events:?}");
    }
    let text = lines.join("\n");
    for personal in ["tel:", "X-Amz-Signature", "signature=", "access_token"] {
        assert!(!text.contains(personal), "{personal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_named() {
    let harness = harness(Settings::default()).await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let path = harness.write(&harness.config()).display().to_string();
    let arguments = ["run", "--metrics-listen", &address, "--config", &path];
    let ran = harness.run_program(&arguments).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("--metrics-listen {address}")),
        "{said}"
    );
}
