//! Something that seems to be gone is requested again for as long as everything else is.

use recording_source_sdk::Level;

use super::*;

const MINUTE: u64 = 60_000;

/// Exports a day of ten calls; the vendor does not find its jobs for `gone` minutes, from the second
/// poll on.
fn export(gone: u64, refusal: (u16, &str)) -> (Vendor, TestDriver) {
    let mut vendor = Vendor::new(70, simple);
    let mut drive = start(OPTIONS, days(1));
    let mut first = None;
    let body = json!({ "code": refusal.1, "message": "x" });
    drive
        .run::<GenesysCloud>(|request, now| {
            if request.method == Method::Get {
                let first = *first.get_or_insert(now);
                if now > first && now < first + gone * MINUTE {
                    return reply(refusal.0, &body);
                }
            }
            vendor.answer(request, now)
        })
        .unwrap();
    (vendor, drive)
}

#[test]
fn a_job_that_is_not_found_for_a_while_is_the_same_job_afterwards() {
    for refusal in [
        (404, "batch.download.job.not.found"),
        (404, ""),
        (403, "batch.download.permission.denied"),
    ] {
        let (vendor, drive) = export(20, refusal);
        assert_eq!(vendor.jobs.len(), 1, "it is not submitted again");
        assert_eq!(only_outcome(&drive).len(), 10);
        assert!(
            drive.requests.len() < 60,
            "pauses grow: {}",
            drive.requests.len()
        );
    }
}

#[test]
fn a_job_that_stays_away_is_submitted_again_and_its_loss_may_pass() {
    // The first job is waited for for half an hour; then those with results are requested apart from
    // the others. The second jobs are waited for as long, and the third ones are there.
    let (vendor, drive) = export(70, (404, "batch.download.job.not.found"));
    assert_eq!(vendor.jobs.len(), 1 + 2 + 2);
    assert!(
        only_outcome(&drive)
            .values()
            .all(|result| !matches!(result, OutcomeResult::Failed(_)))
    );
    // For good.
    let (vendor, drive) = export(100_000, (404, "batch.download.job.not.found"));
    assert_eq!(vendor.jobs.len(), 1 + 2 + 2);
    let mut lost = 0;
    for result in only_outcome(&drive).values() {
        if let OutcomeResult::Failed(failure) = result {
            assert!(failure.code == "job-lost" && failure.retryable);
            lost += 1;
        }
    }
    assert_eq!(lost, 9);
    assert!(drive.now >= FROM + 30 * DAY + 90 * MINUTE);
}

#[test]
fn a_submission_that_finds_nobody_is_repeated_and_its_batch_stays_whole() {
    let mut vendor = Vendor::new(70, simple);
    let mut drive = start(OPTIONS, days(1));
    let begun = drive.now;
    drive
        .run::<GenesysCloud>(|request, now| {
            let submission = request.url.ends_with("/batchrequests");
            match submission && now < begun + 10 * MINUTE {
                true => reply(404, &json!({})),
                false => vendor.answer(request, now),
            }
        })
        .unwrap();
    assert_eq!(vendor.jobs.len(), 1);
    assert_eq!(vendor.jobs[0].len(), 9);
    // For good: every conversation by itself, and each may become available later.
    let mut drive = start(OPTIONS, days(1));
    drive
        .run::<GenesysCloud>(|request, now| match request.url.ends_with("/query") {
            true => vendor.answer(request, now),
            false => reply(404, &json!({ "code": "not.found" })),
        })
        .unwrap();
    let failed = only_outcome(&drive).into_values().filter(|result| {
        matches!(result, OutcomeResult::Failed(failure) if failure.code == "not-found" && failure.retryable)
    });
    assert_eq!(failed.count(), 9);
}

#[test]
fn a_gateway_that_finds_nothing_is_not_taken_for_the_vendor() {
    for (code, transient) in [("", true), ("not.found", false)] {
        let mut drive = start(OPTIONS, days(1));
        let refusal = json!({ "code": code });
        let error = drive
            .run::<GenesysCloud>(|_, _| reply(404, &refusal))
            .unwrap_err();
        assert_eq!(
            matches!(error, SourceError::Transient(_)),
            transient,
            "{error:?}"
        );
    }
}

