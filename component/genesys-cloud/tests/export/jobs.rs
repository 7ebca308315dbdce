//! Batches: how jobs are polled, what they hand over, and what becomes of those that fail.

use super::*;

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
        matches!(outcomes["c3"], OutcomeResult::Failed(failure) if failure.code == "left-out" && failure.retryable)
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
        r#"{"region":"mypurecloud.ie","names":false,"job_timeout_seconds":60,"job_attempts":2}"#,
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
    // No job with c7 in it ever ends, and none returns anything for c7.
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
        r#"{"region":"mypurecloud.ie","names":false,"job_timeout_seconds":60,"job_attempts":3}"#,
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

/// The key of the only recording of a conversation.
fn recording_of(number: &u32) -> ArtifactKey {
    ArtifactKey::Recording(RecordingKey {
        conversation: format!("c{number}"),
        recording: format!("r-c{number}"),
        part: 0,
    })
}

/// Has the batch obtain links of some conversations' recordings anew, and nothing else; returns the first request for it.
fn renew(drive: &mut TestDriver, vendor: &mut Vendor, wanted: &[u32]) -> Request {
    let split = drive.done.iter().rfind(|split| split.kind == "batch");
    let split = split.unwrap().clone();
    let keys: Vec<ArtifactKey> = wanted.iter().map(recording_of).collect();
    drive.artifacts.clear();
    let sent = drive.requests.len();
    drive
        .finish::<GenesysCloud>(split, Event::Refresh(keys.clone()), &mut |request, now| {
            vendor.answer(request, now)
        })
        .unwrap();
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert!(!drive.artifacts.is_empty());
    for artifact in &drive.artifacts {
        assert!(keys.contains(&artifact.key), "only what is needed");
    }
    drive.requests[sent].clone()
}

#[test]
fn expired_links_are_renewed_by_the_job_and_later_by_a_new_one() {
    let mut vendor = Vendor::new(3, simple);
    let mut drive = start(
        r#"{"region":"mypurecloud.ie","names":false,"parallelism":1}"#,
        week(),
    );
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    let poll = (1, Method::Get);
    for (jobs, method) in [poll, poll, poll, (2, Method::Post)] {
        let request = renew(&mut drive, &mut vendor, &[1]);
        assert_eq!((vendor.jobs.len(), request.method), (jobs, method));
    }
    assert_eq!(vendor.jobs[1], ["c1"]);
    assert_eq!(drive.outcomes.len(), 3, "a renewal yields no outcome");

    // The last job was about c1 alone: other conversations are the first job's, as long as that is young.
    let of_c1 = renew(&mut drive, &mut vendor, &[1]);
    let of_all = renew(&mut drive, &mut vendor, &[2]);
    assert_eq!((vendor.jobs.len(), of_all.method), (2, Method::Get));
    assert_ne!(of_all.url, of_c1.url);
    drive.now += 60 * 60_000;
    renew(&mut drive, &mut vendor, &[2]);
    assert_eq!(vendor.jobs[2..], [["c2"]]);
}

#[test]
fn a_job_is_asked_for_links_as_long_as_those_that_it_returns_are_of_use() {
    let mut vendor = Vendor::new(4, simple);
    let options = r#"{"region":"mypurecloud.ie","names":false,"parallelism":1}"#;
    let mut drive = start(options, week());
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    // One machine after another stops before it has all of them; the last link is of no use, time and again.
    let wanted: [&[u32]; 6] = [&[0, 1, 2], &[1, 2], &[2, 3], &[3], &[3], &[3, 2]];
    for wanted in wanted {
        renew(&mut drive, &mut vendor, wanted);
        assert_eq!(vendor.jobs.len(), 1, "{wanted:?}");
    }
    renew(&mut drive, &mut vendor, &[3]);
    assert_eq!(vendor.jobs[1..], [["c3"]]);
}

#[test]
fn a_split_interrupted_in_a_request_asks_for_the_same_again() {
    for split in start(OPTIONS, week()).started.splits {
        let mut asked = Vec::new();
        let mut again = start(OPTIONS, week());
        for _ in 0..2 {
            let gone = Err(RequestError::Unreachable("cut".to_owned()));
            let result =
                again.finish::<GenesysCloud>(split.clone(), Event::Resume, &mut |request, _| {
                    asked.push(request.clone());
                    gone.clone()
                });
            assert!(matches!(result, Err(SourceError::Transient(_))));
        }
        assert_eq!(asked[0], asked[1]);
    }
}

#[test]
fn a_page_of_results_that_is_too_large_is_asked_for_in_smaller_ones() {
    let options =
        r#"{"region":"mypurecloud.ie","names":false,"search":"job","mode":"metadata_only"}"#;
    let mut drive = start(options, days(1));
    drive
        .run::<GenesysCloud>(|request, _| {
            let rows: Vec<Value> = (0..3).map(|n| row(n, FROM + n * 1000)).collect();
            if request.url.ends_with("/query") {
                return reply(200, &json!({ "totalHits": 3 }));
            }
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
                _ => Err(RequestError::TooLarge(1)),
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
