//! Searches: what can be asked, and how SQLite is led to answer it in milliseconds.
//!
//! Whatever narrows most leads: words, a number, a name; all else filters. Rows come in the order of
//! their keys, which is that of time, so that a page of the newest needs no sorting.

use jiff::civil::Date;
use rusqlite::{ToSql, params_from_iter};

use super::{DAY_MS, Index, SHIFT, fill, text};
use crate::PageError;

/// Rows of a page.
pub(crate) const PAGE: usize = 50;
/// Hits are counted up to here.
pub(crate) const COUNTED: usize = 10_000;
/// The columns of a [`Hit`].
const HIT: &str =
    "r.id, r.conv, r.n, r.dur, r.size, r.outcome, r.dir, r.ani, r.dnis, r.agent, r.kind";
const LONGEST: &str = "r.dur DESC, r.id DESC";
const LARGEST: &str = "r.size DESC, r.id DESC";
/// Names that a part of a name may stand for.
const NAMES: usize = 500;

/// The filters of a search. Empty texts filter nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// A number, or words: any of the texts of a row, from the beginning of each word.
    pub text: String,
    /// Who called or was called: the first digits, or all of them if `exact`.
    pub number: String,
    /// True if all digits of the number are given.
    pub exact: bool,
    /// A part of an agent's name, or all of it in quotes.
    pub agent: String,
    /// A part of a queue's name, or all of it in quotes.
    pub queue: String,
    /// A part of a wrap-up code's name, or all of it in quotes.
    pub wrap_up: String,
    /// The first day, `YYYY-MM-DD` in UTC.
    pub from: String,
    /// The last day.
    pub to: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// The outcome of the conversation.
    pub outcome: String,
    /// Why recordings are lacking, as a code.
    pub code: String,
    /// The MIME type of the file, without parameters.
    pub kind: String,
    /// The order.
    pub order: Order,
    /// How many hits are left out before the first one.
    pub skip: usize,
}

impl Query {
    /// The day that is sought in, if it is one day.
    pub(crate) fn day(&self) -> Option<Date> {
        let from = self.from.parse().ok()?;
        (self.from == self.to).then_some(from)
    }
}

/// The order of hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that began last come first.
    #[default]
    Newest,
    /// Those that began first come first.
    Oldest,
    /// The longest come first.
    Longest,
    /// The largest come first.
    Largest,
}

/// A row, as far as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The conversation.
    pub conversation: String,
    /// Which of its rows, counted from 0.
    pub n: u32,
    /// When it began, in milliseconds since 1970.
    pub start_ms: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The length of its file in bytes.
    pub size: Option<u64>,
    /// The outcome of the conversation.
    pub outcome: String,
    /// `inbound` or `outbound`, where that is known.
    pub direction: Option<&'static str>,
    /// Who called.
    pub ani: String,
    /// Who was called.
    pub dnis: String,
    /// The agents.
    pub agents: String,
    /// The MIME type.
    pub content_type: String,
}

/// A page of hits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// The hits.
    pub hits: Vec<Hit>,
    /// How many there are in all, counted up to 10,000; one more if there are more.
    pub count: usize,
}

/// A statement that is put together.
#[derive(Default)]
pub(super) struct Statement {
    from: String,
    conditions: Vec<String>,
    pub(super) values: Vec<Box<dyn ToSql>>,
    /// True if there is nothing that could match.
    pub(super) empty: bool,
}

impl Statement {
    pub(super) fn add(
        &mut self,
        condition: &str,
        values: impl IntoIterator<Item = Box<dyn ToSql>>,
    ) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    /// The key by which the leading table is in the order of time.
    pub(super) fn key(&self) -> &'static str {
        match self.from.as_bytes() {
            [b'f', ..] => "fts.rowid",
            [b'h', ..] => "h.rec",
            _ => "r.id",
        }
    }

    /// The order of the newest first, of so many hits: few are sorted, which is faster than to walk all rows in
    /// the order of time; of many, the first of a walk are soon found.
    pub(super) fn newest(&self, hits: usize) -> String {
        let walk = match self.is_by_words() || hits > COUNTED {
            true => "",
            false => "+",
        };
        format!("{walk}{} DESC", self.key())
    }

    fn is_by_words(&self) -> bool {
        self.from.starts_with("fts")
    }

    /// The key, where it is to be one of many: of words, their hits are compared with these before their rows
    /// are looked up, and not sought one by one.
    fn member(&self) -> &'static str {
        match self.is_by_words() {
            true => "+fts.rowid",
            false => "r.id",
        }
    }

    pub(super) fn text(&self) -> String {
        let conditions = match self.conditions.is_empty() {
            true => "1".to_owned(),
            false => self.conditions.join(" AND "),
        };
        format!("FROM {} WHERE {conditions}", self.from)
    }
}

