//! How fast an export goes where the vendor's rate limit is the only limit, in simulated time: how many
//! requests it takes and how long, under jobs whose times are spread in different ways.
//!
//! `RECORDING_HOST_PACE=CONVERSATIONS cargo test -p recording-host-engine --lib pace -- --nocapture` prints
//! the table for so many.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use super::{Kept, Part, World, run, source::found};
use crate::run::{Concurrency, Engine, ports::SourceRuntime};
use recording_host_http::{
    AllowedOrigins, Authenticator, HttpTransport, Limiter, RequestCredentials, SourceHttp,
};
use recording_host_model::{
    Conversation, Job, Method, Next, Origin, OriginRole, Purpose, RateLimit, Reported,
    ReportedOutcome, Request, RequestError, Response, Send, SourceError, Split, SplitInput,
    SplitState, Started, Step, Wait, clock::Clock,
};
use recording_host_source::SandboxError;
use recording_host_state::Queue;

/// Requests that the vendor allows in a minute.
const ALLOWED: u64 = 300;
/// Conversations on a page of a search, and in a batch.
const PAGE: u64 = 100;
const BATCH: usize = 100;
/// Splits of the search.
const DAYS: u64 = 30;
const DAY: u64 = super::DAY;
const START: u64 = super::START - 60 * DAY;

/// How long jobs take.
#[derive(Clone, Copy, Debug)]
enum Times {
    /// Between half a minute and a minute and a half, alike.
    Uniform,
    /// A minute in the median; a few take five times as long.
    Lognormal,
    /// Half of them 20 s, half of them three minutes.
    Bimodal,
    /// A minute, and ten from the middle of the export on.
    Slower,
    /// As lognormal, and what is told of a job's progress jumps from nothing to all.
    Jump,
    /// A minute where at most 40 are worked on at once; those beyond wait for their turn.
    Crowded,
}

/// The vendor, and what was asked of it.
struct Vendor {
    clock: Clock,
    times: Times,
    conversations: u64,
    seen: Mutex<Seen>,
}

struct Seen {
    rng: SmallRng,
    /// When each job was submitted and when it is done (ms).
    jobs: Vec<(u64, u64)>,
    pages: u64,
    polls: u64,
    refused: u64,
    most_under_way: usize,
    /// Requests in each minute.
    minutes: Vec<u64>,
    last_submit: u64,
    last_poll: u64,
}

impl Debug for Vendor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vendor")
    }
}

impl Vendor {
    fn new(clock: Clock, times: Times, conversations: u64) -> Self {
        Vendor {
            clock,
            times,
            conversations,
            seen: Mutex::new(Seen {
                rng: SmallRng::seed_from_u64(18),
                jobs: Vec::new(),
                pages: 0,
                polls: 0,
                refused: 0,
                most_under_way: 0,
                minutes: Vec::new(),
                last_submit: 0,
                last_poll: 0,
            }),
        }
    }

    /// When a job is done that is submitted now.
    fn done_at(&self, seen: &mut Seen, now: u64) -> u64 {
        let rng = &mut seen.rng;
        let lognormal = |rng: &mut SmallRng| {
            // The sum of twelve uniform numbers is as good as normal.
            let normal = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
            (60_000.0 * (normal * 0.5).exp()) as u64
        };
        let half = seen.jobs.len() as u64 >= self.conversations.div_ceil(BATCH as u64) / 2;
        let takes = match self.times {
            Times::Uniform => rng.random_range(30_000..90_000),
            Times::Lognormal | Times::Jump => lognormal(rng),
            Times::Bimodal if rng.random_bool(0.5) => 20_000,
            Times::Bimodal => 180_000,
            Times::Slower if half => rng.random_range(540_000..660_000),
            Times::Slower => rng.random_range(54_000..66_000),
            Times::Crowded => {
                let mut ends: Vec<u64> = seen.jobs.iter().map(|job| job.1).collect();
                ends.retain(|end| *end > now);
                ends.sort_unstable();
                let turn = ends
                    .len()
                    .checked_sub(40)
                    .map_or(now, |before| ends[before]);
                turn - now + rng.random_range(54_000..66_000)
            }
        };
        now + takes
    }

