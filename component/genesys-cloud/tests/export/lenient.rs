//! An odd element costs itself alone, and nothing vanishes.

use recording_source_sdk::{Count, Update};

use super::*;

/// A vendor that has these rows on the first day, and one recording of each conversation.
pub(crate) struct Rows {
    pub(crate) rows: Vec<Value>,
    /// The number of conversations it claims to have, if it differs.
    pub(crate) hits: Option<usize>,
    jobs: Vec<Vec<String>>,
}

impl Rows {
    pub(crate) fn new(rows: Vec<Value>) -> Self {
        Rows {
            rows,
            hits: None,
            jobs: Vec::new(),
        }
    }

    pub(crate) fn answer(&mut self, request: &Request) -> RequestResult {
        if request.url.ends_with("/query") {
            let paging = &body(request)["paging"];
            let (size, page) = (&paging["pageSize"], &paging["pageNumber"]);
            let size = size.as_u64().unwrap() as usize;
            let from = (page.as_u64().unwrap() as usize - 1) * size;
            let rows: Vec<&Value> = self.rows.iter().skip(from).take(size).collect();
            let hits = self.hits.unwrap_or(self.rows.len());
            return reply(200, &json!({ "conversations": rows, "totalHits": hits }));
        }
        if request.method == Method::Post {
            let list = body(request)["batchDownloadRequestList"].take();
            let ids = list.as_array().unwrap().iter();
            let ids = ids.map(|one| one["conversationId"].as_str().unwrap().to_owned());
            self.jobs.push(ids.collect());
            return reply(
                200,
                &json!({ "id": format!("job-{}", self.jobs.len() - 1) }),
            );
        }
        let job = request.url.rsplit("job-").next().unwrap();
        let ids = &self.jobs[job.parse::<usize>().unwrap()];
        reply(200, &simple(ids, 2))
    }

    pub(crate) fn export(&mut self, options: &str) -> TestDriver {
        let mut drive = start(options, days(1));
        drive
            .run::<GenesysCloud>(|request, _| self.answer(request))
            .unwrap();
        drive
    }
}

fn counted(drive: &TestDriver) -> Vec<Count> {
    let counts = drive.updates.iter().filter_map(|update| match update {
        Update::Count(counted) => Some(*counted),
        _ => None,
    });
    counts.collect()
}

fn notes(drive: &TestDriver) -> String {
    let notes = drive.notes.iter().map(|note| note.text.as_str());
    notes.collect::<Vec<_>>().join("\n")
}

/// Ten rows with something odd in each but the first, and two more.
fn odd_rows() -> Vec<Value> {
    let mut rows: Vec<Value> = (0..12).map(|n| row(n, FROM + n * 60_000)).collect();
    for row in &mut rows {
        // Recorded, whatever else is odd.
        row["participants"][1]["sessions"][0]["recording"] = json!(true);
    }
    rows[1]["divisionIds"] = json!([null]);
    rows[2]["participants"]
        .as_array_mut()
        .unwrap()
        .push(Value::Null);
    rows[3]["participants"][1]["sessions"][0]["metrics"] =
        json!([{ "name": "tTalkComplete", "value": { "secret": "x" } }]);
    rows[4]["participants"][0]["sessions"][0]["segments"][0]["wrapUpTags"] = json!([null]);
    rows[5]["participants"][0]["sessions"][0]["recording"] = json!("true");
    rows[6]["externalTag"] = json!(4711);
    rows[7]["participants"][0]["attributes"] = json!({ "vip": true, "n": 3, "x": null });
    rows[8]["participants"][0]["sessions"][0]["ani"] = json!(15_550_100);
    rows[9]["participants"][0]["sessions"] = json!({});
    rows[10]["participants"] = json!("none");
    rows[11]["conversationEnd"] = json!([]);
    rows
}

#[test]
fn a_row_with_an_odd_field_is_filed_without_it_and_the_field_is_named() {
    let drive = Rows::new(odd_rows()).export(OPTIONS);
    assert_eq!(drive.conversations.len(), 12);
    let outcomes = only_outcome(&drive);
    assert_eq!(outcomes.len(), 12);
    for (id, result) in &outcomes {
        assert!(
            matches!(result, OutcomeResult::HandedOver(_)),
            "{id}: {result:?}"
        );
    }
    let notes = notes(&drive);
    assert!(notes.contains("7 fields of 7 conversations"), "{notes}");
    for named in [
        "c1: divisionIds[0]",
        "c2: participants[2]",
        "c3: participants[1].sessions[0].metrics[0].value",
        "c4: participants[0].sessions[0].segments[0].wrapUpTags[0]",
        "c9: participants[0].sessions",
    ] {
        assert!(notes.contains(named), "{named}: {notes}");
    }
    assert!(
        !notes.contains("secret") && !notes.contains("15550100"),
        "{notes}"
    );
    // A value with an obvious meaning is kept.
    let found = |n: usize| &drive.conversations[n];
    assert!(found(6).tags.contains(&"4711".to_owned()));
    assert_eq!(found(8).ani.as_deref(), Some("15550100"));
    let vip = ("customer.vip".to_owned(), "true".to_owned());
    assert!(
        found(7).attributes.contains(&vip),
        "{:?}",
        found(7).attributes
    );
    assert!(found(5).recorded && found(9).recorded);
    assert_eq!(found(11).end, None);
}

