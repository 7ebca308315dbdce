//! From wanted to completed: fetches, and what became of the artifacts that they hand over.

use std::collections::BTreeMap;

use super::kept::{Handed, HandedStatus, Kept, Known, Owed, Place};
use crate::{
    Completion, FetchFailure, ObjectCopy,
    complete::{Brought, NO_LINK, Ready, no_bundle, no_outcome},
    copies::{add_file, copies_among, delivered},
    fetch::{LAST_ATTEMPT, RETRY_AFTER, WINDOW, batch},
    life_cycle::{Stage, Transition},
};
use recording_host_model::{ArtifactResult, ConversationRef, Object, Outcome, Split};

impl Kept {
    pub(crate) fn next_batch(
        &self,
        export: &str,
        most: usize,
        any: bool,
        now: u64,
    ) -> Option<(String, Vec<ConversationRef>)> {
        let all = self.conversations.iter();
        let mut due: Vec<(&String, &Known)> = all
            .filter(|(_, known)| known.is(Stage::Wanted) && known.due <= now)
            .collect();
        due.sort_by_key(|(_, known)| known.due);
        let candidates = due.into_iter().take(most * WINDOW);
        let candidates = candidates.map(|(id, known)| {
            let one = ConversationRef {
                id: id.clone(),
                start: known.start,
                recorded: known.recorded,
            };
            (one, known.together, self.wanting(id))
        });
        let wanted = batch(candidates.collect(), most, any)?;
        Some((format!("{export}-{:06}", self.fetches + 1), wanted))
    }

    pub(crate) fn fetch(
        &mut self,
        name: String,
        conversations: Vec<String>,
        splits: Vec<Split>,
        now: u64,
    ) -> Vec<String> {
        self.fetches += 1;
        for id in conversations {
            let known = self.conversations.get_mut(&id);
            // What is final is in no fetch, whoever names it.
            let Some(known) = known.filter(|known| known.is_open()) else {
                continue;
            };
            if known.is(Stage::Wanted) {
                known.go(Transition::FetchBegun);
            }
            known.fetch = Some(name.clone());
            known.due = now;
        }
        self.splits.add(&splits, now)
    }

    pub(crate) fn next_wanted(&self, live: bool) -> Option<u64> {
        let all = self.conversations.values();
        let wanted = all.filter(|known| known.is(Stage::Wanted) && (live || !known.live));
        wanted.map(|known| known.due).min()
    }

    pub(crate) fn abandon(&mut self, split: String, failure: FetchFailure, now: u64) -> usize {
        self.splits.end(&split);
        let splits = &self.splits;
        let is_left = |known: &Known| {
            let fetch = known.fetch.as_deref().unwrap_or_default();
            let is_open = |(_, due): (&Split, Option<u64>)| due.is_some();
            known.is(Stage::Fetching)
                && known.is_fetched_by(&split)
                && !splits.of(fetch).any(is_open)
        };
        let all = self.conversations.iter();
        let left = all.filter(|(_, known)| is_left(known));
        let left: Vec<String> = left.map(|(id, _)| id.clone()).collect();
        let divides = failure.divisible && left.len() > 1;
        for id in &left {
            if divides {
                self.drop_failed(id);
            }
            let Some(known) = self.conversations.get_mut(id) else {
                continue;
            };
            if divides {
                known.go(Transition::Divided);
                known.fetch = None;
                known.due = now;
                known.together = Some(left.len().div_ceil(2));
            } else {
                known.go(Transition::Reported);
                known.outcome = Some(Outcome::Failed {
                    code: failure.code.clone(),
                    message: failure.message.clone(),
                });
                known.retryable = failure.retryable;
            }
        }
        if divides { left.len() } else { 0 }
    }

