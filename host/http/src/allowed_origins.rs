//! Which origins may be reached: what the component wants and the operator allows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use recording_host_model::{Origin, OriginRole};

/// Why a request is refused. The URL's path and query are left out: they may be secret.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Not a URL that can be requested.
    #[error("not an absolute http or https URL")]
    Malformed,
    /// Plain HTTP to another machine.
    #[error("{0} is not https")]
    Insecure(String),
    /// The operator's list does not have the origin.
    #[error("{0} is not an origin that this run may reach; add it to `allow` of the source")]
    Origin(String),
    /// The source does not name the origin for its requests: the operator's list can only narrow.
    #[error(
        "{0} is not an origin that the source names for its requests; check the URLs in its `options`"
    )]
    Unnamed(String),
    /// The source does not name the origin for media: the operator's list can only narrow.
    #[error(
        "{0} is not an origin that the source names for media; add it to `media_origins` in its `options`"
    )]
    UnnamedMedia(String),
    /// An address inside the network.
    #[error("{0} is a private address; set `allow_private_addresses: true` if that is meant")]
    Private(String),
}

impl OriginError {
    /// The short stable word for it where it costs a recording.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            OriginError::Malformed => "bad-link",
            _ => "origin-not-allowed",
        }
    }
}

/// The origins that a run may reach.
#[derive(Clone, Debug)]
pub struct AllowedOrigins {
    api: Vec<String>,
    token: Vec<String>,
    media: Vec<String>,
    /// The origins that the source names and the operator's list does not cover.
    narrowed: Vec<(OriginRole, String)>,
    private: bool,
}

impl AllowedOrigins {
    /// Allows what the component wants as far as the operator's list covers it; no list covers all.
    #[must_use]
    pub fn new(wanted: &[Origin], operator: Option<&[String]>, private: bool) -> Self {
        let named = wanted
            .iter()
            .map(|origin| (origin.role, normal(&origin.url)));
        let (allowed, narrowed): (Vec<_>, Vec<_>) = named.partition(|(_, url)| {
            operator.is_none_or(|list| list.iter().any(|allowed| covers(&normal(allowed), url)))
        });
        let of = |role| {
            let of_it = allowed.iter().filter(|(other, _)| *other == role);
            of_it.map(|(_, url)| url.clone()).collect()
        };
        AllowedOrigins {
            api: of(OriginRole::Api),
            token: of(OriginRole::Token),
            media: of(OriginRole::Media),
            narrowed,
            private,
        }
    }

    /// The same with a token endpoint that the operator names.
    #[must_use]
    pub fn with_token(mut self, url: &str) -> Self {
        self.token.push(normal(url));
        self
    }

    /// Checks that a request of the source may be sent.
    ///
    /// # Errors
    /// Names the rule that forbids it.
    pub fn api(&self, url: &str) -> Result<Url, OriginError> {
        self.check(url, &self.api, OriginRole::Api)
    }

    /// Checks that the credentials may be sent to this token endpoint.
    ///
    /// # Errors
    /// Names the rule that forbids it.
    pub fn token(&self, url: &str) -> Result<Url, OriginError> {
        self.check(url, &self.token, OriginRole::Token)
    }

    /// Checks that a download may be made.
    ///
    /// # Errors
    /// Names the rule that forbids it.
    pub fn media(&self, url: &str) -> Result<Url, OriginError> {
        self.check(url, &self.media, OriginRole::Media)
    }

    /// Returns true if connections to private addresses are allowed.
    #[must_use]
    pub fn private(&self) -> bool {
        self.private
    }

    fn check(&self, url: &str, patterns: &[String], role: OriginRole) -> Result<Url, OriginError> {
        let url = Url::parse(url).map_err(|_| OriginError::Malformed)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(OriginError::Malformed);
        }
        let origin = url.origin().ascii_serialization();
        if !patterns.iter().any(|pattern| covers(pattern, &origin)) {
            let mut narrowed = self.narrowed.iter();
            let named = narrowed.any(|(other, pattern)| *other == role && covers(pattern, &origin));
            return Err(match role {
                _ if named => OriginError::Origin(origin),
                OriginRole::Media => OriginError::UnnamedMedia(origin),
                _ => OriginError::Unnamed(origin),
            });
        }
        let private = match url.host() {
            Some(Host::Ipv4(ip)) => is_private(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => is_private(IpAddr::V6(ip)),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => return Err(OriginError::Malformed),
        };
        if private && !self.private {
            return Err(OriginError::Private(origin));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if private => Ok(url),
            "http" => Err(OriginError::Insecure(origin)),
            _ => Err(OriginError::Malformed),
        }
    }
}

/// An origin as it is compared: without path, default port, or other spellings of an address.
fn normal(url: &str) -> String {
    match Url::parse(url) {
        Ok(parsed) if !url.contains('*') => parsed.origin().ascii_serialization(),
        _ => url.trim_end_matches('/').to_owned(),
    }
}

