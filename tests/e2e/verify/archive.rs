//! A small archive that the program files, with each outcome and of two days, and ways to change it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use age::secrecy::ExposeSecret;
use bytes::Bytes;
use recording_host_engine::{
    receipt::{self, ReceiptContext, ReceiptEntry, ReceiptHeader, ReceiptReader, ReceiptWriter},
    transfer::SinkBinding,
    verify::{VerifyFinding, VerifyOptions, verify_with},
};
use recording_host_metadata::{self, RowFormat};
use recording_host_model::{CompletedConversation, ConversationRecord, Object, Outcome, Segment};
use recording_host_sink::{
    PutOptions, Sink, SinkExt,
    encrypted::Encrypted,
    encryption::{Identities, Recipients},
    filesystem::Filesystem,
};
use tempfile::TempDir;

use crate::support::sha256;

/// The receipts of the first and the second day.
pub(crate) const FIRST: &str = "receipts/date=2026-01-05/calls-000001.jsonl";
pub(crate) const SECOND: &str = "receipts/date=2026-01-06/calls-000002.jsonl";

/// How the archive is filed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Lines,
    Columns,
    Encrypted,
}

pub(crate) struct Archive {
    root: TempDir,
    identities: Identities,
}

/// Codes and messages of what is lacking.
fn missing(codes: &[&str]) -> Vec<(String, String)> {
    let each = codes.iter();
    each.map(|code| ((*code).to_owned(), format!("it is {code}")))
        .collect()
}

/// The conversations of a day.
fn conversations(day: u64) -> Vec<CompletedConversation> {
    let failed = |code: &str| Outcome::Failed {
        code: code.to_owned(),
        message: format!("it is {code}"),
    };
    let skipped = Outcome::Skipped {
        reason: "sensitive".to_owned(),
    };
    let partial = Outcome::Partial {
        missing: missing(&["archived", "download"]),
    };
    let outcomes = [
        ("both", Outcome::Stored, 2),
        ("failed", failed("left-out"), 0),
        ("none", Outcome::NoRecording, 0),
        ("other", Outcome::Stored, 1),
        ("partial", partial, 1),
        ("page", failed("not-a-recording"), 0),
        ("skipped", skipped, 0),
    ];
    let completed = |(name, outcome, count): (&str, Outcome, u32)| {
        let id = format!("{day}-{name}");
        let mut objects: Vec<Object> = (0..count).map(|part| object(&id, part)).collect();
        if name == "page" {
            objects.push(Object {
                key: format!("aside/{id}/r0.html"),
                aside: true,
                ..object(&id, 0)
            });
        }
        CompletedConversation {
            record: ConversationRecord {
                start: 1_767_600_000_000 + day * 86_400_000,
                ..ConversationRecord::default()
            },
            id,
            outcome,
            attempt: 1,
            revision: None,
            objects: BTreeMap::from([("lake".to_owned(), objects)]),
            lost_in: BTreeMap::new(),
        }
    };
    let mut all: Vec<CompletedConversation> = outcomes.into_iter().map(completed).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all
}

fn object(conversation: &str, part: u32) -> Object {
    let content = format!("{conversation} {part}");
    Object {
        conversation: conversation.to_owned(),
        recording: format!("r{part}"),
        key: format!("recordings/{conversation}/r{part}.wav"),
        member: None,
        content_type: "audio/wav".to_owned(),
        size: content.len() as u64,
        sha256: sha256(content.as_bytes()),
        etag: None,
        stored: None,
        note: None,
        aside: false,
        index_metadata: None,
        file: String::new(),
    }
}

impl Archive {
    /// Files the archive under an export's name.
    pub(crate) async fn new(form: Form) -> Self {
        let root = TempDir::new().unwrap();
        let identity = age::x25519::Identity::generate();
        let file = root.path().with_extension("identity");
        std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
        let identities = Identities::load(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let archive = Archive { root, identities };
        let folder: Arc<dyn Sink> = Arc::new(Filesystem::new(archive.path("")));
        let to = [identity.to_public().to_string()];
        let sink: Arc<dyn Sink> = match form {
            Form::Encrypted => Arc::new(Encrypted::new(folder, Recipients::parse(&to).unwrap())),
            Form::Lines | Form::Columns => folder,
        };
        let format = match form {
            Form::Columns => RowFormat::Parquet,
            Form::Lines | Form::Encrypted => RowFormat::Jsonl,
        };
        let output = SinkBinding {
            metadata: recording_host_metadata::RowSettings::new(format, None).unwrap(),
            ..SinkBinding::new("lake", sink)
        };
        archive.file(&output, &ReceiptContext::new("calls")).await;
        archive
    }

    async fn file(&self, output: &SinkBinding, context: &ReceiptContext) {
        for day in 0..2 {
            let mut conversations = conversations(day);
            for object in conversations
                .iter_mut()
                .flat_map(|one| one.objects.get_mut("lake").unwrap())
            {
                let content = format!("{} {}", object.conversation, &object.recording[1..]);
                let info = PutOptions::default();
                let put = output
                    .sink
                    .put_bytes(&object.key, info, Bytes::from(content));
                if let Some(sealed) = put.await.unwrap().encrypted {
                    object.key = sealed.key;
                    object.stored = Some((sealed.size, sealed.sha256));
                }
            }
            let segment = Segment {
                number: i64::try_from(day).unwrap() + 1,
                day: format!("2026-01-0{}", day + 5),
                ids: Vec::new(),
                replaces: BTreeMap::new(),
                apart: false,
            };
            receipt::commit_segment_alone(context, &segment, conversations, output, &[])
                .await
                .unwrap();
        }
    }

    /// Files it anew in lines, with what a run knows.
    pub(crate) async fn told(context: ReceiptContext) -> Self {
        let archive = Archive::new(Form::Lines).await;
        let folder = Arc::new(Filesystem::new(archive.path("")));
        archive
            .file(&SinkBinding::new("lake", folder), &context)
            .await;
        archive
    }

    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.root.path().join(key)
    }

