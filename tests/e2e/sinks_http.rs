//! The sink `http`, against a server that keeps what it is sent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, body::Incoming};
use recording_host_sink::{Body, PutOptions, Sink, conformance};
use serde_json::{Value, json};

use crate::{
    s3_server::sink,
    support::{SaturatedListener, answering, within_deadline},
};

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// Method, path with query, and headers of each request.
    seen: Vec<(Method, String, HeaderMap)>,
    /// How often a request is refused, and with what.
    refuse: Vec<(StatusCode, Option<&'static str>)>,
}

#[derive(Clone)]
struct Server {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let kept = state.clone();
        let url = answering(move |request| answer(kept.clone(), request)).await;
        let url = format!("{url}/archive/{{key}}");
        Server { url, state }
    }

    async fn sink(&self, keys: Value) -> Arc<dyn Sink> {
        let config = json!({ "type": "http", "url": self.url,
            "retry": { "attempts": 3, "max_backoff_seconds": 1 } });
        sink(config, keys).await
    }

    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.state.lock().unwrap().objects.clone()
    }
}

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().to_string();
    let refused = {
        let mut state = state.lock().unwrap();
        state
            .seen
            .push((head.method.clone(), path.clone(), head.headers));
        state.refuse.pop()
    };
    let mut response = Response::new(Full::default());
    if head.method == Method::HEAD {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    if let Some((status, pause)) = refused {
        *response.status_mut() = status;
        if let Some(pause) = pause {
            response
                .headers_mut()
                .insert("retry-after", pause.parse().unwrap());
        }
        return response;
    }
    // A body that breaks off is an error here: nothing is kept.
    if head.method != Method::HEAD
        && let Ok(body) = body.collect().await
    {
        let mut state = state.lock().unwrap();
        state.objects.insert(path, body.to_bytes().to_vec());
    }
    response
}

