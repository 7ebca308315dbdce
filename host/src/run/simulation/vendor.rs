//! The vendor of a simulation, a source for it, and the way from its links to the sinks.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    ALLOWED,
    world::{World, different},
};
use crate::{
    clock::Clock,
    grant::{Credentials, Exchange},
    pushback::Pushback,
    queue::Object,
    run::parts::{Delivers, Steps},
    sandbox::{
        Answer, Artifact, ArtifactKey, Container, Conversation, Download, Event, Failure, Fault,
        HandedOver, Method, Missing, Next, Outcome, OutcomeResult, Purpose, RecordingKey, Request,
        Response, SandboxError, Send, SourceError, Split, Started, State, Step, Wait, hex,
    },
    sink::SinkError,
    transfer::{Delivery, Output, TransferError},
};

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

    fn answer(&self, url: &Url, token: Option<u64>) -> Result<Response, Fault> {
        let now = self.clock.now();
        let mut world = self.world.lock().unwrap();
        world.log.push(format!("{now} {}", url.path()));
        if now < world.outage {
            return Err(Fault::Unreachable("simulated outage".into()));
        }
        if world.strikes_rarely() {
            world.outage = now + world.dice.random_range(1000..120_000);
        }
        if world.strikes() {
            return Err(Fault::Unreachable("simulated".into()));
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

/// What the API says: pages of calls, new jobs, and how jobs are getting on.
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
            let done = now + world.dice.random_range(1000..120_000);
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
impl Exchange for Vendor {
    async fn exchange(
        &self,
        url: &Url,
        _: &Request,
        credentials: Credentials<'_>,
    ) -> Result<Response, Fault> {
        let token = match credentials {
            Credentials::Bearer(value) => value.to_str().unwrap()[7..].parse().ok(),
            _ => None,
        };
        let there = self.world.lock().unwrap().delay(300);
        tokio::time::sleep(there).await;
        let answer = self.answer(url, token);
        let back = self.world.lock().unwrap().delay(300);
        tokio::time::sleep(back).await;
        // The answer may be lost although the request had its effect.
        if answer.is_ok() && self.world.lock().unwrap().strikes() {
            return Err(Fault::Unreachable("simulated loss".into()));
        }
        answer
    }
}

/// A split's memory.
#[derive(Clone, Serialize, Deserialize)]
enum Memory {
    Page {
        from: u64,
        until: u64,
        page: u64,
    },
    Unsubmitted {
        ids: Vec<String>,
        renewing: Option<Vec<String>>,
    },
    Job {
        ids: Vec<String>,
        renewing: Option<Vec<String>>,
        job: u64,
    },
}

/// A source for the simulated vendor.
pub(super) struct Source {
    world: Arc<Mutex<World>>,
}

impl Source {
    pub(super) fn new(world: Arc<Mutex<World>>) -> Self {
        Source { world }
    }

    fn conversation(&self, id: &str, extent: u64) -> Conversation {
        let world = self.world.lock().unwrap();
        let call = world
            .conversations
            .iter()
            .find(|call| call.id == id)
            .unwrap();
        Conversation {
            id: id.to_owned(),
            start: call.start,
            end: Some(call.end),
            direction: None,
            ani: None,
            dnis: None,
            agents: Vec::new(),
            queues: Vec::new(),
            wrap_up_codes: Vec::new(),
            tags: Vec::new(),
            divisions: Vec::new(),
            media_types: Vec::new(),
            recorded: call.flagged,
            extent: Some(extent),
            attributes: Vec::new(),
        }
    }
}

fn write(memory: &Memory) -> State {
    State {
        version: 1,
        data: serde_json::to_vec(memory).unwrap(),
    }
}

fn ask(memory: &Memory) -> Next {
    let (path, repeatable) = match memory {
        Memory::Page { from, until, page } => {
            (format!("calls?from={from}&until={until}&page={page}"), true)
        }
        Memory::Unsubmitted { ids, renewing } => {
            let ids = renewing.as_ref().unwrap_or(ids);
            (format!("submit?ids={}", ids.join(",")), false)
        }
        Memory::Job { job, .. } => (format!("job?job={job}"), true),
    };
    Next::Send(Send {
        request: Request {
            method: Method::Get,
            url: format!("https://api.test/{path}"),
            headers: Vec::new(),
            body: None,
            repeatable,
        },
        state: write(memory),
    })
}

fn then(next: Next) -> Step {
    Step {
        conversations: Vec::new(),
        artifacts: Vec::new(),
        outcomes: Vec::new(),
        splits: Vec::new(),
        facts: Vec::new(),
        notes: Vec::new(),
        next,
    }
}

fn failure(code: &str, passing: bool) -> Failure {
    Failure {
        code: code.to_owned(),
        message: code.to_owned(),
        passing,
    }
}

#[async_trait]
impl Steps for Source {
    async fn start(
        &self,
        purpose: Purpose,
        _: u64,
    ) -> Result<Result<Started, SourceError>, SandboxError> {
        let split = |id: String, kind: &str, memory: &Memory| Split {
            id,
            kind: kind.to_owned(),
            state: write(memory),
        };
        let splits = match purpose {
            Purpose::Find(find) => {
                let (from, end) = (find.range.from, find.range.until);
                let middle = from + (end - from) / 2;
                [(from, middle), (middle, end)]
                    .iter()
                    .enumerate()
                    .map(|(number, &(from, until))| {
                        let id = format!("{}/{number}", find.name);
                        split(
                            id,
                            "page",
                            &Memory::Page {
                                from,
                                until,
                                page: 0,
                            },
                        )
                    })
                    .collect()
            }
            Purpose::Fetch(fetch) => {
                let ids = fetch.conversations.into_iter().map(|one| one.id).collect();
                let renewing = None;
                vec![split(
                    fetch.name,
                    "job",
                    &Memory::Unsubmitted { ids, renewing },
                )]
            }
            Purpose::Check | Purpose::Estimate(_) => Vec::new(),
        };
        Ok(Ok(Started {
            origins: Vec::new(),
            splits,
            fetch_size: 7,
        }))
    }

    async fn step(
        &self,
        state: State,
        event: Event,
        now: u64,
    ) -> Result<Result<Step, SourceError>, SandboxError> {
        if self.world.lock().unwrap().strikes_rarely() {
            return Err(SandboxError::Trap {
                call: "step",
                reason: "simulated".into(),
            });
        }
        let mut memory: Memory = serde_json::from_slice(&state.data).unwrap();
        let answer = match event {
            Event::Due => return Ok(Ok(then(ask(&memory)))),
            Event::Renew(keys) => {
                let concerned = |id: &str| {
                    keys.iter().any(
                        |key| matches!(key, ArtifactKey::Recording(key) if key.conversation == id),
                    )
                };
                if let Memory::Job { ids, .. } | Memory::Unsubmitted { ids, .. } = memory.clone() {
                    let renewing = ids.iter().filter(|id| concerned(id)).cloned().collect();
                    let renewing = Some(renewing);
                    memory = Memory::Unsubmitted { ids, renewing };
                }
                return Ok(Ok(then(ask(&memory))));
            }
            Event::Answer(answer) => answer,
        };
        let body: Value = match answer {
            Answer::Response(response) if response.status == 200 => {
                serde_json::from_slice(&response.body).unwrap()
            }
            Answer::Response(response) => {
                let text = format!("status {}", response.status);
                return Ok(Err(SourceError::Transient(text)));
            }
            Answer::Fault(fault) => {
                return Ok(Err(SourceError::Transient(format!("{fault:?}"))));
            }
        };
        Ok(Ok(self.answered(memory, &body, now)))
    }
}

impl Source {
    fn answered(&self, memory: Memory, body: &Value, now: u64) -> Step {
        match memory {
            Memory::Page { from, until, page } => {
                let ids = body["ids"].as_array().unwrap();
                let extents = body["extents"].as_array().unwrap();
                let found: Vec<Conversation> = ids
                    .iter()
                    .zip(extents)
                    .map(|(id, extent)| {
                        self.conversation(id.as_str().unwrap(), extent.as_u64().unwrap())
                    })
                    .collect();
                let next = Memory::Page {
                    from,
                    until,
                    page: page + 1,
                };
                let mut step = if body["more"] == true {
                    then(ask(&next))
                } else {
                    then(Next::Done(write(&next)))
                };
                step.outcomes = found
                    .iter()
                    .filter(|one| !one.recorded)
                    .map(|one| Outcome {
                        conversation: one.id.clone(),
                        result: OutcomeResult::NoRecording,
                    })
                    .collect();
                step.conversations = found;
                step
            }
            Memory::Unsubmitted { ids, renewing } => {
                let job = body["job"].as_u64().unwrap();
                then(Next::Wait(Wait {
                    until: now + 5000,
                    state: write(&Memory::Job { ids, renewing, job }),
                }))
            }
            Memory::Job { ref renewing, .. } => {
                let state = write(&memory);
                if body["done"] != true {
                    let until = now + 10_000;
                    return then(Next::Wait(Wait { until, state }));
                }
                let mut step = then(Next::Done(state));
                for row in body["rows"].as_array().unwrap() {
                    let (artifacts, result) = results(row);
                    step.artifacts.extend(artifacts);
                    if renewing.is_none() {
                        if let Some(extent) = row["extent"].as_u64() {
                            let id = row["id"].as_str().unwrap();
                            step.conversations.push(self.conversation(id, extent));
                        }
                        step.outcomes.push(Outcome {
                            conversation: row["id"].as_str().unwrap().to_owned(),
                            result,
                        });
                    }
                }
                step
            }
        }
    }
}

/// The artifacts and the outcome of a row of a job.
fn results(row: &Value) -> (Vec<Artifact>, OutcomeResult) {
    let id = row["id"].as_str().unwrap();
    let mut artifacts = Vec::new();
    let mut missing = Vec::new();
    for (number, state) in row["recordings"].as_array().unwrap().iter().enumerate() {
        let recording = format!("{id}-r{number}");
        match state.as_str().unwrap() {
            "ready" => artifacts.push(Artifact {
                key: ArtifactKey::Recording(RecordingKey {
                    conversation: id.to_owned(),
                    recording,
                    part: 0,
                }),
                download: Download {
                    url: "https://media.test/".into(),
                    headers: Vec::new(),
                    authenticated: false,
                    expires: None,
                },
                content_type: None,
                container: Container::Single,
                size: None,
                sha256: None,
            }),
            state => missing.push(Missing {
                recording: Some(recording),
                failure: failure(state, state == "later"),
            }),
        }
    }
    let result = if !artifacts.is_empty() {
        let artifacts = u32::try_from(artifacts.len()).unwrap();
        OutcomeResult::HandedOver(HandedOver { artifacts, missing })
    } else if let Some(worst) = missing.into_iter().max_by_key(|one| one.failure.passing) {
        OutcomeResult::Failed(worst.failure)
    } else {
        OutcomeResult::Failed(failure("left-out", true))
    };
    (artifacts, result)
}

/// The way from a link to two sinks.
pub(super) struct Way {
    world: Arc<Mutex<World>>,
    clock: Clock,
    /// How many downloads are under way.
    under_way: AtomicUsize,
    pushback: Pushback,
}

impl Way {
    pub(super) fn new(world: Arc<Mutex<World>>, clock: Clock) -> Self {
        Way {
            world,
            clock,
            under_way: AtomicUsize::new(0),
            pushback: Pushback::default(),
        }
    }
}

#[async_trait]
impl Delivers for Way {
    async fn deliver(
        &self,
        artifact: &Artifact,
        outputs: &[&Output],
    ) -> Result<Delivery, TransferError> {
        let ArtifactKey::Recording(key) = &artifact.key else {
            panic!("no bundles here");
        };
        let (delay, narrow) = {
            let mut world = self.world.lock().unwrap();
            (world.delay(5000), world.narrow)
        };
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= narrow {
            self.pushback.felt();
        }
        self.clock.sleep(delay).await;
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        let (broken, full) = {
            let mut world = self.world.lock().unwrap();
            (world.strikes(), world.strikes())
        };
        if broken {
            return Err(TransferError::Link("simulated expiry".into()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        let bytes = key.recording.as_bytes();
        let object = Object {
            conversation: key.conversation.clone(),
            recording: key.recording.clone(),
            key: format!("recordings/{}", key.recording),
            member: None,
            content_type: "audio/ogg".into(),
            size: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
            etag: None,
            stored: None,
            note: None,
            aside: false,
            file: String::new(),
            told: None,
        };
        let mut delivery = Delivery::default();
        let mut world = self.world.lock().unwrap();
        let now = self.clock.now();
        for output in outputs {
            let sink = output.name.clone();
            if world.is_out(&sink, now) || (full && sink == "one") {
                let error = SinkError {
                    sink: sink.clone(),
                    key: key.recording.clone(),
                    reason: "simulated".into(),
                    retryable: true,
                    different: None,
                };
                delivery.failed.push((sink, error));
                continue;
            }
            let place = (sink.clone(), object.key.clone());
            if world.lake.get(&place).is_some_and(|there| there != bytes) {
                delivery
                    .failed
                    .push((sink.clone(), different(&sink, &object.key)));
                continue;
            }
            let name = format!("{sink} {}", key.recording);
            *world.stored.entry(name).or_default() += 1;
            world.lake.insert(place, bytes.to_vec());
            delivery.contents.objects.push((sink, object.clone()));
        }
        Ok(delivery)
    }

    fn pushed_back(&self) -> u64 {
        self.pushback.count()
    }
}
