//! An export on the ledger under test, and the calls by which its conversations move along.

use std::fmt::Debug;
use std::sync::Arc;

use super::{
    super::{Failure, NOW, Worker, done, ok, same, split, step},
    LedgerFixture,
};
use crate::{Acknowledged, Completion, Ledger, QueueError, Status};
use recording_host_model::{
    Artifact, ArtifactContents, ArtifactKey, ArtifactResult, CompletedConversation, Container,
    Conversation, Download, HandedOver, Object, RecordingKey, Reported, ReportedOutcome, Split,
    Step, TimeRange,
};

/// The day on which the conversations begin.
pub(in crate::conformance) const DAY: &str = "2023-11-14";
/// Its first instant (ms).
pub(in crate::conformance) const START: u64 = 1_699_920_000_000;
/// A day (ms).
pub(in crate::conformance) const DAY_MS: u64 = 86_400_000;
/// The sinks of the export.
pub(crate) const SINKS: [&str; 2] = ["lake", "nas"];
/// The length of every object, in bytes.
pub(in crate::conformance) const SIZE: u64 = 10;

/// Texts as calls take them.
pub(crate) fn texts(of: &[&str]) -> Vec<String> {
    of.iter().map(|text| (*text).to_owned()).collect()
}

/// A conversation of which a recording was begun.
pub(crate) fn conversation(id: &str) -> Conversation {
    Conversation {
        id: id.to_owned(),
        start: START + 1000,
        end: Some(START + 2000),
        direction: None,
        ani: None,
        dnis: None,
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: Vec::new(),
        divisions: Vec::new(),
        media_types: Vec::new(),
        recorded: true,
        revision: None,
        attributes: Vec::new(),
    }
}

/// The key of the only recording of a conversation.
pub(in crate::conformance) fn recording(conversation: &str) -> ArtifactKey {
    ArtifactKey::Recording(RecordingKey {
        conversation: conversation.to_owned(),
        recording: "r".to_owned(),
        part: 0,
    })
}

