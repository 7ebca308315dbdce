//! Servers that speak the protocol of S3 in their own ways, and what is said when one refuses.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use recording_host_sink::{Body, PutOptions, PutResult, Sink, SinkError, conformance};
use serde_json::json;

use crate::{
    s3_server::{Server, Ways},
    support::answering,
};

const LARGE: usize = 20 << 20;

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
            "md5 checked",
            Some("content-md5"),
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
            .find(|name| name.starts_with("x-amz-checksum-crc") || *name == "content-md5");
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
        ("RequestTimeTooSkewed", "the clock of this machine", true),
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

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_a_retention_carries_what_servers_ask_of_such_objects() {
    let lock = json!({ "object_lock": { "mode": "governance", "days": 30 } });
    for (refuses, header) in [
        (&[][..], "x-amz-sdk-checksum-algorithm"),
        (&["crc64nvme", "crc32c", "crc32"][..], "content-md5"),
    ] {
        let server = Server::start(Ways {
            refuses,
            ..Ways::default()
        })
        .await;
        let sink = server.sink(lock.clone()).await;
        sink.check().await.unwrap();
        // The probe was put like the objects will be, and its retention is over soon.
        let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
        for probe in server.seen("PutObject") {
            let until = probe.header("x-amz-object-lock-retain-until-date").unwrap();
            assert!(*until < *soon, "{until}");
        }
        server.forget();
        put(&*sink, "some bytes").await.unwrap();
        assert!(server.seen("PutObject").remove(0).header(header).is_some());
        let large = Body::whole(Bytes::from(vec![7; 20 << 20]));
        sink.put("large.ogg", PutOptions::default(), large)
            .await
            .unwrap();
    }
}

/// Answers to the end of an upload without a word, and reports the objects of which it was told.
async fn silent_at_the_end() -> String {
    let sum = Arc::new(Mutex::new(None::<String>));
    answering(move |request| {
        let sum = sum.clone();
        async move {
            let (parts, body) = request.into_parts();
            let length = body.collect().await.unwrap().to_bytes().len();
            let query = parts.uri.query().unwrap_or_default().to_owned();
            let told = parts.headers.get("x-amz-checksum-crc64nvme").cloned();
            let answer = hyper::Response::builder();
            let answer = match parts.method.as_str() {
                "POST" if query.starts_with("uploads") => {
                    let text = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
                    return answer.body(Full::new(Bytes::from(text))).unwrap();
                }
                "POST" => {
                    *sum.lock().unwrap() = told.map(|sum| sum.to_str().unwrap().to_owned());
                    answer
                }
                "PUT" => {
                    assert!(length > 0);
                    answer.header("etag", "\"part\"")
                }
                "HEAD" => match &*sum.lock().unwrap() {
                    Some(sum) => answer
                        .header("content-length", LARGE)
                        .header("x-amz-checksum-crc64nvme", sum),
                    None => answer.status(404),
                },
                _ => answer.status(404),
            };
            answer.body(Full::default()).unwrap()
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_of_an_upload_that_is_answered_by_nothing_is_found_out_by_looking() {
    let endpoint = silent_at_the_end().await;
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({ "endpoint": endpoint })).await;
    let large = Body::whole(Bytes::from(vec![7; LARGE]));
    let stored = sink.put("a.ogg", PutOptions::default(), large).await;
    assert_eq!(stored.unwrap().size, LARGE as u64);
}
