//! Which ranges of time were searched for conversations, and how many the source counted in them.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::{Queue, QueueError, count, counted, insert_splits, set};
use recording_host_model::{Split, TimeRange, day};

/// The results of the searches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// How many were begun.
    pub begun: u64,
    /// The ranges that have been searched, in order, those that touch as one.
    pub ranges: Vec<(u64, u64)>,
    /// When each search began that reached up to an instant (ms).
    pub ends: BTreeMap<u64, u64>,
    /// True if all of the interval is to be searched once more.
    pub again: bool,
}

impl Searched {
    /// Up to when all of the time from `from` on has been searched (ms).
    #[must_use]
    pub fn until(&self, from: u64) -> Option<u64> {
        let within = |range: &&(u64, u64)| range.0 <= from && from < range.1;
        self.ranges.iter().find(within).map(|range| range.1)
    }

    /// When the search began that reached up to an instant (ms).
    #[must_use]
    pub fn at(&self, until: u64) -> Option<u64> {
        self.ends.get(&until).copied()
    }

    /// The first part of a range that has not been searched.
    #[must_use]
    pub fn lacking(&self, from: u64, until: u64) -> Option<(u64, u64)> {
        let start = self.until(from).unwrap_or(from);
        if start >= until {
            return None;
        }
        let next = self.ranges.iter().map(|range| range.0);
        let end = next.filter(|begin| *begin > start).min().unwrap_or(until);
        Some((start, end.min(until)))
    }
}

/// A range that was searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchedRange {
    /// Its first instant (ms).
    pub from: u64,
    /// The first instant after it (ms).
    pub until: u64,
    /// When the search began (ms).
    pub at: u64,
}

/// How many conversations a source counted in a range, and how many of these are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CountMismatch {
    /// The first instant of the range (ms).
    pub from: u64,
    /// The first instant after it (ms).
    pub until: u64,
    /// The number that the source counted.
    pub source: u64,
    /// The number of them that are known.
    pub known: u64,
    /// When it was counted (ms).
    pub at: u64,
}

