//! A part of an export that a process of its own does: some whole days of the interval.
//!
//! Days are the unit since receipts and rows are filed by day: no two shards write to the same one, and each
//! claims its own days and no more. So an archive without one of them shows a gap, where a division by the
//! conversations' ids would leave each day claimed and none complete.

use std::{fmt, str::FromStr};

use crate::run::Interval;
use recording_host_model::day;

/// A day (ms).
const DAY: u64 = 86_400_000;

/// One of some shards, such as the second of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 1.
    number: u64,
    /// How many there are.
    of: u64,
}

/// Why there is no such shard.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShardError {
    /// The text is none.
    #[error("`{0}` is no shard: write its number and how many there are, such as 1/3, 2/3 and 3/3")]
    Text(String),
    /// The interval has no end.
    #[error("it has no end, and days that are to come cannot be divided; give it one")]
    Endless,
    /// The interval is too short.
    #[error("it has {days} days (UTC), which {shards} shards cannot share: each has one at least")]
    Short {
        /// Days in it.
        days: u64,
        /// Shards.
        shards: u64,
    },
}

impl Shard {
    /// The shard with a number from 1 to `of`.
    ///
    /// # Errors
    /// [`ShardError::Text`] if there is none.
    pub fn new(number: u64, of: u64) -> Result<Self, ShardError> {
        match (1..=of).contains(&number) {
            true => Ok(Shard { number, of }),
            false => Err(ShardError::Text(format!("{number}/{of}"))),
        }
    }

    /// Its part of an interval, and the days of that.
    pub(crate) fn of_interval(self, whole: &Interval) -> Result<(Interval, Days), ShardError> {
        let until = whole.until.ok_or(ShardError::Endless)?;
        let (first, end) = (whole.from / DAY, until.div_ceil(DAY));
        let days = end.saturating_sub(first);
        if days < self.of {
            let shards = self.of;
            return Err(ShardError::Short { days, shards });
        }
        // In whole numbers, so that neighbors agree on where one ends and the next one begins.
        let part = |number: u64| {
            let before = u128::from(days) * u128::from(number) / u128::from(self.of);
            first + u64::try_from(before).unwrap_or(days)
        };
        let (from, to) = (part(self.number - 1) * DAY, part(self.number) * DAY);
        let interval = Interval {
            from: from.max(whole.from),
            until: Some(to.min(until)),
        };
        let days = Days {
            from: day(from),
            until: day(to),
        };
        Ok((interval, days))
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            let digits = |text: &str| text.bytes().all(|it| it.is_ascii_digit());
            let plain = digits(number) && digits(of);
            Some((number.parse().ok().filter(|_| plain)?, of.parse().ok()?))
        });
        let (number, of) = parsed.ok_or_else(|| ShardError::Text(text.to_owned()))?;
        Shard::new(number, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Some days in a row, `YYYY-MM-DD`, the end excluded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    from: String,
    until: String,
}

impl Days {
    /// The name in keys and files: that of the export, and the days. So the same days are the same part,
    /// however many shards there are.
    pub(crate) fn label(&self, export: &str) -> String {
        let digits = |day: &str| day.replace('-', "");
        format!("{export}.{}_{}", digits(&self.from), digits(&self.until))
    }

    /// Returns true if a folder such as `receipts/date=2026-01-05/` is that of one of the days.
    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        let day = folder
            .split("date=")
            .nth(1)
            .map(|it| it.trim_end_matches('/'));
        day.is_some_and(|day| (self.from.as_str()..self.until.as_str()).contains(&day))
    }

    /// Returns true if another name is that of the same export as `label`, the name with these days, and
    /// stands for some of them.
    pub(crate) fn overlaps(&self, label: &str, other: &str) -> bool {
        let export = label.rsplit_once('.').map_or(label, |(export, _)| export);
        let Some(rest) = other.strip_prefix(export) else {
            return false;
        };
        if rest.is_empty() {
            return true;
        }
        let days = rest.strip_prefix('.').and_then(|days| days.split_once('_'));
        let digits = |day: &str| day.replace('-', "");
        days.is_some_and(|(from, until)| {
            *from < *digits(&self.until) && *digits(&self.from) < *until
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(from: u64, until: u64) -> Interval {
        Interval {
            from,
            until: Some(until),
        }
    }

    #[test]
    fn shards_cover_each_instant_once_and_meet_at_midnight() {
        // 2026-01-05 is day 20,458 since 1970.
        let whole = interval(20_458 * DAY + 3_600_000, 20_465 * DAY + 1);
        for of in 1..=8 {
            let mut reached = whole.from;
            for number in 1..=of {
                let shard = Shard::new(number, of).unwrap();
                let (part, days) = shard.of_interval(&whole).unwrap();
                assert_eq!(part.from, reached, "{shard}");
                assert!(days.has_folder(&format!("receipts/date={}/", day(part.from))));
                reached = part.until.unwrap();
                assert!(reached > part.from, "{shard}");
                assert!(number == of || reached.is_multiple_of(DAY), "{shard}");
            }
            assert_eq!(Some(reached), whole.until);
        }
        let short = Shard::new(1, 9).unwrap().of_interval(&whole);
        assert_eq!(short.unwrap_err(), ShardError::Short { days: 8, shards: 9 });
    }

    #[test]
    fn a_text_that_is_no_shard_is_refused() {
        assert_eq!("2/3".parse(), Shard::new(2, 3));
        for wrong in ["", "2", "0/3", "4/3", "+1/3", "1/0", "a/3", "1/3/5"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_of_one_export_with_common_days_are_recognized() {
        let whole = interval(20_458 * DAY, 20_464 * DAY);
        let days = |number, of| {
            Shard::new(number, of)
                .unwrap()
                .of_interval(&whole)
                .unwrap()
                .1
        };
        let label = |number, of| days(number, of).label("calls-0123456789ab");
        let (one, name) = (days(1, 3), label(1, 3));
        assert_eq!(name, "calls-0123456789ab.20260105_20260107");
        assert!(!one.overlaps(&name, &label(2, 3)));
        assert!(one.overlaps(&name, &label(1, 2)));
        assert!(!one.overlaps(&name, &label(2, 2)));
        assert!(one.overlaps(&name, "calls-0123456789ab"));
        assert!(!one.overlaps(&name, "calls-0123456789ac"));
        assert!(!one.has_folder("receipts/date=2026-01-07/"));
    }
}
