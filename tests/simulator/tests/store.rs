//! The origin behind signed links answers as S3 does: tags, conditions, ranges, HEAD and errors.

use std::time::Duration;

use genesys_simulator::{Settings, Simulator};
use md5::{Digest, Md5};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

const BATCHES: &str = "/api/v2/recording/batchrequests";

struct Store {
    simulator: Simulator,
    client: Client,
    url: String,
}

impl Store {
    /// A link to the first file that there is.
    async fn new(settings: Settings) -> Self {
        let settings = Settings {
            job_time: Duration::ZERO,
            ..settings
        };
        let listen = "127.0.0.1:0".parse().unwrap();
        let simulator = Simulator::start(listen, settings).await.unwrap();
        let client = Client::new();
        let log_in = client
            .post(format!("{}/oauth/token", simulator.login_url()))
            .basic_auth(simulator.client_id(), Some(simulator.client_secret()))
            .form(&[("grant_type", "client_credentials")]);
        let answer: Value = log_in.send().await.unwrap().json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap();
        let items: Vec<Value> = (0..10)
            .map(|index| json!({ "conversationId": simulator.organization().conversation(index).id }))
            .collect();
        let submit = client
            .post(simulator.api_url() + BATCHES)
            .bearer_auth(token)
            .json(&json!({ "batchDownloadRequestList": items }));
        let job: Value = submit.send().await.unwrap().json().await.unwrap();
        let uri = job["selfUri"].as_str().unwrap();
        let poll = client.get(simulator.api_url() + uri).bearer_auth(token);
        let job: Value = poll.send().await.unwrap().json().await.unwrap();
        let rows = job["results"].as_array().unwrap();
        let url = rows.iter().find_map(|row| row["resultUrl"].as_str());
        Store {
            url: url.unwrap().to_owned(),
            simulator,
            client,
        }
    }

    async fn ask(&self, method: Method, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.request(method, &self.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn get(&self, headers: &[(&str, &str)]) -> Response {
        self.ask(Method::GET, headers).await
    }
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

fn md5(data: &[u8]) -> String {
    let digest = Md5::digest(data);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_tag_of_a_file_is_its_md5_and_head_tells_it() {
    let store = Store::new(Settings::default()).await;
    let head = store.ask(Method::HEAD, &[]).await;
    assert_eq!(head.status(), StatusCode::OK);
    let whole = store.get(&[]).await;
    for name in ["etag", "content-length", "content-type", "last-modified"] {
        assert_eq!(header(&head, name), header(&whole, name), "{name}");
    }
    assert_eq!(header(&whole, "accept-ranges"), "bytes");
    assert!(header(&whole, "last-modified").ends_with(" GMT"));
    let etag = header(&whole, "etag").to_owned();
    let whole = whole.bytes().await.unwrap();
    assert_eq!(etag, format!("\"{}\"", md5(&whole)));
    assert_eq!(header(&head, "content-length"), whole.len().to_string());
    assert!(head.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_tag_of_a_large_file_is_that_of_an_upload_in_parts() {
    let store = Store::new(Settings {
        giant: Some(150 << 20),
        ..Settings::default()
    })
    .await;
    let head = store.ask(Method::HEAD, &[]).await;
    let etag = header(&head, "etag").trim_matches('"').to_owned();
    let (digest, parts) = etag.split_once('-').unwrap();
    assert_eq!((digest.len(), parts), (32, "3"));
}

#[tokio::test]
async fn ranges_from_the_start_the_middle_and_the_end_add_up() {
    let store = Store::new(Settings::default()).await;
    let whole = store.get(&[]).await.bytes().await.unwrap();
    let all = whole.len();
    for (range, from, until) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=100-299".to_owned(), 100, 300),
        ("bytes=500-".to_owned(), 500, all),
        ("bytes=-70".to_owned(), all - 70, all),
        (format!("bytes=9-{}", all * 2), 9, all),
    ] {
        let part = store.get(&[("range", &range)]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let text = format!("bytes {from}-{}/{all}", until - 1);
        assert_eq!(header(&part, "content-range"), text);
        assert_eq!(part.bytes().await.unwrap(), whole[from..until], "{range}");
    }
    for ignored in ["bytes=9-5", "bytes=0-1,5-6", "lines=0-1"] {
        let answer = store.get(&[("range", ignored)]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{ignored}");
    }
    let beyond = format!("bytes={all}-");
    let answer = store.get(&[("range", &beyond)]).await;
    assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&answer, "content-range"), format!("bytes */{all}"));
    let text = answer.text().await.unwrap();
    assert!(text.contains("<Code>InvalidRange</Code>"), "{text}");
    assert!(text.contains(&format!("<ActualObjectSize>{all}</ActualObjectSize>")));
}

#[tokio::test]
async fn conditions_decide_what_is_sent() {
    let store = Store::new(Settings::default()).await;
    let whole = store.get(&[]).await;
    let etag = header(&whole, "etag").to_owned();
    let modified = header(&whole, "last-modified").to_owned();
    let range = ("range", "bytes=5-9");
    for (condition, status) in [
        (("if-range", etag.as_str()), 206),
        (("if-range", modified.as_str()), 206),
        (("if-range", "\"another\""), 200),
        (("if-match", etag.as_str()), 206),
        (("if-match", "\"another\""), 412),
        (("if-none-match", etag.as_str()), 304),
        (("if-none-match", "*"), 304),
        (("if-none-match", "\"another\""), 206),
    ] {
        let answer = store.get(&[range, condition]).await;
        assert_eq!(answer.status(), status, "{condition:?}");
        assert_eq!(header(&answer, "etag"), etag);
    }
}

#[tokio::test]
async fn refusals_are_xml_with_the_codes_of_s3() {
    let store = Store::new(Settings::default()).await;
    let refused = async |request: reqwest::RequestBuilder, status: u16, code: &str| {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "content-type"), "application/xml");
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("<?xml"), "{text}");
        assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
        assert!(text.contains("<RequestId>"), "{text}");
    };
    let (client, url) = (&store.client, store.url.as_str());
    let forged = url.replace("Signature=", "Signature=0");
    refused(client.get(&forged), 403, "SignatureDoesNotMatch").await;
    let unsigned = url.split_once('?').unwrap().0;
    refused(client.get(unsigned), 403, "AccessDenied").await;
    refused(client.get(url).bearer_auth("x"), 400, "InvalidArgument").await;
    refused(client.put(url), 405, "MethodNotAllowed").await;
    assert!(url.starts_with(&store.simulator.media_url()));
}
