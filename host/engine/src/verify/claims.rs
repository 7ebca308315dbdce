//! The coverage that receipts claim, and the source's counts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::finding::{CountedDay, Coverage, Difference, ObjectKind, VerifyFinding};
use crate::receipt::{CoveredInterval, ReceiptHeader, SourceCount};

/// The content of the headers, export by export.
#[derive(Default)]
pub(super) struct HeaderClaims {
    exports: BTreeMap<String, Export>,
}

#[derive(Default)]
struct Export {
    /// The claims of the header that was written last.
    claims: Option<(Option<Timestamp>, CoveredInterval)>,
    searched_until: Option<Timestamp>,
    searched_at: Option<Timestamp>,
    /// The source's last counts, by day.
    counted: BTreeMap<String, SourceCount>,
    /// In which form its recordings are. What other exports of the same form prove, it need not.
    form: Option<String>,
}

impl HeaderClaims {
    /// Adds a header.
    pub(super) fn add(&mut self, header: &ReceiptHeader) {
        let export = self.exports.entry(header.export.clone()).or_default();
        if let Some(claims) = &header.claims
            && export
                .claims
                .as_ref()
                .is_none_or(|(at, _)| *at <= header.written_at)
        {
            export.claims = Some((header.written_at, claims.clone()));
        }
        if header.form.is_some() {
            export.form.clone_from(&header.form);
        }
        for range in &header.searched {
            export.searched_until = export.searched_until.max(Some(range.until));
            export.searched_at = export.searched_at.max(Some(range.at));
        }
        let own = header.source_count.iter();
        let own = own.map(|count| (&header.day, count.clone()));
        let at = header.written_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let others = header.source_days.iter();
        let others = others.map(|(day, conversations)| {
            let conversations = *conversations;
            (day, SourceCount { conversations, at })
        });
        for (day, count) in own.chain(others) {
            let newer = export.counted.get(day).is_none_or(|it| it.at < count.at);
            if newer {
                export.counted.insert(day.clone(), count);
            }
        }
    }

    /// The coverage; the days that the source counted otherwise than `days`, which are how many
    /// conversations there are in the receipts by export and day; and those of which there is nothing.
    pub(super) fn against(
        self,
        days: &BTreeMap<(String, String), u64>,
    ) -> (Vec<Coverage>, Vec<CountedDay>, Vec<VerifyFinding>) {
        let (mut coverage, mut counted, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        let form_of = |export: &str| self.exports.get(export).and_then(|it| it.form.clone());
        let mut by_form = BTreeMap::<(String, String), u64>::new();
        for ((export, day), conversations) in days {
            if let Some(form) = form_of(export) {
                *by_form.entry((form, day.clone())).or_default() += conversations;
            }
        }
        for (name, export) in self.exports {
            let Some((_, claims)) = export.claims else {
                continue;
            };
            for (day, count) in export.counted {
                let own = days.get(&(name.clone(), day.clone())).copied();
                let SourceCount { conversations, at } = count;
                // An export that was begun later has what the earlier ones lack.
                let form = export.form.clone();
                let there = form.and_then(|form| by_form.get(&(form, day.clone())).copied());
                let there = match (own, there) {
                    (own, Some(there)) if there >= conversations && own != Some(there) => {
                        Some(conversations)
                    }
                    (own, there) => own.or(there),
                };
                if there.is_none() && conversations > 0 && covers(&claims, &day) {
                    gaps.push(gap(&name, &day, conversations));
                } else if there.is_some_and(|there| there != conversations) {
                    counted.push(CountedDay {
                        export: name.clone(),
                        day,
                        source: conversations,
                        at,
                        receipts: there.unwrap_or_default(),
                    });
                }
            }
            coverage.push(Coverage {
                export: name,
                from: claims.from,
                until: claims.until,
                searched_until: export.searched_until,
                searched_at: export.searched_at,
            });
        }
        (coverage, counted, gaps)
    }
}

/// Returns true if a day, or a part of it, lies in an interval.
fn covers(claims: &CoveredInterval, day: &str) -> bool {
    let day_of = |at: Timestamp| format!("{at:.0}")[..10].to_owned();
    // The interval's end lies outside.
    let last = claims
        .until
        .map(|until| day_of(until - jiff::SignedDuration::from_millis(1)));
    day_of(claims.from).as_str() <= day && last.is_none_or(|last| day <= last.as_str())
}

fn gap(export: &str, day: &str, conversations: u64) -> VerifyFinding {
    VerifyFinding {
        difference: Difference::Gap,
        key: format!("receipts/date={day}/"),
        kind: ObjectKind::Receipt,
        conversation: None,
        segment: None,
        other: None,
        conversations: Vec::new(),
        detail: format!(
            "{export} has no receipt of this day, on which the source counted {conversations} conversations"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32) -> Timestamp {
        format!("2026-01-{day:02}T00:00:00Z").parse().unwrap()
    }

    fn header(day: u32, written: u32, until: u32, counted: &[(u32, u64)]) -> ReceiptHeader {
        ReceiptHeader {
            export: "calls".into(),
            day: format!("2026-01-{day:02}"),
            written_at: Some(at(written)),
            claims: Some(CoveredInterval {
                from: at(5),
                until: Some(at(until)),
            }),
            source_days: counted
                .iter()
                .map(|(day, count)| (format!("2026-01-{day:02}"), *count))
                .collect(),
            ..ReceiptHeader::default()
        }
    }

    #[test]
    fn a_day_that_another_export_of_the_same_form_proves_is_no_gap() {
        let reported = |forms: [&str; 2]| {
            let mut reported = HeaderClaims::default();
            for (export, form) in ["before", "calls"].into_iter().zip(forms) {
                reported.add(&ReceiptHeader {
                    export: export.into(),
                    form: Some(form.into()),
                    ..header(5, 20, 10, &[(7, 3), (8, 3)])
                });
            }
            let day = |export: &str, day: u32| (export.to_owned(), format!("2026-01-{day:02}"));
            reported.against(
                &[
                    (day("before", 7), 3),
                    (day("before", 8), 2),
                    (day("calls", 8), 1),
                ]
                .into(),
            )
        };
        let (_, counted, gaps) = reported(["wav", "wav"]);
        assert!(
            counted.is_empty() && gaps.is_empty(),
            "{counted:?} {gaps:?}"
        );
        let (_, counted, gaps) = reported(["wav", "mp3"]);
        assert_eq!((counted.len(), gaps.len()), (2, 1));
    }

    #[test]
    fn the_last_claim_counts_and_a_day_inside_it_that_is_gone_is_a_gap() {
        let mut reported = HeaderClaims::default();
        reported.add(&header(5, 20, 10, &[(7, 3), (9, 2)]));
        reported.add(&header(6, 19, 8, &[(4, 1), (7, 2), (11, 8)]));
        let days = [5, 6, 9].map(|day| (("calls".to_owned(), format!("2026-01-{day:02}")), 4));
        let (coverage, counted, gaps) = reported.against(&days.into());
        assert_eq!(coverage.len(), 1);
        assert_eq!((coverage[0].from, coverage[0].until), (at(5), Some(at(10))));
        let gaps: Vec<&str> = gaps.iter().map(|gap| gap.key.as_str()).collect();
        assert_eq!(gaps, ["receipts/date=2026-01-07/"]);
        let counted: Vec<_> = counted.iter().map(|it| (it.source, it.receipts)).collect();
        assert_eq!(counted, [(2, 4)]);
    }
}
