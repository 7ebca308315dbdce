//! Ranges of time, as sources search them: checked, cut into days, divided into parts that are searched at once.
//!
//! All times are milliseconds since the epoch, and days are those of UTC.

use std::ops::Range;

use crate::{SourceError, TimeRange, Timestamp, options::wrong};

/// An hour, in milliseconds.
pub const HOUR: u64 = 3_600_000;
/// A day, in milliseconds.
pub const DAY: u64 = 24 * HOUR;

impl TimeRange {
    /// The part of a range that can be searched: anything after `now` is left out.
    ///
    /// # Errors
    /// [`SourceError::Options`] about `interval`, which the range comes from, if there is none.
    ///
    /// ```
    /// use recording_source_sdk::{TimeRange, time::DAY};
    ///
    /// let range = TimeRange { from: 0, until: 7 * DAY };
    /// assert_eq!(range.past(3 * DAY).unwrap(), 0..3 * DAY);
    /// let future = TimeRange { from: 4 * DAY, until: 7 * DAY };
    /// assert!(future.past(3 * DAY).is_err());
    /// ```
    pub fn past(&self, now: Timestamp) -> Result<Range<Timestamp>, SourceError> {
        if self.from >= self.until {
            return Err(wrong("interval", "ends before it begins"));
        }
        if self.from >= now {
            return Err(wrong("interval", "begins in the future"));
        }
        Ok(self.from..self.until.min(now))
    }
}

impl From<Range<Timestamp>> for TimeRange {
    fn from(range: Range<Timestamp>) -> Self {
        TimeRange {
            from: range.start,
            until: range.end,
        }
    }
}

/// The days that a range touches, the first and the last one cut at its ends.
///
/// ```
/// use recording_source_sdk::time::{DAY, HOUR, days};
///
/// let days: Vec<_> = days(DAY - HOUR..2 * DAY + HOUR).collect();
/// assert_eq!(days, [DAY - HOUR..DAY, DAY..2 * DAY, 2 * DAY..2 * DAY + HOUR]);
/// ```
pub fn days(range: Range<Timestamp>) -> impl Iterator<Item = Range<Timestamp>> {
    (range.start / DAY..range.end.div_ceil(DAY))
        .map(move |day| range.start.max(day * DAY)..range.end.min((day + 1) * DAY))
}

/// A range cut at ends of days into at most `most` pieces of about the same length, to be walked at
/// once. There is always one.
///
/// ```
/// use recording_source_sdk::time::{DAY, HOUR, parallel_ranges};
///
/// let pieces: Vec<_> = parallel_ranges(HOUR..5 * DAY, 2).collect();
/// assert_eq!(pieces, [HOUR..2 * DAY, 2 * DAY..5 * DAY]);
/// assert_eq!(parallel_ranges(HOUR..2 * HOUR, 4).count(), 1);
/// ```
pub fn parallel_ranges(
    range: Range<Timestamp>,
    most: u64,
) -> impl Iterator<Item = Range<Timestamp>> {
    let first_day = range.start / DAY;
    let days = range.end.div_ceil(DAY) - first_day;
    let lanes = most.clamp(1, days.max(1));
    (0..lanes).map(move |lane| {
        let start = ((first_day + days * lane / lanes) * DAY).max(range.start);
        let end = ((first_day + days * (lane + 1) / lanes) * DAY).min(range.end);
        start..end
    })
}
