//! How far the export is, and what it says of itself.

use std::collections::BTreeMap;

use super::kept::{HandedStatus, Kept, Known};
use crate::{QueueStock, SinkLag, Status, life_cycle::Stage};
use recording_host_model::{Outcome, Progress};

impl Kept {
    pub(crate) fn progress(&self) -> Progress {
        let totals = &self.totals;
        let filed = totals.outcomes.iter().filter(|(_, number)| **number > 0);
        let filed: BTreeMap<String, u64> = filed
            .map(|(word, number)| ((*word).to_owned(), *number))
            .collect();
        let over = self.searches.values().filter(|search| search.over);
        let counts = self.source_counts.values();
        let counts = counts.map(|(conversations, _)| *conversations);
        // Those of a segment that takes the place of others are filed, and counted there.
        let all = self.conversations.iter();
        let ready = all.filter(|(id, known)| match (known.stage(), known.segment) {
            (Stage::Completed, _) => true,
            (Stage::Sealed, Some(number)) => !self.is_joined(number) || self.is_apart(id),
            _ => false,
        });
        let stored = filed.values().sum::<u64>() + ready.count() as u64;
        Progress {
            conversations: totals.conversations,
            artifacts: totals.artifacts,
            objects: totals.objects,
            bytes: totals.bytes,
            filed,
            watermark: over.map(|search| search.until).max(),
            counted: (!self.source_counts.is_empty()).then(|| counts.sum()),
            stored,
            fetched: stored + self.count_at(Stage::Reported),
        }
    }

    pub(crate) fn stock(&self) -> QueueStock {
        QueueStock {
            behind: self.behind(),
            // It has no files.
            bytes: 0,
        }
    }

    /// How far each sink is behind, if it is.
    fn behind(&self) -> BTreeMap<String, SinkLag> {
        let mut behind = BTreeMap::<String, SinkLag>::new();
        for ((sink, _), owed) in &self.backlog {
            if owed.lost.is_none() {
                behind.entry(sink.clone()).or_default().artifacts += 1;
            }
        }
        for (number, sink) in self.filings.keys() {
            let sealed = self.ids_of(*number, Stage::Sealed).len() as u64;
            if sealed > 0 {
                behind.entry(sink.clone()).or_default().conversations += sealed;
            }
        }
        behind
    }

    pub(crate) fn set_paused_until(&mut self, until: u64) {
        self.paused_until = until;
    }

    pub(crate) fn status(&self) -> Status {
        let open = self.splits.open();
        let mut splits = BTreeMap::new();
        for (split, _) in &open {
            *splits.entry(split.kind.clone()).or_default() += 1;
        }
        let unfiled = [Stage::Reported, Stage::Completed, Stage::Sealed];
        let all = || self.conversations.values();
        let pending = self.artifacts.values();
        let pending = pending.filter(|of| of.status == HandedStatus::Pending);
        Status {
            progress: self.progress(),
            splits,
            next_split: open.first().map(|(_, due)| *due),
            wanted: self.count_at(Stage::Wanted),
            next_wanted: self.next_wanted(true),
            fetching: self.count_at(Stage::Fetching),
            pending: pending.count() as u64,
            unfiled: unfiled.into_iter().map(|stage| self.count_at(stage)).sum(),
            behind: self.behind(),
            lost: all().filter(|known| is_loss(known)).count() as u64,
            lacking: self.lacking(),
            live: all().filter(|known| known.live && known.is_open()).count() as u64,
            paused_until: Some(self.paused_until).filter(|until| *until > 0),
        }
    }

    pub(crate) fn losses(&self, most: usize, new: bool) -> Vec<(String, String, String)> {
        let all = self.conversations.iter();
        let lost = all.filter(|(_, known)| is_loss(known) && !(new && known.named));
        let mut losses = Vec::new();
        for (id, known) in lost.take(most) {
            let of_it = known.outcome.as_ref().map(Outcome::losses);
            let of_it = of_it.into_iter().flatten();
            losses.extend(of_it.map(|(code, message)| (id.clone(), code, message)));
        }
        losses
    }

    pub(crate) fn not_filed(&self, sink: String) -> Vec<String> {
        let objects = self.objects.keys();
        let mut keys: Vec<String> = objects
            .filter(|(of, ..)| *of == sink)
            .map(|(_, key, ..)| key.clone())
            .collect();
        keys.dedup();
        keys
    }

    pub(crate) fn losses_to_name(&self) -> u64 {
        let all = self.conversations.values();
        all.filter(|known| is_loss(known) && !known.named).count() as u64
    }

    pub(crate) fn report_losses(&mut self) {
        for known in self.conversations.values_mut() {
            known.named |= is_loss(known);
        }
    }

    pub(crate) fn meta(&self, name: &'static str) -> Option<String> {
        self.notes.get(name).cloned()
    }

    pub(crate) fn set_meta(&mut self, name: String, value: String) {
        self.notes.insert(name, value);
    }
}

/// Returns true if a conversation is filed with a loss.
fn is_loss(known: &Known) -> bool {
    known.lost && known.stage().is_in_every_sink()
}
