//! One artifact on its way from a media server to a sink.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use recording_host_engine::transfer::{SinkBinding, Transfer, TransferError};
use recording_host_http::{AllowedOrigins, Authenticator, Downloads};
use recording_host_model::{
    Artifact, ArtifactKey, ArtifactResult, CompletedConversation, Container, Conversation,
    Download, HandedOver, Next, Origin, OriginRole, Outcome, RecordingKey, Reported, SplitState,
    Step, clock::Clock,
};
use recording_host_sink::{Sink, filesystem::Filesystem};
use recording_host_state::Queue;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{commit_step, files};

/// The way in which the end of a body is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Length,
    Chunks,
    Connection,
}

/// The bodies that a media server has, by path.
type Served = Arc<Mutex<HashMap<String, (Vec<u8>, End)>>>;

/// A media server, a queue, and a transfer to a sink.
pub(super) struct Way {
    folder: TempDir,
    pub(super) queue: Queue,
    transfer: Transfer,
    pub(super) output: SinkBinding,
    origin: String,
    served: Served,
    downloads: Arc<Mutex<usize>>,
}

impl Way {
    pub(super) async fn new() -> Self {
        Self::to(|folder| Arc::new(Filesystem::new(folder))).await
    }

    /// To the sink that is made of a folder.
    pub(super) async fn to(sink: impl Fn(PathBuf) -> Arc<dyn Sink>) -> Self {
        let folder = TempDir::new().unwrap();
        let (served, downloads) = (Arc::default(), Arc::default());
        let origin = serve(Arc::clone(&served), Arc::clone(&downloads)).await;
        let queue = Queue::open(&folder.path().join("data"), "test").unwrap().0;
        let origins = [Origin {
            role: OriginRole::Media,
            url: origin.clone(),
        }];
        Way {
            transfer: Transfer::new(
                Downloads::new(
                    AllowedOrigins::new(&origins, None, true),
                    Arc::new(Authenticator::None),
                    Clock::new(400.0),
                )
                .unwrap(),
                Arc::new(queue.clone()),
                folder.path().join("data"),
            ),
            output: SinkBinding::new("lake", sink(folder.path().join("output"))),
            folder,
            queue,
            origin,
            served,
            downloads,
        }
    }

    /// An artifact whose link leads to these bytes.
    pub(super) fn artifact(&self, whose: (&str, &str, u32), body: &[u8], end: End) -> Artifact {
        let path = format!("/{}", self.served.lock().unwrap().len());
        let served = (body.to_vec(), end);
        self.served.lock().unwrap().insert(path.clone(), served);
        let (conversation, recording, part) = whose;
        Artifact {
            key: ArtifactKey::Recording(RecordingKey {
                conversation: conversation.to_owned(),
                recording: recording.to_owned(),
                part,
            }),
            download: Download {
                url: format!("{}{path}?sig=secret", self.origin),
                headers: Vec::new(),
                authenticated: false,
                expires: None,
            },
            content_type: Some("audio/wav".to_owned()),
            container: Container::Single,
            size: None,
            sha256: None,
        }
    }

    /// Has the queue know artifacts, and that the source said that there are so many of each
    /// conversation.
    pub(super) async fn commit(&self, artifacts: &[Artifact], announced: u32) {
        let mut ids: Vec<String> = artifacts.iter().map(whose).collect();
        ids.sort();
        ids.dedup();
        let outcomes = ids.iter().map(|id| recording_host_model::ReportedOutcome {
            conversation: id.clone(),
            result: Reported::HandedOver(HandedOver {
                artifacts: announced,
                missing: Vec::new(),
            }),
        });
        let step = Step {
            outcomes: outcomes.collect(),
            artifacts: artifacts.to_vec(),
            splits: Vec::new(),
            updates: Vec::new(),
            notes: Vec::new(),
            next: Next::Done(SplitState {
                version: 1,
                data: Vec::new(),
            }),
            conversations: ids.iter().map(|id| conversation(id)).collect(),
        };
        commit_step(&self.queue, step).await;
    }

