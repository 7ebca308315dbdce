#[cfg(all(
    feature = "s3",
    feature = "sink-azure-blob",
    feature = "sink-gcs",
    feature = "sink-http"
))]
mod servers;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{super::Config, *};

/// A configuration with these sinks.
fn config(sinks: Value) -> Result<Config, String> {
    let value = json!({
        "data_dir": "the-queues",
        "secret": { "env": { "type": "env" } },
        "sources": { "calls": { "type": "genesys_cloud",
            "options": { "region": "mypurecloud.ie", "interval": "2026-01-01/2026-02-01" } } },
        "sinks": sinks,
    });
    Config::new(value).map_err(|error| error.to_string())
}

/// Checks that both sinks are refused, with a message that says how the second lies to the first.
fn refused(one: &Value, other: &Value, how: &str) {
    let error = config(json!({ "one": one, "two": other })).expect_err(&format!("{one} {other}"));
    assert!(error.starts_with("sinks.two."), "{error}");
    assert!(error.contains(how), "{how}: {error}");
    assert!(error.contains("the sink `one`"), "{error}");
    assert!(error.contains("inputs"), "{error}");
}

/// Checks that both sinks may stand beside each other.
fn accepted(one: &Value, other: &Value) {
    if let Err(error) = config(json!({ "one": one, "two": other })) {
        panic!("{one} {other}: {error}");
    }
}

const SAME: &str = "is the location of";
const INSIDE: &str = "lies inside the location of";
const AROUND: &str = "contains the location of";

fn folder(path: impl AsRef<Path>) -> Value {
    json!({ "type": "filesystem", "path": path.as_ref() })
}

#[test]
fn one_folder_written_in_two_ways_is_one_place() {
    let here = std::env::current_dir().unwrap();
    for (one, two, how) in [
        ("x", "./x", SAME),
        ("x", "x/", SAME),
        ("x", "x/../x", SAME),
        ("x", "x//.", SAME),
        ("x", "y/../x", SAME),
        ("x", "x/y", INSIDE),
        ("x/y", "x", AROUND),
        ("x", "./x/y/../z", INSIDE),
    ] {
        refused(&folder(one), &folder(two), how);
        refused(&folder(here.join(one)), &folder(two), how);
    }
    for (one, two) in [("x", "xy"), ("x/a", "x/b"), ("x", "../x"), ("x", "X")] {
        accepted(&folder(one), &folder(two));
    }
    let location = config(json!({ "one": folder("x/../y/") })).unwrap();
    let expected = format!("file:{}", here.join("y").display());
    assert_eq!(location.location("one"), Some(expected));
    assert_eq!(location.location("two"), None);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_what_it_leads_to() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("real/below")).unwrap();
    std::os::unix::fs::symlink(root.join("real/below"), root.join("link")).unwrap();
    let at = |path: &str| folder(root.join(path));
    refused(&at("real/below"), &at("link"), SAME);
    refused(&at("real"), &at("link/new"), INSIDE);
    // The system resolves it to the folder above the one that the link leads to.
    refused(&at("real/x"), &at("link/../x"), SAME);
    accepted(&at("x"), &at("link/../x"));
}

#[test]
fn only_one_sink_prints() {
    let stdout = json!({ "type": "stdout" });
    refused(&stdout, &stdout, "only one sink can print");
    accepted(&stdout, &folder("x"));
}

#[test]
fn the_queue_lies_apart_from_the_archive() {
    for (path, how) in [
        ("the-queues", "is `data_dir`"),
        ("./the-queues/out", "lies inside `data_dir`"),
        (".", "contains `data_dir`"),
    ] {
        let error = config(json!({ "one": folder(path) })).unwrap_err();
        assert!(error.starts_with("sinks.one.path: "), "{error}");
        assert!(error.contains(how), "{error}");
    }
}

#[test]
fn a_name_that_names_nothing_is_refused() {
    let mut cases = BTreeMap::from([("path", vec![folder("")])]);
    if cfg!(feature = "s3") {
        let buckets = ["", " ", "s3://b", "b/prefix", "https://b"];
        let sinks = buckets.map(|bucket| json!({ "type": "s3", "bucket": bucket }));
        cases.insert("bucket", sinks.to_vec());
        let arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/archive";
        accepted(&json!({ "type": "s3", "bucket": arn }), &folder("x"));
    }
    if cfg!(feature = "sink-azure-blob") {
        let sink = |account: &str, container: &str| json!({ "type": "azure_blob", "account": account, "container": container });
        cases.insert("container", vec![sink("acc", ""), sink("acc", "b/c")]);
        cases.insert("account", vec![sink("", "con")]);
    }
    for (name, sinks) in cases {
        for sink in sinks {
            let error = config(json!({ "lake": sink })).unwrap_err();
            assert!(
                error.starts_with(&format!("sinks.lake.{name}: ")),
                "{error}"
            );
        }
    }
}
