//! The client's transport with TLS settings of its own: that of the SDK shows no certificate to a server.

use std::{error::Error, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use recording_host_network::{ClientTls, TlsError, with_tls};

/// How long a connection may take to be made, and an answer to begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) read: Duration,
}

/// Sends the requests of an S3 client.
#[derive(Clone, Debug)]
pub(super) struct Transport(reqwest::Client);

impl Transport {
    /// One with these settings.
    pub(super) fn new(tls: &ClientTls, patience: Patience) -> Result<Self, TlsError> {
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(patience.connect)
            .read_timeout(patience.read);
        let client = with_tls(builder, tls)?.build();
        Ok(Transport(client.map_err(|error| {
            TlsError::Certificate(error.to_string())
        })?))
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Transport {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let unsound = |error: Box<dyn Error + Send + Sync>| ConnectorError::user(error);
            let request = request
                .try_into_http1x()
                .map_err(|error| unsound(error.into()))?
                .map(reqwest::Body::wrap);
            let request = reqwest::Request::try_from(request);
            let request = request.map_err(|error| unsound(error.into()))?;
            let answer = client.execute(request).await.map_err(failed)?;
            let answer: http::Response<reqwest::Body> = answer.into();
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// A request without an answer; its URL may be signed, and is not told.
fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false => ConnectorError::io(error.into()),
    }
}
