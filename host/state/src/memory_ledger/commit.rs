//! What a step yielded: conversations, artifacts and outcomes.

use std::collections::HashSet;

use super::kept::{Handed, HandedStatus, Kept, Known};
use crate::{
    Committed,
    commit::{Due, announced, goes_on, last_word, outcome},
    life_cycle::{Stage, Transition},
};
use recording_host_model::{
    Artifact, ArtifactKey, Conversation, ConversationCount, ConversationRecord, Outcome,
    RecordingAttributes, ReportedOutcome, Step, Update,
};

/// What a step makes of a conversation that it reports.
struct Found<'a> {
    conversation: &'a Conversation,
    /// What it says has become of it; none if it continues.
    outcome: Option<&'a ReportedOutcome>,
    /// True if it continues.
    live: bool,
    /// True if there is more to come of it than an outcome.
    more: bool,
}

impl Kept {
    /// Writes down all that a step yielded but what is next for its split.
    pub(super) fn commit(&mut self, split: &str, step: &Step, due: Due) -> Committed {
        let mut committed = Committed::default();
        for update in &step.updates {
            if let Update::Name(named) = update {
                self.names.insert(named.id.clone(), named.name.clone());
            }
        }
        let mut settled = HashSet::new();
        for conversation in &step.conversations {
            let found = found(step, conversation);
            let id = conversation.id.as_str();
            if found.live {
                settled.insert(id);
            }
            let (wanted, is_settled) = self.add_conversation(&found, due);
            committed.wanted += usize::from(wanted);
            if is_settled {
                settled.insert(id);
            }
        }
        for update in &step.updates {
            match update {
                Update::Recording(about) => self.add_about(about),
                Update::Count(count) => self.add_count(count, due.now),
                Update::Name(_) | Update::Finding(_) => {}
            }
        }
        for artifact in &step.artifacts {
            if let Some(sinks) = self.add_artifact(artifact, split) {
                committed.artifacts.insert(artifact.key.to_text(), sinks);
            }
        }
        for reported in &step.outcomes {
            if !settled.contains(reported.conversation.as_str()) {
                self.set_outcome(reported);
            }
        }
        committed.splits = self.splits.add(&step.splits, due.now);
        committed
    }

    /// Adds a conversation, or what is known of it by now; says whether it is to be fetched now, and whether
    /// its outcome is final.
    fn add_conversation(&mut self, found: &Found<'_>, due: Due) -> (bool, bool) {
        let id = &found.conversation.id;
        let record = self.named(found.conversation);
        self.file_alike(id);
        if self.conversations.contains_key(id) {
            let again = self.know_better(found, record, due.now);
            return (again && found.outcome.is_none(), false);
        }
        let last = found.outcome.filter(|_| !found.more).and_then(last_word);
        let transition = match last {
            None => Transition::Found,
            Some(_) => Transition::FoundWithOutcome,
        };
        let at = match found.live {
            true => found.conversation.start.saturating_add(due.horizon),
            false => due.now,
        };
        let is_final = last.is_some();
        let mut known = Known::found(transition, self.next_place(), found.conversation);
        let losses = last.as_ref().map(Outcome::losses).unwrap_or_default();
        known.record = Some(record);
        known.lost = !losses.is_empty();
        known.outcome = last;
        known.live = found.live;
        known.due = at;
        known.attempt = self.earlier.get(id).copied().unwrap_or_default() + 1;
        self.conversations.insert(id.clone(), known);
        self.totals.conversations += 1;
        (found.outcome.is_none() && at <= due.now, is_final)
    }

    /// Writes down what is known by now of a conversation; says whether there is something to do for it that
    /// there was not before.
    fn know_better(&mut self, found: &Found<'_>, record: ConversationRecord, now: u64) -> bool {
        let conversation = found.conversation;
        let Some(known) = self.conversations.get_mut(&conversation.id) else {
            return false;
        };
        if known.start == 0 {
            known.start = conversation.start;
        }
        // The facts from a fetch are not replaced by those from a later search.
        if known.is_open() && (known.fetch.is_none() || found.outcome.is_some()) {
            let recordings = known.record.take().map(|before| before.recordings);
            known.record = Some(ConversationRecord {
                recordings: recordings.unwrap_or_default(),
                ..record.clone()
            });
            known.ended = conversation.end;
            known.recorded = conversation.recorded;
            known.revision = known
                .revision
                .max(conversation.revision.filter(|new| *new > 0));
            let has_ended = known.live && !found.live;
            if has_ended {
                (known.live, known.due) = (false, now);
                if known.fetch.is_none() {
                    return true;
                }
            }
        }
        if found.live || !self.is_taken_up(found, now) {
            return false;
        }
        if let Some(known) = self.conversations.get_mut(&conversation.id) {
            known.record = Some(record);
            known.start = conversation.start;
            known.ended = conversation.end;
            known.recorded = conversation.recorded;
            known.live = false;
            known.revision = conversation.revision.or(known.revision);
        }
        true
    }

