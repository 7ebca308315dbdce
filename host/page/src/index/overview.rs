//! Sums over the archive: days, losses, figures.

use std::collections::BTreeMap;

use jiff::civil::Date;
use rusqlite::Connection;

use super::{DAY_MS, Index};
use crate::PageError;

/// The outcomes of the conversations of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    /// Conversations of each outcome.
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) recordings: u64,
    pub(crate) bytes: u64,
    /// How many conversations the source counted, where it did.
    pub(crate) counted: Option<u64>,
    /// True if it was searched from its beginning to its end.
    pub(crate) searched: bool,
}

/// Conversations of which recordings are lacking for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) code: String,
    pub(crate) conversations: u64,
}

/// All that the overview shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    /// By the number of the day since 1970.
    pub(crate) days: BTreeMap<i64, Day>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) exports: Vec<String>,
    pub(crate) receipts: u64,
    /// When the newest receipt was written.
    pub(crate) written: Option<String>,
    /// Receipts that are not in the index, or not all of them, and why.
    pub(crate) problems: Vec<(String, String)>,
}

impl Day {
    pub(crate) fn conversations(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Conversations of which recordings are lacking.
    pub(crate) fn lost(&self) -> u64 {
        let of = |outcome: &str| self.outcomes.get(outcome).copied().unwrap_or_default();
        of("failed") + of("partial")
    }

    /// Conversations that the source counted and no receipt has yet.
    pub(crate) fn waiting(&self) -> u64 {
        self.counted
            .unwrap_or_default()
            .saturating_sub(self.conversations())
    }
}

impl Overview {
    /// Sums over all days: conversations, recordings, bytes, losses.
    pub(crate) fn totals(&self) -> (u64, u64, u64, u64) {
        self.days.values().fold((0, 0, 0, 0), |sum, day| {
            (
                sum.0 + day.conversations(),
                sum.1 + day.recordings,
                sum.2 + day.bytes,
                sum.3 + day.lost(),
            )
        })
    }
}

impl Index {
    /// Sums the archive up.
    pub(crate) fn overview(&self) -> Result<Overview, PageError> {
        let connection = self.reader();
        let mut overview = Overview {
            days: days(&connection)?,
            ..Overview::default()
        };
        let mut query = connection.prepare_cached(
            "SELECT code, sum(conversations) AS n FROM day WHERE code IS NOT NULL
             GROUP BY code ORDER BY n DESC, code LIMIT 100",
        )?;
        let losses = query.query_map([], |row| {
            Ok(Loss {
                code: row.get(0)?,
                conversations: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        })?;
        overview.losses = losses.collect::<Result<_, _>>()?;
        let mut query = connection.prepare_cached(
            "SELECT DISTINCT export FROM file WHERE export IS NOT NULL ORDER BY export LIMIT 20",
        )?;
        overview.exports = query
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let (receipts, written) = connection.query_row(
            "SELECT count(*), max(written) FROM file WHERE low IS NOT NULL",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)),
        )?;
        (overview.receipts, overview.written) = (receipts.unsigned_abs(), written);
        let mut query = connection.prepare_cached(
            "SELECT receipt, problem FROM file WHERE problem IS NOT NULL ORDER BY receipt LIMIT 100",
        )?;
        let problems = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        overview.problems = problems.collect::<Result<_, _>>()?;
        Ok(overview)
    }
}

impl Index {
    /// A day, if anything is known of it.
    pub(crate) fn day(&self, date: Date) -> Result<Option<Day>, PageError> {
        Ok(days(&self.reader())?.remove(&number_of(date)))
    }
}

/// The number of a day since 1970.
pub(crate) fn number_of(date: Date) -> i64 {
    let epoch = Date::constant(1970, 1, 1);
    epoch.until(date).map_or(-1, |span| span.get_days().into())
}

fn days(connection: &Connection) -> Result<BTreeMap<i64, Day>, PageError> {
    let mut days = BTreeMap::<i64, Day>::new();
    let mut query = connection.prepare_cached(
        "SELECT day, outcome, sum(conversations), sum(recordings), sum(bytes) FROM day GROUP BY day, outcome",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let day = days.entry(row.get(0)?).or_default();
        let outcome: String = row.get(1)?;
        day.outcomes
            .insert(outcome, row.get::<_, i64>(2)?.unsigned_abs());
        day.recordings += row.get::<_, i64>(3)?.unsigned_abs();
        day.bytes += row.get::<_, i64>(4)?.unsigned_abs();
    }
    let mut query = connection.prepare_cached(
        "SELECT day, max(counted) FROM file WHERE counted IS NOT NULL AND day IS NOT NULL GROUP BY day",
    )?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let counted: i64 = row.get(1)?;
        days.entry(row.get(0)?).or_default().counted = Some(counted.unsigned_abs());
    }
    // Ranges in order, joined as they overlap: a day is searched if one joined range has all of it.
    let mut query =
        connection.prepare_cached("SELECT DISTINCT since, until FROM searched ORDER BY since")?;
    let mut rows = query.query([])?;
    let mut joined: Vec<(i64, i64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let (since, until): (i64, i64) = (row.get(0)?, row.get(1)?);
        match joined.last_mut() {
            Some(last) if since <= last.1 => last.1 = last.1.max(until),
            _ => joined.push((since, until)),
        }
    }
    for (since, until) in joined {
        let first = since.div_euclid(DAY_MS) + i64::from(since.rem_euclid(DAY_MS) > 0);
        // A range of a century is no range of days that anybody shows.
        for day in first..until.div_euclid(DAY_MS).min(first + 40_000) {
            days.entry(day).or_default().searched = true;
        }
    }
    Ok(days)
}
