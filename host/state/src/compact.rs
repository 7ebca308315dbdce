//! Joins the small segments of a day that is over: an export that follows its source files a day in
//! many pieces, and readers want few files.

use rusqlite::{Transaction, params};

use super::{
    Queue, QueueError,
    fixed_receipts::rows_of,
    life_cycle::stage,
    seal::{ConversationRow, forget, give_back},
};

/// A segment whose files are to be removed from a sink, because another one has taken its place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SupersededSegment {
    /// Its number.
    pub segment: i64,
    /// Its day, `YYYY-MM-DD` in UTC.
    pub day: String,
    /// The sink.
    pub sink: String,
}

impl Queue {
    /// Returns true if there is something to [`compact`](Self::compact).
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn can_compact(&self, before: String) -> Result<bool, QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached(concat!(
                "SELECT EXISTS (SELECT 1 FROM conversation WHERE ",
                stage!(Compactable),
                " AND day < ?1)"
            ))?
            .query_row([before], |row| row.get(0))
        })
        .await
    }

    /// Closes segments of at most `most` conversations in the place of smaller ones that have been
    /// filed, to be filed in `sinks`: those of days before `before` (`YYYY-MM-DD`) of which nothing
    /// is under way. Segments that no other can be joined with are forgotten. Returns true if there is
    /// something to file.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn compact(
        &self,
        before: String,
        most: usize,
        sinks: Vec<String>,
    ) -> Result<bool, QueueError> {
        self.transaction(move |tx| {
            let mut sealed = false;
            let unfinished = unfinished(tx)?;
            let compactable: Vec<(String, i64, usize)> = tx
                .prepare_cached(concat!(
                    "SELECT day, segment, sum(n) FROM
                     (SELECT day, segment, 1 AS n FROM conversation WHERE ",
                    stage!(Compactable),
                    " AND day < ?1
                      UNION ALL SELECT day, segment, 0 FROM stale_segment WHERE day < ?1)
                     GROUP BY day, segment ORDER BY day, segment"
                ))?
                .query_map([before], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as usize))
                })?
                .collect::<rusqlite::Result<_>>()?;
            for of_day in compactable.chunk_by(|one, other| one.0 == other.0) {
                let day = &of_day[0].0;
                if unfinished.contains(day) {
                    continue;
                }
                for group in groups(of_day, most) {
                    for segment in &group {
                        tx.prepare_cached("DELETE FROM stale_segment WHERE segment = ?1")?
                            .execute([segment])?;
                    }
                    match group.as_slice() {
                        [alone] => forget(tx, &kept(tx, day, *alone)?)?,
                        group if sinks.is_empty() => {
                            for segment in group {
                                forget(tx, &kept(tx, day, *segment)?)?;
                            }
                        }
                        group => {
                            join(tx, day, group, &sinks)?;
                            sealed = true;
                        }
                    }
                }
            }
            give_back(tx)?;
            Ok(sealed)
        })
        .await
    }

    /// The segments whose files are to be removed from sinks that have what takes their place.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn replaced(&self) -> Result<Vec<SupersededSegment>, QueueError> {
        self.transaction(|tx| {
            tx.prepare_cached(
                "SELECT replaced.segment, day, sink FROM replaced JOIN segment ON number = replaced.segment
                 WHERE NOT EXISTS (SELECT 1 FROM filing WHERE filing.segment = by AND filing.sink = replaced.sink)
                 ORDER BY replaced.segment",
            )?
            .query_map([], |row| {
                Ok(SupersededSegment {
                    segment: row.get(0)?,
                    day: row.get(1)?,
                    sink: row.get(2)?,
                })
            })?
            .collect()
        })
        .await
    }

    /// Acknowledges that a sink no longer holds a replaced segment.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn removed(&self, replaced: SupersededSegment) -> Result<(), QueueError> {
        self.transaction(move |tx| {
            tx.prepare_cached("DELETE FROM meta WHERE name = ?1")?
                .execute([rows_of(replaced.segment, &replaced.sink)])?;
            tx.prepare_cached("DELETE FROM replaced WHERE segment = ?1 AND sink = ?2")?
                .execute(params![replaced.segment, replaced.sink])
                .map(drop)
        })
        .await
    }
}

