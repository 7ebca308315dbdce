//! The proxies that the environment names: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.
//!
//! The client itself heeds them; here they are named in errors, without the user and the password that
//! they may hold.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::ClientError;

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
pub(super) fn of(url: &Url) -> Option<String> {
    // The origin is enough to decide, and an URL that is printed must not have a query.
    let origin = url.origin().ascii_serialization().parse().ok()?;
    let by = Matcher::from_env().intercept(&origin)?;
    Some(by.uri().authority()?.to_string())
}

/// The names of the hosts that are proxies: they are mostly inside, and reached all the same.
pub(super) fn hosts() -> Vec<String> {
    let named = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    named.filter_map(|value| host(&value)).collect()
}

/// Refuses proxies of a sort that the client would not use.
pub(super) fn check() -> Result<(), ClientError> {
    for name in VARIABLES {
        let Ok(value) = std::env::var(name) else {
            continue;
        };
        if !value.trim().is_empty() && host(&value).is_none() {
            return Err(ClientError(format!(
                "the environment variable {name} names no proxy that can be used; give one such as http://proxy.example:3128, with http:// or https://"
            )));
        }
    }
    Ok(())
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
