//! Makes the connections of the crate `object_store`, and listens to each answer, since that crate
//! repeats requests that are refused.

use std::error::Error;

use async_trait::async_trait;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpService, ReqwestConnector,
    },
};

use recording_host_network::{failed, layers, proxy};
use recording_host_sink::Backpressure;
use url::Url;

/// Makes connections, and notes answers that ask for less.
#[derive(Debug)]
pub(super) struct Connector(pub(super) Backpressure);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Listener {
            client: ReqwestConnector::default().connect(options)?,
            backpressure: self.0.clone(),
        }))
    }
}

#[derive(Debug)]
struct Listener {
    client: HttpClient,
    backpressure: Backpressure,
}

#[async_trait]
impl HttpService for Listener {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.uri().to_string()).ok();
        let answer = self.client.execute(request).await;
        match &answer {
            Ok(answer) => self.backpressure.on_response(answer.status().as_u16()),
            Err(error) if error.kind() == HttpErrorKind::Timeout => self.backpressure.on_timeout(),
            Err(_) => {}
        }
        match url {
            Some(url) => named(&url, answer),
            None => answer,
        }
    }
}

/// An answer of a proxy on the way, or a connection that something stands in the way of, in words.
#[derive(Debug)]
struct Obstacle(String);

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Obstacle {}

/// What came of a request to `url`, where proxies are told apart from the server.
fn named(url: &Url, answer: Result<HttpResponse, HttpError>) -> Result<HttpResponse, HttpError> {
    match answer {
        Ok(answer) => match proxy::answered(url, answer.status().as_u16()) {
            Some(by) => {
                // That of a proxy that wants a log-in does not pass; others are tried again.
                let kind = match answer.status().as_u16() {
                    407 => HttpErrorKind::Unknown,
                    _ => HttpErrorKind::Connect,
                };
                Err(HttpError::new(kind, Obstacle(by)))
            }
            None => Ok(answer),
        },
        Err(error) => {
            let kind = error.kind();
            let words = match kind {
                HttpErrorKind::Connect => "no connection",
                HttpErrorKind::Timeout => "timed out",
                _ => "the connection broke",
            };
            let reason = failed(url, words, &layers(&error));
            Err(HttpError::new(kind, Obstacle(reason)))
        }
    }
}