/// The days of which something is under way.
fn unfinished(tx: &Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    // Each part has an index of its own.
    tx.prepare_cached(concat!(
        "SELECT day FROM conversation WHERE ",
        stage!(Wanted),
        "
         UNION SELECT day FROM conversation WHERE ",
        stage!(Fetching),
        "
         UNION SELECT day FROM conversation WHERE ",
        stage!(Reported),
        "
         UNION SELECT day FROM conversation WHERE ",
        stage!(Completed),
        "
         UNION SELECT day FROM conversation WHERE ",
        stage!(Sealed)
    ))?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Segments of a day, in groups of neighbors that have at most `most` conversations in all.
pub(super) fn groups(of_day: &[(String, i64, usize)], most: usize) -> Vec<Vec<i64>> {
    let mut groups = Vec::<Vec<i64>>::new();
    let mut room = 0;
    for (_, segment, count) in of_day {
        match groups.last_mut() {
            Some(group) if *count <= room => group.push(*segment),
            _ => {
                groups.push(vec![*segment]);
                room = most;
            }
        }
        room = room.saturating_sub(*count);
    }
    groups
}

/// The conversations of a compactable segment.
fn kept(tx: &Transaction<'_>, day: &str, segment: i64) -> rusqlite::Result<Vec<ConversationRow>> {
    tx.prepare_cached(concat!(
        "SELECT rowid, id FROM conversation WHERE ",
        stage!(Compactable),
        " AND day = ?1 AND segment = ?2"
    ))?
    .query_map(params![day, segment], ConversationRow::read)?
    .collect()
}

/// Closes one segment in the place of others.
fn join(tx: &Transaction<'_>, day: &str, group: &[i64], sinks: &[String]) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO segment (day) VALUES (?1)")?
        .execute([day])?;
    let number = tx.last_insert_rowid();
    for segment in group {
        tx.prepare_cached(concat!(
            "UPDATE conversation SET ",
            stage!(Sealed),
            ", segment = ?3
             WHERE ",
            stage!(Compactable),
            " AND day = ?1 AND segment = ?2"
        ))?
        .execute(params![day, segment, number])?;
        for sink in sinks {
            // Another one may have taken its place in a sink whose files of it were wrong.
            tx.prepare_cached("INSERT OR REPLACE INTO replaced VALUES (?1, ?2, ?3)")?
                .execute(params![segment, sink, number])?;
        }
    }
    for sink in sinks {
        tx.prepare_cached("INSERT INTO filing (segment, sink) VALUES (?1, ?2)")?
            .execute(params![number, sink])?;
    }
    Ok(())
}

/// Has what joined segments replace give way in a sink, too, that is to get them besides those they were
/// closed for: it may have some of that, and would then have the conversations twice. What is filed again in
/// the place of wrong files, in sinks that lack it, replaces nothing in others.
pub(super) fn replace_in(tx: &Transaction<'_>, sink: &str) -> rusqlite::Result<()> {
    tx.prepare_cached(concat!(
        "INSERT OR IGNORE INTO replaced SELECT DISTINCT replaced.segment, ?1, by FROM replaced
         JOIN filing ON filing.segment = by AND filing.sink = ?1
         WHERE NOT EXISTS (SELECT 1 FROM conversation JOIN wanting ON conversation = id
           WHERE conversation.segment = by AND ",
        stage!(Sealed),
        ")"
    ))?
    .execute([sink])
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_joined_as_far_as_there_is_room() {
        let of_day = |counts: &[usize]| -> Vec<(String, i64, usize)> {
            let numbered = (1..).zip(counts);
            numbered
                .map(|(number, count)| (String::new(), number, *count))
                .collect()
        };
        let joined = groups(&of_day(&[3, 4, 4, 9, 1, 20, 5]), 10);
        let expected = [vec![1, 2], vec![3], vec![4, 5], vec![6], vec![7]];
        assert_eq!(joined, expected);
    }
}