    pub(super) async fn deliver(
        &self,
        artifact: &Artifact,
    ) -> Result<ArtifactResult, TransferError> {
        let delivery = self.transfer.deliver(artifact, &[&self.output]).await?;
        assert!(delivery.failed.is_empty(), "{:?}", delivery.failed);
        Ok(delivered(artifact, delivery.contents))
    }

    pub(super) async fn keep_aside(&self, artifact: &Artifact) -> ArtifactResult {
        let kept = self.transfer.keep_aside(artifact, &[&self.output]).await;
        let delivery = kept.unwrap();
        assert!(delivery.failed.is_empty(), "{:?}", delivery.failed);
        delivered(artifact, delivery.contents)
    }

    /// Brings an artifact to its end, as a run does.
    pub(super) async fn end(&self, artifact: &Artifact) {
        let done = match self.deliver(artifact).await {
            Ok(done) => done,
            Err(TransferError::Unfit(_)) => self.keep_aside(artifact).await,
            Err(error) => panic!("{error}"),
        };
        self.queue.delivered(vec![done]).await.unwrap();
    }

    pub(super) fn downloads(&self) -> usize {
        *self.downloads.lock().unwrap()
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.folder.path().join("output"))
    }

    /// The outcome of each conversation.
    pub(super) async fn completed(&self) -> BTreeMap<String, CompletedConversation> {
        self.queue.complete(u64::MAX / 4, 0, 0).await.unwrap();
        let sinks = vec!["lake".to_owned()];
        self.queue.seal_segments(1, 100, sinks).await.unwrap();
        let mut completed = BTreeMap::new();
        for number in self.queue.unfiled().await.unwrap().into_keys() {
            let ids = self.queue.segment(number).await.unwrap().ids;
            let sealed = self.queue.sealed_conversations(ids).await.unwrap();
            completed.extend(sealed.into_iter().map(|one| (one.id.clone(), one)));
        }
        completed
    }
}

fn whose(artifact: &Artifact) -> String {
    match &artifact.key {
        ArtifactKey::Recording(key) => key.conversation.clone(),
        ArtifactKey::Bundle(id) => id.clone(),
    }
}

fn delivered(
    artifact: &Artifact,
    contents: recording_host_model::ArtifactContents,
) -> ArtifactResult {
    ArtifactResult {
        artifact: artifact.key.to_text(),
        result: Ok(contents),
        took: vec!["lake".to_owned()],
        backlog: Vec::new(),
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
        media_types: vec!["voice".to_owned()],
        recorded: true,
        revision: None,
        attributes: Vec::new(),
    }
}

/// Serves bodies by path, each with its own way to end.
async fn serve(served: Served, downloads: Arc<Mutex<usize>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let mut length = 0;
            while !request[..length].ends_with(b"\r\n\r\n") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            *downloads.lock().unwrap() += 1;
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split([' ', '?']).nth(1).unwrap_or_default();
            let (body, end) = served.lock().unwrap()[path].clone();
            let (header, body) = match end {
                End::Length => (format!("content-length: {}\r\n", body.len()), body),
                End::Connection => (String::new(), body),
                End::Chunks => {
                    let size = format!("{:x}\r\n", body.len());
                    let parts = [size.as_bytes(), &body, b"\r\n0\r\n\r\n"];
                    ("transfer-encoding: chunked\r\n".to_owned(), parts.concat())
                }
            };
            let head = format!("HTTP/1.1 200 OK\r\n{header}connection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.write_all(&body).await;
        }
    });
    origin
}

pub(super) fn wav(told: u32, there: usize) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend((told + 36).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    file.extend(told.to_le_bytes());
    file.extend((0..there).map(|byte| byte as u8));
    file
}

/// An Ogg stream of pages with these flags, 200 bytes of sound in each.
pub(super) fn ogg(flags: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    for flag in flags {
        file.extend(b"OggS\0");
        file.push(*flag);
        file.extend([0; 20]);
        file.extend([1, 200]);
        file.extend([7; 200]);
    }
    file
}

