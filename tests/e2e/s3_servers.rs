//! Servers that speak the protocol of S3 in their own ways, and what is said when one refuses.

use bytes::Bytes;
use recording_host_sink::{Body, PutOptions, PutResult, Sink, SinkError, conformance};
use serde_json::json;

use crate::s3_server::{Server, Ways};

async fn put(sink: &dyn Sink, data: &'static str) -> Result<PutResult, SinkError> {
    let body = Body::whole(Bytes::from_static(data.as_bytes()));
    sink.put("a.ogg", PutOptions::default(), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_s3_keeps_the_promises_of_a_sink() {
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({ "cleanup_after_hours": 0 })).await;
    conformance::all(&*sink, "suite").await.unwrap();
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_them_on_a_server_that_knows_no_checksums_and_no_conditions() {
    let server = Server::start(Ways {
        ignores_checksums: true,
        ignores_conditions: true,
        ..Ways::default()
    })
    .await;
    let sink = server.sink(json!({ "cleanup_after_hours": 0 })).await;
    conformance::all(&*sink, "suite").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_finds_the_best_checksum_that_the_server_compares() {
    for (ways, found, header) in [
        (
            Ways::default(),
            "crc64nvme checked",
            Some("x-amz-checksum-crc64nvme"),
        ),
        (
            Ways {
                refuses: &["crc64nvme"],
                ..Ways::default()
            },
            "crc32c checked",
            Some("x-amz-checksum-crc32c"),
        ),
        (
            Ways {
                refuses: &["crc64nvme", "crc32c"],
                ..Ways::default()
            },
            "crc32 checked",
            Some("x-amz-checksum-crc32"),
        ),
        (
            Ways {
                refuses: &["crc64nvme", "crc32c", "crc32"],
                ..Ways::default()
            },
            "no checksum, sizes are compared",
            None,
        ),
        (
            Ways {
                ignores_checksums: true,
                ..Ways::default()
            },
            "no checksum, sizes are compared",
            None,
        ),
    ] {
        let server = Server::start(ways).await;
        let sink = server.sink(json!({})).await;
        let health = sink.check().await.unwrap();
        assert!(health.found.contains(found), "{}", health.found);
        assert!(health.found.contains("conditional writes honoured"));
        server.forget();
        put(&*sink, "some bytes").await.unwrap();
        let seen = server.seen("PutObject").remove(0);
        let sent = seen
            .names()
            .find(|name| name.starts_with("x-amz-checksum-crc"));
        assert_eq!(sent, header);
        // The probe is gone.
        assert!(server.keys().iter().all(|key| !key.contains("probe")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_conditions_does_not_lose_what_is_there() {
    let server = Server::start(Ways {
        ignores_conditions: true,
        ..Ways::default()
    })
    .await;
    let sink = server.sink(json!({})).await;
    let health = sink.check().await.unwrap();
    assert!(
        health.found.contains("looked up before"),
        "{}",
        health.found
    );
    put(&*sink, "one").await.unwrap();
    assert!(put(&*sink, "two").await.is_err());
    assert!(put(&*sink, "one").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_would_damage_or_lose_something_is_found_out_by_the_check() {
    for (ways, keys, message) in [
        (
            Ways {
                stores_framing: true,
                ..Ways::default()
            },
            json!({}),
            "stores the framing of uploads as content",
        ),
        (
            Ways {
                ignores_encryption: true,
                ..Ways::default()
            },
            json!({ "sse": { "type": "s3" } }),
            "does not encrypt the object as `sse` asks",
        ),
        (
            Ways {
                refuses: &["crc32c"],
                ..Ways::default()
            },
            json!({ "checksum": "crc32c" }),
            "set `checksum: auto`",
        ),
    ] {
        let server = Server::start(ways).await;
        let sink = server.sink(keys).await;
        let error = sink.check().await.unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert!(!error.retryable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_did_not_arrive_whole_is_not_taken_for_stored() {
    let server = Server::start(Ways {
        loses_a_byte: true,
        ..Ways::default()
    })
    .await;
    for checksum in ["none", "crc64nvme"] {
        let sink = server
            .sink(json!({ "checksum": checksum, "overwrite": "always" }))
            .await;
        let error = put(&*sink, "bytes").await.unwrap_err();
        assert!(error.to_string().contains("not the 5 bytes"), "{error}");
        assert!(error.retryable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_one_line_that_names_the_object_and_the_way_out() {
    for (code, message, retryable) in [
        ("NoSuchBucket", "the bucket does not exist", false),
        (
            "AccessDenied",
            "access denied: refused by the test; the credentials need",
            false,
        ),
        ("InvalidAccessKeyId", "check `credentials`", false),
        ("ExpiredToken", "the credentials have expired", false),
        ("RequestTimeTooSkewed", "the clock of this machine", false),
        ("PermanentRedirect", "check `region` and `endpoint`", false),
        ("InvalidStorageClass", "mend `storage_class`", false),
        (
            "AccessControlListNotSupported",
            "leave `acl` and `grants` out",
            false,
        ),
        ("KMS.DisabledException", "check `sse.key_id`", false),
        ("SlowDown", "asks for fewer requests", true),
        ("InternalError", "it can be tried again", true),
        (
            "InvalidArgument",
            "check what the sink's configuration asks",
            false,
        ),
    ] {
        let server = Server::start(Ways {
            refuses_put: Some(code),
            ..Ways::default()
        })
        .await;
        let sink = server.sink(json!({})).await;
        let error = put(&*sink, "bytes").await.unwrap_err();
        let said = error.to_string();
        assert!(said.contains(message), "{code}: {said}");
        assert!(said.starts_with("sink s3, s3://corp-recordings/calls/a.ogg: "));
        assert!(!said.contains('\n'), "{said}");
        assert_eq!(error.retryable, retryable, "{code}: {said}");
    }
}
