//! Jobs as the API shows them (RecordingJob, RecordingJobEntityListing, FailedRecordingEntityListing).

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Job, Kept, PATH};
use crate::{
    api::{Refusal, params::Params},
    http::Request,
    id::Kind,
    server::World,
    time::iso,
};

/// A job.
pub(super) fn job(world: &World, job: &Job, now: u64) -> Value {
    let state = job.state(now);
    let all = job.recordings();
    let percent = match job.exporting {
        Some((begun, done)) => now.min(done).saturating_sub(begun) * 100 / (done - begun),
        None => 0,
    };
    let over = state == "FULFILLED";
    let failed = if over {
        job.found.failed.len() as u64
    } else {
        0
    };
    let user = match job.own {
        true => world.client_id.clone(),
        false => world.organization.ids.make(Kind::User, 1, 0),
    };
    let mut shown = json!({
        "id": job.id,
        "state": state,
        "recordingJobsQuery": job.query,
        "dateCreated": iso(job.created),
        "percentProgress": percent,
        "user": { "id": user, "selfUri": format!("/api/v2/users/{user}") },
        "failedRecordings": format!("{PATH}/{}/failedrecordings", job.id),
        "selfUri": format!("{PATH}/{}", job.id),
    });
    if state != "PENDING" {
        shown["totalConversations"] = json!(job.conversations);
        shown["totalRecordings"] = json!(all);
        shown["totalSkippedRecordings"] = json!(job.found.skipped);
        shown["totalFailedRecordings"] = json!(failed);
        shown["totalProcessedRecordings"] =
            json!((all - job.found.skipped) * percent / 100 - failed);
    }
    shown
}

/// The jobs, newest first.
pub(super) fn list(
    world: &World,
    kept: &Kept,
    request: &Request,
    now: u64,
) -> Result<(StatusCode, Value), Refusal> {
    const KNOWN: [&str; 8] = [
        "pageSize",
        "pageNumber",
        "sortBy",
        "state",
        "showOnlyMyJobs",
        "jobType",
        "includeTotal",
        "cursor",
    ];
    let asked = Params::of(request, &KNOWN)?;
    let size = page_size(&asked)?;
    let page = asked.number("pageNumber", 1, u64::MAX)? as usize;
    let mine = asked.get("showOnlyMyJobs") == Some("true");
    let found: Vec<&Job> = kept
        .jobs
        .iter()
        .rev()
        .filter(|job| job.own || !mine)
        .filter(|job| {
            asked
                .get("state")
                .is_none_or(|state| state == job.state(now))
        })
        .collect();
    let from = size.saturating_mul(page.max(1) - 1).min(found.len());
    let until = from.saturating_add(size).min(found.len());
    let mut shown = json!({
        "entities": found[from..until].iter().map(|one| job(world, one, now)).collect::<Vec<_>>(),
        "pageSize": size,
        "pageNumber": page,
        "selfUri": format!("{PATH}?pageSize={size}&pageNumber={page}"),
    });
    if until < found.len() {
        shown["nextUri"] = json!(format!("{PATH}?pageSize={size}&pageNumber={}", page + 1));
    }
    Ok((StatusCode::OK, shown))
}

/// The recordings that a job could not export.
pub(super) fn failed(job: &Job, request: &Request) -> Result<(StatusCode, Value), Refusal> {
    let asked = Params::of(request, &["pageSize", "includeTotal", "cursor"])?;
    let size = page_size(&asked)?;
    let from: usize = match asked.get("cursor") {
        Some(cursor) => cursor
            .strip_prefix("after-")
            .and_then(|number| number.parse().ok())
            .filter(|from| *from <= job.found.failed.len())
            .ok_or_else(|| Refusal::bad("The cursor is not one that was given"))?,
        None => 0,
    };
    let until = (from + size).min(job.found.failed.len());
    let entities: Vec<Value> = job.found.failed[from..until]
        .iter()
        .map(|(conversation, recording)| {
            json!({
                "conversation": { "id": conversation },
                "recording": { "id": recording },
            })
        })
        .collect();
    let path = format!("{PATH}/{}/failedrecordings", job.id);
    let mut shown = json!({ "entities": entities, "pageSize": size, "selfUri": path });
    if until < job.found.failed.len() {
        shown["nextUri"] = json!(format!("{path}?pageSize={size}&cursor=after-{until}"));
    }
    Ok((StatusCode::OK, shown))
}

fn page_size(asked: &Params) -> Result<usize, Refusal> {
    match asked.number("pageSize", 25, 100)? {
        0 => Err(Refusal::bad("pageSize must be at least 1")),
        size => Ok(size as usize),
    }
}
