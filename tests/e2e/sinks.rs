//! A sink is swapped by configuration alone: the objects are the same.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use bytes::Bytes;
use genesys_simulator::Settings;
use recording_host_sink::{Body, PutOptions, Sink, StoreExt, conformance, stdout::Stdout};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use serde_json::{Value, json};

use crate::{
    s3_server,
    support::{Harness, export, files, media, rows, run_program, same_media, set, sha256},
};

pub(crate) const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI-EXAMPLE";
pub(crate) const BUCKET: &str = "corp-recordings";

fn settings() -> Settings {
    Settings {
        conversations: 150,
        // Larger than one part: a multipart upload.
        giant: Some(30 << 20),
        ..Settings::default()
    }
}

pub(crate) fn sink(endpoint: &str) -> Value {
    json!({
        "type": "s3",
        "bucket": BUCKET,
        "prefix": "calls",
        "region": "eu-west-1",
        "endpoint": endpoint,
        "path_style": true,
        "credentials": { "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY },
    })
}

pub(crate) fn client(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .build();
    Client::from_conf(config)
}

/// Serves S3 from a folder, signatures checked, and returns its URL.
pub(crate) async fn serve(folder: &std::path::Path) -> String {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    s3_server::serve(builder).await
}

/// All objects of the bucket, without the prefix of the sink.
pub(crate) async fn objects(client: &Client) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pages = client
        .list_objects_v2()
        .bucket(BUCKET)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for object in page.unwrap().contents() {
            let key = object.key().unwrap();
            let answer = client.get_object().bucket(BUCKET).key(key).send().await;
            let data = answer.unwrap().body.collect().await.unwrap().into_bytes();
            let key = key.strip_prefix("calls/").unwrap().to_owned();
            found.insert(key, data.to_vec());
        }
    }
    found
}

async fn same_in(endpoint: &str) {
    let to_files = Harness::start(settings()).await;
    export(to_files.config()).await;
    let in_files = files(&to_files.output());

    let to_s3 = Harness::start(settings()).await;
    let client = client(endpoint);
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let summary = export(to_s3.config_to(sink(endpoint))).await;
    let in_s3 = objects(&client).await;

    same_media(&media(&in_files), &media(&in_s3));
    assert_eq!(summary.recordings, media(&in_s3).len() as u64);
    assert_eq!(set(&rows(&in_files)), set(&rows(&in_s3)));
    assert!(in_s3.values().any(|data| data.len() > 20 << 20));
    proves_itself(&to_s3, endpoint, &client, &in_s3).await;
    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await;
    // s3s-fs cannot list uploads; a server that can has none left.
    if let Ok(uploads) = uploads {
        assert!(uploads.uploads().is_empty());
    }
}

