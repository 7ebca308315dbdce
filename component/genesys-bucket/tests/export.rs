//! Exports from a bucket that a test holds in memory, natively.

#[path = "export/limits.rs"]
mod limits;

use std::collections::{BTreeMap, BTreeSet};

use genesys_bucket::GenesysBucket;
use recording_source_sdk::{
    ArtifactKey, Event, Find, OutcomeResult, Purpose, Request, RequestResult, Response, Source,
    SourceError, TestDriver, TimeRange, Timestamp,
};
use serde_json::{Value, json};

const ORG: &str = "0f7f1a2b-3c4d-4e5f-8a9b-0c1d2e3f4a5b";
// 2026-01-05T00:00:00Z
const DAY: u64 = 1_767_571_200_000;
const HOUR: u64 = 3_600_000;

/// Size and bytes of each object, by key.
#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    archived: BTreeSet<String>,
    /// When all of it was written.
    written: String,
    /// The most that is listed at once.
    listed: usize,
}

impl Bucket {
    fn new() -> Self {
        Bucket {
            written: "2026-01-06T00:00:00.000Z".to_owned(),
            ..Bucket::default()
        }
    }

    fn add(&mut self, key: &str, body: &[u8]) {
        self.objects.insert(format!("{ORG}/{key}"), body.to_vec());
    }

    /// A call with its metadata, in a folder such as `year=2026/month=1/day=5/hour=9`.
    fn call(&mut self, folder: &str, conversation: &str, recording: &str) {
        let key = format!("{folder}/conversation_id={conversation}/{recording}.opus");
        self.add(&key, b"OggS");
        let metadata = json!({
            "mediaType": "Call", "mediaSubtype": "Trunk", "provider": "Edge", "userIds": ["u1"],
            "startTime": "2026-01-05T09:00:07.000+0000", "endTime": "2026-01-05T09:04:00.000+0000",
            "durationMs": 233_000, "conversationId": conversation, "recordingId": recording,
            "initialDirection": "inbound",
        });
        self.add(
            &format!("{key}_metadata.json"),
            metadata.to_string().as_bytes(),
        );
    }

    fn answer(&mut self, request: &Request) -> RequestResult {
        let url = request
            .url
            .strip_prefix("https://calls.s3.eu-west-1.amazonaws.com/");
        let (status, body) = match url.unwrap().split_once('?') {
            Some(("", query)) => (200, self.list(query)),
            _ => match self.objects.get(&decoded(url.unwrap())) {
                Some(body) => (200, body.clone()),
                None => (404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
            },
        };
        let headers = Vec::new();
        Ok(Response {
            status,
            headers,
            body,
        })
    }

    fn list(&mut self, query: &str) -> Vec<u8> {
        let field = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
                .map(decoded)
        };
        assert_eq!(field("list-type").as_deref(), Some("2"));
        assert_eq!(field("encoding-type").as_deref(), Some("url"));
        let (prefix, after) = (field("prefix").unwrap(), field("start-after"));
        let most: usize = field("max-keys").unwrap().parse().unwrap();
        let from = after.clone().unwrap_or_default().max(prefix.clone());
        let mut found = self
            .objects
            .range(from..)
            .filter(|(key, _)| Some(*key) != after.as_ref())
            .take_while(|(key, _)| key.starts_with(&prefix));
        let mut xml = String::new();
        let mut count = 0;
        for (key, body) in found.by_ref().take(most) {
            count += 1;
            let class = match self.archived.contains(key) {
                true => "DEEP_ARCHIVE",
                false => "STANDARD",
            };
            xml += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><Size>{}</Size><StorageClass>{class}</StorageClass></Contents>",
                encoded(key),
                self.written,
                body.len()
            );
        }
        let more = found.next().is_some();
        self.listed = self.listed.max(count);
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><IsTruncated>{more}</IsTruncated><EncodingType>url</EncodingType><KeyCount>{count}</KeyCount>{xml}</ListBucketResult>"
        )
        .into_bytes()
    }

    /// Exports the day; every wait of a split ends at once.
    fn export(&mut self, more: Value) -> TestDriver {
        let mut drive = start(more, DAY, DAY + 24 * HOUR, DAY + 48 * HOUR);
        drive
            .run::<GenesysBucket>(|request, _| self.answer(request))
            .unwrap();
        drive
    }
}

fn options(more: Value) -> String {
    let mut options = json!({ "bucket": "calls", "organization": ORG, "region": "eu-west-1" });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    options.to_string()
}

