//! The format by golden files, and how a segment is filed again after an interruption.

use std::collections::BTreeMap;

use super::*;
use async_trait::async_trait;
use futures_util::stream::BoxStream;

use recording_host_model::{CompletedConversation, ConversationRecord, Object, Outcome};
use recording_host_sink::{
    Body, Health, ObjectMeta, PutResult, Sink, encrypted::Encrypted, encryption::Recipients,
    filesystem::Filesystem,
};
use recording_host_state::Queue;

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/fixtures/receipts/", $name))
    };
}

fn digest(key: &str, sha256: char) -> ObjectDigest {
    ObjectDigest {
        key: key.to_owned(),
        size: 9000,
        sha256: sha256.to_string().repeat(64),
        etag: None,
    }
}

/// A header with every field that is written today.
fn header() -> ReceiptHeader {
    let at = |text: &str| format!("2026-{text}Z").parse().unwrap();
    let hex = |digit: &str| Some(digit.repeat(64));
    ReceiptHeader {
        export: "calls-16fd140fc123".into(),
        identity: hex("1"),
        form: hex("2"),
        sink: Some("lake".into()),
        sink_identity: hex("3"),
        prefix: Some("recordings/".into()),
        segment: 9,
        day: "2026-01-08".into(),
        written_at: Some(at("02-01T00:12:00.125")),
        claims: Some(CoveredInterval {
            from: at("01-05T00:00:00"),
            until: Some(at("02-01T00:00:00")),
        }),
        searched: vec![SearchedRange {
            from: at("01-08T00:00:00"),
            until: at("01-09T00:00:00"),
            at: at("02-01T00:10:00"),
        }],
        source_count: Some(SourceCount {
            conversations: 6,
            at: at("02-01T00:10:30"),
        }),
        source_days: BTreeMap::from([("2026-01-09".into(), 4)]),
        program: Some(Program {
            name: "recording-host".into(),
            version: "0.1.0".into(),
        }),
        component: Some(ComponentVersion {
            name: "genesys_cloud".into(),
            version: "0.1.0".into(),
            sha256: "4".repeat(64),
        }),
        replaces: vec![4, 7],
        metadata: Some(digest(
            "metadata/date=2026-01-08/calls-16fd140fc123-000009.parquet",
            'a',
        )),
        catalog: Some(digest(
            "catalog/date=2026-01-08/calls-16fd140fc123-000009.parquet",
            'b',
        )),
        media_in: Some("vault".into()),
        encryption: Some("age".into()),
        ..ReceiptHeader::default()
    }
}

fn entries(receipt: &str) -> (ReceiptHeader, Vec<ReceiptEntry>, ReceiptTotals) {
    let mut reader = ReceiptReader::new(receipt.as_bytes()).unwrap();
    let entries = reader.by_ref().map(|entry| entry.unwrap().1).collect();
    (reader.header().clone(), entries, reader.totals())
}

#[test]
fn a_receipt_of_version_1_is_read_as_it_was_meant() {
    let (header, entries, totals) = entries(golden!("v1.jsonl"));
    assert_eq!((header.receipt, header.segment), (1, 9));
    assert_eq!(
        (header.export.as_str(), header.day.as_str()),
        ("calls-16fd140fc123", "2026-01-08")
    );
    assert_eq!(header.replaces, [4, 7]);
    assert_eq!(header.metadata.unwrap().size, 9000);
    assert_eq!(header.catalog.unwrap().sha256, "b".repeat(64));
    assert_eq!((header.conversations, totals.entries), (5, 5));
    let words: Vec<&str> = entries.iter().map(|entry| entry.outcome().word()).collect();
    assert_eq!(
        words,
        ["stored", "partial", "no-recording", "skipped", "failed"]
    );
    assert_eq!(entries[1].outcome().losses().len(), 2);
    assert_eq!(entries[0].objects[0].etag.as_deref(), Some("\"tag\""));
    assert_eq!(entries[0].sidecars[0].size, 387);
    assert_eq!(entries[1].objects[0].member.as_deref(), Some("a/b.wav"));
    assert_eq!(entries[2].sinks.as_ref().unwrap().len(), 2);
    // The one without `attempt` is of the first.
    let attempts: Vec<u32> = entries.iter().map(|entry| entry.attempt).collect();
    assert_eq!(attempts, [1, 2, 1, 1, 1]);
}

#[test]
fn receipts_that_the_program_before_wrote_are_read_to_the_last_line() {
    let (header, sealed, _) = entries(golden!("v1-encrypted.jsonl"));
    assert_eq!(header.encryption.as_deref(), Some("age"));
    assert!(
        sealed
            .iter()
            .all(|entry| entry.objects[0].key.ends_with(".age"))
    );
    let (header, index, totals) = entries(golden!("v1-index.jsonl"));
    assert_eq!(header.media_in.as_deref(), Some("columns"));
    assert_eq!(totals.entries, header.conversations);
    assert!(index.iter().all(|entry| entry.objects.is_empty()));
}

