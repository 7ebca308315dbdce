//! The names of ids, as the source reported them.

use std::collections::HashMap;

use rusqlite::OptionalExtension;

/// Keeps the name of an id.
pub(super) fn set(tx: &rusqlite::Transaction<'_>, id: &str, name: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO name (id, name) VALUES (?1, ?2)")?
        .execute([id, name])
        .map(drop)
}

/// Names that are looked up once each, for as long as a step is written down.
#[derive(Default)]
pub(super) struct Lookup(HashMap<String, Option<String>>);

impl Lookup {
    pub(super) fn get(
        &mut self,
        tx: &rusqlite::Transaction<'_>,
        id: &str,
    ) -> rusqlite::Result<Option<String>> {
        if let Some(name) = self.0.get(id) {
            return Ok(name.clone());
        }
        let name: Option<String> = tx
            .prepare_cached("SELECT name FROM name WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()?;
        self.0.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}
