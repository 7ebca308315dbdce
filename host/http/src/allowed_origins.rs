//! Which origins may be reached: what the component wants and the operator allows.

use std::net::IpAddr;

use url::{Host, Url};

use super::private::is_private;
use recording_host_model::{Origin, OriginRole};

/// The origins that the operator's configuration allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginAllowList {
    /// Origins for whatever the source wants of them; those with a `*` for media alone.
    Any(Vec<String>),
    /// Origins by what they are for.
    ByRole {
        /// For requests with credentials, and for access tokens.
        api: Vec<String>,
        /// For downloads without credentials.
        media: Vec<String>,
    },
}

impl OriginAllowList {
    /// Returns true if an origin, or a pattern, may be used in this role.
    fn covers(&self, role: OriginRole, origin: &str) -> bool {
        let list = match (self, role) {
            (OriginAllowList::Any(list), _) => list,
            (OriginAllowList::ByRole { media, .. }, OriginRole::Media) => media,
            (OriginAllowList::ByRole { api, .. }, OriginRole::Api | OriginRole::Token) => api,
        };
        list.iter().map(|allowed| normal(allowed)).any(|allowed| {
            // Where credentials go is said in full: any name below a domain may be somebody else's.
            covers(&allowed, origin) && (role == OriginRole::Media || !allowed.contains('*'))
        })
    }

    /// The key of the configuration that an origin in this role is added to.
    fn key(&self, role: OriginRole) -> &'static str {
        match (self, role) {
            (OriginAllowList::Any(_), _) => "allow",
            (OriginAllowList::ByRole { .. }, OriginRole::Media) => "allow.media",
            (OriginAllowList::ByRole { .. }, _) => "allow.api",
        }
    }
}

/// Why a request is refused. The URL's path and query are left out: they may be secret.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Not a URL that can be requested.
    #[error("not an absolute http or https URL")]
    Malformed,
    /// A user or a password in the URL.
    #[error("the URL of {0} holds a user or a password; put credentials only into `auth`")]
    UserInfo(String),
    /// Plain HTTP to another machine.
    #[error("{0} is not https")]
    Insecure(String),
    /// The operator's list does not have the origin.
    #[error(
        "{origin} is not an origin that this run may reach; add it to `{key}` of the source (names with `*` apply to media only)"
    )]
    Origin {
        /// The origin.
        origin: String,
        /// The key of the configuration that it is lacking in.
        key: &'static str,
    },
    /// The source does not name the origin for its requests: the operator's list can only narrow.
    #[error(
        "{0} is not an origin that the source names for its requests; check the URLs in its `options`, or add it to the origins of its `start` with the role `api`"
    )]
    Unnamed(String),
    /// The source does not name the origin for media: the operator's list can only narrow.
    #[error(
        "{0} is not an origin that the source names for media; if its `options` have `media_origins`, add it there, else to the origins of its `start` with the role `media`"
    )]
    UnnamedMedia(String),
    /// An address inside the network.
    #[error(
        "{0} is a private address; set `allow_private_addresses: true` of the source if that is intended"
    )]
    Private(String),
}

impl OriginError {
    /// The short stable word for it where it costs a recording.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            OriginError::Malformed | OriginError::UserInfo(_) => "bad-link",
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
    /// The origins that the source names and the operator's list does not cover, with the key of that list.
    narrowed: Vec<(OriginRole, String, &'static str)>,
    private: bool,
}

impl AllowedOrigins {
    /// Allows what the component wants as far as the operator's list covers it; no list covers all.
    #[must_use]
    pub fn new(wanted: &[Origin], operator: Option<&OriginAllowList>, private: bool) -> Self {
        let mut allowed = AllowedOrigins {
            api: Vec::new(),
            token: Vec::new(),
            media: Vec::new(),
            narrowed: Vec::new(),
            private,
        };
        for Origin { url, role } in wanted {
            let (role, origin) = (*role, normal(url));
            match operator {
                Some(list) if !list.covers(role, &origin) => {
                    allowed.narrowed.push((role, origin, list.key(role)));
                }
                _ => allowed.list(role).push(origin),
            }
        }
        allowed
    }

