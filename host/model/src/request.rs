//! Requests of a source and their responses.

/// An HTTP request; the host adds the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL.
    pub url: String,
    /// Name and value of each header.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
    /// True if sending it twice does no harm, so that the host may retry it after a fault.
    pub repeatable: bool,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
}

/// A server's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// Name and value of each header, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The host does not grant this request; the text says why.
    Refused(String),
    /// No connection, or it broke, or the time was up, as often as the host was ready to try.
    Unreachable(String),
    /// The response is larger than the host accepts; the limit in bytes.
    TooLarge(u64),
}

/// A web origin that a source wants to reach, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Scheme, host and port; a host may begin with `*.` for any name below it.
    /// For the role `token`, the whole URL of the token endpoint.
    pub url: String,
    /// Its use.
    pub role: OriginRole,
}

/// The use of an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginRole {
    /// Requests of the source, with credentials.
    Api,
    /// The host's own requests for access tokens.
    Token,
    /// Downloads behind pre-signed links, never with credentials.
    Media,
}
