//! The data of a ledger in memory, and what several parts do with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    KnownSink, ReceiptSummary,
    life_cycle::{Stage, Transition},
    memory::Splits,
};
use recording_host_model::{Conversation, ConversationRecord, Object, Outcome, day};

/// All that a ledger and its work queue know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(super) splits: Splits,
    /// By their ids.
    pub(super) conversations: BTreeMap<String, Known>,
    /// By their keys as text.
    pub(super) artifacts: BTreeMap<String, Handed>,
    /// What sinks hold of conversations that no receipt names yet.
    pub(super) objects: BTreeMap<Place, Object>,
    /// By sink and artifact, what some sinks have and others lack, and what waits for sinks that are away.
    pub(super) backlog: BTreeMap<(String, String), Owed>,
    /// By conversation, the sinks that alone are to get it, and whether each has had it before.
    pub(super) wanting: BTreeMap<String, BTreeMap<String, bool>>,
    /// The day of each segment.
    pub(super) segments: BTreeMap<i64, String>,
    /// By segment and sink it is to be filed in, the bytes of its receipt once they are fixed.
    pub(super) filings: BTreeMap<(i64, String), Option<Vec<u8>>>,
    /// By segment and sink that is to remove its files, the segment that takes its place.
    pub(super) replaced: BTreeMap<(i64, String), i64>,
    /// Segments, with their days, that a conversation was taken out of again while it could be compacted.
    pub(super) stale: BTreeMap<i64, String>,
    /// By segment and sink whose files are wrong, the day.
    pub(super) voided: BTreeMap<(i64, String), String>,
    /// The sha256 of a segment's rows in a sink.
    pub(super) rows: BTreeMap<(i64, String), String>,
    /// The version of the text about the archive in each sink.
    pub(super) readmes: BTreeMap<String, i64>,
    pub(super) sinks: BTreeMap<String, KnownSink>,
    /// At which attempt a conversation was lost before, by receipts.
    pub(super) earlier: BTreeMap<String, u32>,
    /// What another export proves that this one has not found yet.
    pub(super) alike: BTreeMap<String, ReceiptSummary>,
    /// The names of ids, as the source reported them.
    pub(super) names: BTreeMap<String, String>,
    /// By their numbers.
    pub(super) searches: BTreeMap<u64, Search>,
    /// By range, how many conversations the source counted in it, and when.
    pub(super) source_counts: BTreeMap<(u64, u64), (u64, u64)>,
    pub(super) notes: BTreeMap<String, String>,
    pub(super) paused_until: u64,
    pub(super) totals: Totals,
    /// How many searches were begun.
    pub(super) begun: u64,
    /// How many fetches were begun.
    pub(super) fetches: u64,
    pub(super) search_again: bool,
    /// The sequence of the last report that was applied.
    pub(super) applied: u64,
    ready: bool,
}

/// An object in a sink: the sink, the key, the member of an archive, and the conversation.
pub(super) type Place = (String, String, String, String);

/// What was counted once and is not counted again.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) conversations: u64,
    pub(super) artifacts: u64,
    /// Of what every sink has, as the three below.
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) outcomes: BTreeMap<&'static str, u64>,
}

/// A range of time, and its search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) begun: u64,
    pub(super) over: bool,
}

/// An artifact that a step handed over, or a recording that is missing in an archive.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    /// None for a bundle.
    pub(super) conversation: Option<String>,
    /// Empty for a recording that is missing.
    pub(super) split: String,
    pub(super) status: HandedStatus,
    /// Code and message of one that failed.
    pub(super) failure: Option<(String, String)>,
    pub(super) retryable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandedStatus {
    Pending,
    Stored,
    Failed,
}

/// An artifact that a sink is owed, or that it does without.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub(super) split: String,
    pub(super) conversation: Option<String>,
    /// Code and message, if it is lost for the sink.
    pub(super) lost: Option<(String, String)>,
}

/// A conversation.
#[derive(Clone, Debug)]
pub(super) struct Known {
    stage: Stage,
    /// Its place in the order in which conversations became known.
    pub(super) place: u64,
    pub(super) day: String,
    /// 0 for one that receipts alone prove.
    pub(super) start: u64,
    pub(super) ended: Option<u64>,
    pub(super) recorded: bool,
    pub(super) record: Option<ConversationRecord>,
    pub(super) outcome: Option<Outcome>,
    pub(super) retryable: bool,
    pub(super) bundle: Option<String>,
    pub(super) segment: Option<i64>,
    pub(super) fetch: Option<String>,
    /// When it is to be fetched, and once that has begun, when that was.
    pub(super) due: u64,
    pub(super) attempt: u32,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// True if its final outcome is a loss.
    pub(super) lost: bool,
    /// How much there was of it at the source when it was fetched.
    pub(super) revision: Option<u64>,
    /// How much there was by the time it was under way.
    pub(super) newer_revision: Option<u64>,
    /// How many may be together in a fetch, where one with more of them failed.
    pub(super) together: Option<usize>,
    /// True if a run has named its loss.
    pub(super) named: bool,
    /// True if it had not ended when it was found.
    pub(super) live: bool,
    pub(super) announced: Option<u32>,
}

