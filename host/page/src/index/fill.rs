//! Takes files of rows into the index, and out of it.

use std::collections::{BTreeSet, HashMap};

use recording_host_engine::receipt::ReceiptHeader;
use recording_host_metadata::restore::{Named, Row};
use recording_host_sink::ObjectMeta;
use rusqlite::{Connection, Transaction, params};

use super::{DAY_MS, INDEXES, Index, SHIFT, text};
use crate::PageError;

/// The outcomes of conversations that are known.
pub(crate) const OUTCOMES: [&str; 5] = ["stored", "partial", "no-recording", "skipped", "failed"];
/// The kinds of names.
pub(super) const AGENT: i64 = 0;
pub(super) const QUEUE: i64 = 1;
pub(super) const WRAP_UP: i64 = 2;
/// The latest start that a key can have, in milliseconds.
const LATEST: i64 = (1 << (63 - SHIFT)) - 1;
/// Bytes of a row's texts that can be sought.
const SOUGHT: usize = 4096;

/// Rows that are written at a time: in the order of time, in which the index of words takes them quickest.
const BATCH: usize = 2000;

/// Hands out the rows of a file, one after the other.
pub(crate) type Rows = Box<dyn FnOnce(&mut dyn FnMut(Row)) -> Result<(), PageError> + Send>;

/// A segment that is new: its receipt, and its rows.
pub(crate) struct NewSegment {
    pub(crate) receipt: ObjectMeta,
    /// None if it cannot be read.
    pub(crate) header: Option<ReceiptHeader>,
    pub(crate) rows_key: String,
    pub(crate) rows: Rows,
    /// Why it is not in the index, or not all of it.
    pub(crate) problem: Option<String>,
}

