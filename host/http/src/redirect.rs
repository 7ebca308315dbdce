//! Where a server sends a request instead (RFC 9110, section 15.4).

use reqwest::Url;

use recording_host_model::Method;

/// How many redirects are followed for one request.
pub(super) const MOST: u32 = 5;

/// Where an answer redirects a request to; none if it does not, or if only another request may go there.
pub(super) fn target(
    url: &Url,
    method: Method,
    status: u16,
    location: Option<&str>,
) -> Option<Url> {
    let follows = match status {
        301..=303 => method == Method::Get,
        307 | 308 => true,
        _ => false,
    };
    let mut next = url.join(location?).ok().filter(|_| follows)?;
    next.set_fragment(None);
    Some(next)
}

/// Where an answer points to, followed or not; none if it does not.
pub(super) fn pointed(url: &Url, status: u16, location: Option<&str>) -> Option<Url> {
    let redirects = matches!(status, 301..=303 | 307 | 308);
    url.join(location?).ok().filter(|_| redirects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_never_turns_a_request_into_another_one() {
        let url = Url::parse("https://a.example/x?y").unwrap();
        let to = |method, status, location| {
            target(&url, method, status, location).map(|url| url.to_string())
        };
        let there = Some("/z?q#f");
        assert_eq!(
            to(Method::Get, 302, there).as_deref(),
            Some("https://a.example/z?q")
        );
        assert_eq!(to(Method::Post, 302, there), None);
        assert_eq!(
            to(Method::Post, 307, Some("//b.example/")).as_deref(),
            Some("https://b.example/")
        );
        assert_eq!(to(Method::Get, 304, there), None);
        assert_eq!(to(Method::Get, 301, None), None);
    }
}
