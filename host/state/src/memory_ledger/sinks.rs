//! The sinks that the export has known, and what some of them lack that others have.

use std::collections::{BTreeMap, BTreeSet};

use super::kept::{HandedStatus, Kept};
use crate::{
    Backfilled, KnownSink,
    life_cycle::{Stage, Transition},
    sinks::SEALED_AT_ONCE,
};

impl Kept {
    pub(crate) fn sinks(&self) -> Vec<KnownSink> {
        self.sinks.values().cloned().collect()
    }

    pub(crate) fn set_sink(&mut self, sink: KnownSink) {
        self.sinks.insert(sink.name.clone(), sink);
    }

    pub(crate) fn lapse(&mut self, present: Vec<String>) {
        let joined = self.joined();
        let is_there = |sink: &String| present.contains(sink);
        let lacking = self.wanting.values().flatten();
        if lacking.map(|(sink, _)| sink).any(|sink| !is_there(sink)) {
            // What was copied for some sinks is not there for all.
            self.seal_apart(1, SEALED_AT_ONCE);
        }
        for (name, sink) in &mut self.sinks {
            sink.lapsed |= !is_there(name);
        }
        self.backlog.retain(|(sink, _), _| is_there(sink));
        self.filings.retain(|(_, sink), _| is_there(sink));
        self.replaced.retain(|(_, sink), _| is_there(sink));
        let conversations = &mut self.conversations;
        self.wanting.retain(|id, sinks| {
            let further = sinks.values().any(|further| *further);
            sinks.retain(|sink, _| is_there(sink));
            let known = conversations.get_mut(id);
            if let (Some(known), true, false) = (known, sinks.is_empty(), further) {
                // The others have it at this attempt.
                known.attempt += u32::from(known.is_open());
            }
            !sinks.is_empty()
        });
        self.release(&joined);
    }

    pub(crate) fn has_stored(&self) -> bool {
        self.stored_where(|stage| !stage.is_in_every_sink())
            .next()
            .is_some()
    }

    /// The artifacts that are stored: of one conversation, or of several of which one is at such a stage. A
    /// bundle stays known when all of its conversations are filed.
    fn stored_where(&self, is_one: impl Fn(Stage) -> bool) -> impl Iterator<Item = &String> {
        let stored = self.artifacts.iter();
        let stored = stored.filter(|(_, of)| of.status == HandedStatus::Stored);
        let stored = stored.filter(move |(key, of)| {
            let mut inside = self.conversations.values();
            of.conversation.is_some()
                || inside.any(|one| one.bundle.as_ref() == Some(key) && is_one(one.stage()))
        });
        stored.map(|(key, _)| key)
    }

    pub(crate) fn has_filed(&self) -> bool {
        let mut all = self.conversations.values();
        all.any(|known| known.stage().is_in_every_sink())
    }

    pub(crate) fn has_delivered(&self) -> bool {
        let mut artifacts = self.artifacts.values();
        self.has_filed()
            || self.count_at(Stage::Sealed) > 0
            || artifacts.any(|of| of.status == HandedStatus::Stored)
    }

    pub(crate) fn has_object(&self, sink: String, key: String) -> bool {
        let mut objects = self.objects.keys();
        objects.any(|(of, at, ..)| (of, at) == (&sink, &key))
    }

    pub(crate) fn lacks_all(&mut self, sink: String) {
        // What was copied for some sinks has no artifacts that others could be owed.
        self.seal_apart(1, SEALED_AT_ONCE);
        let under_way = |stage: Stage| !stage.is_in_every_sink();
        let stored: Vec<String> = self.stored_where(under_way).cloned().collect();
        let sealed = self.ids_at(Stage::Sealed).into_iter();
        let (apart, whole): (Vec<_>, Vec<_>) = sealed.partition(|id| self.is_apart(id));
        for key in stored {
            let of_apart = |id: &String| {
                let known = self.conversations.get(id);
                let handed = self.artifacts.get(&key);
                handed.is_some_and(|of| of.conversation.as_ref() == Some(id))
                    || known.is_some_and(|known| known.bundle.as_ref() == Some(&key))
            };
            let is_apart = apart.iter().any(of_apart);
            if !is_apart && !self.backlog.contains_key(&(sink.clone(), key.clone())) {
                self.owe(&key, &sink, None);
            }
        }
        for known in whole.iter().filter_map(|id| self.conversations.get(id)) {
            if let Some(number) = known.segment {
                self.filings.entry((number, sink.clone())).or_default();
            }
        }
        self.replace_in(&sink);
        self.keep_none();
        self.readmes.remove(&sink);
        let filed = self.ids_at(Stage::Filed);
        let under_way: Vec<String> = self.wanting.keys().cloned().collect();
        let alike: Vec<String> = self.alike.keys().cloned().collect();
        for id in filed.into_iter().chain(under_way).chain(alike) {
            let sinks = self.wanting.entry(id).or_default();
            sinks.entry(sink.clone()).or_insert(false);
        }
    }

