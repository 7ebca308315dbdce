//! The proofs in receipts, and the work that is done where they are missing.

use std::collections::{BTreeSet, HashSet};

use super::kept::{Kept, Known};
use crate::{
    ReceiptSummary, Unproven, VoidSegment, hashed,
    life_cycle::{Stage, Transition},
};
use recording_host_model::Outcome;

impl Kept {
    pub(crate) fn recover(
        &mut self,
        proven: Vec<ReceiptSummary>,
        segments: BTreeSet<(i64, String)>,
        replaced: Vec<(i64, String, i64)>,
        now: u64,
    ) -> u64 {
        for (number, day) in segments {
            self.segments.entry(number).or_insert(day);
        }
        for (segment, sink, by) in replaced {
            self.replaced.entry((segment, sink)).or_insert(by);
        }
        // None has the name of a fetch that is forgotten.
        if self.fetches == 0 {
            self.fetches = now / 1000;
        }
        let mut done = 0;
        for one in proven {
            if one.outcome.is_none() {
                self.earlier.insert(one.conversation, one.attempt);
                continue;
            }
            done += 1;
            for (sink, further) in &one.lacking {
                let sinks = self.wanting.entry(one.conversation.clone()).or_default();
                sinks.insert(sink.clone(), *further);
            }
            if one.alike {
                self.alike.insert(one.conversation.clone(), one);
            } else {
                self.prove(one);
            }
        }
        done
    }

    /// Files what is proven, unless it is known.
    fn prove(&mut self, one: ReceiptSummary) {
        let Some(outcome) = one.outcome else {
            return;
        };
        if self.conversations.contains_key(&one.conversation) {
            return;
        }
        self.totals.conversations += 1;
        self.totals.objects += one.objects;
        self.totals.bytes += one.bytes;
        *self.totals.outcomes.entry(outcome.word()).or_default() += 1;
        let mut known = Known::new(Transition::Proven, self.next_place(), one.day);
        // That it has ended is all that is known of its end.
        known.ended = Some(0);
        known.recorded = outcome != Outcome::NoRecording;
        known.outcome = Some(outcome);
        known.attempt = one.attempt;
        (known.objects, known.bytes) = (one.objects, one.bytes);
        known.revision = one.extent;
        self.conversations.insert(one.conversation, known);
    }

    /// Files a conversation that is found and that another export proves.
    pub(super) fn file_alike(&mut self, id: &str) {
        if let Some(alike) = self.alike.remove(id) {
            self.prove(alike);
        }
    }

    pub(crate) fn file_again(&mut self, segment: VoidSegment, now: u64) -> Option<u64> {
        let under_way = |id: &String| {
            let known = self.conversations.get(id);
            known.is_some_and(|known| !known.stage().is_in_every_sink())
        };
        if segment.conversations.iter().any(under_way) {
            return None;
        }
        self.keep_none();
        for id in &segment.conversations {
            self.lack(id, &segment.sink);
        }
        for one in &segment.sound {
            self.fill(one, now);
        }
        let (number, day) = (segment.number, segment.day);
        self.segments.entry(number).or_insert_with(|| day.clone());
        self.voided.entry((number, segment.sink)).or_insert(day);
        Some(segment.sound.len() as u64)
    }

    pub(crate) fn unproven(&self, sink: String, proven: HashSet<u64>) -> Unproven {
        let mut unproven = Unproven::default();
        for (id, known) in &self.conversations {
            let lackers = self.wanting.get(id);
            if proven.contains(&hashed(id)) || lackers.is_some_and(|of| of.contains_key(&sink)) {
                continue;
            }
            if known.stage().is_in_every_sink() {
                unproven.filed.push(id.clone());
            } else if lackers.is_some() {
                unproven.under_way += 1;
            }
        }
        unproven
    }

    pub(crate) fn last_filed(&self, id: String) -> Option<(u32, u64)> {
        let known = self.conversations.get(&id)?;
        let filed = known.stage().is_in_every_sink();
        filed.then_some((known.attempt, known.objects))
    }

    pub(crate) fn filed_in(&self, segment: i64) -> Vec<String> {
        let mut ids = self.ids_of(segment, Stage::Compactable);
        ids.extend(self.ids_of(segment, Stage::Filed));
        ids.sort_unstable();
        ids
    }
}
