//! Fetches that other machines do.

use std::collections::{BTreeMap, BTreeSet};

use super::kept::{Handed, HandedStatus, Kept, Known};
use crate::{
    FetchOrder, QueueError,
    commit::Due,
    fetch_order::{ChangeKind, KnownArtifact, OrderedConversation, OrderedSplit, StoredObject},
    fleet::{FetchReport, TakenFetch},
    life_cycle::Transition,
};
use recording_host_model::{ArtifactKey, ArtifactResult, ConversationRecord, day};

impl HandedStatus {
    /// The word that orders have for it.
    fn word(self) -> &'static str {
        match self {
            HandedStatus::Pending => "pending",
            HandedStatus::Stored => "stored",
            HandedStatus::Failed => "failed",
        }
    }

    fn of(word: &str) -> Result<Self, QueueError> {
        let all = [
            HandedStatus::Pending,
            HandedStatus::Stored,
            HandedStatus::Failed,
        ];
        let of = all.into_iter().find(|status| status.word() == word);
        of.ok_or_else(|| unusable(&format!("no artifact is `{word}`")))
    }
}

fn unusable(reason: &str) -> QueueError {
    QueueError::Backend(format!("a fetch cannot be taken on: {reason}").into())
}

impl Kept {
    pub(crate) fn orders(&self, export: &str) -> Vec<FetchOrder> {
        let prefix = format!("{export}-");
        let open = self.conversations.values().filter(|known| known.is_open());
        let fetches = open.filter_map(|known| known.fetch.clone());
        let names: BTreeSet<String> = fetches.filter(|name| name.starts_with(&prefix)).collect();
        let left = names
            .into_iter()
            .filter(|name| !self.is_finished(name.clone()));
        left.map(|name| self.order(name)).collect()
    }

    pub(crate) fn order(&self, fetch: String) -> FetchOrder {
        let splits = self.splits.of(&fetch);
        let splits = splits.map(|(split, due)| OrderedSplit::new(split.clone(), due));
        let all = self.conversations.iter();
        let of_it =
            all.filter(|(_, known)| known.is_open() && known.fetch.as_ref() == Some(&fetch));
        let of_it: BTreeMap<&String, &Known> = of_it.collect();
        let artifacts = self.artifacts.iter().filter(|(_, handed)| {
            let pending = handed.status == HandedStatus::Pending;
            let known = handed.conversation.as_ref();
            known.is_some_and(|id| of_it.contains_key(id))
                || pending && handed.split.starts_with(&fetch)
        });
        let artifacts = artifacts.map(|(key, handed)| KnownArtifact {
            key: key.clone(),
            conversation: handed.conversation.clone(),
            split: handed.split.clone(),
            status: handed.status.word().to_owned(),
        });
        let (splits, artifacts) = (splits.collect(), artifacts.collect());
        let conversations = of_it.into_iter().map(|(id, known)| self.ordered(id, known));
        let conversations = conversations.collect();
        FetchOrder::new(fetch, splits, conversations, artifacts)
    }

    fn ordered(&self, id: &str, known: &Known) -> OrderedConversation {
        let record = known.record.as_ref();
        let wanting = self.wanting.get(id).into_iter().flatten();
        let objects = self.objects.iter();
        let objects = objects.filter(|(_, object)| object.conversation == id);
        OrderedConversation {
            id: id.to_owned(),
            start: known.start,
            ended: known.ended,
            recorded: known.recorded,
            record: record.and_then(|record| serde_json::to_string(record).ok()),
            attempt: known.attempt,
            wanting: wanting
                .map(|(sink, further)| (sink.clone(), *further))
                .collect(),
            objects: objects
                .map(|((sink, ..), object)| StoredObject::of(sink, object))
                .collect(),
        }
    }

    /// Nobody else can lead what is in memory.
    pub(crate) fn confirm(&self) {}

    pub(crate) fn apply(&mut self, report: FetchReport, sinks: Vec<String>) -> bool {
        if self.applied < report.sequence {
            self.make(report.change.kind, Some(&sinks));
            self.applied = report.sequence;
        }
        self.is_finished(report.fetch)
    }

    /// Makes a change that a node has reported; `sinks` are those of the leader.
    fn make(&mut self, change: ChangeKind, sinks: Option<&[String]>) {
        match change {
            ChangeKind::Step(step) => {
                let (now, horizon) = (step.now, step.horizon);
                let split = step.split.clone();
                let step = step.into_step();
                self.commit(&split, &step, Due { now, horizon });
                self.splits.advance(&split, &step.next, now);
            }
            ChangeKind::Delivered(results) => {
                for result in results {
                    let mut result = result.into_result();
                    if let Some(sinks) = sinks {
                        let owed = self.owed_besides(&result, sinks);
                        result.backlog.extend(owed);
                    }
                    self.note(&result);
                }
            }
            ChangeKind::Abandoned(abandoned) => {
                let (split, now) = (abandoned.split.clone(), abandoned.now);
                self.abandon(split, abandoned.into_failure(), now);
            }
        }
    }

