//! A sink is swapped by configuration alone: the objects are the same.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use genesys_simulator::Settings;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use serde_json::{Value, json};

use crate::support::{Center, export, files, media, rows, run_program, same_media, set};

const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI-EXAMPLE";
const BUCKET: &str = "corp-recordings";

fn settings() -> Settings {
    Settings {
        conversations: 150,
        // Larger than one part: a multipart upload.
        giant: Some(30 << 20),
        ..Settings::default()
    }
}

fn sink(endpoint: &str) -> Value {
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

fn client(endpoint: &str) -> Client {
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
async fn serve(folder: &std::path::Path) -> String {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    url
}

/// All objects of the bucket, without the prefix of the sink.
async fn objects(client: &Client) -> BTreeMap<String, Vec<u8>> {
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
    let to_files = Center::start(settings()).await;
    export(to_files.config()).await;
    let in_files = files(&to_files.output());

    let to_s3 = Center::start(settings()).await;
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
    center: &Center,
    endpoint: &str,
    client: &Client,
    objects: &BTreeMap<String, Vec<u8>>,
) {
    let config = center.write(&center.config_to(sink(endpoint)));
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
    let center = Center::start(settings()).await;
    let mut config = center.config();
    config["sinks"]["bucket"] = sink(&endpoint);
    export(config).await;
    let in_files = files(&center.output());
    same_media(&media(&in_files), &media(&objects(&client).await));
    let downloads = center.simulator.stats().requests["GET media"];
    let artifacts: u64 = (0..150)
        .map(|index| center.organisation().conversation(index))
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
    let center = Center::start(settings()).await;
    let mut wrong = sink(&endpoint);
    wrong["credentials"]["secret_access_key"] = json!("not the secret");
    let nowhere = sink("http://127.0.0.1:9");
    for (sink, message) in [
        (sink(&endpoint), "the bucket does not exist"),
        (wrong, "refuses the credentials"),
        (nowhere, "no answer from http://127.0.0.1:9"),
    ] {
        let path = center.write(&center.config_to(sink)).display().to_string();
        let ran = run_program(&["run", "--config", &path]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains(message), "{said}");
    }
    assert!(center.simulator.stats().requests.is_empty());
}

/// An S3 server of another make, which ends with the test.
struct SeaweedFs {
    child: Child,
    endpoint: String,
    _folder: tempfile::TempDir,
}

impl SeaweedFs {
    async fn start() -> Self {
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
            // What else it would serve, at ports that may be taken.
            .args([
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
            ])
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
fn free_port() -> u16 {
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
