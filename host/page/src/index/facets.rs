//! How many of the hits of a search have which value: what to narrow it down by.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use rusqlite::params_from_iter;

use super::{COUNTED, Index, Query, fill};
use crate::PageError;

/// Values that are told of each facet: the most frequent ones.
const MOST: usize = 8;

/// A field of a search with its most frequent values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facet {
    /// The field, as the form names it.
    pub(crate) field: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    pub(crate) values: Vec<Counted>,
    /// How many further values there are.
    pub(crate) others: usize,
}

/// A value, and how many hits have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The text of the field that finds these hits.
    pub(crate) value: String,
    /// The value as it is shown.
    pub(crate) label: String,
    pub(crate) count: u64,
}

/// Values with how many hits have them.
type Counts = HashMap<String, u64>;

impl Index {
    /// The facets of a search: of its hits, or of the newest ones if there are more than 10,000.
    pub(crate) fn facets(&self, query: &Query, hits: usize) -> Result<Vec<Facet>, PageError> {
        let statement = self.statement(query)?;
        if statement.empty {
            return Ok(Vec::new());
        }
        let facts = format!(
            "SELECT r.id, r.outcome, r.dir, r.kind, CASE WHEN r.n = 0 THEN r.code END
             {} ORDER BY {} LIMIT {COUNTED}",
            statement.text(),
            statement.newest(hits)
        );
        let connection = self.reader();
        let mut facts = connection.prepare_cached(&facts)?;
        let mut of_record = connection.prepare_cached("SELECT name FROM has WHERE rec = ?")?;
        let mut rows = facts.query(params_from_iter(&statement.values))?;
        let [mut outcomes, mut directions, mut kinds, mut codes] = [(); 4].map(|()| Counts::new());
        let mut names = HashMap::<i64, u64>::new();
        while let Some(row) = rows.next()? {
            let count = |counts: &mut Counts, value: Option<String>| {
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    *counts.entry(value).or_default() += 1;
                }
            };
            count(&mut outcomes, row.get(1)?);
            let direction = row.get::<_, Option<i64>>(2)?;
            let direction = direction.map(|out| if out == 0 { "inbound" } else { "outbound" });
            count(&mut directions, direction.map(str::to_owned));
            let kind = row.get::<_, Option<String>>(3)?;
            let plain = |kind: String| {
                kind.split(';')
                    .next()
                    .map(|kind| kind.trim_end_matches(' ').to_owned())
            };
            count(&mut kinds, kind.and_then(plain));
            count(&mut codes, row.get(4)?);
            let mut of_record = of_record.query([row.get::<_, i64>(0)?])?;
            while let Some(name) = of_record.next()? {
                *names.entry(name.get(0)?).or_default() += 1;
            }
        }
        let mut named = BTreeMap::<i64, Counts>::new();
        let mut label = connection.prepare_cached("SELECT kind, label FROM name WHERE id = ?")?;
        for (name, count) in names {
            let (kind, label) = label.query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
            named.entry(kind).or_default().insert(label, count);
        }
        let mut named = |kind: i64| named.remove(&kind).unwrap_or_default();
        let quoted = |name: &str| format!("\"{name}\"");
        let facets = [
            facet("outcome", "Outcome", outcomes, str::to_owned),
            facet("code", "Reason", codes, str::to_owned),
            facet("agent", "Agent", named(fill::AGENT), quoted),
            facet("queue", "Queue", named(fill::QUEUE), quoted),
            facet("wrap_up", "Wrap-up code", named(fill::WRAP_UP), quoted),
            facet("direction", "Direction", directions, str::to_owned),
            facet("kind", "File type", kinds, str::to_owned),
        ];
        let reported = |facet: &Facet| !facet.values.is_empty();
        Ok(facets.into_iter().filter(reported).collect())
    }
}

fn facet(
    field: &'static str,
    title: &'static str,
    counts: Counts,
    value: impl Fn(&str) -> String,
) -> Facet {
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|(a, most), (b, more)| (Reverse(most), a).cmp(&(Reverse(more), b)));
    let others = counts.len().saturating_sub(MOST);
    counts.truncate(MOST);
    let values = counts.into_iter().map(|(label, count)| Counted {
        value: value(&label),
        label,
        count,
    });
    Facet {
        field,
        title,
        values: values.collect(),
        others,
    }
}
