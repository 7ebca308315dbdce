//! Which conversations match a query or a job, in which order.

use super::{
    filter::{Filter, passes},
    query::OrderBy,
};
use crate::{Conversation, server::World};

const DAY: u64 = 86_400_000;

/// The interval that conversations were active in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) until: u64,
    /// True if they must have begun on a day that it touches.
    pub(super) start_of_day: bool,
}

/// The conversations that match, in the order of their beginnings unless asked otherwise.
pub(super) struct Matches {
    /// Those that must be listed one by one.
    listed: Vec<u64>,
    /// All of these follow.
    run: std::ops::Range<u64>,
}

impl Matches {
    /// Conversations as seen at `now` that were active in the interval and pass the filters.
    pub(super) fn find(
        world: &World,
        now: u64,
        span: Span,
        conversations: &[Filter],
        segments: &[Filter],
        order_by: OrderBy,
    ) -> Self {
        let Span { from, until, .. } = span;
        let organization = &world.organization;
        // One that stays open is active ever after.
        let longest = match organization.has_open_ones() {
            true => 0,
            false => from.saturating_sub(organization.longest()),
        };
        let earliest = match span.start_of_day {
            true => (from / DAY * DAY).max(longest),
            false => longest,
        };
        let (first, inside) = (organization.first_at(earliest), organization.first_at(from));
        // Conversations that begin later than now have not happened yet.
        let end = organization.first_at(until.min(now.saturating_add(1)));
        let is_active =
            |conversation: &Conversation| conversation.never_ends || conversation.end > from;
        let active = |index: &u64| is_active(&organization.conversation(*index));
        let settled = until.saturating_add(organization.longest()) < now;
        let plain = segments.is_empty()
            && order_by == OrderBy::ConversationStart
            && settled
            && world.settings.divisions.is_none()
            && conversations.iter().all(Filter::ended_only)
            && (conversations.is_empty() || !organization.has_open_ones());
        if plain {
            return Matches {
                listed: (first..inside).filter(active).collect(),
                run: inside..end.max(inside),
            };
        }
        let mut listed: Vec<u64> = (first..end)
            .filter(|index| {
                let conversation = organization.conversation(*index);
                is_active(&conversation)
                    && world.may_see(&conversation)
                    && passes(organization, &conversation, now, conversations, segments)
            })
            .collect();
        if matches!(order_by, OrderBy::ConversationEnd | OrderBy::SegmentEnd) {
            listed.sort_by_key(|index| organization.conversation(*index).end);
        }
        Matches { listed, run: 0..0 }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.listed.len() as u64 + (self.run.end - self.run.start)
    }

    /// The one at a place.
    pub(super) fn at(&self, place: u64) -> u64 {
        match self.listed.get(place as usize) {
            Some(index) => *index,
            None => self.run.start + place - self.listed.len() as u64,
        }
    }
}
