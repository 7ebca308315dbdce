//! A `find`: the bucket's keys, day by day and page by page; each conversation has a folder.
//!
//! Folders are of hours, so a range that begins or ends within one takes the whole of it.

use std::ops::Range;

use recording_source_sdk::{
    Conversation, Count, Event, Next, Note, SourceError, Split, SplitKind, Step, TimeRange,
    Timestamp, Update,
    time::{DAY, HOUR, days, parallel_ranges},
};
use serde::{Deserialize, Serialize};

use crate::{
    layout::{self, Digits},
    options::Options,
    s3::{self, Page},
};

/// The state of a find.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Find {
    /// The range in which conversations began.
    from: Timestamp,
    until: Timestamp,
    /// The first instant of the day that is listed.
    day: Timestamp,
    digits: Digits,
    /// The last key of the previous page.
    after: Option<String>,
    /// The number of objects of that key's folder listed so far.
    listed: u64,
    /// True until a first listing has shown that there is anything at all.
    probing: bool,
    /// True if conversations are counted and a few are handed over as examples.
    counting: bool,
    /// The number of conversations of the day found so far, and the number of pages they were on.
    #[serde(default)]
    found: u64,
    #[serde(default)]
    pages: u64,
}

/// The most examples from each page, for an estimate: spread over all of it, since hours differ.
const EXAMPLES: usize = crate::FETCH_SIZE as usize;

/// The initial splits of the estimate of a range: one for each day.
pub(crate) fn estimate(range: TimeRange, now: Timestamp) -> Vec<Split> {
    days(range.from..range.until.min(now))
        .map(|part| {
            let find = Find {
                counting: true,
                ..Find::new(&part)
            };
            let day = find.day / DAY;
            find.into_split(format!("estimate/{day}"))
        })
        .collect()
}

/// The initial splits of the search of a range.
pub(crate) fn begin(
    options: &Options,
    find: &recording_source_sdk::Find,
    now: Timestamp,
) -> Result<Vec<Split>, SourceError> {
    let range = find.range.past(now)?;
    Ok(parallel_ranges(range, u64::from(options.parallelism))
        .enumerate()
        .map(|(lane, part)| {
            let search = Find {
                probing: lane == 0,
                ..Find::new(&part)
            };
            search.into_split(format!("{}/{lane}", find.name))
        })
        .collect())
}

impl Find {
    fn new(range: &Range<Timestamp>) -> Self {
        Find {
            from: range.start,
            until: range.end,
            day: range.start / DAY * DAY,
            digits: Digits::Plain,
            after: None,
            listed: 0,
            probing: false,
            counting: false,
            found: 0,
            pages: 0,
        }
    }

    fn ask(&self, options: &Options) -> Next {
        let request = match self.probing {
            true => s3::list(options, &options.root(), None, 1),
            false => s3::list(
                options,
                &self.prefix(options),
                self.after.as_deref(),
                options.page_size,
            ),
        };
        self.send(request)
    }

    fn prefix(&self, options: &Options) -> String {
        format!("{}{}", options.root(), layout::day(self.day, self.digits))
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        _: Timestamp,
    ) -> Result<Step, SourceError> {
        let answer = match event {
            Event::Resume => return Ok(Step::then(self.ask(options))),
            Event::Response(answer) => answer,
            // A find hands over no artifacts.
            Event::Refresh(_) => return Ok(Step::then(self.done())),
        };
        let page = s3::listed(options, answer)?;
        if self.probing {
            page.expect_some(options)?;
            self.probing = false;
            return Ok(Step::then(self.ask(options)));
        }
        let before = self.last_id(options).map(str::to_owned);
        let (mut conversations, notes) = self.found(options, &page);
        self.pages += 1;
        // A conversation that is cut by the end of a page is reported with both pages.
        let again = |one: &&Conversation| before.as_ref() == Some(&one.id);
        self.found += (conversations.len() - conversations.iter().filter(again).count()) as u64;
        let mut updates = Vec::new();
        if self.counting {
            let number = conversations.len() as u64;
            updates.push(Update::Count(Count {
                range: TimeRange {
                    from: self.day,
                    until: self.day + DAY,
                },
                conversations: number,
                recorded: number,
                requests: 1,
            }));
            let every = conversations.len().div_ceil(EXAMPLES).max(1);
            let mut place = 0;
            conversations.retain(|_| {
                place += 1;
                (place - 1) % every == 0
            });
        }
        match page.contents.last().filter(|_| page.is_truncated()) {
            Some(last) => self.after = Some(last.key.clone()),
            None => updates.extend(self.advance()),
        }
        let next = if self.day < self.until {
            self.ask(options)
        } else {
            self.done()
        };
        Ok(Step {
            conversations,
            updates,
            notes,
            ..Step::then(next)
        })
    }

