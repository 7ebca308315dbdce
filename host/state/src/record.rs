//! What the rows of a conversation will say, apart from the conversation: it is long, and goes once that is
//! filed. Its pages are free then, while those of conversations stay full.

use rusqlite::{Transaction, params};

/// The number of the next record.
pub(super) fn next(tx: &Transaction<'_>) -> rusqlite::Result<i64> {
    tx.prepare_cached("SELECT ifnull(max(number), 0) + 1 FROM record")?
        .query_row([], |row| row.get(0))
}

/// Keeps a record under its number.
pub(super) fn add(tx: &Transaction<'_>, number: i64, text: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO record (number, text) VALUES (?1, ?2)")?
        .execute(params![number, text])
        .map(drop)
}

/// Gives a conversation a record, in the place of what it had.
pub(super) fn set(tx: &Transaction<'_>, id: &str, text: &str) -> rusqlite::Result<()> {
    let replaced = tx
        .prepare_cached(
            "UPDATE record SET text = ?2 WHERE number = (SELECT record FROM conversation WHERE id = ?1)",
        )?
        .execute([id, text])?;
    if replaced > 0 {
        return Ok(());
    }
    let number = next(tx)?;
    add(tx, number, text)?;
    tx.prepare_cached("UPDATE conversation SET record = ?2 WHERE id = ?1")?
        .execute(params![id, number])
        .map(drop)
}
