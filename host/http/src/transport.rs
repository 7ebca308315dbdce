//! One request and its answer, as the network gives them: no retry, no judgment.

use std::fmt::Debug;

use async_trait::async_trait;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{
    coding::{self, CodingError},
    intermediary::{fault, shown},
};
use recording_host_model::{Method, Request, RequestError, Response, printable};

/// The largest answer that a component is handed, in bytes.
const ANSWER: u64 = 16 << 20;

/// The parts of a request that a proof can be about.
#[derive(Clone, Copy, Debug)]
pub struct SignableRequest<'a> {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: &'a Url,
    /// Name and value of each header.
    pub headers: &'a [(String, String)],
    /// The body; empty if there is none.
    pub body: &'a [u8],
}

/// The credentials of a request.
#[derive(Clone, Copy)]
pub enum RequestCredentials<'a> {
    /// Nothing.
    None,
    /// The value of the Authorization header.
    Bearer(&'a HeaderValue),
    /// Headers that sign the request.
    Signed(&'a HeaderMap),
    /// User and password.
    Basic(&'a SecretString, &'a SecretString),
}

impl RequestCredentials<'_> {
    /// Adds them to a request.
    pub(super) fn add_to(self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self {
            RequestCredentials::None => request,
            RequestCredentials::Bearer(token) => {
                request.header(reqwest::header::AUTHORIZATION, token)
            }
            RequestCredentials::Signed(headers) => request.headers(headers.clone()),
            RequestCredentials::Basic(user, password) => {
                request.basic_auth(user.expose_secret(), Some(password.expose_secret()))
            }
        }
    }
}

/// Sends requests.
#[async_trait]
pub trait HttpTransport: Send + Sync + Debug {
    /// Sends a request to `url` and reads its answer, whatever the status.
    async fn exchange(
        &self,
        url: &Url,
        request: &Request,
        credentials: RequestCredentials<'_>,
    ) -> Result<Response, RequestError>;
}

#[async_trait]
impl HttpTransport for reqwest::Client {
    async fn exchange(
        &self,
        url: &Url,
        request: &Request,
        credentials: RequestCredentials<'_>,
    ) -> Result<Response, RequestError> {
        let unreachable = |error: reqwest::Error| RequestError::Unreachable(fault(&error));
        let mut builder = self
            .request(method(request.method), url.clone())
            .header(ACCEPT_ENCODING, coding::ACCEPTED);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        builder = credentials.add_to(builder);
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let mut response = builder.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let headers: Vec<(String, String)> = response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let announced = response.content_length().unwrap_or_default().min(ANSWER);
        let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or_default());
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if (body.len() + chunk.len()) as u64 > ANSWER {
                return Err(RequestError::TooLarge(ANSWER));
            }
            body.extend_from_slice(&chunk);
        }
        decoded(url, status, headers, body)
    }
}

/// An answer as it is without its content codings.
fn decoded(
    url: &Url,
    status: u16,
    mut headers: Vec<(String, String)>,
    body: Vec<u8>,
) -> Result<Response, RequestError> {
    let codings = headers
        .iter()
        .filter(|(name, _)| name == "content-encoding");
    let codings: Vec<&str> = codings.map(|(_, value)| value.as_str()).collect();
    let codings = codings.join(",");
    let body = coding::decoded(&codings, body, ANSWER).map_err(|error| match error {
        CodingError::TooLarge => RequestError::TooLarge(ANSWER),
        CodingError::Unknown => RequestError::Unreachable(format!(
            "{} answered with the content coding `{}`, which was not asked for",
            shown(url),
            printable(&codings)
        )),
        CodingError::Broken => RequestError::Unreachable(format!(
            "{} answered with a body that is not `{}`, as it says",
            shown(url),
            printable(&codings)
        )),
    })?;
    if !codings.is_empty() {
        // They are those of the body that came.
        headers.retain(|(name, _)| name != "content-encoding" && name != "content-length");
    }
    Ok(Response {
        status,
        headers,
        body,
    })
}

pub(super) fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// The name of a method.
pub(super) fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    }
}