#[test]
fn a_row_that_may_hide_a_recording_is_asked_for() {
    let mut rows: Vec<Value> = (0..4).map(|n| row(9 + n * 10, FROM + n * 1000)).collect();
    // None of them has the flag. Of the first one all can be read.
    rows[1]["participants"] = Value::Null;
    rows[2]["participants"][0]["sessions"] = json!("voice");
    rows[3]["participants"][0]["sessions"][0]["recording"] = json!({ "is": true });
    let drive = Rows::new(rows).export(OPTIONS);
    let outcomes = only_outcome(&drive);
    assert_eq!(*outcomes["c9"], OutcomeResult::NoRecording);
    for id in ["c19", "c29", "c39"] {
        assert!(matches!(outcomes[id], OutcomeResult::HandedOver(_)), "{id}");
    }
}

#[test]
fn a_row_without_a_start_is_filed_by_its_segments_or_as_unreadable() {
    let mut rows: Vec<Value> = (0..4).map(|n| row(n, FROM + n * 1000)).collect();
    let segment = &mut rows[1]["participants"][0]["sessions"][0]["segments"][0];
    segment["segmentStart"] = json!(iso(FROM + 5000));
    rows[1]["conversationStart"] = json!({});
    rows[2]["conversationStart"] = json!("yesterday");
    // The day after: it was found in this one.
    let segment = &mut rows[3]["participants"][0]["sessions"][0]["segments"][0];
    segment["segmentStart"] = json!(iso(FROM + DAY + 5000));
    rows[3]["conversationStart"] = Value::Null;
    let drive = Rows::new(rows).export(OPTIONS);
    let starts: Vec<u64> = drive.conversations.iter().map(|one| one.start).collect();
    assert_eq!(starts, [FROM, FROM + 5000, FROM, FROM + DAY - 1]);
    let outcomes = only_outcome(&drive);
    assert!(matches!(outcomes["c1"], OutcomeResult::HandedOver(_)));
    assert!(matches!(outcomes["c3"], OutcomeResult::HandedOver(_)));
    assert!(matches!(outcomes["c2"], OutcomeResult::Unreadable(_)));
}

#[test]
fn what_the_vendor_counts_is_told_and_a_difference_is_warned_of() {
    let rows = |count| (0..count).map(|n| row(n, FROM + n * 1000)).collect();
    let mut vendor = Rows::new(rows(250));
    let drive = vendor.export(OPTIONS);
    let [counted_once] = counted(&drive)[..] else {
        panic!("{:?}", drive.updates);
    };
    assert_eq!(
        (counted_once.range.from, counted_once.range.until),
        (FROM, FROM + DAY)
    );
    assert_eq!(
        (counted_once.conversations, counted_once.requests),
        (250, 3)
    );
    assert_eq!(counted_once.recorded, 225);
    assert!(drive.notes.is_empty(), "{:?}", drive.notes);

    // Two rows have no usable id, and three never come; conversations of the day before do not count.
    vendor.rows[7]["conversationId"] = Value::Null;
    vendor.rows[8] = json!("row");
    vendor.rows[9]["conversationStart"] = json!(iso(FROM - 1000));
    vendor.hits = Some(253);
    let drive = vendor.export(OPTIONS);
    // The pages are walked once more before that is believed.
    let found: BTreeSet<&str> = drive
        .conversations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!((found.len(), drive.conversations.len()), (247, 2 * 247));
    assert_eq!(counted(&drive)[0].conversations, 252);
    let notes = notes(&drive);
    assert!(
        notes.contains("2 rows of a page have no conversationId"),
        "{notes}"
    );
    let missing = "the vendor counts 253 conversations in 2026-01-05T00:00:00.000Z/2026-01-06T00:00:00.000Z and its pages returned 250: 3 are missing";
    assert!(notes.contains(missing), "{notes}");
}

