//! Tells what stands between this machine and a server from the server itself: a proxy, a gateway, a
//! portal that wants a log-in, something else at that port.
//!
//! Its answers say nothing of credentials and permissions, and are mostly gone after a while.

use url::Url;

use super::header;
use recording_host_model::Response;
use recording_host_network::proxy;
pub(super) use recording_host_network::{fault, proxy::demands, shown};

/// How much of a body is looked at.
const BEGINNING: usize = 512;

/// The pages that a server may answer a request with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pages {
    /// None: an API answers with none.
    None,
    /// Those that say that there is nothing at the URL, as web servers do.
    NotThere,
    /// All: the request asks for pages.
    All,
}

impl Pages {
    /// Those of a web server, by what the request accepts.
    pub(super) fn accepted_by(headers: &[(String, String)]) -> Self {
        let named = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("accept"));
        let accept: Vec<String> = named.map(|(_, value)| value.to_ascii_lowercase()).collect();
        if accept.iter().any(|value| value.contains("html")) {
            Pages::All
        } else if accept.iter().all(|value| value.contains("*/*")) {
            Pages::NotThere
        } else {
            Pages::None
        }
    }

    fn include(self, status: u16) -> bool {
        match self {
            Pages::None => false,
            Pages::NotThere => matches!(status, 404 | 410),
            Pages::All => true,
        }
    }
}

/// Says what answered in place of the API at `url`, if something did; `pages` may be its own.
pub(super) fn answered(url: &Url, response: &Response, pages: Pages) -> Option<String> {
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
    (is_page(response) && !pages.include(status)).then(|| {
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
            let reported = answered(&url, &response(status, kind, body), Pages::None);
            let reported = reported.unwrap_or_else(|| panic!("{status} {kind}"));
            assert!(reported.contains("api.example.com"), "{reported}");
            assert!(reported.contains(&status.to_string()), "{reported}");
            assert!(!reported.contains("hush"), "{reported}");
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
                answered(&url, &response(status, kind, body), Pages::None),
                None,
                "{status}"
            );
        }
    }

    #[test]
    fn a_web_server_says_with_a_page_that_there_is_nothing_and_with_others_where_they_are_asked_for()
     {
        let url = Url::parse("http://files.example.com/2026-01-05/index.json").unwrap();
        let handed_over = |pages, status| {
            let page = response(status, "text/html", "<!doctype html>");
            answered(&url, &page, pages).is_none()
        };
        for status in [404, 410] {
            assert!(handed_over(Pages::NotThere, status), "{status}");
        }
        // A log-in page is not the list that was asked for.
        for status in [200, 401, 403, 407, 500, 511] {
            assert!(!handed_over(Pages::NotThere, status), "{status}");
        }
        for status in [200, 401, 403, 404, 500] {
            assert!(handed_over(Pages::All, status), "{status}");
            assert!(!handed_over(Pages::None, status), "{status}");
        }
        assert!(!handed_over(Pages::All, 407) && !handed_over(Pages::All, 511));
    }

    #[test]
    fn the_header_accept_says_which_pages_may_be_answers() {
        for (accept, pages) in [
            (&[][..], Pages::NotThere),
            (&["*/*"], Pages::NotThere),
            (&["text/HTML, text/csv"], Pages::All),
            (&["application/json"], Pages::None),
            (&["text/csv", "text/plain"], Pages::None),
        ] {
            let header = |value: &&str| ("Accept".to_owned(), (*value).to_owned());
            let headers: Vec<_> = accept.iter().map(header).collect();
            assert_eq!(Pages::accepted_by(&headers), pages, "{accept:?}");
        }
    }
}
