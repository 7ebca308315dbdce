//! The source against answers composed by hand from the vendor's documentation.

use std::collections::{BTreeMap, BTreeSet};

use genesys_cloud::GenesysCloud;
use recording_source_sdk::{
    Answer, ArtifactKey, Container, Drive, Event, Fault, Find, Method, OutcomeResult, Purpose,
    RecordingKey, Request, Response, SourceError, TimeRange, Timestamp,
};
use serde_json::{Value, json};

const DAY: u64 = 86_400_000;
/// 2026-01-05T00:00:00Z
const FROM: u64 = 1_767_571_200_000;
const OPTIONS: &str = r#"{"region":"mypurecloud.ie"}"#;
const GUIDE: &str = r#"{"region":"eu-west-1","dialect":"guide","format":"wav"}"#;

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

fn start(options: &str, purpose: Purpose) -> Drive {
    Drive::start::<GenesysCloud>(options, purpose, FROM + 30 * DAY).unwrap()
}

fn reply(status: u16, body: &Value) -> Answer {
    Answer::Response(Response {
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
    /// What each poll of a job answers, given its conversations and how often it was asked.
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

    fn answer(&mut self, request: &Request, _now: Timestamp) -> Answer {
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

    fn query(&self, body: &Value) -> Answer {
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

fn only_outcome(drive: &Drive) -> BTreeMap<&str, &OutcomeResult> {
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
            if let (Answer::Response(response), true) = (&mut page, asked == 2) {
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
            "orderBy": "conversationStart", "paging": { "pageSize": 100, "pageNumber": 1 },
            "conversationFilters": [{ "type": "and", "predicates": [
                { "type": "dimension", "dimension": "conversationEnd", "operator": "exists" }] }] })
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
    // Without a status, two equal polls tell that a job is complete.
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
fn parts_errors_and_absences_each_have_their_outcome() {
    let mut vendor = Vendor::new(4, |_, polls| {
        let screen = |file: &str| {
            json!({ "conversationId": "c0", "recordingId": "s", "contentType": "video/webm",
            "resultUrl": format!("https://media.example/{file}?signature={polls}") })
        };
        json!({ "status": if polls < 2 { "InProgress" } else { "COMPLETED" },
            "expectedResultCount": 5, "resultCount": 5, "results": [
                screen("b"), audio("c0"), screen("a"),
                { "conversationId": "c1", "recordingId": "x", "errorMsg": "Recording is archived" },
                audio("c2"), { "conversationId": "c2", "recordingId": "y", "errorMsg": "odd" }] })
    });
    let mut drive = start(OPTIONS, week());
    let first = drive.started.splits.len();
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(first, 4);
    let parts: BTreeSet<(String, u32)> = drive
        .artifacts
        .iter()
        .filter_map(|artifact| match &artifact.key {
            ArtifactKey::Recording(key) if key.recording == "s" => Some((
                artifact.download.url.split('?').next().unwrap().to_owned(),
                key.part,
            )),
            _ => None,
        })
        .collect();
    let expected = [
        ("https://media.example/a".to_owned(), 0),
        ("https://media.example/b".to_owned(), 1),
    ];
    assert_eq!(parts, BTreeSet::from(expected));
    let outcomes = only_outcome(&drive);
    assert!(matches!(outcomes["c0"], OutcomeResult::HandedOver(handed) if handed.artifacts == 3));
    assert!(matches!(outcomes["c1"], OutcomeResult::Failed(failure) if failure.code == "archived"));
    assert!(
        matches!(outcomes["c2"], OutcomeResult::HandedOver(handed) if handed.missing[0].failure.code == "vendor-error")
    );
    assert!(
        matches!(outcomes["c3"], OutcomeResult::Failed(failure) if failure.code == "left-out" && failure.passing)
    );
}

#[test]
fn a_lost_job_is_submitted_again_and_in_the_end_its_conversations_have_failed() {
    let mut vendor = Vendor::new(1, simple);
    let mut drive = start(OPTIONS, days(1));
    let lost = json!({ "code": "batch.download.job.not.found", "message": "gone" });
    drive
        .run::<GenesysCloud>(|request, now| match request.method {
            Method::Get => reply(404, &lost),
            _ => vendor.answer(request, now),
        })
        .unwrap();
    assert_eq!(vendor.jobs.len(), 3);
    assert!(
        matches!(only_outcome(&drive)["c0"], OutcomeResult::Failed(failure) if failure.code == "job-lost")
    );
}

#[test]
fn a_job_that_never_completes_ends_by_its_time() {
    let mut vendor = Vendor::new(
        1,
        |_, _| json!({ "expectedResultCount": 1, "resultCount": 0, "status": "InProgress" }),
    );
    let mut drive = start(
        r#"{"region":"mypurecloud.ie","job_timeout_seconds":60,"job_attempts":2}"#,
        days(1),
    );
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(vendor.jobs.len(), 2);
    assert!(
        matches!(only_outcome(&drive)["c0"], OutcomeResult::Failed(failure) if failure.code == "job-timeout")
    );
}

#[test]
fn what_holds_up_a_job_is_submitted_apart_from_what_the_job_told_of() {
    // No job with c7 in it ever ends, and none tells anything of c7.
    let mut vendor = Vendor::new(10, |conversations, _| {
        let sound = conversations.iter().filter(|id| *id != "c7");
        let rows: Vec<Value> = sound.map(|id| audio(id)).collect();
        let all = rows.len() == conversations.len();
        json!({
            "expectedResultCount": conversations.len(), "resultCount": rows.len(),
            "status": if all { "Completed" } else { "InProgress" }, "results": rows,
        })
    });
    let mut drive = start(
        r#"{"region":"mypurecloud.ie","job_timeout_seconds":60,"job_attempts":3}"#,
        week(),
    );
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    let mut sizes: Vec<usize> = vendor.jobs.iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 8, 9]);
    for (id, outcome) in only_outcome(&drive) {
        match outcome {
            OutcomeResult::HandedOver(handed) => {
                assert!(id != "c7" && handed.artifacts == 1 && handed.missing.is_empty());
            }
            OutcomeResult::Failed(failure) => {
                assert!(id == "c7" && failure.code == "job-timeout");
            }
            other => assert_eq!(other, &OutcomeResult::NoRecording, "{id}"),
        }
    }
}

#[test]
fn zero_of_zero_ends_a_job_and_leaves_out_what_was_recorded() {
    for status in [json!("Completed"), Value::Null] {
        let with = status.is_string();
        let job: fn(&[String], u32) -> Value = if with {
            |_, _| json!({ "status": "Completed", "expectedResultCount": 0, "resultCount": 0 })
        } else {
            |_, _| json!({ "expectedResultCount": 0, "resultCount": 0 })
        };
        let mut vendor = Vendor::new(3, job);
        let mut drive = start(OPTIONS, week());
        drive
            .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
            .unwrap();
        assert!(only_outcome(&drive).values().all(
            |result| matches!(result, OutcomeResult::Failed(failure) if failure.code == "left-out")
        ));
        assert_eq!(drive.outcomes.len(), 3);
    }
}

#[test]
fn expired_links_are_renewed_by_the_job_and_later_by_a_new_one() {
    let mut vendor = Vendor::new(3, simple);
    let mut drive = start(r#"{"region":"mypurecloud.ie","lanes":1}"#, week());
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    let key = ArtifactKey::Recording(RecordingKey {
        conversation: "c1".to_owned(),
        recording: "r-c1".to_owned(),
        part: 0,
    });
    for (jobs, last) in [(1, Method::Get), (2, Method::Post)] {
        let split = drive
            .done
            .iter()
            .rfind(|split| split.kind == "batch")
            .unwrap()
            .clone();
        drive.artifacts.clear();
        let sent = drive.requests.len();
        let event = Event::Renew(vec![key.clone()]);
        drive
            .finish::<GenesysCloud>(split, event, &mut |request, now| {
                vendor.answer(request, now)
            })
            .unwrap();
        drive
            .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
            .unwrap();
        assert_eq!(
            (vendor.jobs.len(), drive.requests[sent].method),
            (jobs, last)
        );
        assert!(!drive.artifacts.is_empty());
        assert!(
            drive.artifacts.iter().all(|artifact| artifact.key == key),
            "only what is needed"
        );
    }
    assert_eq!(vendor.jobs[1], ["c1"]);
    assert_eq!(drive.outcomes.len(), 3, "a renewal yields no outcome");

    // The last job was about c1 alone: it is not asked for another conversation.
    let split = drive.done.iter().rfind(|split| split.kind == "batch");
    let split = split.unwrap().clone();
    let other = ArtifactKey::Recording(RecordingKey {
        conversation: "c2".to_owned(),
        recording: "r-c2".to_owned(),
        part: 0,
    });
    drive.artifacts.clear();
    let event = Event::Renew(vec![other.clone()]);
    drive
        .finish::<GenesysCloud>(split, event, &mut |request, now| {
            vendor.answer(request, now)
        })
        .unwrap();
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(vendor.jobs[2], ["c2"]);
    assert!(!drive.artifacts.is_empty());
    assert!(drive.artifacts.iter().all(|artifact| artifact.key == other));
}

#[test]
fn a_split_interrupted_in_a_request_asks_for_the_same_again() {
    for split in start(OPTIONS, week()).started.splits {
        let mut asked = Vec::new();
        let mut again = start(OPTIONS, week());
        for _ in 0..2 {
            let gone = Answer::Fault(Fault::Unreachable("cut".to_owned()));
            let result =
                again.finish::<GenesysCloud>(split.clone(), Event::Due, &mut |request, _| {
                    asked.push(request.clone());
                    gone.clone()
                });
            assert!(matches!(result, Err(SourceError::Transient(_))));
        }
        assert_eq!(asked[0], asked[1]);
    }
}

#[test]
fn wrong_options_are_named() {
    let cases = [
        ("{}", "region", "give either `region`"),
        (
            r#"{"region":"mypurecloud.ie","lanes":0}"#,
            "lanes",
            "not within",
        ),
        (
            r#"{"region":"mypurecloud.ie","lanes":"x"}"#,
            "lanes",
            "invalid type",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialects":"cloud"}"#,
            "dialects",
            "unknown field",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialect":"guide","format":"ogg"}"#,
            "format",
            "`wav` and `mp3`",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialect":"guide","format":"wav","channels":"split"}"#,
            "channels",
            "dialect: cloud",
        ),
        (
            r#"{"region":"mypurecloud.ie","channels":"split"}"#,
            "channels",
            "give a `format`",
        ),
        (
            r#"{"region":"mypurecloud.ie","dialect":"guide","restore_days":7}"#,
            "restore_days",
            "dialect: cloud",
        ),
        (
            r#"{"region":"mypurecloud.ie","restore_days":0}"#,
            "restore_days",
            "not within",
        ),
        (
            r#"{"region":"mypurecloud.ie","search":"retention","queues":["q"]}"#,
            "queues",
            "knows no filters",
        ),
        (r#"{"region":"nowhere"}"#, "region", "nowhere"),
    ];
    for (options, path, message) in cases {
        match Drive::start::<GenesysCloud>(options, week(), FROM + 30 * DAY) {
            Err(SourceError::Options(error)) => {
                assert_eq!(error.path, path, "{options}");
                assert!(
                    error.message.contains(message),
                    "{options}: {}",
                    error.message
                );
            }
            other => panic!("{options}: {other:?}"),
        }
    }
}

#[test]
fn a_page_of_results_that_is_too_large_is_asked_for_in_smaller_ones() {
    let options = r#"{"region":"mypurecloud.ie","search":"job","mode":"metadata_only"}"#;
    let mut drive = start(options, days(1));
    drive
        .run::<GenesysCloud>(|request, _| {
            let rows: Vec<Value> = (0..3).map(|n| row(n, FROM + n * 1000)).collect();
            let path = request.url.split("/details/jobs").nth(1).unwrap();
            match path {
                "/availability" => {
                    reply(200, &json!({ "dataAvailabilityDate": iso(FROM + 9 * DAY) }))
                }
                "" => reply(202, &json!({ "jobId": "j1" })),
                "/j1" => reply(200, &json!({ "state": "FULFILLED" })),
                "/j1/results?pageSize=250" => reply(
                    200,
                    &json!({ "conversations": rows[..2], "cursor": "a b&c" }),
                ),
                "/j1/results?pageSize=250&cursor=a%20b%26c" => {
                    reply(200, &json!({ "conversations": rows[2..] }))
                }
                _ => Answer::Fault(Fault::TooLarge(1)),
            }
        })
        .unwrap();
    assert_eq!(drive.conversations.len(), 3);
    let sizes: Vec<&str> = drive
        .requests
        .iter()
        .filter_map(|request| request.url.split("pageSize=").nth(1))
        .collect();
    assert_eq!(sizes, ["1000", "500", "250", "250&cursor=a%20b%26c"]);
}

#[test]
fn the_schema_of_the_options_lists_those_that_are_accepted() {
    let schema: Value = serde_json::from_str(
        &<GenesysCloud as recording_source_sdk::Source>::describe().options_schema,
    )
    .unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        let wrong = json!({ "region": "mypurecloud.ie", name: {} }).to_string();
        match Drive::start::<GenesysCloud>(&wrong, week(), FROM + 30 * DAY) {
            Err(SourceError::Options(error)) => {
                assert!(
                    !error.message.contains("unknown field"),
                    "{name}: {}",
                    error.message
                );
            }
            other => panic!("{name}: {other:?}"),
        }
        for value in property["enum"].as_array().into_iter().flatten() {
            let mut options = json!({ "region": "mypurecloud.ie", name: value });
            if name == "channels" {
                options["format"] = json!("wav");
            }
            start(&options.to_string(), week());
        }
    }
}

#[test]
fn every_region_has_its_hosts_and_other_domains_may_be_given() {
    // The vendor's list of regions.
    let regions = [
        ("us-east-1", "mypurecloud.com"),
        ("us-east-2", "use2.us-gov-pure.cloud"),
        ("us-west-2", "usw2.pure.cloud"),
        ("ca-central-1", "cac1.pure.cloud"),
        ("mx-central-1", "mxc1.pure.cloud"),
        ("sa-east-1", "sae1.pure.cloud"),
        ("eu-west-1", "mypurecloud.ie"),
        ("eu-west-2", "euw2.pure.cloud"),
        ("eu-central-1", "mypurecloud.de"),
        ("eu-central-2", "euc2.pure.cloud"),
        ("eusc-de-east-1", "edee1.eusc-pure.cloud"),
        ("me-central-1", "mec1.pure.cloud"),
        ("ap-south-1", "aps1.pure.cloud"),
        ("ap-northeast-1", "mypurecloud.jp"),
        ("ap-northeast-2", "apne2.pure.cloud"),
        ("ap-northeast-3", "apne3.pure.cloud"),
        ("ap-southeast-1", "apse1.pure.cloud"),
        ("ap-southeast-2", "mypurecloud.com.au"),
        ("inindca.com", "inindca.com"),
        ("next.pure.cloud", "next.pure.cloud"),
    ];
    for (region, domain) in regions {
        let drive = start(&format!(r#"{{"region":"{region}"}}"#), week());
        let urls: Vec<&str> = drive
            .started
            .origins
            .iter()
            .map(|o| o.url.as_str())
            .collect();
        let (api, token) = (
            format!("https://api.{domain}"),
            format!("https://login.{domain}/oauth/token"),
        );
        assert_eq!(urls[..2], [api.as_str(), token.as_str()]);
    }
    let local = r#"{"api_url":"http://127.0.0.1:1/","login_url":"http://127.0.0.1:2"}"#;
    let drive = start(local, week());
    assert_eq!(drive.started.origins[0].url, "http://127.0.0.1:1");
}

#[test]
fn errors_say_whether_another_attempt_helps() {
    let forbidden =
        json!({ "code": "missing.permissions", "message": "analytics:conversationDetail:view" });
    let html = Answer::Response(Response {
        status: 503,
        headers: Vec::new(),
        body: b"<html>".to_vec(),
    });
    type Expected = fn(&SourceError) -> bool;
    let cases: [(Answer, Expected); 3] = [
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
