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
fn a_key_by_its_former_name_works_and_is_told() {
    let sink = |key: &str| {
        let keys = json!({ "type": "s3", "bucket": "b", key: 3 });
        SinkConfig::new("lake", keys).map(|sink| sink.warnings().to_vec())
    };
    assert!(sink("cleanup_after_hours").unwrap().is_empty());
    assert_eq!(
        sink("tidy_after_hours").unwrap(),
        [
            "sinks.lake.tidy_after_hours: this key is called `cleanup_after_hours` now; the former name still works"
        ]
    );
    let both =
        json!({ "type": "s3", "bucket": "b", "cleanup_after_hours": 3, "tidy_after_hours": 3 });
    let error = SinkConfig::new("lake", both).unwrap_err().to_string();
    assert!(
        error.contains("duplicate field `cleanup_after_hours`"),
        "{error}"
    );
}

#[test]
fn each_mistake_in_a_sink_is_named_by_its_key() {
    for (value, message) in [
        (json!("s3"), "sinks.lake: must be a table"),
        (json!({ "path": "x" }), "sinks.lake.type: missing"),
        (
            json!({ "type": "ftp" }),
            "sinks.lake.type: `ftp` is not known",
        ),
        (
            json!({ "type": "filesystem", "path": "x", "condition": { "none_of": [{}] } }),
            "sinks.lake.condition.none_of[0]: says nothing",
        ),
        (
            json!({ "type": "filesystem", "path": "x",
                "condition": { "any_of": [{ "number_prefixes": ["+49", ""] }] } }),
            "sinks.lake.condition.any_of[0].number_prefixes: says nothing",
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
            "sinks.lake.zip: unknown variant `no`",
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
            "sinks.lake.transcode.to: unknown variant `mp3`",
        ),
        (
            json!({ "type": "stdout", "transcode": { "to": "wav", "when": ["video/mp4"] } }),
            "sinks.lake.transcode.when[0]: unknown variant `video/mp4`",
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

#[cfg(feature = "s3")]
#[test]
fn each_mistake_in_an_s3_sink_is_named_by_its_key() {
    for (name, value, message) in [
        (
            "sse",
            json!({ "type": "none" }),
            "sse.type: unknown variant `none`",
        ),
        ("sse", json!("aws:kms"), "sse: "),
        (
            "checksum",
            json!("sha1"),
            "checksum: unknown variant `sha1`",
        ),
        (
            "storage_class",
            json!("COLD"),
            "storage_class: `COLD` is not known",
        ),
        ("acl", json!("everyone"), "acl: `everyone` is not known"),
        (
            "object_metadata",
            json!({ "a": "ü" }),
            "object_metadata.a: ",
        ),
        (
            "tags",
            json!({ "a": 1 }),
            "tags.a: is the number 1; it must be a text",
        ),
        ("object_lock", json!({}), "object_lock: "),
        (
            "object_lock",
            json!({ "mode": "governance", "days": 1, "until": "2030-01-01T00:00:00Z" }),
            "object_lock: ",
        ),
        (
            "object_lock",
            json!({ "mode": "governance" }),
            "object_lock: ",
        ),
        (
            "credentials",
            json!({ "profile": "p", "access_key_id": "a", "secret_access_key": "b" }),
            "credentials: ",
        ),
        (
            "credentials",
            json!({ "access_key_id": "a" }),
            "credentials: `access_key_id` and `secret_access_key`",
        ),
        (
            "credentials",
            json!({ "access_key_id": "SECRET[v.x]", "secret_access_key": "b" }),
            "credentials.access_key_id: there is no secret backend `v`",
        ),
        (
            "credentials",
            json!({ "assume_role": { "role": "x" } }),
            "credentials.assume_role.role: unknown field `role`",
        ),
        ("retry", json!({ "attempts": 0 }), "retry.attempts: "),
        ("parts_at_once", json!(17), "parts_at_once: "),
        (
            "timeout",
            json!({ "read": 1 }),
            "timeout.read: unknown field",
        ),
        ("endpoint", json!("minio:9000"), "endpoint: "),
    ] {
        let mut sink = json!({ "type": "s3", "bucket": "b" });
        sink[name] = value;
        let error = wrong(sink);
        assert!(
            error.starts_with(&format!("sinks.lake.{message}")),
            "{error}"
        );
    }
    let locked = json!({ "type": "s3", "bucket": "b", "checksum": "none",
        "object_lock": { "legal_hold": true } });
    assert!(wrong(locked).starts_with("sinks.lake.checksum: "));
}

#[cfg(feature = "sink-http")]
#[test]
fn each_mistake_in_an_http_sink_is_named_by_its_key_and_no_secret_is_told() {
    for (name, value, message) in [
        (
            "url",
            json!("https://host/?hush"),
            "url: must be of the form",
        ),
        ("method", json!("patch"), "method: unknown variant `patch`"),
        (
            "auth",
            json!({ "type": "digest" }),
            "auth.type: unknown variant `digest`",
        ),
        ("headers", json!({ "a b": "hush" }), "headers.a b: "),
        ("headers", json!({ "a": "hu\nsh" }), "headers.a: "),
    ] {
        let mut sink = json!({ "type": "http", "url": "https://host/{key}" });
        sink[name] = value;
        let error = wrong(sink);
        assert!(
            error.starts_with(&format!("sinks.lake.{message}")),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
}

#[cfg(all(feature = "sink-gcs", feature = "sink-azure-blob"))]
#[test]
fn each_mistake_in_another_cloud_is_named_by_its_key() {
    for (value, message) in [
        (
            json!({ "type": "gcs", "bucket": "b", "credentials": { "token": "a", "anonymous": true } }),
            "sinks.lake.credentials: ",
        ),
        (
            json!({ "type": "gcs", "bucket": "b", "class": "x" }),
            "sinks.lake.class: unknown field",
        ),
        (
            json!({ "type": "azure_blob", "account": "a" }),
            "sinks.lake: missing field `container`",
        ),
        (
            json!({ "type": "azure_blob", "account": "a", "container": "c",
                "credentials": { "client_id": "x" } }),
            "sinks.lake.credentials: ",
        ),
    ] {
        let error = wrong(value);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_condition_on_what_privacy_takes_out_is_found_however_deep_it_stands() {
    for (field, condition, place) in [
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
        let found = sink.blind(&privacy_without(field)).map(|(place, _)| place);
        assert_eq!(found.as_deref(), Some(place), "{field}");
        assert_eq!(sink.blind(&privacy_without("reason")), None, "{field}");
    }
}

/// Privacy that leaves out one field.
fn privacy_without(field: &str) -> Privacy {
    let fields = recording_host_engine::privacy::Fields {
        pseudonymise: Vec::new(),
        drop: vec![field.to_owned()],
    };
    Privacy::new(&fields, None).unwrap()
}
