//! Proxies and portals are told apart from the vendor that they stand in front of, and times that others
//! name are bounded.

use std::{
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full};
use hyper::{Response, header::PROXY_AUTHORIZATION};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::cloud::{Answer, Ask, Cloud, Recording, row};
use crate::support::answering;

const PAGE: &str = "<html><body>Web access blocked by policy</body></html>";

/// Host and port of a URL.
fn host(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

fn two() -> Vec<(serde_json::Value, Vec<Recording>)> {
    [1, 2].map(|n| (row(n), vec![Recording::call(n, 0)])).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_a_token_or_an_answer_is_no_refusal_of_the_vendors() {
    for (status, body) in [(200, PAGE), (403, PAGE), (407, ""), (302, "")] {
        let asked = AtomicU64::new(0);
        let cloud = Cloud::start(two(), move |ask| match ask {
            Ask::Token(1 | 2, _) => Answer::new(status, "text/html", body)
                .map(|answer| answer.header("location", "https://portal.example/?hush")),
            Ask::Page(_) if asked.fetch_add(1, Ordering::Relaxed) < 2 => {
                Answer::new(status, "text/html", body)
                    .map(|answer| answer.header("location", "https://portal.example/?hush"))
            }
            _ => None,
        })
        .await;
        let exported = cloud.run().await;
        exported.complete(2);
        let said = &exported.said;
        assert!(!said.contains("client credentials"), "{said}");
        assert!(!said.contains("permission"), "{said}");
        let words = match status {
            302 => "redirects to portal.example".to_owned(),
            407 => "demands a log-in of its own (407)".to_owned(),
            status => format!("a page of HTML with status {status}"),
        };
        assert!(
            said.contains(&words) && said.contains(host(cloud.url())),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_to_where_a_first_request_may_go() {
    let cloud = Cloud::start(two(), |ask| match ask {
        Ask::Media(asked) if !asked.contains("moved") => {
            let there = match asked.contains("00000002/") {
                true => "http://127.0.0.1:9/elsewhere?hush".to_owned(),
                false => format!("{asked}&moved=1"),
            };
            Answer::new(302, "text/plain", "").map(|answer| answer.header("location", &there))
        }
        _ => None,
    })
    .await;
    let exported = cloud.run().await;
    assert_eq!(exported.stored(), 1, "{exported:?}");
    let loss = exported.loss(2, "download");
    assert!(
        loss.contains("http://127.0.0.1:9 is not an origin"),
        "{loss}"
    );
    assert!(loss.contains("`media_origins`"), "{loss}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_compressed_is_read() {
    let cloud = Cloud::start(two(), |ask| match ask {
        Ask::Page(page) => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(page.to_string().as_bytes()).unwrap();
            let body = encoder.finish().unwrap();
            Answer::new(200, "application/json", body)
                .map(|answer| answer.header("content-encoding", "gzip"))
        }
        _ => None,
    })
    .await;
    cloud.run().await.complete(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_others_name_are_bounded_and_told() {
    let asked = AtomicU64::new(0);
    let cloud = Cloud::start(two(), move |ask| match ask {
        Ask::Token(_, mut token) => {
            token["expires_in"] = json!(u64::MAX);
            Answer::json(&token)
        }
        Ask::Page(_) if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
            let body = json!({ "code": "too.many.requests" }).to_string();
            Answer::new(429, "application/json", body)
                .map(|answer| answer.header("retry-after", "60000"))
        }
        _ => None,
    })
    .await;
    // While it pauses, the status says so.
    let status = async {
        loop {
            let status = cloud.command("status", &[]).await;
            let paused = &status.json["sources"]["calls"]["paused_until"];
            if paused.is_u64() {
                return;
            }
        }
    };
    let (exported, ()) = tokio::join!(cloud.run(), status);
    exported.complete(2);
    let told = "asks for a pause of 60000 s; 300 s are waited";
    assert!(exported.said.contains(told), "{}", exported.said);
}

/// A proxy that wants a user and a password, and counts what it forwards.
async fn proxy(forwarded: Arc<AtomicU64>) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    answering(move |request| {
        let (client, forwarded) = (client.clone(), Arc::clone(&forwarded));
        async move {
            let (head, body) = request.into_parts();
            let known = head
                .headers
                .get(PROXY_AUTHORIZATION)
                .is_some_and(|given| given == "Basic dXNlcjpodXNoLXB3");
            if !known {
                let refused = Response::builder().status(407);
                return refused.body(Full::default()).unwrap();
            }
            forwarded.fetch_add(1, Ordering::Relaxed);
            let mut headers = head.headers;
            headers.remove(PROXY_AUTHORIZATION);
            let body = body.collect().await.unwrap().to_bytes();
            let url = head.uri.to_string();
            let asked = client.request(head.method, url).headers(headers).body(body);
            let answer = asked.send().await.unwrap();
            let mut response = Response::builder().status(answer.status());
            response
                .headers_mut()
                .unwrap()
                .extend(answer.headers().clone());
            let body: Bytes = answer.bytes().await.unwrap();
            response.body(Full::new(body)).unwrap()
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_traffic_of_a_source_goes_through_the_proxy_that_the_environment_names() {
    let forwarded = Arc::new(AtomicU64::new(0));
    let proxy = proxy(Arc::clone(&forwarded)).await;
    let host = host(&proxy);
    let mut cloud = Cloud::honest(two()).await;

    // Left out by NO_PROXY, it is reached without.
    cloud.environment = vec![
        ("HTTP_PROXY", format!("http://user:hush-pw@{host}")),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ];
    let plain = cloud.command("check", &[]).await;
    assert_eq!(plain.code, Some(0), "{plain:?}");
    assert_eq!(forwarded.load(Ordering::Relaxed), 0);

    // Without a password, the proxy is what is named, and not the credentials of the source.
    for variable in ["HTTP_PROXY", "ALL_PROXY"] {
        cloud.environment = vec![(variable, proxy.clone())];
        let refused = cloud.command("check", &[]).await;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let told = format!("{}{}", refused.said, refused.json);
        assert!(told.contains(&format!("the proxy {host}")), "{told}");
        assert!(told.contains("user:password"), "{told}");
        assert!(!told.contains("client credentials"), "{told}");
    }

    cloud.environment = vec![("HTTP_PROXY", format!("http://user:hush-pw@{host}"))];
    cloud.run().await.complete(2);
    let asked = ["token", "page", "submit", "poll", "media"];
    let asked: u64 = asked.iter().map(|what| cloud.asked(what)).sum();
    assert!(forwarded.load(Ordering::Relaxed) >= 5, "{asked}");

    cloud.environment = vec![("HTTPS_PROXY", "socks5://127.0.0.1:1".to_owned())];
    let unusable = cloud.command("check", &[]).await;
    let told = format!("{}{}", unusable.said, unusable.json);
    assert!(
        told.contains("HTTPS_PROXY names no proxy that can be used"),
        "{told}"
    );
}

/// A server that takes requests and never answers.
async fn silent() -> String {
    answering(|_| std::future::pending()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_that_hangs_is_named_and_a_plan_does_not_wait_for_an_api_that_is_unavailable() {
    let silent = silent().await;
    let mut cloud = Cloud::honest(two()).await;
    let honest = std::mem::replace(&mut cloud.options, json!({ "login_url": silent }));
    for command in ["check", "plan"] {
        let asked = cloud.command(command, &[]).await;
        assert_eq!(asked.code, Some(1), "{asked:?}");
        let told = format!("{}{}", asked.said, asked.json);
        assert!(told.contains(host(&silent)), "{told}");
    }
    cloud.options = honest;
    let busy = answering(|_| async {
        let answer = Response::builder().status(503);
        answer.body(Full::new(Bytes::new())).unwrap()
    });
    cloud.options["api_url"] = json!(busy.await);
    let planned = cloud.command("plan", &[]).await;
    assert_eq!(planned.code, Some(1), "{planned:?}");
    assert!(planned.said.contains("503"), "{planned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reports_each_part_whatever_hangs_and_a_plan_ends() {
    let silent = silent().await;
    for url in [silent.as_str(), "http://127.0.0.1:9"] {
        let mut cloud = Cloud::honest(two()).await;
        cloud.options = json!({ "api_url": url, "login_url": url });
        let out = cloud.folder("output");
        cloud.sinks = json!({
            "hangs": { "type": "s3", "bucket": "b", "region": "eu-west-1", "endpoint": silent,
                "path_style": true, "credentials": { "access_key_id": "a", "secret_access_key": "b" } },
            "out": { "type": "filesystem", "path": out },
        });
        let checked = cloud.command("check", &[]).await;
        assert_eq!(checked.code, Some(1), "{checked:?}");
        let findings = checked.json["sources"]["calls"].as_array().unwrap().clone();
        let found: Vec<(&str, &str)> = findings
            .iter()
            .map(|found| {
                (
                    found["subject"].as_str().unwrap(),
                    found["state"].as_str().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("source", "bad"),
            ("sink hangs", "bad"),
            ("sink out", "good"),
        ];
        assert_eq!(found, expected, "{checked:?}");
        let about = findings[0]["text"].as_str().unwrap();
        assert!(about.contains(host(url)), "{about}");

        let planned = cloud.command("plan", &[]).await;
        assert_eq!(planned.code, Some(1), "{planned:?}");
        assert!(planned.said.contains(host(url)), "{planned:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_without_a_sink_that_hangs_and_says_so() {
    let mut cloud = Cloud::honest(two()).await;
    let (silent, out) = (silent().await, cloud.folder("output"));
    cloud.sinks = json!({
        "hangs": { "type": "s3", "bucket": "b", "region": "eu-west-1", "endpoint": silent,
            "path_style": true, "credentials": { "access_key_id": "a", "secret_access_key": "b" } },
        "out": { "type": "filesystem", "path": out },
    });
    let ran = cloud.command("run", &[]).await;
    let told = "no answer in 10 s; the run continues with the other sinks, and hangs is filled when it is back";
    assert!(ran.said.contains(told), "{ran:?}");
    // It is asked again and again, and given up after half an hour.
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(cloud.recordings().len(), 2, "{ran:?}");
}

/// An address at which TLS ends before what is asked goes on to `port`.
async fn behind_tls(port: u16) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tls");
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(chain, key).unwrap();
    in_front(config, port).await
}

/// An address at which TLS of this configuration ends, before the bytes reach `port`.
pub(crate) async fn in_front(config: ServerConfig, port: u16) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut server).await
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_of_ones_own_is_trusted_when_named_and_a_port_that_speaks_otherwise_is_told() {
    let mut cloud = Cloud::honest(two()).await;
    let plain = url::Url::parse(cloud.url()).unwrap();
    let port = plain.port().unwrap();
    let secure = behind_tls(port).await;
    let check = async |cloud: &mut Cloud, url: &str| {
        cloud.options = json!({ "api_url": url, "login_url": url });
        let checked = cloud.command("check", &[]).await;
        let finding = checked.json["sources"]["calls"][0]["text"].to_string();
        (checked.code, finding)
    };

    let (code, told) = check(&mut cloud, &secure).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("SSL_CERT_FILE") && told.contains(host(&secure)),
        "{told}"
    );

    let (code, told) = check(&mut cloud, &format!("https://127.0.0.1:{port}")).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("does not speak TLS: check scheme and port"),
        "{told}"
    );

    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tls/ca.pem");
    cloud.environment = vec![("SSL_CERT_FILE", authority.display().to_string())];
    let (code, told) = check(&mut cloud, &secure).await;
    assert_eq!(code, Some(0), "{told}");
}

/// An address whose answers come from `port`, each piece after a pause.
async fn late(port: u16, pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = TcpStream::connect(("127.0.0.1", port)).await?;
                let (mut asked, mut answer) = client.into_split();
                let (mut answers, mut asks) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut asked, &mut asks).await });
                let mut piece = vec![0; 1 << 16];
                loop {
                    let length = answers.read(&mut piece).await?;
                    if length == 0 {
                        return answer.shutdown().await;
                    }
                    tokio::time::sleep(pause).await;
                    answer.write_all(&piece[..length]).await?;
                }
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_answers_late_is_checked_planned_and_exported_all_the_same() {
    let mut cloud = Cloud::honest(two()).await;
    let plain = url::Url::parse(cloud.url()).unwrap();
    let late = late(plain.port().unwrap(), Duration::from_millis(1500)).await;
    cloud.options =
        json!({ "api_url": late, "login_url": late, "media_origins": [late, cloud.url()] });
    let checked = cloud.command("check", &[]).await;
    let findings = checked.json["sources"]["calls"].as_array().unwrap();
    // All parts are asked at once: one after the other, they would take longer than a check may. The clock is
    // that of a time which runs forty times as fast, and so does what is late.
    let bad: Vec<&Value> = findings
        .iter()
        .filter(|found| found["state"] == "bad" && found["subject"] != "clock")
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(findings.len() > 10, "{findings:?}");
    let planned = cloud.command("plan", &[]).await;
    assert_eq!(planned.code, Some(0), "{planned:?}");
    assert_eq!(
        planned.json["sources"]["calls"]["total"]["conversations"], 2,
        "{planned:?}"
    );
    cloud.run().await.complete(2);
}