async fn put(
    sink: &dyn Sink,
    key: &str,
    data: &[u8],
) -> Result<u64, recording_host_sink::SinkError> {
    let info = PutOptions {
        content_type: "audio/ogg".into(),
        ..PutOptions::default()
    };
    let body = Body::whole(Bytes::copy_from_slice(data));
    sink.put(key, info, body).await.map(|stored| stored.size)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sink_http_keeps_the_promises_of_a_sink() {
    let server = Server::start().await;
    let sink = server.sink(json!({})).await;
    conformance::all(&*sink, "suite").await.unwrap();
    let objects = server.objects();
    assert!(
        objects.keys().all(|key| !key.contains("broken")),
        "{:?}",
        objects.keys()
    );
    assert_eq!(objects["/archive/suite/large.wav"].len(), 20 << 20);
    assert_eq!(objects["/archive/suite/empty.wav"].len(), 0);
    assert!(objects.contains_key("/archive/suite/odd/percent%2520.wav"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_prove_who_sends_is_in_the_request_and_nowhere_else() {
    for (auth, header, value) in [
        (
            json!({ "type": "bearer", "token": "hush" }),
            "authorization",
            "Bearer hush",
        ),
        (
            json!({ "type": "basic", "user": "u", "password": "hush" }),
            "authorization",
            "Basic dTpodXNo",
        ),
        (
            json!({ "type": "header", "name": "x-key", "value": "hush" }),
            "x-key",
            "hush",
        ),
    ] {
        let server = Server::start().await;
        let sink = server
            .sink(
                json!({ "auth": auth, "method": "post", "headers": { "x-tenant": "t" },
                "url": format!("{}?sig=hush", server.url) }),
            )
            .await;
        put(&*sink, "a b.ogg", b"bytes").await.unwrap();
        {
            let state = server.state.lock().unwrap();
            let (method, path, headers) = &state.seen[0];
            assert_eq!(
                (method, path.as_str()),
                (&Method::POST, "/archive/a%20b.ogg?sig=hush")
            );
            assert_eq!(headers[header], value);
            assert_eq!(headers["x-tenant"], "t");
            assert_eq!(headers["content-type"], "audio/ogg");
            assert_eq!(headers["content-length"], "5");
        }
        server.state.lock().unwrap().refuse = vec![(StatusCode::FORBIDDEN, None)];
        let error = put(&*sink, "a.ogg", b"bytes").await.unwrap_err();
        let said = format!("{error} {sink:?}");
        assert!(
            said.contains("check `auth`") && !said.contains("hush"),
            "{said}"
        );
        assert!(!error.retryable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_may_pass_are_tried_again_and_others_are_not() {
    let server = Server::start().await;
    let sink = server.sink(json!({})).await;
    server.state.lock().unwrap().refuse = vec![
        (StatusCode::TOO_MANY_REQUESTS, Some("1")),
        (StatusCode::SERVICE_UNAVAILABLE, None),
    ];
    let begun = std::time::Instant::now();
    assert_eq!(put(&*sink, "a.ogg", b"bytes").await.unwrap(), 5);
    assert!(
        begun.elapsed().as_millis() >= 1000,
        "Retry-After is respected"
    );
    assert_eq!(server.objects()["/archive/a.ogg"], b"bytes");

    server.state.lock().unwrap().refuse = vec![(StatusCode::BAD_GATEWAY, None); 3];
    assert!(put(&*sink, "b.ogg", b"bytes").await.unwrap_err().retryable);
    for status in [
        StatusCode::BAD_REQUEST,
        StatusCode::FOUND,
        StatusCode::NOT_FOUND,
    ] {
        server.state.lock().unwrap().seen.clear();
        server.state.lock().unwrap().refuse = vec![(status, None)];
        let error = put(&*sink, "b.ogg", b"bytes").await.unwrap_err();
        // The path of the URL may be a secret, as a token for uploads is.
        assert!(
            !error.retryable && error.to_string().contains("/.../b.ogg"),
            "{error}"
        );
        assert!(!error.to_string().contains("archive"), "{error}");
        assert_eq!(server.state.lock().unwrap().seen.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_waited_out_no_longer_than_the_configuration_says_and_told() {
    let server = Server::start().await;
    let sink = server
        .sink(json!({ "retry": { "max_backoff_seconds": 0 } }))
        .await;
    server.state.lock().unwrap().refuse = vec![
        (StatusCode::SERVICE_UNAVAILABLE, Some("3600")),
        (StatusCode::TOO_MANY_REQUESTS, None),
    ];
    within_deadline(put(&*sink, "a.ogg", b"bytes"))
        .await
        .unwrap();
    assert_eq!(sink.backpressure(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_waited_for_as_long_as_the_configuration_says() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/{{key}}", listener.local_addr().unwrap());
    let config = json!({ "type": "http", "url": url, "timeout": { "read_seconds": 1 },
        "retry": { "attempts": 1 } });
    let sink = sink(config, json!({})).await;
    // The system takes the connection, and nobody answers.
    let error = within_deadline(put(&*sink, "a.ogg", b"bytes"))
        .await
        .unwrap_err();
    assert!(error.retryable, "{error}");
    assert_eq!(sink.backpressure(), 1);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_waited_for_as_long_as_the_configuration_says() {
    let crowd = SaturatedListener::new().await;
    let config = json!({ "type": "http", "url": format!("{}/{{key}}", crowd.url),
        "timeout": { "connect_seconds": 1, "read_seconds": 3600 }, "retry": { "attempts": 1 } });
    let sink = sink(config, json!({})).await;
    let put = put(&*sink, "a.ogg", b"bytes");
    let error = tokio::time::timeout(Duration::from_secs(8), put).await;
    let error = error.expect("ten seconds are the default").unwrap_err();
    assert!(error.retryable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_asks_without_writing_anything() {
    let server = Server::start().await;
    let sink = server.sink(json!({})).await;
    sink.check().await.unwrap();
    assert!(server.objects().is_empty());
    server.state.lock().unwrap().refuse = vec![(StatusCode::UNAUTHORIZED, None)];
    let error = sink.check().await.unwrap_err();
    assert!(error.to_string().contains("check `auth`"), "{error}");
    let nowhere = server
        .sink(json!({ "url": "http://127.0.0.1:9/{key}" }))
        .await;
    let error = nowhere.check().await.unwrap_err();
    assert!(error.to_string().contains("no answer"), "{error}");
}
