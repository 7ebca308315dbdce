//! The traffic on the wire: signatures, resumed downloads, refusals; and what never goes over it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use genesys_simulator::Settings;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

use super::{config, push};
use crate::{
    s3_server::{SECRET_KEY, Server, Ways},
    support::{Harness, export, files, media, run_program},
};

fn small() -> Settings {
    Settings {
        conversations: 12,
        ..Settings::default()
    }
}

/// A way to a server that breaks the first connection over which more than this comes back.
async fn breaking(server: &str, after: usize) -> (String, Arc<AtomicBool>) {
    let target = server.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let broken = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&broken);
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(&target).await.unwrap();
            let broken = Arc::clone(&broken);
            tokio::spawn(async move {
                let (mut from_near, mut to_near) = near.into_split();
                let (mut from_far, mut to_far) = far.into_split();
                let up = tokio::spawn(async move { copy(&mut from_near, &mut to_far).await });
                let mut came = 0;
                let mut buffer = vec![0; 16 << 10];
                while let Ok(read @ 1..) = from_far.read(&mut buffer).await {
                    if to_near.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                    came += read;
                    if came > after && !broken.swap(true, Ordering::SeqCst) {
                        break;
                    }
                }
                up.abort();
            });
        }
    });
    (url, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_signed_download_goes_on_where_it_was() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(Settings {
        giant: Some(4 << 20),
        ..small()
    })
    .await;
    let organization = push(&harness, &server, |_| true);
    let (way, broken) = breaking(&server.url, 1 << 20).await;
    server.forget();
    export(config(&harness, &way, &organization)).await;
    assert!(broken.load(Ordering::SeqCst));
    let stored = media(&files(&harness.folder.path().join("bucket-output")));
    assert!(stored.values().any(|(size, _)| *size > 4 << 20));
    let ranges: Vec<String> = server
        .seen("GetObject")
        .iter()
        .filter_map(|seen| seen.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges.len(), 1, "{ranges:?}");
    assert!(!ranges[0].starts_with("bytes=0-"), "{ranges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_signed_and_no_secret_is_written_or_printed() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(small()).await;
    let organization = push(&harness, &server, |_| true);
    server.forget();
    let mut config = config(&harness, &server.url, &organization);
    config["secret"]["here"] = json!({ "type": "directory",
        "path": harness.folder.path().join("secrets") });
    std::fs::create_dir(harness.folder.path().join("secrets")).unwrap();
    let file = harness.folder.path().join("secrets/key");
    std::fs::write(&file, SECRET_KEY).unwrap();
    config["sources"]["calls"]["auth"]["secret_access_key"] = json!("SECRET[here.key]");
    config["sources"]["calls"]["auth"]["session_token"] = json!("session-of-the-test");
    config["sources"]["calls"]["options"]["requester_pays"] = json!(true);
    let path = harness.write(&config).display().to_string();
    let trace = harness.folder.path().join("steps.jsonl");
    let trace = trace.display().to_string();
    let arguments = ["run", "--config", &path, "--record", &trace];
    let ran = harness.run_program(&arguments).await;
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    std::fs::remove_file(file).unwrap();
    std::fs::remove_file(&path).unwrap();

    for operation in ["ListObjectsV2", "GetObject"] {
        for seen in server.seen(operation) {
            let signed = seen.header("authorization").unwrap();
            let payer = "x-amz-request-payer;x-amz-security-token";
            assert!(signed.contains(payer), "{operation}: {signed}");
            assert_eq!(seen.header("x-amz-request-payer"), Some("requester"));
        }
    }
    let mut written = files(harness.folder.path());
    written.insert("stdout".to_owned(), ran.stdout);
    written.insert("stderr".to_owned(), ran.stderr);
    for (name, data) in written {
        for word in [SECRET_KEY, "session-of-the-test", "AWS4-HMAC", "Signature="] {
            let mut windows = data.windows(word.len());
            let there = windows.any(|window| window == word.as_bytes());
            assert!(!there, "{name} holds {word}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_read_is_told_by_what_to_change() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(small()).await;
    let organization = push(&harness, &server, |_| true);
    let good = config(&harness, &server.url, &organization);
    for (pointer, value, message) in [
        (
            "/sources/calls/auth/secret_access_key",
            json!("not the secret"),
            "the log-in failed: status 403, SignatureDoesNotMatch",
        ),
        (
            "/sources/calls/options/bucket",
            json!("nobodys"),
            "options.bucket: there is no such bucket",
        ),
        (
            "/sources/calls/options/organization",
            json!("another-one"),
            "holds nothing under `another-one/`; check `organization`",
        ),
        (
            "/sources/calls/auth",
            json!({ "client_id": "a", "client_secret": "b" }),
            "sources.calls.auth: this source needs AWS credentials",
        ),
        (
            "/sources/calls/auth/access_key",
            json!("a"),
            "sources.calls.auth.access_key: unknown field",
        ),
        (
            "/sources/calls/options/endpoint",
            json!("ftp://x"),
            "sources.calls.options.endpoint: must be of the form",
        ),
    ] {
        let mut config = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        let path = harness.write(&config).display().to_string();
        let ran = run_program(&["run", "--config", &path]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success(), "{pointer}");
        assert!(said.contains(message), "{pointer}: {said}");
        assert!(!said.contains("not the secret"), "{said}");
    }
}
