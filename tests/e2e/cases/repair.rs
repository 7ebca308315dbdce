//! `run --repair` puts right what `verify` finds: from another sink, from what is sound in place, else
//! from the source; what cannot be put right is named.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

use super::cloud::{Answer, Ask, Cloud, Recording, row};
use crate::support::files;

const CALLS: u64 = 20;

fn calls() -> Vec<(Value, Vec<Recording>)> {
    let all = (1..=CALLS as u32).map(|number| (row(number), vec![Recording::call(number, 0)]));
    all.collect()
}

async fn exported() -> Cloud {
    let cloud = Cloud::honest(calls()).await;
    cloud.run().await.complete(CALLS);
    cloud
}

/// Removes five recordings of a folder and damages five others; returns their keys.
fn damage(folder: &Path) -> Vec<String> {
    let keys: Vec<String> = files(folder)
        .into_keys()
        .filter(|key| key.starts_with("recordings/"))
        .take(10)
        .collect();
    for (number, key) in keys.iter().enumerate() {
        let path = folder.join(key);
        if number % 2 == 0 {
            fs::remove_file(path).unwrap();
        } else {
            let mut bytes = fs::read(&path).unwrap();
            bytes[100] ^= 1;
            fs::write(path, bytes).unwrap();
        }
    }
    keys
}

/// The findings of `verify --full` in a sink: difference and key.
async fn found(cloud: &Cloud, sink: &str) -> Vec<(String, String)> {
    let proven = cloud.command("verify", &["--full"]).await;
    let findings = proven.json["sinks"][sink]["findings"]
        .as_array()
        .unwrap()
        .clone();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|finding| (text(finding, "difference"), text(finding, "key")))
        .collect()
}

