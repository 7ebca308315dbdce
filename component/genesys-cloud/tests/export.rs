//! The source against answers composed by hand from the vendor's documentation.

#[path = "export/hostile.rs"]
mod hostile;
#[path = "export/jobs.rs"]
mod jobs;
#[path = "export/lenient.rs"]
mod lenient;
#[path = "export/limits.rs"]
mod limits;
#[path = "export/lookup.rs"]
mod lookup;
#[path = "export/options.rs"]
mod options;
#[path = "export/patience.rs"]
mod patience;
#[path = "export/spoil.rs"]
mod spoil;

use std::collections::{BTreeMap, BTreeSet};

use genesys_cloud::GenesysCloud;
use recording_source_sdk::{
    ArtifactKey, Container, Event, Find, Method, OutcomeResult, Purpose, RecordingKey, Request,
    RequestError, RequestResult, Response, SourceError, TestDriver, TimeRange, Timestamp,
};
use serde_json::{Value, json};

const DAY: u64 = 86_400_000;
/// 2026-01-05T00:00:00Z
const FROM: u64 = 1_767_571_200_000;
const OPTIONS: &str = r#"{"region":"mypurecloud.ie","names":false}"#;
const GUIDE: &str = r#"{"region":"eu-west-1","dialect":"guide","format":"wav","names":false}"#;

fn week() -> Purpose {
    days(7)
}

fn days(days: u64) -> Purpose {
    Purpose::Find(Find {
        name: "find".to_owned(),
        range: TimeRange {
            from: FROM,
            until: FROM + days * DAY,
        },
    })
}

fn start(options: &str, purpose: Purpose) -> TestDriver {
    TestDriver::start::<GenesysCloud>(options, purpose, FROM + 30 * DAY).unwrap()
}

fn reply(status: u16, body: &Value) -> RequestResult {
    Ok(Response {
        status,
        headers: Vec::new(),
        body: body.to_string().into_bytes(),
    })
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(request.body.as_deref().unwrap_or(b"null")).unwrap()
}

fn iso(ms: u64) -> String {
    jiff::Timestamp::from_millisecond(ms.try_into().unwrap())
        .unwrap()
        .to_string()
}

/// A vendor with some calls, evenly spread over a week.
struct Vendor {
    calls: u64,
    hit_limit: u64,
    jobs: Vec<Vec<String>>,
    /// The answer to each poll of a job, given its conversations and how often it was asked.
    job: fn(&[String], u32) -> Value,
    polls: BTreeMap<String, u32>,
}

impl Vendor {
    fn new(calls: u64, job: fn(&[String], u32) -> Value) -> Self {
        Vendor {
            calls,
            hit_limit: 100_000,
            jobs: Vec::new(),
            job,
            polls: BTreeMap::new(),
        }
    }

    fn answer(&mut self, request: &Request, _now: Timestamp) -> RequestResult {
        let path = request
            .url
            .strip_prefix("https://api.mypurecloud.ie/api/v2/")
            .unwrap();
        match (request.method, path) {
            (Method::Post, "analytics/conversations/details/query") => self.query(&body(request)),
            (Method::Post, "recording/batchrequests") => {
                let body = body(request);
                let list = body["batchDownloadRequestList"].as_array().or(
                    body["batchDownloadJobSubmissionQuery"]["batchDownloadJobSignatures"]
                        .as_array(),
                );
                let ids = list
                    .unwrap()
                    .iter()
                    .map(|item| item["conversationId"].as_str().unwrap().to_owned());
                self.jobs.push(ids.collect());
                reply(
                    200,
                    &json!({ "id": format!("job-{}", self.jobs.len() - 1) }),
                )
            }
            // Nothing has a name.
            (Method::Get, path) if path.starts_with("routing/") => {
                reply(200, &json!({ "entities": [] }))
            }
            (Method::Get, path) => {
                let id = path.strip_prefix("recording/batchrequests/job-").unwrap();
                let polls = self.polls.entry(id.to_owned()).or_default();
                *polls += 1;
                reply(
                    200,
                    &(self.job)(&self.jobs[id.parse::<usize>().unwrap()], *polls),
                )
            }
            other => panic!("unexpected request {other:?}"),
        }
    }

