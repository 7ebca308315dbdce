//! Who may see a page: by token and cookie, and from this page alone.
//!
//! A server on loopback is reached by every page that a browser on the machine has open, under any
//! name. So `Host`, `Origin` and `Sec-Fetch-Site` are checked always, with a token or without.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use hyper::{HeaderMap, Method, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// The cookie that stands for a token.
const COOKIE: &str = "recording-host";
/// Sessions at once, at most.
const SESSIONS: usize = 1000;

/// A token, and whose it is.
#[derive(Clone, Debug)]
pub struct Token {
    /// The name that the log of accesses gives its owner.
    pub name: String,
    /// The token.
    pub secret: SecretString,
}

/// A random token.
#[must_use]
pub fn new_token() -> String {
    let bytes: [u8; 16] = rand::random();
    recording_host_model::hex(&bytes)
}

/// Decides who may see the page.
#[derive(Debug)]
pub struct Guard {
    hosts: Vec<String>,
    tokens: Vec<Token>,
    sessions: Mutex<HashMap<String, String>>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It comes from another page, or by a name that is not this server's.
    Foreign,
    /// It has no cookie of a session.
    NoSession,
}

impl Guard {
    /// A guard of a server that listens at `address` and is reached by these further names, each with its
    /// port if that is not the scheme's. Without tokens everybody who reaches it may see it.
    #[must_use]
    pub fn new(address: SocketAddr, names: Vec<String>, tokens: Vec<Token>) -> Self {
        let mut hosts = names;
        hosts.push(address.to_string());
        if address.ip().is_loopback() {
            hosts.push(format!("localhost:{}", address.port()));
        }
        Guard {
            hosts,
            tokens,
            sessions: Mutex::default(),
        }
    }

    /// The name of whoever asks.
    pub(crate) fn who(&self, method: &Method, headers: &HeaderMap) -> Result<String, Refused> {
        self.is_ours(method, headers)?;
        if self.tokens.is_empty() {
            return Ok("local".to_owned());
        }
        let session = cookie(headers).ok_or(Refused::NoSession)?;
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions
            .get(&digest(session))
            .cloned()
            .ok_or(Refused::NoSession)
    }

    /// Checks that a request comes from the page itself, or from nowhere.
    pub(crate) fn is_ours(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
        let text = |name| {
            headers
                .get(name)
                .map(|value: &header::HeaderValue| value.to_str().unwrap_or("?"))
        };
        let host = text(header::HOST).ok_or(Refused::Foreign)?;
        let site = text(header::HeaderName::from_static("sec-fetch-site"));
        let known = self
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host));
        let from_here = site.is_none_or(|site| site == "same-origin" || site == "none");
        if !known || !from_here {
            return Err(Refused::Foreign);
        }
        let is_origin = match text(header::ORIGIN) {
            // With `no-referrer` a form's origin is null; then the browser has to say that it is the same.
            Some("null") => site == Some("same-origin"),
            Some(origin) => origin
                .split_once("://")
                .is_some_and(|(_, origin)| origin.eq_ignore_ascii_case(host)),
            // A browser always names the origin of a POST, and others have no cookie to abuse.
            None => *method != Method::POST || site.is_none() || site == Some("same-origin"),
        };
        is_origin.then_some(()).ok_or(Refused::Foreign)
    }

    /// Exchanges a token for a session: the value of a `Set-Cookie` header.
    pub(crate) fn enter(&self, token: &str) -> Option<String> {
        let given = Sha256::digest(token.trim().as_bytes());
        // Digests are compared: how long that takes says nothing about the token.
        let owner = self
            .tokens
            .iter()
            .find(|known| Sha256::digest(known.secret.expose_secret().as_bytes()) == given)?;
        let session = new_token();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS {
            sessions.clear();
        }
        sessions.insert(digest(&session), owner.name.clone());
        Some(format!(
            "{COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/"
        ))
    }
}

fn digest(text: &str) -> String {
    recording_host_model::hex(&Sha256::digest(text.as_bytes()))
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter();
    cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|one| one.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(tokens: &[(&str, &str)]) -> Guard {
        let tokens = tokens.iter().map(|(name, secret)| Token {
            name: (*name).to_owned(),
            secret: (*secret).into(),
        });
        Guard::new(([127, 0, 0, 1], 80).into(), vec![], tokens.collect())
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                header::HeaderName::from_static(name),
                value.parse().unwrap(),
            )
        });
        pairs.collect()
    }

    #[test]
    fn other_pages_and_other_names_are_refused() {
        let guard = guard(&[]);
        let host = ("host", "localhost:80");
        let who =
            |method: Method, pairs: &[(&'static str, &str)]| guard.who(&method, &headers(pairs));
        assert_eq!(who(Method::GET, &[host]), Ok("local".to_owned()));
        for bad in [
            vec![("host", "evil.example")],
            vec![],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "same-site")],
            vec![host, ("origin", "http://evil.example")],
            vec![host, ("origin", "null")],
        ] {
            assert_eq!(who(Method::POST, &bad), Err(Refused::Foreign), "{bad:?}");
        }
        let own = [host, ("origin", "null"), ("sec-fetch-site", "same-origin")];
        assert!(who(Method::POST, &own).is_ok());
        assert!(who(Method::POST, &[host, ("origin", "http://localhost:80")]).is_ok());
    }

    #[test]
    fn a_token_becomes_a_session_and_nothing_else_does() {
        let guard = guard(&[("ada", "right"), ("bo", "other")]);
        assert!(guard.enter("wrong").is_none());
        assert!(guard.enter("").is_none());
        let cookie = guard.enter("other").unwrap();
        let cookie = cookie.split(';').next().unwrap();
        assert!(!cookie.contains("other"));
        let who = |cookie: &str| {
            let headers = headers(&[("host", "127.0.0.1:80"), ("cookie", cookie)]);
            guard.who(&Method::GET, &headers)
        };
        assert_eq!(who(cookie), Ok("bo".to_owned()));
        assert_eq!(who("recording-host=other"), Err(Refused::NoSession));
    }
}
