//! Several sinks: each takes what its condition says, and one that fails does not stop the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::{run::Pipeline, transfer::ArchiveMode, verify::verify};
use recording_host_model::clock::Clock;
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::{Value, json};

use crate::support::{
    Guarded, Harness, SPEED, SinkRequest, export, files, media, out_of_order, receipts, rows,
    same_media, set,
};

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 200,
        seed: 12,
        ..Settings::default()
    })
    .await
}

/// Three sinks, of which the third is unavailable after so many puts.
struct Three {
    harness: Harness,
    third: Arc<Guarded>,
    mended: Arc<AtomicBool>,
}

impl Three {
    async fn new(good_for: u64, retryable: bool) -> Self {
        let harness = harness().await;
        let mended = Arc::new(AtomicBool::new(false));
        let (puts, works) = (AtomicU64::new(0), Arc::clone(&mended));
        let third = Guarded::new(harness.folder.path().join("third"), move |asked| {
            if puts.load(Ordering::Relaxed) >= good_for && !works.load(Ordering::Relaxed) {
                return Err(out_of_order(retryable));
            }
            if asked == SinkRequest::Put {
                puts.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let third = Arc::new(third);
        Three {
            harness,
            third,
            mended,
        }
    }

    fn folder(&self, name: &str) -> std::path::PathBuf {
        self.harness.folder.path().join(name)
    }

    fn mend(&self) {
        self.mended.store(true, Ordering::Relaxed);
    }

    async fn pipeline(&self) -> Pipeline {
        let config = Config::new(self.harness.config()).unwrap();
        let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
        let third = Arc::clone(&self.third) as Arc<dyn Sink>;
        let folder = |name| Arc::new(Filesystem::new(self.folder(name)));
        pipelines
            .pop()
            .unwrap()
            .without_sinks()
            .sink("first", folder("first"), ArchiveMode::Unpack)
            .sink("second", folder("second"), ArchiveMode::Unpack)
            .sink("third", third, ArchiveMode::Unpack)
    }

    /// How many conversations are filed in a sink.
    fn filed(&self, name: &str) -> usize {
        let receipts = receipts(&files(&self.folder(name)));
        let lines = receipts.iter();
        lines
            .filter(|line| line["conversation_id"].is_string())
            .count()
    }

    async fn all_alike(&self) {
        let first = files(&self.folder("first"));
        for name in ["second", "third"] {
            let other = files(&self.folder(name));
            same_media(&media(&other), &media(&first));
            assert_eq!(set(&rows(&other)), set(&rows(&first)), "{name}");
        }
        for name in ["first", "second", "third"] {
            let sink = Filesystem::new(self.folder(name));
            let report = verify(sink.store().unwrap(), true).await.unwrap();
            assert_eq!((report.findings, report.conversations), (Vec::new(), 200));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_fails_does_not_stop_the_others_and_catches_up() {
    let three = Three::new(50, true).await;
    let run = three.pipeline().await.run();
    let looking = async {
        // It is mended when the others have everything, and not before.
        while three.filed("first") < 200 || three.filed("second") < 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let there = three.filed("third");
        three.mend();
        there
    };
    let (summary, there) = tokio::join!(run, looking);
    assert_eq!(summary.unwrap().conversations, 200);
    assert!(there < 200);
    three.all_alike().await;
    // The objects that the third one lacked were fetched once more, and none a third time.
    let objects = media(&files(&three.folder("first"))).len() as u64;
    let downloads = three.harness.simulator.stats().requests["GET media"];
    assert!(
        (objects..=2 * objects).contains(&downloads),
        "{downloads} downloads of {objects} files"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_lacks_is_brought_to_it_by_a_later_run() {
    let three = Three::new(0, true).await;
    let error = three.pipeline().await.run().await.unwrap_err();
    assert!(error.context("sink") == Some("third"), "{error}");
    assert_eq!((three.filed("first"), three.filed("third")), (200, 0));
    let status = three.pipeline().await.status().await.unwrap().unwrap();
    let behind = &status.behind["third"];
    assert_eq!(behind.conversations, 200);
    assert!(behind.artifacts > 100, "{behind:?}");
    three.mend();
    let summary = three.pipeline().await.run().await.unwrap();
    assert_eq!(summary.conversations, 200);
    three.all_alike().await;
    let status = three.pipeline().await.status().await.unwrap().unwrap();
    assert_eq!(status.behind, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_refuses_for_good_fails_the_run_after_the_others_are_done() {
    let three = Three::new(50, false).await;
    let error = three.pipeline().await.run().await.unwrap_err();
    assert!(error.to_string().contains("unavailable"), "{error}");
    assert_eq!((three.filed("first"), three.filed("second")), (200, 200));
}

/// Exports to sinks with these routes, and returns what is in each.
async fn routed(
    harness: &Harness,
    sinks: &[(&str, Value)],
) -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
    let mut config = harness.config();
    let mut all = serde_json::Map::new();
    for (name, route) in sinks {
        let mut sink = route.clone();
        sink["type"] = json!("filesystem");
        sink["path"] = json!(harness.folder.path().join(name));
        all.insert((*name).to_owned(), sink);
    }
    config["sinks"] = Value::Object(all);
    let summary = export(config.clone()).await;
    assert_eq!(summary.conversations, 200);
    // Nothing to do, nothing to change: and the comparison with the source knows the conditions.
    let config = Config::new(config).unwrap();
    let pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    let reconciled = pipelines[0].reconcile().await.unwrap();
    assert!(reconciled.complete(), "{reconciled:#?}");
    let folders = sinks.iter().map(|(name, _)| {
        let found = files(&harness.folder.path().join(name));
        ((*name).to_owned(), found)
    });
    folders.collect()
}

fn conversations(rows: &[Value]) -> BTreeSet<&str> {
    let ids = rows.iter().map(|row| row["conversation_id"].as_str());
    ids.map(Option::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sink_gets_what_its_condition_says() {
    // Long: one scenario, told in its order.
    type Holds = Box<dyn Fn(&Value) -> bool>;
    let harness = harness().await;
    let division = harness.organization().division_id(1);
    let has = |field: &'static str, value: &str| -> Holds {
        let value = json!(value);
        Box::new(move |row| row[field].as_array().unwrap().contains(&value))
    };
    let lasts = |row: &Value| row["duration_ms"].as_u64();
    let named = harness.organization().division_name(1);
    let conditions: [(&str, Value, Holds); 7] = [
        (
            "voice",
            json!({ "media_types": ["voice"] }),
            has("media_types", "voice"),
        ),
        (
            "division",
            json!({ "divisions": [division] }),
            has("divisions", &division),
        ),
        (
            "division by its name",
            json!({ "divisions": [named] }),
            has("division_names", named),
        ),
        (
            "outbound",
            json!({ "direction": "outbound" }),
            Box::new(|row| row["direction"] == "outbound"),
        ),
        (
            "long",
            json!({ "min_duration_seconds": 20 }),
            Box::new(move |row| lasts(row).is_some_and(|ms| ms >= 20_000)),
        ),
        (
            "short",
            json!({ "max_duration_seconds": 20 }),
            Box::new(move |row| lasts(row).is_some_and(|ms| ms <= 20_000)),
        ),
        (
            "none",
            json!({ "queues": ["no such queue"] }),
            Box::new(|_| false),
        ),
    ];
    let mut sinks: Vec<(&str, Value)> = conditions
        .iter()
        .map(|(name, condition, _)| (*name, json!({ "condition": condition })))
        .collect();
    sinks.push(("all", json!({})));
    for (name, has_audio) in [("audio", true), ("silent", false)] {
        sinks.push((name, json!({ "condition": { "has_audio": has_audio } })));
    }
    let found = routed(&harness, &sinks).await;
    let all = rows(&found["all"]);
    assert_eq!(conversations(&all).len(), 200);
    let none: Vec<&String> = found["none"].keys().collect();
    assert_eq!(none, [".recording-host.json"]);
    for (name, _, holds) in &conditions {
        let expected: Vec<Value> = all.iter().filter(|row| holds(row)).cloned().collect();
        let told = expected.is_empty() == (*name == "none");
        assert!(told && expected.len() < all.len(), "{name}");
        assert!(set(&rows(&found[*name])) == set(&expected), "{name}");
    }
    // The conversations that were recorded and have sound, and the others.
    let (audio, silent) = (rows(&found["audio"]), rows(&found["silent"]));
    let (audio, silent) = (conversations(&audio), conversations(&silent));
    assert!(audio.is_disjoint(&silent) && !audio.is_empty() && !silent.is_empty());
    assert_eq!(audio.len() + silent.len(), 200);
    for row in &all {
        if row["outcome"] == "no-recording" {
            assert!(silent.contains(row["conversation_id"].as_str().unwrap()));
        }
        let voice = row["media_types"] == json!(["voice"]);
        if voice && row["outcome"] == "stored" {
            assert!(audio.contains(row["conversation_id"].as_str().unwrap()));
        }
    }
    for name in found.keys().filter(|name| *name != "none") {
        // Each object is there that a row names, and none besides.
        let named: BTreeSet<String> = rows(&found[name])
            .iter()
            .filter_map(|row| Some(row["object_key"].as_str()?.to_owned()))
            .collect();
        let there: BTreeSet<String> = media(&found[name]).into_keys().collect();
        assert_eq!(named, there, "{name}");
        let sink = Filesystem::new(harness.folder.path().join(name));
        let report = verify(sink.store().unwrap(), true).await.unwrap();
        assert_eq!(report.findings, Vec::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_takes_the_sources_that_it_names() {
    let harness = harness().await;
    let mut config = harness.config();
    let calls = config["sources"]["calls"].take();
    config["sources"] = json!({});
    for direction in ["inbound", "outbound"] {
        config["sources"][direction] = calls.clone();
        config["sources"][direction]["options"]["direction"] = json!(direction);
    }
    let folder = |name: &str| harness.folder.path().join(name);
    config["sinks"] = json!({
        "both": { "type": "filesystem", "path": folder("both") },
        "one": { "type": "filesystem", "path": folder("one"), "inputs": ["outbound"] },
    });
    let pipelines = Config::new(config).unwrap();
    for pipeline in pipelines.pipelines(Clock::new(SPEED)).await.unwrap() {
        pipeline.run().await.unwrap();
    }
    let (both, one) = (rows(&files(&folder("both"))), rows(&files(&folder("one"))));
    let outbound = both.iter().filter(|row| row["direction"] == "outbound");
    let outbound: Vec<Value> = outbound.cloned().collect();
    assert!(!outbound.is_empty() && outbound.len() < both.len());
    assert_eq!(set(&one), set(&outbound));
}

#[tokio::test(flavor = "multi_thread")]
async fn media_and_metadata_go_to_different_sinks() {
    let harness = harness().await;
    let found = routed(
        &harness,
        &[
            ("tape", json!({ "content": ["media"] })),
            (
                "table",
                json!({ "content": ["metadata"], "metadata": { "format": "jsonl" } }),
            ),
        ],
    )
    .await;
    let folders = |name: &str| -> BTreeSet<String> {
        let keys = found[name].keys();
        keys.filter(|key| *key != "README.txt" && *key != ".recording-host.json")
            .map(|key| key.split('/').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        folders("tape"),
        BTreeSet::from(["receipts".to_owned(), "recordings".to_owned()])
    );
    assert_eq!(
        folders("table"),
        BTreeSet::from(["metadata".to_owned(), "receipts".to_owned()])
    );
    // The rows describe the objects in the other sink.
    let rows = rows(&found["table"]);
    assert_eq!(conversations(&rows).len(), 200);
    let told: BTreeMap<&str, &str> = rows
        .iter()
        .filter_map(|row| Some((row["object_key"].as_str()?, row["sha256"].as_str()?)))
        .collect();
    let media = media(&found["tape"]);
    let there: BTreeMap<&str, &str> = media
        .iter()
        .map(|(key, (_, sha256))| (key.as_str(), sha256.as_str()))
        .collect();
    assert_eq!(told, there);
    for name in ["tape", "table"] {
        let sink = Filesystem::new(harness.folder.path().join(name));
        let report = verify(sink.store().unwrap(), true).await.unwrap();
        assert_eq!(report.findings, Vec::new(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_queue_is_recovered_from_sinks_with_conditions() {
    let harness = Harness::start(Settings {
        conversations: 200,
        seed: 12,
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.0,
        ..Settings::default()
    })
    .await;
    let sinks = [
        ("all", json!({})),
        (
            "outbound",
            json!({ "condition": { "direction": "outbound" } }),
        ),
    ];
    let before = routed(&harness, &sinks).await;
    let downloads = harness.simulator.stats().requests["GET media"];
    std::fs::remove_dir_all(harness.folder.path().join("data")).unwrap();
    let after = routed(&harness, &sinks).await;
    for name in ["all", "outbound"] {
        same_media(&media(&after[name]), &media(&before[name]));
        // Only a loss is taken up again.
        for line in receipts(&after[name]) {
            let again = line["attempt"].as_u64().is_some_and(|attempt| attempt > 1);
            assert!(!again || line["outcome"] == "failed", "{line}");
        }
    }
    assert_eq!(harness.simulator.stats().requests["GET media"], downloads);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_whose_condition_holds_for_nothing_is_named_until_it_has_taken_something() {
    let harness = harness().await;
    let folder = |name: &str| harness.folder.path().join(name);
    let mut config = harness.config();
    config["sinks"] = json!({
        "all": { "type": "filesystem", "path": folder("all") },
        "sales": { "type": "filesystem", "path": folder("sales"), "condition": { "queues": ["Salse"] } },
    });
    let run = async |config: &Value| {
        let file = folder("config.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let file = file.to_str().unwrap();
        let ran = harness.run_program(&["run", "--config", file]).await;
        String::from_utf8(ran.stderr).unwrap()
    };
    let said = run(&config).await;
    let none = "sales: its `condition` holds for none of the 200 conversations of this run";
    assert!(said.contains(none), "{said}");
    // What is said to be filed is there.
    assert!(!said.contains(" in sales: "), "{said}");
    assert!(said.contains(" in all: "), "{said}");

    // A condition that holds for some: the later run brings them, and nothing is named, nor where a third finds
    // nothing new.
    config["sinks"]["sales"]["condition"] = json!({ "direction": "outbound" });
    for _ in 0..2 {
        let said = run(&config).await;
        assert!(!said.contains("holds for none"), "{said}");
    }
    assert!(!media(&files(&folder("sales"))).is_empty());

    // One that is added later, when others have everything.
    config["sinks"]["later"] = json!({ "type": "filesystem", "path": folder("later"), "condition": { "divisions": ["Nort"] } });
    let said = run(&config).await;
    let none = "later: its `condition` holds for none of the 200 conversations of this run";
    assert!(said.contains(none), "{said}");
}
