//! Where each request goes, and with which permission.

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::{
    Refusal, batch, body, directory, exports, jobs, media, permission, query, recording, retention,
};
use crate::{http::Request, server::World};

type Answer = Result<(StatusCode, Value), Refusal>;

/// Answers an admitted request.
pub(super) fn answer(world: &World, request: &Request) -> Answer {
    // Long: one table of routes.
    let Some(path) = request.path.strip_prefix("/api/v2/") else {
        return Err(unknown(request));
    };
    let parts: Vec<&str> = path.split('/').collect();
    let allow = |any_of| permission::check(world, any_of);
    match (&request.method, &parts[..]) {
        (&Method::POST, ["analytics", "conversations", "details", "query"]) => {
            allow(permission::DETAILS)?;
            query::serve(world, &body(request)?)
        }
        (&Method::GET, ["analytics", "conversations", "details"]) => {
            allow(permission::DETAILS)?;
            jobs::details(world, request)
        }
        (&Method::POST, ["analytics", "conversations", "details", "jobs"]) => {
            allow(permission::DETAILS)?;
            jobs::submit(world, request)
        }
        (
            &Method::GET,
            [
                "analytics",
                "conversations",
                "details",
                "jobs",
                "availability",
            ],
        ) => {
            allow(permission::AVAILABILITY)?;
            jobs::availability(world)
        }
        (&Method::GET, ["analytics", "conversations", "details", "jobs", id]) => {
            allow(permission::DETAILS)?;
            jobs::poll(world, id)
        }
        (&Method::DELETE, ["analytics", "conversations", "details", "jobs", id]) => {
            allow(permission::DETAILS)?;
            jobs::cancel(world, id)
        }
        (
            &Method::GET,
            [
                "analytics",
                "conversations",
                "details",
                "jobs",
                id,
                "results",
            ],
        ) => {
            allow(permission::DETAILS)?;
            jobs::results(world, id, request)
        }
        (&Method::POST, ["recording", "batchrequests"]) => {
            allow(permission::RECORDINGS)?;
            batch::submit(world, request)
        }
        (&Method::GET, ["recording", "batchrequests", id]) => batch::poll(world, id),
        (method, ["recording", "jobs", rest @ ..]) => {
            for any_of in permission::of_jobs(method) {
                allow(any_of)?;
            }
            exports::serve(world, request, rest)
        }
        (&Method::GET, ["conversations", id, "recordingmetadata"]) => {
            allow(permission::RECORDINGS)?;
            recording::metadata(world, id)
        }
        (&Method::GET, ["conversations", id, "recordingmetadata", recording]) => {
            allow(permission::RECORDINGS)?;
            recording::one(world, id, recording)
        }
        (&Method::GET, ["conversations", id, "recordings"]) => {
            allow(permission::RECORDINGS)?;
            media::list(world, id, request)
        }
        (&Method::GET, ["conversations", id, "recordings", recording]) => {
            allow(permission::RECORDINGS)?;
            media::one(world, id, recording, request)
        }
        (&Method::PUT, ["conversations", id, "recordings", recording]) => {
            allow(permission::RECORDINGS)?;
            allow(permission::RESTORE)?;
            recording::restore(world, id, recording, request)
        }
        (&Method::GET, ["recording", "settings"]) => {
            Ok((StatusCode::OK, recording::settings(world)))
        }
        (&Method::GET, ["users"]) => directory::users(world, request),
        (&Method::GET, ["routing", "queues"]) => {
            allow(permission::QUEUES)?;
            directory::queues(world, request)
        }
        (&Method::GET, ["routing", "wrapupcodes"]) => {
            allow(permission::WRAP_UP_CODES)?;
            directory::wrap_up_codes(world, request)
        }
        (&Method::GET, ["authorization", "divisions"]) => {
            allow(permission::DIVISIONS)?;
            directory::divisions(world, request)
        }
        (&Method::GET, ["recordings", "retention", "query"]) => {
            allow(permission::RECORDINGS)?;
            retention::retention(world, request)
        }
        (&Method::GET, ["orphanrecordings"]) => {
            allow(permission::ORPHANS)?;
            retention::orphans(world, request)
        }
        (&Method::GET, ["orphanrecordings", id, "media"]) => {
            allow(permission::ORPHANS)?;
            media::orphan(world, id, request)
        }
        (
            method,
            ["analytics", "conversations", "details", ..]
            | ["recording", "settings"]
            | ["recording", "batchrequests", ..]
            | ["conversations", _, "recordings" | "recordingmetadata", ..]
            | ["users"]
            | ["orphanrecordings", ..]
            | ["routing", "queues" | "wrapupcodes"]
            | ["authorization", "divisions"],
        ) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method.not.allowed",
            format!("{method} is not allowed here"),
        )),
        _ => Err(unknown(request)),
    }
}

fn unknown(request: &Request) -> Refusal {
    let text = format!("{} is not an endpoint", request.path);
    Refusal::new(StatusCode::NOT_FOUND, "not.found", text)
}
