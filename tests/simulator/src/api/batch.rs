//! The recording batch API, in both dialects.

mod progress;

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, body};
use crate::{
    Conversation, Dialect, Given, Recording, RecordingKind,
    faults::Fault,
    http::Request,
    id::{Kind, uuid},
    rng::Rng,
    server::World,
};
use progress::{Course, Progress};

/// The most items in a batch.
const ITEMS: usize = 100;
/// How long a job is kept (ms).
const KEPT: u64 = 86_400_000;
const SORT_JOB: u64 = 3;

/// BatchDownloadJobSubmission.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct CloudSubmission {
    batch_download_request_list: Vec<Item>,
}

/// The submission of the guide.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GuideSubmission {
    batch_download_job_submission_query: GuideQuery,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct GuideQuery {
    batch_download_job_signatures: Vec<Item>,
    #[serde(default)]
    format: Option<Format>,
}

/// A format that recordings are turned into.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Format {
    Wav,
    Mp3,
}

/// BatchDownloadRequest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Item {
    conversation_id: String,
    #[serde(default)]
    recording_id: Option<String>,
}

/// The jobs that were submitted.
#[derive(Default)]
pub(crate) struct Jobs {
    kept: Mutex<(u64, HashMap<u64, Job>)>,
    /// Those whose submission was answered, but not in full.
    unheard: AtomicU64,
}

/// The batch jobs of a simulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// Those that were taken on.
    pub submitted: u64,
    /// Those of which a fault has cut the answer with the job's id: whoever submitted it has to do so again.
    pub unheard: u64,
    /// Those that a fault keeps from ever being done.
    pub stuck: u64,
}

#[derive(Clone)]
struct Job {
    created: u64,
    course: Course,
    /// Conversations by number, each with the one recording that is wanted, if not all.
    wanted: Vec<(u64, Option<u64>)>,
    format: Option<Format>,
}

impl Jobs {
    fn add(&self, job: Job) -> u64 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (serial, jobs) = &mut *kept;
        *serial += 1;
        jobs.retain(|_, old| old.created + KEPT > job.created);
        jobs.insert(*serial, job);
        *serial
    }

    /// Notes that the answer to a submission was cut.
    pub(crate) fn note_unheard(&self) {
        self.unheard.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> Batches {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = kept.1.values().filter(|job| job.course.is_stuck());
        Batches {
            submitted: kept.0,
            unheard: self.unheard.load(Ordering::Relaxed),
            stuck: stuck.count() as u64,
        }
    }

    /// How many have been submitted since an instant.
    fn since(&self, instant: u64) -> u64 {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = kept.1.values().filter(|job| job.created > instant);
        jobs.count() as u64
    }

    fn get(&self, number: u64, now: u64) -> Option<Job> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let job = kept.1.get(&number)?;
        (job.created + KEPT > now).then(|| job.clone())
    }
}

/// A file, or why there is none.
pub(crate) struct Row {
    pub(crate) conversation: Conversation,
    pub(crate) recording: Recording,
    pub(crate) part: u32,
    pub(crate) error: Option<&'static str>,
}

impl Job {
    /// Everything that the job yields, in its order: what there was when it was submitted.
    fn rows(&self, world: &World) -> Vec<Row> {
        let mut rows = Vec::new();
        for (index, only) in &self.wanted {
            let conversation = world.organization.conversation(*index);
            for recording in &conversation.recordings {
                if only.is_some_and(|only| only != recording.number) {
                    continue;
                }
                let mut recording = recording.clone();
                let audio = matches!(
                    recording.kind,
                    RecordingKind::Ogg | RecordingKind::Wav | RecordingKind::Mp3
                );
                match self.format {
                    Some(Format::Wav) if audio => recording.kind = RecordingKind::Wav,
                    Some(Format::Mp3) if audio => recording.kind = RecordingKind::Mp3,
                    _ => {}
                }
                let (parts, error) = match world.given(&recording, self.created) {
                    Given::Files => (recording.kind.parts(), None),
                    Given::Error(error) => (1, Some(error)),
                    Given::Nothing => (0, None),
                };
                rows.extend((0..parts).map(|part| Row {
                    conversation: conversation.clone(),
                    recording: recording.clone(),
                    part,
                    error,
                }));
            }
        }
        rows
    }
}