/// The archive in S3 is in order, and not any longer once an object is gone.
async fn proves_itself(
    harness: &Harness,
    endpoint: &str,
    client: &Client,
    objects: &BTreeMap<String, Vec<u8>>,
) {
    let config = harness.write(&harness.config_to(sink(endpoint)));
    let arguments = [
        "verify",
        "--full",
        "--config",
        &config.display().to_string(),
    ];
    let ran = run_program(&arguments).await;
    assert!(ran.status.success(), "{ran:?}");
    let gone = objects.keys().find(|key| key.ends_with(".ogg")).unwrap();
    let delete = client.delete_object().bucket(BUCKET);
    delete.key(format!("calls/{gone}")).send().await.unwrap();
    let ran = run_program(&arguments).await;
    let said = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(said.contains(gone), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_filesystem_keeps_the_promises_of_a_sink() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let keys = json!({ "type": "filesystem", "path": root });
    let sink = crate::s3_server::sink(keys, json!({})).await;
    conformance::all(&*sink, "suite").await.unwrap();
    let left: Vec<String> = files(&root).into_keys().collect();
    assert!(left.iter().all(|name| !name.contains(".part")), "{left:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn files_and_folders_have_the_permissions_that_are_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let keys =
        json!({ "type": "filesystem", "path": root, "mode": "0604", "directory_mode": "0711" });
    let sink = crate::s3_server::sink(keys, json!({})).await;
    let body = Body::whole(Bytes::from_static(b"bytes"));
    sink.put("a/b.wav", PutOptions::default(), body)
        .await
        .unwrap();
    let mode = |path| {
        std::fs::metadata(root.join(path))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("a/b.wav"), mode("a")), (0o604, 0o711));
}

/// Fails unless the sink that has these keys besides its own replaces what is there as `overwrite` says.
pub(crate) async fn replaces_as_it_is_told(sink: impl AsyncFn(Value) -> Arc<dyn Sink>) {
    for (overwrite, replace, replaced) in [
        ("never", false, false),
        ("never", true, false),
        ("same", false, false),
        ("same", true, true),
        ("always", false, true),
        ("always", true, true),
    ] {
        let sink = sink(json!({ "overwrite": overwrite })).await;
        let key = format!("{overwrite}-{replace}.ogg");
        let put = |content: &'static [u8]| {
            let info = PutOptions {
                replace,
                ..PutOptions::default()
            };
            sink.put(&key, info, Body::whole(Bytes::from_static(content)))
        };
        put(b"one").await.unwrap();
        // The same once more is never an error.
        put(b"one").await.unwrap();
        let result = put(b"other").await;
        assert_eq!(result.is_ok(), replaced, "{overwrite} {replace} {result:?}");
        let held = sink.store().unwrap().read(&key).await.unwrap().unwrap();
        let expected: &[u8] = if replaced { b"other" } else { b"one" };
        assert_eq!(held, expected, "{overwrite} {replace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_replaced_only_as_the_configuration_allows() {
    let folder = tempfile::tempdir().unwrap();
    let keys = json!({ "type": "filesystem", "path": folder.path() });
    replaces_as_it_is_told(async |more| crate::s3_server::sink(keys.clone(), more).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_lead_out_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let keys = json!({ "type": "filesystem", "path": root });
    let sink = crate::s3_server::sink(keys, json!({})).await;
    for key in [
        "../a.wav",
        "/a.wav",
        "a//b.wav",
        "a/./b.wav",
        "",
        "a/.b.wav.part",
    ] {
        let body = Body::whole(Bytes::from_static(b"bytes"));
        let error = sink
            .put(key, PutOptions::default(), body)
            .await
            .unwrap_err();
        assert!(!error.retryable, "{key}: {error}");
    }
    assert!(files(folder.path()).is_empty());
}

/// Collects what a sink prints.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Printed {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_stdout_keeps_the_promises_of_a_sink_and_prints_whole_lines() {
    let printed = Printed::default();
    let sink = Stdout::to(printed.clone());
    conformance::all(&sink, "suite").await.unwrap();
    let text = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |key: &str| {
        lines
            .iter()
            .filter(|line| line["key"] == key)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("suite/large.wav")[0]["size"], 20 << 20);
    assert_eq!(of("suite/empty.wav")[0]["sha256"], sha256(b""));
    assert!(of("suite/broken-small.wav").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_to_standard_output_is_lines_of_json_and_nothing_else() {
    let harness = Harness::start(Settings {
        conversations: 30,
        ..Settings::default()
    })
    .await;
    let config = harness.write(&harness.config_to(json!({ "type": "stdout" })));
    let config = config.display().to_string();
    let ran = harness.run_program(&["run", "--config", &config]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let text = String::from_utf8(ran.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kind = |kind: &str| {
        lines
            .iter()
            .filter(|line| line["kind"] == kind)
            .collect::<Vec<_>>()
    };
    let objects: BTreeMap<&str, &Value> = kind("object")
        .into_iter()
        .map(|line| (line["key"].as_str().unwrap(), &line["sha256"]))
        .collect();
    let rows = kind("row");
    assert!(rows.len() >= 30, "{}", rows.len());
    for row in rows {
        let key = row["row"]["object_key"].as_str().unwrap();
        if !key.is_empty() {
            assert_eq!(objects[key], &row["row"]["sha256"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filesystem_and_s3_get_the_same_objects() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(folder.path()).await;
    same_in(&endpoint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sinks_are_fed_by_one_download() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(folder.path()).await;
    let client = client(&endpoint);
    client.create_bucket().bucket(BUCKET).send().await.unwrap();
    let harness = Harness::start(settings()).await;
    let mut config = harness.config();
    config["sinks"]["bucket"] = sink(&endpoint);
    export(config).await;
    let in_files = files(&harness.output());
    same_media(&media(&in_files), &media(&objects(&client).await));
    let downloads = harness.simulator.stats().requests["GET media"];
    let artifacts: u64 = (0..150)
        .map(|index| harness.organization().conversation(index))
        .flat_map(|conversation| conversation.recordings)
        .filter(|recording| recording.state == genesys_simulator::State::Available)
        .map(|recording| u64::from(recording.kind.parts()))
        .sum();
    assert_eq!(downloads, artifacts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_stops_the_run_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(folder.path()).await;
    let harness = Harness::start(settings()).await;
    let mut wrong = sink(&endpoint);
    wrong["credentials"]["secret_access_key"] = json!("not the secret");
    for (sink, message) in [
        (sink(&endpoint), "the bucket does not exist"),
        (wrong, "refuses the credentials"),
    ] {
        let path = harness
            .write(&harness.config_to(sink))
            .display()
            .to_string();
        let ran = run_program(&["run", "--config", &path]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains(message), "{said}");
    }
    assert!(harness.simulator.stats().requests.is_empty());
}

/// An S3 server of another make, which ends with the test.
pub(crate) struct SeaweedFs {
    child: Child,
    pub(crate) endpoint: String,
    _folder: tempfile::TempDir,
}

impl SeaweedFs {
    pub(crate) async fn start() -> Self {
        let program = std::env::var("WEED").unwrap_or_else(|_| "weed".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let identities = json!({ "identities": [{
            "name": "test",
            "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }] });
        let config = folder.path().join("identities.json");
        std::fs::write(&config, identities.to_string()).unwrap();
        // SeaweedFS listens for gRPC at each port and 10000 above it.
        let mut ports = std::collections::BTreeSet::new();
        while ports.len() < 4 {
            ports.insert(free_port());
        }
        let ports: Vec<u16> = ports.into_iter().collect();
        let child = Command::new(&program)
            .args([
                "server",
                "-s3",
                "-filer",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
            ])
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-s3.config={}", config.display()))
            .arg(format!("-master.port={}", ports[0]))
            .arg(format!("-volume.port={}", ports[1]))
            .arg(format!("-filer.port={}", ports[2]))
            .arg(format!("-s3.port={}", ports[3]))
            .args(["-volume.max=100", "-master.volumeSizeLimitMB=256"])
            // The other services that it would run, at ports that may be taken.
            .args([
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
            ])
            // The key that it encrypts with on request.
            .env("WEED_S3_SSE_KEY", "7".repeat(64))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; tests/run installs it"));
        let server = SeaweedFs {
            child,
            endpoint: format!("http://127.0.0.1:{}", ports[3]),
            _folder: folder,
        };
        let client = client(&server.endpoint);
        for _ in 0..120 {
            if client.list_buckets().send().await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("SeaweedFS did not start within a minute");
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free, as is the one 10000 above it.
pub(crate) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let grpc = port.checked_add(10_000);
        if grpc.is_some_and(|grpc| TcpListener::bind(("127.0.0.1", grpc)).is_ok()) {
            return port;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SeaweedFS, which tests/run installs"]
async fn an_independent_s3_server_gets_the_same_objects() {
    let server = SeaweedFs::start().await;
    same_in(&server.endpoint).await;
}
