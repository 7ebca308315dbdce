//! Which ranges of time were searched, and what is known of the conversations in them.

use std::collections::{BTreeMap, BTreeSet};

use super::kept::{Kept, Search};
use crate::{
    CountMismatch, Searched, SearchedRange,
    life_cycle::Stage,
    search::{DAY, MANY, joined},
};
use recording_host_model::{ArtifactKey, KeyContext, Split, TimeRange, day};

impl Kept {
    pub(crate) fn searched(&self) -> Searched {
        let over = self.searches.values().filter(|search| search.over);
        let mut over: Vec<_> = over
            .map(|search| (search.from, search.until, search.begun))
            .collect();
        over.sort_unstable();
        Searched {
            begun: self.begun,
            ends: over.iter().map(|(_, until, at)| (*until, *at)).collect(),
            ranges: joined(
                over.into_iter()
                    .map(|(from, until, _)| (from, until))
                    .collect(),
            ),
            again: self.search_again,
        }
    }

    pub(crate) fn search_again(&mut self) {
        self.search_again = true;
    }

    pub(crate) fn search(&mut self, splits: Vec<Split>, range: TimeRange, now: u64) -> Vec<String> {
        self.search_again = false;
        self.begun += 1;
        let search = Search {
            from: range.from,
            until: range.until,
            begun: now,
            over: false,
        };
        self.searches.insert(self.begun, search);
        self.splits.add(&splits, now)
    }

    pub(crate) fn searched_all(&mut self, _now: u64) {
        let searches = &mut self.searches;
        searches.values_mut().for_each(|search| search.over = true);
        // What a later search covers goes.
        let all = searches.clone();
        searches.retain(|number, search| {
            let mut later = all.range(number + 1..);
            !later.any(|(_, other)| other.from <= search.from && other.until >= search.until)
        });
        if searches.len() > MANY {
            self.join_last();
        }
    }

    /// Joins with the last search the earlier ones that it continues.
    fn join_last(&mut self) {
        let Some((number, mut last)) = self.searches.pop_last() else {
            return;
        };
        loop {
            let from = last.from;
            let touches = |search: &Search| search.from < from && search.until >= from;
            let earlier = self.searches.iter().filter(|(_, search)| touches(search));
            let first = earlier.min_by_key(|(_, search)| search.from);
            let Some(joined) = first.map(|(number, _)| *number) else {
                break;
            };
            if let Some(joined) = self.searches.remove(&joined) {
                last.from = joined.from;
                last.until = last.until.max(joined.until);
            }
        }
        self.searches.insert(number, last);
    }

    pub(crate) fn unsearch(&mut self, from: u64, now: u64) {
        self.splits.hurry(now);
        for known in self.conversations.values_mut() {
            if known.is(Stage::Wanted) {
                known.due = known.due.min(now);
            }
        }
        self.searches
            .retain(|_, search| !search.over || search.from < from);
        for search in self.searches.values_mut().filter(|search| search.over) {
            search.until = search.until.min(from);
        }
    }

    /// No earlier version of the program has kept anything in memory.
    pub(crate) fn take_over(&mut self, _interval: (u64, Option<u64>)) {}

    pub(crate) fn searches_of(&self, from: u64, until: u64) -> Vec<SearchedRange> {
        let touches = |search: &&Search| search.over && search.from < until && search.until > from;
        let searches = self.searches.values().filter(touches);
        let mut ranges: Vec<_> = searches
            .map(|search| SearchedRange {
                from: search.from,
                until: search.until,
                at: search.begun,
            })
            .collect();
        ranges.sort_by_key(|range| (range.from, range.until));
        ranges
    }

    pub(crate) fn source_counts(&self) -> Vec<(String, u64, u64)> {
        let mut days = BTreeMap::<u64, Vec<(u64, u64, u64, u64)>>::new();
        for ((from, until), (conversations, at)) in &self.source_counts {
            let of_day = days.entry(from / DAY).or_default();
            of_day.push((*from, *until, *conversations, *at));
        }
        let mut counts = Vec::new();
        for (number, ranges) in days {
            let (first, end) = (number * DAY, (number + 1) * DAY);
            let begins = ranges.first().is_some_and(|(from, ..)| *from == first);
            let ends = ranges.iter().map(|(_, until, ..)| *until).max() == Some(end);
            let length: u64 = ranges.iter().map(|(from, until, ..)| until - from).sum();
            if begins && ends && length == DAY {
                let conversations = ranges.iter().map(|(_, _, count, _)| count).sum();
                let at = ranges.iter().map(|(.., at)| *at).max();
                counts.push((day(first), conversations, at.unwrap_or_default()));
            }
        }
        counts
    }

    pub(crate) fn miscounted(&self) -> Vec<CountMismatch> {
        let counts = self.source_counts.iter();
        let compared = counts.map(|((from, until), (source, at))| {
            let all = self.conversations.values();
            let known = all.filter(|known| (*from..*until).contains(&known.start));
            CountMismatch {
                from: *from,
                until: *until,
                source: *source,
                known: known.count() as u64,
                at: *at,
            }
        });
        compared.filter(|it| it.source > it.known).collect()
    }

    pub(crate) fn live(&self) -> Option<(u64, u64)> {
        let all = self.conversations.values();
        let live = all.filter(|known| known.live && known.is_open() && known.fetch.is_none());
        let starts: BTreeSet<u64> = live.map(|known| known.start).collect();
        starts.first().copied().zip(starts.last().copied())
    }

    pub(crate) fn known(&self, ids: Vec<String>) -> BTreeMap<String, KeyContext> {
        let known = ids
            .into_iter()
            .filter_map(|id| Some((id.clone(), self.known_one(id)?)));
        known.collect()
    }

    pub(crate) fn known_one(&self, id: String) -> Option<KeyContext> {
        self.conversations.get(&id).map(|known| KeyContext {
            start: known.start,
            record: known.record.clone(),
        })
    }

    pub(crate) fn in_bundle(&self, key: &ArtifactKey) -> Vec<String> {
        let bundle = key.to_text();
        let all = self.conversations.iter();
        let inside = all.filter(|(_, known)| known.bundle.as_ref() == Some(&bundle));
        inside.map(|(id, _)| id.clone()).collect()
    }
}
