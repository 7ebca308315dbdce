//! The proxies that the environment names: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
//!
//! The clients themselves heed them; here they are named in errors, without the user and the password that
//! they may hold.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::shown;

/// The variables that name a proxy.
const VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Host and port of the proxy that requests to `url` go through, if there is one.
#[must_use]
pub fn of(url: &Url) -> Option<String> {
    // The origin is enough to decide, and an URL that is printed must not have a query.
    let origin = url.origin().ascii_serialization().parse().ok()?;
    let by = Matcher::from_env().intercept(&origin)?;
    Some(by.uri().authority()?.to_string())
}

/// The names of the hosts that are proxies: they are mostly inside, and reached all the same.
#[must_use]
pub fn hosts() -> Vec<String> {
    let named = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    named.filter_map(|value| host(&value)).collect()
}

/// Refuses proxies of a sort that the clients would not use.
///
/// # Errors
/// Names the variable, and not its value.
pub fn check() -> Result<(), String> {
    for name in VARIABLES {
        let Ok(value) = std::env::var(name) else {
            continue;
        };
        if !value.trim().is_empty() && host(&value).is_none() {
            return Err(format!(
                "the environment variable {name} names no proxy that can be used; give one such as http://proxy.example:3128, with http:// or https://"
            ));
        }
    }
    Ok(())
}

/// The proxy on the way to `url` wants a log-in of its own.
#[must_use]
pub fn demands(url: &Url) -> String {
    let host = shown(url);
    let (by, variable) = match (of(url), url.scheme()) {
        (Some(proxy), "http") => (format!("the proxy {proxy}"), "HTTP_PROXY"),
        (Some(proxy), _) => (format!("the proxy {proxy}"), "HTTPS_PROXY"),
        (None, _) => ("a proxy".to_owned(), "HTTPS_PROXY"),
    };
    format!(
        "{by} on the way to {host} demands a log-in of its own (407); give user and password in {variable}, such as http://user:password@proxy.example:3128"
    )
}

/// Names the proxy on the way to `url` if an answer with this status is its own, or may be.
#[must_use]
pub fn answered(url: &Url, status: u16) -> Option<String> {
    match status {
        407 => Some(demands(url)),
        502..=504 => of(url).map(|proxy| {
            format!(
                "the proxy {proxy} on the way to {}, or what is behind it, answered {status}",
                shown(url)
            )
        }),
        _ => None,
    }
}

/// The host of a proxy as the variables name it, with or without a scheme.
fn host(value: &str) -> Option<String> {
    let value = value.trim();
    let url = match value.contains("://") {
        true => Url::parse(value),
        false => Url::parse(&format!("http://{value}")),
    };
    let url = url.ok()?;
    match url.scheme() {
        "http" | "https" => Some(url.host_str()?.to_ascii_lowercase()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_by_its_host_alone() {
        for value in [
            "http://proxy.corp.example:3128",
            "proxy.corp.example:3128",
            "https://user:hush@Proxy.corp.example/",
            " user:hush@proxy.corp.example:8080 ",
        ] {
            assert_eq!(
                host(value).as_deref(),
                Some("proxy.corp.example"),
                "{value}"
            );
        }
        for value in ["socks5://proxy.corp.example:1080", "http://", "://x"] {
            assert_eq!(host(value), None, "{value}");
        }
    }
}