impl Queue {
    /// The results of the searches.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn searched(&self) -> Result<Searched, QueueError> {
        self.transaction(|tx| {
            let mut ranges = Vec::new();
            let mut ends = BTreeMap::new();
            let mut query = tx.prepare_cached(
                "SELECT start, until, begun FROM search WHERE done IS NOT NULL ORDER BY start, until, begun",
            )?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let until = row.get::<_, i64>(1)? as u64;
                ranges.push((row.get::<_, i64>(0)? as u64, until));
                ends.insert(until, row.get::<_, i64>(2)? as u64);
            }
            Ok(Searched {
                begun: counted(tx, "finds")? as u64,
                ranges: joined(ranges),
                ends,
                again: counted(tx, "search-again")? == 1,
            })
        })
        .await
    }

    /// Asks for a search of the whole interval, though it has been searched.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn search_again(&self) -> Result<(), QueueError> {
        self.transaction(|tx| set(tx, "search-again", 1)).await
    }

    /// Begins a search of a range; returns the ids of the splits that are new.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn search(
        &self,
        splits: Vec<Split>,
        range: TimeRange,
        now: u64,
    ) -> Result<Vec<String>, QueueError> {
        self.transaction(move |tx| {
            set(tx, "search-again", 0)?;
            count(tx, "finds", 1)?;
            tx.prepare_cached(
                "INSERT INTO search (number, start, until, begun) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                counted(tx, "finds")?,
                range.from as i64,
                range.until as i64,
                now as i64
            ])?;
            insert_splits(tx, &splits, now)
        })
        .await
    }

    /// Notes that the searches under way are over, and forgets those whose ranges others cover.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn searched_all(&self, now: u64) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("UPDATE search SET done = ?1 WHERE done IS NULL")?
                .execute([now as i64])?;
            set_watermark(tx)?;
            // An export that follows its source never stops searching: what a later search covers goes, and
            // one that continues another is joined with it.
            tx.execute(
                "DELETE FROM search AS s WHERE EXISTS (SELECT 1 FROM search AS o WHERE o.number > s.number
                 AND o.start <= s.start AND o.until >= s.until)",
                [],
            )?;
            let last: Option<(i64, i64, i64)> = tx
                .prepare_cached("SELECT number, start, until FROM search ORDER BY number DESC LIMIT 1")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let many: i64 = tx.query_row("SELECT count(*) FROM search", [], |row| row.get(0))?;
            if let (Some((number, start, _)), true) = (last, many > MANY as i64) {
                join_earlier(tx, number, start)?;
            }
            Ok(())
        })
        .await
    }

    /// Notes that the clock was ahead up to now: nothing from `from` on counts as searched, and what waits
    /// waits no longer.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn unsearch(&self, from: u64, now: u64) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.execute(
                "UPDATE split SET due = ?1 WHERE status = 'open' AND due > ?1",
                [now as i64],
            )?;
            tx.execute(
                "UPDATE conversation SET due = ?1 WHERE status = 'found' AND outcome IS NULL AND fetch IS NULL
                 AND due > ?1",
                [now as i64],
            )?;
            tx.execute(
                "DELETE FROM search WHERE done IS NOT NULL AND start >= ?1",
                [from as i64],
            )?;
            tx.execute(
                "UPDATE search SET until = ?1 WHERE done IS NOT NULL AND until > ?1",
                [from as i64],
            )?;
            set_watermark(tx)
        })
        .await
    }

    /// Notes what an earlier version of the program has searched, which kept no ranges: those of the
    /// interval `range`. It was noted nowhere how far a search came that began before the interval was
    /// over: from where the last known conversation began, it is searched again.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn take_over(&self, range: (u64, Option<u64>)) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            let known: i64 = tx.query_row("SELECT count(*) FROM search", [], |row| row.get(0))?;
            let (finds, watermark) = (counted(tx, "finds")?, counted(tx, "watermark")?);
            if known > 0 || finds == 0 {
                return Ok(());
            }
            let last: i64 = tx.query_row(
                "SELECT ifnull(max(start), 0) FROM conversation",
                [],
                |row| row.get(0),
            )?;
            let from = range.0 as i64;
            let sure = match range.1 {
                Some(_) if watermark - last > DAY as i64 => last.max(from),
                _ => watermark,
            };
            if sure > from {
                tx.execute(
                    "INSERT INTO search VALUES (0, ?1, ?2, 0, 0)",
                    params![from, sure],
                )?;
            }
            let open: bool = tx.query_row(
                "SELECT EXISTS (SELECT 1 FROM split WHERE status = 'open' AND id LIKE 'find-%')",
                [],
                |row| row.get(0),
            )?;
            // An earlier version of the program has noted it for each search that was open.
            let (from, until) = (sure.max(from), counted(tx, "searching")?);
            if open && until > from {
                tx.execute(
                    "INSERT INTO search VALUES (?1, ?2, ?3, 0, NULL)",
                    params![finds, from, until],
                )?;
            }
            Ok(())
        })
        .await
    }

    /// The ranges that were searched and touch a range, with the time of the search.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn searches_of(
        &self,
        from: u64,
        until: u64,
    ) -> Result<Vec<SearchedRange>, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(
                "SELECT start, until, begun FROM search
                 WHERE done IS NOT NULL AND start < ?2 AND until > ?1 ORDER BY start, until",
            )?
            .query_map(params![from as i64, until as i64], |row| {
                Ok(SearchedRange {
                    from: row.get::<_, i64>(0)? as u64,
                    until: row.get::<_, i64>(1)? as u64,
                    at: row.get::<_, i64>(2)? as u64,
                })
            })?
            .collect()
        })
        .await
    }

    /// How many conversations the source counted on each day, and when (ms): of days that were counted
    /// whole.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn source_counts(&self) -> Result<Vec<(String, u64, u64)>, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached(
                "SELECT min(start), sum(conversations), max(at) FROM source_count GROUP BY start / ?1
                 HAVING min(start) % ?1 = 0 AND max(until) % ?1 = 0 AND sum(until - start) = ?1",
            )?
            .query_map([DAY as i64], |row| {
                let start = row.get::<_, i64>(0)? as u64;
                Ok((day(start), row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as u64))
            })?
            .collect()
        })
        .await
    }

    /// The ranges in which the source counted another number of conversations than is known.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn miscounted(&self) -> Result<Vec<CountMismatch>, QueueError> {
        self.transaction(|tx| {
            let mut ranges: Vec<CountMismatch> = tx
                .prepare_cached("SELECT start, until, conversations, at FROM source_count ORDER BY start, until")?
                .query_map([], |row| {
                    Ok(CountMismatch {
                        from: row.get::<_, i64>(0)? as u64,
                        until: row.get::<_, i64>(1)? as u64,
                        source: row.get::<_, i64>(2)? as u64,
                        at: row.get::<_, i64>(3)? as u64,
                        known: 0,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            // How far the ranges up to each reach: behind those that begin before a conversation and reach
            // beyond it there may be many that do not.
            let mut reach = Vec::new();
            for range in &ranges {
                let before = reach.last().copied().unwrap_or_default();
                reach.push(range.until.max(before));
            }
            // One pass over the conversations, whatever the number of ranges, which overlap little.
            let mut query = tx.prepare_cached("SELECT start FROM conversation")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                let start = row.get::<_, i64>(0)? as u64;
                let begun = ranges.partition_point(|range| range.from <= start);
                for at in (0..begun).rev().take_while(|at| reach[*at] > start) {
                    ranges[at].known += u64::from(start < ranges[at].until);
                }
            }
            ranges.retain(|range| range.source > range.known);
            Ok(ranges)
        })
        .await
    }
}

/// A day (ms).
pub(super) const DAY: u64 = 86_400_000;

/// How many ranges are kept apart before they are joined.
pub(super) const MANY: usize = 64;

/// Notes up to when conversations have been searched, if any search is over.
fn set_watermark(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
    let until: Option<i64> = tx
        .prepare_cached("SELECT max(until) FROM search WHERE done IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    match until {
        Some(until) => set(tx, "watermark", until),
        None => tx
            .execute("DELETE FROM counted WHERE name = 'watermark'", [])
            .map(drop),
    }
}

/// Joins with a search the earlier ones that it continues.
fn join_earlier(tx: &rusqlite::Transaction<'_>, number: i64, start: i64) -> rusqlite::Result<()> {
    let (mut start, mut end) = (start, i64::MIN);
    loop {
        let earlier: Option<(i64, i64, i64)> = tx
            .prepare_cached(
                "SELECT number, start, until FROM search WHERE number < ?1 AND start < ?2 AND until >= ?2
                 ORDER BY start LIMIT 1",
            )?
            .query_row([number, start], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((other, from, until)) = earlier else {
            break;
        };
        tx.execute("DELETE FROM search WHERE number = ?1", [other])?;
        (start, end) = (from, end.max(until));
    }
    tx.execute(
        "UPDATE search SET start = ?2, until = max(until, ?3) WHERE number = ?1",
        [number, start, end],
    )?;
    Ok(())
}

/// Ranges in order, those that touch or overlap as one.
pub(super) fn joined(ranges: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from, until) in ranges {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => joined.push((from, until)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_what_no_search_has_covered() {
        let searched = Searched {
            ranges: joined(vec![(10, 20), (15, 30), (40, 50)]),
            ..Searched::default()
        };
        assert_eq!(searched.ranges, [(10, 30), (40, 50)]);
        assert_eq!(searched.lacking(10, 30), None);
        assert_eq!(searched.lacking(0, 60), Some((0, 10)));
        assert_eq!(searched.lacking(10, 60), Some((30, 40)));
        assert_eq!(searched.lacking(45, 60), Some((50, 60)));
        assert_eq!(searched.lacking(12, 25), None);
        assert_eq!((searched.until(10), searched.until(35)), (Some(30), None));
    }

    #[tokio::test]
    async fn ranges_of_an_export_that_follows_are_kept_short() {
        let queue = Queue::in_memory().unwrap();
        for search in 0..200_u64 {
            let range = TimeRange {
                from: (search * 10).saturating_sub(15),
                until: search * 10 + 10,
            };
            queue.search(Vec::new(), range, search).await.unwrap();
            queue.searched_all(search).await.unwrap();
        }
        let searched = queue.searched().await.unwrap();
        assert_eq!((searched.begun, searched.ranges), (200, vec![(0, 2000)]));
        let kept = queue.searches_of(0, 2000).await.unwrap().len();
        assert!(kept <= MANY + 1, "{kept}");
        assert_eq!(queue.searched().await.unwrap().until(0), Some(2000));
        queue.unsearch(1203, 1203).await.unwrap();
        assert_eq!(queue.searched().await.unwrap().ranges, [(0, 1203)]);
        queue.unsearch(0, 0).await.unwrap();
        assert_eq!(queue.searched().await.unwrap().ranges, []);
    }

    #[tokio::test]
    async fn a_range_is_joined_with_one_that_reaches_beyond_it() {
        let queue = Queue::in_memory().unwrap();
        let whole = TimeRange {
            from: 0,
            until: 1000,
        };
        queue.search(Vec::new(), whole, 0).await.unwrap();
        for at in 0..=MANY as u64 {
            let part = TimeRange {
                from: 2 * at + 1,
                until: 2 * at + 2,
            };
            queue.search(Vec::new(), part, at).await.unwrap();
            queue.searched_all(at).await.unwrap();
        }
        assert_eq!(queue.searched().await.unwrap().ranges, [(0, 1000)]);
    }
}
