//! The sinks `gcs` and `azure_blob`, against a server that knows the few requests they make.
//!
//! It is no emulator: it checks no signature, and stands for neither cloud beyond these requests.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Response, StatusCode, header::HeaderValue};
use recording_host_sink::{Body, PutOptions, Sink, conformance};
use serde_json::{Value, json};

use crate::{
    s3_server::sink,
    sinks::replaces_as_it_is_told,
    support::{Harness, answering, within_deadline},
};

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    /// Parts and blocks, by upload or blob, then by number or id.
    parts: BTreeMap<String, BTreeMap<String, Bytes>>,
    seen: Vec<(Method, String, HeaderMap)>,
    /// Queries, and what is sent to the log-in.
    asked: Vec<String>,
    forbidden: bool,
    /// How many PUTs are refused because they come too fast.
    too_fast: usize,
}

struct Server {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let kept = state.clone();
        let url = answering(move |request| {
            let state = kept.clone();
            async move {
                let (head, body) = request.into_parts();
                match body.collect().await {
                    Ok(body) => answer(&mut state.lock().unwrap(), head, body.to_bytes()),
                    Err(_) => status(StatusCode::BAD_REQUEST),
                }
            }
        })
        .await;
        Server { url, state }
    }

    async fn gcs(&self, keys: Value) -> Arc<dyn Sink> {
        let config = json!({ "type": "gcs", "bucket": "corp", "prefix": "calls",
            "endpoint": self.url, "credentials": { "token": "hush" },
            "retry": { "attempts": 1 } });
        sink(config, keys).await
    }

    async fn azure(&self, keys: Value) -> Arc<dyn Sink> {
        let config = json!({ "type": "azure_blob", "account": "account", "container": "corp",
            "prefix": "calls", "endpoint": self.url, "credentials": { "access_key": "aHVzaA==" },
            "retry": { "attempts": 1 } });
        sink(config, keys).await
    }

    fn header(&self, path: &str, name: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        let mut seen = state.seen.iter();
        let (_, _, headers) =
            seen.find(|(method, at, _)| *method == Method::PUT && decode(at) == path)?;
        Some(headers.get(name)?.to_str().unwrap().to_owned())
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    text(status, String::new())
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let length = text.len();
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("etag", format!("\"{length}\"").parse().unwrap());
    headers.insert("x-goog-generation", "1".parse().unwrap());
    headers.insert(
        "last-modified",
        "Thu, 01 Jan 2026 00:00:00 GMT".parse().unwrap(),
    );
    response
}

