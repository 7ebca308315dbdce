//! An object that stands where a recording belongs, with other bytes: it costs that recording at most.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::{transfer::ArchiveMode, verify::verify};
use recording_host_model::clock::Clock;
use recording_host_sink::filesystem::Filesystem;
use serde_json::json;

use super::cloud::{Cloud, Recording, row};
use crate::support::{
    Guarded, Harness, SPEED, SinkRequest, export, files, media, out_of_order, receipts,
};

/// Where the recording of call 1 lies.
async fn key(cloud: &Cloud) -> String {
    cloud.run().await.complete(3);
    cloud.recordings().remove(0)
}

fn calls() -> Vec<(serde_json::Value, Vec<Recording>)> {
    let numbered = (1..4).map(|number| (row(number), vec![Recording::call(number, 0)]));
    numbered.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_receipt_names_gives_way_to_the_recording() {
    let key = key(&Cloud::honest(calls()).await).await;
    let cloud = Cloud::honest(calls()).await;
    let path = cloud.output().join(&key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "half of something").unwrap();
    let ran = cloud.run().await;
    ran.complete(3);
    assert!(
        ran.said.contains("that no receipt names; it is replaced"),
        "{}",
        ran.said
    );
    assert_eq!(cloud.command("verify", &["--full"]).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_never_be_replaced_costs_its_recording_alone() {
    let key = key(&Cloud::honest(calls()).await).await;
    let mut cloud = Cloud::honest(calls()).await;
    cloud.sinks["out"]["overwrite"] = json!("never");
    let path = cloud.output().join(&key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "half of something").unwrap();
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let summary = &ran.json["sources"]["calls"];
    assert_eq!(summary["outcomes"], json!({ "failed": 1, "stored": 2 }));
    let lost = &summary["losses"][0];
    assert_eq!(lost["code"], "occupied");
    let message = lost["message"].as_str().unwrap();
    assert!(
        message.contains(&key) && message.contains("remove it"),
        "{message}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"half of something");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receipt_of_another_export_names_stays() {
    let before = Cloud::honest(calls()).await;
    let path = before.output().join(key(&before).await);
    let named = std::fs::read(&path).unwrap();
    // The same call in another account, made anew: other bytes under the same key.
    let mut others = calls();
    others[0].1[0].body = Recording::call(7, 0).body;
    let mut cloud = Cloud::honest(others).await;
    cloud.sinks = before.sinks.clone();
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let summary = &ran.json["sources"]["calls"];
    assert_eq!(summary["outcomes"], json!({ "failed": 1, "stored": 2 }));
    assert_eq!(summary["losses"][0]["code"], "occupied");
    assert_eq!(std::fs::read(&path).unwrap(), named);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_which_nothing_is_left_is_filed_again_by_a_repair() {
    let cloud = Cloud::honest(calls()).await;
    let key = key(&cloud).await;
    for folder in ["receipts", "metadata"] {
        for file in cloud
            .files()
            .into_keys()
            .filter(|key| key.starts_with(folder))
        {
            std::fs::remove_file(cloud.output().join(file)).unwrap();
        }
    }
    std::fs::write(cloud.output().join(&key), "damaged, and nothing tells").unwrap();
    let ran = cloud.run_with(&["--repair"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let proven = cloud.command("verify", &["--full"]).await;
    assert_eq!(
        proven.json["sinks"]["out"]["conversations"], 3,
        "{proven:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_in_one_sink_is_not_forgotten_while_another_is_tried_again() {
    let settings = Settings {
        conversations: 40,
        ..Settings::default()
    };
    let calm = Harness::start(settings.clone()).await;
    export(calm.config()).await;
    let key = media(&files(&calm.output())).into_keys().next().unwrap();

    let harness = Harness::start(settings).await;
    let kept = harness.folder.path().join("kept");
    let there = kept.join(&key);
    std::fs::create_dir_all(there.parent().unwrap()).unwrap();
    std::fs::write(&there, "something else").unwrap();
    let sink = json!({ "type": "filesystem", "path": kept, "overwrite": "never" });
    let config = Config::new(harness.config_to(sink)).unwrap();
    // Every other put fails at first, so that the same link is tried again for this sink alone.
    let puts = AtomicU64::new(0);
    let busy = Guarded::new(harness.folder.path().join("busy"), move |asked| {
        match asked == SinkRequest::Put && puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            true => Err(out_of_order(true)),
            false => Ok(()),
        }
    });
    let pipelines = config.pipelines(Clock::new(SPEED)).await;
    let pipeline = pipelines.unwrap().pop().unwrap();
    let pipeline = pipeline.sink("busy", Arc::new(busy), ArchiveMode::Unpack);
    let summary = pipeline.run().await.unwrap();
    assert!(!summary.losses.is_empty());

    let lines = receipts(&files(&kept));
    let lost = |text: &str| {
        let of = lines.iter().filter(|line| line.to_string().contains(text));
        of.count()
    };
    assert_eq!(lost("occupied"), 1, "the sink that lacks it says so");
    assert_eq!(std::fs::read(&there).unwrap(), b"something else");
    let other = files(&harness.folder.path().join("busy"));
    assert_eq!(media(&other)[&key], media(&files(&calm.output()))[&key]);
    assert!(
        receipts(&other)
            .iter()
            .all(|line| !line.to_string().contains("occupied"))
    );
    let kept = Filesystem::new(kept);
    let found = verify(&kept, true).await.unwrap().findings;
    // Nothing but the stranger is too much.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].key, key);
}