impl Index {
    /// Answers a search.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn search(&self, query: &Query) -> Result<Results, PageError> {
        let statement = self.statement(query)?;
        if statement.empty {
            return Ok(Results::default());
        }
        if statement.is_by_words() {
            return self.by_words(&statement, query);
        }
        let connection = self.reader();
        let text = statement.text();
        let counting = format!(
            "SELECT count(*) FROM (SELECT 1 {text} LIMIT {})",
            COUNTED + 1
        );
        let count: i64 = connection
            .prepare_cached(&counting)?
            .query_row(params_from_iter(&statement.values), |row| row.get(0))?;
        let count = usize::try_from(count).unwrap_or_default();
        let newest = statement.newest(count);
        let order = match query.order {
            Order::Oldest => newest.trim_end_matches(" DESC").to_owned(),
            Order::Newest => newest,
            Order::Longest => LONGEST.to_owned(),
            Order::Largest => LARGEST.to_owned(),
        };
        let skip = query.skip.min(COUNTED);
        let page = format!("SELECT {HIT} {text} ORDER BY {order} LIMIT {PAGE} OFFSET {skip}");
        let mut page = connection.prepare_cached(&page)?;
        let hits = page.query_map(params_from_iter(&statement.values), hit)?;
        Ok(Results {
            hits: hits.collect::<Result<_, _>>()?,
            count,
        })
    }

    /// Answers a search that words lead. The beginning of a word stands for many words, whose rows are merged
    /// whenever that is asked: here once, for count and page.
    fn by_words(&self, statement: &Statement, query: &Query) -> Result<Results, PageError> {
        let order = match query.order {
            Order::Newest => "fts.rowid DESC",
            Order::Oldest => "fts.rowid",
            Order::Longest => LONGEST,
            Order::Largest => LARGEST,
        };
        let connection = self.reader();
        let text = statement.text();
        let all = format!(
            "SELECT fts.rowid {text} ORDER BY {order} LIMIT {}",
            COUNTED + 1
        );
        let all: Vec<i64> = connection
            .prepare_cached(&all)?
            .query_map(params_from_iter(&statement.values), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let skip = query.skip.min(COUNTED);
        let one = format!("SELECT {HIT} FROM rec AS r WHERE id = ?");
        let mut one = connection.prepare_cached(&one)?;
        let page = all.iter().skip(skip).take(PAGE);
        Ok(Results {
            hits: page
                .map(|id| one.query_row([id], hit))
                .collect::<Result<_, _>>()?,
            count: all.len(),
        })
    }

    pub(super) fn statement(&self, query: &Query) -> Result<Statement, PageError> {
        let mut statement = Statement {
            from: "rec AS r".to_owned(),
            ..Statement::default()
        };
        let (mut number, mut exact) = (text::number(&query.number), query.exact);
        let sought = query.text.trim();
        let digits = text::number(sought);
        if digits.len() >= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            (number, exact) = (digits, false);
        } else if let Some(words) = text::words(sought)? {
            statement.from = "fts CROSS JOIN rec AS r ON r.id = fts.rowid".to_owned();
            statement.add("fts MATCH ?", [Box::new(words) as Box<dyn ToSql>]);
        } else if !sought.is_empty() {
            statement.empty = true;
        }
        self.by_number(&mut statement, &number, exact)?;
        let names = [
            (fill::AGENT, &query.agent),
            (fill::QUEUE, &query.queue),
            (fill::WRAP_UP, &query.wrap_up),
        ];
        for (kind, part) in names {
            self.by_name(&mut statement, kind, part)?;
        }
        by_facts(&mut statement, query);
        Ok(statement)
    }

    fn by_number(
        &self,
        statement: &mut Statement,
        number: &str,
        exact: bool,
    ) -> Result<(), PageError> {
        if number.is_empty() {
            return Ok(());
        }
        let last = match exact {
            true => number.to_owned(),
            // No digit and no letter of an address comes after it.
            false => format!("{number}\u{10ffff}"),
        };
        let connection = self.reader();
        let counting = format!(
            "SELECT count(*) FROM (SELECT 1 FROM rec WHERE ani BETWEEN ?1 AND ?2 UNION ALL
             SELECT 1 FROM rec WHERE dnis BETWEEN ?1 AND ?2 LIMIT {})",
            COUNTED + 1
        );
        let count: i64 = connection
            .prepare_cached(&counting)?
            .query_row([number, &last], |row| row.get(0))?;
        let both = || {
            [
                Box::new(number.to_owned()) as Box<dyn ToSql>,
                Box::new(last.clone()),
            ]
        };
        if usize::try_from(count).unwrap_or_default() > COUNTED {
            // So many that a walk through all rows meets some at once.
            statement.add(
                "(+r.ani BETWEEN ? AND ? OR +r.dnis BETWEEN ? AND ?)",
                both().into_iter().chain(both()),
            );
        } else {
            statement.add(
                &format!(
                    "{} IN (SELECT id FROM rec WHERE ani BETWEEN ? AND ?
                     UNION SELECT id FROM rec WHERE dnis BETWEEN ? AND ?)",
                    statement.member()
                ),
                both().into_iter().chain(both()),
            );
        }
        Ok(())
    }

    fn by_name(&self, statement: &mut Statement, kind: i64, part: &str) -> Result<(), PageError> {
        let part = part.trim();
        let quoted = part
            .strip_prefix('"')
            .and_then(|part| part.strip_suffix('"'));
        let condition = match quoted {
            Some(_) => "folded = ?",
            None => "instr(folded, ?) > 0",
        };
        let part = text::shortened(&quoted.unwrap_or(part).to_lowercase());
        if part.is_empty() {
            return Ok(());
        }
        let connection = self.reader();
        let mut names = connection.prepare_cached(&format!(
            "SELECT id FROM name WHERE kind = ? AND {condition} LIMIT ?"
        ))?;
        let names: Vec<String> = names
            .query_map(rusqlite::params![kind, part, NAMES as i64], |row| {
                row.get::<_, i64>(0)
            })?
            .map(|id| id.map(|id| id.to_string()))
            .collect::<Result<_, _>>()?;
        match &names[..] {
            [] => statement.empty = true,
            [name] if statement.from == "rec AS r" => {
                statement.from = "has AS h CROSS JOIN rec AS r ON r.id = h.rec".to_owned();
                statement.add(&format!("h.name = {name}"), []);
            }
            names => {
                // From the names to the rows: asked of each row, every name would be looked up for it.
                let names = names.join(",");
                statement.add(
                    &format!(
                        "{} IN (SELECT rec FROM has WHERE name IN ({names}))",
                        statement.member()
                    ),
                    [],
                );
            }
        }
        Ok(())
    }
}

