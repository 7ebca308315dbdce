//! Metrics and health over HTTP: `/metrics`, `/healthz`, `/readyz`.

use std::{convert::Infallible, future::Future, net::SocketAddr};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{Health, Metrics};

/// The content type of the text format of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Listens on an address; the future that it returns serves until it is dropped.
///
/// `/metrics` is for Prometheus; `/healthz` has the status 503 if a run is stuck, `/readyz` if its source
/// does not answer or a sink is unavailable, each with the reasons.
///
/// # Errors
/// An error of the system if the address is in use or not one of this machine.
pub async fn serve(
    address: SocketAddr,
    metrics: Metrics,
    health: Health,
) -> std::io::Result<(SocketAddr, impl Future<Output = ()> + Send)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let serving = async move {
        loop {
            // Too many open files, say: it passes.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let (metrics, health) = (metrics.clone(), health.clone());
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let response = respond(&request, &metrics, &health);
                    async move { Ok::<_, Infallible>(response) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new());
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    Ok((address, serving))
}

fn respond(
    request: &Request<Incoming>,
    metrics: &Metrics,
    health: &Health,
) -> Response<Full<Bytes>> {
    let reported = |reasons: Vec<String>| match reasons.is_empty() {
        true => (
            StatusCode::OK,
            "text/plain; charset=utf-8",
            "ok\n".to_owned(),
        ),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "text/plain; charset=utf-8",
            reasons.join("\n") + "\n",
        ),
    };
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, kind, body) = match request.uri().path() {
        _ if !read => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
        "/metrics" => (StatusCode::OK, OPEN_METRICS, metrics.text()),
        "/healthz" => reported(health.stuck()),
        "/readyz" => reported(health.hindered()),
        _ => (StatusCode::NOT_FOUND, "text/plain", String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