const KEY: &str = "recordings/2026/01/01/c1/r1.wav";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_its_connection_cut_is_no_recording_if_it_says_so_itself() {
    let whole = ogg(&[2, 0, 4]);
    for (body, is_whole) in [
        (wav(3200, 3200), true),
        (wav(3200, 3199), false),
        (wav(3200, 100), false),
        (wav(0xffff_ffff - 36, 500), true),
        (whole.clone(), true),
        (whole[..whole.len() - 1].to_vec(), false),
        (ogg(&[2, 0]), false),
        (vec![0xd5; 3000], true),
    ] {
        let way = Way::new().await;
        let artifact = way.artifact(("c1", "r1", 0), &body, End::Connection);
        way.commit(std::slice::from_ref(&artifact), 1).await;
        way.end(&artifact).await;
        let (files, completed) = (way.files(), way.completed().await);
        let completed = &completed["c1"];
        assert_eq!(files.len(), 1, "{:?}", files.keys());
        assert_eq!(files.contains_key(KEY), is_whole, "{:?}", files.keys());
        let object = &completed.objects_in("lake")[0];
        assert_eq!(files.get(&object.key), Some(&body));
        assert_eq!(object.aside, !is_whole);
        match is_whole {
            true => assert_eq!(completed.outcome, Outcome::Stored),
            false => {
                let losses = completed.outcome.losses();
                assert_eq!(losses[0].0, "not-a-recording");
                assert!(losses[0].1.contains(&object.key), "{losses:?}");
                assert_eq!(completed.outcome.word(), "failed");
                // By the same link twice, then to keep it.
                assert_eq!(way.downloads(), 3);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_short_at_its_origin_is_stored_and_its_row_says_so() {
    for end in [End::Length, End::Chunks] {
        let way = Way::new().await;
        let body = wav(3200, 100);
        let artifact = way.artifact(("c1", "r1", 0), &body, end);
        way.commit(std::slice::from_ref(&artifact), 1).await;
        way.end(&artifact).await;
        assert_eq!(way.files().get(KEY), Some(&body));
        // It might have been the download.
        assert_eq!(way.downloads(), 2);
        let completed = &way.completed().await["c1"];
        assert_eq!(completed.outcome, Outcome::Stored);
        let note = completed.objects_in("lake")[0].note.as_deref();
        assert_eq!(
            note,
            Some("cut-short: it claims a length of 3244 bytes and has 144")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_is_not_the_one_announced_is_found_whatever_the_server_says() {
    for end in [End::Length, End::Chunks, End::Connection] {
        let way = Way::new().await;
        let mut artifact = way.artifact(("c1", "r1", 0), &wav(100, 100), end);
        way.commit(std::slice::from_ref(&artifact), 1).await;
        artifact.size = Some(150);
        let error = way.deliver(&artifact).await.unwrap_err();
        let said = error.to_string();
        // Where the server has announced more, it may be the server that fails.
        assert!(
            matches!(error, TransferError::Link(_) | TransferError::Origin(_)),
            "{said}"
        );
        assert!(
            said.contains("144") || said.contains("ended early"),
            "{said}"
        );
        assert!(way.files().is_empty());
        artifact.size = Some(144);
        way.deliver(&artifact).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_says_wrong_of_one_artifact_costs_that_one() {
    let way = Way::new().await;
    let good = way.artifact(("c1", "r1", 0), &wav(100, 100), End::Length);
    way.commit(std::slice::from_ref(&good), 1).await;
    let with = |change: &dyn Fn(&mut Artifact)| {
        let mut artifact = good.clone();
        change(&mut artifact);
        artifact
    };
    let header = |name: &str, value: &str| {
        let header = (name.to_owned(), value.to_owned());
        with(&|artifact| artifact.download.headers.push(header.clone()))
    };
    let link = |url: &str| with(&|artifact| artifact.download.url = url.to_owned());
    let bundle = |container: Container| {
        with(&|artifact| {
            artifact.key = ArtifactKey::Bundle("b1".to_owned());
            artifact.container = container.clone();
        })
    };
    for (artifact, code) in [
        (header("no header", "x"), "bad-header"),
        (header("x-key", "secret\r\nx-other: y"), "bad-header"),
        (link("no link"), "bad-link"),
        (link(""), "bad-link"),
        (link("file:///etc/passwd"), "bad-link"),
        (
            link("https://cdn.example.net/a?sig=secret"),
            "origin-not-allowed",
        ),
        (bundle(Container::Single), "no-index"),
    ] {
        let error = way.deliver(&artifact).await.unwrap_err();
        let said = error.to_string();
        match error {
            TransferError::Item { code: found, .. } => assert_eq!(found, code, "{said}"),
            other => panic!("{code}: {other:?}"),
        }
        assert!(!said.contains("secret"), "{said}");
    }
    assert_eq!(way.downloads(), 0);
    way.deliver(&good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_artifacts_than_announced_are_a_loss_that_may_pass() {
    let way = Way::new().await;
    let one = way.artifact(("c1", "r1", 0), &wav(100, 100), End::Length);
    let other = way.artifact(("c2", "r1", 0), &wav(100, 100), End::Length);
    way.commit(std::slice::from_ref(&one), 2).await;
    way.commit(std::slice::from_ref(&other), 1).await;
    way.end(&one).await;
    way.end(&other).await;
    // Before its time is over, it is requested again.
    let completion = way.queue.complete(1, 1_000_000, 0).await.unwrap();
    assert_eq!((completion.completed, completion.postponed), (1, 1));
    way.commit(std::slice::from_ref(&one), 2).await;
    let completed = way.completed().await;
    let losses = completed["c1"].outcome.losses();
    assert_eq!(completed["c1"].outcome.word(), "partial");
    assert_eq!(losses.len(), 1, "{losses:?}");
    assert_eq!(losses[0].0, "fewer-than-announced");
    assert!(losses[0].1.contains("2 files and returned 1"), "{losses:?}");
    assert_eq!(completed["c2"].outcome, Outcome::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_aside_makes_way_for_the_recording() {
    let way = Way::new().await;
    let page = way.artifact(("c1", "r1", 0), super::PAGE, End::Length);
    way.commit(std::slice::from_ref(&page), 1).await;
    way.end(&page).await;
    // It may pass: the conversation is requested again.
    let completion = way.queue.complete(1, 1_000_000, 0).await.unwrap();
    assert_eq!((completion.completed, completion.postponed), (0, 1));
    let good = way.artifact(("c1", "r1", 0), &wav(100, 100), End::Length);
    way.commit(std::slice::from_ref(&good), 1).await;
    way.end(&good).await;
    let completed = &way.completed().await["c1"];
    assert_eq!(completed.outcome, Outcome::Stored);
    let kept = completed.objects_in("lake").iter();
    let kept: Vec<(&str, bool)> = kept
        .map(|object| (object.key.as_str(), object.aside))
        .collect();
    assert_eq!(kept, [("aside/c1/r1.html", true), (KEY, false)]);
    assert_eq!(way.files().len(), 2);
}

/// A zip with one file in it.
fn zip_of(name: &str, body: &[u8]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file(name, options).unwrap();
    std::io::Write::write_all(&mut archive, body).unwrap();
    archive.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_type_nobody_told_is_downloaded_once_whatever_it_turns_out_to_be() {
    let flac = serde_json::from_str(r#"{ "to": "flac" }"#).unwrap();
    for (body, transcode) in [
        (wav(3200, 3200), None),
        (wav(3200, 3200), Some(flac)),
        (zip_of("a.wav", &wav(3200, 3200)), None),
    ] {
        let mut way = Way::new().await;
        way.output.transcode = transcode;
        let artifact = Artifact {
            content_type: None,
            ..way.artifact(("c1", "r1", 0), &body, End::Length)
        };
        way.commit(std::slice::from_ref(&artifact), 1).await;
        way.end(&artifact).await;
        assert_eq!(way.downloads(), 1, "{:?}", way.files().keys());
        assert_eq!(way.completed().await["c1"].outcome, Outcome::Stored);
    }
}
