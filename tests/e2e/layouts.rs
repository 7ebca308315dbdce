//! Wherever a sink's media lie, all of it is there, proven, and found again.

#[path = "layouts/readers.rs"]
mod readers;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use genesys_simulator::{Dialect, Push, Settings, State};
use recording_host_engine::verify::{Difference, VerifyOptions, VerifyReport, verify_with};
use recording_host_model::layout::Layout;
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::{Value, json};

use crate::support::{Harness, export, files, receipts, rows, run_program};

const ORGANIZATION: &str = "0f3c6a1e-27f4-4a50-9d0e-51b1c5f5a7c2";

/// The layouts, as a configuration gives them.
pub(super) fn layouts() -> [(&'static str, Value); 4] {
    let own = "calls/{year}/{queue}/{direction}/{conversation}_{recording}{part}.{ext}";
    [
        ("days", json!("days")),
        (
            "hive",
            json!({ "type": "hive", "organization": ORGANIZATION }),
        ),
        ("flat", json!("flat")),
        ("own", json!({ "type": "template", "key": own })),
    ]
}

pub(super) fn layout(given: &Value) -> Layout {
    serde_json::from_value(given.clone()).unwrap()
}

/// Exports to a folder for each layout, in one run.
async fn exported(dialect: Dialect, zip: &str) -> Harness {
    let harness = Harness::start(Settings {
        conversations: 150,
        dialect,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    config["sinks"] = json!({});
    for (name, layout) in layouts() {
        let path = harness.output().join(name);
        config["sinks"][name] =
            json!({ "type": "filesystem", "path": path, "layout": layout, "zip": zip });
    }
    export(config).await;
    harness
}

pub(super) async fn verified(root: &Path, layout: &Layout, full: bool) -> VerifyReport {
    let sink = Filesystem::new(root.to_owned());
    let options = VerifyOptions {
        layout: layout.clone(),
        full,
        ..VerifyOptions::default()
    };
    verify_with(sink.store().unwrap(), options).await.unwrap()
}

/// Whose each object is and what is in it, but not where it lies.
fn held(rows: &[Value]) -> BTreeSet<String> {
    let told = rows.iter().map(|row| {
        let fields = [
            "conversation_id",
            "recording_id",
            "archive_member",
            "sha256",
            "outcome",
        ];
        fields.map(|field| row[field].to_string()).join(" ")
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_layout_holds_the_same_and_proves_itself() {
    for (dialect, zip) in [
        (Dialect::Cloud, "unpack"),
        (Dialect::Cloud, "both"),
        (Dialect::Guide, "both"),
    ] {
        let harness = exported(dialect, zip).await;
        let expected = held(&rows(&files(&harness.output().join("days"))));
        assert!(expected.len() > 150);
        for (name, given) in layouts() {
            let root = harness.output().join(name);
            let files = files(&root);
            let rows = rows(&files);
            assert_eq!(held(&rows), expected, "{name}");
            let layout = layout(&given);
            let keys: BTreeSet<&str> = rows
                .iter()
                .filter_map(|row| row["object_key"].as_str())
                .collect();
            for key in &keys {
                let bundle = key.starts_with("bundles/");
                assert!(bundle || key.starts_with(layout.prefix()), "{name}: {key}");
                let folders = key
                    .strip_prefix(layout.prefix())
                    .map(|rest| rest.contains('/'));
                assert!(name != "flat" || folders != Some(true), "{key}");
                let beside = files.contains_key(&format!("{key}_metadata.json"));
                assert_eq!(beside, name == "hive" && !bundle, "{key}");
            }
            assert_eq!(
                keys.iter().any(|key| key.starts_with("bundles/")),
                dialect == Dialect::Guide
            );
            let report = verified(&root, &layout, true).await;
            assert_eq!(report.findings, [], "{name}");
            assert_eq!(report.conversations, 150);
            assert_eq!(report.objects, keys.len() as u64, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hive_has_the_very_keys_that_the_integration_of_the_same_organization_writes() {
    let harness = Harness::start(Settings::default()).await;
    let push = Push::new(harness.organization());
    let organization = push.organization_id();
    let mut config = harness.config();
    config["sinks"]["lake"]["layout"] = json!({ "type": "hive", "organization": organization });
    config["sinks"]["lake"]["zip"] = json!("keep");
    export(config).await;
    let prefix = format!("{organization}/");
    let files = files(&harness.output());
    let ours: BTreeSet<String> = files
        .into_keys()
        .filter(|key| key.starts_with(&prefix))
        .collect();
    // The integration has archived recordings, which the API hands over only once they are restored.
    let archived: BTreeSet<String> = (0..harness.organization().conversations())
        .flat_map(|index| harness.organization().conversation(index).recordings)
        .filter(|recording| recording.state == State::Archived)
        .map(|recording| recording.id)
        .collect();
    let theirs: BTreeSet<String> = push
        .objects()
        .filter(|object| !archived.contains(&object.recording))
        .map(|object| object.key)
        .collect();
    assert!(theirs.len() > 900, "{}", theirs.len());
    let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(
        (only(&theirs, &ours), only(&ours, &theirs)),
        (Vec::new(), Vec::new())
    );
    for ending in [
        ".opus", ".wav", ".mp3", ".zip", ".json", "_1.webm", "_2.webm",
    ] {
        assert!(ours.iter().any(|key| key.ends_with(ending)), "{ending}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_metadata_of_hive_are_those_of_the_vendor() {
    let harness = exported(Dialect::Cloud, "unpack").await;
    let files = files(&harness.output().join("hive"));
    let mut calls = 0;
    for row in rows(&files) {
        let Some(key) = row["object_key"].as_str() else {
            continue;
        };
        let text = |name: &str| row[name].as_str().unwrap();
        let began: jiff::Timestamp = text("start").parse().unwrap();
        let began = jiff::tz::Offset::UTC.to_datetime(began);
        let folder = format!(
            "{ORGANIZATION}/year={}/month={}/day={}/hour={}/conversation_id={}/{}",
            began.year(),
            began.month(),
            began.day(),
            began.hour(),
            text("conversation_id"),
            text("recording_id"),
        );
        assert!(key.starts_with(&folder), "{key}");
        let metadata = &files[&format!("{key}_metadata.json")];
        let metadata: Value = serde_json::from_slice(metadata).unwrap();
        let vendors = |name: &str| text(name).replace('Z', "+0000");
        assert_eq!(metadata["conversationId"], row["conversation_id"]);
        assert_eq!(metadata["recordingId"], row["recording_id"]);
        assert_eq!(metadata["startTime"], vendors("start"));
        assert_eq!(metadata["endTime"], vendors("end"));
        assert_eq!(metadata["durationMs"], row["duration_ms"]);
        assert_eq!(metadata["initialDirection"], row["direction"]);
        let agents = row["agents"].as_array().unwrap().iter();
        let agents: Vec<&Value> = agents.map(|agent| &agent["id"]).collect();
        assert_eq!(metadata["userIds"], json!(agents));
        calls += u32::from(metadata["mediaType"] == "Call");
    }
    assert!(calls > 50);
}

/// The keys of the media that the receipts name, in order.
fn named(root: &Path) -> Vec<String> {
    let mut keys = BTreeSet::new();
    for line in receipts(&files(root)) {
        for object in line["objects"].as_array().into_iter().flatten() {
            keys.insert(object["key"].as_str().unwrap().to_owned());
        }
    }
    keys.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_changed_or_too_much_is_found_in_each_layout() {
    let harness = exported(Dialect::Cloud, "unpack").await;
    for (name, given) in layouts() {
        let (root, layout) = (harness.output().join(name), layout(&given));
        let at = |key: &str| root.join(key);
        let keys = named(&root);
        let [deleted, cut, flipped, ..] = &keys[..] else {
            panic!("{keys:?}");
        };
        std::fs::remove_file(at(deleted)).unwrap();
        let content = std::fs::read(at(cut)).unwrap();
        std::fs::write(at(cut), &content[1..]).unwrap();
        let mut content = std::fs::read(at(flipped)).unwrap();
        content[9] ^= 1;
        std::fs::write(at(flipped), content).unwrap();
        let beside = at(cut).with_file_name("stranger.wav");
        let elsewhere = at(layout.prefix()).join("1999/stranger/stranger.ogg");
        let sidecar = |key: &str| at(&format!("{key}_metadata.json"));
        let mut strangers: Vec<PathBuf> = vec![beside, elsewhere];
        let mut expected = BTreeMap::from([
            (deleted.clone(), Difference::Missing),
            (cut.clone(), Difference::Size),
            (flipped.clone(), Difference::Content),
        ]);
        if name == "hive" {
            let [.., gone, changed] = &keys[..] else {
                panic!("{keys:?}");
            };
            std::fs::remove_file(sidecar(gone)).unwrap();
            let text = std::fs::read_to_string(sidecar(changed)).unwrap();
            std::fs::write(sidecar(changed), text.replace("endTime", "ENDTIME")).unwrap();
            strangers.push(sidecar(&format!("{ORGANIZATION}/stranger")));
            expected.insert(format!("{gone}_metadata.json"), Difference::Missing);
            expected.insert(format!("{changed}_metadata.json"), Difference::Content);
        }
        for stranger in strangers {
            std::fs::create_dir_all(stranger.parent().unwrap()).unwrap();
            std::fs::write(&stranger, "RIFF").unwrap();
            let key = stranger.strip_prefix(&root).unwrap().display().to_string();
            expected.insert(key, Difference::Unexpected);
        }
        let found = |report: VerifyReport| -> BTreeMap<String, Difference> {
            let findings = report.findings.into_iter();
            findings.map(|one| (one.key, one.difference)).collect()
        };
        assert_eq!(
            found(verified(&root, &layout, true).await),
            expected,
            "{name}"
        );
        expected.retain(|_, difference| *difference != Difference::Content);
        assert_eq!(
            found(verified(&root, &layout, false).await),
            expected,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_layout_fills_the_sink_anew_and_both_are_proven() {
    let harness = Harness::start(Settings {
        conversations: 60,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    export(config.clone()).await;
    let before = named(&harness.output());
    let (_, hive) = &layouts()[1];
    config["sinks"]["lake"]["layout"] = hive.clone();
    export(config.clone()).await;
    let both = named(&harness.output());
    assert_eq!(both.len(), 2 * before.len());
    let hive = layout(hive);
    let report = verified(&harness.output(), &hive, true).await;
    // The rows of the further attempt count.
    assert_eq!(report.findings, []);
    // Neither is fetched again, in whatever format rows are wanted.
    let all: BTreeSet<String> = files(&harness.output()).into_keys().collect();
    config["sinks"]["lake"]["metadata"] = json!({ "format": "parquet" });
    export(config).await;
    assert_eq!(
        files(&harness.output())
            .into_keys()
            .collect::<BTreeSet<_>>(),
        all
    );

    std::fs::remove_file(harness.output().join(&before[0])).unwrap();
    let stranger = harness.output().join("recordings/1999/stranger.ogg");
    std::fs::create_dir_all(stranger.parent().unwrap()).unwrap();
    std::fs::write(stranger, "OggS").unwrap();
    let report = verified(&harness.output(), &hive, false).await;
    let found: Vec<_> = report
        .findings
        .iter()
        .filter(|one| one.difference != Difference::Doubled)
        .map(|one| (one.difference, one.key.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (Difference::Missing, before[0].as_str()),
            (Difference::Unexpected, "recordings/1999/stranger.ogg"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_commands_follow_the_layout_and_a_lost_queue_changes_nothing() {
    let harness = Harness::start(Settings {
        conversations: 60,
        ..Settings::default()
    })
    .await;
    let (_, hive) = &layouts()[1];
    let mut config = harness.config();
    config["sinks"]["lake"]["layout"] = hive.clone();
    let path = harness.write(&config).display().to_string();
    let ended = async |command: &[&str], codes: &[i32]| {
        let ran = run_program(&[command, &["--config", &path]].concat()).await;
        let code = ran.status.code().unwrap();
        assert!(codes.contains(&code), "{command:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    let run = async |command: &[&str], code: i32| ended(command, &[code]).await;
    run(&["validate"], 0).await;
    // Some recordings of the contact center are archived or deleted.
    ended(&["run"], &[0, 3]).await;
    run(&["verify", "--full"], 0).await;
    let before = files(&harness.output());
    std::fs::remove_dir_all(harness.folder.path().join("data")).unwrap();
    ended(&["run"], &[0, 3]).await;
    let after = files(&harness.output());
    let media = |files: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, Vec<u8>> {
        let mut files = files.clone();
        files.retain(|key, _| key.starts_with(ORGANIZATION));
        files
    };
    assert!(media(&before) == media(&after));
    let said = run(&["reconcile"], 0).await;
    assert!(!said.contains("missing: "), "{said}");
    let folder = harness.output().join(ORGANIZATION);
    std::fs::write(folder.join(".x.ogg.part"), "Ogg").unwrap();
    assert!(run(&["cleanup"], 0).await.contains("1 unfinished"));
    // By its former name, too.
    assert!(run(&["tidy"], 0).await.contains("0 unfinished"));
    std::fs::write(folder.join("stranger.ogg"), "OggS").unwrap();
    assert!(run(&["verify"], 1).await.contains("stranger.ogg"));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_output_tells_the_keys_of_its_layout() {
    let harness = Harness::start(Settings {
        conversations: 20,
        ..Settings::default()
    })
    .await;
    let config = harness.config_to(json!({ "type": "stdout", "layout": "flat" }));
    let path = harness.write(&config).display().to_string();
    let ran = run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str, name: &[&str]| -> BTreeSet<String> {
        let kind = lines.iter().filter(|line| line["kind"] == kind);
        let keys = kind.filter_map(|line| name.iter().fold(line, |at, name| &at[*name]).as_str());
        keys.filter(|key| key.starts_with("recordings/"))
            .map(str::to_owned)
            .collect()
    };
    let told = of("object", &["key"]);
    assert!(told.len() > 5);
    assert_eq!(told, of("row", &["row", "object_key"]));
    assert!(told.iter().all(|key| key.matches('/').count() == 1));
}
