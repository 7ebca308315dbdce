//! A server between a simulated contact center and an export: it hands on what is said, but for what a
//! test changes.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use serde_json::{Value, json};

use crate::support::{Harness, answering};

/// An answer of the API as it is.
pub(super) fn unchanged(answer: String, _url: &str) -> String {
    answer
}

/// The configuration of an export by way of such a server. `media` says what is served for a path
/// instead of the file, with its type; `edit` changes an answer of the API, whose links lead to the URL
/// that it is given.
pub(super) async fn between(
    harness: &Harness,
    media: impl Fn(&str) -> Option<(Vec<u8>, String)> + Send + Sync + 'static,
    edit: impl Fn(String, &str) -> String + Send + Sync + 'static,
) -> Value {
    let (api, files) = (harness.simulator.api_url(), harness.simulator.media_url());
    let (media, edit) = (Arc::new(media), Arc::new(edit));
    let client = reqwest::Client::new();
    let url = answering(move |request: Request<Incoming>| {
        let (media, edit, client) = (Arc::clone(&media), Arc::clone(&edit), client.clone());
        let (api, files) = (api.clone(), files.clone());
        async move {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            let path = request.uri().path().to_owned();
            let is_api = path.starts_with("/api/");
            if !is_api && let Some((body, kind)) = media(&path) {
                let response = Response::builder().header("content-type", kind);
                return response.body(Full::new(Bytes::from(body))).unwrap();
            }
            let answer = forward(&client, request, if is_api { &api } else { &files }).await;
            if !is_api {
                return answer;
            }
            let (head, body) = answer.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let Ok(text) = String::from_utf8(body.to_vec()) else {
                return Response::from_parts(head, Full::new(body));
            };
            let url = format!("http://{host}");
            let text = edit(text.replace(&files, &url), &url);
            Response::from_parts(head, Full::new(text.into()))
        }
    })
    .await;
    let mut config = harness.config();
    let options = &mut config["sources"]["calls"]["options"];
    options["media_origins"] = json!([url]);
    options["api_url"] = json!(url);
    config
}

/// Makes a request of another server.
async fn forward(
    client: &reqwest::Client,
    request: Request<Incoming>,
    to: &str,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().unwrap().as_str();
    let path = path.strip_prefix("/copy").unwrap_or(path);
    let mut forwarded = client.request(head.method, format!("{to}{path}"));
    for (name, value) in &head.headers {
        if name != "host" && name != "content-length" {
            forwarded = forwarded.header(name, value);
        }
    }
    let body = body.collect().await.unwrap().to_bytes();
    let answer = forwarded.body(body).send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != "content-length" && name != "transfer-encoding" {
            response = response.header(name, value);
        }
    }
    let body = answer.bytes().await.unwrap();
    response.body(Full::new(body)).unwrap()
}
