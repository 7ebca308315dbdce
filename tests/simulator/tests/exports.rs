//! Recording bulk actions: states, who may do what, and what is refused.

use std::time::Duration;

use genesys_simulator::{Settings, Simulator};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

const JOBS: &str = "/api/v2/recording/jobs";

struct User {
    simulator: Simulator,
    client: Client,
    token: String,
}

impl User {
    async fn start() -> Self {
        Self::without(&[]).await
    }

    /// One whose role lacks some permissions.
    async fn without(denied: &[&str]) -> Self {
        let settings = Settings {
            denied: denied.iter().map(|one| (*one).to_owned()).collect(),
            conversations: 40,
            uploading: 0.2,
            speed: 2000.0,
            rate_limit: 100_000,
            ..Settings::default()
        };
        let listen = "127.0.0.1:0".parse().unwrap();
        let simulator = Simulator::start(listen, settings).await.unwrap();
        let client = Client::new();
        let answer = client
            .post(format!("{}/oauth/token", simulator.login_url()))
            .basic_auth(simulator.client_id(), Some(simulator.client_secret()))
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        let token = answer["access_token"].as_str().unwrap().to_owned();
        User {
            simulator,
            client,
            token,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = self.simulator.api_url() + JOBS + path;
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    fn order(&self) -> Value {
        let (from, until) = self.simulator.organization().interval();
        json!({
            "action": "EXPORT",
            "actionDate": "2026-02-01T00:00:00.000Z",
            "integrationId": self.simulator.organization().integration_id(),
            "conversationQuery": { "interval": format!("{from}/{until}") },
        })
    }

    async fn in_state(&self, id: &str, state: &str) -> Value {
        loop {
            let (_, job) = self.ask(Method::GET, &format!("/{id}"), None).await;
            if job["state"] == state {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn a_job_waits_for_its_creator_and_exports_each_recording_once() {
    let user = User::start().await;
    let (status, job) = user.ask(Method::POST, "", Some(user.order())).await;
    assert_eq!(
        (status, &job["state"]),
        (StatusCode::ACCEPTED, &json!("PENDING"))
    );
    let id = job["id"].as_str().unwrap();
    let change = Some(json!({ "state": "PROCESSING" }));
    let (early, _) = user
        .ask(Method::PUT, &format!("/{id}"), change.clone())
        .await;
    assert_eq!(early, StatusCode::BAD_REQUEST);
    let ready = user.in_state(id, "READY").await;
    assert_eq!(ready["totalSkippedRecordings"], 0);
    assert!(user.simulator.pushed().is_empty());
    let (status, _) = user
        .ask(Method::PUT, &format!("/{id}"), change.clone())
        .await;
    assert_eq!(status, StatusCode::OK);
    let done = user.in_state(id, "FULFILLED").await;
    let number = |field: &str| done[field].as_u64().unwrap();
    let pushed = user.simulator.pushed().len() as u64;
    assert_eq!(number("totalProcessedRecordings"), pushed);
    assert_eq!(
        number("totalRecordings"),
        pushed + number("totalFailedRecordings")
    );
    let mut failed = Vec::new();
    let mut path = format!("/{id}/failedrecordings?pageSize=3");
    loop {
        let (_, page) = user.ask(Method::GET, &path, None).await;
        failed.extend(page["entities"].as_array().unwrap().clone());
        let Some(next) = page["nextUri"].as_str() else {
            break;
        };
        path = next.strip_prefix(JOBS).unwrap().to_owned();
    }
    assert_eq!(failed.len() as u64, number("totalFailedRecordings"));
    assert!(failed.len() > 3);

    let (_, again) = user.ask(Method::POST, "", Some(user.order())).await;
    let again = user.in_state(again["id"].as_str().unwrap(), "READY").await;
    assert_eq!(again["totalSkippedRecordings"], pushed);
}

#[tokio::test]
async fn what_the_vendor_refuses_is_refused() {
    let user = User::start().await;
    let with = |field: &str, value: Value| {
        let mut order = user.order();
        order[field] = value;
        order
    };
    for wrong in [
        with("action", json!("SHRED")),
        with("integrationId", Value::Null),
        with("integrationId", json!("another")),
        with("actionDate", json!("tomorrow")),
        with("actionAge", json!(1)),
        with("conversationQuery", Value::Null),
        with("conversationQuery", json!({ "interval": "2026" })),
        with(
            "conversationQuery",
            json!({ "interval": "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", "paging": {} }),
        ),
        with("includeScreenRecording", json!(true)),
    ] {
        let (status, _) = user.ask(Method::POST, "", Some(wrong.clone())).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    for path in ["?pageSize=101", "?pageSize=0", "?pagesize=5"] {
        let (status, _) = user.ask(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
    }
    let foreign = user.simulator.add_foreign_job();
    let (_, all) = user.ask(Method::GET, "?showOnlyMyJobs=false", None).await;
    let (_, mine) = user.ask(Method::GET, "?showOnlyMyJobs=true", None).await;
    assert_eq!(all["entities"][0]["id"], json!(foreign));
    assert_eq!(mine["entities"], json!([]));
    let change = Some(json!({ "state": "PROCESSING" }));
    for (method, body) in [(Method::PUT, change), (Method::DELETE, None)] {
        let (status, _) = user.ask(method, &format!("/{foreign}"), body).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let (status, job) = user.ask(Method::POST, "", Some(user.order())).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (third, refusal) = user.ask(Method::POST, "", Some(user.order())).await;
    assert_eq!(third, StatusCode::BAD_REQUEST);
    assert_eq!(refusal["code"], "max.recording.jobs.reached");
    let own = format!("/{}", job["id"].as_str().unwrap());
    let (status, _) = user.ask(Method::DELETE, &own, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = user.ask(Method::DELETE, &own, None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, _) = user.ask(Method::POST, "", Some(user.order())).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    user.simulator.turn_bulk_actions_off();
    let (status, _) = user.ask(Method::GET, "", None).await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn each_call_takes_its_permission_and_to_let_a_job_go_on_takes_another() {
    let retention = ["recording", "screenRecording", "snippetRecording"];
    let retention = retention.map(|kind| format!("recording:{kind}:editRetention"));
    let user = User::without(&retention.each_ref().map(String::as_str)).await;
    let (status, job) = user.ask(Method::POST, "", Some(user.order())).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    let path = format!("/{}", job["id"].as_str().unwrap());
    let go_on = json!({ "state": "PROCESSING" });
    let (status, answer) = user.ask(Method::PUT, &path, Some(go_on)).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(answer.to_string().contains(&retention[0]), "{answer}");

    let user = User::without(&["recording:recording:viewSensitiveData"]).await;
    let mut order = user.order();
    order["includeRecordingsWithSensitiveData"] = json!(true);
    let (status, answer) = user.ask(Method::POST, "", Some(order)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    let (status, _) = user.ask(Method::POST, "", Some(user.order())).await;
    assert_eq!(status, StatusCode::ACCEPTED);
}