fn first(folder: &Path, below: &str) -> PathBuf {
    let keys = files(folder).into_keys();
    let mut keys = keys.filter(|key| key.starts_with(below));
    folder.join(keys.next().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_damaged_recordings_come_back_from_the_source_and_nothing_else_is_downloaded() {
    let cloud = exported().await;
    let before = files(&cloud.output());
    let keys = damage(&cloud.output());
    let named: Vec<String> = found(&cloud, "out")
        .await
        .into_iter()
        .map(|it| it.1)
        .collect();
    assert_eq!(named.len(), 10, "{named:?}");
    assert!(keys.iter().all(|key| named.contains(key)));
    let media = cloud.asked("media");
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(cloud.asked("media") - media, 10);
    let after = files(&cloud.output());
    for key in &keys {
        assert!(after.get(key) == before.get(key), "{key}");
    }
    ran.complete(CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_damaged_recordings_come_back_from_another_sink_though_the_vendor_has_deleted_them() {
    let gone = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&gone);
    let mut cloud = Cloud::start(calls(), move |ask| {
        let deleted = now.load(Ordering::Relaxed);
        match ask {
            Ask::Media(..) if deleted => Answer::new(404, "text/plain", "gone"),
            _ => None,
        }
    })
    .await;
    let copy = cloud.folder("copy");
    cloud.sinks["copy"] = json!({ "type": "filesystem", "path": copy });
    cloud.run().await.complete(CALLS);
    gone.store(true, Ordering::Relaxed);
    let before = files(&cloud.output());
    damage(&cloud.output());
    let asked = ["media", "submit", "page"].map(|what| cloud.asked(what));
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ["media", "submit", "page"].map(|what| cloud.asked(what)),
        asked
    );
    // Byte for byte what it was: receipts and rows were not touched.
    assert!(files(&cloud.output()) == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_any_more_is_named() {
    let gone = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&gone);
    let cloud = Cloud::start(calls(), move |ask| {
        let deleted = now.load(Ordering::Relaxed);
        match ask {
            Ask::Media(..) if deleted => Answer::new(404, "text/plain", "gone"),
            _ => None,
        }
    })
    .await;
    cloud.run().await.complete(CALLS);
    gone.store(true, Ordering::Relaxed);
    let lost = first(&cloud.output(), "recordings/");
    fs::remove_file(&lost).unwrap();
    let ran = cloud.command("run", &["--repair"]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let left = ran.json["sources"]["calls"]["repaired"]["left"]["out"].to_string();
    let key = lost
        .strip_prefix(cloud.output())
        .unwrap()
        .display()
        .to_string();
    assert!(left.contains(&key), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manipulated_receipts_and_lost_files_of_rows_are_filed_anew_without_a_download() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 5] = [
        ("a line removed", |out| {
            let path = first(out, "receipts/");
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            fs::write(&path, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
        }),
        ("an outcome changed", |out| {
            let path = first(out, "receipts/");
            let text = fs::read_to_string(&path).unwrap();
            let text = text.replacen(r#""outcome":"stored""#, r#""outcome":"no-recording""#, 1);
            fs::write(&path, text).unwrap();
        }),
        ("a line twice", |out| {
            let path = first(out, "receipts/");
            let text = fs::read_to_string(&path).unwrap();
            let last = text.lines().last().unwrap().to_owned();
            fs::write(&path, format!("{text}{last}\n")).unwrap();
        }),
        ("no JSON", |out| {
            fs::write(first(out, "receipts/"), "oh\n").unwrap()
        }),
        ("the receipt removed", |out| {
            fs::remove_file(first(out, "receipts/")).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let cloud = exported().await;
        harm(&cloud.output());
        assert!(!found(&cloud, "out").await.is_empty(), "{what}");
        let media = cloud.asked("media");
        let ran = cloud.run_with(&["--repair"]).await;
        assert_eq!(ran.code, Some(0), "{what}: {ran:?}");
        assert_eq!(cloud.asked("media"), media, "{what}");
        assert_eq!(found(&cloud, "out").await, [], "{what}");
        ran.complete(CALLS);
    }
}

/// Gives the second object of a receipt the key of the first, as somebody might who wants that one gone.
fn confuse(receipt: &Path) {
    let text = fs::read_to_string(receipt).unwrap();
    let lines = text.lines().skip(1);
    let entries = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let key = |entry: Value| entry["objects"][0]["key"].as_str().unwrap().to_owned();
    let keys: Vec<String> = entries.map(key).collect();
    fs::write(receipt, text.replace(&keys[1], &keys[0])).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_gives_one_recordings_key_to_another_overwrites_neither() {
    for damaged in [false, true] {
        let mut cloud = Cloud::honest(calls()).await;
        let copy = cloud.folder("copy");
        cloud.sinks["copy"] = json!({ "type": "filesystem", "path": copy });
        cloud.run().await.complete(CALLS);
        let recordings = |folder: &Path| {
            let mut all = files(folder);
            all.retain(|key, _| key.starts_with("recordings/"));
            all
        };
        let before = recordings(&cloud.output());
        confuse(&first(&cloud.output(), "receipts/"));
        if damaged {
            // One whose line is as it was, and which the other sink has.
            damage(&cloud.output());
        }
        let media = cloud.asked("media");
        let ran = cloud.run_with(&["--repair"]).await;
        assert_eq!(ran.code, Some(0), "{damaged}: {ran:?}");
        assert!(recordings(&cloud.output()) == before, "{damaged}");
        assert!(recordings(&copy) == before, "{damaged}");
        assert_eq!(cloud.asked("media"), media, "{damaged}");
        for sink in ["out", "copy"] {
            assert_eq!(found(&cloud, sink).await, [], "{damaged}: {sink}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_of_rows_is_made_anew() {
    let mut cloud = exported().await;
    fs::remove_file(first(&cloud.output(), "metadata/")).unwrap();
    assert!(!found(&cloud, "out").await.is_empty());
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // Another sink that has the rows spares the source.
    let copy = cloud.folder("copy");
    cloud.sinks["copy"] = json!({ "type": "filesystem", "path": copy });
    assert_eq!(cloud.run().await.code, Some(0));
    fs::remove_file(first(&copy, "metadata/")).unwrap();
    let asked = ["media", "submit", "page"].map(|what| cloud.asked(what));
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        ["media", "submit", "page"].map(|what| cloud.asked(what)),
        asked
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_two_exports_have_filed_are_named_and_stand_once_after_a_repair() {
    let mut cloud = exported().await;
    // As an export that began anew without knowing of the one before it.
    let receipts = cloud.output().join("receipts");
    let away = cloud.folder("receipts-away");
    fs::rename(&receipts, &away).unwrap();
    cloud.options = json!({ "divisions": ["5f7a1b2c-0d3e-4f56-8a9b-0c1d2e3f4a5b"] });
    assert_eq!(
        cloud.command("run", &["--refill", "out"]).await.code,
        Some(0)
    );
    for (key, bytes) in files(&away) {
        let path = receipts.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let twice = found(&cloud, "out").await;
    assert!(
        twice.iter().any(|(difference, _)| difference == "doubled"),
        "{twice:?}"
    );
    let rows = |cloud: &Cloud| -> usize {
        let all = cloud.files().into_iter();
        let rows = all.filter(|(key, _)| key.starts_with("metadata/"));
        rows.map(|(_, bytes)| String::from_utf8(bytes).unwrap().lines().count())
            .sum()
    };
    assert_eq!(rows(&cloud) as u64, 2 * CALLS);
    let media = cloud.asked("media");
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(rows(&cloud) as u64, CALLS);
    assert_eq!(cloud.asked("media"), media);
    assert_eq!(cloud.recordings().len() as u64, CALLS);
}

/// Makes the first line of a receipt unreadable.
fn spoil(receipt: &Path) {
    let mut bytes = fs::read(receipt).unwrap();
    bytes[0] ^= 1;
    fs::write(receipt, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_receipt_that_a_killed_removal_left_is_removed() {
    let cloud = exported().await;
    // Its rows are gone already, and others prove all that it was about.
    let receipt = first(&cloud.output(), "receipts/");
    let name = receipt.file_name().unwrap().to_str().unwrap();
    let (export, _) = name.rsplit_once('-').unwrap();
    let left = receipt.with_file_name(format!("{export}-000999.jsonl"));
    fs::copy(&receipt, &left).unwrap();
    spoil(&left);
    assert_eq!(found(&cloud, "out").await.len(), 1);
    let media = cloud.asked("media");
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!left.exists() && receipt.exists());
    assert_eq!(cloud.asked("media"), media);
    ran.complete(CALLS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_unreadable_receipt_without_rows_was_about_is_proven_again() {
    for forgets in [false, true] {
        let cloud = exported().await;
        let receipt = first(&cloud.output(), "receipts/");
        let day = receipt.parent().unwrap().file_name().unwrap();
        fs::remove_dir_all(cloud.output().join("metadata").join(day)).unwrap();
        spoil(&receipt);
        if forgets {
            // The queue is lost, too, and is made anew of what the receipts prove.
            fs::remove_dir_all(cloud.folder("data")).unwrap();
        }
        let ran = cloud.run_with(&["--repair"]).await;
        assert_eq!(ran.code, Some(0), "{forgets}: {ran:?}");
        assert_eq!(found(&cloud, "out").await, [], "{forgets}");
        ran.complete(CALLS);
    }
}
