#[cfg(all(feature = "s3", feature = "sink-azure-blob", feature = "sink-gcs"))]
mod bucket_parts;
#[cfg(all(
    feature = "s3",
    feature = "sink-azure-blob",
    feature = "sink-gcs",
    feature = "sink-http"
))]
mod servers;

use super::*;
use serde_json::json;

const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

/// Returns the error of a sink with these keys.
fn wrong(value: Value) -> String {
    let checked = SinkConfig::new("lake", value)
        .and_then(|sink| sink.validate(&BTreeMap::new()).map(|()| sink));
    checked.unwrap_err().to_string()
}

#[test]
fn each_mistake_in_a_sink_is_named_by_its_key() {
    // Long: one table of mistakes.
    for (value, message) in [
        (json!("s3"), "sinks.lake: must be a table"),
        (json!({ "path": "x" }), "sinks.lake.type: missing"),
        (
            json!({ "type": 7 }),
            "sinks.lake.type: must be a text, such as s3",
        ),
        (
            json!({ "type": "ftp" }),
            "sinks.lake.type: `ftp` is not known",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "condition": { "none_of": [{}] } }),
            "sinks.lake.condition.none_of[0]: is empty, and so matches",
        ),
        (
            json!({ "type": "filesystem", "path": "x",
                "condition": { "any_of": [{ "number_prefixes": ["+49", ""] }] } }),
            "sinks.lake.condition.any_of[0].number_prefixes: is empty, and so matches",
        ),
        (
            json!({ "type": "filesystem", "path": "x",
                "condition": { "none_of": [{ "min_duration_seconds": 9, "max_duration_seconds": 8 }] } }),
            "sinks.lake.condition.none_of[0].min_duration_seconds: is more than `max",
        ),
        (
            json!({ "type": "filesystem", "path": 7 }),
            "sinks.lake.path: is the number 7; it must be a path",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "mode": "0999" }),
            "sinks.lake.mode: `0999`",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "zip": "no" }),
            "sinks.lake.zip: `no` is none of `",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "encrypt": { "recipients": ["age1x"] } }),
            "sinks.lake.encrypt.recipients: number 1 is not of the form age1...",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "encrypt": { "recipients": [] } }),
            "sinks.lake.encrypt.recipients: there is no recipient",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "encrypt": { "to": [] } }),
            "sinks.lake.encrypt.to: unknown field",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "overwrite": "never",
                "encrypt": { "recipients": [RECIPIENT] } }),
            "sinks.lake.overwrite: `never` does not go with `encrypt`",
        ),
        (
            json!({ "type": "stdout", "encrypt": { "recipients": [RECIPIENT] } }),
            "sinks.lake.encrypt: `stdout`",
        ),
        (
            json!({ "type": "stdout", "path": "x" }),
            "sinks.lake.path: unknown field `path`",
        ),
        (
            json!({ "type": "stdout", "transcode": { "to": "mp3" } }),
            "sinks.lake.transcode.to: `mp3` is ",
        ),
        (
            json!({ "type": "stdout", "transcode": { "to": "wav", "when": ["video/mp4"] } }),
            "sinks.lake.transcode.when[0]: `video/mp4` is ",
        ),
        (
            json!({ "type": "stdout", "transcode": { "to": "wav", "rate": 8000 } }),
            "sinks.lake.transcode.rate: unknown field `rate`",
        ),
        (
            json!({ "type": "stdout", "layout": "hive" }),
            "sinks.lake.layout: the layout `hive` needs the id of the organization",
        ),
        (
            json!({ "type": "stdout", "layout": { "type": "template", "key": "a/{b}.{ext}" } }),
            "sinks.lake.layout: key: `{b}` is not known; use {year}",
        ),
    ] {
        let error = wrong(value);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_condition_on_what_privacy_takes_out_is_found_however_deep_it_stands() {
    for (field, condition, path) in [
        ("queues", json!({ "queues": ["a"] }), "queues"),
        ("divisions", json!({ "divisions": ["a"] }), "divisions"),
        ("agents.name", json!({ "agents": ["a"] }), "agents"),
        (
            "wrap_up_codes",
            json!({ "wrap_up_codes": ["a"] }),
            "wrap_up_codes",
        ),
        (
            "tags",
            json!({ "none_of": [{ "tags": ["a"] }] }),
            "none_of[0].tags",
        ),
        (
            "dnis",
            json!({ "number_prefixes": ["+"] }),
            "number_prefixes",
        ),
        (
            "attributes.*",
            json!({ "any_of": [{ "tags": ["a"] }, { "none_of": [{ "attributes": { "tier": ["b"] } }] }] }),
            "any_of[1].none_of[0].attributes.tier",
        ),
    ] {
        let keys = json!({ "type": "filesystem", "path": "x", "condition": condition });
        let sink = SinkConfig::new("lake", keys).unwrap();
        let found = sink.blind(&privacy_without(field)).map(|(path, _)| path);
        assert_eq!(found.as_deref(), Some(path), "{field}");
        assert_eq!(sink.blind(&privacy_without("reason")), None, "{field}");
    }
}

/// Privacy that leaves out one field.
fn privacy_without(field: &str) -> Privacy {
    let fields = recording_host_engine::privacy::PrivacyFields {
        pseudonymise: Vec::new(),
        drop: vec![field.to_owned()],
    };
    Privacy::new(&fields, None).unwrap()
}
