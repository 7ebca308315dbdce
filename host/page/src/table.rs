//! The rows that a search finds, whole and from the archive itself: as a table, or as lines of JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use recording_host_metadata::restore::{Named, Row};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Archive, Index, PageError, Query, evidence::picked};

/// How many rows are taken from the index at a time.
const AT_ONCE: usize = 20_000;
const TABLES: &str = "
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;
CREATE TABLE picked (rows TEXT, conv TEXT, n INTEGER, PRIMARY KEY (rows, conv, n)) WITHOUT ROWID;
";
/// The first line of a table.
pub(crate) const COLUMNS: &str = "conversation_id,recording_id,start,ended_at,duration_ms,outcome,reason,direction,ani,dnis,\
    agents,queues,wrap_up_codes,tags,divisions,division_names,media_types,content_type,size_bytes,sha256,object_key,archive_member,attempt,\
    attributes\r\n";

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Values set apart by commas, RFC 4180.
    Csv,
    /// The lines of the archive.
    Lines,
}

/// The rows that a search has found, by their files. Kept in a temporary database that lies on the disk as
/// soon as it is large.
pub(crate) struct Found(Mutex<Connection>);

impl Found {
    pub(crate) async fn of(index: &Arc<Index>, query: Query) -> Result<Self, PageError> {
        let database = Connection::open("")?;
        database.execute_batch(TABLES)?;
        let picking = index.off_thread(move |index| {
            let mut database = database;
            let mut after = i64::MIN;
            loop {
                let (found, last) = index.rows_matching(&query, after, AT_ONCE)?;
                let change = database.transaction()?;
                for one in found {
                    change
                        .prepare_cached("INSERT OR IGNORE INTO picked VALUES (?, ?, ?)")?
                        .execute(params![one.rows, one.conversation, one.n])?;
                }
                change.commit()?;
                match last {
                    Some(last) => after = last,
                    None => return Ok(database),
                }
            }
        });
        Ok(Found(Mutex::new(picking.await?)))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file behind another one, in the order of their keys, which is that of days.
    pub(crate) fn file_after(&self, after: &str) -> Result<Option<String>, PageError> {
        let database = self.database();
        let mut query = database
            .prepare_cached("SELECT rows FROM picked WHERE rows > ? ORDER BY rows LIMIT 1")?;
        Ok(query.query_row([after], |row| row.get(0)).optional()?)
    }

    fn of_file(&self, rows: &str) -> Result<BTreeMap<String, BTreeSet<u32>>, PageError> {
        let database = self.database();
        let mut query = database.prepare_cached("SELECT conv, n FROM picked WHERE rows = ?")?;
        let mut found = BTreeMap::<String, BTreeSet<u32>>::new();
        let mut rows = query.query([rows])?;
        while let Some(row) = rows.next()? {
            found.entry(row.get(0)?).or_default().insert(row.get(1)?);
        }
        Ok(found)
    }

    /// The rows of a file that were found, as text, and of which conversations they are.
    pub(crate) async fn text(
        &self,
        archive: &Archive,
        file: &str,
        form: Form,
    ) -> Result<(BTreeSet<String>, String), PageError> {
        let wanted = self.of_file(file)?;
        let (plain, bytes) = archive.rows(file).await?;
        let ids = wanted.keys().cloned().collect();
        let rows = picked(plain, bytes, ids).await?;
        let rows = rows.map_err(|source| PageError::Rows {
            key: file.to_owned(),
            source,
        })?;
        let mut latest = BTreeMap::<&str, u32>::new();
        for (row, _) in &rows {
            let attempt = latest.entry(&row.conversation_id).or_default();
            *attempt = row.attempt.max(*attempt);
        }
        let mut seen = BTreeMap::<&str, u32>::new();
        let (mut conversations, mut text) = (BTreeSet::new(), String::new());
        for (row, line) in &rows {
            let id = row.conversation_id.as_str();
            if latest.get(id) != Some(&row.attempt) {
                continue;
            }
            let n = seen.entry(id).or_default();
            let is_wanted = wanted.get(id).is_some_and(|wanted| wanted.contains(n));
            *n += 1;
            if !is_wanted {
                continue;
            }
            match form {
                Form::Csv => text.push_str(&record(row)),
                Form::Lines => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            conversations.insert(id.to_owned());
        }
        Ok((conversations, text))
    }
}

/// A row as a record of a table.
fn record(row: &Row) -> String {
    let named = |list: &[Named]| {
        let each = list.iter().map(|one| match one.name.as_deref() {
            Some(name) if !name.is_empty() => name,
            _ => &one.id,
        });
        each.collect::<Vec<_>>().join("; ")
    };
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let instant = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let ends = row.end.as_deref().and_then(instant);
    let length = ends.zip(instant(&row.start)).map(|(end, start)| {
        let length = end.as_millisecond() - start.as_millisecond();
        length.max(0).unsigned_abs()
    });
    let attributes = match row.attributes.is_empty() {
        true => String::new(),
        // Texts alone: that cannot fail.
        false => serde_json::to_string(&row.attributes).unwrap_or_default(),
    };
    let fields = [
        row.conversation_id.clone(),
        known(&row.recording_id),
        row.start.clone(),
        known(&row.end),
        number(length),
        row.outcome.clone(),
        known(&row.reason),
        known(&row.direction),
        known(&row.ani),
        known(&row.dnis),
        named(&row.agents),
        named(&row.queues),
        named(&row.wrap_up_codes),
        row.tags.join("; "),
        row.divisions.join("; "),
        row.division_names.join("; "),
        row.media_types.join("; "),
        known(&row.content_type),
        number(row.size_bytes),
        known(&row.sha256),
        known(&row.object_key),
        known(&row.archive_member),
        row.attempt.to_string(),
        attributes,
    ];
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    fields.join(",") + "\r\n"
}

/// A text as a field. What a spreadsheet would take for a formula gets an apostrophe before it.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = match is_formula {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    match text.contains([',', '"', '\n', '\r', ';']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_a_field_for_each_column_whatever_is_in_it() {
        let row = Row {
            reason: Some("=1+1,\"x\"\n".to_owned()),
            ani: Some("+1555".to_owned()),
            ..Row::default()
        };
        let record = record(&row);
        assert!(record.contains(",\"'=1+1,\"\"x\"\"\n\","), "{record}");
        assert!(record.contains(",'+1555,"), "{record}");
        let bare = Row::default();
        let columns = COLUMNS.split(',').count();
        assert_eq!(self::record(&bare).split(',').count(), columns);
    }
}
