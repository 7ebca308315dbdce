//! Recordings arrive in the form that a sink wants, playable and of the right length.

use std::{collections::BTreeMap, path::Path};

use genesys_simulator::{Dialect, RecordingKind, Settings};
use recording_host_engine::verify::verify;
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::{Value, json};

use crate::layouts::{layout, layouts, verified};
use crate::support::{Harness, Objects, export, files, media, read_by, rows};

const CONVERSATIONS: u64 = 40;

async fn exported(dialect: Dialect, transcode: Value) -> Harness {
    let harness = Harness::start(Settings {
        conversations: CONVERSATIONS,
        seed: 5,
        dialect,
        ..Settings::default()
    })
    .await;
    assert_eq!(run(&harness, &transcode).await, CONVERSATIONS);
    harness
}

async fn run(harness: &Harness, transcode: &Value) -> u64 {
    let mut config = harness.config();
    if !transcode.is_null() {
        config["sinks"]["lake"]["transcode"] = transcode.clone();
    }
    let summary = export(config).await;
    // The vendor does not hand these over, transcoded or not.
    let known = ["archived", "left-out", "not-in-bundle"];
    let unknown = summary.losses.iter();
    let unknown: Vec<_> = unknown
        .filter(|loss| !known.contains(&loss.code.as_str()))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    summary.conversations
}

/// The rows of audio files: their length as the contact center knows it (ms), by key.
fn durations(harness: &Harness) -> BTreeMap<String, u64> {
    let rows = rows(&files(&harness.output()));
    let audio = rows.iter().filter(|row| {
        let kind = row["content_type"].as_str().unwrap_or_default();
        ["audio/wav", "audio/flac", "audio/ogg"].contains(&kind)
    });
    audio
        .map(|row| {
            let id = row["conversation_id"].as_str().unwrap();
            let conversation = harness.organization().find(id).unwrap();
            let mut recordings = conversation.recordings.iter();
            let recording = recordings
                .find(|one| row["recording_id"] == *one.id)
                .unwrap();
            let key = row["object_key"].as_str().unwrap().to_owned();
            (key, recording.duration_ms)
        })
        .collect()
}

/// The channels and the length in ms of each file, by Python's own reader of WAV.
async fn played(folder: &Path) -> BTreeMap<String, (u64, u64)> {
    serde_json::from_value(read_by("wav.py", "AUDIO_READERS", folder).await).unwrap()
}

/// How many recordings of these kinds the contact center hands over.
fn obtainable(harness: &Harness, kinds: &[RecordingKind]) -> usize {
    let conversations = (0..CONVERSATIONS).map(|index| harness.organization().conversation(index));
    let recordings = conversations.flat_map(|one| one.recordings);
    recordings
        .filter(|one| kinds.contains(&one.kind) && one.obtainable().is_some())
        .count()
}

/// Keys of this ending, without it.
fn ending(objects: &Objects, ending: &str) -> Vec<String> {
    let keys = objects.keys();
    keys.filter_map(|key| Some(key.strip_suffix(ending)?.to_owned()))
        .collect()
}

