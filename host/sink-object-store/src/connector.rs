//! Makes the connections of the crate `object_store`, and listens to each answer, since that crate
//! repeats requests that are refused.

use async_trait::async_trait;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpService, ReqwestConnector,
    },
};

use recording_host_sink::Backpressure;

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
        let answer = self.client.execute(request).await;
        match &answer {
            Ok(answer) => self.backpressure.on_response(answer.status().as_u16()),
            Err(error) if error.kind() == HttpErrorKind::Timeout => self.backpressure.on_timeout(),
            Err(_) => {}
        }
        answer
    }
}
