//! Tells what stands between this machine and a server from the server itself: a proxy, a gateway, a
//! portal that wants a log-in, something else at that port.
//!
//! Its answers say nothing of credentials and permissions, and are mostly gone after a while.

use std::error::Error;

use url::Url;

use super::{header, proxy};
use recording_host_model::Response;

/// How much of a body is looked at.
const BEGINNING: usize = 512;

/// Says what answered in place of the API at `url`, if something did.
pub(super) fn answered(url: &Url, response: &Response) -> Option<String> {
    let host = shown(url);
    let status = response.status;
    match status {
        407 => return Some(demands(url)),
        511 => {
            return Some(format!(
                "a portal wants a log-in before {host} can be reached (status 511)"
            ));
        }
        // An edge of the vendor's own says these, and they are about the request.
        400 | 402 | 406 | 408..=431 => return None,
        _ => {}
    }
    is_page(response).then(|| {
        let by = match proxy::of(url) {
            Some(proxy) => format!("the proxy {proxy}, or another"),
            None => "a proxy, a gateway or a portal".to_owned(),
        };
        format!(
            "{by} on the way to {host} answered in its place: a page of HTML with status {status}"
        )
    })
}

/// Says that a redirect is not followed; `why` is the rule that forbids it.
pub(super) fn redirected(url: &Url, to: &Url, why: &str) -> String {
    format!(
        "{} redirects to {}, where requests with credentials do not go: {why}. It may be a portal or a proxy that wants a log-in",
        shown(url),
        shown(to)
    )
}

/// The proxy on the way to `url` wants a log-in of its own.
pub(super) fn demands(url: &Url) -> String {
    let host = shown(url);
    let (by, variable) = match (proxy::of(url), url.scheme()) {
        (Some(proxy), "http") => (format!("the proxy {proxy}"), "HTTP_PROXY"),
        (Some(proxy), _) => (format!("the proxy {proxy}"), "HTTPS_PROXY"),
        (None, _) => ("a proxy".to_owned(), "HTTPS_PROXY"),
    };
    format!(
        "{by} on the way to {host} demands a log-in of its own (407); give user and password in {variable}, such as http://user:password@proxy.example:3128"
    )
}

/// Returns true if a body is a page for a browser, whatever it is called.
pub(super) fn is_page(response: &Response) -> bool {
    let html = header(response, "content-type").is_some_and(|kind| {
        let kind = kind.trim_start().to_ascii_lowercase();
        kind.starts_with("text/html") || kind.starts_with("application/xhtml")
    });
    let body = response.body.strip_prefix(b"\xef\xbb\xbf");
    let body = body.unwrap_or(&response.body).trim_ascii_start();
    let beginning = body[..body.len().min(BEGINNING)].to_ascii_lowercase();
    html || beginning.starts_with(b"<!doctype html") || beginning.starts_with(b"<html")
}

/// Host and port: the rest of a URL may be a secret.
pub(super) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// A description of a failed request: where, what, and how to fix it. It is without the URL's path and
/// query, which may be a signature.
pub(super) fn fault(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(deeper) = cause {
        causes.push(deeper.to_string());
        cause = deeper.source();
    }
    let kind = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let Some(url) = error.url() else {
        return described(kind, causes.last());
    };
    let host = shown(url);
    let said = |words: &[&str]| {
        let says = |cause: &String| words.iter().any(|word| cause.contains(word));
        causes.iter().any(says)
    };
    if said(&["proxy authorization required"]) {
        return demands(url);
    }
    let by = proxy::of(url);
    if let (Some(by), true) = (&by, said(&["tunnel error"])) {
        return format!(
            "the proxy {by} does not connect to {host} ({}); see whether it allows that host",
            causes.last().map_or("", String::as_str)
        );
    }
    let advice = if said(&["UnknownIssuer", "self-signed", "SelfSigned"]) {
        "; if a proxy inspects TLS, or the server is your own, give its certificate authority in a file that SSL_CERT_FILE names"
    } else if said(&["InvalidContentType", "corrupt message"]) {
        "; what answers there does not speak TLS: check scheme and port"
    } else if said(&["received fatal alert"]) {
        "; the server, or a proxy that inspects TLS, ended the handshake"
    } else if said(&["invalid HTTP version", "invalid HTTP header", "http2 error"]) {
        "; what answers there does not speak HTTP: check scheme and port"
    } else {
        ""
    };
    let to = match by {
        Some(proxy) if error.is_connect() => format!("{host}, by the proxy {proxy}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, kind: &str, body: &str) -> Response {
        Response {
            status,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            body: body.into(),
        }
    }

    #[test]
    fn a_page_in_place_of_an_answer_is_of_something_on_the_way_and_named_with_the_host() {
        let url = Url::parse("https://api.example.com/v2/calls?sig=hush").unwrap();
        for (status, kind, body) in [
            (200, "text/html; charset=utf-8", "blocked"),
            (200, "application/json", "\u{feff} <!DOCTYPE HTML><html>"),
            (403, "", "\n<html><body>Forbidden"),
            (502, "text/html", "<html>"),
            (407, "text/plain", ""),
            (511, "text/html", ""),
        ] {
            let told = answered(&url, &response(status, kind, body));
            let told = told.unwrap_or_else(|| panic!("{status} {kind}"));
            assert!(told.contains("api.example.com"), "{told}");
            assert!(told.contains(&status.to_string()), "{told}");
            assert!(!told.contains("hush"), "{told}");
        }
        for (status, kind, body) in [
            (200, "application/json", "{\"x\": \"<html>\"}"),
            (
                403,
                "application/xml",
                "<Error><Code>AccessDenied</Code></Error>",
            ),
            (413, "text/html", "<html>"),
            (429, "text/html", "<html>"),
            (404, "", ""),
        ] {
            assert_eq!(
                answered(&url, &response(status, kind, body)),
                None,
                "{status}"
            );
        }
    }
}