    /// The conversations of a page whose hour is in the range, with the number of objects of each
    /// listed so far: one that is cut by the end of a page is reported with both pages.
    fn found(&mut self, options: &Options, page: &Page) -> (Vec<Conversation>, Vec<Note>) {
        let prefix = self.prefix(options);
        let mut found: Vec<Conversation> = Vec::new();
        let before = self.last_id(options).map(str::to_owned);
        let mut last = before.as_deref();
        let mut listed = self.listed;
        let mut odd = 0;
        for object in &page.contents {
            let rest = object.key.strip_prefix(&prefix);
            let Some((hour, id)) = rest.and_then(layout::parse) else {
                // Folder markers are not reported.
                odd += u32::from(!object.key.ends_with('/'));
                continue;
            };
            let start = self.day + hour * HOUR;
            let inside = start + HOUR > self.from && start < self.until;
            // The files of a folder are adjacent.
            listed = if last == Some(id) { listed + 1 } else { 1 };
            last = Some(id);
            if !inside {
                continue;
            }
            // It had ended when it was pushed. The metadata in its folder are more accurate.
            let end = Some(object.written().max(start));
            match found.last_mut().filter(|one| one.id == id) {
                Some(one) => {
                    one.revision = Some(listed);
                    one.end = one.end.max(end);
                }
                // It was counted, or is an example, with the previous page.
                None if self.counting && listed > 1 => {}
                None => found.push(Conversation {
                    revision: Some(listed),
                    end,
                    ..Conversation::bare(id, start)
                }),
            }
        }
        self.listed = listed;
        let notes = match odd {
            0 => Vec::new(),
            odd => vec![Note::warning(format!(
                "{odd} objects under `{}` are left out: their keys are not of the layout",
                layout::day(self.day, self.digits)
            ))],
        };
        (found, notes)
    }

    /// The conversation of the last key of the previous page.
    fn last_id(&self, options: &Options) -> Option<&str> {
        let key = self.after.as_deref()?;
        let (_, id) = layout::parse(key.strip_prefix(&self.prefix(options))?)?;
        Some(id)
    }

    /// Moves on to the other way of writing the day, or to the next day; then reports what the bucket
    /// has of the day, in whole hours.
    fn advance(&mut self) -> Option<Update> {
        self.after = None;
        self.listed = 0;
        let padded = layout::day(self.day, Digits::Padded);
        if self.digits == Digits::Plain && padded != layout::day(self.day, Digits::Plain) {
            self.digits = Digits::Padded;
            return None;
        }
        let range = TimeRange {
            from: self.day.max(self.from / HOUR * HOUR),
            until: (self.day + DAY).min(self.until.div_ceil(HOUR) * HOUR),
        };
        self.digits = Digits::Plain;
        self.day += DAY;
        let (found, pages) = (
            std::mem::take(&mut self.found),
            std::mem::take(&mut self.pages),
        );
        (!self.counting).then_some(Update::Count(Count {
            range,
            conversations: found,
            recorded: found,
            requests: pages,
        }))
    }
}
