//! Archives of every kind are browsed: rows as Parquet, buckets, sinks of a configuration, encrypted ones.

use std::path::Path;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use super::{Served, digits, links, post, rows};
use crate::{
    encryption::{Pair, encrypting},
    sinks::{ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFs, client, sink},
    support::{Harness, export, files, program},
};

async fn center() -> Harness {
    Harness::start(genesys_simulator::Settings {
        conversations: 60,
        ..genesys_simulator::Settings::default()
    })
    .await
}

/// A row with a recording, of an export of the same contact center whose rows can be read.
pub(super) async fn known(harness: &Harness) -> Value {
    let folder = harness.folder.path().join("plain");
    let mut config = harness.config_to(json!({ "type": "filesystem", "path": folder }));
    config["data_dir"] = json!(harness.folder.path().join("plain-data"));
    export(config).await;
    let mut rows = rows(&folder).into_iter();
    let row = rows.find(|row| row["content_type"] == "audio/ogg" && row["ani"].is_string());
    let mut row = row.unwrap();
    let file = folder.join(row["object_key"].as_str().unwrap());
    row["file"] = json!(file.to_str().unwrap());
    row
}

/// Finds a recording by its number on the page at an address, hears a part of it, and verifies it.
pub(super) async fn is_heard(url: &str, row: &Value) {
    let ani = digits(row["ani"].as_str().unwrap());
    let found = post(url, "/recordings", &format!("number={ani}&exact=1")).await;
    let id = row["conversation_id"].as_str().unwrap();
    let paths = links(&found);
    let path = paths
        .iter()
        .find(|link| link.replace("%2D", "-").contains(id))
        .unwrap();
    let shown = reqwest::get(format!("{url}{path}")).await.unwrap();
    let shown = shown.text().await.unwrap();
    assert!(shown.contains(row["sha256"].as_str().unwrap()), "{shown}");
    let media = std::fs::read(row["file"].as_str().unwrap()).unwrap();
    let at = format!("{url}{}", path.replacen("/r/", "/media/", 1));
    let part = Client::new().get(at).header("range", "bytes=30000-30099");
    let part = part.send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        part.headers()["content-range"],
        format!("bytes 30000-30099/{}", media.len())
    );
    assert_eq!(part.bytes().await.unwrap(), media[30_000..30_100]);
    let verified = post(url, &path.replacen("/r/", "/verify/", 1), "").await;
    assert!(
        verified.contains("is what the receipt says, byte for byte"),
        "{verified}"
    );
}