#[test]
fn a_receipt_is_written_byte_for_byte_as_the_golden_file() {
    let (_, mut reported, _) = entries(golden!("v1.jsonl"));
    let aside = ReceiptObject {
        recording: "r-9".into(),
        key: "aside/c-5/r-9.html".into(),
        content_type: "text/html".into(),
        size: 30,
        sha256: "f".repeat(64),
        ..ReceiptObject::default()
    };
    reported[4].aside.push(aside);
    let mut writer = ReceiptWriter::default();
    for entry in &reported {
        writer.entry(entry).unwrap();
    }
    let bytes = writer.finish(header()).unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), golden!("v2.jsonl"));
    let (read, again, totals) = entries(golden!("v2.jsonl"));
    assert_eq!(again, reported);
    assert_eq!(read.entries_sha256.as_ref(), Some(&totals.sha256));
    assert_eq!(read.outcomes, totals.outcomes);
    assert_eq!((read.receipt, read.conversations), (VERSION, 5));
}

#[test]
fn what_a_later_program_adds_is_kept_and_what_it_changes_is_refused() {
    let golden = golden!("v2.jsonl");
    let (head, rest) = golden.split_once('\n').unwrap();
    let more = r#","sequence":7,"previous":"00","signature":{"key":"k"},"weather":"fine"}"#;
    let later = format!("{}{more}\n{rest}", &head[..head.len() - 1]);
    let (header, reported, _) = entries(&later);
    assert_eq!(
        (header.sequence, header.previous.as_deref()),
        (Some(7), Some("00"))
    );
    assert_eq!(header.others["weather"], "fine");
    let mut writer = ReceiptWriter::default();
    reported
        .iter()
        .for_each(|entry| writer.entry(entry).unwrap());
    let again = String::from_utf8(writer.finish(header).unwrap()).unwrap();
    assert!(again.contains(&more[..more.len() - 1]), "{again}");

    let next = golden.replacen("\"receipt\":2", "\"receipt\":3", 1);
    let error = ReceiptReader::new(next.as_bytes()).unwrap_err();
    assert!(error.reason.contains("version 3"), "{error}");
}

#[test]
fn a_line_that_cannot_be_read_is_named_and_the_others_are_read() {
    let golden = golden!("v2.jsonl");
    let torn: String = golden
        .lines()
        .enumerate()
        .map(|(at, line)| {
            format!(
                "{}\n",
                if at == 2 {
                    &line[..line.len() / 2]
                } else {
                    line
                }
            )
        })
        .collect();
    let read: Vec<_> = ReceiptReader::new(torn.as_bytes()).unwrap().collect();
    assert_eq!(read.len(), 5);
    assert_eq!(read[1].as_ref().unwrap_err().line, 3);
    assert_eq!(read.iter().flatten().count(), 4);
    // An outcome that nobody knows yet is a loss of that name.
    let odd = golden.replace("\"outcome\":\"skipped\"", "\"outcome\":\"melted\"");
    let (_, reported, _) = entries(&odd);
    assert_eq!(reported[3].outcome().losses()[0].0, "melted");
    for nothing in ["", "\n", "[]", "RIFF"] {
        assert_eq!(ReceiptReader::new(nothing.as_bytes()).unwrap_err().line, 1);
    }
}

fn completed(number: u32) -> CompletedConversation {
    let id = format!("c-{number}");
    let object = Object {
        conversation: id.clone(),
        recording: format!("r-{number}"),
        key: format!("recordings/{id}.wav"),
        member: None,
        content_type: "audio/wav".into(),
        size: 4,
        sha256: hex(&Sha256::digest(b"RIFF")),
        etag: None,
        stored: None,
        note: None,
        aside: number == 2,
        file: String::new(),
        index_metadata: None,
    };
    CompletedConversation {
        id,
        record: ConversationRecord::default(),
        outcome: Outcome::Stored,
        attempt: 1,
        revision: None,
        objects: BTreeMap::from([("lake".to_owned(), vec![object])]),
        lost_in: BTreeMap::new(),
    }
}

/// Files a segment of these conversations.
async fn commit_all(
    ledger: &Queue,
    context: &ReceiptContext,
    conversations: Vec<CompletedConversation>,
    binding: &SinkBinding,
) -> Result<usize, CommitError> {
    let segment = Segment {
        number: 1,
        day: "1970-01-01".into(),
        ids: Vec::new(),
        replaces: BTreeMap::new(),
        apart: false,
    };
    let parts = || Parts::given(conversations.clone(), binding);
    commit(ledger, context, &segment, parts(), parts(), (binding, &[])).await
}

