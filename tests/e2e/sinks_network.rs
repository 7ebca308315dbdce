//! What stands between the program and its servers: proxies that sinks go through, and servers that demand a
//! certificate of their clients.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Response, header::PROXY_AUTHORIZATION};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    cases::{Answer, Ask, Cloud, Recording, network::in_front, row},
    s3_server::{self, Ways},
    support::answering,
};

fn two() -> Vec<(Value, Vec<Recording>)> {
    [1, 2].map(|n| (row(n), vec![Recording::call(n, 0)])).into()
}

fn host(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// A proxy that forwards what carries its password and counts that; others are told to log in.
async fn proxy(forwarded: Arc<AtomicU64>) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    answering(move |request| {
        let (client, forwarded) = (client.clone(), Arc::clone(&forwarded));
        async move {
            let (head, body) = request.into_parts();
            let given = head.headers.get(PROXY_AUTHORIZATION);
            if given.is_none_or(|given| given != "Basic dXNlcjpodXNoLXB3") {
                let refused = Response::builder().status(407);
                return refused.body(Full::default()).unwrap();
            }
            forwarded.fetch_add(1, Ordering::Relaxed);
            let mut headers = head.headers;
            headers.remove(PROXY_AUTHORIZATION);
            let body = body.collect().await.unwrap().to_bytes();
            let asked = client.request(head.method, head.uri.to_string());
            let answer = asked.headers(headers).body(body).send().await.unwrap();
            let mut response = Response::builder().status(answer.status());
            let all = response.headers_mut().unwrap();
            all.extend(answer.headers().clone());
            all.remove("transfer-encoding");
            let body: Bytes = answer.bytes().await.unwrap();
            response.body(Full::new(body)).unwrap()
        }
    })
    .await
}

/// A server that keeps what is put there.
async fn keeping() -> (String, Arc<AtomicU64>) {
    let kept = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&kept);
    let url = answering(move |request| {
        let kept = Arc::clone(&count);
        async move {
            let puts = request.method() == "PUT";
            request.into_body().collect().await.unwrap();
            kept.fetch_add(u64::from(puts), Ordering::Relaxed);
            Response::new(Full::default())
        }
    });
    (url.await, kept)
}

