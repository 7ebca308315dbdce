//! Archives on their way from a media server to sinks.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use recording_host_engine::transfer::{ArchiveMode, SinkBinding, Transfer};
use recording_host_http::{AllowedOrigins, Authenticator, Downloads};
use recording_host_model::{
    Artifact, ArtifactContents, ArtifactKey, ArtifactResult, BundleIndex, CompletedConversation,
    Container, Conversation, Download, IndexColumn, IndexField, Next, Origin, OriginRole, Outcome,
    RecordingKey, Reported, SplitState, Step, clock::Clock, layout::Layout,
};
use recording_host_sink::filesystem::Filesystem;
use recording_host_state::Queue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::forge::Forged;
use crate::support::{commit_step, files, sha256};

/// A media server that answers with these bodies in turn, and then with the last one again.
async fn serve(bodies: Vec<Vec<u8>>, sized: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\n") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let body = &bodies[number.min(bodies.len() - 1)];
            let size = match sized {
                true => format!("content-length: {}\r\n", body.len()),
                false => String::new(),
            };
            let head = format!("HTTP/1.1 200 OK\r\n{size}connection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(body).await;
        }
    });
    (origin, count)
}

/// The result of delivering an archive.
pub(super) struct Arrived {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) completed: BTreeMap<String, CompletedConversation>,
    pub(super) downloads: usize,
    pub(super) contents: ArtifactContents,
}

impl Arrived {
    /// Code and message of what is missing of a conversation.
    pub(super) fn missing(&self, conversation: &str) -> Vec<(String, String)> {
        match &self.completed[conversation].outcome {
            Outcome::Partial { missing } => missing.clone(),
            Outcome::Failed { code, message } => vec![(code.clone(), message.clone())],
            _ => Vec::new(),
        }
    }

    pub(super) fn codes(&self, conversation: &str) -> Vec<String> {
        let missing = self.missing(conversation);
        missing.into_iter().map(|(code, _)| code).collect()
    }