fn answer(
    state: &mut State,
    head: hyper::http::request::Parts,
    body: Bytes,
) -> Response<Full<Bytes>> {
    // Long: one table of routes.
    let url = url::Url::parse(&format!("http://host{}", head.uri)).unwrap();
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let path = head.uri.path().to_owned();
    if path.ends_with("/oauth2/v2.0/token") {
        state
            .asked
            .push(format!("{path} {}", String::from_utf8_lossy(&body)));
        let token = json!({ "access_token": "passing", "expires_in": 3600 });
        return text(StatusCode::OK, token.to_string());
    }
    state.asked.push(url.query().unwrap_or_default().to_owned());
    state
        .seen
        .push((head.method.clone(), path.clone(), head.headers.clone()));
    if state.forbidden {
        return status(StatusCode::FORBIDDEN);
    }
    if head.method == Method::PUT && state.too_fast > 0 {
        state.too_fast -= 1;
        return status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let has = |name: &str| query.contains_key(name);
    let decoded = decode(&path);
    let key = decoded
        .trim_start_matches("/corp")
        .trim_start_matches('/')
        .to_owned();
    match head.method {
        Method::GET if key.is_empty() => list(state, &query),
        Method::GET | Method::HEAD => match state.objects.get(&key) {
            None => status(StatusCode::NOT_FOUND),
            Some(data) => content(data, head.headers.get("range")),
        },
        Method::DELETE if has("uploadId") => {
            state.parts.remove(&query["uploadId"]);
            status(StatusCode::NO_CONTENT)
        }
        Method::DELETE => match state.objects.remove(&key) {
            Some(_) => status(StatusCode::NO_CONTENT),
            None => status(StatusCode::NOT_FOUND),
        },
        // Azure deletes in batches, even if it is one.
        Method::POST if query.get("comp").is_some_and(|comp| comp == "batch") => {
            let asked = String::from_utf8(body.to_vec()).unwrap();
            let lines = asked
                .lines()
                .filter_map(|line| line.strip_prefix("DELETE "));
            let mut part = String::new();
            for (number, line) in lines.enumerate() {
                let path = decode(line.split([' ', '?']).next().unwrap());
                let key = path.trim_start_matches('/').trim_start_matches("corp/");
                let said = match state.objects.remove(key) {
                    Some(_) => "202 Accepted\r\n",
                    None => {
                        "404 The specified blob does not exist.\r\nx-ms-error-code: BlobNotFound\r\n"
                    }
                };
                let head = format!("Content-Type: application/http\r\nContent-ID: {number}");
                write!(part, "--b\r\n{head}\r\n\r\nHTTP/1.1 {said}\r\n\r\n").unwrap();
            }
            let mut response = text(StatusCode::ACCEPTED, part + "--b--\r\n");
            let kind = "multipart/mixed; boundary=b".parse().unwrap();
            response.headers_mut().insert("content-type", kind);
            response
        }
        Method::POST if has("uploads") => {
            let id = format!("{key}-{}", state.seen.len());
            state.parts.insert(id.clone(), BTreeMap::new());
            let xml = format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            );
            text(StatusCode::OK, xml)
        }
        Method::POST if has("uploadId") => {
            let parts = state.parts.remove(&query["uploadId"]).unwrap();
            let mut parts: Vec<_> = parts.into_iter().collect();
            parts.sort_by_key(|(number, _)| number.parse::<u32>().unwrap());
            let whole: Vec<u8> = parts.into_iter().flat_map(|(_, part)| part).collect();
            state.objects.insert(key, whole.into());
            text(
                StatusCode::OK,
                "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>"
                    .into(),
            )
        }
        Method::PUT if has("uploadId") => {
            // A part may come after its upload was given up.
            let Some(parts) = state.parts.get_mut(&query["uploadId"]) else {
                return status(StatusCode::NOT_FOUND);
            };
            parts.insert(query["partNumber"].clone(), body);
            status(StatusCode::OK)
        }
        Method::PUT if query.get("comp").is_some_and(|comp| comp == "block") => {
            let parts = state.parts.entry(key).or_default();
            parts.insert(query["blockid"].clone(), body);
            status(StatusCode::CREATED)
        }
        Method::PUT if query.get("comp").is_some_and(|comp| comp == "blocklist") => {
            let parts = state.parts.remove(&key).unwrap_or_default();
            let list = String::from_utf8(body.to_vec()).unwrap();
            let ids = list.split("<Uncommitted>").skip(1);
            let ids = ids.map(|id| id.split('<').next().unwrap());
            let whole: Vec<u8> = ids.flat_map(|id| parts[id].clone()).collect();
            state.objects.insert(key, whole.into());
            status(StatusCode::CREATED)
        }
        Method::PUT => {
            let google = head.headers.contains_key("x-goog-if-generation-match");
            let create = google || head.headers.contains_key("if-none-match");
            if create && state.objects.contains_key(&key) {
                return status(if google {
                    StatusCode::PRECONDITION_FAILED
                } else {
                    StatusCode::CONFLICT
                });
            }
            state.objects.insert(key, body);
            status(StatusCode::CREATED)
        }
        _ => status(StatusCode::NOT_IMPLEMENTED),
    }
}

/// An object, or the range of it that is asked for.
fn content(data: &Bytes, range: Option<&HeaderValue>) -> Response<Full<Bytes>> {
    let total = data.len();
    let range =
        range.and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let (mut response, sent) = match range {
        None => (status(StatusCode::OK), data.clone()),
        Some((from, to)) => {
            let from: usize = from.parse().unwrap();
            let end = to.parse().map_or(total, |to: usize| total.min(to + 1));
            if from >= total {
                return status(StatusCode::RANGE_NOT_SATISFIABLE);
            }
            let mut response = status(StatusCode::PARTIAL_CONTENT);
            let told = format!("bytes {from}-{}/{total}", end - 1);
            let headers = response.headers_mut();
            headers.insert("content-range", told.parse().unwrap());
            (response, data.slice(from..end))
        }
    };
    let headers = response.headers_mut();
    headers.insert("content-length", sent.len().into());
    *response.body_mut() = Full::new(sent);
    response
}