/// An artifact as a step hands it over.
pub(in crate::conformance) fn artifact(key: ArtifactKey) -> Artifact {
    Artifact {
        key,
        download: Download {
            url: "https://media.example/".to_owned(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    }
}

/// The object that the recording of a conversation becomes in each sink.
pub(in crate::conformance) fn object(conversation: &str) -> Object {
    Object {
        conversation: conversation.to_owned(),
        recording: "r".to_owned(),
        key: format!("media/{conversation}.wav"),
        member: None,
        content_type: "audio/wav".to_owned(),
        size: SIZE,
        sha256: format!("sha256 of {conversation}"),
        etag: None,
        stored: None,
        note: None,
        aside: false,
        file: "0/".to_owned(),
        index_metadata: None,
    }
}

/// The result of a recording that some sinks took, and that others are owed.
pub(in crate::conformance) fn delivered(
    conversation: &str,
    took: &[&str],
    backlog: &[&str],
) -> ArtifactResult {
    let objects = took
        .iter()
        .map(|sink| ((*sink).to_owned(), object(conversation)));
    ArtifactResult {
        artifact: recording(conversation).to_text(),
        result: Ok(ArtifactContents {
            objects: objects.collect(),
            ..ArtifactContents::default()
        }),
        took: texts(took),
        backlog: texts(backlog),
    }
}

/// The outcome of a conversation of which all is handed over, which is one recording.
pub(in crate::conformance) fn handed_over() -> Reported {
    Reported::HandedOver(HandedOver {
        artifacts: 1,
        missing: Vec::new(),
    })
}

/// The outcome of a conversation whose recordings are unavailable.
pub(in crate::conformance) fn unavailable(retryable: bool) -> Reported {
    Reported::Failed(recording_host_model::Failure {
        code: "unavailable".to_owned(),
        message: "no luck".to_owned(),
        retryable,
    })
}

/// The outcomes of conversations, as a step reports them.
pub(in crate::conformance) fn outcomes(of: &[(&str, Reported)]) -> Vec<ReportedOutcome> {
    let outcomes = of.iter().map(|(id, result)| ReportedOutcome {
        conversation: (*id).to_owned(),
        result: result.clone(),
    });
    outcomes.collect()
}

/// The first split of a search or a fetch.
pub(crate) fn first_split(name: &str, kind: &str) -> Split {
    Split {
        kind: kind.to_owned(),
        ..split(&format!("{name}/0"))
    }
}

/// An export in a check of one guarantee.
pub(in crate::conformance) struct Export {
    /// The ledger, which the check changes.
    pub(in crate::conformance) ledger: Arc<dyn Ledger>,
    /// The same ledger, which reads what the other has changed.
    pub(in crate::conformance) reader: Arc<dyn Ledger>,
    /// A worker of its splits.
    pub(in crate::conformance) worker: Worker,
}

impl Export {
    pub(in crate::conformance) fn of(fixture: &dyn LedgerFixture, guarantee: &'static str) -> Self {
        Export {
            ledger: fixture.ledger(),
            reader: fixture.ledger(),
            worker: Worker::of(fixture, guarantee),
        }
    }

    /// The conversations that are sealed in a segment.
    pub(in crate::conformance) async fn sealed_in(
        &self,
        number: i64,
    ) -> Result<Vec<CompletedConversation>, Failure> {
        let ids = self.ok(self.reader.segment(number).await)?.ids;
        self.ok(self.reader.sealed_conversations(ids).await)
    }

    /// The answer of a call that ought to succeed.
    pub(in crate::conformance) fn ok<T>(
        &self,
        answer: Result<T, QueueError>,
    ) -> Result<T, Failure> {
        ok(self.worker.guarantee, answer)
    }

    /// Compares an answer with what it ought to be.
    pub(in crate::conformance) fn same<T: Debug + PartialEq>(
        &self,
        what: &str,
        answer: Result<T, QueueError>,
        expected: T,
    ) -> Result<(), Failure> {
        self.is(what, self.ok(answer)?, expected)
    }

    /// Compares an answer, whose order means nothing, with what it ought to have.
    pub(in crate::conformance) fn has<T: Debug + Ord>(
        &self,
        what: &str,
        answer: Result<Vec<T>, QueueError>,
        expected: Vec<T>,
    ) -> Result<(), Failure> {
        let mut answer = self.ok(answer)?;
        answer.sort_unstable();
        self.is(what, answer, expected)
    }

    /// Compares what was answered with what it ought to be.
    pub(in crate::conformance) fn is<T: Debug + PartialEq>(
        &self,
        what: &str,
        answer: T,
        expected: T,
    ) -> Result<(), Failure> {
        same(self.worker.guarantee, what, answer, expected)
    }

    /// Checks how many objects are counted, and their bytes.
    pub(in crate::conformance) async fn stores(&self, objects: u64) -> Result<(), Failure> {
        let progress = self.status().await?.progress;
        let counted = (progress.objects, progress.bytes);
        self.is("objects and bytes", counted, (objects, objects * SIZE))
    }

    /// Begins the next search, of a range; returns its split.
    pub(in crate::conformance) async fn search(&self, range: TimeRange) -> Result<String, Failure> {
        let number = self.ok(self.reader.searched().await)?.begun + 1;
        let name = format!("find-{number:06}");
        let splits = vec![first_split(&name, "pages")];
        let new = self.ledger.search(splits, range, NOW).await;
        self.same("new splits", new, vec![format!("{name}/0")])?;
        Ok(format!("{name}/0"))
    }

    /// Has a split that is claimed make its last step.
    pub(in crate::conformance) async fn step(
        &self,
        split: &str,
        reported: Step,
    ) -> Result<(), Failure> {
        self.worker.claim(split, NOW).await?;
        self.worker.commit(split, reported, NOW).await.map(drop)
    }

    /// A search of the day finds conversations, some of them with their outcomes.
    pub(in crate::conformance) async fn find(
        &self,
        conversations: Vec<Conversation>,
        of: &[(&str, Reported)],
    ) -> Result<(), Failure> {
        let range = TimeRange {
            from: START,
            until: START + DAY_MS,
        };
        let split = self.search(range).await?;
        let found = Step {
            conversations,
            outcomes: outcomes(of),
            ..step(&[], done("end"))
        };
        self.step(&split, found).await?;
        self.ok(self.ledger.searched_all(NOW).await)
    }

    /// A search finds conversations that are to be fetched.
    pub(in crate::conformance) async fn find_wanted(&self, ids: &[&str]) -> Result<(), Failure> {
        let found = ids.iter().map(|id| conversation(id)).collect();
        self.find(found, &[]).await
    }

    /// Fetches conversations in one fetch, whose split is returned.
    pub(in crate::conformance) async fn fetch(
        &self,
        name: &str,
        ids: &[&str],
    ) -> Result<String, Failure> {
        let split = first_split(name, "files");
        let id = split.id.clone();
        let new = self
            .ledger
            .fetch(name.to_owned(), texts(ids), vec![split], NOW)
            .await;
        self.same("new splits", new, vec![id.clone()])?;
        Ok(id)
    }

    /// The split of a fetch hands over a recording of each conversation, and ends.
    pub(in crate::conformance) async fn hand_over(
        &self,
        split: &str,
        ids: &[&str],
    ) -> Result<(), Failure> {
        let all: Vec<_> = ids.iter().map(|id| (*id, handed_over())).collect();
        let reported = Step {
            artifacts: ids.iter().map(|id| artifact(recording(id))).collect(),
            outcomes: outcomes(&all),
            ..step(&[], done("end"))
        };
        self.step(split, reported).await
    }

    /// The split of a fetch says what has become of conversations, and ends.
    pub(in crate::conformance) async fn report(
        &self,
        split: &str,
        of: &[(&str, Reported)],
    ) -> Result<(), Failure> {
        let reported = Step {
            outcomes: outcomes(of),
            ..step(&[], done("end"))
        };
        self.step(split, reported).await
    }

    /// Brings the recordings of conversations to sinks.
    pub(in crate::conformance) async fn deliver(
        &self,
        ids: &[&str],
        sinks: &[&str],
    ) -> Result<(), Failure> {
        let batch = ids.iter().map(|id| delivered(id, sinks, &[])).collect();
        self.ok(self.ledger.delivered(batch).await)
    }

    /// Makes outcomes final; nothing is worth waiting for.
    pub(in crate::conformance) async fn complete(&self) -> Result<Completion, Failure> {
        self.ok(self.ledger.complete(NOW, 0, 0).await)
    }

    /// Fetches conversations that are wanted, brings their recordings to both sinks and completes them.
    pub(in crate::conformance) async fn store(
        &self,
        name: &str,
        ids: &[&str],
    ) -> Result<(), Failure> {
        let split = self.fetch(name, ids).await?;
        self.hand_over(&split, ids).await?;
        self.deliver(ids, &SINKS).await?;
        self.complete().await.map(drop)
    }

    /// Seals what is completed for both sinks; returns the number of the last segment.
    pub(in crate::conformance) async fn seal(&self) -> Result<i64, Failure> {
        self.ok(self.ledger.seal_segments(1, 100, texts(&SINKS)).await)?;
        self.ok(self.reader.last_segment().await)
    }

    /// Files a segment in a sink, to be compacted later if `keep`.
    pub(in crate::conformance) async fn file(
        &self,
        number: i64,
        sink: &str,
        keep: bool,
    ) -> Result<Acknowledged, Failure> {
        let filed = self.ledger.filed(number, sink.to_owned(), keep, NOW);
        self.ok(filed.await)
    }

    /// Finds, stores and files conversations in both sinks; returns the number of their segment.
    pub(in crate::conformance) async fn file_new(
        &self,
        name: &str,
        ids: &[&str],
        keep: bool,
    ) -> Result<i64, Failure> {
        self.find_wanted(ids).await?;
        self.store(name, ids).await?;
        let number = self.seal().await?;
        for sink in SINKS {
            self.file(number, sink, keep).await?;
        }
        Ok(number)
    }

    pub(in crate::conformance) async fn status(&self) -> Result<Status, Failure> {
        self.ok(self.reader.status().await)
    }

    /// Checks how many conversations are wanted, being fetched, on their way from there to the receipts,
    /// and filed.
    pub(in crate::conformance) async fn counts(&self, expected: [u64; 4]) -> Result<(), Failure> {
        let status = self.status().await?;
        let filed = status.progress.filed.values().sum();
        let counts = [status.wanted, status.fetching, status.unfiled, filed];
        let what = "conversations wanted, being fetched, not filed and filed";
        self.is(what, counts, expected)
    }
}
