//! Locations on servers, which need the sinks that speak with them.

use super::*;

#[test]
fn a_bucket_is_its_server_its_name_and_its_prefix() {
    let s3 = |more: Value| {
        let mut sink = json!({ "type": "s3", "bucket": "b" });
        sink.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        sink
    };
    let minio = |prefix: &str| s3(json!({ "endpoint": "http://minio:9000", "prefix": prefix }));
    for (one, two, how) in [
        (s3(json!({})), s3(json!({})), SAME),
        (
            s3(json!({ "prefix": "a" })),
            s3(json!({ "prefix": "/a/" })),
            SAME,
        ),
        (
            s3(json!({ "prefix": "a" })),
            s3(json!({ "prefix": "a/b" })),
            INSIDE,
        ),
        (s3(json!({ "prefix": "a/b" })), s3(json!({})), AROUND),
        (
            s3(json!({ "region": "eu-west-1" })),
            s3(json!({ "region": "eu-west-2" })),
            SAME,
        ),
        (
            s3(json!({})),
            s3(json!({ "endpoint": "https://s3.eu-west-1.amazonaws.com/" })),
            SAME,
        ),
        (
            s3(json!({ "endpoint": "https://s3.amazonaws.com:443" })),
            s3(json!({ "endpoint": "https://s3.dualstack.eu-west-1.amazonaws.com" })),
            SAME,
        ),
        (
            minio("a"),
            s3(json!({ "endpoint": "http://MINIO:9000/", "prefix": "a/", "path_style": true })),
            SAME,
        ),
    ] {
        refused(&one, &two, how);
    }
    for (one, two) in [
        (s3(json!({ "prefix": "a" })), s3(json!({ "prefix": "ab" }))),
        (s3(json!({ "prefix": "a" })), s3(json!({ "prefix": "A" }))),
        (s3(json!({})), json!({ "type": "s3", "bucket": "c" })),
        (s3(json!({})), minio("")),
        (minio(""), s3(json!({ "endpoint": "http://minio:9001" }))),
        (s3(json!({})), s3(json!({ "region": "cn-north-1" }))),
    ] {
        accepted(&one, &two);
    }
    let config = config(json!({
        "aws": s3(json!({ "prefix": "a//b/", "region": "eu-west-1" })),
        "china": s3(json!({ "endpoint": "https://s3.cn-north-1.amazonaws.com.cn" })),
        "minio": minio(""),
    }))
    .unwrap();
    for (name, location) in [
        ("aws", "s3:https://s3.amazonaws.com/b/a/b/"),
        ("china", "s3:https://s3.amazonaws.com.cn/b/"),
        ("minio", "s3:http://minio:9000/b/"),
    ] {
        assert_eq!(config.location(name).as_deref(), Some(location));
    }
}

#[test]
fn other_clouds_have_places_too() {
    let gcs = |prefix: &str| json!({ "type": "gcs", "bucket": "b", "prefix": prefix });
    let azure = |container: &str, prefix: &str| json!({ "type": "azure_blob", "account": "acc", "container": container, "prefix": prefix });
    let mut spelled = azure("con", "a/");
    spelled["endpoint"] = json!("https://acc.blob.core.windows.net");
    let mut other = azure("con", "a");
    other["account"] = json!("other");
    let through_s3 = json!({ "type": "s3", "bucket": "b", "prefix": "a/b",
        "endpoint": "https://storage.googleapis.com" });
    refused(&gcs("a"), &gcs("a/"), SAME);
    refused(&gcs("a"), &through_s3, INSIDE);
    refused(&azure("con", "a"), &spelled, SAME);
    refused(&azure("con", ""), &azure("con", "a"), INSIDE);
    accepted(&gcs("a"), &gcs("b"));
    accepted(&azure("con", ""), &azure("den", ""));
    accepted(&azure("con", "a"), &other);
    let config = config(json!({ "gcs": gcs("a"), "azure": azure("con", "") })).unwrap();
    for (name, location) in [
        ("gcs", "gcs:https://storage.googleapis.com/b/a/"),
        ("azure", "azure_blob:https://acc.blob.core.windows.net/con/"),
    ] {
        assert_eq!(config.location(name).as_deref(), Some(location));
    }
}

#[test]
fn two_sinks_to_one_url_are_refused_and_the_url_stays_hidden() {
    let http = |url: &str| json!({ "type": "http", "url": url });
    let one = http("https://archive.example/hush/{key}");
    for (two, how) in [
        ("https://ARCHIVE.example:443/hush/{key}", SAME),
        ("https://archive.example/hush/more/{key}?token=hush", INSIDE),
        ("https://archive.example/{key}", AROUND),
    ] {
        refused(&one, &http(two), how);
        let error = config(json!({ "one": one, "two": http(two) })).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
    accepted(&one, &http("https://archive.example/other/{key}"));
    // A secret is looked up to compare it, and only then.
    let secret = http("SECRET[env.NO_SUCH_VARIABLE]");
    assert!(config(json!({ "two": secret })).is_ok());
    let error = config(json!({ "one": one, "two": secret })).unwrap_err();
    assert!(
        error.starts_with("sinks.two.url: the environment"),
        "{error}"
    );
    let config = config(json!({ "two": secret })).unwrap();
    let location = config.location("two").unwrap();
    assert_eq!(location, "http:SECRET[env.NO_SUCH_VARIABLE]");
}