/// Returns true if a pattern such as `https://*.example.com` covers an origin or a narrower pattern.
fn covers(pattern: &str, origin: &str) -> bool {
    if pattern == origin {
        return true;
    }
    let Some((scheme, host)) = pattern.split_once("://*.") else {
        return false;
    };
    origin
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_prefix("://"))
        .and_then(|rest| rest.strip_suffix(host))
        .is_some_and(|label| label.ends_with('.') && label.len() > 1)
}

/// Returns true if an address belongs to this machine or a network that is not the Internet.
#[must_use]
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_private_v4(ip),
        IpAddr::V6(ip) => {
            if let Some(inner) = inner_v4(ip) {
                return is_private_v4(inner);
            }
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_multicast()
        }
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_multicast()
        || a == 0
        // Carrier-grade NAT, RFC 6598.
        || (a == 100 && (64..128).contains(&b))
}

/// The IPv4 address inside a mapped (`::ffff:0:0/96`) or NAT64 (`64:ff9b::/96`) one.
fn inner_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    ip.to_ipv4_mapped().or_else(|| match ip.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str, role: OriginRole) -> Origin {
        Origin {
            url: url.to_owned(),
            role,
        }
    }

    #[test]
    fn only_what_is_wanted_and_allowed_is_reached() {
        let wanted = [
            origin("https://api.example.com", OriginRole::Api),
            origin("https://*.media.example", OriginRole::Media),
        ];
        let allow = AllowedOrigins::new(&wanted, None, false);
        assert!(allow.api("https://api.example.com/x?y").is_ok());
        assert!(allow.api("https://api.example.com:8443/x").is_err());
        assert!(allow.api("https://a.media.example/").is_err());
        assert!(allow.media("https://a.media.example/x").is_ok());
        assert!(allow.media("https://media.example/x").is_err());
        assert!(allow.media("https://evilmedia.example/x").is_err());
        let operator = ["https://api.example.com".to_owned()];
        let narrowed = AllowedOrigins::new(&wanted, Some(&operator), false);
        let refused = narrowed
            .media("https://a.media.example/x?sig=1")
            .unwrap_err();
        assert!(matches!(refused, OriginError::Origin(_)), "{refused}");
        assert!(narrowed.api("https://api.example.com:443/x").is_ok());
    }

    #[test]
    fn a_refusal_names_the_host_and_what_would_help_but_never_the_query() {
        let wanted = [origin("https://a.media.example", OriginRole::Media)];
        let operator = ["https://other.example".to_owned()];
        let narrowed = AllowedOrigins::new(&wanted, Some(&operator), false);
        let open = AllowedOrigins::new(&wanted, None, false);
        for (refused, word) in [
            (
                narrowed.media("https://a.media.example/x?sig=secret"),
                "`allow`",
            ),
            (
                narrowed.media("https://cdn.example.net/x?sig=secret"),
                "`media_origins`",
            ),
            (
                open.media("https://cdn.example.net/x?sig=secret"),
                "`media_origins`",
            ),
            (
                open.api("https://cdn.example.net/x?sig=secret"),
                "`options`",
            ),
        ] {
            let error = refused.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(word) && text.contains(".example"), "{text}");
            assert!(!text.contains("secret"), "{text}");
            assert_eq!(error.code(), "origin-not-allowed");
        }
        for link in [
            "",
            "cdn/x",
            "file:///etc/passwd",
            "data:,x",
            "http://[::1",
            "ftp://a.media.example/x",
        ] {
            assert_eq!(open.media(link).unwrap_err().code(), "bad-link", "{link}");
        }
    }

    #[test]
    fn credentials_go_only_to_a_token_endpoint_that_the_operator_allows() {
        let wanted = [origin(
            "https://login.evil.example/oauth/token",
            OriginRole::Token,
        )];
        let operator = ["https://login.example.com".to_owned()];
        let url = "https://login.evil.example/oauth/token";
        assert!(AllowedOrigins::new(&wanted, None, false).token(url).is_ok());
        assert!(
            AllowedOrigins::new(&wanted, Some(&operator), false)
                .token(url)
                .is_err()
        );
        let plain = [origin(
            "http://login.example.com/oauth/token",
            OriginRole::Token,
        )];
        let allow = AllowedOrigins::new(&plain, None, true);
        assert!(allow.token("http://login.example.com/oauth/token").is_err());
    }

    #[test]
    fn private_addresses_need_the_operators_word() {
        let wanted = [
            origin("http://127.0.0.1:8080", OriginRole::Media),
            origin("http://[::ffff:10.0.0.1]", OriginRole::Media),
        ];
        let closed = AllowedOrigins::new(&wanted, None, false);
        for url in ["http://127.0.0.1:8080/a?sig=1", "http://[::ffff:10.0.0.1]/"] {
            let error = closed.media(url).unwrap_err();
            assert!(matches!(error, OriginError::Private(_)), "{error}");
            assert!(!error.to_string().contains("sig"));
        }
        let open = AllowedOrigins::new(&wanted, None, true);
        assert!(open.media("http://127.0.0.1:8080/a").is_ok());
    }
}