fn start(more: Value, from: Timestamp, until: Timestamp, now: Timestamp) -> TestDriver {
    let find = Find {
        name: "find-1".to_owned(),
        range: TimeRange { from, until },
    };
    TestDriver::start::<GenesysBucket>(&options(more), Purpose::Find(find), now).unwrap()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte.unwrap()).to_digit(16).unwrap() as u8;
        bytes.push(match byte {
            b'%' => hex(rest.next()) << 4 | hex(rest.next()),
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The outcome of each conversation, in few words.
fn results(drive: &TestDriver) -> BTreeMap<&str, String> {
    let reported = drive.outcomes.iter().map(|outcome| {
        let words = match &outcome.result {
            OutcomeResult::HandedOver(handed) => {
                let codes: Vec<&str> = handed
                    .missing
                    .iter()
                    .map(|one| one.failure.code.as_str())
                    .collect();
                format!("{} {}", handed.artifacts, codes.join(" "))
            }
            OutcomeResult::Failed(failure) => failure.code.clone(),
            other => format!("{other:?}"),
        };
        (outcome.conversation.as_str(), words.trim().to_owned())
    });
    let results: BTreeMap<&str, String> = reported.collect();
    assert_eq!(
        results.len(),
        drive.outcomes.len(),
        "an outcome is told twice"
    );
    results
}

#[test]
fn folders_with_and_without_leading_zeros_are_found_on_all_pages() {
    let mut bucket = Bucket::new();
    for number in 0..7 {
        bucket.call(
            "year=2026/month=1/day=5/hour=9",
            &format!("plain-{number}"),
            &format!("p{number}"),
        );
    }
    bucket.call("year=2026/month=01/day=05/hour=09", "padded", "p");
    bucket.call("year=2026/month=1/day=4/hour=23", "before", "b");
    bucket.call("year=2026/month=1/day=50/hour=1", "no-day", "n");
    let drive = bucket.export(json!({ "page_size": 3, "parallelism": 2 }));
    let mut expected: Vec<String> = (0..7).map(|number| format!("plain-{number}")).collect();
    expected.insert(0, "padded".to_owned());
    let results = results(&drive);
    assert_eq!(results.keys().copied().collect::<Vec<_>>(), expected);
    assert!(results.values().all(|words| words == "1"), "{results:?}");
    let reported = drive
        .conversations
        .iter()
        .rev()
        .find(|one| one.id == "plain-3")
        .unwrap();
    assert_eq!(reported.start, DAY + 9 * HOUR + 7000);
    assert_eq!(reported.end, Some(DAY + 9 * HOUR + 240_000));
    assert_eq!(reported.agents[0].id, "u1");
    // Wherever pages end, a folder's objects are counted, by the search and by the fetch alike.
    for id in results.keys() {
        let extents = drive.conversations.iter().filter(|one| one.id == *id);
        let extents: Vec<_> = extents.map(|one| one.revision).collect();
        let whole = |extents: &&[Option<u64>]| extents.ends_with(&[Some(2), Some(2)]);
        assert!(whole(&extents.as_slice()), "{id}: {extents:?}");
    }
    let artifact = &drive.artifacts[0];
    assert!(artifact.download.authenticated);
    assert!(
        artifact.download.url.contains("/year%3D2026/month%3D"),
        "{}",
        artifact.download.url
    );
    assert_eq!(artifact.size, Some(4));
    assert_eq!(artifact.content_type.as_deref(), Some("audio/ogg"));
}

#[test]
fn hours_that_a_range_cuts_are_taken_whole_and_no_others() {
    let mut bucket = Bucket::new();
    for hour in [8, 9, 10, 11] {
        let folder = format!("year=2026/month=1/day=5/hour={hour}");
        bucket.call(&folder, &format!("c{hour}"), &format!("r{hour}"));
    }
    let from = DAY + 9 * HOUR + HOUR / 2;
    let mut drive = start(json!({}), from, from + HOUR, DAY + 48 * HOUR);
    drive
        .run::<GenesysBucket>(|request, _| bucket.answer(request))
        .unwrap();
    assert_eq!(
        results(&drive).into_keys().collect::<Vec<_>>(),
        ["c10", "c9"]
    );
}

#[test]
fn what_is_missing_archived_or_odd_in_a_folder_is_named() {
    const HOUR_9: &str = "year=2026/month=1/day=5/hour=9";
    let mut bucket = Bucket::new();
    for conversation in ["bare", "lost", "wrong", "other", "odd", "whole", "cold"] {
        bucket.call(HOUR_9, conversation, "r");
    }
    let key =
        |conversation: &str, name: &str| format!("{HOUR_9}/conversation_id={conversation}/{name}");
    let full = |conversation: &str, name: &str| format!("{ORG}/{}", key(conversation, name));
    bucket.objects.remove(&full("bare", "r.opus_metadata.json"));
    bucket.objects.remove(&full("lost", "r.opus"));
    bucket.add(&key("wrong", "r.opus_metadata.json"), b"<html>");
    bucket.add(
        &key("other", "r.opus_metadata.json"),
        b"{\"conversationId\":\"x\"}",
    );
    bucket.add(&key("odd", "deeper/r.opus"), b"?");
    bucket.add(&key("odd", "../r.opus"), b"?");
    bucket.add(&key("odd", "a\u{1}b.opus"), b"?");
    bucket.add(&key("whole", ""), b"");
    bucket.add(&key("whole", "whole.opus_call_metadata.json"), b"{}");
    bucket.add(&key("whole", "whole-m.transcript.json"), b"{}");
    bucket.archived.insert(full("cold", "r.opus"));
    bucket.add(
        &key("only-marks", "only-marks.opus_call_metadata.json"),
        b"{}",
    );
    for number in 0..600 {
        bucket.add(&key("full", &format!("{number:03}.wav")), b"RIFF");
    }
    bucket.add("year=2026/month=1/day=5/stray", b"?");
    bucket.add(
        "year=2026/month=1/day=5/hour=9/conversation_id=a\nb/r.opus",
        b"?",
    );
    let drive = bucket.export(json!({}));
    let results = results(&drive);
    for (conversation, words) in [
        ("bare", "1 no-sidecar"),
        ("lost", "no-media"),
        ("wrong", "1 wrong-sidecar"),
        ("other", "1 wrong-sidecar"),
        ("odd", "1 odd-key"),
        ("whole", "2"),
        ("cold", "archived"),
        ("only-marks", "OutcomeResult::NoRecording"),
    ] {
        assert_eq!(results[conversation], words, "{conversation}");
    }
    assert!(results["full"].starts_with("500 no-sidecar"));
    assert!(results["full"].ends_with("too-many-objects"));
    assert_eq!(results.len(), 9);
    let warned: Vec<&str> = drive.notes.iter().map(|note| note.text.as_str()).collect();
    assert_eq!(
        warned,
        [
            "2 objects under `year=2026/month=1/day=5/` are left out: their keys are not of the layout"
        ]
    );
}

#[test]
fn files_of_one_recording_are_parts_in_the_order_of_their_names() {
    let mut bucket = Bucket::new();
    for (name, recording) in [("s.webm", "s"), ("s_1.webm", "s"), ("t.webm", "t")] {
        let key = format!("year=2026/month=1/day=5/hour=9/conversation_id=c/{name}");
        bucket.add(&key, b"webm");
        let metadata =
            json!({ "mediaType": "Screen", "conversationId": "c", "recordingId": recording });
        bucket.add(
            &format!("{key}_metadata.json"),
            metadata.to_string().as_bytes(),
        );
    }
    let drive = bucket.export(json!({ "requester_pays": true }));
    let keys: Vec<(String, u32)> = drive
        .artifacts
        .iter()
        .map(|artifact| match &artifact.key {
            ArtifactKey::Recording(key) => (key.recording.clone(), key.part),
            ArtifactKey::Bundle(id) => panic!("{id}"),
        })
        .collect();
    assert_eq!(
        keys,
        [
            ("s".to_owned(), 0),
            ("s".to_owned(), 1),
            ("t".to_owned(), 0)
        ]
    );
    assert_eq!(
        drive.artifacts[0].content_type.as_deref(),
        Some("video/webm")
    );
    let payer = ("x-amz-request-payer".to_owned(), "requester".to_owned());
    assert!(
        drive
            .requests
            .iter()
            .all(|request| request.headers.contains(&payer))
    );
    assert!(
        drive
            .artifacts
            .iter()
            .all(|one| one.download.headers.contains(&payer))
    );
}

#[test]
fn metadata_of_a_file_just_pushed_are_waited_for() {
    let mut bucket = Bucket::new();
    bucket.call("year=2026/month=1/day=5/hour=9", "c", "r");
    let sidecar =
        format!("{ORG}/year=2026/month=1/day=5/hour=9/conversation_id=c/r.opus_metadata.json");
    let metadata = bucket.objects.remove(&sidecar).unwrap();
    bucket.written = "2026-01-05T23:59:00.000Z".to_owned();
    let mut drive = start(json!({}), DAY, DAY + 24 * HOUR, DAY + 24 * HOUR);
    let mut listings = 0;
    drive
        .run::<GenesysBucket>(|request, _| {
            listings += u32::from(request.url.contains("conversation_id"));
            if listings == 2 {
                bucket.objects.insert(sidecar.clone(), metadata.clone());
            }
            bucket.answer(request)
        })
        .unwrap();
    assert_eq!(results(&drive)["c"], "1");
    // Ten minutes after the file was written.
    assert_eq!(drive.now, DAY + 24 * HOUR + 9 * 60_000);
}

#[test]
fn fresh_links_are_had_for_the_files_that_need_them_alone() {
    let mut bucket = Bucket::new();
    for conversation in ["c1", "c2", "c3"] {
        bucket.call("year=2026/month=1/day=5/hour=9", conversation, "r");
    }
    let mut drive = bucket.export(json!({}));
    let (reported, handed) = (drive.outcomes.len(), drive.artifacts.len());
    let key = drive.artifacts[1].key.clone();
    let split = drive.done.last().unwrap().clone();
    drive
        .finish::<GenesysBucket>(
            split,
            Event::Refresh(vec![key.clone()]),
            &mut |request, _| bucket.answer(request),
        )
        .unwrap();
    assert_eq!(drive.outcomes.len(), reported);
    let fresh: Vec<&ArtifactKey> = drive.artifacts[handed..]
        .iter()
        .map(|one| &one.key)
        .collect();
    assert_eq!(fresh, [&key]);
}