#[test]
fn analytics_jobs_that_are_not_found_for_a_while_are_read_afterwards() {
    let options =
        r#"{"region":"mypurecloud.ie","names":false,"search":"job","mode":"metadata_only"}"#;
    let mut drive = start(options, days(1));
    let begun = drive.now;
    let mut submitted = 0;
    drive
        .run::<GenesysCloud>(|request, now| {
            if request.url.ends_with("/query") {
                return reply(200, &json!({ "totalHits": 2 }));
            }
            let path = request.url.split("/details/jobs").nth(1).unwrap();
            let away = now < begun + 20 * MINUTE;
            match path {
                "/availability" => {
                    reply(200, &json!({ "dataAvailabilityDate": iso(FROM + 9 * DAY) }))
                }
                "" => {
                    submitted += 1;
                    reply(202, &json!({ "jobId": "j1" }))
                }
                _ if away => reply(404, &json!({ "code": "not.found" })),
                "/j1" => reply(200, &json!({ "state": "FULFILLED" })),
                _ => reply(
                    200,
                    &json!({ "conversations": [row(0, FROM), row(1, FROM + 1)] }),
                ),
            }
        })
        .unwrap();
    assert_eq!((submitted, drive.conversations.len()), (1, 2));
    assert!(drive.notes.iter().all(|note| note.level != Level::Warn));
}

#[test]
fn a_state_that_an_earlier_version_wrote_goes_on() {
    // As version 0.1.0 wrote it while the job ran; r-c0 had been handed over by then.
    let old = concat!(
        r#"{"split":"batch","id":"fetch-0","conversations":["c0","c1"],"recorded":["c0","c1"],"#,
        r#""phase":{"running":{"job":"job-0","since":1767571200000,"counts":[4,1]}},"attempts":0,"#,
        r#""parts":{"r-c0":[11775988682998366368]},"renewing":null,"asked_again":false,"covered":null,"#,
        r#""told":["c0"],"described":{"sessions":{"agents":[],"places":[]},"asked":2,"recordings":{"#,
        r#""c0":[{"id":"r-c0","state":"AVAILABLE","media":"audio"}],"#,
        r#""c1":[{"id":"r-c1","state":"AVAILABLE","media":"audio"},{"id":"lost","state":"DELETED","media":"screen"}]}}}"#
    );
    let split = recording_source_sdk::Split {
        id: "fetch-0".to_owned(),
        kind: "batch".to_owned(),
        state: recording_source_sdk::State {
            version: 1,
            data: old.as_bytes().to_vec(),
        },
    };
    let mut drive = start(OPTIONS, days(1));
    drive.open.clear();
    let done = json!({ "status": "Completed", "results": [
        { "conversationId": "c0", "recordingId": "r-c0", "contentType": "video/webm", "resultUrl": "https://media.example/a?Signature=2" },
        { "conversationId": "c0", "recordingId": "r-c0", "contentType": "video/webm", "resultUrl": "https://media.example/c0?Signature=1" },
        audio("c1")] });
    drive
        .finish::<GenesysCloud>(split, Event::Resume, &mut |_, _| reply(200, &done))
        .unwrap();
    let parts: BTreeMap<&str, u32> = drive
        .artifacts
        .iter()
        .map(|artifact| match &artifact.key {
            ArtifactKey::Recording(key) => (artifact.download.url.as_str(), key.part),
            ArtifactKey::Bundle(id) => panic!("{id}"),
        })
        .collect();
    assert_eq!(
        parts["https://media.example/c0?Signature=1"], 0,
        "as it was handed over"
    );
    assert_eq!(parts["https://media.example/a?Signature=2"], 1);
    assert!(
        matches!(only_outcome(&drive)["c1"], OutcomeResult::HandedOver(handed)
            if handed.artifacts == 1 && handed.missing[0].failure.code == "deleted")
    );
}

#[test]
fn a_window_that_an_earlier_version_was_walking_is_walked_to_its_end() {
    // As version 0.1.0 wrote it after the first of two pages.
    let old = format!(
        r#"{{"split":"window","mode":"recordings","from":{FROM},"until":{0},"end":{0},"page":2,"hits":150,"shifted":false,"walks":0,"names":{{"known":[],"lookups":[],"rounds":0}}}}"#,
        FROM + DAY
    );
    let split = recording_source_sdk::Split {
        id: "find/w".to_owned(),
        kind: "window".to_owned(),
        state: recording_source_sdk::State {
            version: 1,
            data: old.into_bytes(),
        },
    };
    let rows = (0..150).map(|n| row(n, FROM + n * 1000)).collect();
    let mut vendor = lenient::Rows::new(rows);
    let mut drive = start(OPTIONS, days(1));
    drive.open.clear();
    drive
        .finish::<GenesysCloud>(split, Event::Resume, &mut |request, _| {
            vendor.answer(request)
        })
        .unwrap();
    let pages: Vec<u64> = drive
        .requests
        .iter()
        .map(|request| body(request)["paging"]["pageNumber"].as_u64().unwrap())
        .collect();
    // The rows before the second page are not known to have come: all is walked once more.
    assert_eq!(pages, [2, 1, 2]);
    let found: BTreeSet<&str> = drive
        .conversations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(found.len(), 150);
    assert!(drive.notes.is_empty(), "{:?}", drive.notes);
}