    pub(crate) fn read(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.path(key)).unwrap()
    }

    pub(crate) fn text(&self, key: &str) -> String {
        String::from_utf8(self.read(key)).unwrap()
    }

    pub(crate) fn write(&self, key: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, key: &str) {
        std::fs::remove_file(self.path(key)).unwrap();
    }

    /// Replaces what stands once in the text of an object.
    pub(crate) fn replace(&self, key: &str, one: &str, other: &str) {
        let text = self.text(key);
        assert_eq!(text.matches(one).count(), 1, "{one} in {text}");
        self.write(key, text.replace(one, other));
    }

    /// Header and lines of a receipt.
    pub(crate) fn receipt(&self, key: &str) -> (ReceiptHeader, Vec<ReceiptEntry>) {
        let bytes = self.read(key);
        let mut reader = ReceiptReader::new(bytes.as_slice()).unwrap();
        let entries = reader.by_ref().map(|entry| entry.unwrap().1).collect();
        (reader.header().clone(), entries)
    }

    /// Changes the lines of a receipt, and its header so that it counts them.
    pub(crate) fn forge(&self, key: &str, change: impl FnOnce(&mut Vec<ReceiptEntry>)) {
        let (header, mut entries) = self.receipt(key);
        change(&mut entries);
        self.put(key, header, &entries);
    }

    /// Changes one line of a receipt, and its header so that it counts them.
    pub(crate) fn forge_one(&self, key: &str, id: &str, change: impl FnOnce(&mut ReceiptEntry)) {
        self.forge(key, |entries| {
            let mut entries = entries.iter_mut();
            change(entries.find(|entry| entry.conversation_id == id).unwrap());
        });
    }

    pub(crate) fn put(&self, key: &str, header: ReceiptHeader, entries: &[ReceiptEntry]) {
        let mut writer = ReceiptWriter::default();
        entries
            .iter()
            .for_each(|entry| writer.entry(entry).unwrap());
        self.write(key, writer.finish(header).unwrap());
    }

    /// Changes the rows of a segment, and its receipt so that it names them.
    pub(crate) fn forge_rows(&self, receipt: &str, change: impl FnOnce(&mut Vec<String>)) {
        let (mut header, entries) = self.receipt(receipt);
        let metadata = header.metadata.as_mut().unwrap();
        let text = self.text(&metadata.key);
        let mut rows: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut rows);
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        metadata.size = text.len() as u64;
        metadata.sha256 = sha256(text.as_bytes());
        self.write(&metadata.key, text);
        self.put(receipt, header, &entries);
    }

    /// Makes a receipt one of version 1, which does not say what its lines add up to.
    pub(crate) fn age(&self, key: &str) {
        let text = self.text(key);
        let (head, lines) = text.split_once('\n').unwrap();
        let mut head: serde_json::Value = serde_json::from_str(head).unwrap();
        let fields = head.as_object_mut().unwrap();
        let known = ["receipt", "export", "segment", "day", "conversations"];
        let files = ["replaces", "metadata", "catalog", "media_in", "encryption"];
        fields.retain(|name, _| known.contains(&name.as_str()) || files.contains(&name.as_str()));
        fields.insert("receipt".to_owned(), 1.into());
        self.write(key, format!("{head}\n{lines}"));
    }

    pub(crate) async fn findings(&self, full: bool) -> Vec<VerifyFinding> {
        let options = VerifyOptions {
            full,
            decryptor: self.identities.decryptor(),
            ..VerifyOptions::default()
        };
        let report = verify_with(&Filesystem::new(self.path("")), options).await;
        report.unwrap().findings
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }
}
