//! A simulated contact center, and requests to it whose answers are seen byte by byte.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use genesys_simulator::{Faults, Settings, Simulator};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const QUERY: &str = "/api/v2/analytics/conversations/details/query";
pub(crate) const BATCHES: &str = "/api/v2/recording/batchrequests";
/// How fast time runs in most of these tests.
pub(crate) const SPEED: f64 = 50.0;

/// One request on a connection of its own, and what came back.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Why reading ended, unless the connection was closed in order.
    pub(crate) error: Option<ErrorKind>,
    /// From the head of the answer to its end.
    pub(crate) took: Duration,
}

impl Exchange {
    /// Sends a request to an absolute URL; `headers` end in CRLF each.
    pub(crate) async fn new(method: &str, url: &str, headers: &str, body: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let mut answer = Exchange {
            head: String::new(),
            body: Vec::new(),
            error: None,
            took: Duration::ZERO,
        };
        let mut stream = match TcpStream::connect(host).await {
            Ok(stream) => stream,
            Err(error) => {
                answer.error = Some(error.kind());
                return answer;
            }
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let mut began = None;
        loop {
            match stream.read_buf(&mut bytes).await {
                Ok(0) => break,
                Ok(_) => began = began.or_else(|| Some(Instant::now())),
                Err(error) => {
                    answer.error = Some(error.kind());
                    break;
                }
            }
        }
        answer.took = began.map_or(Duration::ZERO, |began| began.elapsed());
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            answer.body = bytes.split_off(end + 4);
            answer.head = String::from_utf8(bytes).unwrap();
        }
        answer
    }

    /// The status; 0 if there was no answer.
    pub(crate) fn status(&self) -> u16 {
        let word = self.head.split(' ').nth(1);
        word.map_or(0, |status| status.parse().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn announced(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }

    /// Returns true if an answer came, with all that it announced.
    pub(crate) fn complete(&self) -> bool {
        !self.head.is_empty() && self.error.is_none() && self.body.len() == self.announced()
    }

    pub(crate) fn json(&self) -> Value {
        assert!(self.complete(), "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

pub(crate) struct Harness {
    pub(crate) simulator: Simulator,
    token: String,
}

impl Harness {
    /// A contact center with these faults and jobs that are done at once.
    pub(crate) async fn with(faults: &str) -> Self {
        Harness::start(Settings {
            faults: Faults::parse(faults).unwrap(),
            ..settings()
        })
        .await
    }

    pub(crate) async fn start(settings: Settings) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut center = Harness {
            simulator: Simulator::start(listen, settings).await.unwrap(),
            token: String::new(),
        };
        center.log_in().await;
        center
    }

    /// Gets a token, as often as it takes.
    pub(crate) async fn log_in(&mut self) {
        for _ in 0..200 {
            let answer = self.try_log_in().await;
            if answer.status() == 200 && answer.complete() {
                self.token = answer.json()["access_token"].as_str().unwrap().to_owned();
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn try_log_in(&self) -> Exchange {
        let (id, secret) = (self.simulator.client_id(), self.simulator.client_secret());
        // The client library knows how to write credentials.
        let request = reqwest::Client::new()
            .post("http://127.0.0.1/")
            .basic_auth(id, Some(secret))
            .build()
            .unwrap();
        let credentials = request.headers()["authorization"].to_str().unwrap();
        let headers = format!(
            "authorization: {credentials}\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        );
        let url = format!("{}/oauth/token", self.simulator.login_url());
        Exchange::new("POST", &url, &headers, "grant_type=client_credentials").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Exchange {
        let headers = format!(
            "authorization: Bearer {}\r\ncontent-type: application/json\r\n",
            self.token
        );
        let url = self.simulator.api_url() + path;
        Exchange::new("POST", &url, &headers, &body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Exchange {
        let headers = format!("authorization: Bearer {}\r\n", self.token);
        let url = self.simulator.api_url() + path;
        Exchange::new("GET", &url, &headers, "").await
    }

    /// A page of the first day.
    pub(crate) async fn page(&self, size: u32, number: u32) -> Exchange {
        let body = json!({
            "interval": "2026-01-05T00:00:00Z/2026-01-06T00:00:00Z",
            "paging": { "pageSize": size, "pageNumber": number },
        });
        self.post(QUERY, &body).await
    }

    /// Submits conversations; the path at which the job is polled.
    pub(crate) async fn submit(&self, conversations: std::ops::Range<u64>) -> String {
        let organization = self.simulator.organization();
        let items: Vec<Value> = conversations
            .map(|index| json!({ "conversationId": organization.conversation(index).id }))
            .collect();
        let body = json!({ "batchDownloadRequestList": items });
        let answer = self.post(BATCHES, &body).await.json();
        answer["selfUri"].as_str().unwrap().to_owned()
    }

    /// The results of a job with these conversations that is done at once.
    pub(crate) async fn results(&self, conversations: std::ops::Range<u64>) -> Vec<Value> {
        let uri = self.submit(conversations).await;
        let answer = self.get(&uri).await.json();
        assert_eq!(answer["status"], "Completed");
        answer["results"].as_array().unwrap().clone()
    }

    /// A link to a file.
    pub(crate) async fn link(&self) -> String {
        let results = self.results(0..20).await;
        let url = results.iter().find_map(|row| row["resultUrl"].as_str());
        url.unwrap().to_owned()
    }

    /// How often a fault struck.
    pub(crate) fn struck(&self, name: &str) -> u64 {
        let struck = self.simulator.stats().struck;
        struck.get(name).copied().unwrap_or_default()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        speed: SPEED,
        rate_limit: 1_000_000,
        job_time: Duration::ZERO,
        link_lifetime: Duration::from_secs(864_000),
        ..Settings::default()
    }
}

/// A simulated length of time, as it really is.
pub(crate) fn real(ms: u64) -> Duration {
    Duration::from_millis(ms).div_f64(SPEED)
}
