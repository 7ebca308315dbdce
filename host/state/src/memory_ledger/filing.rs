//! From sealed to filed: receipts, and what every sink has.

use std::collections::BTreeSet;

use super::kept::Kept;
use crate::{
    Acknowledged,
    life_cycle::{Stage, Transition},
};

impl Kept {
    pub(crate) fn filed(
        &mut self,
        number: i64,
        sink: String,
        keep: bool,
        now: u64,
    ) -> Acknowledged {
        let ids = self.ids_of(number, Stage::Sealed);
        let counted = self.is_joined(number);
        // A conversation that is apart is in other segments in other sinks.
        let apart = ids.iter().any(|id| self.is_apart(id));
        let replaces = self.replaced.values().any(|by| *by == number);
        let keep = keep && !replaces && !apart;
        self.has_segment(number, &sink);
        if self.filings_left(number) > 0 {
            return Acknowledged::default();
        }
        if !counted {
            self.count_filed(&ids);
        }
        let mut grown = 0;
        for id in ids {
            self.drop_artifacts(&id);
            if keep {
                self.go(&id, Transition::FiledCompactable);
            }
            if self.has_grown(&id) {
                self.take_up(&id, now);
                grown += 1;
            } else if !keep {
                self.forget(&id, Transition::Filed);
            }
        }
        Acknowledged {
            everywhere: true,
            grown,
        }
    }

    /// Notes that a sink has a segment: it is not to be filed in it any more, and lacks nothing of it.
    pub(super) fn has_segment(&mut self, number: i64, sink: &str) {
        self.filings.remove(&(number, sink.to_owned()));
        for id in self.ids_of(number, Stage::Sealed) {
            self.has_got(&id, sink);
        }
    }

    fn has_grown(&self, id: &str) -> bool {
        let known = self.conversations.get(id);
        known.is_some_and(super::kept::Known::has_grown)
    }

    /// Forgets the artifacts of a conversation: they are in every sink.
    fn drop_artifacts(&mut self, id: &str) {
        self.artifacts
            .retain(|_, of| of.conversation.as_deref() != Some(id));
    }

    /// Counts conversations that every sink has.
    fn count_filed(&mut self, ids: &[String]) {
        for known in ids.iter().filter_map(|id| self.conversations.get(id)) {
            self.totals.objects += known.objects;
            self.totals.bytes += known.bytes;
            if let Some(outcome) = &known.outcome {
                *self.totals.outcomes.entry(outcome.word()).or_default() += 1;
            }
        }
    }

    /// The sealed segments in the place of smaller ones, which have been counted.
    pub(super) fn joined(&self) -> BTreeSet<i64> {
        let sealed = self.sealed_segments().into_iter();
        sealed.filter(|number| self.is_joined(*number)).collect()
    }

    fn sealed_segments(&self) -> BTreeSet<i64> {
        let all = self.conversations.values();
        let sealed = all.filter(|known| known.is(Stage::Sealed));
        sealed.filter_map(|known| known.segment).collect()
    }

    /// Files what no sink is left for. What is in `joined` is counted already.
    pub(super) fn release(&mut self, joined: &BTreeSet<i64>) {
        for number in self.sealed_segments() {
            if self.filings_left(number) > 0 {
                continue;
            }
            let ids = self.ids_of(number, Stage::Sealed);
            if !joined.contains(&number) {
                self.count_filed(&ids);
            }
            for id in ids {
                self.drop_artifacts(&id);
                let due = self.conversations.get(&id).map(|known| known.due);
                match due.filter(|_| self.has_grown(&id)) {
                    // It was due before: it is overdue now.
                    Some(due) => self.take_up(&id, due),
                    None => self.forget(&id, Transition::Filed),
                }
            }
        }
    }

    pub(crate) fn fixed_receipt(&self, segment: i64, sink: String) -> Option<Vec<u8>> {
        self.filings.get(&(segment, sink)).cloned().flatten()
    }

    pub(crate) fn fix_receipt(&mut self, segment: i64, sink: String, bytes: Vec<u8>) -> Vec<u8> {
        match self.filings.get_mut(&(segment, sink)) {
            Some(receipt) => receipt.get_or_insert(bytes).clone(),
            None => bytes,
        }
    }

    pub(crate) fn release_receipt(&mut self, segment: i64, sink: String) {
        if let Some(receipt) = self.filings.get_mut(&(segment, sink)) {
            *receipt = None;
        }
    }

    pub(crate) fn expect_filing(&mut self, segment: i64, sink: String) {
        self.filings.entry((segment, sink.clone())).or_default();
        // What some sinks alone lack stays apart until each has it.
        for id in self.ids_of(segment, Stage::Sealed) {
            if let Some(sinks) = self.wanting.get_mut(&id) {
                sinks.entry(sink.clone()).or_insert(false);
            }
        }
        self.replace_in(&sink);
    }

    /// Has what joined segments replace give way in a sink, too, that is to get them besides those they were
    /// closed for.
    pub(super) fn replace_in(&mut self, sink: &str) {
        let all = self.replaced.iter();
        let by: BTreeSet<(i64, i64)> = all.map(|((segment, _), by)| (*segment, *by)).collect();
        for (segment, by) in by {
            let expected = self.filings.contains_key(&(by, sink.to_owned()));
            if expected && self.is_joined(by) {
                let place = (segment, sink.to_owned());
                self.replaced.entry(place).or_insert(by);
            }
        }
    }

    pub(crate) fn set_rows(&mut self, segment: i64, sink: String, sha256: String) {
        self.rows.insert((segment, sink), sha256);
    }

    pub(crate) fn rows(&self, segment: i64, sink: String) -> Option<String> {
        self.rows.get(&(segment, sink)).cloned()
    }

    pub(crate) fn readme(&self, sink: String) -> i64 {
        self.readmes.get(&sink).copied().unwrap_or_default()
    }

    pub(crate) fn set_readme(&mut self, sink: String, version: i64) {
        self.readmes.insert(sink, version);
    }
}
