//! Work that is too large is divided into smaller work, down to the one item that is too large by itself.

use recording_source_sdk::Level;

use super::{lenient::Rows, *};

/// The largest state that hosts take, and the limit of a batch's state.
const STATE: usize = 256 << 10;

/// Runs to the end; the state of every split stays below what hosts take.
fn run(drive: &mut TestDriver, mut respond: impl FnMut(&Request, Timestamp) -> RequestResult) {
    while let Some(((due, _), split)) = drive.open.pop_first() {
        assert!(
            split.state.data.len() < STATE,
            "{}: {}",
            split.id,
            split.state.data.len()
        );
        drive.now = drive.now.max(due);
        drive
            .finish::<GenesysCloud>(split, Event::Resume, &mut respond)
            .unwrap();
        assert!(
            drive
                .done
                .iter()
                .all(|split| split.state.data.len() < STATE)
        );
    }
    // The conversations found are fetched.
    drive.run::<GenesysCloud>(respond).unwrap();
}

fn sized(answer: RequestResult, limit: usize) -> RequestResult {
    match answer {
        Ok(response) if response.body.len() > limit => Err(RequestError::TooLarge(limit as u64)),
        answer => answer,
    }
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_smaller_ones_and_nothing_is_lost() {
    let mut rows: Vec<Value> = (0..100).map(|n| row(n, FROM + n * 1000)).collect();
    for row in &mut rows {
        row["participants"][0]["participantName"] = json!("x".repeat(3000));
    }
    for limit in [300_000, 100_000, 10_000] {
        let mut vendor = Rows::new(rows.clone());
        let mut drive = start(OPTIONS, days(1));
        drive
            .run::<GenesysCloud>(|request, _| sized(vendor.answer(request), limit))
            .unwrap();
        assert_eq!(only_outcome(&drive).len(), 100, "{limit}");
        assert_eq!(drive.conversations.len(), 100, "each page once");
        let warned = |note: &recording_source_sdk::Note| note.level == Level::Warn;
        assert!(!drive.notes.iter().any(warned), "{:?}", drive.notes);
    }
}

#[test]
fn a_row_that_is_too_large_by_itself_is_named_and_counted_and_the_rest_is_found() {
    let mut rows: Vec<Value> = (0..300).map(|n| row(n, FROM + n * 1000)).collect();
    rows[137]["participants"][0]["participantName"] = json!("x".repeat(200_000));
    let mut vendor = Rows::new(rows);
    let mut drive = start(OPTIONS, days(1));
    drive
        .run::<GenesysCloud>(|request, _| sized(vendor.answer(request), 150_000))
        .unwrap();
    assert_eq!(only_outcome(&drive).len(), 299);
    let notes: Vec<&str> = drive.notes.iter().map(|note| note.text.as_str()).collect();
    let named =
        "the row of conversation number 138 of 2026-01-05T00:00:00.000Z/2026-01-06T00:00:00.000Z";
    assert!(
        notes.iter().any(|note| note.starts_with(named)),
        "{notes:?}"
    );
    assert!(
        notes
            .iter()
            .any(|note| note.contains("returned 299: 1 are missing")),
        "{notes:?}"
    );
    let count = drive.updates.iter().find_map(|update| match update {
        recording_source_sdk::Update::Count(counted) => Some(counted.conversations),
        _ => None,
    });
    assert_eq!(count, Some(300));
}

/// The recordings of a conversation, as their metadata and as a job's results list them.
fn listed(conversation: &str, count: usize) -> (Value, Vec<Value>) {
    let id = |n: usize| format!("10000000-0000-4000-8000-{conversation:0>6}{n:06}");
    let metadata = (0..count).map(|n| {
        json!({ "id": id(n), "conversationId": conversation, "fileState": "AVAILABLE", "media": "audio", "sessionId": id(n), "name": "x".repeat(200) })
    });
    let results = (0..count).map(|n| {
        json!({ "conversationId": conversation, "recordingId": id(n), "contentType": "audio/ogg",
            "resultUrl": format!("https://media.example/{conversation}/{n}?X-Amz-Signature=s") })
    });
    (metadata.collect(), results.collect())
}

/// A vendor with rows and so many recordings of each conversation; answers have a largest size.
fn recordings(
    options: &str,
    calls: u64,
    count: fn(&str) -> usize,
    limit: usize,
) -> (TestDriver, Vec<usize>) {
    let mut vendor = Rows::new((0..calls).map(|n| row(n * 10, FROM + n * 1000)).collect());
    let mut jobs: Vec<Vec<String>> = Vec::new();
    let mut drive = start(options, days(1));
    run(&mut drive, |request, _| {
        let path = request.url.split("/api/v2/").nth(1).unwrap();
        let answer = if let Some(rest) = path.strip_prefix("conversations/") {
            let id = rest.strip_suffix("/recordingmetadata").unwrap();
            reply(200, &listed(id, count(id)).0)
        } else if path.starts_with("analytics/conversations/details?id=") {
            reply(200, &json!({ "conversations": [] }))
        } else if path == "recording/batchrequests" {
            let list = body(request)["batchDownloadRequestList"].take();
            let ids = list.as_array().unwrap().iter();
            let ids = ids.map(|one| one["conversationId"].as_str().unwrap().to_owned());
            jobs.push(ids.collect());
            reply(200, &json!({ "id": format!("job-{}", jobs.len() - 1) }))
        } else if let Some(job) = path.strip_prefix("recording/batchrequests/job-") {
            let ids = jobs[job.parse::<usize>().unwrap()].iter();
            let results: Vec<Value> = ids.flat_map(|id| listed(id, count(id)).1).collect();
            reply(200, &json!({ "status": "Completed", "results": results }))
        } else {
            vendor.answer(request)
        };
        sized(answer, limit)
    });
    let sizes = jobs.iter().map(Vec::len).collect();
    (drive, sizes)
}

#[test]
fn a_batch_with_many_recordings_is_divided_before_its_state_is_too_large() {
    let options = r#"{"region":"mypurecloud.ie","names":false,"recording_metadata":true}"#;
    for (each, batches) in [(20, 1..=2), (100, 4..=16)] {
        let count: fn(&str) -> usize = if each == 20 { |_| 20 } else { |_| 100 };
        let (drive, sizes) = recordings(options, 100, count, 16 << 20);
        for (id, result) in only_outcome(&drive) {
            assert!(
                matches!(result, OutcomeResult::HandedOver(handed)
                    if handed.artifacts == each && handed.missing.is_empty()),
                "{id}: {result:?}"
            );
        }
        assert_eq!(drive.outcomes.len(), 100);
        assert!(batches.contains(&sizes.len()), "{sizes:?}");
        let reported = drive
            .updates
            .iter()
            .filter(|update| matches!(update, recording_source_sdk::Update::Recording(_)));
        assert_eq!(
            reported.count(),
            100 * each as usize,
            "each is told of once"
        );
    }
}

#[test]
fn one_conversation_with_thousands_of_recordings_is_fetched_and_what_it_lacks_is_named() {
    let options = r#"{"region":"mypurecloud.ie","names":false,"recording_metadata":true}"#;
    let (drive, _) = recordings(options, 3, |id| if id == "c0" { 5000 } else { 1 }, 16 << 20);
    let outcomes = only_outcome(&drive);
    assert!(matches!(outcomes["c0"], OutcomeResult::HandedOver(handed)
        if handed.artifacts == 5000 && handed.missing.is_empty()));
    assert_eq!(outcomes.len(), 3);
}

#[test]
fn results_that_are_too_large_are_asked_for_in_halves_down_to_the_one_that_is_named() {
    let count: fn(&str) -> usize = |id| if id == "c50" { 400 } else { 10 };
    let (drive, sizes) = recordings(OPTIONS, 20, count, 30_000);
    let outcomes = only_outcome(&drive);
    assert_eq!(outcomes.len(), 20);
    for (id, result) in outcomes {
        match result {
            OutcomeResult::Failed(failure) => {
                assert_eq!((id, failure.code.as_str()), ("c50", "too-large"))
            }
            other => assert!(
                matches!(other, OutcomeResult::HandedOver(handed) if handed.artifacts == 10),
                "{id}"
            ),
        }
    }
    assert!(sizes.contains(&1) && sizes[0] == 20, "{sizes:?}");
}

#[test]
fn metadata_that_are_too_large_cost_the_certainty_of_one_conversation() {
    let options = r#"{"region":"mypurecloud.ie","names":false,"recording_metadata":true}"#;
    let count: fn(&str) -> usize = |id| if id == "c10" { 90 } else { 2 };
    let (drive, _) = recordings(options, 3, count, 20_000);
    for (id, result) in only_outcome(&drive) {
        let OutcomeResult::HandedOver(handed) = result else {
            panic!("{id}: {result:?}");
        };
        let codes: Vec<&str> = handed
            .missing
            .iter()
            .map(|one| one.failure.code.as_str())
            .collect();
        match id {
            "c10" => assert_eq!((handed.artifacts, codes), (90, vec!["too-large"])),
            _ => assert_eq!((handed.artifacts, codes.len()), (2, 0)),
        }
    }
}

#[test]
fn renewals_that_are_too_large_are_done_in_halves_too() {
    let mut vendor = Rows::new((0..8).map(|n| row(n * 10, FROM + n * 1000)).collect());
    let mut drive = vendor.export(OPTIONS);
    let split = drive
        .done
        .iter()
        .rfind(|split| split.kind == "batch")
        .unwrap()
        .clone();
    let keys: Vec<ArtifactKey> = drive.artifacts.iter().map(|one| one.key.clone()).collect();
    let keys: BTreeSet<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    let renew: Vec<ArtifactKey> = drive.artifacts.iter().map(|one| one.key.clone()).collect();
    drive.artifacts.clear();
    let mut respond = |request: &Request, _| sized(vendor.answer(request), 500);
    drive
        .finish::<GenesysCloud>(split, Event::Refresh(renew), &mut respond)
        .unwrap();
    drive.run::<GenesysCloud>(respond).unwrap();
    let renewed: BTreeSet<String> = drive
        .artifacts
        .iter()
        .map(|one| format!("{:?}", one.key))
        .collect();
    assert_eq!(renewed, keys);
    assert_eq!(drive.outcomes.len(), 8, "a renewal yields no outcome");
}

#[test]
fn links_that_name_the_file_in_their_query_are_files() {
    let mut vendor = Vendor::new(1, |_, polls| {
        let file = |n: u32| {
            json!({ "conversationId": "c0", "recordingId": "r", "contentType": "video/webm",
            "resultUrl": format!("https://media.example/download/x?file={n}&sig={polls}") })
        };
        json!({ "status": "Completed", "results": [file(0), file(1), file(0)] })
    });
    let mut drive = start(OPTIONS, days(1));
    drive
        .run::<GenesysCloud>(|request, now| vendor.answer(request, now))
        .unwrap();
    assert_eq!(drive.artifacts.len(), 2);
    assert!(
        matches!(&drive.outcomes[0].result, OutcomeResult::HandedOver(handed) if handed.artifacts == 2)
    );
}

#[test]
fn what_is_kept_and_orphans_are_listed_in_smaller_pages_too() {
    let kept: Vec<Value> = (0..300)
        .map(|n| json!({ "conversationId": format!("c{n}"), "recordingId": format!("r{n}"), "creationTime": iso(FROM + n) }))
        .collect();
    let orphans: Vec<Value> = (0..130)
        .map(
            |n| json!({ "id": format!("o{n}"), "createdTime": iso(FROM + n), "mediaType": "CALL" }),
        )
        .collect();
    let options = r#"{"region":"mypurecloud.ie","names":false,"search":"retention","export_orphans":true,"mode":"metadata_only"}"#;
    let mut drive = start(options, days(1));
    let mut respond = |request: &Request, _: Timestamp| {
        let (path, query) = request.url.split_once('?').unwrap();
        let number = |name: &str| -> usize {
            let pair = query.split('&').find_map(|pair| pair.strip_prefix(name));
            pair.map_or(0, |value| value.trim_start_matches('=').parse().unwrap())
        };
        let answer = if path.ends_with("/retention/query") {
            let (from, size) = (number("cursor"), number("pageSize"));
            let until = (from + size).min(kept.len());
            let next = (until < kept.len()).then(|| format!("/x?cursor={until}"));
            reply(
                200,
                &json!({ "entities": kept[from..until], "nextUri": next }),
            )
        } else if path.ends_with("/orphanrecordings") {
            let (size, page) = (number("pageSize"), number("pageNumber"));
            let page_of: Vec<&Value> = orphans.iter().skip((page - 1) * size).take(size).collect();
            reply(
                200,
                &json!({ "entities": page_of, "pageCount": orphans.len().div_ceil(size) }),
            )
        } else {
            let ids: Vec<&str> = query.strip_prefix("id=").unwrap().split(',').collect();
            let mut rows: Vec<Value> = Vec::new();
            for id in ids {
                let n: u64 = id[1..].parse().unwrap();
                let mut row = row(n, FROM + n);
                if n == 7 {
                    row["participants"][0]["participantName"] = json!("x".repeat(10_000));
                }
                rows.push(row);
            }
            reply(200, &json!({ "conversations": rows }))
        };
        sized(answer, 8_000)
    };
    run(&mut drive, &mut respond);
    let found: BTreeSet<&str> = drive
        .conversations
        .iter()
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(found.len(), 430);
    // Of one nothing but its recording is known: it is fetched, and settled as the mode says.
    assert_eq!(only_outcome(&drive).len(), 430);
    let notes: Vec<&str> = drive.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("the row of conversation c7 has more than 8000 bytes"));
}