    fn query(&self, body: &Value) -> RequestResult {
        let (from, until) = body["interval"].as_str().unwrap().split_once('/').unwrap();
        let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond() as u64;
        let (from, until) = (ms(from), ms(until));
        let start = |n: u64| FROM + n * 7 * DAY / self.calls;
        // The vendor matches calls that were active in the interval: some began before it.
        let hits: Vec<u64> = (0..self.calls)
            .filter(|n| start(*n) < until && start(*n) + 600_000 > from)
            .collect();
        if hits.len() as u64 > self.hit_limit {
            let text = "Pagination may not exceed 100000 results";
            return reply(400, &json!({ "code": "bad.request", "message": text }));
        }
        let size = body["paging"]["pageSize"].as_u64().unwrap() as usize;
        let page = body["paging"]["pageNumber"].as_u64().unwrap() as usize;
        let mut answer = json!({ "totalHits": hits.len() });
        let rows: Vec<Value> = hits
            .iter()
            .skip((page - 1) * size)
            .take(size)
            .map(|n| row(*n, start(*n)))
            .collect();
        if !rows.is_empty() {
            answer["conversations"] = Value::Array(rows);
        }
        reply(200, &answer)
    }
}

fn row(n: u64, start: u64) -> Value {
    let mut session = json!({ "mediaType": "voice", "ani": "tel:+15550100", "dnis": "tel:+15550199",
        "segments": [{ "segmentType": "interact", "queueId": "q1", "wrapUpCode": "w1", "wrapUpTags": ["vip"] }],
        "someNewField": { "x": 1 } });
    if n % 10 != 9 {
        session["recording"] = json!(true);
    }
    json!({ "conversationId": format!("c{n}"), "conversationStart": iso(start),
        "conversationEnd": iso(start + 600_000), "originatingDirection": "inbound",
        "divisionIds": ["d1"], "participants": [
            { "purpose": "customer", "sessions": [session] },
            { "purpose": "agent", "userId": "u1", "participantName": "Ann", "sessions": [{ "mediaType": "voice" }] }] })
}

fn audio(id: &str) -> Value {
    json!({ "conversationId": id, "recordingId": format!("r-{id}"), "contentType": "audio/ogg",
        "resultUrl": format!("https://media.example/{id}?signature=s") })
}

/// A job that completes at its second poll.
fn simple(ids: &[String], polls: u32) -> Value {
    let there = if polls < 2 { ids.len() / 2 } else { ids.len() };
    let rows: Vec<Value> = ids[..there].iter().map(|id| audio(id)).collect();
    let status = if polls < 2 { "InProgress" } else { "Completed" };
    json!({ "status": status, "expectedResultCount": ids.len(), "resultCount": there, "results": rows })
}

fn only_outcome(drive: &TestDriver) -> BTreeMap<&str, &OutcomeResult> {
    let outcomes: BTreeMap<_, _> = drive
        .outcomes
        .iter()
        .map(|outcome| (outcome.conversation.as_str(), &outcome.result))
        .collect();
    assert_eq!(
        outcomes.len(),
        drive.outcomes.len(),
        "a conversation has two outcomes"
    );
    outcomes
}

#[test]
fn every_conversation_of_the_range_gets_exactly_one_outcome() {
    let mut vendor = Vendor::new(1234, simple);
    let mut drive = start(OPTIONS, week());
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    let outcomes = only_outcome(&drive);
    let found: BTreeSet<&str> = drive
        .conversations
        .iter()
        .map(|found| found.id.as_str())
        .collect();
    assert_eq!(
        (found.len(), drive.conversations.len(), outcomes.len()),
        (1234, 1234, 1234)
    );
    assert_eq!(*outcomes["c9"], OutcomeResult::NoRecording);
    assert!(matches!(outcomes["c8"], OutcomeResult::HandedOver(handed) if handed.artifacts == 1));
    // 1111 calls were recorded, and batches are filled across pages and windows.
    assert!(vendor.jobs.iter().all(|job| job.len() <= 100));
    assert_eq!(vendor.jobs.len(), 12);
}

#[test]
fn metadata_comes_from_the_page_in_hand() {
    let mut vendor = Vendor::new(1, simple);
    let mut drive = start(OPTIONS, week());
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    let found = &drive.conversations[0];
    assert_eq!(found.ani.as_deref(), Some("tel:+15550100"));
    assert_eq!(found.dnis.as_deref(), Some("tel:+15550199"));
    assert_eq!(
        (found.agents[0].id.as_str(), found.agents[0].name.as_deref()),
        ("u1", Some("Ann"))
    );
    assert_eq!(
        (
            found.queues[0].id.as_str(),
            found.wrap_up_codes[0].id.as_str()
        ),
        ("q1", "w1")
    );
    assert_eq!(
        (found.tags.as_slice(), found.divisions.as_slice()),
        (&["vip".to_owned()][..], &["d1".to_owned()][..])
    );
    assert_eq!(found.end, Some(found.start + 600_000));
}