    pub(crate) fn lacks(&mut self, sink: String, conversations: Vec<String>) -> u64 {
        self.keep_none();
        let lacking = conversations.iter().filter(|id| self.lack(id, &sink));
        lacking.count() as u64
    }

    /// Notes that a sink lacks a filed conversation that it has had before; says whether it is filed.
    pub(super) fn lack(&mut self, id: &str, sink: &str) -> bool {
        let filed = self.is_at(id, Stage::Filed);
        if filed {
            let sinks = self.wanting.entry(id.to_owned()).or_default();
            sinks.insert(sink.to_owned(), true);
        }
        filed
    }

    pub(crate) fn has_segments(&mut self, sink: String, segments: Vec<(i64, String)>) {
        let joined = self.joined();
        for (number, day) in segments {
            let known = self.segments.entry(number).or_insert_with(|| day.clone());
            // One of another day with this number was filed by another ledger.
            if *known == day {
                self.has_segment(number, &sink);
            }
        }
        self.release(&joined);
    }

    pub(crate) fn has(&mut self, sink: String, conversations: Vec<(String, u32)>, further: bool) {
        for (id, attempt) in conversations {
            let known = self.conversations.get(&id);
            let known = known.filter(|known| known.is(Stage::Filed));
            // A later attempt is not what the receipts prove.
            if known.is_none_or(|known| known.attempt > attempt) {
                continue;
            }
            if !further {
                self.has_got(&id, &sink);
            } else if let Some(had) = self.wanting.get_mut(&id).and_then(|of| of.get_mut(&sink)) {
                *had = true;
            }
        }
    }

    pub(crate) fn lacking(&self) -> BTreeMap<String, u64> {
        let mut lacking = BTreeMap::new();
        for (id, sinks) in &self.wanting {
            if self.is_at(id, Stage::Filed) {
                for sink in sinks.keys() {
                    *lacking.entry(sink.clone()).or_default() += 1;
                }
            }
        }
        lacking
    }

    pub(crate) fn lackers(&self, conversations: Vec<String>) -> BTreeMap<String, BTreeSet<String>> {
        let filed = conversations.into_iter();
        let filed = filed.filter(|id| self.is_at(id, Stage::Filed) && self.is_apart(id));
        filed.map(|id| (id.clone(), self.wanting(&id))).collect()
    }

    pub(crate) fn filled(
        &mut self,
        lacking: Vec<Backfilled>,
        refused: Vec<(String, String)>,
        now: u64,
    ) -> usize {
        for (id, sink) in &refused {
            if self.is_at(id, Stage::Filed) {
                self.has_got(id, sink);
            }
        }
        let wanted = lacking.iter().filter(|one| self.fill(one, now));
        wanted.count()
    }

    /// Brings a filed conversation to the sinks that lack it; says whether it is to be fetched.
    pub(super) fn fill(&mut self, one: &Backfilled, now: u64) -> bool {
        let id = &one.conversation;
        let sinks = self.wanting(id);
        if one.record.is_none() || sinks.is_empty() || !self.take_up_for_sinks(id, now) {
            return false;
        }
        let copied = sinks.is_subset(&one.filled);
        let mut by_sink = BTreeMap::<&str, (u64, u64)>::new();
        for (sink, object) in one.objects.iter().filter(|_| copied) {
            self.add_object(sink, object);
            if !object.aside {
                let (objects, bytes) = by_sink.entry(sink).or_default();
                *objects += 1;
                *bytes += object.size;
            }
        }
        let Some(known) = self.conversations.get_mut(id) else {
            return false;
        };
        known.record.clone_from(&one.record);
        if !copied {
            return true;
        }
        known.go(Transition::CopiedBetweenSinks);
        known.objects = by_sink.values().map(|of| of.0).max().unwrap_or_default();
        known.bytes = by_sink.values().map(|of| of.1).max().unwrap_or_default();
        known.lost = !one.outcome.losses().is_empty();
        known.outcome = Some(one.outcome.clone());
        known.revision = one.extent.or(known.revision);
        // Its loss was named when it was filed first.
        known.named = true;
        false
    }

    /// Takes up a filed conversation that sinks lack, as a further attempt if one of them has had it before;
    /// says whether it is filed.
    pub(super) fn take_up_for_sinks(&mut self, id: &str, now: u64) -> bool {
        if !self.is_at(id, Stage::Filed) {
            return false;
        }
        let sinks = self.wanting.get(id).cloned().unwrap_or_default();
        self.take_up(id, now);
        if let (Some(known), false) = (
            self.conversations.get_mut(id),
            sinks.values().any(|further| *further),
        ) {
            known.attempt -= 1;
        }
        if !sinks.is_empty() {
            self.wanting.insert(id.to_owned(), sinks);
        }
        true
    }
}