/// The conversations of the segment.
fn both() -> Vec<CompletedConversation> {
    (1..=2).map(completed).collect()
}

const RECEIPT: &str = "receipts/date=1970-01-01/calls-000001.jsonl";

/// A queue in which the segment is to be filed, and the sink in a folder.
struct TestSink {
    ledger: Queue,
    root: tempfile::TempDir,
    binding: SinkBinding,
}

impl TestSink {
    async fn new(encrypted: bool) -> Self {
        let ledger = Queue::in_memory().unwrap();
        ledger.expect_filing(1, "lake".into()).await.unwrap();
        let root = tempfile::tempdir().unwrap();
        let folder: Arc<dyn Sink> = Arc::new(Filesystem::new(root.path().to_owned()));
        let to = age::x25519::Identity::generate().to_public().to_string();
        let sink: Arc<dyn Sink> = match encrypted {
            true => Arc::new(Encrypted::new(folder, Recipients::parse(&[to]).unwrap())),
            false => folder,
        };
        let binding = SinkBinding::new("lake", sink);
        TestSink {
            ledger,
            root,
            binding,
        }
    }

    /// Files the segment at a time of its own.
    async fn commit(&self, second: i64) {
        let context = ReceiptContext {
            written_at: jiff::Timestamp::from_second(second).ok(),
            ..ReceiptContext::new("calls")
        };
        commit_all(&self.ledger, &context, both(), &self.binding)
            .await
            .unwrap();
    }

    fn read(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.root.path().join(key)).ok()
    }

    fn remove(&self, key: &str) {
        std::fs::remove_file(self.root.path().join(key)).unwrap();
    }

    fn rows(&self) -> &'static str {
        match self.binding.sink.encrypts() {
            true => "metadata/date=1970-01-01/calls-000001.jsonl.age",
            false => "metadata/date=1970-01-01/calls-000001.jsonl",
        }
    }

    /// Returns true if the receipt names the rows that are there.
    fn agrees(&self) -> bool {
        let receipt = self.read(RECEIPT).unwrap();
        let reader = ReceiptReader::new(receipt.as_slice()).unwrap();
        let named = reader.header().metadata.clone().unwrap();
        named.sha256 == hex(&Sha256::digest(self.read(self.rows()).unwrap()))
    }
}

#[tokio::test]
async fn a_receipt_that_is_put_again_has_the_same_bytes_whatever_the_time_is() {
    for encrypted in [false, true] {
        let lake = TestSink::new(encrypted).await;
        lake.commit(1).await;
        let (receipt, rows) = (lake.read(RECEIPT), lake.read(lake.rows()));
        assert!(lake.agrees());
        // As if the program had been killed after the put, and before it.
        lake.commit(2).await;
        assert_eq!(
            (lake.read(RECEIPT), lake.read(lake.rows())),
            (receipt.clone(), rows.clone())
        );
        lake.remove(RECEIPT);
        lake.commit(3).await;
        assert_eq!(
            (lake.read(RECEIPT), lake.read(lake.rows())),
            (receipt, rows)
        );
    }
}

#[tokio::test]
async fn the_receipt_of_another_queue_is_replaced_only_by_one_that_proves_as_much() {
    let lake = TestSink::new(false).await;
    lake.commit(1).await;
    let first = lake.read(RECEIPT).unwrap();
    // Another queue of the same export, or an older copy, has given the number to something else.
    let file = async |conversations: &[u32], unreadable: bool| {
        let ledger = Queue::in_memory().unwrap();
        ledger.expect_filing(1, "lake".into()).await.unwrap();
        let conversations = conversations.iter().copied().map(completed).collect();
        let sink: Arc<dyn Sink> = match unreadable {
            true => Arc::new(Unreadable(Filesystem::new(lake.root.path().to_owned()))),
            false => Arc::new(Filesystem::new(lake.root.path().to_owned())),
        };
        let binding = SinkBinding::new("lake", sink);
        let context = ReceiptContext::new("calls");
        commit_all(&ledger, &context, conversations, &binding).await
    };
    for other in [[1].as_slice(), &[3], &[2, 3]] {
        let error = file(other, false).await.unwrap_err().to_string();
        assert!(
            error.contains("another run has put this receipt"),
            "{error}"
        );
        assert!(lake.read(RECEIPT).unwrap() == first && lake.agrees());
    }
    // The same conversations, of which it proves other objects or another outcome.
    for change in [
        |completed: &mut CompletedConversation| {
            let objects = completed.objects.get_mut("lake").unwrap();
            objects[0].key = format!("calls/{}.wav", completed.id);
        },
        |completed: &mut CompletedConversation| {
            completed.outcome = Outcome::NoRecording;
        },
    ] {
        let mut other = both();
        other.iter_mut().for_each(change);
        let ledger = Queue::in_memory().unwrap();
        ledger.expect_filing(1, "lake".into()).await.unwrap();
        let context = ReceiptContext::new("calls");
        let filed = commit_all(&ledger, &context, other, &lake.binding).await;
        assert!(filed.is_err());
        assert!(lake.read(RECEIPT).unwrap() == first && lake.agrees());
    }
    // Nothing is lost by this one, be it that the first run was killed before it noted its own.
    file(&[1, 2, 3], false).await.unwrap();
    assert!(lake.read(RECEIPT).unwrap() != first && lake.agrees());
    // What cannot be read is not known to be there.
    file(&[3], true).await.unwrap();
    // And what is no receipt proves nothing.
    std::fs::write(lake.root.path().join(RECEIPT), "odd").unwrap();
    file(&[1], false).await.unwrap();
    assert!(lake.agrees());
}

