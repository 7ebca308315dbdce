//! An export is what is selected and where it goes: whatever else changes, nothing is requested again,
//! and no row stands twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::support::{Harness, run_program};

/// How fast time runs here.
const SLOW: f64 = 10.0;

/// The result of a run and a verification.
struct Ran {
    calls: u64,
    submits: u64,
    pages: u64,
    /// Rows of each sink, and how many of them are unique.
    rows: BTreeMap<String, (usize, usize)>,
}

/// How many rows there are, and how many different ones.
fn rows(folder: &Path) -> (usize, usize) {
    unique(&all_rows(folder))
}

/// The same of the rows that count: those of each conversation's highest attempt.
fn latest_rows(folder: &Path) -> (usize, usize) {
    let mut all = all_rows(folder);
    let mut highest = BTreeMap::<String, u64>::new();
    let about = |row: &Value| {
        let conversation = row["conversation_id"].as_str().unwrap().to_owned();
        (conversation, row["attempt"].as_u64().unwrap())
    };
    for row in &all {
        let (conversation, attempt) = about(row);
        let known = highest.entry(conversation).or_default();
        *known = attempt.max(*known);
    }
    all.retain(|row| {
        let (conversation, attempt) = about(row);
        highest[&conversation] == attempt
    });
    unique(&all)
}

fn all_rows(folder: &Path) -> Vec<Value> {
    let mut all = Vec::new();
    for (key, bytes) in crate::support::files(folder) {
        if key.starts_with("metadata/") {
            let text = String::from_utf8(bytes).unwrap();
            all.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
        }
    }
    all
}

fn unique(rows: &[Value]) -> (usize, usize) {
    let names = [
        "conversation_id",
        "recording_id",
        "object_key",
        "archive_member",
    ];
    let different: BTreeSet<String> = rows
        .iter()
        .map(|row| names.map(|name| row[name].to_string()).join(" "))
        .collect();
    (rows.len(), different.len())
}

fn requests(harness: &Harness) -> (u64, u64, u64) {
    let requests = harness.simulator.stats().requests;
    let of = |word: &str| {
        let matching = requests.iter().filter(|(name, _)| name.contains(word));
        matching.map(|(_, count)| *count).sum::<u64>()
    };
    let api = requests.iter().filter(|(name, _)| name.contains("/api/"));
    (
        api.map(|(_, count)| *count).sum(),
        of("POST /api/v2/recording/batchrequests"),
        of("POST /api/v2/analytics/conversations/details/query"),
    )
}

async fn run_export(harness: &Harness, label: &str, config: &Value, sinks: &[&str]) -> Ran {
    let before = requests(harness);
    let path = harness.write(config).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    // A recording that the vendor has flagged and lacks is a loss, known after the first run.
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{label}: {said}");
    let proven = run_program(&["verify", "--full", "--config", &path]).await;
    let proof = String::from_utf8(proven.stdout).unwrap();
    assert_eq!(proven.status.code(), Some(0), "{label}: {proof}");
    let after = requests(harness);
    let folders = sinks.iter().map(|sink| {
        let counted = rows(&harness.folder.path().join(sink));
        ((*sink).to_owned(), counted)
    });
    let ran = Ran {
        calls: after.0 - before.0,
        submits: after.1 - before.1,
        pages: after.2 - before.2,
        rows: folders.collect(),
    };
    println!(
        "{label:<26} {:>4} API calls, {:>2} batches, {:>2} pages; rows (unique): {:?}",
        ran.calls, ran.submits, ran.pages, ran.rows
    );
    for (sink, (count, unique)) in &ran.rows {
        assert_eq!(count, unique, "{label}: rows of {sink} stand twice");
    }
    ran
}

fn sink(harness: &Harness, name: &str) -> Value {
    json!({ "type": "filesystem", "path": harness.folder.path().join(name) })
}

