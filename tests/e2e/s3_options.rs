//! Each option of the sink `s3` is on the wire, in a request that is signed.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use recording_host_sink::{Body, PutOptions, Sink};
use serde_json::{Value, json};

use crate::{
    s3_server::{ACCESS_KEY, SECRET_KEY, Seen, Server, Ways},
    support::{Harness, answering},
};

const LARGE: usize = 20 << 20;

fn info() -> PutOptions {
    PutOptions {
        content_type: "audio/ogg".into(),
        ..PutOptions::default()
    }
}

async fn put(sink: &dyn Sink, key: &str, length: usize) {
    let body = Body::whole(Bytes::from(vec![7; length]));
    let stored = sink.put(key, info(), body).await.unwrap();
    assert_eq!(stored.size, length as u64);
}

/// The requests that begin an object: a small one's PUT and a large one's upload.
async fn begun(keys: Value) -> [Seen; 2] {
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(keys).await;
    sink.check().await.unwrap();
    server.forget();
    put(&*sink, "small.ogg", 10).await;
    put(&*sink, "large.ogg", LARGE).await;
    let mut whole = server.seen("PutObject");
    let mut parts = server.seen("CreateMultipartUpload");
    assert_eq!((whole.len(), parts.len()), (1, 1));
    [whole.remove(0), parts.remove(0)]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_objects_goes_with_each_small_or_large() {
    let begun = begun(json!({
        "sse": { "type": "kms", "key_id": "arn:aws:kms:eu-west-1:1:key/k", "bucket_key": true },
        "storage_class": "STANDARD_IA",
        "tags": { "retention": "7 years", "source": "genesys" },
        "object_metadata": { "department": "claims" },
        "content_encoding": "identity",
        "requester_pays": true,
        "object_lock": { "mode": "compliance", "until": "2035-01-01T00:00:00Z", "legal_hold": true },
        "grants": { "read": "id=\"reader\"", "full_control": "id=\"owner\"",
            "read_acp": "id=\"auditor\"", "write_acp": "id=\"admin\"" },
    }))
    .await;
    for seen in begun {
        for (name, value) in [
            ("content-type", "audio/ogg"),
            ("content-encoding", "identity"),
            ("x-amz-server-side-encryption", "aws:kms"),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                "arn:aws:kms:eu-west-1:1:key/k",
            ),
            ("x-amz-server-side-encryption-bucket-key-enabled", "true"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-tagging", "retention=7+years&source=genesys"),
            ("x-amz-meta-department", "claims"),
            ("x-amz-request-payer", "requester"),
            ("x-amz-object-lock-mode", "COMPLIANCE"),
            (
                "x-amz-object-lock-retain-until-date",
                "2035-01-01T00:00:00Z",
            ),
            ("x-amz-object-lock-legal-hold", "ON"),
            ("x-amz-grant-read", "id=\"reader\""),
            ("x-amz-grant-full-control", "id=\"owner\""),
            ("x-amz-grant-read-acp", "id=\"auditor\""),
            ("x-amz-grant-write-acp", "id=\"admin\""),
        ] {
            assert_eq!(seen.header(name), Some(value), "{} {name}", seen.operation);
        }
        assert_eq!(seen.key.split('/').next(), Some("calls"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_ways_to_encrypt_to_allow_and_to_lock_are_on_the_wire_too() {
    let begun = begun(json!({
        "sse": { "type": "s3" },
        "acl": "bucket-owner-full-control",
        "object_lock": { "mode": "governance", "days": 30 },
    }))
    .await;
    let in_days = |days: i64| {
        let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        until.to_string()[..10].to_owned()
    };
    for seen in begun {
        assert_eq!(seen.header("x-amz-server-side-encryption"), Some("AES256"));
        assert_eq!(seen.header("x-amz-acl"), Some("bucket-owner-full-control"));
        assert_eq!(seen.header("x-amz-object-lock-mode"), Some("GOVERNANCE"));
        let until = seen.header("x-amz-object-lock-retain-until-date").unwrap();
        assert!(until.starts_with(&in_days(30)), "{until}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_that_the_configuration_does_not_say() {
    for seen in begun(json!({})).await {
        for name in seen.names() {
            let expected = [
                "x-amz-date",
                "x-amz-content-sha256",
                "x-amz-user-agent",
                "x-amz-checksum-crc64nvme",
                "x-amz-checksum-algorithm",
                "x-amz-checksum-type",
            ];
            assert!(
                !name.starts_with("x-amz-") || expected.contains(&name),
                "{name}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_checksum_goes_with_the_object_its_parts_and_the_whole() {
    for (checksum, algorithm) in [
        ("crc64nvme", "CRC64NVME"),
        ("crc32c", "CRC32C"),
        ("crc32", "CRC32"),
    ] {
        let server = Server::start(Ways::default()).await;
        let sink = server.sink(json!({ "checksum": checksum })).await;
        put(&*sink, "small.ogg", 10).await;
        put(&*sink, "large.ogg", LARGE).await;
        let header = format!("x-amz-checksum-{checksum}");
        let begun = server.seen("CreateMultipartUpload").remove(0);
        assert_eq!(begun.header("x-amz-checksum-algorithm"), Some(algorithm));
        assert_eq!(begun.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
        assert_eq!(server.seen("UploadPart").len(), 3);
        for operation in ["PutObject", "UploadPart", "CompleteMultipartUpload"] {
            for seen in server.seen(operation) {
                assert!(seen.header(&header).is_some(), "{operation} {checksum}");
                assert_eq!(seen.header("x-amz-trailer"), None);
                assert_eq!(seen.header("content-encoding"), None);
            }
        }
    }
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({ "checksum": "none" })).await;
    put(&*sink, "small.ogg", 10).await;
    let seen = server.seen("PutObject").remove(0);
    assert!(seen.names().all(|name| !name.contains("checksum")));
    // Without a checksum the length is all there is to compare.
    assert!(!server.seen("HeadObject").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_proved_by_its_answer_costs_one_request() {
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({})).await;
    sink.check().await.unwrap();
    server.forget();
    put(&*sink, "small.ogg", 16 << 20).await;
    assert_eq!(server.all(), ["PutObject"]);
    let seen = server.seen("PutObject").remove(0);
    assert_eq!(seen.header("if-none-match"), Some("*"));
    assert_eq!(
        seen.header("x-amz-content-sha256"),
        Some("UNSIGNED-PAYLOAD")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_credentials_carry_their_token() {
    let server = Server::start(Ways::default()).await;
    let sink = server
        .sink(json!({ "credentials": { "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY, "session_token": "passing" } }))
        .await;
    put(&*sink, "small.ogg", 10).await;
    let seen = server.seen("PutObject").remove(0);
    assert_eq!(seen.header("x-amz-security-token"), Some("passing"));
}

/// Answers like the token service of AWS, once, and passes on what was asked.
pub(crate) async fn token_service() -> (String, tokio::sync::oneshot::Receiver<String>) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let url = answering(move |request| {
        let tell = tell.clone();
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            if let Some(tell) = tell.lock().unwrap().take() {
                let _ = tell.send(String::from_utf8_lossy(&body).into_owned());
            }
            let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            let text = format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>assumed</SessionToken><Expiration>{until:.0}</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/archive/nightly</Arn><AssumedRoleId>id</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
            );
            hyper::Response::new(Full::new(Bytes::from(text)))
        }
    })
    .await;
    (url, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_with_its_external_id_and_session_name() {
    let (endpoint, told) = token_service().await;
    let server = Server::start(Ways::default()).await;
    let sink = server
        .sink(json!({ "credentials": {
            "access_key_id": "AKIDOTHER", "secret_access_key": "other",
            "assume_role": { "role_arn": "arn:aws:iam::1:role/archive", "external_id": "agreed",
                "session_name": "nightly", "endpoint": endpoint },
        } }))
        .await;
    put(&*sink, "small.ogg", 10).await;
    let asked = told.await.unwrap();
    for part in [
        "Action=AssumeRole",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Farchive",
        "ExternalId=agreed",
        "RoleSessionName=nightly",
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    let seen = server.seen("PutObject").remove(0);
    assert_eq!(seen.header("x-amz-security-token"), Some("assumed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_read_from_the_files_of_aws() {
    let server = Server::start(Ways::default()).await;
    let harness = Harness::start(genesys_simulator::Settings {
        conversations: 5,
        ..Default::default()
    })
    .await;
    let mut sink = server.config();
    sink["credentials"] = json!({ "profile": "archive" });
    let config = harness.write(&harness.config_to(sink));
    let credentials = harness.folder.path().join("credentials");
    let text = format!(
        "[archive]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    std::fs::write(&credentials, text).unwrap();
    let mut command = harness.program();
    command
        .args(["run", "--config"])
        .arg(config)
        .env("AWS_SHARED_CREDENTIALS_FILE", credentials)
        .env("AWS_CONFIG_FILE", harness.folder.path().join("none"));
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ran = ran.await.unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert!(!server.seen("PutObject").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_stands_in_the_path_or_in_the_host_name() {
    let server = Server::start(Ways::default()).await;
    // With an address in place of a name there is but one way.
    let endpoint = server.url.replace("127.0.0.1", "localhost");
    let sink = async |path_style: bool| {
        let keys = json!({ "endpoint": endpoint, "path_style": path_style });
        server.sink(keys).await
    };
    put(&*sink(true).await, "small.ogg", 10).await;
    let seen = server.seen("PutObject").remove(0);
    let host = endpoint.trim_start_matches("http://");
    assert_eq!(seen.header("host"), Some(host));
    // No such name is known, or the server knows no bucket by it.
    let body = Body::whole(Bytes::from_static(b"OggS"));
    let refused = sink(false).await.put("other.ogg", info(), body).await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_made_in_the_way_that_is_configured() {
    // The SDK says it in its user agent, by a letter.
    for (retry, letter) in [
        (json!({}), "F"),
        (json!({ "mode": "adaptive" }), "F"),
        (json!({ "mode": "standard" }), "E"),
    ] {
        let server = Server::start(Ways::default()).await;
        put(
            &*server.sink(json!({ "retry": retry })).await,
            "small.ogg",
            10,
        )
        .await;
        let seen = server.seen("PutObject").remove(0);
        let agent = seen.header("user-agent").unwrap();
        let features = agent.split(' ').find_map(|part| part.strip_prefix("m/"));
        let features: Vec<&str> = features.unwrap().split(',').collect();
        assert!(features.contains(&letter), "{retry}: {agent}");
    }
}
