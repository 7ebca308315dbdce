//! The vendor of a simulation.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use rand::RngExt;
use serde_json::{Value, json};
use url::Url;

use super::{ALLOWED, world::World};
use recording_host_http::{HttpTransport, RequestCredentials};
use recording_host_model::{Request, RequestError, Response, clock::Clock};

const PAGE: usize = 5;

/// Answers requests, as far as nothing goes wrong.
pub(super) struct Vendor {
    world: Arc<Mutex<World>>,
    clock: Clock,
}

impl Debug for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vendor")
    }
}

impl Vendor {
    pub(super) fn new(world: Arc<Mutex<World>>, clock: Clock) -> Self {
        Vendor { world, clock }
    }

    fn answer(&self, url: &Url, token: Option<u64>) -> Result<Response, RequestError> {
        let now = self.clock.now();
        let mut world = self.world.lock().unwrap();
        world.log.push(format!("{now} {}", url.path()));
        if now < world.outage {
            return Err(RequestError::Unreachable("simulated outage".into()));
        }
        if world.strikes_rarely() {
            world.outage = now + world.rng.random_range(1000..120_000);
        }
        if world.strikes() {
            return Err(RequestError::Unreachable("simulated".into()));
        }
        if url.path() == "/token" {
            let status = if world.strikes() { 503 } else { 200 };
            let token = world.token;
            return Ok(response(
                status,
                &json!({ "access_token": token.to_string(), "expires_in": 3600 }),
                0,
                now,
            ));
        }
        if world.strikes_rarely() {
            world.token += 1;
        }
        if token != Some(world.token) {
            return Ok(response(401, &json!({}), 0, now));
        }
        let count = world.minutes.entry(now / 60_000).or_default();
        *count += 1;
        let count = *count;
        if count > ALLOWED {
            world.refused += 1;
            return Ok(response(429, &json!({}), count, now));
        }
        if world.strikes() {
            return Ok(response(503, &json!("<html>"), count, now));
        }
        let body = answer(&mut world, url, now);
        Ok(response(200, &body, count, now))
    }
}

fn response(status: u16, body: &Value, count: u32, now: u64) -> Response {
    let mut headers = vec![
        ("count".to_owned(), count.to_string()),
        ("allowed".to_owned(), ALLOWED.to_string()),
        ("reset".to_owned(), (60 - now / 1000 % 60).to_string()),
    ];
    if status == 429 {
        headers.push(("retry-after".to_owned(), (60 - now / 1000 % 60).to_string()));
    }
    Response {
        status,
        headers,
        body: body.to_string().into_bytes(),
    }
}

/// The answer of the API: pages of calls, new jobs, and how jobs are getting on.
fn answer(world: &mut World, url: &Url, now: u64) -> Value {
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let number = |name: &str| -> u64 {
        let value = query.iter().find(|(key, _)| key == name);
        value.map_or(0, |(_, value)| value.parse().unwrap())
    };
    match url.path() {
        "/calls" => {
            let (from, until, page) = (number("from"), number("until"), number("page") as usize);
            let calls = world
                .conversations
                .iter()
                .filter(|call| (from..until).contains(&call.start) && call.end <= now);
            let ids: Vec<&str> = calls.map(|call| call.id.as_str()).collect();
            let rest = ids.len().saturating_sub((page + 1) * PAGE);
            let ids: Vec<&str> = ids.into_iter().skip(page * PAGE).take(PAGE).collect();
            let extent = |id: &&str| {
                let call = world.conversations.iter().find(|call| call.id == **id);
                call.unwrap().extent(now)
            };
            let extents: Vec<u64> = ids.iter().map(extent).collect();
            json!({ "ids": ids, "extents": extents, "more": rest > 0 })
        }
        "/submit" => {
            let ids = &query.iter().find(|(key, _)| key == "ids").unwrap().1;
            let ids = ids.split(',').map(str::to_owned).collect();
            let done = now + world.rng.random_range(1000..120_000);
            world.jobs.push((ids, done));
            world.submits += 1;
            json!({ "job": world.jobs.len() - 1 })
        }
        "/job" => {
            let (ids, done) = &world.jobs[number("job") as usize];
            let rows: Vec<Value> = ids
                .iter()
                .map(|id| {
                    let call = world.conversations.iter().find(|call| call.id == *id);
                    let call = call.unwrap();
                    let more = call.more.filter(|at| at <= done);
                    let recordings = call.recordings.iter().copied();
                    let ready: Vec<Value> = recordings
                        .chain(more.map(Some))
                        .map(|at| match at {
                            None => json!("never"),
                            Some(at) if at > *done => json!("later"),
                            Some(_) => json!("ready"),
                        })
                        .collect();
                    let extent = world.tells.then(|| call.extent(*done));
                    json!({ "id": id, "recordings": ready, "extent": extent })
                })
                .collect();
            json!({ "done": now >= *done, "rows": rows })
        }
        path => panic!("{path}"),
    }
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn exchange(
        &self,
        url: &Url,
        _: &Request,
        credentials: RequestCredentials<'_>,
    ) -> Result<Response, RequestError> {
        let token = match credentials {
            RequestCredentials::Bearer(value) => value.to_str().unwrap()[7..].parse().ok(),
            _ => None,
        };
        let there = self.world.lock().unwrap().delay(300);
        tokio::time::sleep(there).await;
        let answer = self.answer(url, token);
        let back = self.world.lock().unwrap().delay(300);
        tokio::time::sleep(back).await;
        // The answer may be lost although the request had its effect.
        if answer.is_ok() && self.world.lock().unwrap().strikes() {
            return Err(RequestError::Unreachable("simulated loss".into()));
        }
        answer
    }
}