/// An organization whose time runs so that no loss is tried again while the test takes.
async fn harness() -> Harness {
    let settings = Settings {
        conversations: 300,
        days: 7,
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.0,
        sensitive: 0.0,
        ..Settings::default()
    };
    Harness::fast(settings, SLOW).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_new_is_asked_for_when_the_configuration_changes() {
    let harness = harness().await;
    let mut config = harness.config_to(sink(&harness, "lake"));
    let interval = |config: &mut Value, text: &str| {
        config["sources"]["calls"]["options"]["interval"] = json!(text);
    };
    interval(&mut config, "2026-01-05/2026-01-08");
    let first = run_export(&harness, "3 days", &config, &["lake"]).await;
    assert!(first.submits > 0 && first.pages >= 3);

    config["sources"]["calls"]["options"]["poll_seconds"] = json!(5);
    config["sources"]["calls"]["options"]["mode"] = json!("recordings");
    config["concurrency"] = json!({ "splits": 20 });
    let spelled = run_export(&harness, "defaults spelled out", &config, &["lake"]).await;
    assert_eq!(spelled.calls, 0);
    assert_eq!(spelled.rows, first.rows);

    interval(&mut config, "2026-01-05/2026-01-12");
    let widened = run_export(&harness, "widened to 7 days", &config, &["lake"]).await;
    let new = 300_u64;
    assert!(widened.submits <= new.div_ceil(100), "{}", widened.submits);
    assert!(widened.pages <= first.pages + 4, "{}", widened.pages);

    config["sinks"]["copy"] = sink(&harness, "copy");
    let added = run_export(&harness, "a sink added", &config, &["lake", "copy"]).await;
    assert_eq!(added.rows["lake"], widened.rows["lake"]);
    assert_eq!(added.rows["copy"], widened.rows["lake"]);
    assert!(added.submits <= 3, "{}", added.submits);
    assert_eq!(added.pages, 0);

    // A renamed option is the same option; the former name is reported, and so is the one of now.
    let options = &mut config["sources"]["calls"]["options"];
    options["lanes"] = json!(3);
    let path = harness.write(&config).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(
        said.contains("options.lanes: this option is called `parallelism` now"),
        "{said}"
    );
    let options = config["sources"]["calls"]["options"].as_object_mut();
    let given = options.unwrap().remove("lanes").unwrap();
    config["sources"]["calls"]["options"]["parallelism"] = given;
    config["sources"]["calls"]["options"]["poll_seconds"] = json!(9);
    let again = run_export(&harness, "run again", &config, &["lake", "copy"]).await;
    assert_eq!((again.calls, &again.rows), (0, &added.rows));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_selection_is_said_and_does_not_fetch_what_receipts_prove() {
    let harness = harness().await;
    let mut config = harness.config_to(sink(&harness, "lake"));
    config["sources"]["calls"]["options"]["media"] = json!(["voice"]);
    let voice = run_export(&harness, "voice alone", &config, &["lake"]).await;
    config["sources"]["calls"]["options"]["media"] = json!(["voice", "chat"]);
    let path = harness.write(&config).display().to_string();
    let before = requests(&harness);
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{said}");
    assert!(
        said.contains("another export") && said.contains("`media`"),
        "{said}"
    );
    let proven = run_program(&["verify", "--full", "--config", &path]).await;
    let proof = String::from_utf8(proven.stdout).unwrap();
    assert_eq!(proven.status.code(), Some(0), "{proof}");
    // A conversation that has a chat, too, is taken up again: of its rows those of the further attempt count.
    let (count, different) = latest_rows(&harness.folder.path().join("lake"));
    assert_eq!(count, different, "rows that count stand twice");
    assert!(different > voice.rows["lake"].1);
    // Only the chats are new: fewer batches than for all.
    let submits = requests(&harness).1 - before.1;
    assert!(
        submits < voice.submits.max(2),
        "{submits} of {}",
        voice.submits
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_layout_fills_its_sink_anew_and_touches_no_other() {
    let harness = harness().await;
    let mut config = harness.config_to(sink(&harness, "lake"));
    config["sinks"]["copy"] = sink(&harness, "copy");
    let first = run_export(&harness, "two sinks", &config, &["lake", "copy"]).await;
    let lake = crate::support::files(&harness.folder.path().join("lake"));
    config["sinks"]["copy"]["layout"] = json!("flat");
    let path = harness.write(&config).display().to_string();
    let before = requests(&harness);
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert!(
        said.contains("sink copy wants its objects in another form"),
        "{said}"
    );
    // They were copied from the other sink.
    assert_eq!(requests(&harness).0 - before.0, 0);
    assert!(crate::support::files(&harness.folder.path().join("lake")) == lake);
    let flat = crate::support::files(&harness.folder.path().join("copy"));
    let flat = flat
        .keys()
        .filter(|key| key.starts_with("recordings/") && key.matches('/').count() == 1);
    let media = lake.keys().filter(|key| key.starts_with("recordings/"));
    assert_eq!(flat.count(), media.count());
    let proven = run_program(&["verify", "--full", "--config", &path]).await;
    let proof = String::from_utf8(proven.stdout).unwrap();
    assert_eq!(proven.status.code(), Some(0), "{proof}");
    assert!(first.rows["copy"].0 > 0);
}