    fn answer(&self, url: &Url) -> (u16, Value, u64) {
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap();
        let minute = usize::try_from((now - super::START) / 60_000).unwrap();
        let minutes = seen.minutes.len().max(minute + 1);
        seen.minutes.resize(minutes, 0);
        seen.minutes[minute] += 1;
        let count = seen.minutes[minute];
        if count > ALLOWED {
            seen.refused += 1;
            return (429, json!({}), count);
        }
        let number = |name: &str| -> u64 {
            let (_, value) = url.query_pairs().find(|(key, _)| *key == *name).unwrap();
            value.parse().unwrap()
        };
        let body = match url.path() {
            "/calls" => {
                seen.pages += 1;
                let (day, page) = (number("day"), number("page"));
                let of_day = self.conversations / DAYS;
                let (from, until) = (page * PAGE, ((page + 1) * PAGE).min(of_day));
                let ids: Vec<String> = (from..until).map(|n| format!("{day:02}-{n:07}")).collect();
                json!({ "ids": ids, "more": until < of_day })
            }
            "/submit" => {
                let done = self.done_at(&mut seen, now);
                seen.jobs.push((now, done));
                seen.last_submit = now;
                let under_way = seen.jobs.iter().filter(|job| job.1 > now).count();
                seen.most_under_way = seen.most_under_way.max(under_way);
                json!({ "job": seen.jobs.len() - 1 })
            }
            _ => {
                seen.polls += 1;
                seen.last_poll = now;
                let (since, done) = seen.jobs[usize::try_from(number("job")).unwrap()];
                let jumps = matches!(self.times, Times::Jump);
                let percent = match now >= done {
                    true => 100,
                    false if jumps => 0,
                    false => (now - since) * 100 / (done - since),
                };
                json!({ "percent": percent, "done": now >= done })
            }
        };
        (200, body, count)
    }
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn exchange(
        &self,
        url: &Url,
        _: &Request,
        _: RequestCredentials<'_>,
    ) -> Result<Response, RequestError> {
        let delay = self.seen.lock().unwrap().rng.random_range(50..150);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let (status, body, count) = self.answer(url);
        let reset = (60 - self.clock.now() / 1000 % 60).to_string();
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let headers = [
            ("count", count.to_string()),
            ("allowed", ALLOWED.to_string()),
            ("reset", reset.clone()),
            ("retry-after", reset),
        ];
        Ok(Response {
            status,
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: body.to_string().into_bytes(),
        })
    }
}

/// A split's memory.
#[derive(Clone, Serialize, Deserialize)]
enum Memory {
    Page {
        day: u64,
        page: u64,
    },
    Unsubmitted {
        ids: Vec<String>,
    },
    Job {
        ids: Vec<String>,
        job: u64,
        since: u64,
    },
}

/// A source for that vendor.
struct Source;

fn write(memory: &Memory) -> SplitState {
    SplitState {
        version: 1,
        data: serde_json::to_vec(memory).unwrap(),
    }
}

fn ask(memory: &Memory) -> Next {
    let path = match memory {
        Memory::Page { day, page } => format!("calls?day={day}&page={page}"),
        Memory::Unsubmitted { .. } => "submit".to_owned(),
        Memory::Job { job, .. } => format!("job?job={job}"),
    };
    Next::Send(Send {
        request: Request {
            method: Method::Get,
            url: format!("https://api.test/{path}"),
            headers: Vec::new(),
            body: None,
            repeatable: true,
        },
        state: write(memory),
    })
}

fn wait(memory: &Memory, since: u64, now: u64, done: Option<u64>) -> Next {
    Next::Wait(Wait {
        until: now + 5000,
        state: write(memory),
        job: Some(Job {
            kind: "batch".to_owned(),
            since,
            done,
            total: done.map(|_| 100),
            latest: since + 3_600_000,
        }),
    })
}

fn numbered(id: &str) -> Conversation {
    let (day, number) = id.split_once('-').unwrap();
    let start = START + day.parse::<u64>().unwrap() * DAY + number.parse::<u64>().unwrap();
    found(id, start, start + 60_000)
}

#[async_trait]
impl SourceRuntime for Source {
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
            Purpose::Find(find) => (0..DAYS)
                .map(|day| {
                    let id = format!("{}/{day:02}", find.name);
                    split(id, "page", &Memory::Page { day, page: 0 })
                })
                .collect(),
            Purpose::Fetch(fetch) => {
                let ids = fetch.conversations.into_iter().map(|one| one.id).collect();
                vec![split(fetch.name, "batch", &Memory::Unsubmitted { ids })]
            }
            Purpose::Check | Purpose::Estimate(_) => Vec::new(),
        };
        Ok(Ok(Started {
            origins: Vec::new(),
            splits,
            fetch_size: u32::try_from(BATCH).unwrap(),
        }))
    }

    async fn step(
        &self,
        state: SplitState,
        event: SplitInput,
        now: u64,
    ) -> Result<Result<Step, SourceError>, SandboxError> {
        let memory: Memory = serde_json::from_slice(&state.data).unwrap();
        let SplitInput::Response(Ok(response)) = event else {
            return Ok(Ok(Step::from(ask(&memory))));
        };
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        let step = match memory {
            Memory::Page { day, page } => {
                let next = Memory::Page {
                    day,
                    page: page + 1,
                };
                let mut step = match body["more"] == true {
                    true => Step::from(ask(&next)),
                    false => Step::from(Next::Done(write(&next))),
                };
                let ids = body["ids"].as_array().unwrap().iter();
                step.conversations = ids.map(|id| numbered(id.as_str().unwrap())).collect();
                step
            }
            Memory::Unsubmitted { ids } => {
                let job = body["job"].as_u64().unwrap();
                let memory = Memory::Job {
                    ids,
                    job,
                    since: now,
                };
                Step::from(wait(&memory, now, now, None))
            }
            Memory::Job { ref ids, .. } if body["done"] == true => {
                let mut step = Step::from(Next::Done(write(&memory)));
                step.outcomes = ids
                    .iter()
                    .map(|id| ReportedOutcome {
                        conversation: id.clone(),
                        result: Reported::NoRecording,
                    })
                    .collect();
                step
            }
            Memory::Job { since, .. } => {
                Step::from(wait(&memory, since, now, body["percent"].as_u64()))
            }
        };
        Ok(Ok(step))
    }
}

