//! Serves the page over HTTP, and keeps its index up to date meanwhile.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{Page, refresh, route};

/// How often new receipts are looked for, at least.
const PAUSE: Duration = Duration::from_secs(60);

/// Serves until it is dropped.
pub fn serve(listener: TcpListener, page: Arc<Page>) -> impl Future<Output = ()> + Send {
    let refreshing = refresh::keep(Arc::clone(&page), PAUSE);
    let serving = async move {
        loop {
            // Too many open files, say: it passes.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let page = Arc::clone(&page);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let page = Arc::clone(&page);
                    async move { Ok::<_, Infallible>(route::respond(&page, request).await) }
                });
                let mut http = hyper::server::conn::http1::Builder::new();
                http.timer(TokioTimer::new());
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    async move {
        tokio::join!(serving, refreshing);
    }
}