/// Gives each segment of an archive another number, as a run does that replaces segments by one.
fn renumber(archive: &Path) {
    let another = |key: &str| {
        let (before, number) = key.rsplit_once("-0").unwrap();
        format!("{before}-9{number}")
    };
    for (name, text) in files(&archive.join("receipts")) {
        let receipt = archive.join("receipts").join(&name);
        let text = String::from_utf8(text).unwrap();
        let (head, entries) = text.split_once('\n').unwrap();
        let mut head: Value = serde_json::from_str(head).unwrap();
        let rows = head["metadata"]["key"].as_str().unwrap().to_owned();
        std::fs::rename(archive.join(&rows), archive.join(another(&rows))).unwrap();
        head["metadata"]["key"] = json!(another(&rows));
        head["segment"] = json!(900_000 + head["segment"].as_i64().unwrap());
        let file = receipt.file_name().unwrap().to_str().unwrap();
        let renamed = receipt.with_file_name(another(file));
        assert_ne!(renamed, receipt);
        std::fs::write(renamed, format!("{head}\n{entries}")).unwrap();
        std::fs::remove_file(&receipt).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_has_replaced_since_the_index_was_made_is_found_where_it_is_now() {
    let harness = center().await;
    export(harness.config()).await;
    let cache = harness.folder.path().join("cache");
    let served = Served::start(&harness.output(), &cache, &[]);
    let listed = links(&post(&served.url, "/recordings", "").await);
    assert!(listed.len() > 20);
    renumber(&harness.output());
    for link in &listed {
        let shown = reqwest::get(format!("{}{link}", served.url)).await.unwrap();
        assert_eq!(shown.status(), StatusCode::OK, "{link}");
        let shown = shown.text().await.unwrap();
        assert!(
            shown.contains(".jsonl, line ") && shown.contains("-90000"),
            "{link}"
        );
    }
    // What is gone for good is so still.
    std::fs::remove_dir_all(harness.output().join("receipts")).unwrap();
    let link = &listed[0];
    let gone = reqwest::get(format!("{}{link}", served.url)).await.unwrap();
    assert_eq!(gone.status(), StatusCode::OK, "its rows are there");
    assert!(gone.text().await.unwrap().contains("receipt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_as_parquet_are_searched_and_handed_over_as_json() {
    let harness = center().await;
    let row = known(&harness).await;
    let mut config = harness.config();
    config["sinks"]["lake"]["metadata"] = json!({ "format": "parquet" });
    export(config).await;
    let cache = harness.folder.path().join("cache");
    let served = Served::start(&harness.output(), &cache, &[]);
    is_heard(&served.url, &row).await;
    drop(served);
    let package = harness.folder.path().join("case.zip");
    let output = program()
        .arg("evidence")
        .arg(harness.output())
        .args([
            "--conversation",
            row["conversation_id"].as_str().unwrap(),
            "--cache",
        ])
        .arg(&cache)
        .arg("--output")
        .arg(&package)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut zip = zip::ZipArchive::new(std::fs::File::open(package).unwrap()).unwrap();
    let handed = std::io::read_to_string(zip.by_name("rows.jsonl").unwrap()).unwrap();
    let mut handed = handed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let handed = handed
        .find(|one| one["recording_id"] == row["recording_id"])
        .unwrap();
    let fields = row.as_object().unwrap().iter();
    // A time may have fewer zeros at its end.
    let instants = ["start", "end", "ended_at"];
    for (name, value) in
        fields.filter(|(name, _)| *name != "file" && !instants.contains(&name.as_str()))
    {
        assert_eq!(handed[name], *value, "{name}");
    }
    for name in instants {
        let at = |row: &Value| {
            row[name]
                .as_str()
                .map(|at| at.parse::<jiff::Timestamp>().unwrap())
        };
        assert_eq!(at(&handed), at(&row), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_is_heard_with_the_identity_and_leaves_no_text_on_the_disk() {
    let harness = center().await;
    let row = known(&harness).await;
    let pair = Pair::new(harness.folder.path(), "identity");
    export(encrypting(harness.config(), &[&pair])).await;
    let cache = harness.folder.path().join("cache");
    let identity = pair.path.to_str().unwrap();
    let served = Served::start(&harness.output(), &cache, &["--identity", identity]);
    is_heard(&served.url, &row).await;
    let left = files(&cache);
    assert_eq!(left.keys().collect::<Vec<_>>(), ["access.jsonl"]);
    drop(served);
    let served = Served::start(&harness.output(), &cache, &[]);
    let overview = served.get("/").await;
    assert!(
        overview.contains("is encrypted; give an identity by --identity"),
        "{overview}"
    );
    let agent = row["agents"][0]["id"].as_str().unwrap();
    for (name, data) in files(&cache) {
        let has = data
            .windows(agent.len())
            .any(|part| part == agent.as_bytes());
        assert!(!has, "{name} has an agent");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SeaweedFS, which tests/run installs"]
async fn a_bucket_is_browsed_by_its_address_and_by_its_configuration() {
    let server = SeaweedFs::start().await;
    let bucket = client(&server.endpoint)
        .create_bucket()
        .bucket(BUCKET)
        .send();
    bucket.await.unwrap();
    let harness = center().await;
    let row = known(&harness).await;
    let config = harness.config_to(sink(&server.endpoint));
    let path = harness.write(&config);
    export(config).await;

    let folder = |name: &str| harness.folder.path().join(name);
    let mut command = program();
    command.args([
        "browse",
        &format!("s3://{BUCKET}/calls"),
        "--endpoint",
        &server.endpoint,
    ]);
    command.args(["--region", "eu-west-1", "--path-style"]);
    command
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    is_heard(&Served::by(command, &folder("by-address")).url, &row).await;

    let mut command = program();
    command.arg("browse").arg("--config").arg::<&Path>(&path);
    let served = Served::by(command, &folder("by-configuration"));
    is_heard(&served.url, &row).await;
    // No signed link, and no name of the bucket's server, reaches a browser.
    assert!(!served.get("/").await.contains(&server.endpoint));
}