#[test]
fn lists_that_are_null_or_missing_are_empty() {
    for page in [
        json!({ "conversations": null, "aggregations": null, "totalHits": 0 }),
        json!({ "totalHits": "0" }),
        json!({}),
    ] {
        let mut drive = start(OPTIONS, week());
        drive.run::<GenesysCloud>(|_, _| reply(200, &page)).unwrap();
        assert!(drive.conversations.is_empty() && drive.notes.is_empty());
        assert_eq!(counted(&drive).len(), 7);
    }
    // Of a job.
    let mut vendor = Vendor::new(
        1,
        |_, _| json!({ "status": "Completed", "results": null, "resultCount": null }),
    );
    let mut drive = start(OPTIONS, days(1));
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert!(
        matches!(only_outcome(&drive)["c0"], OutcomeResult::Failed(failure) if failure.code == "left-out")
    );
    // Of the metadata, of names and of retention.
    let options = r#"{"region":"mypurecloud.ie","recording_metadata":true,"names":true,"search":"retention"}"#;
    let mut drive = start(options, days(1));
    drive
        .run::<GenesysCloud>(|_, _| reply(200, &json!({ "entities": null, "nextUri": null })))
        .unwrap();
    assert!(drive.conversations.is_empty());
    // A list that is something else is not the vendor's.
    let mut drive = start(OPTIONS, week());
    let odd = json!({ "conversations": "many", "totalHits": 3 });
    let error = drive
        .run::<GenesysCloud>(|_, _| reply(200, &odd))
        .unwrap_err();
    assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
}

#[test]
fn text_that_is_no_text_costs_the_character() {
    let rows: Vec<Value> = (0..3).map(|n| row(n, FROM + n * 1000)).collect();
    let clean = json!({ "conversations": rows, "totalHits": 3 }).to_string();
    let cases: [(&[u8], &str); 4] = [
        (br"Ann \ud83d", "Ann \u{fffd}"),
        (br"\udc00\ud83d\ude00 Ann", "\u{fffd}\u{1f600} Ann"),
        (b"Ann\xff\xfe", "Ann\u{fffd}\u{fffd}"),
        (b"Ann\tB\x01", "Ann\tB\u{1}"),
    ];
    for (spelled, name) in cases {
        let (before, after) = clean.split_once("\"Ann\"").unwrap();
        let mut bytes = before.as_bytes().to_vec();
        bytes.push(b'"');
        bytes.extend(spelled);
        bytes.push(b'"');
        bytes.extend(after.as_bytes());
        let page = Ok(Response {
            status: 200,
            headers: Vec::new(),
            body: bytes,
        });
        let mut vendor = Rows::new(Vec::new());
        let mut drive = start(OPTIONS, days(1));
        drive
            .run::<GenesysCloud>(|request, _| match request.url.ends_with("/query") {
                true => page.clone(),
                false => vendor.answer(request),
            })
            .unwrap();
        assert_eq!(only_outcome(&drive).len(), 3);
        assert_eq!(drive.conversations[0].agents[0].name.as_deref(), Some(name));
        assert_eq!(
            drive.conversations[1].agents[0].name.as_deref(),
            Some("Ann")
        );
    }
}

#[test]
fn an_odd_result_costs_its_conversation_and_no_other() {
    // The conversation of the second one can be read; that of the third one cannot.
    let mut vendor = Vendor::new(7, |ids, _| {
        let mut rows: Vec<Value> = ids.iter().map(|id| audio(id)).collect();
        for (row, id) in rows.iter_mut().zip(ids) {
            match id.as_str() {
                "c1" => row["recordingId"] = json!({ "id": 7 }),
                "c2" => *row = Value::Null,
                "c3" => row["contentType"] = json!(["audio/ogg"]),
                _ => {}
            }
        }
        json!({ "status": "Completed", "expectedResultCount": ids.len(), "resultCount": ids.len(), "results": rows })
    });
    let mut drive = start(OPTIONS, week());
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    for (id, result) in only_outcome(&drive) {
        match result {
            OutcomeResult::Failed(failure) => {
                assert!(["c1", "c2"].contains(&id) && failure.code == "unreadable");
                assert!(failure.retryable);
            }
            OutcomeResult::HandedOver(handed) => {
                assert!(handed.artifacts == 1 && handed.missing.is_empty(), "{id}");
            }
            other => panic!("{id}: {other:?}"),
        }
    }
    assert_eq!(drive.outcomes.len(), 7);
    let last = vendor.jobs.iter().map(Vec::len).min();
    assert_eq!(last, Some(1), "halved until it was known whose it is");
    assert!(notes(&drive).contains("1 results of fetch-0 cannot be read"));
}

