//! Runs the source natively against a simulator, and keeps every request and its answer.

use std::time::Duration;

use genesys_cloud::GenesysCloud;
use genesys_simulator::{Organization, Settings, Simulator};
use recording_source_sdk::{
    Find, Method, Purpose, Request, RequestResult, Response, SourceError, TestDriver, TimeRange,
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::block_in_place};

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) response: Response,
}

/// A simulator, and a source that asks it.
pub(crate) struct Harness {
    pub(crate) simulator: Simulator,
    client: Client,
    token: String,
    pub(crate) traffic: Vec<Exchange>,
}

/// So fast that whatever takes time is done when it is requested again.
pub(crate) fn fast() -> Settings {
    Settings {
        speed: 10_000.0,
        rate_limit: u32::MAX,
        token_lifetime: Duration::from_secs(1 << 40),
        link_lifetime: Duration::from_secs(1 << 40),
        clock_start: Some("2026-06-01T00:00:00Z".parse().unwrap()),
        analytics_job_time: Duration::from_secs(5),
        job_time: Duration::from_secs(5),
        ..Settings::default()
    }
}

impl Harness {
    pub(crate) async fn start(settings: Settings) -> Self {
        let listen = "127.0.0.1:0".parse().unwrap();
        let simulator = Simulator::start(listen, settings).await.unwrap();
        let client = Client::new();
        let mut center = Harness {
            simulator,
            client,
            token: String::new(),
            traffic: Vec::new(),
        };
        center.log_in().await;
        center
    }

    pub(crate) async fn log_in(&mut self) {
        let (id, secret) = (self.simulator.client_id(), self.simulator.client_secret());
        let answer = self
            .client
            .post(format!("{}/oauth/token", self.simulator.login_url()))
            .basic_auth(id, Some(secret))
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        self.token = answer["access_token"].as_str().unwrap().to_owned();
    }

    pub(crate) fn organization(&self) -> Organization {
        self.simulator.organization().clone()
    }

    /// Runs a search of the whole organization and fetches what it finds.
    pub(crate) fn export(&mut self, options: Value) -> Result<TestDriver, SourceError> {
        let (from, until) = self.organization().interval();
        let range = TimeRange {
            from: from.as_millisecond() as u64,
            until: until.as_millisecond() as u64,
        };
        let purpose = Purpose::Find(Find {
            name: "find".to_owned(),
            range,
        });
        let mut options = options;
        options["api_url"] = json!(self.simulator.api_url());
        options["login_url"] = json!(self.simulator.login_url());
        options["media_origins"] = json!([self.simulator.media_url()]);
        let now = self.simulator.now().as_millisecond() as u64;
        let mut drive = TestDriver::start::<GenesysCloud>(&options.to_string(), purpose, now)?;
        let result = drive.run::<GenesysCloud>(|request, _| self.answer(request));
        result.map(|()| drive)
    }

    /// Sends a request as a host would.
    pub(crate) fn answer(&mut self, request: &Request) -> RequestResult {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client.request(method, &request.url);
        builder = builder.bearer_auth(&self.token);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let response = block_in_place(|| {
            Handle::current().block_on(async {
                let response = builder.send().await.unwrap();
                let headers = response.headers().iter();
                let headers = headers
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
                Response {
                    status: response.status().as_u16(),
                    headers: headers.collect(),
                    body: response.bytes().await.unwrap().to_vec(),
                }
            })
        });
        self.traffic.push(Exchange {
            request: request.clone(),
            response: response.clone(),
        });
        Ok(response)
    }

    /// How many requests had this method and a path that begins so.
    pub(crate) fn asked(&self, method: Method, path: &str) -> usize {
        let url = format!("{}/api/v2/{path}", self.simulator.api_url());
        let asked = self.traffic.iter();
        let asked = asked.filter(|exchange| exchange.request.method == method);
        asked
            .filter(|exchange| exchange.request.url.starts_with(&url))
            .count()
    }
}

impl Exchange {
    pub(crate) fn path(&self) -> &str {
        let rest = self.request.url.split_once("/api/v2/").unwrap().1;
        rest.split('?').next().unwrap()
    }

    pub(crate) fn answered(&self) -> Value {
        serde_json::from_slice(&self.response.body).unwrap_or_default()
    }
}