impl Known {
    /// A conversation that becomes known.
    pub(super) fn new(transition: Transition, place: u64, day: String) -> Self {
        let (from, stage) = transition.ends();
        assert_eq!(from, None, "life cycle: nothing begins by {transition:?}");
        Known {
            stage,
            place,
            day,
            start: 0,
            ended: None,
            recorded: true,
            record: None,
            outcome: None,
            retryable: false,
            bundle: None,
            segment: None,
            fetch: None,
            due: 0,
            attempt: 1,
            objects: 0,
            bytes: 0,
            lost: false,
            revision: None,
            newer_revision: None,
            together: None,
            named: false,
            live: false,
            announced: None,
        }
    }

    /// One that is found, as the source reports it.
    pub(super) fn found(transition: Transition, place: u64, found: &Conversation) -> Self {
        Known {
            start: found.start,
            ended: found.end,
            recorded: found.recorded,
            revision: found.revision,
            ..Self::new(transition, place, day(found.start))
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn is(&self, stage: Stage) -> bool {
        self.stage == stage
    }

    /// Returns true if its outcome is not final.
    pub(super) fn is_open(&self) -> bool {
        !self.stage.is_final()
    }

    /// Returns true if a fetch has it whose splits' ids begin as this one does.
    pub(super) fn is_fetched_by(&self, split: &str) -> bool {
        let fetch = self.fetch.as_ref();
        fetch.is_some_and(|fetch| split.starts_with(fetch.as_str()))
    }

    /// Moves it along the life cycle.
    pub(super) fn go(&mut self, transition: Transition) {
        let (from, to) = transition.ends();
        let at = self.stage;
        assert_eq!(from, Some(at), "life cycle: no {transition:?} from {at:?}");
        self.stage = to;
    }

    /// Forgets what was said of it, and has it requested once more.
    pub(super) fn request_again(&mut self, due: u64) {
        self.outcome = None;
        self.retryable = false;
        self.bundle = None;
        self.fetch = None;
        self.announced = None;
        self.due = due;
        if let Some(newer) = self.newer_revision.take() {
            self.revision = Some(newer.max(self.revision.unwrap_or_default()));
        }
    }

    /// Returns true if there is more of it at the source than when it was fetched.
    pub(super) fn has_grown(&self) -> bool {
        let newer = self.newer_revision.unwrap_or_default();
        newer > self.revision.unwrap_or_default()
    }
}

impl Kept {
    /// Has all workers have stopped; says whether all that the receipts prove is known. If not, what was
    /// recovered is forgotten.
    pub(super) fn restart(&mut self) -> bool {
        self.splits.end_claims();
        if !self.ready {
            self.conversations.clear();
            self.segments.clear();
            self.replaced.clear();
            self.stale.clear();
            self.earlier.clear();
            self.wanting.clear();
            self.alike.clear();
            self.totals = Totals::default();
            (self.begun, self.fetches, self.search_again) = (0, 0, false);
            self.applied = 0;
        }
        self.ready
    }

    /// Notes that all that the receipts prove is known.
    pub(crate) fn set_ready(&mut self) {
        self.ready = true;
    }

    /// The place of the next conversation that becomes known.
    pub(super) fn next_place(&self) -> u64 {
        let places = self.conversations.values().map(|known| known.place);
        places.max().map_or(0, |last| last + 1)
    }

    /// The ids of the conversations at a stage.
    pub(super) fn ids_at(&self, stage: Stage) -> Vec<String> {
        let all = self.conversations.iter();
        let at = all.filter(|(_, known)| known.is(stage));
        at.map(|(id, _)| id.clone()).collect()
    }

    /// How many conversations are at a stage.
    pub(super) fn count_at(&self, stage: Stage) -> u64 {
        let all = self.conversations.values();
        all.filter(|known| known.is(stage)).count() as u64
    }

    pub(super) fn is_at(&self, id: &str, stage: Stage) -> bool {
        let known = self.conversations.get(id);
        known.is_some_and(|known| known.is(stage))
    }

    /// The ids of the conversations of a segment, at a stage.
    pub(super) fn ids_of(&self, segment: i64, stage: Stage) -> Vec<String> {
        let all = self.conversations.iter();
        let of = all.filter(|(_, known)| known.segment == Some(segment) && known.is(stage));
        of.map(|(id, _)| id.clone()).collect()
    }

    /// Moves a conversation that is known.
    pub(super) fn go(&mut self, id: &str, transition: Transition) {
        if let Some(known) = self.conversations.get_mut(id) {
            known.go(transition);
        }
    }

    /// The sinks that a conversation is to be brought to, if not to all.
    pub(super) fn wanting(&self, id: &str) -> BTreeSet<String> {
        let sinks = self.wanting.get(id).into_iter().flatten();
        sinks.map(|(sink, _)| sink.clone()).collect()
    }

    /// Returns true if some sinks alone are to get a conversation.
    pub(super) fn is_apart(&self, id: &str) -> bool {
        self.wanting.contains_key(id)
    }

    /// Has a sink no longer lack a conversation.
    pub(super) fn has_got(&mut self, id: &str, sink: &str) {
        if let Some(sinks) = self.wanting.get_mut(id) {
            sinks.remove(sink);
            if sinks.is_empty() {
                self.wanting.remove(id);
            }
        }
    }

    /// The sinks that are owed an artifact and may still get it.
    pub(super) fn owed(&self, artifact: &str) -> Vec<String> {
        let backlog = self.backlog.iter();
        let owed = backlog.filter(|((_, of), owed)| of == artifact && owed.lost.is_none());
        owed.map(|((sink, _), _)| sink.clone()).collect()
    }

    /// The artifacts that are to be delivered, those left out that wait for sinks that are away.
    pub(super) fn to_deliver(&self) -> impl Iterator<Item = (&String, &Handed)> {
        let all = self.artifacts.iter();
        all.filter(|(key, handed)| {
            handed.status == HandedStatus::Pending && self.owed(key).is_empty()
        })
    }

    /// Forgets the results of a conversation.
    pub(super) fn drop_results(&mut self, id: &str) {
        let is_of = |conversation: &Option<String>| conversation.as_deref() == Some(id);
        self.artifacts.retain(|_, of| !is_of(&of.conversation));
        self.backlog.retain(|_, of| !is_of(&of.conversation));
        self.objects.retain(|_, of| of.conversation != id);
    }

    /// Forgets of a conversation what failed: it is requested once more.
    pub(super) fn drop_failed(&mut self, id: &str) {
        self.artifacts.retain(|_, of| {
            of.conversation.as_deref() != Some(id) || of.status != HandedStatus::Failed
        });
    }

    /// Takes a conversation up again that a segment has, as another attempt.
    pub(super) fn take_up(&mut self, id: &str, now: u64) {
        let Some(known) = self.conversations.get_mut(id) else {
            return;
        };
        let transition = match known.stage {
            Stage::Sealed => Transition::GrownMeanwhile,
            Stage::Compactable => Transition::TakenUpWhileCompactable,
            _ => Transition::TakenUp,
        };
        if let (Stage::Compactable, Some(segment)) = (known.stage, known.segment) {
            let day = known.day.clone();
            self.stale.entry(segment).or_insert(day);
        }
        if let Some(outcome) = &known.outcome {
            let of_it = self.totals.outcomes.entry(outcome.word()).or_default();
            *of_it -= 1;
        }
        self.totals.objects -= known.objects;
        self.totals.bytes -= known.bytes;
        known.go(transition);
        known.request_again(now);
        known.attempt += 1;
        known.segment = None;
        (known.objects, known.bytes, known.lost) = (0, 0, false);
        self.wanting.remove(id);
        self.drop_results(id);
    }

    /// Forgets all of a conversation that every sink has but its id, counts, and what another attempt at a
    /// loss would need.
    pub(super) fn forget(&mut self, id: &str, transition: Transition) {
        self.objects.retain(|_, of| of.conversation != id);
        self.backlog
            .retain(|_, of| of.conversation.as_deref() != Some(id));
        if let Some(known) = self.conversations.get_mut(id) {
            known.go(transition);
            known.record = known.record.take().filter(|_| known.lost);
        }
    }

    /// Numbers a segment of a day.
    pub(super) fn next_segment(&mut self, day: &str) -> i64 {
        let number = self.last_segment() + 1;
        self.segments.insert(number, day.to_owned());
        number
    }
}
