//! A window: a run of days, walked page by page, day by day.
//!
//! The vendor's interval matches whole days, so conversations are filtered here by their start: each
//! belongs to exactly one window. The vendor's count for each query is compared with the rows of its
//! pages.

use std::{collections::HashSet, ops::Range};

use recording_source_sdk::{
    Count, Event, Next, RequestError, SourceError, Split, SplitKind, Step, Timestamp, Update,
    time::{DAY, parallel_ranges},
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, analytics},
    metadata::{ConversationRow, fnv, iso},
    names::Names,
    options::{Mode, Options},
    page,
    paging::Paging,
};

/// No window is cut shorter than this.
const SHORTEST: u64 = 60_000;
/// The most times that pages that shift while they are read are walked again.
const WALKS: u32 = 3;
/// The vendor refuses queries with more hits.
const MOST_HITS: u64 = 100_000;
/// No organization has more conversations in a day: a higher count is an error of the answer, and halving
/// the query until it fits would take thousands of requests.
const MOST_IN_A_DAY: u64 = 100_000_000;

/// The state of a window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    mode: Mode,
    /// The interval being queried, and the end of the window.
    from: Timestamp,
    until: Timestamp,
    end: Timestamp,
    #[serde(flatten)]
    paging: Paging,
    /// Hits at the first page; another number later means that pages have shifted.
    hits: Option<u64>,
    shifted: bool,
    /// The number of times that the pages of this query have been walked again because they had shifted.
    walks: u32,
    #[serde(default)]
    tally: Tally,
    #[serde(default)]
    names: Names,
}

/// The tally of the pages of one walk.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Tally {
    pages: u64,
    /// Rows, each counted once.
    rows: u64,
    /// Those of them that cannot be filed, having no id.
    unusable: u64,
    /// Those of them that began in the queried interval, and how many of these were recorded.
    inside: u64,
    recorded: u64,
    /// Items that are too large by themselves.
    passed_over: u64,
    /// The conversations of the previous page, as digests: pages that shift repeat some.
    before: Vec<u64>,
}

impl Tally {
    /// Counts the rows of a page.
    fn add(&mut self, rows: &[ConversationRow], unusable: u64, range: &Range<Timestamp>) {
        self.pages += 1;
        self.rows += unusable;
        self.unusable += unusable;
        let mut seen: HashSet<u64> = self.before.drain(..).collect();
        for row in rows {
            let digest = fnv(&row.conversation.id);
            self.before.push(digest);
            if seen.insert(digest) {
                let inside = range.contains(&row.conversation.start);
                self.rows += 1;
                self.inside += u64::from(inside);
                self.recorded += u64::from(inside && row.conversation.recorded);
            }
        }
    }
}

/// The windows that a range is searched with.
pub(crate) fn begin(options: &Options, name: &str, range: Range<Timestamp>) -> Vec<Split> {
    parallel_ranges(range, u64::from(options.parallelism))
        .map(|lane| {
            let mut window = Window {
                mode: options.mode,
                from: lane.start,
                until: lane.start,
                end: lane.end,
                paging: Paging::first(),
                hits: None,
                shifted: false,
                walks: 0,
                tally: Tally::default(),
                names: Names::default(),
            };
            window.advance();
            let id = format!("{name}/{}", iso(lane.start).replace(".000Z", "Z"));
            window.into_split(id)
        })
        .collect()
}

fn day_end(instant: Timestamp) -> Timestamp {
    (instant / DAY + 1) * DAY
}

impl Window {
    fn interval(&self) -> String {
        format!("{}/{}", iso(self.from), iso(self.until))
    }

