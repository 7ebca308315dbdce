//! As whom a source downloads, from where the credentials come, and where they never go.

#[path = "../../benchmarks/queue.rs"]
mod queue;

use std::sync::{Arc, Mutex};

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use genesys_simulator::Settings;
use recording_host_engine::transfer::{SinkBinding, Transfer, TransferError};
use recording_host_http::{AllowedOrigins, Authenticator, Downloads, sigv4::SigV4};
use recording_host_model::{
    Artifact, ArtifactKey, Container, Download, Origin, OriginRole, RecordingKey, clock::Clock,
};
use recording_host_sink::filesystem::Filesystem;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{config, push};
use crate::{
    s3_options::token_service,
    s3_server::{ACCESS_KEY, SECRET_KEY, Server, Ways},
    support::{Harness, SPEED, export, files, media},
};

/// A server that gives the same file to everyone, and the requests that came to it.
async fn listening() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
            told.lock().unwrap().push(request);
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 30\r\nconnection: close\r\n\r\nOggS of a server that gives it";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, heard)
}

/// A harness whose few recordings have been pushed to a bucket, and the organization's id.
async fn pushed() -> (Server, Harness, String) {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(Settings {
        conversations: 5,
        ..Settings::default()
    })
    .await;
    let organization = push(&harness, &server, |_| true);
    (server, harness, organization)
}

#[tokio::test]
async fn credentials_go_only_to_origins_of_the_sources_own_requests() {
    let (url, heard) = listening().await;
    let folder = tempfile::tempdir().unwrap();
    let queue = queue::with("c", folder.path()).await.unwrap();
    let keys = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let provider = SharedCredentialsProvider::new(keys);
    let login = Authenticator::Signer(Box::new(SigV4::new(
        provider,
        "eu-west-1".into(),
        "s3".into(),
    )));
    let login = Arc::new(login);
    let deliver = |role, authenticated| {
        let origins = [Origin {
            role,
            url: url.clone(),
        }];
        let transfer = Transfer::new(
            Downloads::new(
                AllowedOrigins::new(&origins, None, true),
                Arc::clone(&login),
                Clock::new(SPEED),
            )
            .unwrap(),
            Arc::new(queue.clone()),
            folder.path().to_owned(),
        );
        let artifact = Artifact {
            key: ArtifactKey::Recording(RecordingKey {
                conversation: "c".to_owned(),
                recording: format!("{role:?}-{authenticated}"),
                part: 0,
            }),
            download: Download {
                url: format!("{url}/a.opus"),
                // A source's own idea of who it is.
                headers: vec![("Authorization".to_owned(), "Bearer stolen".to_owned())],
                authenticated,
                expires: None,
            },
            content_type: Some("audio/ogg".to_owned()),
            container: Container::Single,
            size: None,
            sha256: None,
        };
        let sink = Arc::new(Filesystem::new(folder.path().join("output")));
        let output = SinkBinding::new("lake", sink);
        async move { transfer.deliver(&artifact, &[&output]).await }
    };

    // To where pre-signed links lead, none go; from there, nothing is fetched with them.
    let refused = deliver(OriginRole::Media, true).await.unwrap_err();
    let code = match &refused {
        TransferError::Item { code, .. } => *code,
        _ => "",
    };
    assert_eq!(code, "origin-not-allowed", "{refused}");
    assert!(heard.lock().unwrap().is_empty());
    deliver(OriginRole::Media, false).await.unwrap();
    let plain = heard.lock().unwrap().pop().unwrap();
    assert!(!plain.contains("authorization"), "{plain}");
    deliver(OriginRole::Api, true).await.unwrap();
    let signed = heard.lock().unwrap().pop().unwrap();
    let word = "authorization: aws4-hmac-sha256 credential=akidexample/";
    assert!(signed.contains(word), "{signed}");
    assert!(!signed.contains("stolen"), "{signed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_awss_own_settings_if_none_are_given() {
    let (server, harness, organization) = pushed().await;
    let shared = harness.folder.path().join("credentials");
    let profile = format!(
        "[archive]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    std::fs::write(&shared, profile).unwrap();
    let shared = shared.display().to_string();
    let chain = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
    ];
    let wrong = [
        ("AWS_ACCESS_KEY_ID", "AKIDOTHER"),
        ("AWS_SECRET_ACCESS_KEY", "other"),
        ("AWS_SHARED_CREDENTIALS_FILE", shared.as_str()),
    ];
    for (number, (auth, environment)) in [
        (Value::Null, &chain[..]),
        (json!({ "region": "eu-west-1" }), &chain[..]),
        // A profile that is named counts for more than the environment.
        (json!({ "profile": "archive" }), &wrong[..]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut config = config(&harness, &server.url, &organization);
        let output = harness.folder.path().join(format!("output-{number}"));
        config["data_dir"] = json!(harness.folder.path().join(format!("data-{number}")));
        config["sinks"]["lake"]["path"] = json!(output);
        config["sources"]["calls"]["auth"] = auth;
        let path = harness.write(&config);
        let mut command = harness.program();
        command.args(["run", "--config"]).arg(path);
        for (name, value) in environment {
            command.env(name, value);
        }
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
        let ran = ran.await.unwrap();
        assert_eq!(ran.status.code(), Some(0), "{number}: {ran:?}");
        assert!(!media(&files(&output)).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_and_requests_are_signed_for_the_region_that_is_given() {
    let (endpoint, told) = token_service().await;
    let (server, harness, organization) = pushed().await;
    let mut config = config(&harness, &server.url, &organization);
    config["sources"]["calls"]["auth"] = json!({
        "access_key_id": "AKIDOTHER", "secret_access_key": "other", "region": "us-west-2",
        "assume_role": { "role_arn": "arn:aws:iam::1:role/archive", "external_id": "agreed",
            "session_name": "nightly", "endpoint": endpoint },
    });
    export(config).await;
    let asked = told.await.unwrap();
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Farchive",
        "ExternalId=agreed",
        "RoleSessionName=nightly",
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    for operation in ["ListObjectsV2", "GetObject"] {
        let all = server.seen(operation);
        assert!(!all.is_empty(), "{operation}");
        for seen in all {
            assert_eq!(seen.header("x-amz-security-token"), Some("assumed"));
            let signed = seen.header("authorization").unwrap();
            assert!(signed.contains("/us-west-2/s3/aws4_request"), "{signed}");
        }
    }
}
