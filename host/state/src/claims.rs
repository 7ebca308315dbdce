//! Who holds which split. The file has one process at a time, and claims end with it: they are a table
//! of the connection alone, in the same transactions as the splits.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::Lease;

/// Makes the table of claims.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TEMP TABLE claim (split TEXT PRIMARY KEY, worker INTEGER NOT NULL, until INTEGER NOT NULL)
         WITHOUT ROWID",
    )
}

/// Claims a split for a worker; says whether it could.
pub(super) fn claim(
    tx: &Transaction<'_>,
    split: &str,
    worker: i64,
    lease: Lease,
) -> rusqlite::Result<bool> {
    let claimed = tx
        .prepare_cached(
            "INSERT INTO temp.claim VALUES (?1, ?2, ?3) ON CONFLICT (split) DO UPDATE
             SET worker = ?2, until = ?3 WHERE worker = ?2 OR until <= ?4",
        )?
        .execute(params![split, worker, ms(lease.until), ms(lease.now)])?;
    Ok(claimed > 0)
}

/// The first open split that is due and that nobody holds.
pub(super) fn next(tx: &Transaction<'_>, now: u64) -> rusqlite::Result<Option<String>> {
    tx.prepare_cached(
        "SELECT id FROM split WHERE status = 'open' AND due <= ?1 AND NOT EXISTS
         (SELECT 1 FROM temp.claim WHERE claim.split = id AND until > ?1) ORDER BY due, id LIMIT 1",
    )?
    .query_row([ms(now)], |row| row.get(0))
    .optional()
}

/// Lengthens a worker's claim; says whether it has one.
pub(super) fn renew(
    tx: &Transaction<'_>,
    split: &str,
    worker: i64,
    until: u64,
) -> rusqlite::Result<bool> {
    let renewed = tx
        .prepare_cached("UPDATE temp.claim SET until = ?3 WHERE split = ?1 AND worker = ?2")?
        .execute(params![split, worker, ms(until)])?;
    Ok(renewed > 0)
}

/// Returns true if a worker holds a split.
pub(super) fn holds(tx: &Transaction<'_>, split: &str, worker: i64) -> rusqlite::Result<bool> {
    tx.prepare_cached("SELECT 1 FROM temp.claim WHERE split = ?1 AND worker = ?2")?
        .exists(params![split, worker])
}

/// Ends a worker's claim; says whether it had one.
pub(super) fn end(tx: &Transaction<'_>, split: &str, worker: i64) -> rusqlite::Result<bool> {
    let ended = tx
        .prepare_cached("DELETE FROM temp.claim WHERE split = ?1 AND worker = ?2")?
        .execute(params![split, worker])?;
    Ok(ended > 0)
}

/// Ends whoever's claim: of a split that is done without a step of its own.
pub(super) fn end_any(tx: &Transaction<'_>, split: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM temp.claim WHERE split = ?1")?
        .execute([split])
        .map(drop)
}

/// A time as SQLite keeps it; what is beyond all time is the last of it.
fn ms(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