/// The time and requests that an export took.
#[derive(Debug)]
struct Pace {
    minutes: f64,
    /// Polls of a batch.
    polls: f64,
    /// Requests besides polls, as a multiple of the fewest.
    others: f64,
    /// The part of the rate that was used up to the last submission.
    used: f64,
    refused: f64,
    most_under_way: usize,
}

fn export(times: Times, conversations: u64) -> Pace {
    super::in_simulated_time(async {
        let clock = Clock::starting_at(super::START, 1.0);
        let vendor = Arc::new(Vendor::new(clock, times, conversations));
        let origins = [Origin {
            url: "https://api.test".into(),
            role: OriginRole::Api,
        }];
        let allow = AllowedOrigins::new(&origins, None, false);
        let limiter = Arc::new(Limiter::new(Some(RateLimit {
            requests_per_minute: u32::try_from(ALLOWED).unwrap(),
            count_header: Some("count".into()),
            allowed_header: Some("allowed".into()),
            reset_header: Some("reset".into()),
        })));
        let transport: Arc<dyn HttpTransport> = vendor.clone();
        let login = Arc::new(Authenticator::None);
        let world = Arc::new(Mutex::new(World::calm(1)));
        world.lock().unwrap().sinks = Vec::new();
        let queue = Queue::in_memory().unwrap();
        let mut engine: Engine = run(
            &world,
            Kept::of(&queue),
            clock,
            1,
            &Part::alone(),
            (None, false),
        );
        engine.interval.from = START;
        engine.interval.until = Some(START + DAYS * DAY);
        engine.source = Arc::new(Source);
        engine.fetch_size = BATCH;
        engine.concurrency = Concurrency::default();
        engine.http = Arc::new(SourceHttp::over(transport, allow, login, limiter, clock, 1));
        let (_running, stop) = watch::channel(false);
        engine.run(stop).await.unwrap();
        let seen = vendor.seen.lock().unwrap();
        let batches = seen.jobs.len() as f64;
        let fewest = DAYS * (conversations / DAYS).div_ceil(PAGE)
            + (conversations / DAYS * DAYS).div_ceil(BATCH as u64);
        let full = usize::try_from((seen.last_submit - super::START) / 60_000).unwrap();
        let used = seen.minutes[..full].iter().map(|sent| (*sent).min(ALLOWED));
        let all: u64 = seen.minutes.iter().sum();
        Pace {
            minutes: (seen.last_poll - super::START) as f64 / 60_000.0,
            polls: seen.polls as f64 / batches,
            others: (seen.pages as f64 + batches) / fewest as f64,
            used: used.sum::<u64>() as f64 / (full as u64 * ALLOWED).max(1) as f64,
            refused: seen.refused as f64 / all as f64,
            most_under_way: seen.most_under_way,
        }
    })
}

#[test]
fn the_rate_limit_is_the_only_limit_however_long_jobs_take() {
    let given = std::env::var("RECORDING_HOST_PACE").ok();
    let conversations = given.map_or(20_000, |text| text.parse().expect("a number"));
    println!("{conversations} conversations, {ALLOWED} requests a minute");
    let mut missed = Vec::new();
    for times in [
        Times::Uniform,
        Times::Lognormal,
        Times::Bimodal,
        Times::Slower,
        Times::Jump,
        Times::Crowded,
    ] {
        let conversations = match times {
            // With few, it ends before there could be too many jobs.
            Times::Crowded => conversations.max(100_000),
            _ => conversations,
        };
        let pace = export(times, conversations);
        println!(
            "{times:?}: {:.1} minutes, {:.2} polls a batch, other requests {:.3} x the fewest, {:.1} % of the rate used, {:.2} % refused, {} jobs at once",
            pace.minutes,
            pace.polls,
            pace.others,
            pace.used * 100.0,
            pace.refused * 100.0,
            pace.most_under_way,
        );
        // Where the rate is not used up, polls cost nothing.
        let polls = if pace.used >= 0.95 { 1.6 } else { 3.5 };
        let spared = pace.polls <= polls && pace.others <= 1.02 && pace.refused <= 0.001;
        let crowded = matches!(times, Times::Crowded) && pace.most_under_way > 300;
        if !spared || crowded {
            missed.push(format!("{times:?}: {pace:?}"));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}