/// Takes on a job.
pub(super) fn submit(world: &World, request: &Request) -> Result<(StatusCode, Value), Refusal> {
    // Long: one request, checked in the order of the vendor.
    let (items, format) = match world.settings.dialect {
        Dialect::Cloud => {
            let submission: CloudSubmission = body(request)?;
            (submission.batch_download_request_list, None)
        }
        Dialect::Guide => {
            let submission: GuideSubmission = body(request)?;
            let query = submission.batch_download_job_submission_query;
            (query.batch_download_job_signatures, query.format)
        }
    };
    if items.is_empty() {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "batch.download.bad.request",
            "The batch download request list is empty",
        ));
    }
    if items.len() > ITEMS {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "batch.download.too.many.items",
            format!("{} items were given, the maximum is {ITEMS}", items.len()),
        ));
    }
    let now = world.clock.now();
    if let Some(most) = world.settings.batches_per_minute
        && world.jobs.since(now.saturating_sub(60_000)) >= most
    {
        let key = "recording.batch.download.rate.per.minute";
        return Err(Refusal::limited(key, "recording", most));
    }
    let mut wanted = Vec::new();
    for item in items {
        for id in [Some(&item.conversation_id), item.recording_id.as_ref()] {
            if id.is_some_and(|id| uuid(id).is_none()) {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "batch.download.bad.request",
                    format!("{} is not an id", id.map_or("", String::as_str)),
                ));
            }
        }
        let ids = &world.organization.ids;
        let conversation = world.visible(&item.conversation_id);
        let recording = item.recording_id.map(|id| ids.read(&id));
        match (conversation, recording) {
            (Some(conversation), None) => wanted.push((conversation.index, None)),
            (Some(conversation), Some(Some((Kind::Recording, index, number))))
                if index == conversation.index =>
            {
                wanted.push((index, Some(number)));
            }
            // An item that does not exist, or cannot be seen, adds no result.
            _ => {}
        }
    }
    let mean = world.settings.job_time.as_millis() as u64;
    let serial = world.jobs.kept.lock().map_or(0, |kept| kept.0);
    let mut rng = Rng::new(world.settings.seed, SORT_JOB, serial);
    let number = world.jobs.add(Job {
        created: now,
        course: Course::draw(&world.chance, &mut rng, mean),
        wanted,
        format,
    });
    let id = world.organization.ids.make(Kind::Job, number, 0);
    Ok(match world.settings.dialect {
        Dialect::Cloud => {
            let uri = format!("/api/v2/recording/batchrequests/{id}");
            (StatusCode::OK, json!({ "id": id, "selfUri": uri }))
        }
        Dialect::Guide => (StatusCode::ACCEPTED, json!({ "jobId": id })),
    })
}

/// Says how a job is getting on.
pub(super) fn poll(world: &World, id: &str) -> Result<(StatusCode, Value), Refusal> {
    let now = world.clock.now();
    let job = match world.organization.ids.read(id) {
        Some((Kind::Job, number, 0)) => world.jobs.get(number, now),
        _ => None,
    };
    let job = job.filter(|_| world.chance.strikes(Fault::LostJob).is_none());
    let job = job.ok_or_else(|| {
        let code = "batch.download.job.not.found";
        Refusal::new(
            StatusCode::NOT_FOUND,
            code,
            format!("The job {id} was not found"),
        )
    })?;
    let rows = job.rows(world);
    let Progress {
        expected,
        ready,
        finished,
    } = job
        .course
        .progress(now.saturating_sub(job.created), rows.len());
    let there = &rows[..ready];
    let errors = there.iter().filter(|row| row.error.is_some()).count();
    let mut answer = json!({
        "jobId": id,
        "expectedResultCount": expected,
        "resultCount": ready,
        "errorCount": errors,
    });
    match world.settings.dialect {
        Dialect::Cloud => {
            let status = match world.chance.strikes(Fault::UnknownStatus) {
                Some(_) => "Reconciling",
                None if finished => "Completed",
                None => "InProgress",
            };
            answer["id"] = json!(id);
            answer["status"] = json!(status);
            answer["selfUri"] = json!(format!("/api/v2/recording/batchrequests/{id}"));
            let mut results: Vec<Value> = there.iter().map(|row| result(world, row, now)).collect();
            if let Some(mut rng) = world.chance.strikes(Fault::RepeatedResults) {
                results = repeated(results, &mut rng);
            }
            answer["results"] = results.into();
        }
        Dialect::Guide => {
            if finished && !rows.is_empty() {
                let url = world.media.link(world, &format!("/bundles/{id}.zip"), now);
                answer["resultUrl"] = json!(url);
            }
        }
    }
    Ok((StatusCode::OK, answer))
}

/// The results in another order, one in four of them twice.
///
/// The files of one recording keep their order: nothing else distinguishes them.
fn repeated(results: Vec<Value>, rng: &mut Rng) -> Vec<Value> {
    let mut recordings: Vec<Vec<Value>> = Vec::new();
    for result in results {
        let same = |last: &&mut Vec<Value>| last[0]["recordingId"] == result["recordingId"];
        match recordings.last_mut().filter(same) {
            Some(last) => last.push(result),
            None => recordings.push(vec![result]),
        }
    }
    for place in (1..recordings.len()).rev() {
        recordings.swap(place, rng.below(place as u64 + 1) as usize);
    }
    let mut twice: Vec<Vec<Value>> = recordings.clone();
    twice.retain(|_| rng.percent(25));
    if twice.is_empty() {
        twice.extend(recordings.first().cloned());
    }
    recordings.extend(twice);
    recordings.into_iter().flatten().collect()
}

/// BatchDownloadJobResult.
fn result(world: &World, row: &Row, now: u64) -> Value {
    let (conversation, recording) = (&row.conversation.id, &row.recording.id);
    let mut result = json!({ "conversationId": conversation, "recordingId": recording });
    match row.error {
        Some(error) => result["errorMsg"] = json!(error),
        None => {
            let path = format!("/recordings/{conversation}/{recording}/{}", row.part);
            let thing = row.conversation.index << 12 | row.recording.number;
            let odd = world.chance.marks(Fault::UnknownContentType, thing);
            result["contentType"] = json!(match odd {
                Some(_) => "application/vnd.genesys.holo-stream",
                None => row.recording.kind.content_type(),
            });
            result["resultUrl"] = json!(world.media.link(world, &path, now));
        }
    }
    result
}

/// The rows in the bundle of a job and when the job was submitted, if it is kept and done.
pub(crate) fn bundled(world: &World, id: &str) -> Option<(Vec<Row>, u64)> {
    let now = world.clock.now();
    let (Kind::Job, number, 0) = world.organization.ids.read(id)? else {
        return None;
    };
    let job = world.jobs.get(number, now)?;
    let done = job.course.finished(now.saturating_sub(job.created));
    done.then(|| (job.rows(world), job.created))
}
