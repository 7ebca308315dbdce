//! What calls are about: few conversations, so that much happens to each.

use super::Run;
pub(super) use crate::conformance::ledger::export::texts;
use crate::conformance::{
    ledger::{
        export::{DAY_MS, START, artifact, conversation, handed_over, object, unavailable},
        view::Subjects,
    },
    split, step,
};
use recording_host_model::{
    Artifact, ArtifactContents, ArtifactKey, ArtifactResult, Conversation, ConversationCount,
    Failure, HandedOver, Missing, MissingRecording, Named, Next, Object, Party,
    RecordingAttributes, RecordingKey, Reported, ReportedOutcome, Send as Sending, Split,
    SplitState, Step, TimeRange, Update, Wait,
};

/// When the calls begin (ms).
pub(super) const BEGIN: u64 = START + 3 * DAY_MS;
/// The conversations, those of the first day and those of the second.
pub(super) const IDS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
const SECOND_DAY: [&str; 2] = ["a", "b"];
/// The sinks that the export may have.
pub(super) const SINKS: [&str; 3] = ["lake", "nas", "vault"];
const BUNDLES: [&str; 2] = ["one", "two"];
/// The names of the fetches that are looked at.
const FETCHES: u32 = 12;

/// What is compared of both.
pub(super) fn subjects() -> Subjects {
    let splits = (1..=FETCHES).flat_map(|number| {
        let split = |part: u32| format!("fetch-{number:06}/{part}");
        [split(0), split(1)]
    });
    Subjects {
        ids: texts(&IDS),
        bundles: texts(&BUNDLES),
        sinks: texts(&SINKS),
        splits: splits.collect(),
    }
}

/// The key of a recording's file.
pub(super) fn recording(id: &str, part: u32) -> ArtifactKey {
    ArtifactKey::Recording(RecordingKey {
        conversation: id.to_owned(),
        recording: "r".to_owned(),
        part,
    })
}

fn state(data: &str) -> SplitState {
    SplitState {
        version: 7,
        data: data.as_bytes().to_vec(),
    }
}

/// A split of some kind.
pub(super) fn split_of(id: String, kind: &str) -> Split {
    Split {
        kind: kind.to_owned(),
        ..split(&id)
    }
}

impl Run {
    pub(super) fn id(&mut self) -> String {
        self.drawn.pick(&self.ids)
    }

    pub(super) fn ids(&mut self, percent: u64) -> Vec<String> {
        self.drawn.some(&self.ids, percent)
    }

    pub(super) fn sink(&mut self) -> String {
        self.drawn.pick(&SINKS).to_owned()
    }

    pub(super) fn range(&mut self) -> TimeRange {
        let from = START + self.drawn.pick(&[0, 500, 1000, 1500, DAY_MS]);
        let length = self.drawn.pick(&[1, 500, 1000, DAY_MS, 2 * DAY_MS]);
        TimeRange {
            from,
            until: from + length,
        }
    }

    /// A conversation as a source reports it.
    fn conversation(&mut self, id: &str) -> Conversation {
        let mut found = conversation(id);
        if SECOND_DAY.contains(&id) {
            found.start += DAY_MS;
        }
        found.end = (!self.drawn.chance(20)).then_some(found.start + 1000);
        found.recorded = self.drawn.chance(80);
        found.revision = match self.drawn.below(3) {
            0 => None,
            _ => Some(self.drawn.below(4)),
        };
        found.ani = self
            .drawn
            .any(&[None, Some("tel:+15550100".to_owned())])
            .flatten();
        if self.drawn.chance(40) {
            found.agents.push(Party {
                id: self.drawn.pick(&["u1", "u2"]).to_owned(),
                name: None,
            });
            found.divisions = texts(&["u1"]);
        }
        found
    }

    /// What a source says has become of a conversation.
    pub(super) fn reported(&mut self) -> Reported {
        let missing = Missing {
            recording: None,
            failure: Failure {
                code: "missing".to_owned(),
                message: "no luck".to_owned(),
                retryable: self.drawn.chance(50),
            },
        };
        match self.drawn.below(12) {
            0 => Reported::NoRecording,
            1 => Reported::Skipped("reason".to_owned()),
            2 => unavailable(self.drawn.chance(50)),
            3 => Reported::HandedOver(HandedOver {
                artifacts: self.drawn.below(3) as u32,
                missing: vec![missing],
            }),
            4 => Reported::HandedOver(HandedOver {
                artifacts: 2,
                missing: Vec::new(),
            }),
            5 | 6 => Reported::InBundle(self.drawn.pick(&BUNDLES).to_owned()),
            7 => Reported::Failed(Failure {
                code: crate::commit::NOT_ENDED.to_owned(),
                message: String::new(),
                retryable: true,
            }),
            _ => handed_over(),
        }
    }

    fn artifacts(&mut self, ids: &[String]) -> Vec<Artifact> {
        let mut artifacts = Vec::new();
        for id in ids {
            for part in 0..2 {
                if self.drawn.chance([75, 15][part as usize]) {
                    artifacts.push(artifact(recording(id, part)));
                }
            }
        }
        for bundle in self.drawn.some(&BUNDLES, 20) {
            artifacts.push(artifact(ArtifactKey::Bundle(bundle.to_owned())));
        }
        artifacts
    }

