//! The number of conversations: three requests a day, and a page of examples.

use std::ops::Range;

use recording_source_sdk::{
    Count, Event, Next, RequestError, SourceError, Split, SplitKind, Step, TimeRange, Timestamp,
    Update,
    options::wrong,
    time::{DAY, days},
};
use serde::{Deserialize, Serialize};

use crate::{
    api::{self, analytics},
    backfill,
    metadata::iso,
    names,
    options::{Names, Options, Search},
    page,
};

/// The most examples of a day.
const EXAMPLES: u32 = 100;
/// The most pages of one row that are tried, until one is not too large.
const MOST_PAGES: u32 = 10;

/// The state of counting a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Estimate {
    from: Timestamp,
    until: Timestamp,
    /// True if it is a part of a range that is long enough for jobs.
    large: bool,
    /// Requests of the search that none of its days makes: look-ups of names in the options.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    /// True if the names of this day's ids are to be looked up: nothing is known of them before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unnamed: bool,
    /// True for the first day of the range.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    first: bool,
    hits: Option<u64>,
    recorded: Option<u64>,
    /// The page that counts, if the first ones are too large.
    #[serde(default = "first")]
    page: u32,
    /// Examples on a page.
    #[serde(default = "examples")]
    examples: u32,
}

fn first() -> u32 {
    1
}

fn examples() -> u32 {
    EXAMPLES
}

/// The initial splits of an estimate of a range.
pub(crate) fn begin(
    options: &Options,
    range: TimeRange,
    now: Timestamp,
) -> Result<Vec<Split>, SourceError> {
    let end = range.until.min(now);
    if range.from >= end {
        return Err(wrong("interval", "there is nothing in it yet"));
    }
    let large = end - range.from >= backfill::LARGE;
    // Each of the windows that are walked at once begins without names.
    let windows = options.parallelism as usize;
    let split = |(number, day): (usize, Range<Timestamp>)| {
        let estimate = Estimate {
            from: day.start,
            until: day.end,
            large,
            before: (number == 0 && options.named_in_filters > 0)
                .then_some(options.named_in_filters),
            first: number == 0,
            unnamed: options.names != Names::No && number < windows,
            hits: None,
            recorded: None,
            page: first(),
            examples: examples(),
        };
        estimate.into_split(format!("estimate/{}", iso(day.start)))
    };
    Ok(days(range.from..end).enumerate().map(split).collect())
}

impl Estimate {
    fn ask(self, options: &Options) -> Next {
        let interval = format!("{}/{}", iso(self.from), iso(self.until));
        let request = match (self.hits, self.recorded) {
            (None, _) => analytics::query(options, &interval, 1, self.page),
            (Some(_), None) => analytics::recorded(options, &interval, self.page),
            // From the middle of the day: nights differ from days.
            (Some(hits), Some(_)) => {
                let page = hits / u64::from(self.examples) / 2 + 1;
                let page = u32::try_from(page).unwrap_or(u32::MAX);
                analytics::query(options, &interval, self.examples, page)
            }
        };
        self.send(request)
    }

    pub(crate) fn step(
        mut self,
        options: &Options,
        event: Event,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        let Event::Response(answer) = event else {
            return Ok(Step::then(self.ask(options)));
        };
        if let Err(RequestError::TooLarge(limit)) = answer {
            return self.too_large(limit, options, now);
        }
        let response = api::success(answer)?.map_err(SourceError::from)?;
        let page = analytics::Page::read(&response)?;
        // Without a count there is none: zero would be a claim.
        let Some(hits) = page.total_hits.or(self.hits.and(self.recorded)) else {
            let mut step = Step::then(self.done());
            step.warn(format!(
                "the vendor has no count for {}; no estimate is possible",
                iso(self.from)
            ));
            return Ok(step);
        };
        match (self.hits, self.recorded) {
            (None, _) => self.hits = Some(hits),
            (Some(_), None) => self.recorded = Some(hits),
            (Some(counted), Some(recorded)) => {
                return Ok(self.counted(options, counted, recorded, page, now));
            }
        }
        if self.hits == Some(0) {
            return Ok(self.counted(options, 0, 0, analytics::Page::default(), now));
        }
        Ok(Step::then(self.ask(options)))
    }

    /// Requests less: any page has the count, and fewer examples are examples.
    fn too_large(
        mut self,
        limit: u64,
        options: &Options,
        now: Timestamp,
    ) -> Result<Step, SourceError> {
        match (self.hits, self.recorded) {
            (Some(hits), Some(recorded)) if self.examples == 1 => {
                let none = analytics::Page::default();
                return Ok(self.counted(options, hits, recorded, none, now));
            }
            (Some(_), Some(_)) => self.examples = (self.examples / 10).max(1),
            _ if self.page < MOST_PAGES => self.page += 1,
            _ => {
                return Err(SourceError::Permanent(format!(
                    "each of the first {MOST_PAGES} rows of {} has more than {limit} bytes",
                    iso(self.from)
                )));
            }
        }
        Ok(Step::then(self.ask(options)))
    }

    fn counted(
        self,
        options: &Options,
        conversations: u64,
        recorded: u64,
        examples: analytics::Page,
        now: Timestamp,
    ) -> Step {
        let (from, until) = (self.from, self.until);
        let (before, unnamed, is_first) = (self.before, self.unnamed, self.first);
        let requests = requests(options, self.large, conversations);
        let mut step = Step::then(self.done());
        let mut rows = page::readable(examples, &(from..until), &mut step);
        let lookups = match unnamed {
            true => names::requests(rows.iter()),
            false => 0,
        };
        if lookups > 0 && is_first {
            step.inform(format!(
                "names: {lookups} requests of each of the windows that are walked at once look up the names of ids that come without; `names: false` saves them"
            ));
        }
        let all = rows.len() as u64;
        rows.retain(|row| (from..until).contains(&row.conversation.start));
        // The vendor counts whole days; the share of a part of one is that of the examples.
        let share = |count: u64| match until - from {
            DAY => count,
            _ => count * rows.len() as u64 / all.max(1),
        };
        step.updates.push(Update::Count(Count {
            range: (from..until).into(),
            conversations: share(conversations),
            recorded: share(recorded),
            requests: requests + before.unwrap_or_default() + lookups,
        }));
        page::hand_over(rows.into_iter(), options.mode, now, &mut step);
        step
    }
}

/// The number of requests that it takes to find so many conversations of a day.
fn requests(options: &Options, large: bool, conversations: u64) -> u64 {
    let job = match options.search {
        Search::Job => true,
        Search::Auto => large,
        Search::Query | Search::Retention => false,
    };
    let page = match job {
        true => backfill::PAGE,
        false => options.page_size,
    };
    conversations.div_ceil(u64::from(page)).max(1)
}