    fn list(&mut self, role: OriginRole) -> &mut Vec<String> {
        match role {
            OriginRole::Api => &mut self.api,
            OriginRole::Token => &mut self.token,
            OriginRole::Media => &mut self.media,
        }
    }

    /// The same with a token endpoint that the operator names, and no other.
    #[must_use]
    pub fn with_token(mut self, url: &str) -> Self {
        self.token = vec![normal(url)];
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
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OriginError::UserInfo(origin));
        }
        // A pattern stands for media alone, whoever gives it.
        let covered = |pattern: &String| match role {
            OriginRole::Media => covers(pattern, &origin),
            OriginRole::Api | OriginRole::Token => *pattern == origin,
        };
        if !patterns.iter().any(covered) {
            let mut narrowed = self.narrowed.iter();
            let named =
                narrowed.find(|(other, pattern, _)| *other == role && covers(pattern, &origin));
            return Err(match (role, named) {
                (_, Some((_, _, key))) => OriginError::Origin { origin, key },
                (OriginRole::Media, None) => OriginError::UnnamedMedia(origin),
                (_, None) => OriginError::Unnamed(origin),
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
        let operator = OriginAllowList::Any(vec!["https://api.example.com".to_owned()]);
        let narrowed = AllowedOrigins::new(&wanted, Some(&operator), false);
        let refused = narrowed
            .media("https://a.media.example/x?sig=1")
            .unwrap_err();
        assert!(matches!(refused, OriginError::Origin { .. }), "{refused}");
        assert!(narrowed.api("https://api.example.com:443/x").is_ok());
    }

    #[test]
    fn a_refusal_names_the_host_and_what_would_help_but_never_the_query() {
        let wanted = [origin("https://a.media.example", OriginRole::Media)];
        let operator = OriginAllowList::Any(vec!["https://other.example".to_owned()]);
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
        let operator = OriginAllowList::Any(vec!["https://login.example.com".to_owned()]);
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

    #[test]
    fn no_role_is_raised_and_a_pattern_stands_for_media_alone() {
        let wanted = [
            origin("https://media.example", OriginRole::Api),
            origin("https://*.example.com", OriginRole::Api),
            origin("https://*.example.com", OriginRole::Media),
            origin("https://api.example.com", OriginRole::Api),
        ];
        let operator = OriginAllowList::ByRole {
            api: vec!["https://api.example.com".to_owned()],
            media: vec![
                "https://media.example".to_owned(),
                "https://*.example.com".to_owned(),
            ],
        };
        let allow = AllowedOrigins::new(&wanted, Some(&operator), false);
        assert!(allow.api("https://api.example.com/").is_ok());
        assert!(allow.media("https://cdn.example.com/").is_ok());
        let raised = allow.api("https://media.example/").unwrap_err();
        assert!(raised.to_string().contains("`allow.api`"), "{raised}");
        // Neither the component's pattern nor the operator's is one for credentials.
        let listed = OriginAllowList::Any(vec!["https://*.example.com".to_owned()]);
        for operator in [None, Some(&listed), Some(&operator)] {
            let allow = AllowedOrigins::new(&wanted[1..3], operator, false);
            assert!(
                allow.api("https://cdn.example.com/").is_err(),
                "{operator:?}"
            );
            assert!(
                allow.media("https://cdn.example.com/").is_ok(),
                "{operator:?}"
            );
        }
    }

    #[test]
    fn a_url_with_a_user_is_refused_without_telling_the_user() {
        let wanted = [origin("https://a.example", OriginRole::Media)];
        let allow = AllowedOrigins::new(&wanted, None, false);
        for url in ["https://user:hush@a.example/x", "https://hush@a.example/x"] {
            let error = allow.media(url).unwrap_err();
            assert_eq!(error.code(), "bad-link");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }
}
