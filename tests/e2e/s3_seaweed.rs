//! The sink `s3` and an S3 server of another make.

use aws_sdk_s3::types::ServerSideEncryption;
use bytes::Bytes;
use recording_host_sink::{Body, PutOptions, conformance};
use serde_json::json;

use crate::{
    s3_server::sink,
    sinks::{SeaweedFs, client, sink as config},
};

const BUCKET: &str = "corp-recordings";

fn info() -> PutOptions {
    PutOptions {
        content_type: "audio/ogg".into(),
        ..PutOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SeaweedFS, which tests/run installs"]
async fn an_independent_s3_server_honours_what_the_sink_asks_for() {
    let server = SeaweedFs::start().await;
    let client = client(&server.endpoint);
    let create = client.create_bucket().bucket(BUCKET);
    create
        .object_lock_enabled_for_bucket(true)
        .send()
        .await
        .unwrap();

    let plain = sink(
        config(&server.endpoint),
        json!({ "cleanup_after_hours": 0 }),
    )
    .await;
    let health = plain.check().await.unwrap();
    assert!(
        health.found.contains("conditional writes honoured"),
        "{}",
        health.found
    );
    conformance::all(&*plain, "suite").await.unwrap();
    let uploads = client.list_multipart_uploads().bucket(BUCKET).send().await;
    assert!(uploads.unwrap().uploads().is_empty());

    let keys = json!({
        "sse": { "type": "s3" },
        "tags": { "retention": "7 years" },
        "object_metadata": { "department": "claims" },
        "storage_class": "STANDARD_IA",
        "object_lock": { "mode": "governance", "days": 30, "legal_hold": true },
    });
    let kept = sink(config(&server.endpoint), keys).await;
    kept.check().await.unwrap();
    for (key, length) in [("small.ogg", 1000), ("large.ogg", 20 << 20)] {
        let body = Body::whole(Bytes::from(vec![7; length]));
        kept.put(key, info(), body).await.unwrap();
        let key = format!("calls/{key}");
        let head = client.head_object().bucket(BUCKET).key(&key).send().await;
        let head = head.unwrap();
        let encrypted = head.server_side_encryption();
        assert_eq!(encrypted, Some(&ServerSideEncryption::Aes256), "{key}");
        assert_eq!(head.metadata().unwrap()["department"], "claims", "{key}");
        let class = head.storage_class().map(|class| class.as_str());
        assert_eq!(class, Some("STANDARD_IA"), "{key}");
        let lock = head.object_lock_mode().map(|mode| mode.as_str());
        assert_eq!(lock, Some("GOVERNANCE"), "{key}");
        let hold = head.object_lock_legal_hold_status();
        assert_eq!(hold.map(|hold| hold.as_str()), Some("ON"), "{key}");
        let tags = client
            .get_object_tagging()
            .bucket(BUCKET)
            .key(&key)
            .send()
            .await;
        let tags = tags.unwrap();
        let tag = tags.tag_set().first().map(|tag| (tag.key(), tag.value()));
        assert_eq!(tag, Some(("retention", "7 years")), "{key}");
    }
}
