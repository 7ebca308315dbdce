//! A window: a run of days, walked page by page, day by day.
//!
//! The vendor's interval matches whole days, so conversations are filtered
//! here by their start: each belongs to exactly one window.

use std::collections::HashSet;

use recording_source_sdk::{
    Event, Level, Next, Note, Outcome, OutcomeResult, Send, SourceError, Split, State, Step,
    TimeRange, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    Memory, api,
    batch::Batch,
    metadata::{Row, iso},
    options::{Mode, Options, wrong},
};

const DAY: u64 = 86_400_000;
/// No window is cut shorter than this.
const SHORTEST: u64 = 60_000;
/// The vendor refuses queries with more hits.
const MOST_HITS: u64 = 100_000;

/// What a window remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Window {
    /// The window's name, which is the beginning of its batches' ids.
    name: String,
    mode: Mode,
    /// What is being queried, and how far the window goes.
    from: Timestamp,
    until: Timestamp,
    end: Timestamp,
    page: u32,
    /// Conversations for the next batch.
    carried: Vec<String>,
    /// Batches so far.
    batches: u32,
}

/// The splits that an export of `range` begins with.
pub(crate) fn begin(
    options: &Options,
    range: TimeRange,
    mode: Mode,
    now: Timestamp,
) -> Result<Vec<Split>, SourceError> {
    if range.from >= range.until {
        return Err(wrong("interval", "ends before it begins"));
    }
    if range.from >= now {
        return Err(wrong("interval", "begins in the future"));
    }
    // What has not happened yet cannot be paged through reliably.
    let end = range.until.min(now);
    let first_day = range.from / DAY;
    let days = end.div_ceil(DAY) - first_day;
    let lanes = u64::from(options.lanes).min(days);
    Ok((0..lanes)
        .map(|lane| {
            let from = ((first_day + days * lane / lanes) * DAY).max(range.from);
            let end = ((first_day + days * (lane + 1) / lanes) * DAY).min(end);
            let name = iso(from).replace(".000Z", "Z");
            let window = Window {
                name: name.clone(),
                mode,
                from,
                until: day_end(from).min(end),
                end,
                page: 1,
                carried: Vec::new(),
                batches: 0,
            };
            Memory::Window(window).split(format!("window-{name}"))
        })
        .collect())
}

fn day_end(instant: Timestamp) -> Timestamp {
    (instant / DAY + 1) * DAY
}

impl Window {
    fn memory(&self) -> State {
        Memory::Window(self.clone()).write()
    }

    fn ask(&self, options: &Options) -> Next {
        let interval = format!("{}/{}", iso(self.from), iso(self.until));
        Next::Send(Send {
            request: api::query(options, &interval, options.page_size, self.page),
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
        let page: api::Page = match api::success(answer)? {
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
        let mut step = Step::then(Next::Done(self.memory()));
        self.take(page, options, &mut step);
        if more {
            self.page += 1;
        } else {
            self.page = 1;
            self.from = self.until;
            self.until = day_end(self.from).min(self.end);
        }
        step.next = if self.from < self.end {
            self.ask(options)
        } else {
            self.flush(1, &mut step, options);
            Next::Done(self.memory())
        };
        Ok(step)
    }

    /// Takes over the conversations of a page that began inside the window.
    fn take(&mut self, page: api::Page, options: &Options, step: &mut Step) {
        let mut known: HashSet<String> = self.carried.iter().cloned().collect();
        for value in page.conversations {
            let row = match Row::read(value) {
                Ok(row) => row,
                Err(reason) => {
                    step.notes.push(Note {
                        level: Level::Warn,
                        text: format!("a row of the query is left out: {reason}"),
                    });
                    continue;
                }
            };
            let conversation = row.conversation;
            let inside = (self.from..self.until).contains(&conversation.start);
            if !inside || !known.insert(conversation.id.clone()) {
                continue;
            }
            let id = conversation.id.clone();
            step.conversations.push(conversation);
            let outcome = |result| Outcome {
                conversation: id.clone(),
                result,
            };
            match (self.mode, row.recorded) {
                (Mode::MetadataOnly, _) => step
                    .outcomes
                    .push(outcome(OutcomeResult::Skipped("metadata only".to_owned()))),
                (Mode::Recordings, false) => {
                    step.outcomes.push(outcome(OutcomeResult::NoRecording));
                }
                (Mode::Recordings, true) => self.carried.push(id),
            }
        }
        self.flush(options.batch_size, step, options);
    }

    /// Spawns batches while at least `least` conversations are carried.
    fn flush(&mut self, least: usize, step: &mut Step, options: &Options) {
        while !self.carried.is_empty() && self.carried.len() >= least {
            let rest = self
                .carried
                .split_off(self.carried.len().min(options.batch_size));
            let conversations = std::mem::replace(&mut self.carried, rest);
            let id = format!("batch-{}-{}", self.name, self.batches);
            self.batches += 1;
            step.splits.push(Batch::new(id, conversations).split());
        }
    }

    /// Queries half of the window.
    fn halve(mut self, options: &Options) -> Step {
        self.until = self.from + (self.until - self.from) / 2;
        self.page = 1;
        Step::then(self.ask(options))
    }
}

/// Proves that the log-in works and that conversations may be queried.
pub(crate) fn check(options: &Options, event: Event, now: Timestamp) -> Result<Step, SourceError> {
    let state = Memory::Check.write();
    match event {
        Event::Due => {
            let interval = format!("{}/{}", iso(now - DAY), iso(now));
            Ok(Step::then(Next::Send(Send {
                request: api::query(options, &interval, 1, 1),
                state,
            })))
        }
        Event::Answer(answer) => {
            let response = api::success(answer)?.map_err(SourceError::from)?;
            let _: api::Page = api::parse(&response)?;
            Ok(Step::then(Next::Done(state)))
        }
        Event::Renew(_) => Ok(Step::then(Next::Done(state))),
    }
}
