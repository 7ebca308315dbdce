//! A window: a run of days, walked page by page, day by day.
//!
//! The vendor's interval matches whole days, so conversations are filtered
//! here by their start: each belongs to exactly one window.

use std::ops::Range;

use recording_source_sdk::{Event, Next, Send, SourceError, Split, State, Step, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Memory,
    api::{self, analytics},
    metadata::iso,
    names::Names,
    options::{Mode, Options},
    page::{self, DAY},
};

/// No window is cut shorter than this.
const SHORTEST: u64 = 60_000;
/// How often pages that shift while they are read are walked again.
const WALKS: u32 = 3;
/// The vendor refuses queries with more hits.
const MOST_HITS: u64 = 100_000;

/// What a window remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    mode: Mode,
    /// What is being queried, and how far the window goes.
    from: Timestamp,
    until: Timestamp,
    end: Timestamp,
    page: u32,
    /// Hits at the first page; another number later on means that pages have shifted.
    hits: Option<u64>,
    shifted: bool,
    /// How often the pages of this query have been walked again because they had shifted.
    walks: u32,
    #[serde(default)]
    names: Names,
}

/// The windows that a range is searched with.
pub(crate) fn begin(options: &Options, name: &str, range: Range<Timestamp>) -> Vec<Split> {
    page::lanes(range, u64::from(options.lanes))
        .map(|lane| {
            let mut window = Window {
                mode: options.mode,
                from: lane.start,
                until: lane.start,
                end: lane.end,
                page: 1,
                hits: None,
                shifted: false,
                walks: 0,
                names: Names::default(),
            };
            window.advance();
            let id = format!("{name}/{}", iso(lane.start).replace(".000Z", "Z"));
            Memory::Window(window).split(id)
        })
        .collect()
}

fn day_end(instant: Timestamp) -> Timestamp {
    (instant / DAY + 1) * DAY
}

impl Window {
    fn memory(&self) -> State {
        Memory::Window(self.clone()).write()
    }

    fn ask(&self, options: &Options) -> Next {
        let request = self.names.ask(options).unwrap_or_else(|| {
            let interval = format!("{}/{}", iso(self.from), iso(self.until));
            analytics::query(options, &interval, options.page_size, self.page)
        });
        Next::Send(Send {
            request,
            state: self.memory(),
        })
    }

    pub(crate) fn step(mut self, options: &Options, event: Event) -> Result<Step, SourceError> {
        let answer = match event {
            Event::Due => return Ok(Step::then(self.ask(options))),
            Event::Answer(answer) => answer,
            // A window hands over no artifacts.
            Event::Renew(_) => return Ok(Step::then(Next::Done(self.memory()))),
        };
        if self.names.is_asking() {
            let mut step = Step::then(Next::Done(self.memory()));
            self.names.answered(answer, &mut step)?;
            step.next = self.ask(options);
            return Ok(step);
        }
        let page: analytics::Page = match api::success(answer)? {
            Ok(response) => api::parse(&response)?,
            Err(refusal) if refusal.too_wide() && self.until - self.from > SHORTEST => {
                return Ok(self.halve(options));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        if page.total_hits.is_some_and(|hits| hits > MOST_HITS) && self.until - self.from > SHORTEST
        {
            return Ok(self.halve(options));
        }
        let rows = page.conversations.len() as u64;
        let size = u64::from(options.page_size);
        let seen = (u64::from(self.page) - 1) * size + rows;
        let more = match page.total_hits {
            Some(hits) => rows > 0 && seen < hits,
            None => rows >= size,
        };
        if self.page == 1 {
            self.hits = page.total_hits;
        } else if page.total_hits != self.hits && page.total_hits.is_some() {
            self.shifted = true;
        }
        let mut step = Step::then(Next::Done(self.memory()));
        let mut rows = page::readable(page.conversations, &mut step);
        rows.retain(|row| (self.from..self.until).contains(&row.conversation.start));
        if self.names.needed(options, rows.iter()) {
            step.next = self.ask(options);
            return Ok(step);
        }
        page::hand_over(rows.into_iter(), self.mode, &mut step);
        if more {
            self.page += 1;
        } else if self.shifted && self.walks < WALKS {
            self.walk_again();
        } else {
            self.advance();
        }
        step.next = if self.from < self.end {
            self.ask(options)
        } else {
            Next::Done(self.memory())
        };
        Ok(step)
    }

    /// Goes on to the next query: the rest of the day, or the next one.
    fn advance(&mut self) {
        self.from = self.until;
        self.until = day_end(self.from).min(self.end);
        self.walks = 0;
        self.walk();
    }

    /// Queries half of the window.
    fn halve(mut self, options: &Options) -> Step {
        self.until = self.from + (self.until - self.from) / 2;
        self.walk();
        Step::then(self.ask(options))
    }

    /// What has been seen already is ignored by the host.
    fn walk_again(&mut self) {
        self.walks += 1;
        self.walk();
    }

    fn walk(&mut self) {
        self.page = 1;
        self.hits = None;
        self.shifted = false;
    }
}
