//! Rows are the same in every format, and so are their bytes whenever they are written.

#[path = "metadata/lakes.rs"]
mod lakes;
#[path = "metadata/lines.rs"]
mod lines;
#[path = "metadata/proven.rs"]
mod proven;
#[path = "metadata/read.rs"]
mod read;
#[path = "metadata/readers.rs"]
mod readers;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use genesys_simulator::Settings;
use parquet::{
    file::{metadata::RowGroupMetaData, reader::FileReader},
    schema::printer::print_schema,
};
use recording_host_engine::{
    receipt::{self, CommitError, ReceiptContext},
    transfer::SinkBinding,
    verify::{Difference, verify},
};
use recording_host_metadata::{self, Compression, RowFormat};
use recording_host_model::{CompletedConversation, ConversationRecord, Object, Outcome, Segment};
use recording_host_sink::{
    Body, Health, PutOptions, PutResult, Sink, SinkError, filesystem::Filesystem,
};
use serde_json::{Value, json};

use crate::support::{Harness, export, files, run_program, set, sha256};
use read::{opened, read};

type Files = BTreeMap<String, Vec<u8>>;

/// All that a sink may want.
const WAYS: [(&str, Option<&str>, &str); 7] = [
    ("jsonl", None, ".jsonl"),
    ("jsonl", Some("gzip"), ".jsonl.gz"),
    ("jsonl", Some("zstd"), ".jsonl.zst"),
    ("parquet", None, ".parquet"),
    ("parquet", Some("none"), ".parquet"),
    ("parquet", Some("gzip"), ".parquet"),
    ("parquet", Some("snappy"), ".parquet"),
];