    pub(super) fn keys(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    /// Every object of the rows is there as they say, and no object is there but those.
    pub(super) fn proven(&self) {
        let mut told = BTreeMap::new();
        for completed in self.completed.values() {
            for object in completed.objects.values().flatten() {
                told.insert(object.key.clone(), (object.size, object.sha256.clone()));
            }
        }
        let there = self.files.iter();
        let there = there.map(|(key, data)| (key.clone(), (data.len() as u64, sha256(data))));
        assert_eq!(told, there.collect::<BTreeMap<_, _>>());
    }
}

fn conversation(id: &str) -> Conversation {
    Conversation {
        id: id.to_owned(),
        start: 1_767_225_600_000,
        end: None,
        direction: None,
        ani: None,
        dnis: None,
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: Vec::new(),
        divisions: Vec::new(),
        media_types: Vec::new(),
        recorded: false,
        revision: None,
        attributes: Vec::new(),
    }
}

pub(super) fn recording() -> (ArtifactKey, Container) {
    let key = RecordingKey {
        conversation: "c1".to_owned(),
        recording: "r1".to_owned(),
        part: 0,
    };
    (ArtifactKey::Recording(key), Container::Zip)
}

pub(super) fn bundle() -> (ArtifactKey, Container) {
    let index = BundleIndex {
        conversation_field: "conversationId".to_owned(),
        recording_field: "recordingId".to_owned(),
        file_field: "fileName".to_owned(),
        content_type_field: Some("contentType".to_owned()),
        error_field: Some("errorMsg".to_owned()),
        retryable_errors: Vec::new(),
        columns: [
            ("ani", IndexColumn::Ani),
            ("agentName", IndexColumn::AgentName),
            ("tags", IndexColumn::Tag),
        ]
        .map(|(name, meaning)| IndexField {
            name: name.to_owned(),
            column: meaning,
        })
        .into(),
    };
    (
        ArtifactKey::Bundle("b1".to_owned()),
        Container::ZipBundle(index),
    )
}

pub(super) fn index(lines: Value) -> Forged {
    Forged::deflated("metadata.json", lines.to_string())
}

pub(super) fn listed(conversation: &str, recording: &str, file: &str) -> Value {
    json!({ "conversationId": conversation, "recordingId": recording, "fileName": file })
}

fn step(artifact: &Artifact) -> Step {
    let conversations: Vec<_> = ["c1", "c2", "c3"].map(conversation).into();
    let outcomes = conversations.iter().map(|found| {
        let result = match &artifact.key {
            ArtifactKey::Bundle(id) => Reported::InBundle(id.clone()),
            ArtifactKey::Recording(key) if key.conversation == found.id => {
                Reported::HandedOver(recording_host_model::HandedOver {
                    artifacts: 1,
                    missing: Vec::new(),
                })
            }
            ArtifactKey::Recording(_) => Reported::NoRecording,
        };
        recording_host_model::ReportedOutcome {
            conversation: found.id.clone(),
            result,
        }
    });
    Step {
        outcomes: outcomes.collect(),
        artifacts: vec![artifact.clone()],
        splits: Vec::new(),
        updates: Vec::new(),
        notes: Vec::new(),
        next: Next::Done(SplitState {
            version: 1,
            data: Vec::new(),
        }),
        conversations,
    }
}

/// How a sink wants what is delivered.
#[derive(Default)]
pub(super) struct Want {
    pub(super) zip: ArchiveMode,
    pub(super) layout: Layout,
    pub(super) transcode: Option<recording_host_transcode::TranscodeSettings>,
}

impl From<ArchiveMode> for Want {
    fn from(zip: ArchiveMode) -> Self {
        Want {
            zip,
            ..Want::default()
        }
    }
}

/// Delivers an archive of which these downloads come to a folder, through queue and transfer.
pub(super) async fn deliver(
    kind: (ArtifactKey, Container),
    bodies: Vec<Vec<u8>>,
    want: impl Into<Want>,
) -> Arrived {
    delivered(kind, bodies, want, true, None).await.unwrap()
}

pub(super) async fn delivered(
    (key, container): (ArtifactKey, Container),
    bodies: Vec<Vec<u8>>,
    want: impl Into<Want>,
    sized: bool,
    digest: Option<String>,
) -> Result<Arrived, recording_host_engine::transfer::TransferError> {
    // Long: one answer for each case.
    let (want, folder) = (want.into(), TempDir::new().unwrap());
    let (origin, downloads) = serve(bodies, sized).await;
    let origins = [Origin {
        role: OriginRole::Media,
        url: origin.clone(),
    }];
    let queue = Queue::open(&folder.path().join("data"), "test").unwrap().0;
    let output = folder.path().join("output");
    let lake = SinkBinding {
        zip: want.zip,
        layout: want.layout,
        transcode: want.transcode,
        ..SinkBinding::new("lake", Arc::new(Filesystem::new(output.clone())))
    };
    let transfer = Transfer::new(
        Downloads::new(
            AllowedOrigins::new(&origins, None, true),
            Arc::new(Authenticator::None),
            Clock::new(40.0),
        )
        .unwrap(),
        Arc::new(queue.clone()),
        folder.path().join("data"),
    );
    let artifact = Artifact {
        key,
        download: Download {
            url: format!("{origin}/a.zip?signature=secret"),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: Some("application/zip".to_owned()),
        container,
        size: None,
        sha256: digest,
    };
    commit_step(&queue, step(&artifact)).await;
    let delivery = transfer.deliver(&artifact, &[&lake]).await?;
    assert!(delivery.failed.is_empty());
    let contents = delivery.contents;
    let done = ArtifactResult {
        artifact: artifact.key.to_text(),
        result: Ok(contents.clone()),
        took: vec!["lake".to_owned()],
        backlog: Vec::new(),
    };
    queue.delivered(vec![done]).await.unwrap();
    let mut completed = BTreeMap::new();
    queue.complete(u64::MAX / 4, 0, 0).await.unwrap();
    let sinks = vec!["lake".to_owned()];
    queue.seal_segments(1, 100, sinks).await.unwrap();
    for number in queue.unfiled().await.unwrap().into_keys() {
        let ids = queue.segment(number).await.unwrap().ids;
        let sealed = queue.sealed_conversations(ids).await.unwrap();
        completed.extend(sealed.into_iter().map(|one| (one.id.clone(), one)));
    }
    assert_eq!(completed.len(), 3);
    assert_eq!(spooled(&folder.path().join("data")), 0);
    Ok(Arrived {
        files: files(&output),
        completed,
        downloads: downloads.load(Ordering::SeqCst),
        contents,
    })
}

/// How many files but the queue's are in the folder.
fn spooled(data: &Path) -> usize {
    let names = files(data);
    names
        .keys()
        .filter(|name| !name.starts_with("test."))
        .count()
}