/// An estimate of a day, with these answers.
fn estimated(mut answer: impl FnMut(&Request) -> RequestResult) -> TestDriver {
    let range = TimeRange {
        from: FROM,
        until: FROM + DAY,
    };
    let mut drive = start(OPTIONS, Purpose::Estimate(range));
    let splits: Vec<_> = drive.open.values().cloned().collect();
    for split in splits {
        drive
            .finish::<GenesysCloud>(split, Event::Resume, &mut |request, _| answer(request))
            .unwrap();
    }
    drive
}

#[test]
fn an_estimate_gets_over_rows_that_are_too_large() {
    let mut rows: Vec<Value> = (0..300).map(|n| row(n, FROM + n * 1000)).collect();
    rows[0]["participants"][0]["participantName"] = json!("x".repeat(100_000));
    let mut vendor = Rows::new(rows);
    let drive = estimated(|request| sized(vendor.answer(request), 20_000));
    let [recording_source_sdk::Update::Count(counted)] = drive.updates[..] else {
        panic!("{:?}", drive.updates);
    };
    assert_eq!(
        (counted.conversations, drive.conversations.len()),
        (300, 10)
    );
}

#[test]
fn an_estimate_without_a_count_is_unknown_and_not_nothing() {
    let mut vendor = Rows::new((0..30).map(|n| row(n, FROM + n * 1000)).collect());
    let drive = estimated(|request| {
        let mut answer = vendor.answer(request)?;
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        body.as_object_mut().unwrap().remove("totalHits");
        answer.body = body.to_string().into_bytes();
        Ok(answer)
    });
    assert!(drive.updates.is_empty(), "{:?}", drive.updates);
    let notes: Vec<&str> = drive.notes.iter().map(|note| note.text.as_str()).collect();
    assert!(notes[0].contains("has no count"), "{notes:?}");
}