/// Conditions on the facts of a row.
fn by_facts(statement: &mut Statement, query: &Query) {
    let day = |text: &str| fill::instant(&format!("{text}T00:00:00Z"));
    let key = statement.key();
    if let Some(from) = day(&query.from) {
        statement.add(
            &format!("{key} >= ?"),
            [Box::new(fill::key(from)) as Box<dyn ToSql>],
        );
    }
    if let Some(to) = day(&query.to) {
        let until = fill::key(to + DAY_MS);
        statement.add(&format!("{key} < ?"), [Box::new(until) as Box<dyn ToSql>]);
    }
    match query.direction.as_str() {
        "inbound" => statement.add("r.dir = 0", []),
        "outbound" => statement.add("r.dir = 1", []),
        _ => {}
    }
    if !query.outcome.is_empty() {
        let outcome = Box::new(query.outcome.clone()) as Box<dyn ToSql>;
        // Most are stored: an index of the others would not narrow that down.
        let condition = match query.outcome.as_str() {
            "stored" => "+r.outcome = ?",
            _ => "r.outcome = ? AND r.outcome <> 'stored'",
        };
        statement.add(condition, [outcome]);
    }
    if !query.code.is_empty() {
        let code = Box::new(query.code.clone()) as Box<dyn ToSql>;
        statement.add("r.code = ? AND r.n = 0", [code]);
    }
    if !query.kind.is_empty() {
        let kind = Box::new(query.kind.trim().to_owned()) as Box<dyn ToSql>;
        statement.add(
            "rtrim(substr(r.kind, 1, instr(r.kind || ';', ';') - 1)) = ?",
            [kind],
        );
    }
}

fn hit(row: &rusqlite::Row<'_>) -> rusqlite::Result<Hit> {
    let id: i64 = row.get(0)?;
    let text = |at: usize| {
        row.get::<_, Option<String>>(at)
            .map(Option::unwrap_or_default)
    };
    let direction: Option<i64> = row.get(6)?;
    Ok(Hit {
        conversation: text::unpacked(&row.get::<_, Vec<u8>>(1)?),
        n: row.get(2)?,
        start_ms: id >> SHIFT,
        duration_ms: row.get::<_, Option<i64>>(3)?.map(i64::unsigned_abs),
        size: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
        outcome: text(5)?,
        direction: direction.map(|out| if out == 0 { "inbound" } else { "outbound" }),
        ani: text(7)?,
        dnis: text(8)?,
        agents: text(9)?,
        content_type: text(10)?,
    })
}

impl std::fmt::Display for Query {
    /// The search, in words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = if self.exact { "number" } else { "number from" };
        let asked = [
            ("text", &self.text),
            (number, &self.number),
            ("agent", &self.agent),
            ("queue", &self.queue),
            ("wrap-up code", &self.wrap_up),
            ("from", &self.from),
            ("to", &self.to),
            ("direction", &self.direction),
            ("outcome", &self.outcome),
            ("reason code", &self.code),
            ("file type", &self.kind),
        ];
        let mut asked = asked.into_iter().filter(|(_, value)| !value.is_empty());
        let Some((name, value)) = asked.next() else {
            return f.write_str("everything");
        };
        write!(f, "{name} {value}")?;
        asked.try_for_each(|(name, value)| write!(f, ", {name} {value}"))
    }
}
