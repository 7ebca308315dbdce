//! Compares the results of jobs with the vendor's counts.
//!
//! The results of a job contain no total. When a job has been read, the query is asked how many
//! conversations it counts on the whole days of the job's interval: one request for each job, more if
//! there are so many that the vendor refuses to count them at once. Both match by the day of the
//! start and by the same filters, so the numbers are comparable. Where the job brought fewer, the
//! query searches the days once more. Days that an interval cuts are not counted.

use std::{collections::BTreeSet, ops::Range};

use recording_source_sdk::{
    Count, RequestError, RequestResult, SourceError, SplitKind, Step, Timestamp, Update, time::DAY,
};

use super::{Backfill, PAGE, Phase};
use crate::{
    api::{self, analytics},
    metadata::{ConversationRow, iso},
    options::Options,
    window,
};

impl Backfill {
    /// Counts the conversations of a page by the day of their start.
    pub(super) fn tally(&mut self, rows: &[ConversationRow]) {
        let mut seen = BTreeSet::new();
        for row in rows {
            if !seen.insert(&row.conversation.id) {
                continue;
            }
            let day = row.conversation.start / DAY;
            let found = self.days.binary_search_by_key(&day, |one| one.0);
            let at = found.unwrap_or_else(|at| {
                self.days.insert(at, (day, 0, 0));
                at
            });
            self.days[at].1 += 1;
            self.days[at].2 += u64::from(row.conversation.recorded);
        }
    }

    /// Processes the query's count for the last of the ranges.
    pub(super) fn counted(
        mut self,
        answer: RequestResult,
        mut ranges: Vec<(Timestamp, Timestamp)>,
        options: &Options,
    ) -> Result<Step, SourceError> {
        let mut step = Step::then(self.done());
        let (from, until) = ranges.pop().unwrap_or((self.from, self.from));
        let too_large = matches!(answer, Err(RequestError::TooLarge(_)));
        let hits = match answer {
            Err(RequestError::TooLarge(_)) => None,
            answer => match api::success(answer)? {
                Ok(response) => analytics::Page::read(&response)?.total_hits,
                Err(refusal) if refusal.too_wide() => None,
                Err(refusal) => return Err(refusal.into()),
            },
        };
        let days = (until - from) / DAY;
        match hits {
            Some(hits) => self.compare(from..until, hits, options, &mut step),
            None if days > 1 => {
                let middle = from + days / 2 * DAY;
                ranges.extend([(middle, until), (from, middle)]);
            }
            None => {
                let why = if too_large {
                    "its first row is too large"
                } else {
                    "it refuses"
                };
                step.inform(format!(
                    "the query does not count the conversations of {}: {why}",
                    iso(from)
                ));
            }
        }
        match ranges.is_empty() {
            true => self.advance(),
            false => self.phase = Phase::Counting { ranges },
        }
        step.next = self.next(options);
        Ok(step)
    }

    /// Reports the query's count, or has the query search for the conversations that the job did not
    /// bring.
    fn compare(&self, range: Range<Timestamp>, hits: u64, options: &Options, step: &mut Step) {
        let whole = range.start / DAY..range.end / DAY;
        let days = self.days.iter().filter(|one| whole.contains(&one.0));
        let (brought, recorded) = days.fold((0, 0), |sum, day| (sum.0 + day.1, sum.1 + day.2));
        if brought >= hits {
            step.updates.push(Update::Count(Count {
                range: range.into(),
                conversations: hits,
                recorded,
                requests: hits.div_ceil(u64::from(PAGE)).max(1),
            }));
            return;
        }
        step.warn(format!(
            "the vendor counts {hits} conversations in {}/{} and an analytics job returned {brought}: the query searches again",
            iso(range.start),
            iso(range.end)
        ));
        let name = format!("{}/query", self.name);
        step.splits.extend(window::begin(options, &name, range));
    }
}