/// Exports to a folder for each of [`WAYS`], in one run.
async fn exported(conversations: u64) -> (Harness, Vec<(String, Files)>) {
    let harness = Harness::start(Settings {
        conversations,
        ..Settings::default()
    })
    .await;
    let mut config = harness.config();
    let (mut sinks, mut names) = (serde_json::Map::new(), Vec::new());
    for (format, compression, _) in WAYS {
        let name = format!("{format}_{}", compression.unwrap_or("usual"));
        let mut metadata = json!({ "format": format });
        if let Some(compression) = compression {
            metadata["compression"] = json!(compression);
        }
        let path = harness.output().join(&name);
        let sink = json!({ "type": "filesystem", "path": path, "metadata": metadata });
        sinks.insert(name.clone(), sink);
        names.push(name);
    }
    config["sinks"] = Value::Object(sinks);
    export(config).await;
    let folders = names.into_iter().map(|name| {
        let files = files(&harness.output().join(&name));
        (name, files)
    });
    let folders = folders.collect();
    (harness, folders)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_the_same_in_every_format_and_each_archive_proves_itself() {
    let (harness, folders) = exported(120).await;
    let mut expected = None;
    for ((name, files), (_, _, ending)) in folders.iter().zip(WAYS) {
        let keys: Vec<&String> = files
            .keys()
            .filter(|key| key.starts_with("metadata/"))
            .collect();
        for key in &keys {
            assert!(key.starts_with("metadata/date=2026-"), "{key}");
            assert!(key.ends_with(ending), "{name}: {key}");
        }
        let rows = set(&read(files, "metadata/"));
        assert!(rows.len() >= 120);
        assert_eq!(
            &rows,
            expected.get_or_insert_with(|| rows.clone()),
            "{name}"
        );

        let sink = Filesystem::new(harness.output().join(name));
        let report = verify(sink.store().unwrap(), true).await.unwrap();
        assert_eq!(report.findings, [], "{name}");
        assert_eq!(report.conversations, 120, "{name}");
        let catalog = files.keys().any(|key| key.starts_with("catalog/"));
        assert_eq!(catalog, name.starts_with("parquet"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_says_what_the_receipts_say() {
    let (_, folders) = exported(120).await;
    let (_, files) = folders
        .iter()
        .find(|(name, _)| name == "parquet_usual")
        .unwrap();
    let catalog: BTreeMap<String, Value> = read(files, "catalog/")
        .into_iter()
        .map(|entry| (entry["conversation_id"].as_str().unwrap().to_owned(), entry))
        .collect();
    let mut conversations = 0;
    for receipt in read(files, "receipts/") {
        let Some(id) = receipt["conversation_id"].as_str() else {
            continue;
        };
        conversations += 1;
        let entry = &catalog[id];
        assert_eq!(entry["outcome"], receipt["outcome"]);
        assert_eq!(entry["attempt"], receipt["attempt"]);
        let code = match receipt["outcome"].as_str().unwrap() {
            "failed" => &receipt["code"],
            "partial" => &receipt["missing"][0][0],
            "skipped" => &receipt["reason"],
            _ => &Value::Null,
        };
        assert_eq!(&entry["reason_code"], code);
        let objects = receipt["objects"].as_array().unwrap();
        assert_eq!(entry["object_count"], objects.len());
        let bytes: u64 = objects
            .iter()
            .map(|object| object["size"].as_u64().unwrap())
            .sum();
        assert_eq!(entry["bytes"], bytes);
        for (one, other) in objects.iter().zip(entry["objects"].as_array().unwrap()) {
            assert_eq!(one["key"], other["key"]);
            assert_eq!(one["size"], other["size_bytes"]);
            assert_eq!(one["sha256"], other["sha256"]);
            assert_eq!(one["recording"], other["recording_id"]);
        }
    }
    assert_eq!(conversations, catalog.len());
    assert_eq!(conversations, 120);
}

fn completed(
    number: u32,
    attempt: u32,
    outcome: Outcome,
    objects: Vec<Object>,
) -> CompletedConversation {
    let start = 1_767_600_000_000 + u64::from(number) * 60_000;
    let named = |id: &str| (id.to_owned(), Some(format!("name of {id}")));
    CompletedConversation {
        lost_in: BTreeMap::new(),
        id: format!("conversation-{number:06}"),
        record: ConversationRecord {
            start,
            end: (!number.is_multiple_of(3)).then_some(start + 90_000),
            direction: Some("inbound".to_owned()),
            ani: Some(format!("tel:+49{number}")),
            dnis: None,
            agents: vec![named("a1"), ("a2".to_owned(), None)],
            queues: vec![named("q1")],
            wrap_up_codes: Vec::new(),
            tags: vec!["tag".to_owned(); number as usize % 3],
            divisions: vec!["home".to_owned()],
            division_names: vec!["Home".to_owned()],
            recorded: true,
            recordings: BTreeMap::new(),
            media_types: vec!["voice".to_owned()],
            attributes: BTreeMap::from([("campaign".to_owned(), format!("c{}", number % 7))]),
        },
        outcome,
        objects: BTreeMap::from([("lake".to_owned(), objects)]),
        attempt,
        revision: None,
    }
}

fn object(conversation: &str, name: &str, content: &[u8]) -> Object {
    Object {
        conversation: conversation.to_owned(),
        recording: name.to_owned(),
        key: format!("recordings/2026/01/05/{conversation}/{name}.wav"),
        member: None,
        content_type: "audio/wav".to_owned(),
        size: content.len() as u64,
        sha256: sha256(content),
        etag: None,
        stored: None,
        note: None,
        aside: false,
        file: String::new(),
        index_metadata: None,
    }
}

/// Files a segment of these conversations.
async fn file(
    number: i64,
    conversations: &[CompletedConversation],
    output: &SinkBinding,
) -> Result<(), CommitError> {
    let segment = Segment {
        number,
        day: "2026-01-05".to_owned(),
        ids: Vec::new(),
        replaces: BTreeMap::new(),
        apart: false,
    };
    let context = ReceiptContext::new("export");
    receipt::commit_segment_alone(&context, &segment, conversations.to_vec(), output, &[]).await
}

/// Conversations with one object each, which only the receipts mention.
fn many(count: u32) -> Vec<CompletedConversation> {
    let conversations = (0..count).map(|number| {
        let id = format!("conversation-{number:06}");
        let object = object(&id, &format!("recording-{number:06}"), id.as_bytes());
        completed(number, 1, Outcome::Stored, vec![object])
    });
    conversations.collect()
}

fn output(sink: Arc<dyn Sink>, format: RowFormat, compression: Option<Compression>) -> SinkBinding {
    SinkBinding {
        metadata: recording_host_metadata::RowSettings::new(format, compression).unwrap(),
        ..SinkBinding::new("lake", sink)
    }
}

fn folder(path: &Path) -> Arc<dyn Sink> {
    Arc::new(Filesystem::new(path.to_owned()))
}

/// Takes no receipt until it is told to: the moment at which a run may be killed.
#[derive(Debug)]
struct Interrupted {
    folder: Filesystem,
    takes_receipts: AtomicBool,
}

#[async_trait]
impl Sink for Interrupted {
    async fn check(&self) -> Result<Health, SinkError> {
        Ok(Health::default())
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        if key.starts_with("receipts/") && !self.takes_receipts.load(Ordering::Relaxed) {
            return Err(SinkError::new("lake", key, "interrupted").with_retryable(true));
        }
        self.folder.put(key, info, body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_filed_again_after_a_crash_has_the_same_bytes() {
    for (format, compression) in [
        (RowFormat::Jsonl, Compression::None),
        (RowFormat::Jsonl, Compression::Gzip),
        (RowFormat::Jsonl, Compression::Zstd),
        (RowFormat::Parquet, Compression::None),
        (RowFormat::Parquet, Compression::Gzip),
        (RowFormat::Parquet, Compression::Zstd),
        (RowFormat::Parquet, Compression::Snappy),
    ] {
        let conversations = many(3000);
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let once = output(folder(one.path()), format, Some(compression));
        file(1, &conversations, &once).await.unwrap();

        let interrupted = Arc::new(Interrupted {
            folder: Filesystem::new(other.path().to_owned()),
            takes_receipts: AtomicBool::new(false),
        });
        let twice = output(interrupted.clone(), format, Some(compression));
        let error = file(1, &conversations, &twice).await.unwrap_err();
        let CommitError::Sink(error) = error else {
            panic!("{error}");
        };
        assert_eq!(
            (error.reason.as_str(), error.retryable),
            ("interrupted", true)
        );
        interrupted.takes_receipts.store(true, Ordering::Relaxed);
        file(1, &conversations, &twice).await.unwrap();

        let (one, other) = (files(one.path()), files(other.path()));
        assert_eq!(one, other, "{format:?} {compression:?}");
        let expected = if format == RowFormat::Parquet { 3 } else { 2 };
        assert_eq!(one.len(), expected, "{:?}", one.keys());
        assert_eq!(read(&one, "metadata/").len(), 3000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_beside_media_are_the_same_when_a_segment_is_filed_again() {
    let conversations = many(500);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hive = |sink| SinkBinding {
        layout: recording_host_model::layout::Layout::hive("o-1").unwrap(),
        ..output(sink, RowFormat::Jsonl, None)
    };
    let once = hive(folder(one.path()));
    file(1, &conversations, &once).await.unwrap();
    let interrupted = Arc::new(Interrupted {
        folder: Filesystem::new(other.path().to_owned()),
        takes_receipts: AtomicBool::new(false),
    });
    let twice = hive(interrupted.clone());
    file(1, &conversations, &twice).await.unwrap_err();
    let beside = files(other.path());
    let beside = beside
        .keys()
        .filter(|key| key.ends_with(".wav_metadata.json"));
    assert_eq!(beside.count(), 500, "the receipt comes last");
    interrupted.takes_receipts.store(true, Ordering::Relaxed);
    file(1, &conversations, &twice).await.unwrap();
    assert_eq!(files(one.path()), files(other.path()));
}

/// Returns true if a row group's column has a dictionary page.
fn has_dictionary(group: &RowGroupMetaData, name: &str) -> bool {
    let columns = group.columns();
    let column = columns
        .iter()
        .find(|column| column.column_path().string() == name);
    column.unwrap().dictionary_page_offset().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_can_be_searched_without_reading_all_of_it() {
    let root = tempfile::tempdir().unwrap();
    let output = output(folder(root.path()), RowFormat::Parquet, None);
    file(1, &many(3000), &output).await.unwrap();
    let files = files(root.path());
    let (_, file) = files
        .iter()
        .find(|(key, _)| key.starts_with("metadata/"))
        .unwrap();
    let reader = opened(file);
    let mut rows = 0;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).unwrap();
        let about = group.metadata();
        rows += about.num_rows();
        assert!(about.num_rows() <= 64 << 10);
        assert_eq!(about.sorting_columns().unwrap()[0].column_idx, 0);
        for (number, column) in about.columns().iter().enumerate() {
            let name = column.column_path().string();
            assert!(column.statistics().is_some(), "{name}");
            let looked_for = ["conversation_id", "recording_id"].contains(&name.as_str());
            let bloom = group.get_column_bloom_filter(number);
            assert_eq!(bloom.is_some(), looked_for, "{name}");
            if let Some(bloom) = bloom {
                let stem = name.trim_end_matches("_id");
                assert!(bloom.check(&format!("{stem}-002999").as_str()));
                let strangers = (3000..4000).map(|number| format!("{stem}-{number:06}"));
                let taken = strangers.filter(|id| bloom.check(&id.as_str())).count();
                assert!(taken < 50, "{taken} of 1000");
            }
        }
        assert!(has_dictionary(about, "outcome"));
        assert!(has_dictionary(about, "queues.list.element.id"));
        assert!(!has_dictionary(about, "sha256"));
    }
    assert_eq!(rows, 3000);
}

/// The schema as Parquet's own tools write it.
fn schema(file: &[u8]) -> String {
    let mut text = Vec::new();
    let reader = opened(file);
    print_schema(&mut text, reader.metadata().file_metadata().schema());
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_schema_is_the_one_that_is_written() {
    let root = tempfile::tempdir().unwrap();
    let output = output(folder(root.path()), RowFormat::Parquet, None);
    file(1, &many(3), &output).await.unwrap();
    let documented = include_str!("../../docs/metadata.md");
    for (key, file) in files(root.path()) {
        if key.ends_with(".parquet") {
            let schema = schema(&file);
            assert!(documented.contains(&schema), "{key} has\n{schema}");
        }
    }
}
