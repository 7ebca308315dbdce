//! Where all that an archive says about some conversations is: every attempt, in every segment.

use rusqlite::{params, params_from_iter};

use super::{Index, Query, text};
use crate::PageError;

/// A row that a search finds, and the file that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picked {
    /// The file of rows.
    pub(crate) rows: String,
    pub(crate) conversation: String,
    /// Which of the conversation's rows, counted from 0.
    pub(crate) n: u32,
}

/// A segment that tells of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentEntry {
    pub(crate) receipt: String,
    pub(crate) conversation: String,
}

impl Index {
    /// The segments that tell of a conversation, of whichever attempt and export.
    pub(crate) fn segment_entries(
        &self,
        conversation: &str,
    ) -> Result<Vec<SegmentEntry>, PageError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT receipt FROM file WHERE id IN (SELECT file FROM rec WHERE conv = ?1 UNION
             SELECT file FROM earlier WHERE conv = ?1) ORDER BY receipt",
        )?;
        let segment_entries = query.query_map(params![text::packed(conversation)], |row| {
            Ok(SegmentEntry {
                receipt: row.get(0)?,
                conversation: conversation.to_owned(),
            })
        })?;
        Ok(segment_entries.collect::<Result<_, _>>()?)
    }

    /// The conversations that a search finds, oldest first, some at a time: those behind `after`, and behind
    /// which key the next ones are; none at the end.
    pub(crate) fn matching(
        &self,
        query: &Query,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<String>, Option<i64>), PageError> {
        let mut statement = self.statement(query)?;
        if statement.empty {
            return Ok((Vec::new(), None));
        }
        let key = statement.key();
        statement.add(
            &format!("{key} > ?"),
            [Box::new(after) as Box<dyn rusqlite::ToSql>],
        );
        let select = format!(
            "SELECT r.id, r.conv {} ORDER BY {key} LIMIT {limit}",
            statement.text()
        );
        let connection = self.reader();
        let mut select = connection.prepare_cached(&select)?;
        let rows = select.query_map(params_from_iter(&statement.values), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
        })?;
        let (mut found, mut last) = (Vec::new(), None);
        for row in rows {
            let (id, conversation) = row?;
            last = Some(id);
            let conversation = text::unpacked(&conversation);
            if found.last() != Some(&conversation) {
                found.push(conversation);
            }
        }
        Ok((found, last))
    }

    /// The rows that a search finds, oldest first, some at a time as [`matching`](Self::matching) does.
    pub(crate) fn rows_matching(
        &self,
        query: &Query,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Picked>, Option<i64>), PageError> {
        let mut statement = self.statement(query)?;
        if statement.empty {
            return Ok((Vec::new(), None));
        }
        let key = statement.key();
        statement.add(
            &format!("{key} > ?"),
            [Box::new(after) as Box<dyn rusqlite::ToSql>],
        );
        let select = format!(
            "SELECT r.id, (SELECT rows FROM file WHERE file.id = r.file), r.conv, r.n {}
             ORDER BY {key} LIMIT {limit}",
            statement.text()
        );
        let connection = self.reader();
        let mut select = connection.prepare_cached(&select)?;
        let mut rows = select.query(params_from_iter(&statement.values))?;
        let (mut found, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            last = Some(row.get(0)?);
            found.push(Picked {
                rows: row.get(1)?,
                conversation: text::unpacked(&row.get::<_, Vec<u8>>(2)?),
                n: row.get(3)?,
            });
        }
        Ok((found, last))
    }

    /// Receipts whose rows could not be read, so that the index does not know of whom they tell.
    pub(crate) fn unread(&self) -> Result<Vec<String>, PageError> {
        let connection = self.reader();
        let mut query = connection.prepare_cached(
            "SELECT receipt FROM file WHERE problem IS NOT NULL AND receipt NOT IN (SELECT receipt FROM void)
             ORDER BY receipt",
        )?;
        let receipts = query.query_map([], |row| row.get(0))?;
        Ok(receipts.collect::<Result<_, _>>()?)
    }
}
