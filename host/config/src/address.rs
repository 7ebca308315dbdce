//! URLs of servers that a configuration names: what may stand in one.

use url::Url;

/// Reads a URL that can be requested: of HTTP or HTTPS, with a host, without a user. An error says what the
/// URL does wrong, and shows nothing of it but the host.
pub(super) fn web(text: &str) -> Result<Url, String> {
    let rest = ["https://", "http://"].iter();
    let Some(rest) = rest
        .into_iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return Err("does not begin with https:// or http://".to_owned());
    };
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("holds white space".to_owned());
    }
    let url = match Url::parse(text) {
        Ok(url) if !rest.starts_with('/') && url.port() != Some(0) => url,
        Ok(url) if url.port() == Some(0) => return Err("has the port 0".to_owned()),
        Err(url::ParseError::InvalidPort) => {
            return Err("has a port that is not within 1 and 65535".to_owned());
        }
        _ => return Err("has no host, or one that is none".to_owned()),
    };
    if !url.username().is_empty() || url.password().is_some() {
        let host = url.host_str().unwrap_or_default();
        return Err(format!("holds a user or a password (for {host})"));
    }
    Ok(url)
}

/// Reads the URL that all URLs of a server begin with: one that can be requested, without query and
/// fragment. An error shows it, unless a password may stand in it.
pub(super) fn server(text: &str) -> Result<Url, String> {
    let url = web(text).and_then(|url| match (url.query(), url.fragment()) {
        (None, None) => Ok(url),
        (Some(_), _) => Err("has a query (`?`)".to_owned()),
        (None, Some(_)) => Err("has a fragment (`#`)".to_owned()),
    });
    url.map_err(|reason| {
        let shown = match text.contains('@') || text.contains('?') {
            true => "the URL".to_owned(),
            false => format!("`{text}`"),
        };
        format!("{shown} is not of the form https://host:port: it {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_scheme_host_and_port_and_no_password_is_told() {
        for good in [
            "https://minio.example.com:9000",
            "http://127.0.0.1:10000/account",
            "http://[::1]:9000/",
        ] {
            assert!(server(good).is_ok(), "{good}");
        }
        for (wrong, words) in [
            (
                "foo",
                "`foo` is not of the form https://host:port: it does not begin",
            ),
            (
                "",
                "`` is not of the form https://host:port: it does not begin",
            ),
            ("ftp://host", "it does not begin with https:// or http://"),
            ("http://", "it has no host"),
            ("http:///bucket", "it has no host"),
            ("http://:9000", "it has no host"),
            (
                "http://host:99999",
                "it has a port that is not within 1 and 65535",
            ),
            ("http://host:0", "it has the port 0"),
            ("http://ho st", "it holds white space"),
            ("http://host ", "it holds white space"),
            (
                "http://host?sig=hush",
                "the URL is not of the form https://host:port: it has a query",
            ),
            ("http://host#x", "it has a fragment"),
            (
                "http://u:hush@host",
                "it holds a user or a password (for host)",
            ),
            ("http://u:hush@host:99999", "the URL is not of the form"),
            ("u:hush@host", "the URL is not of the form"),
        ] {
            let error = server(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