#[test]
fn whose_sessions_are_whose_is_asked_for_in_smaller_groups() {
    let options = r#"{"region":"mypurecloud.ie","names":false,"recording_metadata":true}"#;
    let mut vendor = Rows::new((0..10).map(|n| row(n * 10, FROM + n * 1000)).collect());
    let mut drive = start(options, days(1));
    let mut groups = Vec::new();
    run(&mut drive, |request, _| {
        let path = request.url.split("/api/v2/").nth(1).unwrap();
        if let Some(ids) = path.strip_prefix("analytics/conversations/details?id=") {
            groups.push(ids.split(',').count());
            let rows = ids.split(',').map(|id| {
                json!({ "conversationId": id, "participants": [{ "purpose": "agent", "userId": format!("u-{id}"),
                    "sessions": [{ "sessionId": format!("s-{id}") }] }] })
            });
            let rows: Value = rows.collect();
            return sized(reply(200, &json!({ "conversations": rows })), 500);
        }
        if let Some(rest) = path.strip_prefix("conversations/") {
            let id = rest.strip_suffix("/recordingmetadata").unwrap();
            let one = json!({ "id": format!("r-{id}"), "fileState": "AVAILABLE", "media": "audio", "sessionId": format!("s-{id}") });
            return reply(200, &json!([one]));
        }
        vendor.answer(request)
    });
    assert_eq!(groups[..3], [10, 5, 2]);
    let agents = drive.updates.iter().filter_map(|update| match update {
        recording_source_sdk::Update::Recording(about) => about
            .attributes
            .iter()
            .find(|(name, _)| name == "recording.agent_ids")
            .map(|(_, agents)| (about.conversation.clone(), agents.clone())),
        _ => None,
    });
    let agents: BTreeMap<String, String> = agents.collect();
    assert_eq!(agents.len(), 10);
    assert!(
        agents
            .iter()
            .all(|(id, agents)| *agents == format!("u-{id}"))
    );
}