#[test]
fn what_goes_on_is_found_and_nothing_is_said_of_its_recordings_yet() {
    let mut rows: Vec<Value> = (0..3).map(|n| row(n * 9, FROM + n * 1000)).collect();
    for row in &mut rows[1..] {
        row.as_object_mut().unwrap().remove("conversationEnd");
    }
    // c9 has no flag and has not ended: it may be recorded yet. The batch is asked in the end.
    let drive = Rows::new(rows.clone()).export(OPTIONS);
    let ends: Vec<bool> = drive
        .conversations
        .iter()
        .map(|one| one.end.is_some())
        .collect();
    assert_eq!(ends, [true, false, false]);
    for (id, result) in only_outcome(&drive) {
        assert!(matches!(result, OutcomeResult::HandedOver(_)), "{id}");
    }

    // Metadata alone: for a day, a conversation in progress may still gain data.
    let options = r#"{"region":"mypurecloud.ie","names":false,"mode":"metadata_only"}"#;
    for (now, early) in [(FROM + 2 * DAY, 3), (FROM + DAY / 2, 1)] {
        let mut vendor = Rows::new(rows.clone());
        let mut drive = TestDriver::start::<GenesysCloud>(options, days(1), now).unwrap();
        let window = drive.started.splits[0].clone();
        drive.open.clear();
        drive
            .finish::<GenesysCloud>(window, Event::Resume, &mut |request, _| {
                vendor.answer(request)
            })
            .unwrap();
        assert_eq!(
            (drive.outcomes.len(), drive.conversations.len()),
            (early, 3)
        );
        drive
            .run::<GenesysCloud>(|_, _| panic!("nothing is asked for"))
            .unwrap();
        let skipped = |one: &OutcomeResult| matches!(one, OutcomeResult::Skipped(_));
        assert!(only_outcome(&drive).into_values().all(skipped));
        assert_eq!(drive.outcomes.len(), 3);
    }
}

#[test]
fn what_goes_on_at_the_end_of_the_data_of_jobs_is_found_whatever_is_told_of_it() {
    let options = r#"{"region":"mypurecloud.ie","names":false,"search":"job"}"#;
    // Of three in progress, one has ended by now, one continues, and one is no longer in the answer.
    let mut rows: Vec<Value> = (0..4).map(|n| row(n, FROM + n * 1000)).collect();
    for row in &mut rows[1..] {
        row.as_object_mut().unwrap().remove("conversationEnd");
    }
    let mut drive = start(options, days(1));
    let search = drive.started.splits[0].clone();
    drive.open.clear();
    let mut respond = |request: &Request, _| {
        let path = request.url.split("/conversations/details").nth(1).unwrap();
        match path {
            "/query" => reply(200, &json!({ "totalHits": 4 })),
            "/jobs/availability" => {
                reply(200, &json!({ "dataAvailabilityDate": iso(FROM + 9 * DAY) }))
            }
            "/jobs" => reply(202, &json!({ "jobId": "j1" })),
            "/jobs/j1" => reply(200, &json!({ "state": "FULFILLED" })),
            "?id=c1,c2,c3" => {
                let reported = json!([row(1, FROM + 1000), rows[2]]);
                reply(200, &json!({ "conversations": reported }))
            }
            _ => reply(200, &json!({ "conversations": rows })),
        }
    };
    drive
        .finish::<GenesysCloud>(search, Event::Resume, &mut respond)
        .unwrap();
    while let Some((_, split)) = drive.open.pop_first() {
        drive
            .finish::<GenesysCloud>(split, Event::Resume, &mut respond)
            .unwrap();
    }
    let found: BTreeMap<&str, (u64, bool)> = drive
        .conversations
        .iter()
        .map(|one| (one.id.as_str(), (one.start - FROM, one.end.is_some())))
        .collect();
    let expected = [
        ("c0", (0, true)),
        ("c1", (1000, true)),
        ("c2", (2000, false)),
        ("c3", (3000, false)),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    assert!(drive.outcomes.is_empty(), "{:?}", drive.outcomes);
    assert_eq!(counted(&drive)[0].conversations, 4);
}

#[test]
fn what_a_job_does_not_bring_is_searched_by_the_query() {
    let options =
        r#"{"region":"mypurecloud.ie","names":false,"search":"job","mode":"metadata_only"}"#;
    let rows: Vec<Value> = (0..5).map(|n| row(n, FROM + n * 1000)).collect();
    let mut vendor = Rows::new(rows.clone());
    let mut drive = start(options, days(1));
    drive
        .run::<GenesysCloud>(|request, _| {
            let path = request.url.split("/conversations/details").nth(1).unwrap();
            match path {
                "/query" => vendor.answer(request),
                "/jobs/availability" => {
                    reply(200, &json!({ "dataAvailabilityDate": iso(FROM + 9 * DAY) }))
                }
                "/jobs" => reply(202, &json!({ "jobId": "j1" })),
                "/jobs/j1" => reply(200, &json!({ "state": "FULFILLED" })),
                _ => reply(200, &json!({ "conversations": rows[..3] })),
            }
        })
        .unwrap();
    let found: BTreeSet<&str> = drive
        .conversations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(found.len(), 5);
    assert!(notes(&drive).contains("an analytics job returned 3"));
    // Reported once, by the search that found them all.
    let counts = counted(&drive);
    assert_eq!((counts.len(), counts[0].conversations), (1, 5));
}
