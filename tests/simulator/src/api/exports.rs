//! Recording bulk actions: jobs that let the S3 integration push recordings (RecordingJob).
//!
//! A job looks for its recordings, waits until its creator lets it continue, and exports each of
//! them that was not exported before. Exports alone are simulated: nothing here deletes or archives.

mod answer;

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Refusal, body,
    filter::{Filter, Level, passes},
    interval, permission,
};
use crate::{
    State, http::Request, id::Kind, organization::Organization, push::exported, server::World,
    time::parse,
};

pub(super) const PATH: &str = "/api/v2/recording/jobs";
/// Jobs of an organization that may be on at once.
const AT_ONCE: usize = 2;
/// How long a job looks for its recordings, and for each of them (ms).
const LOOKING: (u64, u64) = (30_000, 2);
const DAY: u64 = 86_400_000;
/// How long it exports, and each recording (ms).
const EXPORTING: (u64, u64) = (20_000, 50);

/// The jobs of an organization, and what they have exported.
#[derive(Default)]
pub(crate) struct Exports {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    jobs: Vec<Job>,
    /// Recordings that have been pushed, by id.
    pushed: HashSet<String>,
    /// True if the organization has no bulk actions.
    off: bool,
}

/// RecordingJobsQuery.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Query {
    action: String,
    action_date: Option<String>,
    action_age: Option<u64>,
    integration_id: Option<String>,
    #[serde(default)]
    include_recordings_with_sensitive_data: bool,
    #[serde(default = "yes")]
    include_screen_recordings: bool,
    /// Read and without effect: no recording of this organization is made by a policy or is a snippet.
    #[serde(default = "yes", rename = "includePolicyBasedRecordings")]
    _policy_based: bool,
    #[serde(default = "yes", rename = "includeSnippetRecordings")]
    _snippets: bool,
    screen_recording_action_date: Option<String>,
    screen_recording_action_age: Option<u64>,
    conversation_query: Option<ConversationQuery>,
}

/// AsyncConversationQuery, as far as an export needs it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ConversationQuery {
    interval: String,
    order: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    conversation_filters: Vec<Filter>,
    #[serde(default)]
    segment_filters: Vec<Filter>,
}

/// When a recording is pushed, if the job is done by then.
#[derive(Clone, Copy)]
enum Action {
    /// At this instant (ms since the epoch).
    At(u64),
    /// At this age (ms).
    Age(u64),
}

impl Action {
    /// Reads a date or an age in days, one of which must be given if either may.
    fn read(date: Option<&String>, age: Option<u64>) -> Result<Option<Self>, Refusal> {
        match (date, age) {
            (Some(date), None) => {
                let at = parse(date).ok_or_else(|| {
                    let message = format!("{date} is not a date");
                    Refusal::new(StatusCode::BAD_REQUEST, "invalid.date", message)
                })?;
                Ok(Some(Action::At(at)))
            }
            (None, Some(days)) => Ok(Some(Action::Age(days * DAY))),
            (None, None) => Ok(None),
            _ => Err(Refusal::bad(
                "Either a date or an age of the action is possible",
            )),
        }
    }

    fn due(self, created: u64) -> u64 {
        match self {
            Action::At(at) => at,
            Action::Age(age) => created + age,
        }
    }
}

fn yes() -> bool {
    true
}

/// The change that a PUT may make.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    state: String,
}

#[derive(Clone)]
struct Job {
    id: String,
    /// The query, as it was sent.
    query: Value,
    created: u64,
    ready: u64,
    /// When it was allowed to continue, and when it will be done.
    exporting: Option<(u64, u64)>,
    cancelled: bool,
    /// True if the client that may use the API created it.
    own: bool,
    conversations: u64,
    found: Found,
}

/// The recordings that a job is about.
#[derive(Clone, Default)]
struct Found {
    /// The recordings that are pushed once the job is done, by id, each not before an instant.
    push: Vec<(String, u64)>,
    skipped: u64,
    /// Those that cannot be pushed, as pairs of conversation and recording.
    failed: Vec<(String, String)>,
}

impl Job {
    fn state(&self, now: u64) -> &'static str {
        match self.exporting {
            _ if self.cancelled => "CANCELLED",
            Some((_, done)) if now >= done => "FULFILLED",
            Some(_) => "PROCESSING",
            None if now >= self.ready => "READY",
            None => "PENDING",
        }
    }

    fn is_on(&self, now: u64) -> bool {
        matches!(self.state(now), "PENDING" | "READY" | "PROCESSING")
    }

    fn recordings(&self) -> u64 {
        (self.found.push.len() + self.found.failed.len()) as u64 + self.found.skipped
    }
}

