//! Segments: sealed of what is completed, and joined to larger ones.

use std::collections::{BTreeMap, BTreeSet};

use super::kept::{Kept, Known};
use crate::{
    QueueError, SupersededSegment,
    compact::groups,
    life_cycle::{Stage, Transition},
};
use recording_host_model::{CompletedConversation, Segment};

impl Kept {
    pub(crate) fn seal_segments(&mut self, least: usize, most: usize, sinks: Vec<String>) {
        let least = least.max(1);
        self.seal_apart(least, most);
        let mut days = BTreeMap::<String, Vec<(u64, String)>>::new();
        for (id, known) in &self.conversations {
            if known.is(Stage::Completed) && !self.is_apart(id) {
                let of_day = days.entry(known.day.clone()).or_default();
                of_day.push((known.place, id.clone()));
            }
        }
        for (day, mut found) in days {
            found.sort_unstable();
            let mut left = found.into_iter().map(|(_, id)| id).collect::<Vec<_>>();
            while left.len() >= least {
                let rest = left.split_off(most.min(left.len()));
                self.seal(&day, &left, &sinks);
                left = rest;
            }
        }
    }

    /// Seals what some sinks alone lack, each segment for the same sinks.
    pub(super) fn seal_apart(&mut self, least: usize, most: usize) {
        let mut groups = BTreeMap::<(String, BTreeSet<String>), Vec<String>>::new();
        for (id, known) in &self.conversations {
            if known.is(Stage::Completed) && self.is_apart(id) {
                let group = (known.day.clone(), self.wanting(id));
                groups.entry(group).or_default().push(id.clone());
            }
        }
        for ((day, sinks), ids) in groups.iter().filter(|(_, ids)| ids.len() >= least) {
            let sinks: Vec<String> = sinks.iter().cloned().collect();
            for ids in ids.chunks(most) {
                let number = self.seal(day, ids, &sinks);
                for sink in &sinks {
                    self.give_way(day, sink, number);
                }
            }
        }
    }

    /// Seals a segment of completed conversations, to be filed in sinks; returns its number.
    fn seal(&mut self, day: &str, ids: &[String], sinks: &[String]) -> i64 {
        let number = self.next_segment(day);
        for id in ids {
            self.put(id, Transition::Sealed, number);
        }
        for sink in sinks {
            self.filings.insert((number, sink.clone()), None);
        }
        number
    }

    /// Puts a conversation into a segment.
    fn put(&mut self, id: &str, transition: Transition, segment: i64) {
        if let Some(known) = self.conversations.get_mut(id) {
            known.go(transition);
            known.segment = Some(segment);
        }
    }

    /// Has segments whose files in a sink are wrong give way to the one in which the last of their day's
    /// conversations are filed anew.
    fn give_way(&mut self, day: &str, sink: &str, number: i64) {
        let mut lacking = self.wanting.iter();
        let more = lacking.any(|(id, sinks)| {
            let known = self.conversations.get(id);
            let waits = |known: &Known| {
                known.is_open() || known.is(Stage::Completed) || known.is(Stage::Filed)
            };
            sinks.contains_key(sink) && known.is_some_and(|known| known.day == day && waits(known))
        });
        if more {
            return;
        }
        let wrong = self.voided.iter();
        let wrong = wrong.filter(|((_, of), on)| of == sink && on.as_str() == day);
        let wrong: Vec<(i64, String)> = wrong.map(|(place, _)| place.clone()).collect();
        for place in wrong {
            self.voided.remove(&place);
            self.replaced.insert(place, number);
        }
    }

    pub(crate) fn unfiled(&self) -> BTreeMap<i64, Vec<String>> {
        let mut unfiled = BTreeMap::<i64, Vec<String>>::new();
        for (number, sink) in self.filings.keys() {
            let of = unfiled.entry(*number).or_default();
            if !self.is_owed(*number, sink) {
                of.push(sink.clone());
            }
        }
        unfiled
    }

    /// Returns true if a sink is owed recordings of a segment.
    fn is_owed(&self, number: i64, sink: &str) -> bool {
        let of_segment = |known: &Known| known.segment == Some(number);
        self.backlog.iter().any(|((of, artifact), owed)| {
            if of != sink || owed.lost.is_some() {
                return false;
            }
            let one = owed.conversation.as_ref();
            let one = one.and_then(|id| self.conversations.get(id));
            let mut all = self.conversations.values();
            one.is_some_and(of_segment)
                || all.any(|known| known.bundle.as_ref() == Some(artifact) && of_segment(known))
        })
    }

    pub(crate) fn last_segment(&self) -> i64 {
        let last = self.segments.last_key_value();
        last.map_or(0, |(number, _)| (*number).max(0))
    }

    pub(crate) fn filings_left(&self, number: i64) -> usize {
        let left = self.filings.keys().filter(|(of, _)| *of == number);
        left.count()
    }

    pub(crate) fn segment(&self, number: i64) -> Result<Segment, QueueError> {
        let Some(day) = self.segments.get(&number) else {
            let reason = format!("there is no segment {number}");
            return Err(QueueError::Backend(reason.into()));
        };
        let ids = self.ids_of(number, Stage::Sealed);
        let mut replaces = BTreeMap::<String, Vec<i64>>::new();
        for ((segment, sink), by) in &self.replaced {
            if *by == number {
                replaces.entry(sink.clone()).or_default().push(*segment);
            }
        }
        Ok(Segment {
            number,
            day: day.clone(),
            apart: ids.iter().any(|id| self.is_apart(id)),
            ids,
            replaces,
        })
    }

