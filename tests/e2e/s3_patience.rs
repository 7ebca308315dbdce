//! The sink `s3` repeats, waits and uploads at once as its configuration says, and reports refusals
//! that its retries hide.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use genesys_simulator::Settings;
use http_body_util::Full;
use hyper::Response;
use recording_host_sink::{Body, PutOptions, Sink, SinkError};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    running::Running,
    s3_server::{Server, Ways},
    sinks::{BUCKET, serve, sink},
    support::{Harness, SaturatedListener, answering, run_program, within_deadline},
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

/// Passes connections on to a server.
async fn forward(listener: TcpListener, to: String) {
    while let Ok((mut client, _)) = listener.accept().await {
        let to = to.clone();
        tokio::spawn(async move {
            let mut server = TcpStream::connect(to).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_unavailable_is_named_at_once_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let endpoint = serve(folder.path()).await;
    let harness = Harness::start(Settings {
        conversations: 60,
        ..Settings::default()
    })
    .await;
    // A port where nobody listens yet.
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let away = harness.config_to(sink(&format!("http://{address}")));
    let path = harness.write(&away).display().to_string();
    let ran = run_program(&["check", "--config", &path]).await;
    let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
    assert!(
        said.contains(&format!("no answer from http://{address}")),
        "{said}"
    );
    assert!(said.contains("refused"), "{said}");

    let asked = harness.simulator.stats().requests;
    let mut run = Running::start(&harness, &["run", "--config", &path]);
    run.until("no answer from").await;
    assert_eq!(harness.simulator.stats().requests, asked);
    let listener = TcpListener::bind(address).await.unwrap();
    let to = endpoint.trim_start_matches("http://").to_owned();
    let forwarding = tokio::spawn(forward(listener, to));
    let (code, out, lines) = run.end().await;
    assert!(matches!(code, Some(0 | 3)), "{out} {lines:#?}");
    forwarding.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_about_the_bucket_is_named_as_what_it_is() {
    let harness = Harness::start(Settings {
        conversations: 1,
        ..Settings::default()
    })
    .await;
    // A status of 503 is no answer of the bucket's. Each server is asked once: whoever waits asks again.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let busy = answering(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async {
            Response::builder()
                .status(503)
                .body(Full::default())
                .unwrap()
        }
    })
    .await;
    let google = json!({ "type": "gcs", "bucket": "calls", "endpoint": busy,
        "credentials": { "token": "t" } });
    let azure = json!({ "type": "azure_blob", "account": "calls", "container": "calls",
        "endpoint": format!("{busy}/calls"), "credentials": { "access_key": "aGVsbG8=" } });
    for server in [sink(&busy), google, azure] {
        asked.store(0, Ordering::Relaxed);
        let path = harness
            .write(&harness.config_to(server))
            .display()
            .to_string();
        let ran = run_program(&["check", "--config", &path]).await;
        let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
        assert!(said.contains("503"), "{said}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{said}");
    }
    // Nor is a refusal that a wrong clock explains about the credentials.
    let skewed = answering(|_| async {
        let date = "Mon, 05 Jan 2026 08:00:00 GMT";
        Response::builder()
            .status(403)
            .header("date", date)
            .body(Full::default())
            .unwrap()
    });
    let path = harness
        .write(&harness.config_to(sink(&skewed.await)))
        .display()
        .to_string();
    let ran = run_program(&["check", "--config", &path]).await;
    let said = String::from_utf8([ran.stdout, ran.stderr].concat()).unwrap();
    assert!(
        said.contains("set the clock (NTP)") && !said.contains("credentials for"),
        "{said}"
    );
}