#[test]
fn a_count_that_cannot_be_costs_no_request() {
    let searched = |count: Option<u64>| {
        let mut vendor = Rows::new((0..30).map(|n| row(n, FROM + n * 1000)).collect());
        let mut drive = start(OPTIONS, days(1));
        let mut queries = 0;
        run(&mut drive, |request, _| {
            let is_query = request.url.ends_with("/query");
            let mut answer = vendor.answer(request)?;
            if is_query {
                queries += 1;
                if let Some(count) = count {
                    let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
                    body["totalHits"] = json!(count);
                    answer.body = body.to_string().into_bytes();
                }
            }
            Ok(answer)
        });
        let notes = drive.notes.into_iter().map(|note| note.text);
        (
            drive.conversations.len(),
            queries,
            notes.collect::<Vec<_>>(),
        )
    };
    let (found, queries, _) = searched(None);
    for count in [u64::MAX, 100_000_001] {
        let (same, asked, notes) = searched(Some(count));
        assert_eq!((same, asked), (found, queries), "{count}: {notes:?}");
        assert!(
            notes.iter().any(|note| note.contains("which cannot be")),
            "{count}: {notes:?}"
        );
    }
}

#[test]
fn a_conversation_of_everybody_costs_no_other_and_its_lists_end() {
    // Each value is compared with those before it: all of them with all would take minutes.
    let participant = |n: usize| {
        json!({ "purpose": "agent", "userId": format!("u{n}"), "attributes": { "a": n },
            "sessions": [{ "segments": [{ "queueId": format!("q{n}"), "wrapUpTags": [n] }] }] })
    };
    let mut rows: Vec<Value> = (0..2).map(|n| row(n, FROM + n * 1000)).collect();
    rows[0]["participants"] = (0..60_000).map(participant).collect();
    let drive = Rows::new(rows).export(OPTIONS);
    let all = &drive.conversations[0];
    assert_eq!(
        (all.agents.len(), all.queues.len(), all.tags.len()),
        (1000, 1000, 1000)
    );
    // Agents, queues, tags and attributes: 59,000 of each.
    let reported = all.attributes.iter();
    let reported: Vec<_> = reported
        .filter(|(name, _)| name == "values_left_out")
        .collect();
    assert_eq!(
        reported,
        [&("values_left_out".to_owned(), "236000".to_owned())]
    );
    assert_eq!(drive.conversations[1].agents.len(), 1);
}