fn decode(path: &str) -> String {
    let pair = format!("x={}", path.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().unwrap().1.into_owned()
}

fn list(state: &State, query: &BTreeMap<String, String>) -> Response<Full<Bytes>> {
    let prefix = query.get("prefix").cloned().unwrap_or_default();
    let azure = query.get("comp").is_some_and(|comp| comp == "list");
    let escape = |key: &str| {
        let key = key.replace('&', "&amp;").replace('<', "&lt;");
        key.replace('>', "&gt;").replace('"', "&quot;")
    };
    let mut xml = String::new();
    for (key, data) in state
        .objects
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix))
    {
        let (key, size) = (escape(key), data.len());
        if azure {
            write!(xml, "<Blob><Name>{key}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified><Content-Length>{size}</Content-Length><Content-Type>audio/wav</Content-Type><Etag>0x{size}</Etag></Properties></Blob>").unwrap();
        } else {
            write!(xml, "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>\"{size}\"</ETag></Contents>").unwrap();
        }
    }
    let xml = if azure {
        format!("<EnumerationResults><Blobs>{xml}</Blobs><NextMarker /></EnumerationResults>")
    } else {
        format!("<ListBucketResult>{xml}</ListBucketResult>")
    };
    text(StatusCode::OK, xml)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sinks_gcs_and_azure_blob_keep_the_promises_of_a_sink() {
    let server = Server::start().await;
    conformance::all(&*server.gcs(json!({})).await, "suite")
        .await
        .unwrap();
    let server = Server::start().await;
    conformance::all(&*server.azure(json!({})).await, "suite")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_objects_goes_with_each() {
    let info = PutOptions {
        content_type: "audio/ogg".into(),
        ..PutOptions::default()
    };
    let server = Server::start().await;
    let keys = json!({ "storage_class": "NEARLINE", "object_metadata": { "department": "claims" },
        "content_encoding": "identity" });
    let gcs = server.gcs(keys).await;
    let body = Body::whole(Bytes::from_static(b"bytes"));
    gcs.put("a.ogg", info.clone(), body).await.unwrap();
    for (name, value) in [
        ("authorization", "Bearer hush"),
        ("content-type", "audio/ogg"),
        ("content-encoding", "identity"),
        ("x-goog-storage-class", "NEARLINE"),
        ("x-goog-meta-department", "claims"),
        ("x-goog-if-generation-match", "0"),
    ] {
        let found = server.header("/corp/calls/a.ogg", name);
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    let server = Server::start().await;
    let keys = json!({ "access_tier": "Cool", "object_metadata": { "department": "claims" },
        "content_encoding": "identity", "tags": { "retention": "7" } });
    let azure = server.azure(keys).await;
    let body = Body::whole(Bytes::from_static(b"bytes"));
    azure.put("a.ogg", info, body).await.unwrap();
    for (name, value) in [
        ("x-ms-blob-content-type", "audio/ogg"),
        ("x-ms-blob-content-encoding", "identity"),
        ("x-ms-access-tier", "Cool"),
        ("x-ms-meta-department", "claims"),
        ("x-ms-tags", "retention=7"),
        ("if-none-match", "*"),
    ] {
        let found = server.header("/corp/calls/a.ogg", name);
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    let signed = server.header("/corp/calls/a.ogg", "authorization").unwrap();
    assert!(signed.starts_with("SharedKey account:"), "{signed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_place_and_no_secret() {
    let server = Server::start().await;
    let azure = server
        .azure(json!({ "credentials": { "sas": "sv=2024&sig=hush" } }))
        .await;
    azure.check().await.unwrap();
    server.state.lock().unwrap().forbidden = true;
    for (sink, place) in [
        (server.gcs(json!({})).await, "gs://corp"),
        (azure, "az://account/corp"),
    ] {
        let error = sink.check().await.unwrap_err();
        let said = format!("{error} {sink:?}");
        assert!(
            error.to_string().contains(place) && said.contains("access denied"),
            "{said}"
        );
        assert!(
            !error.to_string().contains("hush") && !error.retryable,
            "{error}"
        );
    }
}

fn info() -> PutOptions {
    PutOptions {
        content_type: "audio/ogg".into(),
        ..PutOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_replaced_only_as_the_configuration_allows() {
    let server = Server::start().await;
    replaces_as_it_is_told(async |keys| server.gcs(keys).await).await;
    let server = Server::start().await;
    replaces_as_it_is_told(async |keys| server.azure(keys).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_tried_as_often_as_the_configuration_says_and_refusals_are_told() {
    let keys = |attempts: usize| json!({ "retry": { "attempts": attempts, "max_backoff_seconds": 0 }, "overwrite": "always" });
    let server = Server::start().await;
    let mut sinks = Vec::new();
    // Without the longest pause that is set, the last of many attempts is minutes away.
    for attempts in [2, 3, 18] {
        sinks.push((attempts, server.gcs(keys(attempts)).await));
        sinks.push((attempts, server.azure(keys(attempts)).await));
    }
    for (attempts, sink) in sinks {
        for (too_fast, comes) in [(attempts - 1, true), (attempts, false)] {
            server.state.lock().unwrap().too_fast = too_fast;
            let told = sink.backpressure();
            let body = Body::whole(Bytes::from_static(b"bytes"));
            let put = within_deadline(sink.put("a.ogg", info(), body)).await;
            assert_eq!(put.is_ok(), comes, "{attempts} {put:?}");
            assert!(put.err().is_none_or(|error| error.retryable));
            assert_eq!(sink.backpressure() - told, too_fast as u64);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_prove_who_writes_is_in_the_request() {
    let server = Server::start().await;
    let put = async |sink: Arc<dyn Sink>| {
        server.state.lock().unwrap().seen.clear();
        let body = Body::whole(Bytes::from_static(b"bytes"));
        sink.put("a.ogg", info(), body).await.unwrap();
        let state = server.state.lock().unwrap();
        let (_, path, headers) = state.seen[0].clone();
        let proof = headers.get("authorization");
        (path, proof.map(|proof| proof.to_str().unwrap().to_owned()))
    };
    let anonymous = json!({ "credentials": { "anonymous": true } });
    let (_, proof) = put(server.gcs(anonymous).await).await;
    assert!(proof.is_none_or(|proof| proof.trim() == "Bearer"));
    // A key that asks for no token, as emulators have it: a real one needs Google's log-in.
    let key = json!({ "private_key": "", "private_key_id": "", "client_email": "",
        "disable_oauth": true });
    let account = json!({ "credentials": { "service_account": key.to_string() } });
    put(server.gcs(account).await).await;
    let sas = json!({ "credentials": { "sas": "sv=2024&sig=hush" }, "overwrite": "always" });
    let (_, proof) = put(server.azure(sas).await).await;
    assert_eq!(proof, None);
    let state = server.state.lock().unwrap();
    let signed = state.asked.iter().any(|query| query.contains("sig=hush"));
    assert!(signed, "{:?}", state.asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_the_directory_logs_in_with_its_secret() {
    let server = Server::start().await;
    let harness = Harness::start(genesys_simulator::Settings {
        conversations: 5,
        ..Default::default()
    })
    .await;
    let config = harness.write(&harness.config_to(json!({ "type": "azure_blob",
        "account": "account", "container": "corp", "endpoint": server.url,
        "credentials": { "tenant_id": "directory", "client_id": "app", "client_secret": "hush" },
    })));
    let mut command = harness.program();
    command
        .args(["run", "--config"])
        .arg(config)
        .env("AZURE_AUTHORITY_HOST", &server.url);
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let ran = ran.await.unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let state = server.state.lock().unwrap();
    let log_in = &state.asked[0];
    for part in ["/directory/", "client_id=app", "client_secret=hush"] {
        assert!(log_in.contains(part), "{log_in}");
    }
    let (_, _, headers) = &state.seen[0];
    assert_eq!(headers["authorization"], "Bearer passing");
}
