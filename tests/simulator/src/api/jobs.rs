//! Asynchronous analytics jobs: submitted, polled, read by cursor, from data that lag behind.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Refusal, body,
    filter::{Filter, Level},
    interval,
    params::Params,
    query::{Order, OrderBy},
    row,
    search::{Matches, Span},
};
use crate::{faults::Fault, http::Request, id::Kind, rng::Rng, server::World, time::iso};

const SORT_JOB: u64 = 6;
/// How long results are kept (ms).
const KEPT: u64 = 86_400_000;
/// The most conversations on a page of results.
const PAGE: u64 = 1000;

/// AsyncConversationQuery.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Submission {
    interval: String,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    order_by: OrderBy,
    #[serde(default)]
    conversation_filters: Vec<Filter>,
    #[serde(default)]
    segment_filters: Vec<Filter>,
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    start_of_day_interval_matching: bool,
}

/// The jobs that were submitted.
#[derive(Default)]
pub(crate) struct Searches {
    kept: Mutex<(u64, HashMap<u64, Search>)>,
}

#[derive(Clone)]
struct Search {
    created: u64,
    /// How far the data reach that it sees.
    reach: u64,
    length: u64,
    fate: Fate,
    query: Submission,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fulfilled,
    Failed,
    Expired,
}

impl Search {
    fn state(&self, now: u64) -> &'static str {
        let age = now.saturating_sub(self.created);
        match self.fate {
            _ if age < self.length / 4 => "QUEUED",
            _ if age < self.length => "PENDING",
            Fate::Failed => "FAILED",
            Fate::Expired => "EXPIRED",
            Fate::Fulfilled if age > KEPT => "EXPIRED",
            Fate::Fulfilled => "FULFILLED",
        }
    }

    fn matches(&self, world: &World) -> Result<Matches, Refusal> {
        let (from, until) = interval(&self.query.interval)?;
        let span = Span {
            from,
            until,
            start_of_day: self.query.start_of_day_interval_matching,
        };
        let filters = (
            &self.query.conversation_filters,
            &self.query.segment_filters,
        );
        Ok(Matches::find(
            world,
            self.reach,
            span,
            filters.0,
            filters.1,
            self.query.order_by,
        ))
    }
}

/// How far the data of jobs reach.
fn reach(world: &World) -> u64 {
    let lag = world.settings.jobs_lag.as_millis() as u64;
    world.clock.now().saturating_sub(lag)
}

/// Says how far the data of jobs reach.
pub(super) fn availability(world: &World) -> Result<(StatusCode, Value), Refusal> {
    let date = iso(reach(world));
    Ok((StatusCode::OK, json!({ "dataAvailabilityDate": date })))
}

/// Takes on a job.
pub(super) fn submit(world: &World, request: &Request) -> Result<(StatusCode, Value), Refusal> {
    let query: Submission = body(request)?;
    interval(&query.interval)?;
    for filter in &query.conversation_filters {
        filter.check(Level::Conversation)?;
    }
    for filter in &query.segment_filters {
        filter.check(Level::Segment)?;
    }
    let now = world.clock.now();
    let mut kept = world.searches.lock();
    let running = kept.1.values().filter(|search| {
        let state = search.state(now);
        state == "QUEUED" || state == "PENDING"
    });
    let most = world.settings.jobs_at_once;
    if running.count() as u64 >= most {
        return Err(Refusal::limited(
            "details.jobs.concurrent.access.max",
            "analytics",
            most,
        ));
    }
    kept.0 += 1;
    let serial = kept.0;
    let mean = world.settings.analytics_job_time.as_millis() as u64;
    let mut rng = Rng::new(world.settings.seed, SORT_JOB, serial);
    let search = Search {
        created: now,
        reach: reach(world),
        length: mean / 2 + rng.below(mean + 1),
        fate: if world.chance.strikes(Fault::FailedSearch).is_some() {
            Fate::Failed
        } else if world.chance.strikes(Fault::ExpiredSearch).is_some() {
            Fate::Expired
        } else {
            Fate::Fulfilled
        },
        query,
    };
    kept.1.insert(serial, search);
    let id = world.organization.ids.make(Kind::Search, serial, 0);
    Ok((StatusCode::ACCEPTED, json!({ "jobId": id })))
}