#[tokio::test]
async fn rows_that_are_gone_are_put_anew_as_long_as_no_receipt_names_them() {
    for encrypted in [false, true] {
        let lake = TestSink::new(encrypted).await;
        lake.commit(1).await;
        lake.remove(RECEIPT);
        lake.remove(lake.rows());
        lake.commit(2).await;
        assert!(lake.agrees());
        let second = lake.read(RECEIPT).unwrap();
        assert!(
            String::from_utf8(second.clone())
                .unwrap()
                .contains("1970-01-01T00:00:02Z")
        );
        // A receipt that was put stays, whatever becomes of what it names.
        lake.remove(lake.rows());
        lake.commit(3).await;
        assert_eq!(lake.read(RECEIPT), Some(second));
        assert_eq!(lake.read(lake.rows()), None);
    }
}

#[tokio::test]
async fn what_is_kept_aside_is_no_recording() {
    let lake = TestSink::new(false).await;
    lake.commit(1).await;
    let receipt = String::from_utf8(lake.read(RECEIPT).unwrap()).unwrap();
    let (_, reported, _) = entries(&receipt);
    assert_eq!((reported[0].objects.len(), reported[0].aside.len()), (1, 0));
    assert_eq!((reported[1].objects.len(), reported[1].aside.len()), (0, 1));
    let rows = String::from_utf8(lake.read(lake.rows()).unwrap()).unwrap();
    assert_eq!(rows.matches("recordings/c-1.wav").count(), 1);
    assert_eq!(rows.matches("recordings/c-2.wav").count(), 0);
    assert_eq!(rows.lines().count(), 2);
}

#[tokio::test]
async fn the_archive_carries_a_text_about_itself_and_leaves_that_of_others() {
    let lake = TestSink::new(true).await;
    lake.commit(1).await;
    let text = String::from_utf8(lake.read(README).unwrap()).unwrap();
    assert!(text.starts_with("Call recordings"), "{text}");

    let lake = TestSink::new(false).await;
    let info = PutOptions::default();
    let own = Body::whole(Bytes::from_static(b"Our bucket"));
    lake.binding.sink.put(README, info, own).await.unwrap();
    lake.commit(1).await;
    assert_eq!(lake.read(README).as_deref(), Some(b"Our bucket".as_slice()));
}

/// A folder that may be written to and not read.
#[derive(Debug)]
struct Unreadable(Filesystem);

#[async_trait]
impl Sink for Unreadable {
    async fn check(&self) -> Result<Health, SinkError> {
        self.0.check().await
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        self.0.put(key, info, body).await
    }

    fn store(&self) -> Option<&dyn Store> {
        Some(self)
    }
}

#[async_trait]
impl Store for Unreadable {
    fn list(&self, prefix: &str) -> BoxStream<'_, Result<ObjectMeta, SinkError>> {
        self.0.list(prefix)
    }

    async fn get(&self, key: &str) -> Result<Option<Body>, SinkError> {
        Err(SinkError::new("lake", key, "access denied"))
    }

    async fn delete(&self, key: &str) -> Result<(), SinkError> {
        self.0.delete(key).await
    }
}

#[tokio::test]
async fn a_sink_that_may_be_written_and_not_read_is_filed_to() {
    let mut lake = TestSink::new(false).await;
    let folder = Filesystem::new(lake.root.path().to_owned());
    lake.binding = SinkBinding::new("lake", Arc::new(Unreadable(folder)));
    lake.commit(1).await;
    let first = lake.read(RECEIPT);
    assert!(lake.agrees());
    assert_eq!(lake.read(README), None);
    lake.commit(2).await;
    assert_eq!(lake.read(RECEIPT), first);
}
