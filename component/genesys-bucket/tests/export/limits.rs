//! A bucket that refuses, holds too much, or answers oddly.

use super::*;

#[test]
fn a_day_of_a_hundred_thousand_objects_is_paged_through_with_a_small_state() {
    let mut bucket = Bucket::new();
    for number in 0..50_000 {
        let hour = number % 24;
        let key = format!(
            "year=2026/month=1/day=5/hour={hour}/conversation_id=c{number:05}/r{number:05}.opus"
        );
        bucket.add(&key, b"OggS");
        bucket.add(&format!("{key}_metadata.json"), b"{}");
    }
    let mut drive = start(
        json!({ "parallelism": 1 }),
        DAY,
        DAY + 24 * HOUR,
        DAY + 48 * HOUR,
    );
    let (_, mut split) = drive.open.pop_first().unwrap();
    let (mut found, mut pages, mut largest) = (BTreeSet::new(), 0, 0);
    let mut event = Event::Resume;
    let options = options(json!({ "parallelism": 1 }));
    loop {
        let step = GenesysBucket::step(&options, split.state, event, drive.now).unwrap();
        for conversation in step.conversations {
            assert!(
                found.insert(conversation.id),
                "a conversation is told twice"
            );
        }
        let recording_source_sdk::Next::Send(send) = step.next else {
            break;
        };
        largest = largest.max(send.state.data.len());
        pages += 1;
        event = Event::Response(bucket.answer(&send.request));
        split.state = send.state;
    }
    assert_eq!(found.len(), 50_000);
    // The look for anything at all, the pages, and the day with leading zeros.
    assert_eq!((pages, bucket.listed), (102, 1000));
    assert!(largest < 1000, "{largest} bytes of state");
}

#[test]
fn a_bucket_that_refuses_says_what_to_change() {
    let refused = |status: u16, body: &str, headers: &[(&str, &str)]| {
        let mut drive = start(json!({}), DAY, DAY + HOUR, DAY + 48 * HOUR);
        drive
            .run::<GenesysBucket>(|_, _| {
                Ok(Response {
                    status,
                    headers: headers
                        .iter()
                        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                        .collect(),
                    body: body.as_bytes().to_vec(),
                })
            })
            .unwrap_err()
    };
    let error = |code: &str| format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    let moved = refused(
        301,
        &error("PermanentRedirect"),
        &[("x-amz-bucket-region", "eu-west-2")],
    );
    assert!(
        matches!(&moved, SourceError::Options(o) if o.path == "region" && o.message.contains("eu-west-2"))
    );
    let none = refused(404, &error("NoSuchBucket"), &[]);
    assert!(matches!(&none, SourceError::Options(o) if o.path == "bucket"));
    let denied = refused(403, &error("AccessDenied"), &[]);
    assert!(
        matches!(&denied, SourceError::Forbidden(p) if p.starts_with("s3:ListBucket on calls"))
    );
    let keys = refused(403, &error("InvalidAccessKeyId"), &[]);
    assert!(matches!(keys, SourceError::Auth(_)));
    let slow = refused(503, &error("SlowDown"), &[]);
    assert!(matches!(slow, SourceError::Transient(_)));
    let page = refused(200, "<html>hello", &[]);
    assert!(matches!(page, SourceError::Transient(_)));
    let empty = refused(200, "<ListBucketResult></ListBucketResult>", &[]);
    assert!(
        matches!(&empty, SourceError::Permanent(text) if text.contains("check `organization`"))
    );
}

#[test]
fn a_search_tells_how_many_conversations_the_bucket_has_of_each_day() {
    let mut bucket = Bucket::new();
    for (hour, number) in (0..10).zip(0..) {
        let folder = format!("year=2026/month=1/day=5/hour={hour}");
        bucket.call(&folder, &format!("c{number}"), &format!("r{number}"));
    }
    bucket.call("year=2026/month=01/day=05/hour=09", "padded", "p");
    let from = DAY + HOUR + HOUR / 2;
    // Pages end within folders.
    let mut drive = start(
        json!({ "page_size": 3 }),
        from,
        DAY + 20 * HOUR,
        DAY + 48 * HOUR,
    );
    drive
        .run::<GenesysBucket>(|request, _| bucket.answer(request))
        .unwrap();
    let [recording_source_sdk::Update::Count(counted)] = drive.updates[..] else {
        panic!("{:?}", drive.updates);
    };
    assert_eq!((counted.conversations, results(&drive).len()), (10, 10));
    assert_eq!(
        (counted.range.from, counted.range.until),
        (DAY + HOUR, DAY + 20 * HOUR)
    );
    // Every pushed conversation has ended.
    assert!(drive.conversations.iter().all(|one| one.end.is_some()));
}

#[test]
fn a_listing_with_odd_elements_costs_these_and_no_time_to_come_is_waited_for() {
    let mut bucket = Bucket::new();
    bucket.call("year=2026/month=1/day=5/hour=9", "whole", "r");
    let xml = |request: &Request, bucket: &mut Bucket| {
        let Ok(mut response) = bucket.answer(request) else {
            panic!("no response");
        };
        let odd = "<Contents><Size>many</Size></Contents><Contents><Key>\u{0}</Key></Contents></ListBucketResult>";
        let text = String::from_utf8_lossy(&response.body);
        let text = text
            .replace("</ListBucketResult>", odd)
            .replace("<Size>4</Size>", "<Size>?</Size>")
            .replace("2026-01-06T00:00:00.000Z", "2126-01-06T00:00:00.000Z");
        response.body = text.into_bytes();
        // A byte that is not UTF-8 in an element that nobody reads.
        if let Some(at) = response
            .body
            .windows(8)
            .position(|part| part == b"STANDARD")
        {
            response.body[at] = 0xff;
        }
        Ok(response)
    };
    let mut drive = start(json!({}), DAY, DAY + 24 * HOUR, DAY + 48 * HOUR);
    drive
        .run::<GenesysBucket>(|request, _| xml(request, &mut bucket))
        .unwrap();
    assert_eq!(results(&drive)["whole"], "1 odd-key");
    assert_eq!(drive.artifacts[0].size, None);
    assert_eq!(drive.now, DAY + 48 * HOUR, "nothing was waited for");
}

#[test]
fn every_option_says_whether_it_belongs_to_what_an_export_is() {
    let schema: Value = serde_json::from_str(&GenesysBucket::describe().options_schema).unwrap();
    // The table in docs/bucket.md says why.
    let none = [
        "region",
        "path_style",
        "requester_pays",
        "page_size",
        "parallelism",
        "sidecar_seconds",
    ];
    let mut marked = Vec::new();
    for (name, property) in schema["properties"].as_object().unwrap() {
        match property["x-identity"].as_str() {
            Some(mark) => marked.push((name.as_str(), mark)),
            None if property["deprecated"] == true => {}
            None => assert!(none.contains(&name.as_str()), "{name}"),
        }
    }
    let account = ["bucket", "endpoint", "organization", "prefix"];
    assert_eq!(marked, account.map(|name| (name, "account")));
}
