//! The sink `s3` repeats, waits and uploads at once as its configuration says, and reports refusals
//! that its retries hide.

use std::time::Duration;

use bytes::Bytes;
use recording_host_sink::{Body, PutOptions, Sink, SinkError};
use serde_json::{Value, json};

use crate::{
    s3_server::{Server, Ways},
    support::{SaturatedListener, within_deadline},
};

async fn put(sink: &dyn Sink, length: usize) -> Result<(), SinkError> {
    let info = PutOptions {
        content_type: "audio/ogg".into(),
        ..PutOptions::default()
    };
    let body = Body::whole(Bytes::from(vec![7; length]));
    sink.put("a.ogg", info, body).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_tried_as_often_as_the_configuration_says() {
    for attempts in [1, 2, 9] {
        let server = Server::start(Ways {
            refuses_put: Some("SlowDown"),
            ..Ways::default()
        })
        .await;
        // Without the longest pause that is set, the last of nine attempts is a minute away.
        let retry = json!({ "mode": "standard", "attempts": attempts, "max_backoff_seconds": 0 });
        let sink = server.sink(json!({ "retry": retry })).await;
        let error = within_deadline(put(&*sink, 10)).await.unwrap_err();
        assert!(error.retryable, "{error}");
        assert_eq!(server.seen("PutObject").len(), attempts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_waited_for_as_long_as_the_configuration_says() {
    for timeout in [
        json!({ "read_seconds": 1, "attempt_seconds": 3600 }),
        json!({ "read_seconds": 3600, "attempt_seconds": 1 }),
    ] {
        let server = Server::start(Ways {
            silent: true,
            ..Ways::default()
        })
        .await;
        let keys = json!({ "timeout": timeout, "retry": { "attempts": 1 } });
        let sink = server.sink(keys).await;
        let error = within_deadline(put(&*sink, 10)).await.unwrap_err();
        let said = error.to_string();
        assert!(error.retryable && said.contains("no answer"), "{said}");
        assert_eq!(server.seen("PutObject").len(), 1);
        assert_eq!(sink.backpressure(), 1, "{timeout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_waited_for_as_long_as_the_configuration_says() {
    let server = Server::start(Ways::default()).await;
    let crowd = SaturatedListener::new().await;
    let keys = json!({ "endpoint": crowd.url, "retry": { "attempts": 1 },
        "timeout": { "connect_seconds": 1, "read_seconds": 3600, "attempt_seconds": 3600 } });
    let sink = server.sink(keys).await;
    let put = tokio::time::timeout(Duration::from_secs(8), put(&*sink, 10)).await;
    let error = put.expect("ten seconds are the default").unwrap_err();
    assert!(error.retryable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_parts_are_under_way_than_the_configuration_says() {
    let busiest = async |keys: Value| {
        let server = Server::start(Ways {
            takes: Duration::from_millis(300),
            ..Ways::default()
        })
        .await;
        let sink = server.sink(keys).await;
        put(&*sink, 60 << 20).await.unwrap();
        server.busiest()
    };
    assert_eq!(busiest(json!({ "parts_at_once": 1 })).await, 1);
    assert_eq!(busiest(json!({ "parts_at_once": 2 })).await, 2);
    assert_eq!(busiest(json!({})).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_a_retry_hides_is_told() {
    let server = Server::start(Ways {
        too_fast: 2,
        ..Ways::default()
    })
    .await;
    let retry = json!({ "attempts": 3, "max_backoff_seconds": 0 });
    let sink = server.sink(json!({ "retry": retry })).await;
    put(&*sink, 10).await.unwrap();
    assert_eq!(sink.backpressure(), 2);
    put(&*sink, 10).await.unwrap();
    assert_eq!(sink.backpressure(), 2);
}