    /// The sinks that want an artifact, and of which the node that had it says nothing.
    fn owed_besides(&self, result: &ArtifactResult, sinks: &[String]) -> Vec<String> {
        let Ok(contents) = &result.result else {
            return Vec::new();
        };
        if contents.lost.is_some() && contents.lost_in.is_empty() {
            return Vec::new();
        }
        let Some(key) = ArtifactKey::from_text(&result.artifact) else {
            return Vec::new();
        };
        let handed = self.artifacts.get(&result.artifact);
        // What was noted before has said which sinks are owed it.
        let handed = handed.filter(|handed| handed.status == HandedStatus::Pending);
        let Some(handed) = handed else {
            return Vec::new();
        };
        let wanting = self.takers(&key, &handed.split);
        let named = [&result.took, &result.backlog, &contents.lost_in];
        let owed = sinks.iter().filter(|sink| {
            let wanting = wanting.as_ref();
            let wants = wanting.is_none_or(|wanting| wanting.contains(sink));
            wants && !named.iter().any(|named| named.contains(sink))
        });
        owed.cloned().collect()
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) fn take_on(&mut self, taken: TakenFetch, now: u64) -> Result<(), QueueError> {
        let FetchOrder {
            fetch,
            splits,
            conversations,
            artifacts,
            ..
        } = taken.order;
        // All that can fail is done before anything is changed.
        let mut records = Vec::new();
        for one in &conversations {
            if self.conversations.contains_key(&one.id) {
                return Err(unusable(&format!("`{}` is known", one.id)));
            }
            let record = one.record.as_deref().map(serde_json::from_str);
            let record: Option<ConversationRecord> = record
                .transpose()
                .map_err(|error| unusable(&error.to_string()))?;
            records.push(record);
        }
        let mut handed = Vec::new();
        for artifact in artifacts {
            let status = HandedStatus::of(&artifact.status)?;
            handed.push((artifact, status));
        }
        for (one, record) in conversations.into_iter().zip(records) {
            self.add_ordered(&fetch, one, record, now);
        }
        for split in splits {
            let due = split.due;
            let split = split.into_split();
            self.splits
                .add(std::slice::from_ref(&split), due.unwrap_or(now));
            if due.is_none() {
                self.splits.end(&split.id);
            }
        }
        for (artifact, status) in handed {
            let handed = Handed {
                conversation: artifact.conversation,
                split: artifact.split,
                status,
                failure: None,
                retryable: false,
            };
            self.artifacts.entry(artifact.key).or_insert(handed);
        }
        for change in taken.changes {
            self.make(change.kind, None);
        }
        Ok(())
    }

    /// Adds a conversation of a fetch to a node's ledger.
    fn add_ordered(
        &mut self,
        fetch: &str,
        one: OrderedConversation,
        record: Option<ConversationRecord>,
        now: u64,
    ) {
        let mut known = Known::new(Transition::Found, self.next_place(), day(one.start));
        known.start = one.start;
        known.ended = one.ended;
        known.recorded = one.recorded;
        known.record = record;
        known.due = now;
        known.attempt = one.attempt;
        known.go(Transition::FetchBegun);
        known.fetch = Some(fetch.to_owned());
        self.conversations.insert(one.id.clone(), known);
        if !one.wanting.is_empty() {
            self.wanting
                .insert(one.id, one.wanting.into_iter().collect());
        }
        for stored in one.objects {
            let sink = stored.sink.clone();
            self.add_object(&sink, &stored.into_object());
        }
    }

    pub(crate) fn fetches_of(&self, artifacts: Vec<String>) -> BTreeMap<String, String> {
        let mut fetches = BTreeMap::new();
        for key in artifacts {
            let Some(handed) = self.artifacts.get(&key) else {
                continue;
            };
            let known = match &handed.conversation {
                Some(id) => self.conversations.get(id),
                None => {
                    let mut all = self.conversations.values();
                    all.find(|known| known.is_fetched_by(&handed.split))
                }
            };
            let fetch = known.and_then(|known| known.fetch.clone());
            fetches.extend(fetch.map(|fetch| (key, fetch)));
        }
        fetches
    }

    pub(crate) fn is_finished(&self, fetch: String) -> bool {
        let any_open = self.splits.of(&fetch).any(|(_, due)| due.is_some());
        let mut to_deliver = self.to_deliver();
        !any_open && !to_deliver.any(|(_, handed)| handed.split.starts_with(&fetch))
    }

    pub(crate) fn let_go(&mut self, fetch: String, conversations: Vec<String>) {
        for id in &conversations {
            self.drop_results(id);
            self.wanting.remove(id);
            self.conversations.remove(id);
        }
        self.artifacts.retain(|_, of| !of.split.starts_with(&fetch));
        self.backlog.retain(|_, of| !of.split.starts_with(&fetch));
        self.splits.forget(&fetch);
    }
}
