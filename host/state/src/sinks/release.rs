//! Segments that no sink is left for, since the last one that they waited for is gone or has them.

use std::collections::BTreeSet;

use rusqlite::Transaction;

use crate::{
    life_cycle::stage,
    seal::{count_filed, forget, sealed_in},
};

/// The sealed segments in the place of smaller ones, which have been counted. They are known by what they
/// replace in the sinks that they wait for, thus before these are let go of.
pub(super) fn joined(tx: &Transaction<'_>) -> rusqlite::Result<BTreeSet<i64>> {
    tx.prepare_cached(concat!(
        "SELECT DISTINCT segment FROM conversation AS c WHERE ",
        stage!(Sealed),
        "
         AND EXISTS (SELECT 1 FROM replaced WHERE by = c.segment)
         AND NOT EXISTS (SELECT 1 FROM wanting WHERE conversation = c.id)"
    ))?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Files what no sink is left for: the last one that it waited for is gone. What is in `joined` is counted
/// already.
pub(super) fn release(tx: &Transaction<'_>, joined: &BTreeSet<i64>) -> rusqlite::Result<()> {
    let done: Vec<i64> = tx
        .prepare_cached(concat!(
            "SELECT DISTINCT segment FROM conversation AS c WHERE ",
            stage!(Sealed),
            "
             AND NOT EXISTS (SELECT 1 FROM filing WHERE filing.segment = c.segment)"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for segment in done {
        let (ids, outcomes) = sealed_in(tx, segment)?;
        if !joined.contains(&segment) {
            count_filed(tx, segment, &outcomes)?;
        }
        forget(tx, &ids)?;
    }
    Ok(())
}
