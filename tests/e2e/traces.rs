//! A collector gets one trace of each fetch: requests, artifacts, downloads, and puts into each sink.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
};

use genesys_simulator::Settings;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::support::{Harness, files, media};

/// A span by its id.
type Spans = BTreeMap<String, Value>;

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 250,
        seed: 3,
        ..Settings::default()
    })
    .await
}

/// Runs an export that is traced; returns what it wrote on standard error.
async fn traced(harness: &Harness, endpoint: &str) -> String {
    let path = harness.write(&harness.config()).display().to_string();
    let arguments = ["run", "--config", &path, "--otlp-endpoint", endpoint];
    let ran = harness.run_program(&arguments).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    said
}

fn text<'a>(span: &'a Value, field: &str) -> &'a str {
    span[field]
        .as_str()
        .unwrap_or_else(|| panic!("{field} of {span}"))
}

/// The names of a span and of all above it, and the id of the last.
fn way(spans: &Spans, span: &Value) -> (Vec<String>, String) {
    let (mut names, mut at) = (Vec::new(), span);
    loop {
        names.push(text(at, "name").to_owned());
        match text(at, "parent") {
            "" => return (names, text(at, "span").to_owned()),
            parent => {
                let above = spans
                    .get(parent)
                    .unwrap_or_else(|| panic!("no parent of {at}"));
                assert_eq!(above["trace"], at["trace"]);
                at = above;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OpenTelemetry's types for Python, which tests/run installs"]
async fn each_fetch_is_one_trace_from_its_requests_to_the_puts_in_the_sink() {
    // Long: one scenario, told in its order.
    let folder = std::env::var_os("OTLP").expect("OTLP names no folder; tests/run installs it");
    let harness = harness().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/readers/otlp.py");
    let received = harness.folder.path().join("spans");
    let mut collector = Command::new("python3")
        .args([&script, &received])
        .env("PYTHONPATH", folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(collector.stdout.take().unwrap()).lines();
    let port = lines
        .next_line()
        .await
        .unwrap()
        .expect("the collector's port");
    let said = traced(&harness, &format!("http://127.0.0.1:{port}")).await;
    assert!(!said.contains("traces are lost"), "{said}");
    // All is sent before the program ends.
    collector.kill().await.unwrap();
    let mut spans = Spans::new();
    for line in std::fs::read_to_string(received).unwrap().lines() {
        let span: Value = serde_json::from_str(line).unwrap();
        assert_eq!(span["service"], "recording-host");
        spans.insert(text(&span, "span").to_owned(), span);
    }
    let ways: Vec<(Vec<String>, String)> = spans.values().map(|span| way(&spans, span)).collect();
    let count = |names: &[&str]| {
        let same = |way: &&(Vec<String>, String)| way.0 == names;
        ways.iter().filter(same).count()
    };
    let objects = media(&files(&harness.output())).len();
    assert_eq!(count(&["put", "artifact", "batch"]), objects);
    // An archive is one download, and a put for each of its files.
    let with = |child: &str| -> BTreeSet<&str> {
        let children = spans.values().filter(|span| span["name"] == child);
        children.map(|span| text(span, "parent")).collect()
    };
    assert_eq!(with("download"), with("put"));
    assert!(count(&["download", "artifact", "batch"]) > 200);
    // A trace each: a root, its requests, and nothing of another.
    let roots: BTreeSet<&String> = ways.iter().map(|(_, root)| root).collect();
    let traces: BTreeSet<&str> = spans.values().map(|span| text(span, "trace")).collect();
    assert_eq!(roots.len(), traces.len());
    let requests: u64 = harness.simulator.stats().requests.values().sum();
    let sent = spans.values().filter(|span| span["name"] == "request");
    let sent: Vec<&Value> = sent.collect();
    assert!(
        !sent.is_empty() && sent.len() as u64 <= requests,
        "{}",
        sent.len()
    );
    // A request without a response has no status.
    let answered = sent
        .iter()
        .filter(|span| span["attributes"]["status"].is_number());
    assert!(answered.count() * 2 > sent.len());
    let bytes = |span: &Value| span["attributes"]["bytes"].as_u64();
    let came: u64 = spans.values().filter_map(bytes).sum();
    assert!(came > 1_000_000, "{came}");
    let batches = ways.iter().filter(|(names, _)| *names == ["batch"]).count();
    assert!(
        batches >= 3,
        "250 conversations are three fetches: {batches}"
    );
    let all = serde_json::to_string(&spans).unwrap();
    for hidden in ["http://", "tel:", "+1", "ignature", "secret", "Bearer"] {
        assert!(!all.contains(hidden), "{hidden}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_named_once_and_stops_no_export() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let harness = harness().await;
    let said = traced(&harness, &endpoint).await;
    let complaint = "--otlp-endpoint: traces are lost: the collector cannot be reached";
    assert_eq!(said.matches(complaint).count(), 1, "{said}");
    assert!(!media(&files(&harness.output())).is_empty());
}
