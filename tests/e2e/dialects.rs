//! Both dialects of the batch API bring the same recordings.

use std::collections::BTreeSet;

use genesys_simulator::{Dialect, Settings};
use serde_json::{Value, json};

use crate::support::{Harness, export, files, media, rows, same_media};

async fn exported(dialect: Dialect, options: Value) -> (Harness, Vec<Value>) {
    let harness = Harness::start(Settings {
        conversations: 300,
        seed: 11,
        dialect,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    for (name, value) in options.as_object().unwrap() {
        config["sources"]["calls"]["options"][name] = value.clone();
    }
    let summary = export(config).await;
    assert_eq!(summary.conversations, 300);
    let stats = harness.simulator.stats();
    assert_eq!(stats.rejected, 0, "{:?}", stats.reasons);
    let rows = rows(&files(&harness.output()));
    (harness, rows)
}

/// Whose each object is, where it lies, and what is in it.
fn recordings(rows: &[Value]) -> BTreeSet<String> {
    rows.iter()
        .map(|row| {
            let fields = [
                "conversation_id",
                "recording_id",
                "object_key",
                "sha256",
                "outcome",
            ];
            let known: Vec<String> = fields.iter().map(|f| row[f].to_string()).collect();
            known.join(" ")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_and_guide_bring_the_same_recordings() {
    let (cloud, in_cloud) = exported(Dialect::Cloud, json!({})).await;
    let (guide, in_guide) = exported(Dialect::Guide, json!({})).await;
    assert_eq!(recordings(&in_cloud), recordings(&in_guide));
    let (cloud, guide) = (
        media(&files(&cloud.output())),
        media(&files(&guide.output())),
    );
    assert!(cloud.len() > 200);
    same_media(&cloud, &guide);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guide_dialect_turns_audio_into_the_format_asked_for() {
    for (format, content_type) in [("wav", "audio/wav"), ("mp3", "audio/mpeg")] {
        let (_center, rows) = exported(Dialect::Guide, json!({ "format": format })).await;
        let audio: BTreeSet<&str> = rows
            .iter()
            .filter_map(|row| row["content_type"].as_str())
            .filter(|kind| kind.starts_with("audio/"))
            .collect();
        assert_eq!(audio, BTreeSet::from([content_type]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_of_the_guide_tells_reaches_the_rows() {
    let (_center, rows) = exported(Dialect::Guide, json!({})).await;
    let mut told = 0;
    for row in rows.iter().filter(|row| row["object_key"].is_string()) {
        let attributes = row["attributes"].as_object().unwrap();
        let text = |name: &str| attributes[name].as_str().unwrap();
        let instant = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        // When the recording began and ended; the columns are about the conversation.
        let length = instant(text("endTime")) - instant(text("startTime"));
        assert_eq!(text("durationMs"), length.to_string());
        assert!(instant(text("startTime")) >= instant(row["start"].as_str().unwrap()));
        // The source said the same of the conversation: it is not said twice.
        for (field, column) in [("ani", "ani"), ("dnis", "dnis"), ("agentName", "agents")] {
            assert!(!attributes.contains_key(field), "{row}");
            assert!(!row[column].is_null());
        }
        told += 1;
    }
    assert!(told > 200);
}
