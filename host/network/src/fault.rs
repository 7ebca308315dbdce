//! Words for a request that failed: what stands in its way, where, and how to fix it.

use std::error::Error;

use url::Url;

use crate::proxy;

/// The kind of a failure before there was a connection.
const NO_CONNECTION: &str = "no connection";

/// What helps where a layer says one of these words; the first that fits.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["UnknownIssuer", "self-signed", "SelfSigned"],
        "if a proxy inspects TLS, or the server is your own, give its certificate authority in a file that SSL_CERT_FILE names",
    ),
    (
        &[
            "peer certificate: certificate expired",
            "peer certificate: Expired",
        ],
        "the certificate of the server, or of a proxy that inspects TLS, has expired, if the clock of this machine is right",
    ),
    (
        &[
            "peer certificate: certificate not valid yet",
            "peer certificate: NotValidYet",
        ],
        "the certificate of the server, or of a proxy that inspects TLS, is not valid yet, if the clock of this machine is right",
    ),
    (
        &["certificate not valid for name", "NotValidForName"],
        "the certificate is for other names: check the host, or whether something else answers in its place",
    ),
    (
        &["InvalidContentType", "corrupt message"],
        "what answers there does not speak TLS: check scheme and port",
    ),
    (
        &["CertificateRequired", "certificate required"],
        "the server demands a certificate of its clients: give `cert` and `key` under `tls`",
    ),
    (
        &[
            "alert: BadCertificate",
            "alert: UnsupportedCertificate",
            "alert: CertificateRevoked",
            "alert: CertificateExpired",
            "alert: CertificateUnknown",
            "alert: UnknownCA",
        ],
        "the server does not accept the certificate of this client: see `cert` and `key` under `tls`",
    ),
    (
        &["alert: UnrecognisedName"],
        "the server does not know the name of this host: check it",
    ),
    (
        &["received fatal alert"],
        "the server, or a proxy that inspects TLS, ended the handshake: it may demand another version of TLS, or a certificate of its clients (`tls`)",
    ),
    // Its alert may come before the request, and be lost with the connection.
    (
        &["connection was not ready"],
        "the server closed the connection before the request was sent: if it demands a certificate of its clients, give `cert` and `key` under `tls`",
    ),
    (
        &["invalid HTTP version", "invalid HTTP header", "http2 error"],
        "what answers there does not speak HTTP: check scheme and port",
    ),
];

/// Host and port: the rest of a URL may be a secret.
#[must_use]
pub fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The causes of an error in words, the outermost first.
#[must_use]
pub fn layers(error: &dyn Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        causes.push(deeper.to_string());
        cause = deeper.source();
    }
    causes
}

/// A description of a failed request: where, what, and how to fix it. It is without the URL's path and
/// query, which may be a signature.
#[must_use]
pub fn fault(error: &reqwest::Error) -> String {
    let causes = layers(error);
    let kind = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        NO_CONNECTION
    } else {
        "the connection broke"
    };
    match error.url() {
        Some(url) => failed(url, kind, &causes),
        None => described(kind, causes.last()),
    }
}

/// A description of a failed request to `url`, of this kind, from what each layer says of it, the outermost
/// first.
#[must_use]
pub fn failed(url: &Url, kind: &str, causes: &[String]) -> String {
    let host = shown(url);
    let said = |words: &[&str]| {
        let says = |cause: &String| words.iter().any(|word| cause.contains(word));
        causes.iter().any(says)
    };
    if said(&["proxy authorization required"]) {
        return proxy::demands(url);
    }
    let by = proxy::of(url);
    if let (Some(by), true) = (&by, said(&["tunnel error", "unsuccessful tunnel"])) {
        return format!(
            "the proxy {by} does not connect to {host} ({}); see whether it allows that host",
            causes.last().map_or("", String::as_str)
        );
    }
    let advice = ADVICE.iter().find(|(words, _)| said(words));
    let advice = advice.map_or(String::new(), |(_, advice)| format!("; {advice}"));
    let to = match by {
        Some(proxy) if kind == NO_CONNECTION => format!("{host}, by the proxy {proxy}"),
        _ => host,
    };
    format!("{} ({to}){advice}", described(kind, causes.last()))
}

fn described(kind: &str, cause: Option<&String>) -> String {
    match cause {
        Some(cause) => format!("{kind}: {cause}"),
        None => kind.to_owned(),
    }
}
