//! The page beyond loopback: by token alone, by the names that it was given, and with the same policy on each answer.

use reqwest::{Client, Method, Response, StatusCode, redirect::Policy};
use serde_json::Value;

use super::{Served, archive, driver::Browser, files, links};
use crate::support::{Harness, program};

const NAME: &str = "archive.example:8443";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page on all addresses of this machine, which a proxy reaches by [`NAME`], and the token that it printed.
struct Elsewhere {
    harness: Harness,
    served: Served,
    token: String,
    client: Client,
}

impl Elsewhere {
    async fn start() -> Self {
        let harness = archive().await;
        let mut command = program();
        command
            .arg("browse")
            .arg(harness.output())
            .args(["--host", NAME]);
        let cache = harness.folder.path().join("cache");
        let served = Served::listening(command, "0.0.0.0:0", &cache);
        let token = served
            .said
            .iter()
            .find_map(|line| line.strip_prefix("token: "));
        let token = token.expect("a token is printed").to_owned();
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Elsewhere {
            harness,
            served,
            token,
            client,
        }
    }

    /// Asks as whoever comes by the proxy, with these headers besides.
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
        let url = self.served.url.replace("0.0.0.0", "127.0.0.1");
        let mut request = self.client.request(method, format!("{url}{path}"));
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", NAME);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Exchanges a token for a cookie.
    async fn enter(&self, token: &str) -> Response {
        let url = self.served.url.replace("0.0.0.0", "127.0.0.1");
        let request = self
            .client
            .post(format!("{url}/enter"))
            .header("host", NAME);
        request.body(format!("token={token}")).send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_loopback_a_token_is_asked_for_and_exchanged_for_a_cookie() {
    let page = Elsewhere::start().await;
    for path in [
        "/",
        "/recordings",
        "/day/2026-01-05",
        "/losses/deleted",
        "/r/1/0",
        "/media/1/0",
        "/peaks/1/0",
    ] {
        let refused = page.ask(Method::GET, path, &[]).await;
        assert_eq!(refused.status(), StatusCode::SEE_OTHER, "{path}");
        assert_eq!(refused.headers()["location"], "/enter", "{path}");
    }
    for path in ["/recordings", "/evidence", "/verify/1/0"] {
        let refused = page.ask(Method::POST, path, &[]).await;
        assert_eq!(refused.status(), StatusCode::SEE_OTHER, "{path}");
    }
    // A token is no cookie, and in an address it is nothing.
    let as_cookie = format!("recording-host={}", page.token);
    let refused = page.ask(Method::GET, "/", &[("cookie", &as_cookie)]).await;
    assert_eq!(refused.status(), StatusCode::SEE_OTHER);
    let in_address = format!("/?token={}", page.token);
    let refused = page.ask(Method::GET, &in_address, &[]).await;
    assert_eq!(refused.status(), StatusCode::SEE_OTHER);
    for wrong in ["", "wrong", &page.token[1..], &format!("{}0", page.token)] {
        let refused = page.enter(wrong).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(!refused.headers().contains_key("set-cookie"));
    }
    let entered = page.enter(&page.token).await;
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
    assert_eq!(entered.headers()["location"], "/");
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    assert!(!cookie.contains(&page.token), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let shown = page.ask(Method::GET, "/", &[("cookie", cookie)]).await;
    assert_eq!(shown.status(), StatusCode::OK);
    assert!(!shown.text().await.unwrap().contains(&page.token));
    // Neither lies on the disk.
    let session = cookie.split('=').nth(1).unwrap();
    for file in files(&page.harness.folder.path().join("cache")) {
        let data = std::fs::read(&file).unwrap();
        for secret in [&page.token, session] {
            let found = data
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_other_pages_are_refused_and_every_answer_has_the_policy() {
    let page = Elsewhere::start().await;
    let entered = page.enter(&page.token).await;
    let cookie = entered.headers()["set-cookie"].to_str().unwrap();
    let cookie = ("cookie", cookie.split(';').next().unwrap());
    let port = page.served.url.rsplit(':').next().unwrap();
    let (by_number, without_port) = (format!("127.0.0.1:{port}"), "archive.example");
    for foreign in [
        ("host", by_number.as_str()),
        ("host", without_port),
        ("host", "evil.example"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        for (method, path) in [
            (Method::GET, "/"),
            (Method::POST, "/recordings"),
            (Method::POST, "/enter"),
        ] {
            let refused = page.ask(method, path, &[cookie, foreign]).await;
            assert_eq!(
                refused.status(),
                StatusCode::FORBIDDEN,
                "{foreign:?} {path}"
            );
        }
    }
    let origin = format!("https://{NAME}");
    let own = [
        cookie,
        ("origin", origin.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    let found = page.ask(Method::POST, "/recordings", &own).await;
    assert_eq!(found.status(), StatusCode::OK);
    let link = links(&found.text().await.unwrap()).remove(0);
    let of = |kind: &str| link.replacen("/r/", &format!("/{kind}/"), 1);
    for (method, path) in [
        (Method::GET, "/".to_owned()),
        (Method::GET, "/enter".to_owned()),
        (Method::GET, "/page.css".to_owned()),
        (Method::GET, "/nothing".to_owned()),
        (Method::GET, link.clone()),
        (Method::GET, of("media")),
        (Method::GET, of("peaks")),
        (Method::GET, of("download")),
        (Method::POST, of("verify")),
        (Method::POST, of("evidence")),
    ] {
        let answer = page.ask(method, &path, &[cookie]).await;
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers()[name], value, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: tests/run"]
async fn a_person_enters_with_a_token_by_keyboard_and_the_log_has_the_name() {
    let harness = archive().await;
    let tokens = harness.folder.path().join("tokens");
    std::fs::write(&tokens, "ada 0123456789abcdef0123\n").unwrap();
    let cache = harness.folder.path().join("cache");
    let served = Served::start(
        &harness.output(),
        &cache,
        &["--tokens", tokens.to_str().unwrap()],
    );
    let browser = Browser::start().await;
    browser.open(&served.url).await;
    browser.until("location.pathname === '/enter'").await;
    browser
        .tab_to("document.activeElement.id === 'token'")
        .await;
    browser.keys("0123456789abcdef0123\u{e007}").await;
    browser
        .until("location.pathname === '/' && document.querySelector('#cal')")
        .await;
    assert_eq!(
        browser.script("return document.cookie").await,
        "",
        "a script cannot read it"
    );
    let history = browser
        .script("return location.href + document.referrer")
        .await;
    assert!(
        !history.as_str().unwrap().contains("0123456789abcdef"),
        "{history}"
    );
    browser.keys("/").await;
    browser
        .until("document.activeElement?.name === 'q' || location.pathname === '/'")
        .await;
    browser.open(&format!("{}/recordings", served.url)).await;
    browser
        .until("document.documentElement.dataset.ready")
        .await;
    browser.keys("/1555").await;
    browser
        .until("document.querySelector('#say').textContent.includes('of')")
        .await;
    let log = std::fs::read_to_string(cache.join("access.jsonl")).unwrap();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&line["who"], &line["action"]),
        (&"ada".into(), &"search".into())
    );
    browser.end().await;
}
