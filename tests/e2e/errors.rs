//! Whoever embeds the library learns the kind of an error, whether a retry helps, and what it is
//! about; and may take recordings from a stream and acknowledge them.

use std::{collections::BTreeMap, sync::Arc};

use genesys_simulator::Settings;
use recording_host_config::Config;
use recording_host_engine::{run::Pipeline, transfer::ArchiveMode};
use recording_host_model::{Error, ErrorKind, clock::Clock};
use recording_host_sink::deliveries::deliveries;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{Harness, SPEED, files, media, same_media};

fn few() -> Settings {
    Settings {
        conversations: 30,
        seed: 5,
        ..Settings::default()
    }
}

async fn pipeline(config: Value) -> Pipeline {
    let config = Config::new(config).unwrap();
    config.pipelines(Clock::new(SPEED)).await.unwrap().remove(0)
}

async fn refused(config: Value) -> Error {
    pipeline(config).await.run().await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_tells_its_kind_whether_a_retry_helps_and_what_it_is_about() {
    let harness = Harness::start(few()).await;
    let told = |error: &Error, name| {
        let about = error.context(name).map(str::to_owned);
        (error.kind(), error.is_retryable(), about)
    };

    let mut config = harness.config();
    config["sinks"]["lake"]["inputs"] = json!(["cals"]);
    let error = Config::new(config).unwrap_err();
    let key = Some("sinks.lake.inputs".to_owned());
    assert_eq!(told(&error, "config"), (ErrorKind::Config, false, key));

    let mut config = harness.config();
    config["sources"]["calls"]["auth"]["client_secret"] = json!("wrong");
    let error = refused(config).await;
    assert_eq!(
        told(&error, ""),
        (ErrorKind::Source, false, None),
        "{error}"
    );

    // A file stands where the sink's folder is to be.
    let mut config = harness.config();
    let file = harness.folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    config["sinks"]["lake"]["path"] = json!(file.join("archive"));
    let error = refused(config).await;
    let lake = Some("lake".to_owned());
    assert_eq!(
        told(&error, "sink"),
        (ErrorKind::Sink, false, lake),
        "{error}"
    );

    let (tell, stopped) = watch::channel(true);
    let stopped = pipeline(harness.config()).await.run_until(stopped).await;
    drop(tell);
    let error = stopped.unwrap_err();
    assert_eq!(told(&error, ""), (ErrorKind::Stopped, true, None));

    // Another run has the queue.
    let one = pipeline(harness.config()).await.run();
    let other = pipeline(harness.config()).await.run();
    let (one, other) = tokio::join!(one, other);
    let error = one.err().or(other.err()).expect("one of them is refused");
    assert_eq!(told(&error, ""), (ErrorKind::State, true, None), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_embedder_acknowledges_is_the_archive_and_what_he_refuses_comes_again() {
    let harness = Harness::start(few()).await;
    pipeline(harness.config()).await.run().await.unwrap();
    let wanted = files(&harness.output());

    let mut config = harness.config();
    config["data_dir"] = json!(harness.folder.path().join("other"));
    let (sink, mut stream) = deliveries("mine");
    let pipeline = pipeline(config).await.without_sinks();
    let run = pipeline
        .sink("mine", Arc::new(sink), ArchiveMode::Unpack)
        .run();
    let mut kept = BTreeMap::new();
    let mut dropped = 0;
    let taking = async {
        while let Some(mut delivery) = stream.next().await {
            let mut bytes = Vec::new();
            while let Some(frame) = delivery.body().next().await.unwrap() {
                bytes.extend_from_slice(&frame);
            }
            let key = delivery.key().to_owned();
            // The first recording is not kept at first, and nobody says so.
            if key.starts_with("recordings/") && dropped == 0 {
                dropped += 1;
                continue;
            }
            kept.insert(key, bytes);
            delivery.acknowledge();
        }
    };
    let (summary, ()) = tokio::join!(run, taking);
    assert_eq!(summary.unwrap().conversations, 30);
    assert_eq!(dropped, 1);
    same_media(&media(&kept), &media(&wanted));
}
