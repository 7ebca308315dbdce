//! The analytics query for conversation details, with its rules of paging.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Refusal,
    filter::{Filter, Level},
    interval, row,
    search::{Matches, Span},
};
use crate::{faults::Fault, server::World};

const DAY: u64 = 86_400_000;

/// ConversationQuery.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Query {
    interval: String,
    #[serde(default)]
    order: Order,
    #[serde(default)]
    order_by: OrderBy,
    #[serde(default)]
    paging: Paging,
    #[serde(default)]
    conversation_filters: Vec<Filter>,
    #[serde(default)]
    segment_filters: Vec<Filter>,
    #[serde(default)]
    evaluation_filters: Vec<Value>,
    #[serde(default)]
    survey_filters: Vec<Value>,
    #[serde(default)]
    resolution_filters: Vec<Value>,
    #[serde(default)]
    aggregations: Vec<Value>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) enum Order {
    #[default]
    Asc,
    Desc,
    Unordered,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(super) enum OrderBy {
    #[default]
    ConversationStart,
    ConversationEnd,
    SegmentStart,
    SegmentEnd,
}

/// PagingSpec.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Paging {
    #[serde(default = "page_size")]
    page_size: u64,
    #[serde(default = "page_number")]
    page_number: u64,
}

fn page_size() -> u64 {
    25
}

fn page_number() -> u64 {
    1
}

impl Default for Paging {
    fn default() -> Self {
        Paging {
            page_size: page_size(),
            page_number: page_number(),
        }
    }
}

/// Answers a query.
pub(super) fn serve(world: &World, query: &Query) -> Result<(StatusCode, Value), Refusal> {
    let (from, until) = interval(&query.interval)?;
    let longest = u64::from(world.settings.max_interval_days);
    if until - from > longest * DAY {
        return Err(Refusal::bad(format!(
            "The interval may not be longer than {longest} days"
        )));
    }
    let Paging {
        page_size: size,
        page_number: number,
    } = query.paging;
    if !(1..=100).contains(&size) || number < 1 {
        return Err(Refusal::bad(format!(
            "pageSize {size} must be within 1 and 100, pageNumber {number} at least 1"
        )));
    }
    for (name, filters) in [
        ("evaluationFilters", &query.evaluation_filters),
        ("surveyFilters", &query.survey_filters),
        ("resolutionFilters", &query.resolution_filters),
        ("aggregations", &query.aggregations),
    ] {
        if !filters.is_empty() {
            return Err(Refusal::bad(format!("{name} are not simulated")));
        }
    }
    for filter in &query.conversation_filters {
        filter.check(Level::Conversation)?;
    }
    for filter in &query.segment_filters {
        filter.check(Level::Segment)?;
    }
    let span = Span {
        from,
        until,
        start_of_day: true,
    };
    let matches = Matches::find(
        world,
        world.clock.now(),
        span,
        &query.conversation_filters,
        &query.segment_filters,
        query.order_by,
    );
    let hits = matches.count();
    if hits > world.settings.max_hits {
        return Err(Refusal::bad(format!(
            "Pagination may not exceed {} results",
            world.settings.max_hits
        )));
    }
    let place = Place::of(world, size, number, hits);
    let mut answer = json!({ "totalHits": place.hits });
    if !place.rows.is_empty() {
        let now = world.clock.now();
        let rows = place.rows.map(|place| {
            let place = match query.order {
                Order::Asc | Order::Unordered => place,
                Order::Desc => hits - 1 - place,
            };
            let conversation = world.organization.conversation(matches.at(place));
            row::row(world, &conversation, now)
        });
        answer["conversations"] = rows.collect();
    }
    Ok((StatusCode::OK, answer))
}

/// The part of all hits that a page shows.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// How many hits there are said to be.
    hits: u64,
    rows: std::ops::Range<u64>,
}

impl Place {
    fn of(world: &World, size: u64, number: u64, hits: u64) -> Self {
        let start = (number - 1).saturating_mul(size).min(hits);
        let end = number.saturating_mul(size).min(hits);
        let place = Place {
            hits,
            rows: start..end,
        };
        // The first page is true: whoever reads again from there misses nothing.
        if number == 1 || place.rows.is_empty() {
            return place;
        }
        match world.chance.strikes(Fault::UnstablePages) {
            None => place,
            Some(mut rng) => {
                let by = 1 + rng.below(size.min(3));
                place.moved(by, rng.percent(50), size)
            }
        }
    }

    /// The page after `by` rows before it have come or gone.
    fn moved(self, by: u64, come: bool, size: u64) -> Self {
        let Place { hits, rows } = self;
        if come {
            let start = rows.start - by;
            return Place {
                hits: hits + by,
                rows: start..(start + size).min(hits),
            };
        }
        Place {
            hits: hits - by,
            rows: (rows.start + by).min(hits)..(rows.start + by + size).min(hits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_moves_by_the_rows_that_came_or_went_before_it() {
        let place = |hits, rows| Place { hits, rows };
        let second = || place(25, 10..20);
        assert_eq!(second().moved(3, true, 10), place(28, 7..17));
        assert_eq!(second().moved(3, false, 10), place(22, 13..23));
        // The last page is longer or shorter, or gone.
        assert_eq!(place(25, 20..25).moved(2, true, 10), place(27, 18..25));
        assert_eq!(place(25, 20..25).moved(2, false, 10), place(23, 22..25));
        assert_eq!(place(21, 20..21).moved(2, false, 10), place(19, 21..21));
    }
}
