//! Changes between runs, killed on the way: a wider interval, one more sink, a repair of what was
//! lost and damaged, a sink that is filled anew, another selection.

use std::collections::{BTreeMap, BTreeSet};

use genesys_simulator::{Faults, Settings};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use recording_host_config::Config;
use recording_host_engine::verify::verify;
use serde_json::{Value, json};

use super::{Files, TestSink, patient, runs_through_kills};
use crate::support::{self, Harness, media, receipts, same_media};

fn few(faults: Faults) -> Settings {
    Settings {
        conversations: 200,
        seed: 23,
        faults,
        ..Settings::default()
    }
}

fn folder(harness: &Harness, name: &str) -> Value {
    json!({ "type": "filesystem", "path": harness.folder.path().join(name) })
}

fn archive(harness: &Harness, name: &str) -> Files {
    support::files(&harness.folder.path().join(name))
}

/// Takes five objects away and changes five others: recordings, one receipt and one file of rows.
fn damage(harness: &Harness, name: &str, rng: &mut SmallRng) {
    let files = archive(harness, name);
    let root = harness.folder.path().join(name);
    let of = |prefix: &str| -> Vec<&String> {
        files.keys().filter(|key| key.starts_with(prefix)).collect()
    };
    let mut chosen = BTreeSet::new();
    for (prefix, count) in [("recordings/", 8), ("receipts/", 1), ("metadata/", 1)] {
        let keys = of(prefix);
        let before = chosen.len();
        while chosen.len() < before + count {
            chosen.insert(keys[rng.random_range(0..keys.len())].clone());
        }
    }
    for (index, key) in chosen.iter().enumerate() {
        let path = root.join(key);
        if index % 2 == 0 {
            std::fs::remove_file(path).unwrap();
        } else {
            let mut bytes = files[key].clone();
            bytes[0] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    }
}

/// The outcomes that count, and what the rows that count are about.
pub(super) fn told(files: &Files) -> (BTreeMap<String, String>, BTreeSet<String>) {
    let mut latest = BTreeMap::<String, (u64, String)>::new();
    for line in receipts(files) {
        let Some(id) = line["conversation_id"].as_str() else {
            continue;
        };
        let attempt = line["attempt"].as_u64().unwrap_or(1);
        let known = latest.get(id).map_or(0, |known| known.0);
        assert_ne!(attempt, known, "{id}: attempt {attempt} stands twice");
        if attempt > known {
            latest.insert(id.to_owned(), (attempt, line["outcome"].to_string()));
        }
    }
    let mut rows = support::rows(files);
    rows.retain(|row| {
        let (attempt, _) = &latest[row["conversation_id"].as_str().unwrap()];
        row["attempt"].as_u64().unwrap_or(1) == *attempt
    });
    let identities = support::identities(&rows);
    assert_eq!(identities.len(), rows.len(), "a row stands twice");
    let outcomes = latest.into_iter();
    (
        outcomes.map(|(id, (_, outcome))| (id, outcome)).collect(),
        identities,
    )
}

async fn proven(config: &Value, step: &str) {
    let config = Config::new(config.clone()).unwrap();
    for (name, sink) in config.sinks().await.unwrap() {
        let report = verify(sink.store().unwrap(), true).await.unwrap();
        assert_eq!(report.findings, [], "{step}: {name}");
    }
}

/// One export through all changes; returns how often it was killed during each.
async fn through_changes(
    wanted: &Files,
    faults: &Faults,
    rng: &mut SmallRng,
) -> BTreeMap<&'static str, usize> {
    let harness = Harness::start(few(faults.clone())).await;
    let mut config = patient(harness.config_to(folder(&harness, "lake")));
    let whole = config["sources"]["calls"]["options"]["interval"].clone();
    let mut kills = BTreeMap::new();
    let steps: [(&str, &[&str]); 6] = [
        ("three days", &[]),
        ("widened", &[]),
        ("another sink", &[]),
        ("repaired", &["--repair"]),
        ("filled anew", &["--refill", "lake"]),
        ("another selection", &[]),
    ];
    for (step, more) in steps {
        let source = &mut config["sources"]["calls"];
        match step {
            "three days" => source["options"]["interval"] = json!("2026-01-05/2026-01-08"),
            "widened" => source["options"]["interval"] = whole.clone(),
            "another sink" => config["sinks"]["copy"] = folder(&harness, "copy"),
            "repaired" => {
                damage(&harness, "lake", rng);
                damage(&harness, "copy", rng);
            }
            "filled anew" => {
                std::fs::remove_dir_all(harness.folder.path().join("lake")).unwrap();
            }
            _ => source["options"]["media"] = json!(["voice", "chat", "email", "message"]),
        }
        let hit = runs_through_kills(&harness, &TestSink::Folder, &config, more, rng).await;
        kills.insert(step, hit.len());
        proven(&config, step).await;
        let whole = !["three days", "another selection"].contains(&step);
        for name in ["lake", "copy"] {
            if whole && !config["sinks"][name].is_null() {
                let found = archive(&harness, name);
                same_media(&media(&found), &media(wanted));
                assert_eq!(told(&found), told(wanted), "{step}: {name}");
            }
        }
    }
    kills
}

/// Exports through all changes, again and again until there were as many kills.
pub(super) async fn matrix(least: usize) {
    let calm = Harness::start(few(Faults::default())).await;
    support::export(patient(calm.config())).await;
    let wanted = support::files(&calm.output());
    drop(calm);
    let mut rng = SmallRng::seed_from_u64(13);
    let mut during = BTreeMap::<&str, usize>::new();
    let mut exports = 0_usize;
    while during.values().sum::<usize>() < least {
        let faults = match exports % 2 {
            0 => Faults::default(),
            _ => Faults::all(0.05),
        };
        for (step, kills) in through_changes(&wanted, &faults, &mut rng).await {
            *during.entry(step).or_default() += kills;
        }
        exports += 1;
    }
    println!("{exports} exports through all changes, killed during {during:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_while_the_configuration_changes_leave_no_trace() {
    matrix(1).await;
}