    fn updates(&mut self) -> Vec<Update> {
        let mut updates = Vec::new();
        if self.drawn.chance(15) {
            updates.push(Update::Name(Named {
                id: self.drawn.pick(&["u1", "u2"]).to_owned(),
                name: self.drawn.pick(&["Ann", "Bo"]).to_owned(),
            }));
        }
        if self.drawn.chance(15) {
            let value = self.drawn.pick(&["1", "2"]).to_owned();
            updates.push(Update::Recording(RecordingAttributes {
                conversation: self.id(),
                recording: self.drawn.pick(&["r", "s"]).to_owned(),
                attributes: vec![(self.drawn.pick(&["x", "y"]).to_owned(), value)],
            }));
        }
        if self.drawn.chance(20) {
            updates.push(Update::Count(ConversationCount {
                range: self.range(),
                conversations: self.drawn.below(9),
                recorded: 0,
                requests: 1,
            }));
        }
        updates
    }

    fn next(&mut self) -> Next {
        let data = self.drawn.pick(&["one", "two", "three"]);
        match self.drawn.below(10) {
            0 => Next::Send(Sending {
                request: recording_host_model::Request {
                    method: recording_host_model::Method::Get,
                    url: "https://api.example/".to_owned(),
                    headers: Vec::new(),
                    body: None,
                    repeatable: true,
                },
                state: state(data),
            }),
            1 | 2 => Next::Wait(Wait {
                until: self.now + self.drawn.pick(&[0, 1000, 3_600_000]),
                state: state(data),
                job: None,
            }),
            _ => Next::Done(state(data)),
        }
    }

    /// A step of a search, which may say what has become of what it finds.
    pub(super) fn search_step(&mut self, id: &str) -> Step {
        let found = self.ids(35);
        let mut told = self.drawn.some(&found, 30);
        if self.drawn.chance(5) {
            told.push(self.id());
        }
        let artifacts = match self.drawn.chance(20) {
            true => self.artifacts(&told),
            false => Vec::new(),
        };
        Step {
            conversations: found.iter().map(|id| self.conversation(id)).collect(),
            artifacts,
            outcomes: self.outcomes(&told),
            updates: self.updates(),
            ..self.plain_step(id)
        }
    }

    /// A step of a fetch of conversations.
    pub(super) fn fetch_step(&mut self, id: &str, ids: &[String]) -> Step {
        let mut of = self.drawn.some(ids, 80);
        if self.drawn.chance(5) {
            of.push(self.id());
        }
        let handed = self.drawn.some(&of, 85);
        let told = self.drawn.some(&of, 85);
        let better = self.drawn.some(&of, 15);
        Step {
            conversations: better.iter().map(|id| self.conversation(id)).collect(),
            artifacts: self.artifacts(&handed),
            outcomes: self.outcomes(&told),
            updates: self.updates(),
            ..self.plain_step(id)
        }
    }

    fn outcomes(&mut self, ids: &[String]) -> Vec<ReportedOutcome> {
        let outcomes = ids.iter().map(|id| ReportedOutcome {
            conversation: id.clone(),
            result: self.reported(),
        });
        outcomes.collect()
    }

    /// A step that finds nothing, and may yield a split.
    fn plain_step(&mut self, id: &str) -> Step {
        let mut splits = Vec::new();
        if self.drawn.chance(10) {
            let kind = if id.starts_with("find") {
                "pages"
            } else {
                "files"
            };
            splits.push(split_of(format!("{id}-{}", self.drawn.below(2)), kind));
        }
        Step {
            splits,
            ..step(&[], self.next())
        }
    }

    /// An object that a recording's file becomes.
    fn object(&mut self, id: &str, part: u32) -> Object {
        let mut it = object(id);
        if part > 0 {
            it.key = format!("media/{id}.{part}.wav");
            it.file = format!("{part}/");
            it.size += u64::from(part);
        }
        if self.drawn.chance(10) {
            it.sha256 = "other".to_owned();
        }
        it.stored = self.drawn.chance(10).then(|| (12, "cd".to_owned()));
        it.aside = self.drawn.chance(5);
        it
    }

    /// The result of an artifact, given by its key as text.
    pub(super) fn result(&mut self, key: String, inside: &[String]) -> ArtifactResult {
        if self.drawn.chance(12) {
            return ArtifactResult::failed(key, "broken", "no luck");
        }
        let sinks = match self.drawn.chance(60) {
            true => self.sinks.clone(),
            false => texts(&SINKS),
        };
        let took = self.drawn.some(&sinks, 75);
        let left = sinks.iter().filter(|sink| !took.contains(sink));
        let left: Vec<String> = left.cloned().collect();
        let often = self.drawn.pick(&[20, 80]);
        let backlog = self.drawn.some(&left, often);
        let files: Vec<(String, u32)> = match ArtifactKey::from_text(&key) {
            Some(ArtifactKey::Recording(key)) => vec![(key.conversation, key.part)],
            _ => inside.iter().map(|id| (id.clone(), 0)).collect(),
        };
        let mut contents = ArtifactContents::default();
        for (id, part) in &files {
            let object = self.object(id, *part);
            let of_each = took.iter().map(|sink| (sink.clone(), object.clone()));
            contents.objects.extend(of_each);
        }
        if self.drawn.chance(8) {
            contents.missing.push(self.missing());
        }
        if self.drawn.chance(8) {
            contents.lost = Some(self.missing());
            contents.lost_in = self.drawn.some(&left, 50);
        }
        if self.drawn.chance(5) {
            let of = self.id();
            contents.dropped.push((self.sink(), object(&of).key));
        }
        ArtifactResult {
            artifact: key,
            result: Ok(contents),
            took,
            backlog,
        }
    }

    fn missing(&mut self) -> MissingRecording {
        MissingRecording {
            conversation: self.id(),
            code: "left-out".to_owned(),
            message: "no luck".to_owned(),
            retryable: self.drawn.chance(50),
        }
    }
}