impl Index {
    /// The receipts that the index has, with size and entity tag.
    pub(crate) fn receipts(&self) -> Result<HashMap<String, (u64, Option<String>)>, PageError> {
        let connection = self.connection();
        let mut query = connection.prepare("SELECT receipt, size, etag FROM file")?;
        let rows = query.query_map([], |row| {
            let size: i64 = row.get(1)?;
            Ok((row.get(0)?, (size.unsigned_abs(), row.get(2)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes a segment in, in place of what was there of it and of segments that one of them replaces, whichever
    /// comes first; returns how many rows it has.
    pub(crate) fn add(&self, segment: NewSegment) -> Result<u64, PageError> {
        let mut connection = self.connection();
        let change = connection.transaction()?;
        let mut days = BTreeSet::new();
        remove(&change, &segment.receipt.key, &mut days)?;
        let rows = insert(&change, segment, &mut days)?;
        clear_void(&change, &mut days)?;
        sum(&change, &days)?;
        change.commit()?;
        Ok(rows)
    }

    /// Takes segments out whose receipts are gone.
    pub(crate) fn remove(&self, receipts: &[String]) -> Result<(), PageError> {
        let mut connection = self.connection();
        let change = connection.transaction()?;
        let mut days = BTreeSet::new();
        for receipt in receipts {
            remove(&change, receipt, &mut days)?;
        }
        sum(&change, &days)?;
        change.commit()?;
        Ok(())
    }

    /// Completes what was taken in: rows of lower attempts go.
    pub(crate) fn settle(&self) -> Result<(), PageError> {
        let mut connection = self.connection();
        connection.execute_batch(INDEXES)?;
        let change = connection.transaction()?;
        let mut days = BTreeSet::new();
        let lower: Vec<i64> = change
            .prepare(
                "SELECT DISTINCT lower.id FROM rec AS later CROSS JOIN rec AS lower
                 ON lower.conv = later.conv AND lower.attempt < later.attempt WHERE later.attempt > 1",
            )?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in lower {
            // Where it is stays known: evidence tells of every attempt.
            change.execute(
                "INSERT OR IGNORE INTO earlier SELECT conv, file FROM rec WHERE id = ?",
                [id],
            )?;
            change.execute(
                "DELETE FROM has WHERE rec = ? AND name IN (SELECT id FROM name)",
                [id],
            )?;
            change.execute("DELETE FROM fts WHERE rowid = ?", [id])?;
            change.execute("DELETE FROM rec WHERE id = ?", [id])?;
            days.insert((id >> SHIFT) / DAY_MS);
        }
        sum(&change, &days)?;
        change.commit()?;
        // What was written lies in the file itself from now on, so that its length is that of the index.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn remove(
    change: &Transaction<'_>,
    receipt: &str,
    days: &mut BTreeSet<i64>,
) -> Result<(), PageError> {
    let mut query = change.prepare_cached("SELECT id, low, high FROM file WHERE receipt = ?")?;
    let files: Vec<(i64, Option<i64>, Option<i64>)> = query
        .query_map([receipt], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (file, low, high) in files {
        change.execute("DELETE FROM file WHERE id = ?", [file])?;
        change.execute("DELETE FROM searched WHERE file = ?", [file])?;
        let (Some(low), Some(high)) = (low, high) else {
            continue;
        };
        clear(change, file, low, high, days)?;
    }
    Ok(())
}

/// Takes the rows of segments out whose place others have taken.
fn clear_void(change: &Transaction<'_>, days: &mut BTreeSet<i64>) -> Result<(), PageError> {
    let void: Vec<(i64, i64, i64)> = change
        .prepare_cached(
            "SELECT id, low, high FROM file
             WHERE receipt IN (SELECT receipt FROM void) AND low IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (file, low, high) in void {
        clear(change, file, low, high, days)?;
        // The file stays known, so that it is not taken in again while it is still there.
        change.execute(
            "UPDATE file SET low = NULL, high = NULL WHERE id = ?",
            [file],
        )?;
    }
    Ok(())
}

/// Takes the rows of a file out, whose keys are in this range.
fn clear(
    change: &Transaction<'_>,
    file: i64,
    low: i64,
    high: i64,
    days: &mut BTreeSet<i64>,
) -> Result<(), PageError> {
    let mut query =
        change.prepare_cached("SELECT id FROM rec WHERE file = ? AND id BETWEEN ? AND ?")?;
    let rows: Vec<i64> = query
        .query_map([file, low, high], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &rows {
        days.insert((id >> SHIFT) / DAY_MS);
        change
            .prepare_cached("DELETE FROM fts WHERE rowid = ?")?
            .execute([id])?;
    }
    change.execute(
        "DELETE FROM has WHERE name IN (SELECT id FROM name) AND rec BETWEEN ?2 AND ?3
         AND rec IN (SELECT id FROM rec WHERE file = ?1 AND id BETWEEN ?2 AND ?3)",
        [file, low, high],
    )?;
    change.execute("DELETE FROM earlier WHERE file = ?", [file])?;
    let delete = "DELETE FROM rec WHERE file = ? AND id BETWEEN ? AND ?";
    change.execute(delete, [file, low, high])?;
    change.execute(
        "DELETE FROM name WHERE NOT EXISTS (SELECT 1 FROM has WHERE has.name = name.id)",
        [],
    )?;
    Ok(())
}

fn insert(
    change: &Transaction<'_>,
    segment: NewSegment,
    days: &mut BTreeSet<i64>,
) -> Result<u64, PageError> {
    let (size, etag) = (segment.receipt.size.cast_signed(), &segment.receipt.etag);
    let header = segment.header.as_ref();
    let day = header.and_then(|header| instant(&format!("{}T00:00:00Z", header.day)));
    change.execute(
        "INSERT INTO file (receipt, size, etag, rows, export, written, problem, day, counted)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            segment.receipt.key,
            size,
            etag,
            segment.rows_key,
            header.map(|header| &header.export),
            header
                .and_then(|header| header.written_at)
                .map(|at| at.to_string()),
            segment.problem,
            day.map(|day| day / DAY_MS),
            header
                .and_then(|header| header.source_count.as_ref())
                .map(|count| count.conversations.cast_signed()),
        ],
    )?;
    let file = change.last_insert_rowid();
    if let Some(header) = header {
        note(change, file, &segment.receipt.key, header)?;
    }
    let writer = RowWriter {
        change,
        file,
        day: day.unwrap_or_default(),
        names: HashMap::new(),
        seen: HashMap::new(),
        count: change.query_row("SELECT coalesce(max(id), 0) FROM file", [], |row| {
            row.get(0)
        })?,
    };
    let mut batches = Batches {
        writer,
        days,
        rows: Vec::new(),
        range: None,
        written: 0,
    };
    let mut failed = None;
    let read = (segment.rows)(&mut |row| {
        if failed.is_none() {
            failed = batches.take(row).err();
        }
    });
    failed.map_or_else(|| batches.write(), Err)?;
    if let Err(error) = read {
        change.execute(
            "UPDATE file SET problem = ? WHERE id = ?",
            params![error.to_string(), file],
        )?;
    }
    if let Some((low, high)) = batches.range {
        change.execute(
            "UPDATE file SET low = ?, high = ? WHERE id = ?",
            [low, high, file],
        )?;
    }
    Ok(batches.written)
}

/// Notes which segments a new one takes the place of, and what was searched for it.
fn note(
    change: &Transaction<'_>,
    file: i64,
    receipt: &str,
    header: &ReceiptHeader,
) -> Result<(), PageError> {
    for number in &header.replaces {
        if let Some((before, _)) = receipt.rsplit_once('-') {
            let replaced = format!("{before}-{number:06}.jsonl");
            change.execute("INSERT OR IGNORE INTO void VALUES (?)", [replaced])?;
        }
    }
    for range in &header.searched {
        let (since, until) = (range.from.as_millisecond(), range.until.as_millisecond());
        change.execute(
            "INSERT INTO searched VALUES (?, ?, ?)",
            [file, since, until],
        )?;
    }
    Ok(())
}

/// The rows of a file, as many at a time as need little memory.
struct Batches<'a> {
    writer: RowWriter<'a>,
    days: &'a mut BTreeSet<i64>,
    rows: Vec<Row>,
    /// The lowest key and the highest one.
    range: Option<(i64, i64)>,
    written: u64,
}

impl Batches<'_> {
    fn take(&mut self, row: Row) -> Result<(), PageError> {
        self.rows.push(row);
        match self.rows.len() < BATCH {
            true => Ok(()),
            false => self.write(),
        }
    }

    fn write(&mut self) -> Result<(), PageError> {
        self.rows.sort_by(|a, b| a.start.cmp(&b.start));
        for row in self.rows.drain(..) {
            let id = self.writer.write(&row)?;
            let (low, high) = self.range.unwrap_or((id, id));
            self.range = Some((low.min(id), high.max(id)));
            self.days.insert((id >> SHIFT) / DAY_MS);
            self.written += 1;
        }
        Ok(())
    }
}

struct RowWriter<'a> {
    change: &'a Transaction<'a>,
    file: i64,
    /// The day of the file, for rows whose start cannot be read.
    day: i64,
    names: HashMap<(i64, String), i64>,
    /// How many rows of a conversation were written.
    seen: HashMap<String, i64>,
    count: i64,
}

impl RowWriter<'_> {
    /// Writes a row, and returns its key.
    fn write(&mut self, row: &Row) -> Result<i64, PageError> {
        let start = instant(&row.start).unwrap_or(self.day).clamp(0, LATEST);
        let end = row.end.as_deref().and_then(instant);
        let duration = end.map(|end| end.saturating_sub(start).max(0));
        let seen = self.seen.entry(row.conversation_id.clone()).or_default();
        let n = *seen;
        *seen += 1;
        let code = row
            .reason
            .as_deref()
            .filter(|_| row.outcome == "failed" || row.outcome == "partial");
        let code = code.map(|reason| text::shortened(reason.split(':').next().unwrap_or_default()));
        let agents: Vec<&str> = row.agents.iter().map(shown).collect();
        let direction = match row.direction.as_deref() {
            Some("inbound") => Some(0),
            Some("outbound") => Some(1),
            _ => None,
        };
        let values = params![
            self.file,
            text::packed(&row.conversation_id),
            n,
            duration,
            row.size_bytes.map(u64::cast_signed),
            row.outcome,
            code,
            direction,
            row.ani.as_deref().map(text::number),
            row.dnis.as_deref().map(text::number),
            text::shortened(&agents.join(", ")),
            row.content_type.as_deref().map(text::shortened),
            row.attempt,
        ];
        let mut insert = self.change.prepare_cached(
            "INSERT OR IGNORE INTO rec VALUES (?14, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )?;
        for (at, value) in values.iter().enumerate() {
            insert.raw_bind_parameter(at + 1, value)?;
        }
        let id = loop {
            self.count += 1;
            let id = start << SHIFT | self.count & ((1 << SHIFT) - 1);
            insert.raw_bind_parameter(14, id)?;
            // Rows of one millisecond may have met the same count.
            if insert.raw_execute()? == 1 {
                break id;
            }
        };
        drop(insert);
        for (kind, names) in [
            (AGENT, &row.agents),
            (QUEUE, &row.queues),
            (WRAP_UP, &row.wrap_up_codes),
        ] {
            for named in names {
                let name = self.name(kind, shown(named))?;
                self.change
                    .prepare_cached("INSERT OR IGNORE INTO has VALUES (?, ?)")?
                    .execute([name, id])?;
            }
        }
        self.change
            .prepare_cached("INSERT INTO fts (rowid, body) VALUES (?, ?)")?
            .execute(params![id, body(row)])?;
        Ok(id)
    }

    fn name(&mut self, kind: i64, name: &str) -> Result<i64, PageError> {
        let key = (kind, text::shortened(&name.to_lowercase()));
        if let Some(id) = self.names.get(&key) {
            return Ok(*id);
        }
        let insert = "INSERT OR IGNORE INTO name (kind, folded, label) VALUES (?, ?, ?)";
        let label = text::shortened(name);
        self.change.execute(insert, params![key.0, key.1, label])?;
        let select = "SELECT id FROM name WHERE kind = ? AND folded = ?";
        let id = self
            .change
            .query_row(select, params![key.0, key.1], |row| row.get(0))?;
        self.names.insert(key, id);
        Ok(id)
    }
}

/// The name, or the id where the source tells no name.
fn shown(named: &Named) -> &str {
    let name = named.name.as_deref().filter(|name| !name.is_empty());
    name.unwrap_or(&named.id)
}

/// All texts of a row that can be sought.
fn body(row: &Row) -> String {
    let named = [&row.agents, &row.queues, &row.wrap_up_codes];
    let named = named.into_iter().flatten().map(shown);
    let lists = [
        &row.tags,
        &row.divisions,
        &row.division_names,
        &row.media_types,
    ];
    let lists = lists.into_iter().flatten().map(String::as_str);
    let values = row.attributes.values().map(String::as_str);
    let mut body = String::new();
    for text in named
        .chain(lists)
        .chain(values)
        .chain(row.reason.as_deref())
    {
        let room = SOUGHT.saturating_sub(body.len());
        body.extend(text.chars().take(room));
        body.push(' ');
    }
    body
}

/// A time in milliseconds since 1970.
pub(super) fn instant(text: &str) -> Option<i64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(at.as_millisecond())
}

/// The first key of a time. One later than any key has the last one.
pub(super) fn key(ms: i64) -> i64 {
    ms.saturating_mul(1 << SHIFT)
}

/// Sums days up anew.
fn sum(change: &Connection, days: &BTreeSet<i64>) -> Result<(), PageError> {
    for day in days {
        change
            .prepare_cached("DELETE FROM day WHERE day = ?")?
            .execute([day])?;
        let (low, high) = (key(day * DAY_MS), key((day + 1) * DAY_MS));
        change
            .prepare_cached(
                "INSERT INTO day SELECT ?1, outcome, code, sum(n = 0), sum(size IS NOT NULL), coalesce(sum(size), 0)
                 FROM rec WHERE id >= ?2 AND id < ?3 GROUP BY outcome, code",
            )?
            .execute([*day, low, high])?;
    }
    Ok(())
}
