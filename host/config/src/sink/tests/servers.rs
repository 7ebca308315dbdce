//! Mistakes in sinks that speak with a server.

use super::*;

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
        error.starts_with(
            "sinks.lake.tidy_after_hours: is the former name of `cleanup_after_hours`, which is given, too"
        ),
        "{error}"
    );
}

#[test]
fn each_mistake_in_an_s3_sink_is_named_by_its_key() {
    // Long: one table of mistakes.
    for (name, value, message) in [
        (
            "sse",
            json!({ "type": "none" }),
            "sse.type: `none` is none of `",
        ),
        ("sse", json!("aws:kms"), "sse: "),
        ("checksum", json!("sha1"), "checksum: `sha1` is none of `"),
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
            json!({ "mode": "governance", "days": 0 }),
            "object_lock.days: 0 is not within 1 and 36500",
        ),
        (
            "object_lock",
            json!({ "mode": "governance", "days": 4_000_000_000_u32 }),
            "object_lock.days: 4000000000 is not within",
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
        (
            "retry",
            json!({ "attempts": 0 }),
            "retry.attempts: 0 would send no request",
        ),
        (
            "tags",
            (0..11).map(|tag| (tag.to_string(), json!("x"))).collect(),
            "tags: an object has at most 10 tags, and 11 are given",
        ),
        (
            "tags",
            json!({ "": "x" }),
            "tags: a tag's name has 1 to 128",
        ),
        (
            "tags",
            json!({ "a": "x".repeat(257) }),
            "tags.a: a tag's value",
        ),
        (
            "content_encoding",
            json!(""),
            "content_encoding: must be a word",
        ),
        (
            "sse",
            json!({ "type": "kms", "key_id": " " }),
            "sse.key_id: is empty; give the key's id",
        ),
        (
            "credentials",
            json!({ "assume_role": { "role_arn": "archive" } }),
            "credentials.assume_role.role_arn: `archive` is no ARN of a role",
        ),
        (
            "credentials",
            json!({ "assume_role": { "role_arn": "arn:aws:iam::1:role/x", "session_name": "a b" } }),
            "credentials.assume_role.session_name: must have 2 to 64",
        ),
        ("parts_at_once", json!(17), "parts_at_once: "),
        (
            "timeout",
            json!({ "read": 1 }),
            "timeout.read: unknown field",
        ),
        ("endpoint", json!("minio:9000"), "endpoint: `minio:9000`"),
        (
            "endpoint",
            json!("http://u:hush@minio"),
            "endpoint: the URL is not of the form https://host:port: it holds a user",
        ),
        (
            "credentials",
            json!({ "assume_role": { "role_arn": "x", "endpoint": "sts" } }),
            "credentials.assume_role.endpoint: `sts` is not of the form",
        ),
        (
            "credentials",
            json!({ "profile": " " }),
            "credentials.profile: is empty; name a profile",
        ),
        (
            "retry",
            json!({ "max_backoff_seconds": u64::MAX }),
            "retry.max_backoff_seconds: 18446744073709551615 is not within 0 and 86400",
        ),
        (
            "timeout",
            json!({ "connect_seconds": u64::MAX }),
            "timeout.connect_seconds: 18446744073709551615 is not within 1 and 86400; give seconds",
        ),
        (
            "timeout",
            json!({ "read_seconds": 0 }),
            "timeout.read_seconds: 0 is not within 1",
        ),
        (
            "timeout",
            json!({ "attempt_seconds": 86_401 }),
            "timeout.attempt_seconds: 86401 is not within",
        ),
        (
            "cleanup_after_hours",
            json!(u64::MAX),
            "cleanup_after_hours: 18446744073709551615 is more than",
        ),
    ] {
        let mut sink = json!({ "type": "s3", "bucket": "b" });
        sink[name] = value;
        let error = wrong(sink);
        assert!(
            error.starts_with(&format!("sinks.lake.{message}")),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
    let locked = json!({ "type": "s3", "bucket": "b", "checksum": "none",
        "object_lock": { "legal_hold": true } });
    assert!(wrong(locked).starts_with("sinks.lake.checksum: "));
}

#[test]
fn each_mistake_in_an_http_sink_is_named_by_its_key_and_no_secret_is_told() {
    for (name, value, message) in [
        (
            "url",
            json!("https://host/?hush"),
            "url: must be of the form",
        ),
        ("method", json!("patch"), "method: `patch` is none of `"),
        (
            "auth",
            json!({ "type": "digest" }),
            "auth.type: `digest` is none of `",
        ),
        (
            "timeout",
            json!({ "read_seconds": u64::MAX }),
            "timeout.read_seconds: 18446744073709551615 is not within",
        ),
        ("headers", json!({ "a b": "hush" }), "headers.a b: "),
        (
            "headers",
            json!({ "Content-Length": "hush" }),
            "headers.Content-Length: `Content-Length` is set by the program itself",
        ),
        (
            "auth",
            json!({ "type": "header", "name": "Host", "value": "hush" }),
            "auth.value: `Host` is set by the program itself",
        ),
        ("retry", json!({ "attempts": 0 }), "retry.attempts: 0 would"),
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

#[test]
fn each_mistake_in_another_cloud_is_named_by_its_key() {
    for (value, message) in [
        (
            json!({ "type": "gcs", "bucket": "b", "credentials": { "token": "a", "anonymous": true } }),
            "sinks.lake.credentials: ",
        ),
        (
            json!({ "type": "gcs", "bucket": "b", "endpoint": "foo" }),
            "sinks.lake.endpoint: `foo` is not of the form https://host",
        ),
        (
            json!({ "type": "azure_blob", "account": "calls", "container": "calls", "endpoint": "http://h:99999" }),
            "sinks.lake.endpoint: `http://h:99999` is not of the form",
        ),
        (
            json!({ "type": "gcs", "bucket": "b", "class": "x" }),
            "sinks.lake.class: unknown field",
        ),
        (
            json!({ "type": "azure_blob", "account": "calls" }),
            "sinks.lake: the key `container` is missing",
        ),
        (
            json!({ "type": "azure_blob", "account": "calls", "container": "calls",
                "credentials": { "client_id": "x" } }),
            "sinks.lake.credentials: ",
        ),
    ] {
        let error = wrong(value);
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn what_google_and_azure_would_refuse_at_each_object_is_refused_at_once() {
    // Long: one table of mistakes.
    let gcs = json!({ "type": "gcs", "bucket": "b" });
    let azure = json!({ "type": "azure_blob", "account": "calls", "container": "calls" });
    for (sink, name, value, message) in [
        (
            &gcs,
            "retry",
            json!({ "attempts": 0 }),
            "retry.attempts: 0 would",
        ),
        (
            &gcs,
            "storage_class",
            json!("cold"),
            "storage_class: `cold` is not known; use one of STANDARD",
        ),
        (
            &gcs,
            "object_metadata",
            json!({ "a": "ü" }),
            "object_metadata.a: ",
        ),
        (
            &gcs,
            "credentials",
            json!({ "service_account": "/etc/hush.json" }),
            "credentials.service_account: must be the text of the key's JSON file, and this looks",
        ),
        (
            &azure,
            "account",
            json!("https://calls.blob.core.windows.net"),
            "account: `https://calls.blob.core.windows.net` is not the name of a storage account",
        ),
        (
            &azure,
            "container",
            json!("Calls"),
            "container: `Calls` is not the name of a container",
        ),
        (
            &azure,
            "container",
            json!("a--b"),
            "container: `a--b` is not the name",
        ),
        (
            &azure,
            "container",
            json!(""),
            "container: is empty; name the container",
        ),
        (
            &azure,
            "access_tier",
            json!("cool"),
            "access_tier: `cool` is not known; use one of Hot, Cool",
        ),
        (
            &azure,
            "object_metadata",
            json!({ "a-b": "x" }),
            "object_metadata.a-b: the service takes names of letters",
        ),
        (&azure, "tags", json!({ "x".repeat(129): "x" }), "tags.xxx"),
        (
            &azure,
            "credentials",
            json!({ "access_key": "hush!" }),
            "credentials.access_key: is no account key",
        ),
        (
            &azure,
            "credentials",
            json!({ "sas": "sv=hush" }),
            "credentials.sas: is no shared access signature",
        ),
    ] {
        let mut sink = sink.clone();
        sink[name] = value;
        let error = wrong(sink);
        assert!(
            error.starts_with(&format!("sinks.lake.{message}")),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
    let mut right = azure;
    right["credentials"] = json!({ "access_key": "aHVzaA==" });
    for container in ["$root", "$web", "calls-2026"] {
        right["container"] = json!(container);
        let sink = SinkConfig::new("lake", right.clone()).unwrap();
        sink.validate(&BTreeMap::new()).unwrap();
    }
}

#[test]
fn a_bucket_is_a_name_and_no_url() {
    for (bucket, words) in [
        ("s3://corp-calls/x", "`s3://corp-calls/x` is not the name"),
        ("corp-calls/x", "`corp-calls/x` is not the name"),
        ("corp calls", "`corp calls` holds white space"),
        ("corp-calls\n", "`corp-calls\n` holds white space"),
        (" ", "is empty"),
        (
            "arn:aws:s3:::corp-calls",
            "`arn:aws:s3:::corp-calls` is the ARN of a bucket: give its name alone, `corp-calls`",
        ),
        (
            "arn:aws:iam::1:role/x",
            "`arn:aws:iam::1:role/x` is no ARN of an access point",
        ),
    ] {
        let error = wrong(json!({ "type": "s3", "bucket": bucket }));
        let words = format!("sinks.lake.bucket: {words}");
        assert!(error.starts_with(&words), "{error}");
    }
    for bucket in [
        "corp.calls_1",
        "arn:aws:s3:eu-west-1:111122223333:accesspoint/calls",
        "arn:aws:s3::111122223333:accesspoint/mfzwi23gnjvgw.mrap",
        "arn:aws:s3-outposts:eu-west-1:111122223333:outpost/op-1/accesspoint/calls",
    ] {
        assert!(
            SinkConfig::new("lake", json!({ "type": "s3", "bucket": bucket })).is_ok(),
            "{bucket}"
        );
    }
}

#[test]
fn a_region_is_one_of_its_servers_form() {
    for (region, words) in [
        ("", "is empty; regions are of the form eu-west-1"),
        ("Ireland (eu)", "`Ireland (eu)` holds white space"),
        (
            "EU-WEST-1",
            "`EU-WEST-1` has upper-case letters; write `eu-west-1`",
        ),
        (
            "eu-west-1a",
            "`eu-west-1a` is an availability zone; its region is `eu-west-1`",
        ),
        ("eu_west_1", "`eu_west_1` is no region"),
    ] {
        let error = wrong(json!({ "type": "s3", "bucket": "b", "region": region }));
        let words = format!("sinks.lake.region: {words}");
        assert!(error.starts_with(&words), "{error}");
    }
    let valid = |sink: Value| {
        SinkConfig::new("lake", sink)
            .unwrap()
            .validate(&BTreeMap::new())
    };
    for region in ["eu-west-1", "us-gov-west-1", "eusc-de-east-1"] {
        valid(json!({ "type": "s3", "bucket": "b", "region": region })).unwrap();
    }
    for region in ["EU", "garage", "eu-west-1a"] {
        let endpoint = "http://127.0.0.1:3900";
        valid(json!({ "type": "s3", "bucket": "b", "region": region, "endpoint": endpoint }))
            .unwrap();
    }
}