#[test]
fn a_window_with_too_many_hits_is_halved_and_loses_nothing() {
    let mut vendor = Vendor::new(2000, simple);
    vendor.hit_limit = 60;
    let mut drive = start(OPTIONS, week());
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(only_outcome(&drive).len(), 2000);
}

#[test]
fn pages_that_shift_while_they_are_read_are_walked_again() {
    let mut vendor = Vendor::new(2000, simple);
    let mut asked = 0;
    let mut drive = start(OPTIONS, days(1));
    drive
        .run::<GenesysCloud>(|request, now| {
            if !request.url.ends_with("query") {
                return vendor.answer(request, now);
            }
            asked += 1;
            // A row of the first page went away after it was read: the second one misses a row.
            let mut page = vendor.query(&body(request));
            if let (Ok(response), true) = (&mut page, asked == 2) {
                let mut shifted: Value = serde_json::from_slice(&response.body).unwrap();
                shifted["totalHits"] = json!(shifted["totalHits"].as_u64().unwrap() - 1);
                shifted["conversations"].as_array_mut().unwrap().remove(0);
                response.body = shifted.to_string().into_bytes();
            }
            page
        })
        .unwrap();
    let found: BTreeSet<&str> = drive.conversations.iter().map(|c| c.id.as_str()).collect();
    // 2000 calls in a week are 286 on the first day: three pages, twice.
    assert_eq!((found.len(), asked), (286, 6));
}

#[test]
fn requests_are_written_as_each_dialect_documents_them() {
    let mut vendor = Vendor::new(1, simple);
    let mut drive = start(OPTIONS, days(1));
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(
        body(&drive.requests[0]),
        json!({ "interval": "2026-01-05T00:00:00.000Z/2026-01-06T00:00:00.000Z", "order": "asc",
            "orderBy": "conversationStart", "paging": { "pageSize": 100, "pageNumber": 1 } })
    );
    let submit = &drive.requests[1];
    assert_eq!(
        body(submit),
        json!({ "batchDownloadRequestList": [{ "conversationId": "c0" }] })
    );
    assert!(!submit.repeatable && drive.requests[2].repeatable);

    let mut drive = start(GUIDE, days(1));
    let mut vendor = Vendor::new(
        1,
        |ids, _| json!({ "expectedResultCount": ids.len(), "resultCount": ids.len(), "resultUrl": "https://media.example/z?s" }),
    );
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(
        body(&drive.requests[1]),
        json!({ "batchDownloadJobSubmissionQuery": {
            "batchDownloadJobSignatures": [{ "conversationId": "c0" }], "format": "WAV" } })
    );
    // Without a status, two equal polls mean that a job is complete.
    assert_eq!(
        drive
            .requests
            .iter()
            .filter(|request| request.method == Method::Get)
            .count(),
        2
    );
    let artifact = &drive.artifacts[0];
    assert!(matches!(
        (&artifact.key, &artifact.container),
        (ArtifactKey::Bundle(_), Container::ZipBundle(_))
    ));
    assert!(matches!(
        drive.outcomes[0].result,
        OutcomeResult::InBundle(_)
    ));
}

#[test]
fn errors_say_whether_another_attempt_helps() {
    let forbidden =
        json!({ "code": "missing.permissions", "message": "analytics:conversationDetail:view" });
    let html = Ok(Response {
        status: 503,
        headers: Vec::new(),
        body: b"<html>".to_vec(),
    });
    type Expected = fn(&SourceError) -> bool;
    let cases: [(RequestResult, Expected); 3] = [
        (
            reply(403, &forbidden),
            |error| matches!(error, SourceError::Forbidden(text) if text.contains("analytics:")),
        ),
        (html, |error| matches!(error, SourceError::Transient(_))),
        (reply(200, &json!("odd")), |error| {
            matches!(error, SourceError::Transient(_))
        }),
    ];
    for (answer, expected) in cases {
        let mut drive = start(OPTIONS, week());
        let error = drive
            .run::<GenesysCloud>(|_, _| answer.clone())
            .unwrap_err();
        assert!(expected(&error), "{error:?}");
    }
}
