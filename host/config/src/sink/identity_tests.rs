use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::SinkConfig;
use recording_host_engine::transfer::SinkBinding;
use recording_host_sink::filesystem::Filesystem;

/// The text of a sink's identity, as the configuration with these keys fills it.
async fn identity(keys: Value) -> String {
    let mut sink = json!({ "type": "filesystem", "path": "out" });
    let table = sink.as_object_mut().unwrap();
    table.extend(keys.as_object().unwrap().clone());
    let sink = SinkConfig::new("lake", sink).unwrap();
    let made = sink.sink(&BTreeMap::new()).await.unwrap();
    sink.binding("lake", made).identity().to_string()
}

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// These texts are part of the format of queues and receipts: they never change.
#[tokio::test]
async fn the_identity_of_a_sink_is_golden() {
    let key = "calls/{year}/{conversation}/{recording}{part}.{ext}";
    let organization = "3f2b6a10-9d6e-4a57-8f0e-000000000001";
    for (keys, text) in [
        (json!({}), "{}".to_owned()),
        (json!({ "zip": "keep" }), r#"{"zip":"keep"}"#.to_owned()),
        (json!({ "zip": "both" }), r#"{"zip":"both"}"#.to_owned()),
        (json!({ "layout": "flat" }), r#"{"layout":"flat"}"#.to_owned()),
        (
            json!({ "layout": { "type": "hive", "organization": organization } }),
            format!(r#"{{"layout":{{"organization":"{organization}","type":"hive"}}}}"#),
        ),
        (
            json!({ "layout": { "type": "template", "key": key } }),
            format!(r#"{{"layout":{{"key":"{key}","type":"template"}}}}"#),
        ),
        (
            json!({ "transcode": { "to": "flac" } }),
            r#"{"transcode":{"to":"flac"}}"#.to_owned(),
        ),
        (
            json!({ "transcode": { "to": "wav", "channels": "split", "original": "drop",
                "when": ["audio/wav", "audio/ogg", "audio/wav", "audio/flac"] } }),
            r#"{"transcode":{"channels":"split","original":"drop","to":"wav","when":["audio/flac","audio/ogg","audio/wav"]}}"#
                .to_owned(),
        ),
        (
            json!({ "transcode": { "to": "wav", "channels": "mix", "when": [] } }),
            r#"{"transcode":{"channels":"mix","to":"wav","when":[]}}"#.to_owned(),
        ),
        (
            json!({ "encrypt": { "recipients": [RECIPIENT] } }),
            r#"{"encrypt":true}"#.to_owned(),
        ),
        (
            json!({ "encrypt": { "recipients": [RECIPIENT] }, "layout": "flat", "zip": "keep",
                "transcode": { "to": "flac" } }),
            r#"{"encrypt":true,"layout":"flat","transcode":{"to":"flac"},"zip":"keep"}"#.to_owned(),
        ),
    ] {
        // A build without codecs refuses the key.
        if cfg!(feature = "transcode") || keys.get("transcode").is_none() {
            assert_eq!(identity(keys).await, text);
        }
    }
}

#[tokio::test]
async fn a_default_that_is_spelled_out_and_tuning_change_no_identity() {
    for keys in [
        json!({ "zip": "unpack" }),
        json!({ "layout": "days" }),
        json!({ "layout": { "type": "days" } }),
        json!({ "content": ["media", "metadata"], "condition": {} }),
        json!({ "overwrite": "always", "mode": "0640", "directory_mode": "0750" }),
        json!({ "metadata": { "format": "jsonl" } }),
        json!({ "inputs": ["calls"] }),
        json!({ "path": "elsewhere" }),
    ] {
        assert_eq!(identity(keys.clone()).await, "{}", "{keys}");
    }
    if cfg!(feature = "transcode") {
        let spelled = json!({ "to": "wav", "channels": "keep", "original": "keep" });
        let spelled = identity(json!({ "transcode": spelled })).await;
        assert_eq!(spelled, r#"{"transcode":{"to":"wav"}}"#);
    }
}

#[tokio::test]
async fn an_output_made_by_hand_has_the_identity_of_one_from_a_configuration() {
    let folder = Arc::new(Filesystem::new("out".into()));
    assert_eq!(
        SinkBinding::new("a", folder).identity().to_string(),
        identity(json!({})).await
    );
}
