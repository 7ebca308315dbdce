//! Numbers that are kept by name: totals, so that nothing is counted again, and marks.

use rusqlite::{OptionalExtension, params};

/// Adds to a number.
pub(super) fn count(tx: &rusqlite::Transaction<'_>, name: &str, more: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO counted VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2",
    )?
    .execute(params![name, more])?;
    Ok(())
}

/// Sets a number.
pub(super) fn set(tx: &rusqlite::Transaction<'_>, name: &str, value: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO counted VALUES (?1, ?2)")?
        .execute(params![name, value])?;
    Ok(())
}

/// A number; 0 if it was never set.
pub(super) fn counted(tx: &rusqlite::Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    tx.prepare_cached("SELECT value FROM counted WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}