async fn in_order(harness: &Harness) {
    let sink = Filesystem::new(harness.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!(report.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_becomes_a_file_of_its_own_beside_the_original() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let split = json!({ "to": "wav", "channels": "split", "when": ["audio/ogg"] });
        let harness = exported(dialect, split.clone()).await;
        let found = media(&files(&harness.output()));
        let originals = ending(&found, ".ogg");
        assert_eq!(originals.len(), obtainable(&harness, &[RecordingKind::Ogg]));
        assert_eq!(ending(&found, ".ch0.wav"), originals);
        assert_eq!(ending(&found, ".ch1.wav"), originals);
        let durations = durations(&harness);
        let played = played(&harness.output()).await;
        for key in ["ch0", "ch1"].iter().flat_map(|channel| {
            let keys = originals.iter();
            keys.map(move |stem| format!("{stem}.{channel}.wav"))
        }) {
            let (channels, length) = played[&key];
            assert_eq!(channels, 1);
            // Opus has packets of 20 ms.
            let expected = durations[&key];
            assert!(
                length.abs_diff(expected) <= 20,
                "{key}: {length}, {expected}"
            );
        }
        in_order(&harness).await;
        run(&harness, &split).await;
        assert_eq!(
            media(&files(&harness.output())),
            found,
            "a second run changes nothing"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_lies_in_the_layout_of_its_sink_and_is_proven() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let harness = Harness::start(Settings {
            conversations: CONVERSATIONS,
            seed: 5,
            dialect,
            ..Settings::default()
        })
        .await;
        let mut config = harness.config();
        let made = [
            ("split", vec![".ch0.wav", ".ch1.wav"]),
            ("mix", vec![".mix.wav"]),
            ("keep", vec![".wav"]),
        ];
        config["sinks"] = json!({});
        for (channels, _) in &made {
            for (name, given) in layouts() {
                let path = harness.output().join(channels).join(name);
                config["sinks"][format!("{channels}_{name}")] = json!({
                    "type": "filesystem", "path": path, "layout": given,
                    "transcode": { "to": "wav", "channels": channels, "when": ["audio/ogg"] },
                });
            }
        }
        export(config).await;
        let oggs = obtainable(&harness, &[RecordingKind::Ogg]);
        for (channels, endings) in made {
            for (name, given) in layouts() {
                let root = harness.output().join(channels).join(name);
                let files = files(&root);
                let rows = rows(&files);
                let keys = rows.iter().filter_map(|row| row["object_key"].as_str());
                let keys: Vec<&str> = keys.collect();
                let ogg = if name == "hive" { ".opus" } else { ".ogg" };
                let originals = keys.iter().filter_map(|key| key.strip_suffix(ogg));
                let originals: Vec<&str> = originals.collect();
                assert_eq!(originals.len(), oggs, "{channels} {name}");
                for original in originals {
                    for ending in &endings {
                        let key = format!("{original}{ending}");
                        assert!(keys.contains(&&*key), "{channels} {name}: {key}");
                        assert!(files.contains_key(&key), "{channels} {name}: {key}");
                        let beside = files.contains_key(&format!("{key}_metadata.json"));
                        assert_eq!(beside, name == "hive", "{key}");
                    }
                }
                let report = verified(&root, &layout(&given), true).await;
                assert_eq!(report.findings, [], "{channels} {name}");
                assert_eq!(report.objects, keys.len() as u64, "{channels} {name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_is_dropped_where_that_is_asked_for() {
    for (dialect, to) in [(Dialect::Cloud, "wav"), (Dialect::Guide, "flac")] {
        let mix = json!({ "to": to, "channels": "mix", "original": "drop" });
        let harness = exported(dialect, mix).await;
        let found = media(&files(&harness.output()));
        assert_eq!(ending(&found, ".ogg"), Vec::<String>::new());
        let mixed = ending(&found, &format!(".mix.{to}"));
        let kinds = [RecordingKind::Ogg, RecordingKind::Wav];
        assert_eq!(mixed.len(), obtainable(&harness, &kinds));
        let rows = rows(&files(&harness.output()));
        let kind = format!("audio/{to}");
        let typed = rows.iter().filter(|row| row["content_type"] == *kind);
        assert_eq!(typed.count(), mixed.len());
        assert!(
            rows.iter()
                .all(|row| row["reason"].is_null() || row["outcome"] != "stored")
        );
        in_order(&harness).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_transcoded_unless_that_is_asked_for() {
    let plain = exported(Dialect::Cloud, Value::Null).await;
    let found = media(&files(&plain.output()));
    assert_eq!(ending(&found, ".flac"), Vec::<String>::new());
    assert_eq!(
        ending(&found, ".ogg").len(),
        obtainable(&plain, &[RecordingKind::Ogg])
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs libsndfile for Python, which tests/run installs"]
async fn libsndfile_hears_the_same_in_what_was_made_as_in_the_original() {
    let keep = json!({ "to": "flac", "when": ["audio/ogg"] });
    let harness = exported(Dialect::Cloud, keep).await;
    let found = read_by("audio.py", "AUDIO_READERS", &harness.output()).await;
    let oggs = ending(&media(&files(&harness.output())), ".ogg");
    assert_eq!(found["compared"], oggs.len());
    let noise = found["worst_db"].as_f64().unwrap();
    // The noise that 16 bits add to quiet talk.
    assert!(noise > 70.0, "{noise} dB");
}
