//! The description and the needs of a source, known without any configuration.

/// The description and the needs of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The name by which configurations call it, in snake case.
    pub name: String,
    /// Its own version, in semver.
    pub version: String,
    /// The service that it reads from, as its vendor writes it.
    pub vendor: String,
    /// A JSON Schema of the options that it accepts.
    pub options_schema: String,
    /// The credentials that the host must add to its requests.
    pub auth: AuthScheme,
    /// The vendor's documented request limit, if there is one.
    pub rate_limit: Option<RateLimit>,
    /// The classes of personal data in its records and recordings.
    pub data_classes: Vec<DataClass>,
}

/// How the host authenticates a source's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// Requests carry no credentials.
    None,
    /// OAuth 2.0 client credentials (RFC 6749, section 4.4), sent as a bearer token.
    Oauth2ClientCredentials,
    /// AWS Signature Version 4.
    AwsSigv4,
    /// A user name and a password (RFC 7617).
    Basic,
    /// A secret, such as an API key, in a header.
    Header(AuthHeader),
}

/// A header that carries a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthHeader {
    /// Its name in lower case.
    pub name: String,
    /// The text before the secret in its value.
    pub prefix: String,
}

/// A documented limit on requests, shared by all requests of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests allowed in one minute.
    pub requests_per_minute: u32,
    /// The response header that counts the requests of the current window.
    pub count_header: Option<String>,
    /// The response header that names how many the window allows.
    pub allowed_header: Option<String>,
    /// The response header that says in how many seconds the window ends.
    pub reset_header: Option<String>,
}

/// A class of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataClass {
    /// Sound of a person's voice.
    Voice,
    /// Pictures of a person's screen.
    Screen,
    /// Text that a person wrote.
    Text,
    /// Telephone numbers or other addresses.
    Address,
    /// Names of persons.
    Name,
}