impl Exports {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids of the recordings that have been pushed by `now`.
    pub(crate) fn pushed(&self, now: u64) -> HashSet<String> {
        let mut kept = self.kept();
        kept.settle(now);
        kept.pushed.clone()
    }

    /// Lets the organization have no bulk actions.
    pub(crate) fn turn_off(&self) {
        self.kept().off = true;
    }

    /// Adds a job that somebody else created, and returns its id.
    pub(crate) fn add_foreign(&self, organization: &Organization, now: u64) -> String {
        let mut kept = self.kept();
        let id = kept.next_id(organization);
        kept.jobs.push(Job {
            id: id.clone(),
            query: serde_json::json!({ "action": "EXPORT" }),
            created: now,
            ready: now,
            exporting: None,
            cancelled: false,
            own: false,
            conversations: 0,
            found: Found::default(),
        });
        id
    }
}

impl Kept {
    fn next_id(&self, organization: &Organization) -> String {
        let number = self.jobs.len() as u64;
        organization.ids.make(Kind::Job, number, 0xe)
    }

    /// Takes what jobs that are done have pushed.
    fn settle(&mut self, now: u64) {
        for job in &mut self.jobs {
            if job.state(now) == "FULFILLED" {
                let due = job.found.push.iter().filter(|(_, due)| *due <= now);
                self.pushed
                    .extend(due.map(|(recording, _)| recording.clone()));
            }
        }
    }

    fn find(&mut self, id: &str) -> Result<&mut Job, Refusal> {
        self.jobs
            .iter_mut()
            .find(|job| job.id == id)
            .ok_or_else(|| {
                let message = format!("The recording job {id} was not found");
                Refusal::new(StatusCode::NOT_FOUND, "not.found", message)
            })
    }
}

/// Answers a request about the jobs; `parts` are those of the path after [`PATH`].
pub(super) fn serve(
    world: &World,
    request: &Request,
    parts: &[&str],
) -> Result<(StatusCode, Value), Refusal> {
    let now = world.clock.now();
    let mut kept = world.exports.kept();
    kept.settle(now);
    if kept.off {
        let message = "Recording bulk actions are not available for this organization";
        return Err(Refusal::new(
            StatusCode::NOT_IMPLEMENTED,
            "not.implemented",
            message,
        ));
    }
    match (&request.method, parts) {
        (&Method::POST, []) => create(world, &mut kept, request, now),
        (&Method::GET, []) => answer::list(world, &kept, request, now),
        (&Method::GET, [id]) => Ok((StatusCode::OK, answer::job(world, kept.find(id)?, now))),
        (&Method::PUT, [id]) => {
            let change: Change = body(request)?;
            let job = kept.find(id)?;
            go_on(job, &change, now)?;
            Ok((StatusCode::OK, answer::job(world, job, now)))
        }
        (&Method::DELETE, [id]) => {
            let job = kept.find(id)?;
            own(job)?;
            if !job.is_on(now) {
                let message = format!("The job {id} is {} and cannot be cancelled", job.state(now));
                return Err(Refusal::bad(message));
            }
            job.cancelled = true;
            Ok((StatusCode::NO_CONTENT, Value::Null))
        }
        (&Method::GET, [id, "failedrecordings"]) => {
            let job = kept.find(id)?;
            answer::failed(job, request)
        }
        _ => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method.not.allowed",
            format!("{} is not allowed here", request.method),
        )),
    }
}

/// Lets a job continue that has found its recordings.
fn go_on(job: &mut Job, change: &Change, now: u64) -> Result<(), Refusal> {
    own(job)?;
    if change.state != "PROCESSING" {
        return Err(Refusal::bad(format!(
            "{} is not a state to ask for",
            change.state
        )));
    }
    if job.state(now) != "READY" {
        let message = format!("The job is {} and not READY", job.state(now));
        return Err(Refusal::bad(message));
    }
    let length = EXPORTING.0 + EXPORTING.1 * job.recordings();
    job.exporting = Some((now, now + length));
    Ok(())
}

fn own(job: &Job) -> Result<(), Refusal> {
    match job.own {
        true => Ok(()),
        false => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "not.authorized",
            "Only the user that created the job can change it",
        )),
    }
}

