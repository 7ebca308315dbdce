//! Values that are to be taken out are nowhere in the clear: not in a sink, not in the queue, not in
//! what is printed. Their pseudonyms can be joined.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use genesys_simulator::{Dialect, Settings};
use serde_json::{Value, json};

use crate::support::{Harness, export, files, receipts, rows, run_program};

const KEY: &str = "R1V5d2hhdGV2ZXItaXQtaXMtaXQtaXMtYS1rZXk";

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 150,
        ..Settings::default()
    })
    .await
}

/// The configuration of an export into folders of its own, with this `privacy`.
fn config(harness: &Harness, name: &str, privacy: Value) -> Value {
    let folder = harness.folder.path().join(name);
    let mut config =
        harness.config_to(json!({ "type": "filesystem", "path": folder.join("lake") }));
    config["data_dir"] = json!(folder.join("data"));
    if !privacy.is_null() {
        config["sources"]["calls"]["privacy"] = privacy;
    }
    config
}

fn privacy(key: &str) -> Value {
    json!({
        "key": key,
        "pseudonymise": ["ani", "dnis", "agents"],
        "drop": ["tags", "attributes.*", "reason"],
    })
}

/// Values that must not be found: numbers without the form in which they are written, names, and ids of
/// agents.
fn personal(rows: &[Value]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for row in rows {
        for field in ["ani", "dnis"] {
            if let Some(address) = row[field].as_str() {
                found.insert(address.trim_start_matches("tel:").to_owned());
            }
        }
        for agent in row["agents"].as_array().unwrap() {
            let parts = [&agent["id"], &agent["name"]];
            found.extend(
                parts
                    .iter()
                    .filter_map(|part| part.as_str().map(str::to_owned)),
            );
        }
        let tags = row["tags"].as_array().unwrap().iter();
        found.extend(tags.map(|tag| tag.as_str().unwrap().to_owned()));
    }
    found
}

/// The first of some words that a file holds.
fn held<'a>(data: &[u8], words: &'a BTreeSet<String>) -> Option<&'a String> {
    words.iter().find(|word| {
        let mut windows = data.windows(word.len());
        windows.any(|window| window == word.as_bytes())
    })
}

