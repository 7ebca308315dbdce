//! S3 servers that answer otherwise than most do: passing oddities cost nothing, and what stays is named with
//! the key that helps.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming};
use recording_host_sink::{Body, PutOptions, Sink};
use serde_json::{Value, json};

use crate::{
    s3_server::{BUCKET, sink},
    support::answering,
};

/// More than goes in one PUT.
const LARGE: usize = 20 << 20;

/// A request as the server has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SeenRequest {
    method: Method,
    key: String,
    query: String,
    /// The id of the access key that it is signed with.
    signed_by: String,
    /// How often the same was asked before.
    before: usize,
}

type Hook = dyn Fn(&SeenRequest) -> Option<Response<Full<Bytes>>> + Send + Sync;

/// A small S3 server: objects are their bytes, and a hook answers in its place where it has a mind to.
struct Odd {
    hook: Box<Hook>,
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    parts: Mutex<BTreeMap<u32, Vec<u8>>>,
    seen: Mutex<Vec<SeenRequest>>,
}

impl Odd {
    async fn start(
        hook: impl Fn(&SeenRequest) -> Option<Response<Full<Bytes>>> + Send + Sync + 'static,
    ) -> (Arc<Self>, String) {
        let odd = Arc::new(Odd {
            hook: Box::new(hook),
            objects: Mutex::default(),
            parts: Mutex::default(),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&odd);
        let url = answering(move |request| {
            let odd = Arc::clone(&shared);
            async move { odd.answer(request).await }
        });
        (odd, url.await)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else {
            return status(400, "");
        };
        let body = body.to_bytes();
        let authorization = head.headers.get("authorization");
        let authorization = authorization.map_or("", |value| value.to_str().unwrap());
        let signed_by = authorization.split_once("Credential=");
        let signed_by = signed_by.and_then(|(_, rest)| rest.split('/').next());
        let mut asked = SeenRequest {
            method: head.method,
            key: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            signed_by: signed_by.unwrap_or_default().to_owned(),
            before: 0,
        };
        {
            let mut seen = self.seen.lock().unwrap();
            let same = |other: &&SeenRequest| {
                (&other.method, &other.key, &other.query)
                    == (&asked.method, &asked.key, &asked.query)
            };
            asked.before = seen.iter().filter(same).count();
            seen.push(asked.clone());
        }
        (self.hook)(&asked).unwrap_or_else(|| self.usual(&asked, body))
    }

    fn usual(&self, asked: &SeenRequest, body: Bytes) -> Response<Full<Bytes>> {
        let mut objects = self.objects.lock().unwrap();
        let mut parts = self.parts.lock().unwrap();
        let query: BTreeMap<String, String> = url::form_urlencoded::parse(asked.query.as_bytes())
            .into_owned()
            .collect();
        let told = |text: &str| Response::new(Full::from(text.to_owned()));
        match asked.method.as_str() {
            "POST" if query.contains_key("uploads") => told(
                "<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>",
            ),
            "POST" => {
                let whole: Vec<u8> = std::mem::take(&mut *parts)
                    .into_values()
                    .flatten()
                    .collect();
                objects.insert(asked.key.clone(), whole);
                told(
                    "<CompleteMultipartUploadResult><ETag>\"whole\"</ETag></CompleteMultipartUploadResult>",
                )
            }
            "PUT" => {
                match query.get("partNumber") {
                    Some(number) => {
                        parts.insert(number.parse().unwrap(), body.to_vec());
                    }
                    None => {
                        objects.insert(asked.key.clone(), body.to_vec());
                    }
                }
                let answer = Response::builder().header("etag", "\"tag\"");
                answer.body(Full::default()).unwrap()
            }
            "HEAD" => match objects.get(&asked.key) {
                Some(object) => Response::builder()
                    .header("content-length", object.len())
                    .header("etag", "\"whole\"")
                    .body(Full::default())
                    .unwrap(),
                None if asked.key.trim_matches('/') == BUCKET => told(""),
                None => status(404, ""),
            },
            "GET" if query.contains_key("uploads") => {
                told("<ListMultipartUploadsResult></ListMultipartUploadsResult>")
            }
            "GET" if query.contains_key("list-type") => {
                told("<ListBucketResult></ListBucketResult>")
            }
            "GET" => match objects.get(&asked.key) {
                Some(object) => Response::new(Full::from(object.clone())),
                None => status(404, "<Error><Code>NoSuchKey</Code></Error>"),
            },
            "DELETE" => {
                objects.remove(&asked.key);
                status(204, "")
            }
            _ => status(501, "<Error><Code>NotImplemented</Code></Error>"),
        }
    }

    fn count(&self, what: impl Fn(&SeenRequest) -> bool) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|asked| what(asked)).count()
    }
}

