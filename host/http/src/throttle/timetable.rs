//! A rate for each time of the week, in words such as `08:00,10MB 18:00,off`.

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};

use recording_host_model::quantity;

/// Minutes of a day, and days of a week.
const DAY: u32 = 24 * 60;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// How much may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    /// Whatever comes.
    Unlimited,
    /// So many bytes a second.
    Bytes(u64),
    /// Nothing.
    Paused,
}

/// Rates by the time of the week; without any, everything may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timetable {
    /// From which minute of the week on there is which rate, in order.
    entries: Vec<(u32, Rate)>,
    zone: TimeZone,
}

/// A text is no timetable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimetableError {
    /// An entry is wrong.
    #[error(
        "`{entry}`: {reason}; write `10MB`, or times with what holds from then on, such as `08:00,10MB 18:00,off Sat-00:00,off`; `pause` lets nothing pass"
    )]
    Entry {
        /// The entry.
        entry: String,
        /// The cause.
        reason: String,
    },
    /// The time zone is not known.
    #[error(
        "`{0}` is no time zone of this machine's database; write one such as Europe/Dublin, or UTC"
    )]
    Zone(String),
}

impl Default for Timetable {
    fn default() -> Self {
        Timetable {
            entries: Vec::new(),
            zone: TimeZone::UTC,
        }
    }
}

impl Timetable {
    /// Reads a timetable, whose times are those of a zone such as `Europe/Dublin`.
    ///
    /// # Errors
    /// [`TimetableError`].
    pub fn new(text: &str, zone: &str) -> Result<Self, TimetableError> {
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| TimetableError::Zone(name.to_owned()))?,
        };
        let mut entries = Vec::new();
        for entry in text.split_whitespace() {
            let wrong = |reason: String| TimetableError::Entry {
                entry: entry.to_owned(),
                reason,
            };
            entries.extend(parsed(entry).map_err(wrong)?);
        }
        entries.sort_by_key(|(minute, _)| *minute);
        let twice = entries.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if entries.is_empty() || twice {
            let reason = match twice {
                true => "two entries begin at the same time",
                false => "there is no entry",
            };
            return Err(TimetableError::Entry {
                entry: text.to_owned(),
                reason: reason.to_owned(),
            });
        }
        Ok(Timetable { entries, zone })
    }

    /// The rate at an instant (ms since the epoch).
    pub(super) fn at(&self, now: u64) -> Rate {
        let Some((_, last)) = self.entries.last() else {
            return Rate::Unlimited;
        };
        if self.entries.len() == 1 {
            return *last;
        }
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let now = Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX);
        let now = self.zone.to_datetime(now);
        let day = u32::from(now.weekday().since(Weekday::Monday).unsigned_abs());
        let clock =
            u32::from(now.hour().unsigned_abs()) * 60 + u32::from(now.minute().unsigned_abs());
        let minute = day * DAY + clock;
        let begun = self.entries.iter().rev().find(|(from, _)| *from <= minute);
        // Before the first entry of a week holds the last one of the week before.
        begun.map_or(*last, |(_, rate)| *rate)
    }
}

/// What an entry says: from which minutes of the week on there is which rate.
fn parsed(entry: &str) -> Result<Vec<(u32, Rate)>, String> {
    let (when, rate) = match entry.split_once(',') {
        None => return Ok(vec![(0, rate(entry)?)]),
        Some((when, text)) => (when, rate(text)?),
    };
    let (days, time) = match when.split_once('-') {
        None => (0..7, when),
        Some((day, time)) => {
            let found = DAYS.iter().position(|name| *name == day);
            let day = found.ok_or_else(|| format!("days are {}", DAYS.join(", ")))?;
            let day = u32::try_from(day).unwrap_or_default();
            (day..day + 1, time)
        }
    };
    let clock = time.split_once(':').and_then(|(hour, minute)| {
        let two = |text: &str, most: u32| {
            let digits = text.len() == 2 && text.bytes().all(|it| it.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number.filter(|number: &u32| *number < most)
        };
        Some(two(hour, 24)? * 60 + two(minute, 60)?)
    });
    let clock = clock.ok_or_else(|| "times are written as 08:00".to_owned())?;
    Ok(days.map(|day| (day * DAY + clock, rate)).collect())
}

fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "off" => Ok(Rate::Unlimited),
        "pause" => Ok(Rate::Paused),
        number => {
            let read = quantity::bytes(number);
            read.map(Rate::Bytes).map_err(|_| {
                "rates are `off`, `pause`, or bytes a second such as 500kB or 10MB".to_owned()
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(timetable: &Timetable, time: &str) -> Rate {
        let time: Timestamp = time.parse().unwrap();
        timetable.at(time.as_millisecond().unsigned_abs())
    }

    #[test]
    fn the_last_entry_that_has_begun_holds_also_across_midnight() {
        let table = Timetable::new("08:00,10MB 18:00,off", "UTC").unwrap();
        assert_eq!(at(&table, "2026-01-05T07:59:59Z"), Rate::Unlimited);
        assert_eq!(at(&table, "2026-01-05T08:00:00Z"), Rate::Bytes(10_000_000));
        assert_eq!(at(&table, "2026-01-05T18:00:00Z"), Rate::Unlimited);
        // A Monday; the week before ended on a Saturday's entry.
        let table = Timetable::new("Sat-00:00,off Mon-08:00,pause", "UTC").unwrap();
        assert_eq!(at(&table, "2026-01-05T07:00:00Z"), Rate::Unlimited);
        assert_eq!(at(&table, "2026-01-09T23:59:00Z"), Rate::Paused);
        assert_eq!(at(&table, "2026-01-10T00:00:00Z"), Rate::Unlimited);
        let always = Timetable::new("500kB", "UTC").unwrap();
        assert_eq!(at(&always, "2026-01-05T07:00:00Z"), Rate::Bytes(500_000));
    }

    #[test]
    fn hours_are_those_of_the_zone_in_summer_and_winter() {
        let table = Timetable::new("08:00,1MB 18:00,off", "Europe/Berlin").unwrap();
        assert_eq!(at(&table, "2026-01-05T07:00:00Z"), Rate::Bytes(1_000_000));
        assert_eq!(at(&table, "2026-07-06T06:00:00Z"), Rate::Bytes(1_000_000));
        assert_eq!(at(&table, "2026-01-05T06:59:00Z"), Rate::Unlimited);
    }

    #[test]
    fn what_is_no_timetable_is_refused_with_the_entry() {
        for wrong in [
            "",
            "fast",
            "8:00,1MB",
            "25:00,1MB",
            "Mo-08:00,1MB",
            "08:00,0",
            "08:00,1MB 08:00,off",
            "08:00",
        ] {
            assert!(Timetable::new(wrong, "UTC").is_err(), "{wrong}");
        }
        let error = Timetable::new("08:00,1MB", "Middle/Earth").unwrap_err();
        assert!(error.to_string().contains("Middle/Earth"));
    }
}
