//! Pages by number, down to a single item where a page is too large.
//!
//! A page that is too large is requested in smaller ones at the same place: sizes are divisors of one
//! another, so paging resumes at the same row and skips none. Page sizes grow again after it.

use serde::{Deserialize, Serialize};

/// The pages that must succeed before a size that was too large is tried again.
const BEFORE_GROWING: u32 = 2;
/// The most doublings of that number, one for each size that was too large again.
const MOST_DOUBLINGS: u32 = 8;

/// The position of a walk through pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Paging {
    /// The page, counted from 1.
    pub(crate) page: u32,
    /// Items on a page; the configured maximum if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
    /// Pages that succeeded since the size was changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    good: u32,
    /// The number of sizes that were too large again.
    #[serde(default, skip_serializing_if = "is_zero")]
    failed: u32,
    /// True if the size has grown and has not succeeded yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    grown: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Paging {
    /// The first page.
    pub(crate) fn first() -> Self {
        Paging {
            page: 1,
            size: None,
            good: 0,
            failed: 0,
            grown: false,
        }
    }

    /// The first page again, in the size that succeeds by now.
    pub(crate) fn again(&self) -> Self {
        Paging {
            size: self.size,
            failed: self.failed,
            ..Paging::first()
        }
    }

    /// Items on the page.
    pub(crate) fn size(&self, most: u32) -> u32 {
        self.size.unwrap_or(most).max(1)
    }

    /// Items before the page.
    pub(crate) fn offset(&self, most: u32) -> u64 {
        u64::from(self.page.saturating_sub(1)) * u64::from(self.size(most))
    }

    /// Requests less at the same place; returns false if it is one item already.
    pub(crate) fn shrink(&mut self, most: u32) -> bool {
        let size = self.size(most);
        if size <= 1 {
            return false;
        }
        let parts = smallest_factor(size);
        self.failed = (self.failed + u32::from(self.grown)).min(MOST_DOUBLINGS);
        self.page = (self.page - 1).saturating_mul(parts).saturating_add(1);
        self.size = Some(size / parts);
        (self.good, self.grown) = (0, false);
        true
    }

    /// Moves on to the next page, in a larger size if that is likely to succeed.
    pub(crate) fn next(&mut self, most: u32) {
        self.page = self.page.saturating_add(1);
        self.good += 1;
        self.grown = false;
        let size = self.size(most);
        // The next request has the size of this one, whatever is configured by then.
        self.size = Some(size);
        if self.good < BEFORE_GROWING << self.failed {
            return;
        }
        let mut larger = most;
        while larger > size && larger / smallest_factor(larger) > size {
            larger /= smallest_factor(larger);
        }
        let parts = larger / size;
        if larger > size && larger.is_multiple_of(size) && (self.page - 1).is_multiple_of(parts) {
            self.page = (self.page - 1) / parts + 1;
            self.size = Some(larger);
            (self.good, self.grown) = (0, true);
        }
    }
}

fn smallest_factor(number: u32) -> u32 {
    let factor = (2..).take_while(|factor| factor * factor <= number);
    let mut factor = factor.filter(|factor| number.is_multiple_of(*factor));
    factor.next().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks `items`, of which a page may hold so many bytes; returns what was read and passed over.
    fn walk(items: &[u32], most: u32, bytes: u32) -> (Vec<usize>, Vec<usize>, u32) {
        let (mut read, mut passed, mut asked) = (Vec::new(), Vec::new(), 0);
        let mut paging = Paging::first();
        loop {
            asked += 1;
            let from = paging.offset(most) as usize;
            if from >= items.len() {
                return (read, passed, asked);
            }
            let until = (from + paging.size(most) as usize).min(items.len());
            if items[from..until].iter().sum::<u32>() <= bytes {
                read.extend(from..until);
            } else if paging.shrink(most) {
                continue;
            } else {
                passed.push(from);
            }
            paging.next(most);
        }
    }

    #[test]
    fn whatever_is_too_large_each_item_is_read_once_but_those_too_large_by_themselves() {
        for most in [1, 7, 25, 60, 97, 100] {
            for (large, bytes) in [(0, 1000), (50, 120), (500, 400), (60, 61)] {
                let items: Vec<u32> = (0..730)
                    .map(|place| if place % 211 == 5 { large } else { 1 })
                    .collect();
                let (read, passed, asked) = walk(&items, most, bytes);
                let (over, fit): (Vec<usize>, Vec<usize>) =
                    (0..730).partition(|place| items[*place] > bytes);
                assert_eq!((read, passed), (fit, over), "{most} {large} {bytes}");
                assert!(asked <= 731 + 40, "{asked}");
            }
        }
    }

    #[test]
    fn one_large_item_among_many_costs_few_requests() {
        let mut items = vec![1; 10_000];
        items[4321] = 500;
        let (read, passed, asked) = walk(&items, 100, 400);
        assert_eq!((read.len(), passed), (9_999, vec![4321]));
        assert!(asked < 140, "{asked}");
    }
}