impl Searches {
    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, HashMap<u64, Search>)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(world: &World, id: &str) -> Option<u64> {
    match world.organization.ids.read(id)? {
        (Kind::Search, number, 0) => Some(number),
        _ => None,
    }
}

fn find(world: &World, id: &str) -> Result<Search, Refusal> {
    let found = number(world, id).and_then(|number| world.searches.lock().1.get(&number).cloned());
    let found = found.filter(|_| world.chance.strikes(Fault::LostSearch).is_none());
    found.ok_or_else(|| {
        let text = format!("The job {id} was not found");
        Refusal::new(StatusCode::NOT_FOUND, "not.found", text)
    })
}

/// Says how a job is getting on.
pub(super) fn poll(world: &World, id: &str) -> Result<(StatusCode, Value), Refusal> {
    let search = find(world, id)?;
    let state = search.state(world.clock.now());
    let mut answer = json!({ "state": state, "submissionDate": iso(search.created) });
    let done = search.created + search.length;
    match state {
        "QUEUED" | "PENDING" => return Ok((StatusCode::ACCEPTED, answer)),
        "FAILED" => answer["errorMessage"] = json!("The query could not be executed"),
        _ => {
            answer["completionDate"] = json!(iso(done));
            answer["expirationDate"] = json!(iso(done + KEPT));
        }
    }
    Ok((StatusCode::OK, answer))
}

/// Gives a page of the results.
pub(super) fn results(
    world: &World,
    id: &str,
    request: &Request,
) -> Result<(StatusCode, Value), Refusal> {
    let params = Params::of(request, &["cursor", "pageSize"])?;
    let size = params.number("pageSize", PAGE, PAGE)?.max(1);
    let search = find(world, id)?;
    let state = search.state(world.clock.now());
    if state != "FULFILLED" {
        let text = format!("The job {id} is {state}: it has no results");
        return Err(Refusal::bad(text));
    }
    let matches = search.matches(world)?;
    let count = matches.count().min(search.query.limit.unwrap_or(u64::MAX));
    let from = match params.get("cursor") {
        None => 0,
        Some(cursor) => {
            let place = cursor.strip_prefix("at+").and_then(|at| at.parse().ok());
            place
                .filter(|place| *place < count)
                .ok_or_else(|| Refusal::bad("The cursor is none of this job's"))?
        }
    };
    let until = (from + size).min(count);
    let rows = (from..until).map(|place| {
        let place = match search.query.order {
            Order::Asc | Order::Unordered => place,
            Order::Desc => matches.count() - 1 - place,
        };
        let conversation = world.organization.conversation(matches.at(place));
        row::with_attributes(world, &conversation, search.reach)
    });
    let mut answer = json!({
        "conversations": rows.collect::<Vec<_>>(),
        "dataAvailabilityDate": iso(search.reach),
    });
    if until < count {
        answer["cursor"] = json!(format!("at+{until}"));
    }
    Ok((StatusCode::OK, answer))
}

/// Forgets a job.
pub(super) fn cancel(world: &World, id: &str) -> Result<(StatusCode, Value), Refusal> {
    find(world, id)?;
    if let Some(number) = number(world, id) {
        world.searches.lock().1.remove(&number);
    }
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// Gives conversations by their ids, as the query sees them now.
pub(super) fn details(world: &World, request: &Request) -> Result<(StatusCode, Value), Refusal> {
    let params = Params::of(request, &["id"])?;
    let ids: Vec<&str> = params.all("id").flat_map(|ids| ids.split(',')).collect();
    let most = world.settings.max_ids;
    if ids.is_empty() || ids.len() > most {
        return Err(Refusal::bad(format!(
            "{} ids were given, 1 to {most} are possible",
            ids.len()
        )));
    }
    let now = world.clock.now();
    let found = ids.iter().filter_map(|id| world.visible(id));
    let rows = found.map(|conversation| row::row(world, &conversation, now));
    Ok((
        StatusCode::OK,
        json!({ "conversations": rows.collect::<Vec<_>>() }),
    ))
}
