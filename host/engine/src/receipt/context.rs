//! The data of a run that its receipts contain besides the segment itself.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::format::{
    ComponentVersion, CoveredInterval, ObjectDigest, Program, ReceiptHeader, SearchedRange,
    SourceCount,
};
use crate::transfer::SinkBinding;
use recording_host_model::{Segment, route::Condition};

/// Days for which a header contains the source's counts: those that are nearest to its own.
const DAYS: usize = 64;
const DAY_MS: i64 = 86_400_000;

/// The data in the header of every receipt of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiptContext {
    /// The export, as file names have it.
    pub export: String,
    /// SHA-256 of the export's canonical identity, 64 hexadecimal digits.
    pub identity: Option<String>,
    /// SHA-256 of what says in which form recordings are, 64 hexadecimal digits.
    pub form: Option<String>,
    /// SHA-256 of each sink's canonical identity, 64 hexadecimal digits, by the sink's name.
    pub sinks: BTreeMap<String, String>,
    /// This program.
    pub program: Program,
    /// The source's component.
    pub component: Option<ComponentVersion>,
    /// The interval that the export covers.
    pub claims: Option<CoveredInterval>,
    /// All ranges that were searched so far.
    pub searched: Vec<SearchedRange>,
    /// How many conversations the source counted, by day (`YYYY-MM-DD`).
    pub source_counts: BTreeMap<String, SourceCount>,
    /// The time that receipts are given.
    pub written_at: Option<Timestamp>,
}

impl ReceiptContext {
    /// The context of an export of which only the name is known.
    #[must_use]
    pub fn new(export: &str) -> Self {
        ReceiptContext {
            export: export.to_owned(),
            ..ReceiptContext::default()
        }
    }

    /// The header of a segment's receipt in a sink, but for what the entries add up to.
    pub(super) fn header(
        &self,
        segment: &Segment,
        binding: &SinkBinding,
        metadata: Option<ObjectDigest>,
        catalog: Option<ObjectDigest>,
        media_in: Option<String>,
    ) -> ReceiptHeader {
        // The source's count says nothing of a sink that takes some conversations alone.
        let takes_all = binding.route.condition == Condition::default();
        let counted = self.source_counts.get(&segment.day).filter(|_| takes_all);
        ReceiptHeader {
            export: self.export.clone(),
            identity: self.identity.clone(),
            form: self.form.clone(),
            sink: Some(binding.name.clone()),
            sink_identity: self.sinks.get(&binding.name).cloned(),
            prefix: Some(binding.layout.prefix().to_owned()),
            segment: segment.number,
            day: segment.day.clone(),
            written_at: self.written_at,
            claims: self.claims.clone(),
            searched: touching(&self.searched, &segment.day),
            source_count: counted.cloned(),
            source_days: match takes_all {
                true => self.other_days(&segment.day),
                false => BTreeMap::new(),
            },
            program: Some(self.program.clone()),
            component: self.component.clone(),
            replaces: segment.replaces_in(&binding.name).to_vec(),
            metadata,
            catalog,
            media_in,
            encryption: binding.sink.encrypts().then(|| "age".to_owned()),
            ..ReceiptHeader::default()
        }
    }

    /// The days besides this one on which the source counted conversations, the nearest ones.
    fn other_days(&self, day: &str) -> BTreeMap<String, u64> {
        let some = |(day, count): (&String, &SourceCount)| {
            (count.conversations > 0).then(|| (day.clone(), count.conversations))
        };
        let before = self.source_counts.range(..day.to_owned()).rev();
        let after = self.source_counts.range(day.to_owned()..);
        let after = after.filter(|(other, _)| other.as_str() != day);
        let before = before.filter_map(some).take(DAYS / 2);
        before
            .chain(after.filter_map(some).take(DAYS / 2))
            .collect()
    }
}

/// The searched ranges that touch a day, those that touch each other joined: an export that follows
/// its source searches a day hundreds of times.
fn touching(searched: &[SearchedRange], day: &str) -> Vec<SearchedRange> {
    let midnight = format!("{day}T00:00:00Z").parse::<Timestamp>();
    let Ok(from) = midnight.map(Timestamp::as_millisecond) else {
        return Vec::new();
    };
    let touches = |range: &&SearchedRange| {
        range.from.as_millisecond() < from + DAY_MS && range.until.as_millisecond() > from
    };
    let mut ranges: Vec<SearchedRange> = searched.iter().filter(touches).cloned().collect();
    ranges.sort_by_key(|range| range.from);
    let mut joined = Vec::<SearchedRange>::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.from <= last.until => {
                last.until = last.until.max(range.until);
                last.at = last.at.max(range.at);
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, until: &str, at: &str) -> SearchedRange {
        let at_day = |text: &str| format!("2026-01-{text}:00Z").parse().unwrap();
        SearchedRange {
            from: at_day(from),
            until: at_day(until),
            at: at_day(at),
        }
    }

    #[test]
    fn searches_of_a_day_are_joined_and_those_of_others_left_out() {
        let searched = [
            range("05T10:00", "05T12:00", "05T12:15"),
            range("05T00:00", "05T10:00", "05T10:15"),
            range("05T13:00", "06T01:00", "06T01:15"),
            range("06T00:00", "06T03:00", "06T03:15"),
        ];
        let expected = [
            range("05T00:00", "05T12:00", "05T12:15"),
            range("05T13:00", "06T01:00", "06T01:15"),
        ];
        assert_eq!(touching(&searched, "2026-01-05"), expected);
        assert_eq!(touching(&searched, "no day"), []);
    }

    #[test]
    fn a_header_tells_of_other_days_that_have_conversations() {
        let at = Timestamp::UNIX_EPOCH;
        let count = |conversations| SourceCount { conversations, at };
        let counts = [
            ("2026-01-04", 4),
            ("2026-01-05", 5),
            ("2026-01-06", 0),
            ("2026-01-07", 7),
        ];
        let context = ReceiptContext {
            source_counts: counts.map(|(day, n)| (day.to_owned(), count(n))).into(),
            ..ReceiptContext::new("calls")
        };
        let expected = [("2026-01-04", 4), ("2026-01-07", 7)].map(|(day, n)| (day.to_owned(), n));
        assert_eq!(context.other_days("2026-01-05"), expected.into());
    }
}