/// The finding of a check about the sink `lake`: its state and text.
async fn finding(cloud: &Cloud) -> (String, String) {
    let checked = cloud.command("check", &[]).await;
    let findings = checked.json["sources"]["calls"].as_array().unwrap().clone();
    let about = findings.iter().find(|it| it["subject"] == "sink lake");
    let about = about.unwrap_or_else(|| panic!("{checked:?}"));
    let word = |name: &str| about[name].as_str().unwrap().to_owned();
    (word("state"), word("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_go_through_the_proxy_that_the_environment_names_and_its_refusals_are_its_own() {
    let s3 = s3_server::Server::start(Ways::default()).await;
    let (http, kept) = keeping().await;
    let azure = json!({ "type": "azure_blob", "account": "account", "container": "calls",
        "endpoint": "http://127.0.0.1:9/account", "retry": { "attempts": 1, "max_backoff_seconds": 1 },
        "credentials": { "access_key": "aHVzaC1odXNo" } });
    let to_http = json!({ "type": "http", "url": format!("{http}/{{key}}"),
        "retry": { "attempts": 1, "max_backoff_seconds": 1 } });
    for (lake, whole) in [(s3.config(), true), (to_http, true), (azure, false)] {
        let kind = lake["type"].clone();
        let forwarded = Arc::new(AtomicU64::new(0));
        let proxy = proxy(Arc::clone(&forwarded)).await;
        let mut cloud = Cloud::honest(two()).await;
        cloud.sinks = json!({ "lake": lake });

        // Without its password: the proxy is named, and not the server's credentials.
        cloud.environment = vec![("HTTP_PROXY", proxy.clone())];
        let (state, told) = finding(&cloud).await;
        assert_eq!(state, "bad", "{kind}: {told}");
        assert!(
            told.contains(&format!("the proxy {}", host(&proxy))),
            "{kind}: {told}"
        );
        assert!(told.contains("407"), "{kind}: {told}");
        assert!(!told.contains("`credentials`"), "{kind}: {told}");

        // One that has nobody behind it.
        let down = answering(|_| async {
            let answer = Response::builder().status(502);
            answer.body(Full::from("<html>no route</html>")).unwrap()
        })
        .await;
        cloud.environment = vec![("HTTP_PROXY", down.clone())];
        let (state, told) = finding(&cloud).await;
        assert_eq!(state, "bad", "{kind}: {told}");
        assert!(
            told.contains(&format!("the proxy {}", host(&down))),
            "{kind}: {told}"
        );
        assert!(told.contains("502"), "{kind}: {told}");

        if whole {
            let with_password = format!("http://user:hush-pw@{}", host(&proxy));
            cloud.environment = vec![("HTTP_PROXY", with_password.clone())];
            assert_eq!(finding(&cloud).await.0, "good", "{kind}");
            let before = forwarded.load(Ordering::Relaxed);
            let ran = cloud.command("run", &[]).await;
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(forwarded.load(Ordering::Relaxed) > before + 2, "{kind}");
            // NO_PROXY leaves it out.
            cloud.environment = vec![
                ("HTTP_PROXY", with_password),
                ("NO_PROXY", "127.0.0.1".to_owned()),
            ];
            let before = forwarded.load(Ordering::Relaxed);
            assert_eq!(finding(&cloud).await.0, "good", "{kind}");
            assert_eq!(forwarded.load(Ordering::Relaxed), before, "{kind}");
        }
    }
    assert!(kept.load(Ordering::Relaxed) > 2);
    assert!(s3.keys().len() > 2, "{:?}", s3.keys());
}

/// A proxy for TLS that connects to nobody; it notes which hosts are asked for.
async fn refusing() -> (String, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let noted = Arc::clone(&noted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let head = String::from_utf8(head).unwrap();
                let to = head.split(' ').nth(1).unwrap_or_default().to_owned();
                noted.lock().unwrap().push(to);
                let refusal = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(refusal).await?;
                stream.shutdown().await
            });
        }
    });
    (url, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_any_partition_is_asked_for_where_it_is_and_a_refused_tunnel_is_the_proxys() {
    for (region, setting, expected) in [
        ("eu-west-1", None, "calls.s3.eu-west-1.amazonaws.com:443"),
        (
            "eu-west-1",
            Some("AWS_USE_DUALSTACK_ENDPOINT"),
            "calls.s3.dualstack.eu-west-1.amazonaws.com:443",
        ),
        (
            "us-gov-west-1",
            Some("AWS_USE_FIPS_ENDPOINT"),
            "calls.s3-fips.us-gov-west-1.amazonaws.com:443",
        ),
        (
            "cn-north-1",
            None,
            "calls.s3.cn-north-1.amazonaws.com.cn:443",
        ),
        (
            "eusc-de-east-1",
            None,
            "calls.s3.eusc-de-east-1.amazonaws.eu:443",
        ),
    ] {
        let (proxy, asked) = refusing().await;
        let mut cloud = Cloud::honest(two()).await;
        cloud.sinks = json!({ "lake": { "type": "s3", "bucket": "calls", "region": region,
            "retry": { "attempts": 1, "max_backoff_seconds": 1 },
            "credentials": { "access_key_id": "a", "secret_access_key": "hush" } } });
        cloud.environment = vec![("HTTPS_PROXY", proxy.clone())];
        cloud
            .environment
            .extend(setting.map(|name| (name, "true".to_owned())));
        let (state, told) = finding(&cloud).await;
        assert_eq!(state, "bad", "{told}");
        assert!(
            told.contains(&format!("the proxy {}", host(&proxy))),
            "{told}"
        );
        let asked = asked.lock().unwrap().clone();
        assert!(asked.iter().any(|to| to == expected), "{region}: {asked:?}");
    }
}

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/tls");
    folder.join(name)
}

