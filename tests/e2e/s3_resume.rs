//! Large uploads resume where a killed writer left them, and nothing stays behind.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use recording_host_sink::{Body, PutOptions, Sink};
use serde_json::json;

use crate::s3_server::{Server, Ways};

const PART: usize = 8 << 20;
/// Five parts.
const LENGTH: usize = 4 * PART + 1000;

fn content(seed: u8) -> Bytes {
    let data: Vec<u8> = (0..LENGTH)
        .map(|index| (index / 4096) as u8 ^ (index as u8).wrapping_mul(seed))
        .collect();
    data.into()
}

fn info() -> PutOptions {
    PutOptions {
        content_type: "audio/ogg".into(),
        size: Some(LENGTH as u64),
        replace: false,
        plaintext: false,
    }
}

/// Puts an object and is killed when some of its parts are there, with which it returns.
async fn killed(server: &Server, sink: &Arc<dyn Sink>, key: &str, data: &Bytes) -> usize {
    let (feed, body) = Body::channel();
    let (sink, key, data) = (sink.clone(), key.to_owned(), data.clone());
    let before = server.parts();
    let put = tokio::spawn(async move {
        let feeding = async {
            for frame in data[..3 * PART + 500_000].chunks(500_000) {
                feed.send(data.slice_ref(frame)).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::join!(sink.put(&key, info(), body), feeding)
    });
    while server.parts() < before + 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    put.abort();
    assert!(put.await.unwrap_err().is_cancelled());
    // Data on the wire may still arrive.
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.parts() - before
}

async fn read(sink: &Arc<dyn Sink>, key: &str) -> Vec<u8> {
    let mut body = sink.store().unwrap().get(key).await.unwrap().unwrap();
    let mut data = Vec::new();
    while let Some(frame) = body.next().await.unwrap() {
        data.extend_from_slice(&frame);
    }
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_goes_on_after_a_restart_without_sending_again_what_is_there() {
    for lists_part_checksums in [false, true] {
        let server = Server::start(Ways {
            lists_part_checksums,
            ..Ways::default()
        })
        .await;
        let data = content(3);
        let there = killed(&server, &server.sink(json!({})).await, "a.ogg", &data).await;
        assert_eq!(server.unfinished(), 1);
        server.forget();
        // Another process knows nothing of the first.
        let sink = server.sink(json!({})).await;
        let stored = sink.put("a.ogg", info(), Body::whole(data.clone())).await;
        assert_eq!(stored.unwrap().size, LENGTH as u64);
        assert_eq!(server.seen("CreateMultipartUpload").len(), 0);
        assert_eq!(server.seen("UploadPart").len(), 5 - there);
        assert_eq!(server.unfinished(), 0);
        assert!(read(&sink, "a.ogg").await == data);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_other_content_are_not_taken_over() {
    let server = Server::start(Ways::default()).await;
    killed(&server, &server.sink(json!({})).await, "a.ogg", &content(3)).await;
    server.forget();
    let sink = server.sink(json!({})).await;
    let data = content(5);
    let put = sink.put("a.ogg", info(), Body::whole(data.clone())).await;
    put.unwrap();
    assert_eq!(server.seen("UploadPart").len(), 5);
    assert!(read(&sink, "a.ogg").await == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_begun_otherwise_is_aborted_and_not_taken_over() {
    let server = Server::start(Ways::default()).await;
    let first = server.sink(json!({ "checksum": "crc32" })).await;
    killed(&server, &first, "a.ogg", &content(3)).await;
    server.forget();
    let sink = server.sink(json!({ "checksum": "crc64nvme" })).await;
    let put = sink.put("a.ogg", info(), Body::whole(content(3))).await;
    put.unwrap();
    assert_eq!(server.seen("AbortMultipartUpload").len(), 1);
    assert_eq!(server.seen("CreateMultipartUpload").len(), 1);
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_puts_at_once_do_not_take_over_each_others_upload() {
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({ "overwrite": "always" })).await;
    let data = content(3);
    let put = || sink.put("a.ogg", info(), Body::whole(data.clone()));
    let (one, other) = tokio::join!(put(), put());
    one.unwrap();
    other.unwrap();
    assert_eq!(server.seen("CreateMultipartUpload").len(), 2);
    assert_eq!(server.seen("AbortMultipartUpload").len(), 0);
    assert!(read(&sink, "a.ogg").await == data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_list_uploads_gets_large_objects_all_the_same() {
    let server = Server::start(Ways {
        lists_no_uploads: true,
        ..Ways::default()
    })
    .await;
    let sink = server.sink(json!({})).await;
    let put = sink.put("a.ogg", info(), Body::whole(content(3))).await;
    put.unwrap();
    assert_eq!(sink.cleanup().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_nobody_goes_on_with_is_aborted_when_it_is_old() {
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({})).await;
    killed(&server, &sink, "a.ogg", &content(3)).await;
    let elsewhere = server.sink(json!({ "prefix": "calls-of-others" })).await;
    killed(&server, &elsewhere, "a.ogg", &content(3)).await;
    assert_eq!(sink.cleanup().await.unwrap(), 0);
    server.age_uploads(Duration::from_secs(25 * 3600));
    let patient = server.sink(json!({ "cleanup_after_hours": 48 })).await;
    assert_eq!(patient.cleanup().await.unwrap(), 0);
    assert_eq!(sink.cleanup().await.unwrap(), 1);
    assert_eq!(server.unfinished(), 1);
    let at_once = server
        .sink(json!({ "prefix": "calls-of-others", "cleanup_after_hours": 0 }))
        .await;
    assert_eq!(at_once.cleanup().await.unwrap(), 1);
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_that_breaks_off_leaves_no_upload() {
    let server = Server::start(Ways::default()).await;
    let sink = server.sink(json!({})).await;
    let (feed, body) = Body::channel();
    let data = content(3);
    let feeding = async {
        for frame in data.chunks(1 << 20) {
            feed.send(data.slice_ref(frame)).await.unwrap();
        }
        drop(feed);
    };
    let (result, ()) = tokio::join!(sink.put("a.ogg", info(), body), feeding);
    assert!(result.unwrap_err().retryable);
    assert_eq!(server.unfinished(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_replaced_only_as_the_configuration_allows() {
    let contents = [content(3), content(5)];
    for (overwrite, replace, replaced) in [
        ("never", false, false),
        ("never", true, false),
        ("same", false, false),
        ("same", true, true),
        ("always", false, true),
        ("always", true, true),
    ] {
        for (probed, length) in [(true, 1000), (false, 1000), (false, LENGTH)] {
            if length == LENGTH && overwrite != "same" {
                continue;
            }
            let server = Server::start(Ways::default()).await;
            let sink = server.sink(json!({ "overwrite": overwrite })).await;
            if probed {
                sink.check().await.unwrap();
            }
            let info = PutOptions {
                size: Some(length as u64),
                replace,
                ..info()
            };
            let put = |which: usize| {
                let body = Body::whole(contents[which].slice(..length));
                sink.put("a.ogg", info.clone(), body)
            };
            put(0).await.unwrap();
            // The same once more is never an error.
            assert_eq!(put(0).await.unwrap().size, length as u64);
            let result = put(1).await;
            assert_eq!(result.is_ok(), replaced, "{overwrite} {replace} {result:?}");
            if let Err(error) = result {
                let way = if replace {
                    "overwrite: same"
                } else {
                    "overwrite: always"
                };
                let said = error.to_string();
                assert!(said.contains(way) && said.contains("a.ogg"), "{said}");
                assert!(!error.retryable);
            }
            let expected = &contents[usize::from(replaced)];
            assert!(read(&sink, "a.ogg").await == expected[..length]);
        }
    }
}
