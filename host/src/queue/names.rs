//! What ids stand for, as the source told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::OptionalExtension;

/// Names by id.
#[derive(Clone, Debug, Default)]
pub(super) enum Names {
    /// In the queue's file.
    #[default]
    Kept,
    /// In memory alone: an id does not tell whether it is one that must not be written down.
    Unwritten(Arc<Mutex<HashMap<String, String>>>),
}

impl Names {
    pub(super) fn set(
        &self,
        tx: &rusqlite::Transaction<'_>,
        id: &str,
        name: &str,
    ) -> rusqlite::Result<()> {
        match self {
            Names::Kept => {
                tx.prepare_cached("INSERT OR REPLACE INTO name (id, name) VALUES (?1, ?2)")?
                    .execute([id, name])?;
            }
            Names::Unwritten(names) => {
                let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
                names.insert(id.to_owned(), name.to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn get(
        &self,
        tx: &rusqlite::Transaction<'_>,
        id: &str,
    ) -> rusqlite::Result<Option<String>> {
        match self {
            Names::Kept => tx
                .prepare_cached("SELECT name FROM name WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional(),
            Names::Unwritten(names) => {
                let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(names.get(id).cloned())
            }
        }
    }
}

/// Names that are looked up once each, for as long as a step is written down.
pub(super) struct Lookup<'a> {
    names: &'a Names,
    known: HashMap<String, Option<String>>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(names: &'a Names) -> Self {
        Lookup {
            names,
            known: HashMap::new(),
        }
    }

    pub(super) fn get(
        &mut self,
        tx: &rusqlite::Transaction<'_>,
        id: &str,
    ) -> rusqlite::Result<Option<String>> {
        if let Some(name) = self.known.get(id) {
            return Ok(name.clone());
        }
        let name = self.names.get(tx, id)?;
        self.known.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}