/// All that was written below a folder, but for the media, which are not looked into.
fn written(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(folder);
    files.retain(|name, _| !name.contains("/recordings/") && !name.contains("/bundles/"));
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plain_value_is_in_a_sink_the_queue_or_what_is_printed() {
    let harness = harness().await;
    export(config(&harness, "plain", Value::Null)).await;
    let plain = harness.folder.path().join("plain");
    let words = personal(&rows(&files(&plain.join("lake"))));
    assert!(words.len() > 100, "{}", words.len());
    // The values can be found: the queue of an export that hides nothing has them.
    let queue = written(&plain.join("data"));
    assert!(queue.values().any(|data| held(data, &words).is_some()));

    let path = harness.write(&config(&harness, "private", privacy(KEY)));
    let path = path.display().to_string();
    let private = harness.folder.path().join("private");
    let nothing_plain = |what: BTreeMap<String, Vec<u8>>| {
        for (name, data) in what {
            assert_eq!(held(&data, &words), None, "{name}");
            assert!(
                !data
                    .windows(KEY.len())
                    .any(|window| window == KEY.as_bytes()),
                "{name}"
            );
        }
    };
    let arguments = ["run", "--config", &path];
    let mut child = harness.program().args(arguments).spawn().unwrap();
    let asked = || harness.simulator.stats().requests.values().sum::<u64>();
    let before = asked();
    while asked() < before + 5 && child.try_wait().unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    // A killed run leaves the queue and its journal.
    child.kill().unwrap();
    child.wait().unwrap();
    nothing_plain(written(&private));

    let ran = harness.run_program(&arguments).await;
    assert_eq!(ran.status.code(), Some(3), "losses are simulated");
    let mut everything = written(&private);
    assert!(everything.keys().any(|name| name.ends_with(".sqlite")));
    assert!(
        everything
            .keys()
            .any(|name| name.starts_with("lake/metadata/"))
    );
    everything.insert("stdout".to_owned(), ran.stdout);
    everything.insert("stderr".to_owned(), ran.stderr);
    nothing_plain(everything);
    let lake = files(&private.join("lake"));
    for row in rows(&lake) {
        assert_eq!((&row["tags"], &row["attributes"]), (&json!([]), &json!({})));
    }
    let lost = receipts(&lake);
    let lost: Vec<&Value> = lost
        .iter()
        .filter(|line| line["outcome"] == "failed")
        .collect();
    assert!(!lost.is_empty());
    assert!(
        lost.iter()
            .all(|line| line["message"] == "" && line["code"] != "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_of_a_bundle_tells_is_taken_out_of_rows_sidecars_and_the_queue() {
    let harness = Harness::start(Settings {
        conversations: 150,
        dialect: Dialect::Guide,
        ..Settings::default()
    })
    .await;
    let hive = |name: &str, privacy: Value| {
        let mut config = config(&harness, name, privacy);
        let layout = json!({ "type": "hive", "organization": "corp" });
        config["sinks"]["lake"]["layout"] = layout;
        config
    };
    // All attributes stay, so that what has no room in its column becomes one.
    let mut hidden = privacy(KEY);
    hidden["drop"] = json!(["tags"]);
    export(hive("plain", Value::Null)).await;
    export(hive("private", hidden)).await;
    let told = |name: &str| {
        let mut found = files(&harness.folder.path().join(name));
        found.retain(|name, _| !name.contains("/year=") || name.ends_with("_metadata.json"));
        found
    };
    let (plain, private) = (told("plain"), told("private"));
    let lake = |name: &str| rows(&files(&harness.folder.path().join(name).join("lake")));
    let words = personal(&lake("plain"));
    assert!(words.len() > 50, "{}", words.len());
    let beside = |(name, data): (&String, &Vec<u8>)| {
        name.ends_with("_metadata.json") && held(data, &words).is_some()
    };
    assert!(plain.iter().any(beside), "what is looked for can be found");
    for (name, data) in &private {
        assert_eq!(held(data, &words), None, "{name}");
    }
    let pseudonym = |row: &Value| row["ani"].as_str().is_some_and(|ani| ani.starts_with("p_"));
    assert!(lake("private").iter().any(pseudonym));
}

/// Rows by whose and what they are.
fn by_identity(folder: &Path) -> BTreeMap<String, Value> {
    let rows = rows(&files(folder));
    let named = rows.into_iter().map(|row| {
        (
            format!("{} {}", row["conversation_id"], row["object_key"]),
            row,
        )
    });
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pseudonyms_are_the_same_in_every_export_with_the_same_key_and_in_both_directions() {
    let harness = harness().await;
    let lake = |name: &str| harness.folder.path().join(name).join("lake");
    export(config(&harness, "plain", Value::Null)).await;
    export(config(&harness, "one", privacy(KEY))).await;
    export(config(&harness, "other", privacy(KEY))).await;
    export(config(&harness, "rekeyed", privacy(&KEY.to_lowercase()))).await;
    let (plain, one) = (by_identity(&lake("plain")), by_identity(&lake("one")));
    assert_eq!(one, by_identity(&lake("other")));
    let mut addresses = BTreeMap::<&str, &str>::new();
    let mut agents = BTreeMap::<&str, &str>::new();
    for (identity, row) in &plain {
        let hidden = &one[identity];
        for field in ["ani", "dnis"] {
            if let Some(address) = row[field].as_str() {
                let pseudonym = hidden[field].as_str().unwrap();
                assert_eq!(*addresses.entry(address).or_insert(pseudonym), pseudonym);
            }
        }
        let lists = [row, hidden].map(|row| row["agents"].as_array().unwrap());
        for (agent, pseudonym) in lists[0].iter().zip(lists[1]) {
            for part in ["id", "name"] {
                let Some(text) = agent[part].as_str() else {
                    continue;
                };
                let pseudonym = pseudonym[part].as_str().unwrap();
                assert_eq!(*agents.entry(text).or_insert(pseudonym), pseudonym);
            }
        }
        for field in ["queues", "wrap_up_codes", "divisions", "sha256", "start"] {
            assert_eq!(row[field], hidden[field]);
        }
    }
    assert!(addresses.len() > 100 && agents.len() > 10);
    let pseudonyms: BTreeSet<&&str> = addresses.values().chain(agents.values()).collect();
    assert_eq!(
        pseudonyms.len(),
        addresses.len() + agents.len(),
        "two values have one pseudonym"
    );
    for (identity, row) in by_identity(&lake("rekeyed")) {
        assert!(row["ani"].is_null() || row["ani"] != one[&identity]["ani"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_or_field_is_another_export_and_mixes_with_none() {
    let harness = harness().await;
    let names = || -> BTreeSet<String> {
        let files = files(&harness.folder.path().join("same/data"));
        let queues = files.into_keys().filter(|name| name.ends_with(".sqlite"));
        queues.collect()
    };
    let mut with_more = privacy(KEY);
    with_more["drop"] = json!(["tags", "attributes.*", "reason", "divisions"]);
    for (exports, privacy) in [
        (1, privacy(KEY)),
        (1, privacy(KEY)),
        (2, privacy(&KEY.to_lowercase())),
        (3, with_more),
        (4, Value::Null),
    ] {
        export(config(&harness, "same", privacy)).await;
        assert_eq!(names().len(), exports);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_and_a_record_of_plain_steps_are_refused_before_anything_is_asked() {
    let harness = harness().await;
    let run = async |privacy: Value, more: &[&str]| {
        let path = harness.write(&config(&harness, "refused", privacy));
        let path = path.display().to_string();
        let ran = run_program(&[&["run", "--config", &path], more].concat()).await;
        assert_eq!(ran.status.code(), Some(2));
        String::from_utf8(ran.stderr).unwrap()
    };
    let said = run(json!({ "key": KEY, "pseudonymise": ["phone"] }), &[]).await;
    let place = "sources.calls.privacy.pseudonymise: `phone` is not known; use ani, dnis, agents";
    assert!(said.contains(place), "{said}");
    let said = run(json!({ "key": "hush", "pseudonymise": ["ani"] }), &[]).await;
    assert!(
        said.contains("sources.calls.privacy.key: it could be guessed"),
        "{said}"
    );
    assert!(!said.contains("hush"), "{said}");
    let trace = harness
        .folder
        .path()
        .join("steps.jsonl")
        .display()
        .to_string();
    let said = run(privacy(KEY), &["--record", &trace]).await;
    assert!(
        said.contains("privacy: a record of the steps would hold"),
        "{said}"
    );
    assert!(harness.simulator.stats().requests.is_empty());
}
