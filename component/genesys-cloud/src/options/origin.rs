//! The form of URLs in options: an origin that no URL has would cost every recording below it.

use recording_source_sdk::options::is_plain;

/// The end of a message about an origin.
const FORM: &str =
    "give scheme and host, such as https://media.example.com or https://*.example.com";

/// Refuses what is no URL that others can begin with. The message does not show it: the host refuses
/// users and passwords later.
pub(super) fn base_url(url: &str) -> Result<(), String> {
    let rest = after_scheme(url).ok_or("must begin with `https://`")?;
    for (mark, what) in [('?', "a query"), ('#', "a fragment")] {
        if rest.contains(mark) {
            return Err(format!(
                "has {what} (`{mark}`), and paths are put behind it; end it with the host or a path"
            ));
        }
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    checked_host(host)
        .map_err(|reason| format!("{reason}; give a URL such as https://api.mypurecloud.ie"))
}

/// Refuses what is no origin, and a pattern that covers none or a whole top-level domain.
pub(super) fn media_origin(text: &str) -> Result<(), String> {
    // One with a user may hold a password.
    let shown = match text.contains('@') {
        true => "the origin".to_owned(),
        false => format!("`{text}`"),
    };
    origin(text).map_err(|reason| format!("{shown} {reason}; {FORM}"))
}

fn origin(text: &str) -> Result<(), String> {
    let rest = after_scheme(text).ok_or("does not begin with `https://`")?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains('@') {
        return Err("has a user".to_owned());
    }
    if host.contains(['/', '?', '#']) {
        return Err("has more than a host behind the scheme".to_owned());
    }
    let Some(domain) = host.strip_prefix("*.") else {
        if host.contains('*') {
            return Err("has a `*` that is not the first of three labels or more".to_owned());
        }
        return checked_host(host);
    };
    checked_host(domain)?;
    let (name, port) = domain.split_once(':').unwrap_or((domain, ""));
    let labels: Vec<&str> = name.split('.').collect();
    if labels.len() < 2 || labels.contains(&"") {
        return Err("has a `*` that is not the first of three labels or more".to_owned());
    }
    // Patterns are compared with origins as these are written: in lower case, without the port of the scheme.
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(
            "has upper-case letters, and names below a domain are compared in lower case"
                .to_owned(),
        );
    }
    match (text.starts_with("https:"), port) {
        (true, "443") | (false, "80") => Err(format!(
            "names the port {port}, which its scheme has anyway and no origin tells"
        )),
        _ => Ok(()),
    }
}

fn after_scheme(url: &str) -> Option<&str> {
    let schemes = ["https://", "http://"];
    schemes.iter().find_map(|scheme| url.strip_prefix(scheme))
}

/// Refuses what is neither a name nor an address, perhaps with a port.
fn checked_host(text: &str) -> Result<(), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("address", rest),
        Some(_) => return Err("has a host that is no address".to_owned()),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err("has no host".to_owned());
    }
    if !is_plain(host, ".-_") || host.starts_with('.') || host.contains("..") {
        return Err("has a host that is neither a name nor an address".to_owned());
    }
    let number = port.strip_prefix(':').filter(|digits| is_plain(digits, ""));
    match (port, number.and_then(|digits| digits.parse::<u16>().ok())) {
        ("", _) | (_, Some(1..)) => Ok(()),
        _ => Err("has a port that is not within 1 and 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_host_and_a_star_stands_for_one_label_before_a_domain() {
        for good in [
            "https://media.example.com",
            "https://Media.Example.com:443/",
            "https://*.amazonaws.com",
            "https://*.amazonaws.com:8443",
            "http://127.0.0.1:18082",
            "http://localhost:8080",
            "http://[::1]:8080",
        ] {
            assert_eq!(media_origin(good), Ok(()), "{good}");
        }
        for (wrong, words) in [
            ("foo", "`foo` does not begin with `https://`; give scheme"),
            ("127.0.0.1:18082", "does not begin"),
            ("ftp://a.example", "does not begin"),
            ("https://", "has no host"),
            ("https://:443", "has no host"),
            ("https://*", "has a `*` that is not the first of three"),
            ("https://*.com", "has a `*` that is not the first of three"),
            ("https://*.com.", "has a `*` that is not the first of three"),
            (
                "https://a.*.example",
                "has a `*` that is not the first of three",
            ),
            (
                "https://*a.example.com",
                "has a `*` that is not the first of three",
            ),
            ("https://*.*.example.com", "neither a name nor an address"),
            ("https://*.Example.com", "upper-case"),
            ("https://*.example.com:443", "names the port 443"),
            ("https://a.example/path", "has more than a host"),
            ("https://a.example?x", "has more than a host"),
            ("https://u:hush@a.example", "the origin has a user"),
            (
                "https://a.example:65536",
                "has a port that is not within 1 and 65535",
            ),
            ("https://a.example:", "has a port"),
            ("https://a b.example", "neither a name nor an address"),
            ("https://[x]", "is no address"),
        ] {
            let error = media_origin(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_base_url_may_have_a_path_and_nothing_behind_it() {
        for good in [
            "https://api.mypurecloud.ie",
            "http://127.0.0.1:80/below",
            // The host says more of it.
            "https://u:p@api.example",
        ] {
            assert_eq!(base_url(good), Ok(()), "{good}");
        }
        for (wrong, words) in [
            ("api.example", "must begin with `https://`"),
            ("https://", "has no host"),
            ("https://a.example:99999", "has a port that is not within"),
            ("https://a.example?x=hush", "has a query"),
            ("https://a.example/#hush", "has a fragment"),
            ("https://*.example.com", "neither a name nor an address"),
        ] {
            let error = base_url(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