    pub(crate) fn sealed_conversations(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<CompletedConversation>, QueueError> {
        ids.into_iter()
            .map(|id| {
                let known = self.conversations.get(&id);
                if known.is_none_or(|known| !known.is(Stage::Sealed)) {
                    let reason = format!("the conversation {id} is in no sealed segment");
                    return Err(QueueError::Backend(reason.into()));
                }
                self.completed(id)
            })
            .collect()
    }

    /// A conversation whose outcome is final, with its objects in each sink.
    fn completed(&self, id: String) -> Result<CompletedConversation, QueueError> {
        let known = self.conversations.get(&id);
        let facts = known.and_then(|known| {
            let facts = (known.record.clone()?, known.outcome.clone()?);
            Some((known, facts))
        });
        let Some((known, (record, outcome))) = facts else {
            let reason = format!("the record of conversation `{id}` is missing");
            return Err(QueueError::Backend(reason.into()));
        };
        let mut objects = BTreeMap::<String, Vec<_>>::new();
        for ((sink, ..), object) in &self.objects {
            if object.conversation == id {
                objects
                    .entry(sink.clone())
                    .or_default()
                    .push(object.clone());
            }
        }
        let mut lost_in = BTreeMap::<String, Vec<_>>::new();
        for ((sink, artifact), owed) in &self.backlog {
            let is_of_it = owed.conversation.as_ref() == Some(&id);
            if let Some(lost) = &owed.lost
                && (is_of_it || known.bundle.as_ref() == Some(artifact))
            {
                lost_in.entry(sink.clone()).or_default().push(lost.clone());
            }
        }
        Ok(CompletedConversation {
            record,
            outcome,
            attempt: known.attempt,
            revision: known.revision,
            objects,
            lost_in,
            id,
        })
    }

    pub(crate) fn known_losses(&self, number: i64) -> BTreeSet<String> {
        let all = self.conversations.iter();
        let sealed =
            all.filter(|(_, known)| known.segment == Some(number) && known.is(Stage::Sealed));
        let named = sealed.filter(|(_, known)| known.named);
        named.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn sealed(&self) -> u64 {
        self.count_at(Stage::Sealed)
    }

    pub(crate) fn can_compact(&self, before: String) -> bool {
        let mut all = self.conversations.values();
        all.any(|known| known.is(Stage::Compactable) && known.day < before)
    }

    pub(crate) fn compact(&mut self, before: String, most: usize, sinks: Vec<String>) -> bool {
        let mut counts = BTreeMap::<(String, i64), usize>::new();
        for (segment, day) in &self.stale {
            counts.insert((day.clone(), *segment), 0);
        }
        let mut unfinished = BTreeSet::new();
        for known in self.conversations.values() {
            match (known.stage(), known.segment) {
                (Stage::Compactable, Some(segment)) => {
                    *counts.entry((known.day.clone(), segment)).or_default() += 1;
                }
                (Stage::Filed | Stage::Compactable, _) => {}
                _ => drop(unfinished.insert(known.day.clone())),
            }
        }
        let counts = counts.into_iter();
        let compactable = counts.map(|((day, segment), count)| (day, segment, count));
        let compactable: Vec<_> = compactable
            .filter(|(day, ..)| *day < before && !unfinished.contains(day))
            .collect();
        let mut sealed = false;
        for of_day in compactable.chunk_by(|one, other| one.0 == other.0) {
            for group in groups(of_day, most) {
                sealed |= self.join(&of_day[0].0, &group, &sinks);
            }
        }
        sealed
    }

    /// Seals a segment in the place of others; says whether it did. One that no other can be joined with is
    /// forgotten.
    fn join(&mut self, day: &str, group: &[i64], sinks: &[String]) -> bool {
        let of = |segment: &i64| self.ids_of(*segment, Stage::Compactable);
        let ids: Vec<String> = group.iter().flat_map(of).collect();
        group
            .iter()
            .for_each(|segment| drop(self.stale.remove(segment)));
        if group.len() < 2 || sinks.is_empty() {
            ids.iter()
                .for_each(|id| self.forget(id, Transition::Released));
            return false;
        }
        let number = self.next_segment(day);
        for id in &ids {
            self.put(id, Transition::Compacted, number);
        }
        for sink in sinks {
            self.filings.insert((number, sink.clone()), None);
            for segment in group {
                self.replaced.insert((*segment, sink.clone()), number);
            }
        }
        true
    }

    /// Lets go of what could be compacted: its conversations are to be filed elsewhere, too.
    pub(super) fn keep_none(&mut self) {
        for id in self.ids_at(Stage::Compactable) {
            self.forget(&id, Transition::Released);
        }
        self.stale.clear();
    }

    /// Returns true if a segment takes the place of smaller ones, which have been counted.
    pub(super) fn is_joined(&self, number: i64) -> bool {
        let mut all = self.conversations.iter();
        let apart = all.any(|(id, known)| known.segment == Some(number) && self.is_apart(id));
        !apart && self.replaced.values().any(|by| *by == number)
    }

    pub(crate) fn replaced(&self) -> Vec<SupersededSegment> {
        let replaced = self.replaced.iter().filter_map(|((segment, sink), by)| {
            let day = self.segments.get(segment)?.clone();
            let waits = self.filings.contains_key(&(*by, sink.clone()));
            (!waits).then(|| SupersededSegment {
                segment: *segment,
                day,
                sink: sink.clone(),
            })
        });
        replaced.collect()
    }

    pub(crate) fn removed(&mut self, replaced: SupersededSegment) {
        let place = (replaced.segment, replaced.sink);
        self.rows.remove(&place);
        self.replaced.remove(&place);
    }
}