    pub(crate) fn pending(&self, split: String) -> Vec<String> {
        let of_it = self.to_deliver().filter(|(_, of)| of.split == split);
        of_it.map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn undelivered(&self) -> BTreeMap<String, Vec<String>> {
        let mut undelivered = BTreeMap::<String, Vec<String>>::new();
        for (key, handed) in self.to_deliver() {
            if self.splits.is_done(&handed.split) {
                let of_split = undelivered.entry(handed.split.clone()).or_default();
                of_split.push(key.clone());
            }
        }
        undelivered
    }

    pub(crate) fn delivered(&mut self, batch: Vec<ArtifactResult>) {
        batch.iter().for_each(|result| self.note(result));
    }

    /// Notes what became of an artifact.
    pub(super) fn note(&mut self, result: &ArtifactResult) {
        let key = &result.artifact;
        let contents = match &result.result {
            Ok(contents) => contents,
            Err((code, message)) => return self.lose(key, (code, message), false),
        };
        for (sink, object) in &contents.objects {
            self.add_object(sink, object);
        }
        for dropped in &contents.dropped {
            self.objects.retain(|(sink, key, member, _), _| {
                (&dropped.0, &dropped.1) != (sink, key) || !member.is_empty()
            });
        }
        if let Some(lost) = &contents.lost {
            if contents.lost_in.is_empty() {
                return self.lose(key, (&lost.code, &lost.message), lost.retryable);
            }
            for sink in &contents.lost_in {
                let loss = (lost.code.clone(), lost.message.clone());
                self.owe(key, sink, Some(loss));
            }
        }
        for sink in &result.took {
            let place = (sink.clone(), key.clone());
            if self
                .backlog
                .get(&place)
                .is_some_and(|owed| owed.lost.is_none())
            {
                self.backlog.remove(&place);
            }
        }
        for sink in &result.backlog {
            if !self.backlog.contains_key(&(sink.clone(), key.clone())) {
                self.owe(key, sink, None);
            }
        }
        // The sinks that alone want it are away.
        if result.took.is_empty() && !result.backlog.is_empty() {
            return;
        }
        let handed = self.artifacts.get_mut(key);
        let Some(handed) = handed.filter(|handed| handed.status == HandedStatus::Pending) else {
            return;
        };
        handed.status = HandedStatus::Stored;
        self.totals.artifacts += 1;
        for (number, missing) in contents.missing.iter().enumerate() {
            let handed = Handed {
                conversation: Some(missing.conversation.clone()),
                split: String::new(),
                status: HandedStatus::Failed,
                failure: Some((missing.code.clone(), missing.message.clone())),
                retryable: missing.retryable,
            };
            self.artifacts.insert(format!("{key}\n{number}"), handed);
        }
    }

    /// Notes that a sink is owed an artifact, or does without it.
    pub(super) fn owe(&mut self, key: &str, sink: &str, lost: Option<(String, String)>) {
        if let Some(handed) = self.artifacts.get(key) {
            let owed = Owed {
                split: handed.split.clone(),
                conversation: handed.conversation.clone(),
                lost,
            };
            self.backlog.insert((sink.to_owned(), key.to_owned()), owed);
        }
    }

    /// Notes that an artifact is unavailable, to every sink or only to those that still lack it.
    fn lose(&mut self, key: &str, (code, message): (&str, &str), retryable: bool) {
        let failure = Some((code.to_owned(), message.to_owned()));
        let handed = self.artifacts.get_mut(key);
        match handed.filter(|handed| handed.status == HandedStatus::Pending) {
            // The loss is named once, not once more for each sink that it waited for.
            Some(handed) => {
                handed.status = HandedStatus::Failed;
                handed.failure = failure;
                handed.retryable = retryable;
                self.backlog.retain(|(_, of), _| of != key);
            }
            None => {
                let of_it = self.backlog.iter_mut().filter(|((_, of), _)| of == key);
                for (_, owed) in of_it {
                    owed.lost
                        .get_or_insert_with(|| (code.to_owned(), message.to_owned()));
                }
            }
        }
    }

    /// Notes that a sink holds an object.
    pub(super) fn add_object(&mut self, sink: &str, object: &Object) {
        let place: Place = (
            sink.to_owned(),
            object.key.clone(),
            object.member.clone().unwrap_or_default(),
            object.conversation.clone(),
        );
        self.objects.insert(place, object.clone());
    }

    pub(crate) fn copies(&self, batch: &[ArtifactResult]) -> Vec<ObjectCopy> {
        let mut copies = Vec::new();
        for ((sink, conversation, recording), (at, mut parts)) in delivered(batch) {
            let known = self.conversations.get(&conversation);
            if known.is_some_and(|known| known.attempt != 1) {
                continue;
            }
            for ((of, ..), object) in &self.objects {
                if (of, &object.conversation, &object.recording)
                    == (&sink, &conversation, &recording)
                    && !object.aside
                {
                    let (sha256, key) = (object.sha256.clone(), object.key.clone());
                    add_file(&mut parts, &object.file, sha256, key);
                }
            }
            let keys = copies_among(&parts).into_iter();
            copies.extend(keys.map(|key| ObjectCopy {
                at,
                sink: sink.clone(),
                key,
            }));
        }
        copies
    }

    pub(crate) fn backlog(&self, sinks: Vec<String>) -> BTreeMap<String, Vec<String>> {
        let mut backlog = BTreeMap::<String, Vec<String>>::new();
        for ((sink, artifact), owed) in &self.backlog {
            if owed.lost.is_none() && sinks.contains(sink) {
                let keys = backlog.entry(owed.split.clone()).or_default();
                if !keys.contains(artifact) {
                    keys.push(artifact.clone());
                }
            }
        }
        backlog
    }

    pub(crate) fn any_waits_for_sinks(&self) -> bool {
        let mut all = self.artifacts.iter();
        all.any(|(key, of)| of.status == HandedStatus::Pending && !self.owed(key).is_empty())
    }

    pub(crate) fn complete(&mut self, now: u64, horizon: u64, confirm: u64) -> Completion {
        let mut completion = Completion::default();
        for id in self.ids_at(Stage::Reported) {
            let Some(ready) = self.ready(&id) else {
                continue;
            };
            let brought = self.brought(&id, ready.bundle.as_ref());
            let (outcome, retryable) = ready.outcome(&brought);
            let due = ready.due(retryable, now, horizon, confirm);
            if due.is_some() {
                self.drop_failed(&id);
            }
            let Some(known) = self.conversations.get_mut(&id) else {
                continue;
            };
            if let Some(due) = due {
                known.go(Transition::Postponed);
                known.request_again(due);
                completion.postponed += 1;
                continue;
            }
            let losses = outcome.losses();
            known.go(Transition::Completed);
            known.outcome = Some(outcome);
            (known.objects, known.bytes) = (brought.objects, brought.bytes);
            known.lost = !losses.is_empty();
            known.retryable = retryable && known.lost;
            known.named &= known.lost;
            completion.completed += 1;
            for (code, _) in losses {
                *completion.losses.entry(code).or_default() += 1;
            }
        }
        completion
    }

    /// A conversation with what the source said of it, if its artifacts are there or failed.
    fn ready(&self, id: &str) -> Option<Ready> {
        let known = self.conversations.get(id)?;
        let is_of_it = |of: &Handed| of.conversation.as_deref() == Some(id);
        let is_pending = |of: &Handed| of.status == HandedStatus::Pending;
        let mut artifacts = self.artifacts.values();
        if artifacts.any(|of| is_of_it(of) && is_pending(of)) {
            return None;
        }
        if let Some(bundle) = &known.bundle {
            self.artifacts.get(bundle).filter(|of| !is_pending(of))?;
        }
        Some(Ready {
            ended: known.ended,
            recorded: known.recorded,
            outcome: known.outcome.clone()?,
            retryable: known.retryable,
            bundle: known.bundle.clone(),
            fetched: known.fetch.is_some(),
            start: known.start,
            live: known.live,
            announced: known.announced,
            asked: known.due,
        })
    }

    /// What was stored of a conversation, and what failed on the way.
    fn brought(&self, id: &str, bundle: Option<&String>) -> Brought {
        let mut by_sink = BTreeMap::<&str, (u64, u64)>::new();
        for ((sink, ..), object) in &self.objects {
            if object.conversation == id && !object.aside {
                let (objects, bytes) = by_sink.entry(sink).or_default();
                *objects += 1;
                *bytes += object.size;
            }
        }
        let mut brought = Brought {
            objects: by_sink.values().map(|of| of.0).max().unwrap_or_default(),
            bytes: by_sink.values().map(|of| of.1).max().unwrap_or_default(),
            ..Brought::default()
        };
        for (key, of) in &self.artifacts {
            let is_of_it = of.conversation.as_deref() == Some(id);
            if of.status == HandedStatus::Failed && (is_of_it || bundle == Some(key)) {
                brought.failed.extend(of.failure.clone());
                brought.may_come |= of.retryable;
            }
            brought.came += u32::from(is_of_it && !of.split.is_empty());
        }
        brought
    }

    pub(crate) fn settle_forgotten(&mut self) -> usize {
        let to_deliver = self.to_deliver().map(|(key, _)| key.clone());
        let links: Vec<String> = to_deliver.collect();
        for key in &links {
            if let Some(handed) = self.artifacts.get_mut(key) {
                handed.status = HandedStatus::Failed;
                handed.failure = Some((NO_LINK.0.to_owned(), NO_LINK.1.to_owned()));
            }
        }
        let forgotten = self.ids_at(Stage::Fetching);
        for id in &forgotten {
            if let Some(known) = self.conversations.get_mut(id) {
                known.go(Transition::Reported);
                known.outcome = Some(no_outcome());
            }
        }
        let mut bundles = 0;
        for id in self.ids_at(Stage::Reported) {
            let Some(known) = self.conversations.get_mut(&id) else {
                continue;
            };
            let bundle = known.bundle.as_ref();
            if bundle.is_some_and(|bundle| !self.artifacts.contains_key(bundle)) {
                known.outcome = Some(no_bundle());
                (known.bundle, known.retryable) = (None, false);
                bundles += 1;
            }
        }
        links.len() + forgotten.len() + bundles
    }

    pub(crate) fn retry_passing(&mut self, now: u64) -> usize {
        let before = now.saturating_sub(RETRY_AFTER);
        let passing = self.losses_that(|known| {
            known.retryable && known.attempt < LAST_ATTEMPT && !known.live && known.due < before
        });
        passing.iter().for_each(|id| self.take_up(id, now));
        passing.len()
    }

    pub(crate) fn retry_lost(&mut self, now: u64) -> usize {
        let lost = self.losses_that(|_| true);
        for id in &lost {
            self.take_up(id, now);
            if let Some(known) = self.conversations.get_mut(id) {
                known.named = false;
            }
        }
        lost.len()
    }

    /// The filed losses that meet a condition.
    fn losses_that(&self, condition: impl Fn(&Known) -> bool) -> Vec<String> {
        let all = self.conversations.iter();
        let lost = all.filter(|(_, known)| {
            let is_lost = known.lost && known.stage().is_in_every_sink();
            is_lost && known.record.is_some() && condition(known)
        });
        lost.map(|(id, _)| id.clone()).collect()
    }
}