    fn ask(&self, options: &Options) -> Next {
        let request = self.names.ask(options).unwrap_or_else(|| {
            let size = self.paging.size(options.page_size);
            analytics::query(options, &self.interval(), size, self.paging.page)
        });
        self.send(request)
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let answer = match event {
            Event::Resume => return Ok(Step::then(self.ask(options))),
            Event::Response(answer) => answer,
            // A window hands over no artifacts.
            Event::Refresh(_) => return Ok(Step::then(self.done())),
        };
        if self.names.is_asking() {
            let mut step = Step::then(self.done());
            self.names.answered(options, answer, &mut step)?;
            step.next = self.ask(options);
            return Ok(step);
        }
        if let Err(RequestError::TooLarge(limit)) = answer {
            return Ok(self.too_large(limit, options));
        }
        let mut page = match api::success(answer)? {
            Ok(response) => analytics::Page::read(&response)?,
            Err(refusal) if refusal.too_wide() && self.until - self.from > SHORTEST => {
                return Ok(self.halve(options));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let count = page.total_hits;
        page.total_hits = count.filter(|hits| *hits <= MOST_IN_A_DAY);
        if page.total_hits.is_some_and(|hits| hits > MOST_HITS) && self.until - self.from > SHORTEST
        {
            return Ok(self.halve(options));
        }
        let impossible = count.filter(|_| page.total_hits.is_none() && self.tally.pages == 0);
        let interval = self.interval();
        let mut step = self.read(page, options, now);
        if let Some(hits) = impossible {
            step.warn(format!(
                "the vendor counts {hits} conversations in {interval}, which cannot be: the pages are read until one is not full"
            ));
        }
        Ok(step)
    }

    /// Hands over the conversations of a page, and continues.
    fn read(mut self, page: analytics::Page, options: &Options, now: Timestamp) -> Step {
        let rows = page.len();
        let size = u64::from(self.paging.size(options.page_size));
        let seen = self.paging.offset(options.page_size) + rows;
        let more = match page.total_hits {
            Some(hits) => rows > 0 && seen < hits,
            None => rows >= size,
        };
        if self.hits.is_none() {
            self.hits = page.total_hits;
        } else if page.total_hits != self.hits && page.total_hits.is_some() {
            self.shifted = true;
        }
        let mut step = Step::then(self.done());
        let range = self.from..self.until;
        let unusable = page.unusable;
        let mut rows = page::readable(page, &range, &mut step);
        let mut tally = self.tally.clone();
        tally.add(&rows, unusable, &range);
        rows.retain(|row| range.contains(&row.conversation.start));
        if self.names.needed(options, rows.iter()) {
            // The page is read once more, and its oddities are reported then.
            return Step::then(self.ask(options));
        }
        self.tally = tally;
        page::hand_over(rows.into_iter(), self.mode, now, &mut step);
        self.turn(more, options, step)
    }

    /// Requests less at the same place; one item that is too large by itself is passed over.
    fn too_large(mut self, limit: u64, options: &Options) -> Step {
        let offset = self.paging.offset(options.page_size);
        if self.paging.shrink(options.page_size) {
            return Step::then(self.ask(options));
        }
        let mut step = Step::then(self.done());
        step.warn(format!(
            "the row of conversation number {} of {}, in the order of their start, has more than {limit} bytes by itself: it is left out",
            offset + 1,
            self.interval()
        ));
        self.tally.pages += 1;
        self.tally.passed_over += 1;
        let more = self.hits.is_none_or(|hits| offset + 1 < hits);
        self.turn(more, options, step)
    }

    /// Continues after a page: with the next one, with the first one again, or with the next query.
    fn turn(mut self, more: bool, options: &Options, mut step: Step) -> Step {
        let came = self.tally.rows + self.tally.passed_over;
        let short = self.hits.is_some_and(|hits| came < hits);
        if more {
            self.paging.next(options.page_size);
        } else if (self.shifted && self.walks < WALKS) || (short && self.walks == 0) {
            self.walk_again();
        } else {
            self.compare(&mut step);
            self.advance();
        }
        step.next = if self.from < self.end {
            self.ask(options)
        } else {
            self.done()
        };
        step
    }

    /// Reports the vendor's count for the query, and warns if its pages brought less.
    ///
    /// The vendor counts whole days: rows outside of the queried interval are taken off. Where the
    /// missing ones began is not known, so they count as inside.
    fn compare(&self, step: &mut Step) {
        let tally = &self.tally;
        let missing = self.hits.unwrap_or_default().saturating_sub(tally.rows);
        if missing > 0 {
            step.warn(format!(
                "the vendor counts {} conversations in {} and its pages returned {}: {missing} are missing",
                self.hits.unwrap_or_default(),
                self.interval(),
                tally.rows
            ));
        }
        step.updates.push(Update::Count(Count {
            range: (self.from..self.until).into(),
            conversations: tally.inside + tally.unusable + missing,
            recorded: tally.recorded,
            requests: tally.pages,
        }));
    }

    /// Moves on to the next query: the rest of the day, or the next one.
    fn advance(&mut self) {
        self.from = self.until;
        self.until = day_end(self.from).min(self.end);
        self.walks = 0;
        self.walk(Paging::first());
    }

    /// Queries half of the window.
    fn halve(mut self, options: &Options) -> Step {
        self.until = self.from + (self.until - self.from) / 2;
        self.walk(Paging::first());
        Step::then(self.ask(options))
    }

    /// Walks the pages again; the host ignores what it has seen already.
    fn walk_again(&mut self) {
        self.walks += 1;
        self.walk(self.paging.again());
    }

    fn walk(&mut self, paging: Paging) {
        self.paging = paging;
        self.hits = None;
        self.shifted = false;
        self.tally = Tally::default();
    }
}