fn create(
    world: &World,
    kept: &mut Kept,
    request: &Request,
    now: u64,
) -> Result<(StatusCode, Value), Refusal> {
    // Long: one request, checked in the order of the vendor.
    let query: Query = body(request)?;
    if query.action != "EXPORT" {
        return Err(Refusal::bad(format!("{} is not simulated", query.action)));
    }
    if query.include_recordings_with_sensitive_data {
        permission::check(world, permission::SENSITIVE)?;
    }
    let action = Action::read(query.action_date.as_ref(), query.action_age)?
        .ok_or_else(|| Refusal::bad("Either actionDate or actionAge is required"))?;
    let of_screens = Action::read(
        query.screen_recording_action_date.as_ref(),
        query.screen_recording_action_age,
    )?;
    if of_screens.is_some() && !query.include_screen_recordings {
        return Err(Refusal::bad("includeScreenRecordings must be true"));
    }
    let integration = world.organization.integration_id();
    match &query.integration_id {
        None => return Err(Refusal::bad("integrationId is required for EXPORT")),
        Some(id) if *id != integration => {
            return Err(Refusal::bad(format!("There is no active integration {id}")));
        }
        Some(_) => {}
    }
    let searched = query
        .conversation_query
        .as_ref()
        .ok_or_else(|| Refusal::bad("conversationQuery is required"))?;
    let (from, until) = interval(&searched.interval)?;
    for (value, known) in [
        (&searched.order, &["asc", "desc"][..]),
        (
            &searched.order_by,
            &["conversationStart", "conversationEnd"][..],
        ),
    ] {
        if value
            .as_deref()
            .is_some_and(|value| !known.contains(&value))
        {
            return Err(Refusal::bad("order or orderBy is not known"));
        }
    }
    for filter in &searched.conversation_filters {
        filter.check(Level::Conversation)?;
    }
    for filter in &searched.segment_filters {
        filter.check(Level::Segment)?;
    }
    if kept.jobs.iter().filter(|job| job.is_on(now)).count() >= AT_ONCE {
        let message = "The maximum of 2 pending or processing recording jobs is reached";
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "max.recording.jobs.reached",
            message,
        ));
    }
    let actions = (action, of_screens.unwrap_or(action));
    let (conversations, found) = search(world, kept, &query, searched, actions, from..until);
    let length = LOOKING.0 + LOOKING.1 * (found.push.len() + found.failed.len()) as u64;
    let id = kept.next_id(&world.organization);
    let job = Job {
        id,
        query: serde_json::from_slice(&request.body).unwrap_or_default(),
        created: now,
        ready: now + length,
        exporting: None,
        cancelled: false,
        own: true,
        conversations,
        found,
    };
    let answer = answer::job(world, &job, now);
    kept.jobs.push(job);
    Ok((StatusCode::ACCEPTED, answer))
}

/// The recordings of conversations that began in a range and pass the filters, and how many
/// conversations there are; `actions` are those on recordings, and on recordings of screens.
fn search(
    world: &World,
    kept: &Kept,
    query: &Query,
    searched: &ConversationQuery,
    actions: (Action, Action),
    range: std::ops::Range<u64>,
) -> (u64, Found) {
    let organization = &world.organization;
    let now = world.clock.now();
    let filters = (&searched.conversation_filters, &searched.segment_filters);
    let mut found = Found::default();
    let mut conversations = 0;
    for index in organization.first_at(range.start)..organization.first_at(range.end) {
        let conversation = organization.conversation(index);
        if !passes(organization, &conversation, now, filters.0, filters.1) {
            continue;
        }
        conversations += 1;
        for recording in &conversation.recordings {
            let screen = matches!(recording.kind, crate::RecordingKind::Screen(_));
            if screen && !query.include_screen_recordings {
                continue;
            }
            let action = if screen { actions.1 } else { actions.0 };
            let push = (recording.id.clone(), action.due(conversation.start));
            let sensitive = recording.state == State::Sensitive;
            match recording.state {
                State::Sensitive if !query.include_recordings_with_sensitive_data => {}
                State::Deleted => {}
                _ if kept.pushed.contains(&recording.id) => found.skipped += 1,
                _ if sensitive || exported(recording) => found.push.push(push),
                _ => {
                    let failed = (conversation.id.clone(), recording.id.clone());
                    found.failed.push(failed);
                }
            }
        }
    }
    (conversations, found)
}
