//! The simulator refuses what the vendor would refuse, and answers as the vendor would.

#[path = "strict/batches.rs"]
mod batches;

use std::time::Duration;

use genesys_simulator::{
    Dialect, MediaType, Organization, RecordingKind, Settings, Simulator, State,
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

const QUERY: &str = "/api/v2/analytics/conversations/details/query";
const BATCHES: &str = "/api/v2/recording/batchrequests";

struct User {
    simulator: Simulator,
    client: Client,
    token: String,
}

impl User {
    async fn of(settings: Settings) -> Self {
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
        assert_eq!(answer["token_type"], "bearer");
        let token = answer["access_token"].as_str().unwrap().to_owned();
        User {
            simulator,
            client,
            token,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        self.client
            .post(self.simulator.api_url() + path)
            .bearer_auth(&self.token)
            .json(body)
            .send()
            .await
            .unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        self.client
            .get(self.simulator.api_url() + path)
            .bearer_auth(&self.token)
            .send()
            .await
            .unwrap()
    }

    async fn query(&self, body: &Value) -> Value {
        let answer = self.post(QUERY, body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    /// The vendor's error: status, code and message.
    async fn refused(&self, path: &str, body: &Value) -> (u16, String, String) {
        let answer = self.post(path, body).await;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["status"], status);
        assert!(body["contextId"].is_string());
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (status, text("code"), text("message"))
    }

    /// Submits conversations and polls until the job is done; returns every answer.
    async fn batch(&self, indices: &[u64]) -> Vec<Value> {
        let organization = self.simulator.organization();
        let items: Vec<Value> = indices
            .iter()
            .map(|index| json!({ "conversationId": organization.conversation(*index).id }))
            .collect();
        let answer = self
            .post(BATCHES, &json!({ "batchDownloadRequestList": items }))
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
        let submitted: Value = answer.json().await.unwrap();
        let uri = submitted["selfUri"].as_str().unwrap();
        let mut answers = Vec::new();
        loop {
            let answer: Value = self.get(uri).await.json().await.unwrap();
            let done = answer["status"] == "Completed";
            answers.push(answer);
            if done {
                return answers;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn fast() -> Settings {
    Settings {
        speed: 100.0,
        rate_limit: 100_000,
        ..Settings::default()
    }
}

fn day(number: u32) -> String {
    format!(
        "2026-01-{number:02}T00:00:00Z/2026-01-{:02}T00:00:00Z",
        number + 1
    )
}

#[tokio::test]
async fn requests_without_a_good_token_are_refused() {
    let user = User::of(fast()).await;
    let url = user.simulator.api_url() + QUERY;
    for token in [None, Some("guessed")] {
        let mut request = user.client.post(&url).json(&json!({ "interval": day(5) }));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    let login = format!("{}/oauth/token", user.simulator.login_url());
    let wrong = user
        .client
        .post(&login)
        .basic_auth(user.simulator.client_id(), Some("wrong"))
        .form(&[("grant_type", "client_credentials")]);
    let answer = wrong.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], "invalid_client");
}

#[tokio::test]
async fn queries_are_read_strictly() {
    let user = User::of(fast()).await;
    for (body, message) in [
        (json!({ "interval": day(5), "pageSize": 100 }), "pageSize"),
        (json!({}), "interval"),
        (json!({ "interval": "yesterday" }), "yesterday"),
        (
            json!({ "interval": "2026-01-05T00:00:00Z/2026-03-05T00:00:00Z" }),
            "31 days",
        ),
        (
            json!({ "interval": day(5), "paging": { "pageSize": 101 } }),
            "pageSize",
        ),
        (
            json!({ "interval": day(5), "paging": { "pageNumber": 0 } }),
            "pageNumber",
        ),
        (
            json!({ "interval": day(5), "paging": { "pageSize": "100" } }),
            "invalid type",
        ),
        (
            json!({ "interval": day(5), "segmentFilters": [{ "type": "and", "predicates": [
                { "type": "dimension", "dimension": "colour", "value": "red" }] }] }),
            "colour",
        ),
        (
            json!({ "interval": day(5), "order": "sideways" }),
            "sideways",
        ),
    ] {
        let (status, _, text) = user.refused(QUERY, &body).await;
        assert_eq!(status, 400, "{body}");
        assert!(text.contains(message), "{body}: {text}");
    }
    let answer = user
        .client
        .post(user.simulator.api_url() + QUERY)
        .bearer_auth(&user.token)
        .body(json!({ "interval": day(5) }).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let stats = user.simulator.stats();
    assert_eq!(stats.rejected, 10);
}

#[tokio::test]
async fn pages_cover_an_interval_once_and_end_without_a_key() {
    let user = User::of(fast()).await;
    let organization = user.simulator.organization();
    let mut seen = Vec::new();
    for number in 1.. {
        let body = json!({ "interval": day(6), "paging": { "pageSize": 7, "pageNumber": number } });
        let page = user.query(&body).await;
        let Some(rows) = page.get("conversations") else {
            break;
        };
        for row in rows.as_array().unwrap() {
            seen.push(row["conversationId"].as_str().unwrap().to_owned());
        }
    }
    let (from, _) = organization.interval();
    let begin = from.as_millisecond() as u64 + 86_400_000;
    let inside: Vec<String> = (0..organization.conversations())
        .map(|index| organization.conversation(index))
        .filter(|c| (begin..begin + 86_400_000).contains(&c.start))
        .map(|c| c.id)
        .collect();
    assert_eq!(seen, inside);
    // A conversation that began earlier on a day touched by the interval and had not ended is found, too.
    let one = organization.find(&inside[3]).unwrap();
    let middle = jiff::Timestamp::from_millisecond((one.start + 1000) as i64).unwrap();
    let end = jiff::Timestamp::from_millisecond((one.start + 1001) as i64).unwrap();
    let page = user
        .query(&json!({ "interval": format!("{middle}/{end}") }))
        .await;
    assert_eq!(page["conversations"][0]["conversationId"], *one.id);
}

#[tokio::test]
async fn filters_choose_conversations() {
    let user = User::of(fast()).await;
    let organization = user.simulator.organization();
    let week = "2026-01-05T00:00:00Z/2026-01-12T00:00:00Z";
    let filter = |dimension: &str, value: &str| {
        json!([{ "type": "and", "predicates": [
            { "type": "dimension", "dimension": dimension, "operator": "matches", "value": value }] }])
    };
    let all: Vec<_> = (0..organization.conversations())
        .map(|index| organization.conversation(index))
        .collect();
    let page = user
        .query(&json!({ "interval": week, "segmentFilters": filter("mediaType", "chat") }))
        .await;
    let chats = all.iter().filter(|c| c.media == MediaType::Chat).count();
    assert_eq!(page["totalHits"], chats);
    let page = user
        .query(&json!({
            "interval": week,
            "conversationFilters": filter("originatingDirection", "outbound"),
        }))
        .await;
    let outbound = all.iter().filter(|c| !c.inbound).count();
    assert_eq!(page["totalHits"], outbound);
    let page = user
        .query(&json!({ "interval": week, "conversationFilters": filter("conversationId", &all[9].id) }))
        .await;
    assert_eq!(page["totalHits"], 1);
}

#[tokio::test]
async fn what_never_ends_is_there_unless_an_end_is_asked_for() {
    let settings = Settings {
        never_ended: 0.2,
        conversations: 100,
        days: 1,
        ..fast()
    };
    let center = User::of(settings.clone()).await;
    let organization = center.simulator.organization();
    let all = (0..100).map(|index| organization.conversation(index));
    let open: Vec<String> = all.filter(|one| one.never_ends).map(|one| one.id).collect();
    assert!((10..35).contains(&open.len()), "{}", open.len());
    // All else of the organization is as without it.
    let other = Organization::new(Settings {
        never_ended: 0.0,
        ..settings
    });
    for index in 0..100 {
        let mut one = organization.conversation(index);
        one.never_ends = false;
        assert_eq!(one, other.conversation(index));
    }
    let predicate = |operator: &str| {
        json!([{ "type": "and", "predicates": [
            { "type": "dimension", "dimension": "conversationEnd", "operator": operator }] }])
    };
    for (filters, count) in [
        (json!([]), 100),
        (predicate("exists"), 100 - open.len()),
        (predicate("notExists"), open.len()),
    ] {
        let page = center
            .query(&json!({ "interval": day(5), "conversationFilters": filters, "paging": { "pageSize": 100 } }))
            .await;
        assert_eq!(page["totalHits"], count);
        for row in page["conversations"].as_array().unwrap() {
            let id = row["conversationId"].as_str().unwrap().to_owned();
            assert_eq!(row.get("conversationEnd").is_none(), open.contains(&id));
        }
    }
}

#[tokio::test]
async fn a_million_conversations_are_there_at_once_and_too_many_hits_are_refused() {
    let user = User::of(Settings {
        conversations: 1_000_000,
        ..fast()
    })
    .await;
    let (status, _, message) = user.refused(QUERY, &json!({ "interval": day(5) })).await;
    assert_eq!(status, 400);
    assert_eq!(message, "Pagination may not exceed 100000 results");
    let half = "2026-01-05T00:00:00Z/2026-01-05T12:00:00Z";
    let page = user
        .query(&json!({ "interval": half, "paging": { "pageSize": 100, "pageNumber": 700 } }))
        .await;
    assert_eq!(page["conversations"].as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn a_token_makes_300_requests_a_minute_and_is_told_when_to_come_back() {
    let user = User::of(Settings::default()).await;
    let body = json!({ "interval": day(5), "paging": { "pageSize": 1 } });
    let mut last = 0;
    for _ in 0..300 {
        let answer = user.post(QUERY, &body).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("inin-ratelimit-allowed"), "300");
        assert_eq!(header("inin-correlation-id").len(), 36);
        last = header("inin-ratelimit-count").parse().unwrap();
    }
    assert_eq!(last, 300);
    let answer = user.post(QUERY, &body).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["code"], "too.many.requests");
    assert_eq!(body["limit"]["value"], 300);
    assert_eq!(user.simulator.stats().refused, 1);
}