/// An address at which TLS ends before what is asked goes on to `port`; clients show a certificate of the
/// tests' authority, or get an alert.
async fn demanding(port: u16) -> String {
    let chain = CertificateDer::pem_file_iter(fixture("cert.pem")).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("key.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(fixture("client-ca.pem")).unwrap() {
        roots.add(authority.unwrap()).unwrap();
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .unwrap();
    let config = ServerConfig::builder().with_client_cert_verifier(verifier);
    in_front(config.with_single_cert(chain, key).unwrap(), port).await
}

fn port(url: &str) -> u16 {
    url::Url::parse(url).unwrap().port().unwrap()
}

/// The certificate that clients of the tests show, with the authority of the servers.
fn shown() -> Value {
    json!({ "cert": fixture("client.pem"), "key": fixture("client-key.pem"), "ca": fixture("ca.pem") })
}

/// What a check says of a source and two sinks, none of which can be reached.
async fn refused(cloud: &Cloud) -> [String; 3] {
    let checked = cloud.command("check", &[]).await;
    assert_eq!(checked.code, Some(1), "{checked:?}");
    let findings = checked.json["sources"]["calls"].as_array().unwrap();
    let told = findings.iter().map(|found| {
        assert_eq!(found["state"], "bad", "{checked:?}");
        found["text"].as_str().unwrap().to_owned()
    });
    let told: Vec<String> = told.collect();
    told.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_demands_a_certificate_of_its_clients_gets_it() {
    // Media, too, are behind such a server.
    let mut cloud = Cloud::start(two(), |ask| match ask {
        Ask::Poll(_, state) => {
            let state = state.to_string().replace("http://127", "https://127");
            Answer::new(200, "application/json", state)
        }
        _ => None,
    })
    .await;
    let api = demanding(port(cloud.url())).await;
    let s3 = s3_server::Server::start(Ways::default()).await;
    let bucket = demanding(port(&s3.url)).await;
    let (http, kept) = keeping().await;
    let archive = demanding(port(&http)).await;
    let mut lake = s3.config();
    lake["endpoint"] = json!(bucket);
    let sinks = |tls: Value| {
        let mut lake = lake.clone();
        lake["tls"] = tls.clone();
        json!({ "lake": lake, "archive": { "type": "http", "url": format!("{archive}/{{key}}"), "tls": tls } })
    };
    cloud.options = json!({ "api_url": api, "login_url": api, "media_origins": [api] });

    // Trusted, and without a certificate: an alert, and what to do about it.
    let trusted = json!({ "ca": fixture("ca.pem") });
    cloud.source = json!({ "tls": trusted });
    cloud.sinks = sinks(trusted);
    for told in refused(&cloud).await {
        assert!(told.contains("`tls`"), "{told}");
    }

    // With one, its key as a file or as a secret.
    let key = std::fs::read_to_string(fixture("client-key.pem")).unwrap();
    cloud.environment = vec![("CLIENT_KEY", key.clone())];
    cloud.secret = Some(json!({ "env": { "type": "env" } }));
    let mut by_secret = shown();
    by_secret["key"] = json!("SECRET[env.CLIENT_KEY]");
    cloud.source = json!({ "tls": by_secret });
    cloud.sinks = sinks(shown());
    let ran = cloud.command("run", &["--verbose"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(s3.keys().len() > 2 && kept.load(Ordering::Relaxed) > 2);
    let inside = key.lines().nth(1).unwrap();
    assert!(!ran.said.contains(inside), "the key is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_is_refused_by_its_key_before_anything_is_asked() {
    let mut cloud = Cloud::honest(two()).await;
    let folder = cloud.folder("none.pem");
    std::fs::write(&folder, "hush, this is no PEM").unwrap();
    let cert = fixture("client.pem");
    for (tls, expected) in [
        (json!({ "cert": cert }), "`cert` and `key` go together"),
        (
            json!({ "cert": cert, "key": "/nowhere/key.pem" }),
            "tls.key: /nowhere/key.pem: No such file",
        ),
        (json!({ "cert": cert, "key": folder }), "holds no PEM"),
        (
            json!({ "cert": cert, "key": fixture("key.pem") }),
            "the key that of the certificate",
        ),
        (
            json!({ "ca": fixture("client-key.pem") }),
            "tls.ca: holds no certificate",
        ),
        (
            json!({ "key": "SECRET[env.TEXT]", "cert": cert }),
            "tls.key: the secret holds no PEM",
        ),
    ] {
        cloud.environment = vec![("TEXT", "hush".to_owned())];
        cloud.secret = Some(json!({ "env": { "type": "env" } }));
        cloud.source = json!({ "tls": tls });
        let refused = cloud.command("validate", &[]).await;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.said.contains("sources.calls.tls"),
            "{}",
            refused.said
        );
        assert!(
            refused.said.contains(expected),
            "{expected}: {}",
            refused.said
        );
        cloud.source = json!({});
        let out = cloud.sinks.clone();
        cloud.sinks = json!({ "lake": { "type": "http", "url": "https://archive.example/{key}", "tls": tls } });
        let refused = cloud.command("validate", &[]).await;
        cloud.sinks = out;
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.said.contains("sinks.lake.tls"), "{}", refused.said);
    }
}

/// An address that answers the beginning of TLS with an alert of this number, and ends the connection.
async fn alerting(number: u8) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                stream.write_all(&[21, 3, 3, 0, 2, 2, number]).await
            });
        }
    });
    url
}

/// An address at which TLS ends with a certificate of the fixtures' odd authority.
async fn showing(certificate: &str, port: u16) -> String {
    let chain = CertificateDer::pem_file_iter(fixture(certificate)).unwrap();
    let chain = chain.map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(fixture("odd-key.pem")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    in_front(config.with_single_cert(chain, key).unwrap(), port).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_tls_is_told_with_the_host_and_the_way_out_by_the_source_and_each_sink() {
    let mut cloud = Cloud::honest(two()).await;
    let port = port(cloud.url());
    for (url, expected) in [
        (showing("odd-expired.pem", port).await, "has expired"),
        (showing("odd-future.pem", port).await, "is not valid yet"),
        (showing("odd-name.pem", port).await, "is for other names"),
        (alerting(70).await, "another version of TLS"),
        (alerting(40).await, "another version of TLS"),
        (alerting(112).await, "does not know the name"),
        (alerting(46).await, "the certificate of this client"),
        (alerting(48).await, "the certificate of this client"),
    ] {
        let trusted = json!({ "ca": fixture("odd-ca.pem") });
        cloud.source = json!({ "tls": trusted });
        cloud.options = json!({ "api_url": url, "login_url": url });
        cloud.sinks = json!({
            "lake": { "type": "s3", "bucket": "b", "region": "r", "endpoint": url, "tls": trusted,
                "retry": { "attempts": 1 }, "credentials": { "access_key_id": "a", "secret_access_key": "b" } },
            "archive": { "type": "http", "url": format!("{url}/archive/{{key}}"), "tls": trusted },
        });
        for told in refused(&cloud).await {
            let host = url.strip_prefix("https://").unwrap();
            assert!(
                told.contains(expected) && told.contains(host),
                "{expected}: {told}"
            );
        }
    }
}
