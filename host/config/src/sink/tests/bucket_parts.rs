//! The keys of a sink in a bucket belong to several types, and that is not to be seen.

use super::*;

/// A sink of each type with all the keys that it needs.
fn sinks() -> [Value; 3] {
    [
        json!({ "type": "s3", "bucket": "b" }),
        json!({ "type": "gcs", "bucket": "b" }),
        json!({ "type": "azure_blob", "account": "calls", "container": "calls" }),
    ]
}

#[test]
fn a_wrong_value_in_any_part_is_named_by_its_path() {
    for (name, value, message) in [
        ("prefix", json!(7), "prefix: is the number 7; it must be a"),
        (
            "overwrite",
            json!("no"),
            "overwrite: `no` is none of `never`",
        ),
        (
            "object_metadata",
            json!({ "a": 1 }),
            "object_metadata.a: is the number 1; it must be a text",
        ),
        (
            "content_encoding",
            json!(""),
            "content_encoding: must be a word",
        ),
        (
            "endpoint",
            json!(7),
            "endpoint: is the number 7; it must be a text",
        ),
        (
            "endpoint",
            json!("host"),
            "endpoint: `host` is not of the form",
        ),
        (
            "retry",
            json!({ "attempts": "x" }),
            "retry.attempts: is the text `x`; it must be a whole number",
        ),
        (
            "retry",
            json!({ "times": 1 }),
            "retry.times: unknown field `times`, expected ",
        ),
        (
            "retry",
            json!({ "max_backoff_seconds": 86_401 }),
            "retry.max_backoff_seconds: 86401 is not within 0 and 86400",
        ),
        (
            "credentials",
            json!({ "user": "x" }),
            "credentials.user: unknown field `user`, expected one of ",
        ),
    ] {
        for mut sink in sinks() {
            sink[name] = value.clone();
            let error = wrong(sink);
            let message = format!("sinks.lake.{message}");
            assert!(error.starts_with(&message), "{error}");
        }
    }
}

#[test]
fn a_wrong_value_of_s3_alone_is_named_by_its_path() {
    for (name, value, message) in [
        (
            "storage_class",
            json!(7),
            "storage_class: is the number 7; it must be a text",
        ),
        (
            "parts_at_once",
            json!("x"),
            "parts_at_once: is the text `x`; it must be a whole number",
        ),
        ("tls", json!({ "pem": "x" }), "tls.pem: unknown field `pem`"),
        (
            "object_lock",
            json!({ "days": "x" }),
            "object_lock.days: is the text `x`; it must be a whole number",
        ),
        (
            "tidy_after_hours",
            json!("x"),
            "tidy_after_hours: is the text `x`; it must be a whole number",
        ),
    ] {
        let mut sink = json!({ "type": "s3", "bucket": "b" });
        sink[name] = value;
        let error = wrong(sink);
        let message = format!("sinks.lake.{message}");
        assert!(error.starts_with(&message), "{error}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_keys_of_all_parts() {
    let known = [
        &[
            "bucket",
            "sse",
            "cleanup_after_hours",
            "prefix",
            "tags",
            "credentials",
            "object_lock",
            "tls",
        ][..],
        &["bucket", "storage_class", "retry", "prefix", "credentials"],
        &["account", "access_tier", "prefix", "tags", "credentials"],
    ];
    for (mut sink, known) in sinks().into_iter().zip(known) {
        sink["prefx"] = json!("calls");
        let error = wrong(sink);
        let beginning = "sinks.lake.prefx: unknown field `prefx`, expected one of `";
        assert!(error.starts_with(beginning), "{error}");
        for name in known {
            assert!(error.contains(&format!("`{name}`")), "{name}: {error}");
        }
    }
}

#[test]
fn google_has_no_tags() {
    let error = wrong(json!({ "type": "gcs", "bucket": "b", "tags": { "a": "b" } }));
    let (message, known) = error.split_once(", expected one of ").unwrap();
    assert_eq!(message, "sinks.lake.tags: unknown field `tags`");
    assert!(!known.contains("`tags`"), "{known}");
    for sink in [0, 2].map(|index| sinks()[index].clone()) {
        let mut sink = sink;
        sink["tags"] = json!({ "a": "b" });
        let sink = SinkConfig::new("lake", sink).unwrap();
        sink.validate(&BTreeMap::new()).unwrap();
    }
}

#[test]
fn a_former_name_is_one_of_its_own_type_alone() {
    let error = wrong(json!({ "type": "filesystem", "path": "x", "tidy_after_hours": 3 }));
    let message = "sinks.lake.tidy_after_hours: unknown field `tidy_after_hours`";
    assert!(error.starts_with(message), "{error}");
}

#[test]
fn a_key_without_a_value_has_its_default() {
    let sink = json!({ "type": "s3", "bucket": "b", "region": null, "storage_class": null,
        "parts_at_once": null, "cleanup_after_hours": null, "content_encoding": null });
    let sink = SinkConfig::new("lake", sink).unwrap();
    sink.validate(&BTreeMap::new()).unwrap();
}