    /// Takes up again a conversation that was filed, if it had no recording and has one, it went on and has
    /// ended, there is more of it by now, or a sink lacks it; says whether it does. One that is under way is
    /// taken up when it has been filed.
    fn is_taken_up(&mut self, found: &Found<'_>, now: u64) -> bool {
        let conversation = found.conversation;
        let id = &conversation.id;
        let Some(known) = self.conversations.get_mut(id) else {
            return false;
        };
        if found.outcome.is_none() {
            let revision = conversation.revision.unwrap_or_default();
            let more = revision > known.revision.unwrap_or_default();
            let under_way = match known.stage() {
                Stage::Completed | Stage::Sealed => true,
                _ => known.is_open() && known.fetch.is_some(),
            };
            if more && under_way {
                known.newer_revision = known.newer_revision.max(Some(revision));
            }
            let recorded = conversation.recorded && !known.recorded;
            if known.stage().is_in_every_sink() && (recorded || more || known.live) {
                self.take_up(id, now);
                return true;
            }
        }
        self.is_apart(id) && self.take_up_for_sinks(id, now)
    }

    /// The record of a conversation, with the names that are known.
    fn named(&self, found: &Conversation) -> ConversationRecord {
        let mut record = ConversationRecord::from(found);
        let lists = [
            &mut record.agents,
            &mut record.queues,
            &mut record.wrap_up_codes,
        ];
        for (id, name) in lists.into_iter().flatten() {
            if name.is_none() {
                *name = self.names.get(id).cloned();
            }
        }
        let Ok(()) = record
            .name_divisions(|id| Ok::<_, std::convert::Infallible>(self.names.get(id).cloned()));
        record
    }

    /// Adds what is known of a recording to its conversation, unless its outcome is final.
    fn add_about(&mut self, about: &RecordingAttributes) {
        let known = self.conversations.get_mut(&about.conversation);
        let Some(known) = known.filter(|known| known.is_open()) else {
            return;
        };
        if let Some(record) = &mut known.record {
            let attributes = record.recordings.entry(about.recording.clone());
            attributes
                .or_default()
                .extend(about.attributes.iter().cloned());
        }
    }

    /// Notes how many conversations the source counts in a range; what it counted before of the same range or
    /// of parts of it is forgotten.
    fn add_count(&mut self, count: &ConversationCount, now: u64) {
        let (from, until) = (count.range.from, count.range.until);
        self.source_counts.retain(|(start, end), _| {
            let within = *start >= from && *end <= until;
            !within && *start != from && *end != until
        });
        let counted = (count.conversations, now);
        self.source_counts.insert((from, until), counted);
    }

    /// Adds an artifact. If it is to be delivered, these are the sinks that want it; none for all.
    fn add_artifact(&mut self, artifact: &Artifact, split: &str) -> Option<Option<Vec<String>>> {
        let key = artifact.key.to_text();
        let conversation = match &artifact.key {
            ArtifactKey::Recording(recording) => Some(recording.conversation.clone()),
            ArtifactKey::Bundle(_) => None,
        };
        // Of a conversation that nobody found there is nothing to file; a filed one is done with.
        let is_open = conversation.as_ref().is_none_or(|id| {
            let known = self.conversations.get(id);
            known.is_some_and(Known::is_open)
        });
        if is_open {
            let handed = self.artifacts.entry(key.clone()).or_insert_with(|| Handed {
                conversation,
                split: split.to_owned(),
                status: HandedStatus::Pending,
                failure: None,
                retryable: false,
            });
            if handed.status == HandedStatus::Pending {
                return Some(self.takers(&artifact.key, split));
            }
        }
        let owed = self.owed(&key);
        (!owed.is_empty()).then_some(Some(owed))
    }

    /// The sinks that an artifact is to be brought to; none for all.
    pub(super) fn takers(&self, artifact: &ArtifactKey, split: &str) -> Option<Vec<String>> {
        let id = match artifact {
            ArtifactKey::Recording(key) => Some(&key.conversation),
            // All conversations of a fetch are wanted by the same sinks.
            ArtifactKey::Bundle(_) => {
                let mut all = self.conversations.iter();
                let of = all.find(|(_, known)| known.is_open() && known.is_fetched_by(split));
                of.map(|(id, _)| id)
            }
        };
        let sinks = self.wanting(id?);
        (!sinks.is_empty()).then(|| sinks.into_iter().collect())
    }

    /// Notes what the source says has become of a conversation.
    fn set_outcome(&mut self, reported: &ReportedOutcome) {
        let known = self.conversations.get_mut(&reported.conversation);
        let Some(known) = known.filter(|known| known.is_open()) else {
            return;
        };
        match known.stage() {
            Stage::Wanted => known.go(Transition::ReportedByASearch),
            Stage::Fetching => known.go(Transition::Reported),
            _ => {}
        }
        let (outcome, bundle, retryable) = outcome(reported);
        known.outcome = Some(outcome);
        known.bundle = bundle;
        known.retryable = retryable;
        known.announced = announced(reported);
    }
}

/// What a step says of a conversation that it reports.
fn found<'a>(step: &'a Step, conversation: &'a Conversation) -> Found<'a> {
    let id = &conversation.id;
    let mut outcomes = step.outcomes.iter().rev();
    let outcome = outcomes.find(|reported| reported.conversation == *id);
    let live = outcome.is_some_and(goes_on);
    let is_of = |artifact: &Artifact| match &artifact.key {
        ArtifactKey::Recording(key) => key.conversation == *id,
        ArtifactKey::Bundle(_) => false,
    };
    let is_about = |update: &Update| match update {
        Update::Recording(about) => about.conversation == *id,
        _ => false,
    };
    Found {
        conversation,
        outcome: outcome.filter(|_| !live),
        live,
        more: step.artifacts.iter().any(is_of) || step.updates.iter().any(is_about),
    }
}