fn status(status: u16, body: &str) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status);
    answer.body(Full::from(body.to_owned())).unwrap()
}

fn error(status_code: u16, code: &str) -> Response<Full<Bytes>> {
    let body = format!("<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>");
    status(status_code, &body)
}

/// The keys of a sink in a server at `url`.
fn keys(url: &str) -> Value {
    json!({ "type": "s3", "bucket": BUCKET, "region": "eu-west-1", "endpoint": url, "path_style": true,
        "checksum": "none", "retry": { "attempts": 4, "max_backoff_seconds": 1 },
        "credentials": { "access_key_id": "FIRST", "secret_access_key": "hush" } })
}

async fn put(sink: &dyn Sink, size: usize) -> Result<u64, recording_host_sink::SinkError> {
    let body = Body::whole(Bytes::from(vec![7; size]));
    let put = sink.put("a.ogg", PutOptions::default(), body).await;
    put.map(|stored| stored.size)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_within_an_answer_of_success_is_an_error_and_passes() {
    let (odd, url) = Odd::start(|asked| {
        let completes = asked.method == "POST" && asked.query.contains("uploadId");
        (completes && asked.before < 2).then(|| error(200, "InternalError"))
    })
    .await;
    let sink = sink(keys(&url), json!({})).await;
    assert_eq!(put(&*sink, LARGE).await.unwrap(), LARGE as u64);
    let completed = odd.count(|asked| asked.method == "POST" && asked.query.contains("uploadId"));
    assert_eq!(completed, 3);

    let (_, url) = Odd::start(|asked| {
        let completes = asked.method == "POST" && asked.query.contains("uploadId");
        completes.then(|| error(200, "InternalError"))
    })
    .await;
    let sink = crate::s3_server::sink(keys(&url), json!({})).await;
    let error = put(&*sink, LARGE).await.unwrap_err();
    assert!(error.retryable, "{error}");
    assert!(error.to_string().contains("InternalError"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_a_length_proves_nothing_and_loses_nothing() {
    let there = AtomicBool::new(false);
    let (odd, url) = Odd::start(move |asked| {
        let object = asked.key.ends_with("a.ogg");
        if object && asked.method == "PUT" {
            there.store(true, Ordering::Relaxed);
        }
        let head = object && asked.method == "HEAD" && there.load(Ordering::Relaxed);
        head.then(|| status(200, ""))
    })
    .await;
    let sink = sink(keys(&url), json!({ "overwrite": "same" })).await;
    // What is there is read, since its length is not told: the same again is stored, and another is not.
    for _ in 0..2 {
        assert_eq!(put(&*sink, 1000).await.unwrap(), 1000);
    }
    let other = put(&*sink, 999).await;
    assert!(other.is_err(), "{other:?}");
    let objects = odd.objects.lock().unwrap();
    assert_eq!(objects.values().next().unwrap(), &vec![7; 1000]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_in_another_region_is_named_with_the_region_and_the_key() {
    let (_, url) = Odd::start(|asked| {
        let answer = Response::builder()
            .status(301)
            .header("x-amz-bucket-region", "eu-central-1");
        let body = match asked.method.as_str() {
            "HEAD" => "",
            _ => "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.amazonaws.com</Endpoint></Error>",
        };
        Some(answer.body(Full::from(body.to_owned())).unwrap())
    })
    .await;
    let sink = sink(keys(&url), json!({})).await;
    for error in [
        sink.check().await.unwrap_err(),
        put(&*sink, 1000).await.unwrap_err(),
    ] {
        let told = error.to_string();
        assert!(told.contains("set `region: eu-central-1`"), "{told}");
        assert!(!error.retryable, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_refusals_is_waited_out_and_felt() {
    let (odd, url) = Odd::start(|asked| {
        let part = asked.method == "PUT" && asked.query.contains("partNumber");
        let single = asked.method == "PUT" && asked.key.ends_with("b.ogg");
        ((part || single) && asked.before < 2).then(|| error(503, "SlowDown"))
    })
    .await;
    let sink = sink(keys(&url), json!({})).await;
    assert_eq!(put(&*sink, LARGE).await.unwrap(), LARGE as u64);
    let body = Body::whole(Bytes::from_static(b"bytes"));
    sink.put("b.ogg", PutOptions::default(), body)
        .await
        .unwrap();
    let puts = odd.count(|asked| asked.method == "PUT");
    assert!(puts >= 9, "{puts}");
    assert!(sink.backpressure() >= 6, "{}", sink.backpressure());
}

/// A profile of AWS whose credentials come of a program: other ones at each call.
#[cfg(unix)]
fn profile(folder: &std::path::Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let script = folder.join("credentials");
    let count = folder.join("count");
    let text = format!(
        "#!/bin/sh\necho x >> '{count}'\nn=$(wc -l < '{count}' | tr -d ' ')\necho \"{{\\\"Version\\\": 1, \\\"AccessKeyId\\\": \\\"KEY$n\\\", \\\"SecretAccessKey\\\": \\\"hush-hush\\\", \\\"SessionToken\\\": \\\"hush-token\\\"}}\"\n",
        count = count.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let config = folder.join("aws-config");
    let text = format!(
        "[profile archive]\nregion = eu-west-1\ncredential_process = {}\n",
        script.display()
    );
    std::fs::write(&config, text).unwrap();
    config.display().to_string()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_in_the_middle_of_an_upload_are_fetched_anew() {
    // The first credentials last for the check and one part, those fetched after them for all the rest.
    let (odd, url) = Odd::start(|asked| {
        let second = asked.query.contains("partNumber=2");
        (second && asked.signed_by == "KEY1").then(|| error(400, "ExpiredToken"))
    })
    .await;
    let calls = vec![(
        crate::cases::row(1),
        vec![crate::cases::Recording::new(
            1,
            0,
            "audio/ogg",
            [b"OggS".to_vec(), vec![7; LARGE]].concat(),
        )],
    )];
    let mut cloud = crate::cases::Cloud::honest(calls).await;
    let config = profile(&cloud.folder("."));
    cloud.environment = vec![("AWS_CONFIG_FILE", config)];
    let mut lake = keys(&url);
    lake["credentials"] = json!({ "profile": "archive" });
    cloud.sinks = json!({ "lake": lake });
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        odd.count(|asked| asked.signed_by == "KEY3"),
        0,
        "fetched once more, and not at each request"
    );
    assert!(odd.count(|asked| asked.signed_by == "KEY2") > 0);
    let stored = odd.objects.lock().unwrap();
    assert!(stored.values().any(|object| object.len() == LARGE + 4));
}

/// A home whose profile `archive` is logged in to AWS by single sign-on, with a token that ends then.
fn signed_on(home: &std::path::Path, until: &str) {
    let cache = home.join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    let config = "[profile archive]\nregion = eu-west-1\nsso_session = archive\nsso_account_id = 111122223333\n\
        sso_role_name = archivist\n[sso-session archive]\nsso_region = eu-west-1\n\
        sso_start_url = https://calls.awsapps.com/start\n";
    std::fs::write(home.join(".aws/config"), config).unwrap();
    let token = json!({ "accessToken": "hush-token", "expiresAt": until, "region": "eu-west-1",
        "startUrl": "https://calls.awsapps.com/start" });
    // Its name is the sha1 of the session's name.
    let name = "ebfb55f4432b592119a10592e4f26272cc72359e.json";
    std::fs::write(cache.join(name), token.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_single_sign_on_gives_credentials_or_says_that_it_must_log_in() {
    let (odd, url) = Odd::start(|_| None).await;
    let portal = crate::support::answering(|request| async move {
        let token = request.headers().get("x-amz-sso_bearer_token");
        let known = token.is_some_and(|token| token == "hush-token");
        let asked = request.uri().to_string();
        let rights = asked.starts_with("/federation/credentials")
            && asked.contains("role_name=archivist")
            && asked.contains("account_id=111122223333");
        let answer = json!({ "roleCredentials": { "accessKeyId": "SSOKEY", "secretAccessKey": "hush-hush",
            "sessionToken": "hush-session", "expiration": 4_102_444_800_000_u64 } });
        let status = if known && rights { 200 } else { 401 };
        let answer = hyper::Response::builder().status(status).body(answer.to_string().into());
        answer.unwrap()
    })
    .await;
    let calls = vec![(
        crate::cases::row(1),
        vec![crate::cases::Recording::call(1, 0)],
    )];
    let mut cloud = crate::cases::Cloud::honest(calls).await;
    let home = cloud.folder(".");
    let shown = home.display().to_string();
    cloud.environment = vec![("HOME", shown), ("AWS_ENDPOINT_URL_SSO", portal)];
    let mut lake = keys(&url);
    lake["credentials"] = json!({ "profile": "archive" });
    cloud.sinks = json!({ "lake": lake });

    signed_on(&home, "2020-01-01T00:00:00Z");
    let checked = cloud.command("check", &[]).await;
    assert_ne!(checked.code, Some(0), "{checked:?}");
    let said = format!("{checked:?}");
    assert!(
        said.contains("no credentials: the SSO token has expired"),
        "{said}"
    );
    assert!(said.contains("`aws sso login`"), "{said}");
    assert!(!said.contains("hush"), "{said}");

    signed_on(&home, "2099-01-01T00:00:00Z");
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(odd.count(|asked| asked.signed_by == "SSOKEY") > 0);
    assert_eq!(odd.count(|asked| asked.signed_by != "SSOKEY"), 0);
}
