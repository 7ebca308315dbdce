//! Tools of other makes list, check and fetch what an export has put into an S3 server of another
//! make, and agree with the receipts about every length and hash.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use genesys_simulator::Settings;
use serde_json::Value;

use crate::{
    s3_server::{ACCESS_KEY, BUCKET, SECRET_KEY},
    sinks::{SeaweedFs, client, sink},
    support::{Harness, Objects, export, files, receipts, sha256},
};

/// Where tests/run has installed the tools.
fn tools() -> PathBuf {
    let folder = std::env::var_os("S3_READERS");
    folder
        .expect("S3_READERS is not set; tests/run installs the tools")
        .into()
}

/// The output of a tool, which must succeed.
async fn said(mut command: Command) -> String {
    let ran = tokio::task::spawn_blocking(move || (command.output(), command));
    let (ran, command) = ran.await.unwrap();
    let ran = ran.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let complaint = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        ran.status.success(),
        "{:?}: {complaint}",
        command.get_args()
    );
    String::from_utf8(ran.stdout).unwrap()
}

/// The AWS command line, with nothing of the machine's own configuration.
fn aws(endpoint: &str, arguments: &[&str]) -> Command {
    let mut aws = Command::new("python3");
    aws.arg(tools().join("bin/aws"))
        .args(["--endpoint-url", endpoint, "--output", "json"])
        .args(arguments)
        .env("PYTHONPATH", tools())
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .env("AWS_REGION", "eu-west-1");
    aws
}

/// rclone, with a remote `lake`.
fn rclone(endpoint: &str, arguments: &[&str]) -> Command {
    let mut rclone = Command::new(tools().join("bin/rclone"));
    rclone
        .args(arguments)
        .env("RCLONE_CONFIG", "/dev/null")
        .env("RCLONE_CONFIG_LAKE_TYPE", "s3")
        .env("RCLONE_CONFIG_LAKE_PROVIDER", "SeaweedFS")
        .env("RCLONE_CONFIG_LAKE_ENDPOINT", endpoint)
        .env("RCLONE_CONFIG_LAKE_REGION", "eu-west-1")
        .env("RCLONE_CONFIG_LAKE_ACCESS_KEY_ID", ACCESS_KEY)
        .env("RCLONE_CONFIG_LAKE_SECRET_ACCESS_KEY", SECRET_KEY);
    rclone
}

/// Length and sha256 of all that the receipts in a folder name.
fn proven(fetched: &BTreeMap<String, Vec<u8>>) -> Objects {
    let mut proven = Objects::new();
    for line in receipts(fetched) {
        let objects = line["objects"].as_array().into_iter().flatten();
        let files = [&line["metadata"], &line["catalog"]];
        for object in objects.chain(files.into_iter().filter(|file| file.is_object())) {
            let text = |name: &str| object[name].as_str().unwrap().to_owned();
            proven.insert(
                text("key"),
                (object["size"].as_u64().unwrap(), text("sha256")),
            );
        }
    }
    proven
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SeaweedFS, rclone and the AWS command line, which tests/run installs"]
async fn rclone_and_the_aws_command_line_agree_with_the_receipts() {
    // Long: one scenario, told in its order.
    let server = SeaweedFs::start().await;
    let create = client(&server.endpoint)
        .create_bucket()
        .bucket(BUCKET)
        .send();
    create.await.unwrap();
    let harness = Harness::start(Settings {
        conversations: 80,
        // Larger than one part: a multipart upload.
        giant: Some(30 << 20),
        ..Settings::default()
    })
    .await;
    let mut to = sink(&server.endpoint);
    to["metadata"] = serde_json::json!({ "format": "parquet" });
    export(harness.config_to(to)).await;

    let folder = harness.folder.path().join("fetched");
    let from = format!("s3://{BUCKET}/calls");
    let path = folder.display().to_string();
    said(aws(
        &server.endpoint,
        &["s3", "sync", "--no-progress", &from, &path],
    ))
    .await;
    let fetched = files(&folder);
    let proven = proven(&fetched);
    assert!(proven.len() > 80, "{}", proven.len());
    let there: BTreeSet<&String> = fetched
        .keys()
        .filter(|key| !key.starts_with("receipts/"))
        .filter(|key| !["README.txt", ".recording-host.json"].contains(&key.as_str()))
        .collect();
    assert_eq!(there, proven.keys().collect::<BTreeSet<_>>());
    for (key, (size, digest)) in &proven {
        let data = &fetched[key];
        assert_eq!(
            (data.len() as u64, sha256(data)),
            (*size, digest.clone()),
            "{key}"
        );
    }

    let listed = said(aws(
        &server.endpoint,
        &[
            "s3api",
            "list-objects-v2",
            "--bucket",
            BUCKET,
            "--prefix",
            "calls/",
        ],
    ))
    .await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed: BTreeMap<String, u64> = listed["Contents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| {
            (
                object["Key"].as_str().unwrap()["calls/".len()..].to_owned(),
                object["Size"].as_u64().unwrap(),
            )
        })
        .collect();
    let lengths: BTreeMap<String, u64> = fetched
        .iter()
        .map(|(key, data)| (key.clone(), data.len() as u64))
        .collect();
    assert_eq!(listed, lengths);
    let giant = proven.iter().max_by_key(|(_, (size, _))| *size).unwrap();
    assert!(giant.1.0 >= 30 << 20, "{giant:?}");
    for (key, (size, _)) in [giant, proven.first_key_value().unwrap()] {
        let key = format!("calls/{key}");
        let head = [
            "s3api",
            "head-object",
            "--checksum-mode",
            "ENABLED",
            "--bucket",
            BUCKET,
            "--key",
            &key,
        ];
        let head: Value = serde_json::from_str(&said(aws(&server.endpoint, &head)).await).unwrap();
        assert_eq!(head["ContentLength"].as_u64(), Some(*size), "{key}");
    }

    let lake = format!("lake:{BUCKET}/calls");
    let told = said(rclone(
        &server.endpoint,
        &["lsjson", "--recursive", "--files-only", "--hash", &lake],
    ))
    .await;
    let told: Vec<Value> = serde_json::from_str(&told).unwrap();
    assert_eq!(told.len(), fetched.len());
    let mut hashed = 0;
    for object in &told {
        let key = object["Path"].as_str().unwrap();
        let data = &fetched[key];
        assert_eq!(object["Size"].as_u64(), Some(data.len() as u64), "{key}");
        if let Some(md5) = object["Hashes"]["md5"].as_str() {
            use md5::Digest;
            let digest = md5::Md5::digest(data);
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(md5, digest, "{key}");
            hashed += 1;
        }
    }
    assert!(hashed > 80, "{hashed} objects have an MD5");
    checked(&server.endpoint, &folder, &lake).await;
}

/// rclone compares a folder with the bucket, by hash and byte for byte, both ways.
async fn checked(endpoint: &str, folder: &Path, lake: &str) {
    let folder = folder.display().to_string();
    for how in ["--checksum", "--download"] {
        let ran = said(rclone(
            endpoint,
            &["check", how, "--combined", "-", &folder, lake],
        ))
        .await;
        assert!(
            ran.lines().all(|line| line.starts_with("= ")),
            "{how}: {ran}"
        );
    }
}
