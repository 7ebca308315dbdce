//! TOML; a key that stands twice is refused by its grammar.

use serde_json::{Number, Value};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Node, Position, RawValue, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let lines = Lines(text);
    let table = DeTable::parse(text).map_err(|error| SyntaxError {
        at: error.span().map(|span| lines.position(span.start)),
        // Some messages have lines.
        reason: error.message().replace('\n', ", "),
    })?;
    let at = lines.position(table.span().start);
    Ok(Node {
        at,
        kind: lines.table(table.into_inner())?,
    })
}

/// A text whose offsets are converted to lines and columns.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn position(&self, offset: usize) -> Position {
        let before = self.0.get(..offset).unwrap_or(self.0);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Position {
            line: before.matches('\n').count() as u64 + 1,
            column: line.chars().count() as u64 + 1,
        }
    }

    fn table(&self, table: DeTable<'_>) -> Result<RawValue, SyntaxError> {
        let mut entries = Vec::new();
        for (name, value) in table {
            let at = self.position(name.span().start);
            entries.push((name.into_inner().into_owned(), at, self.node(value)?));
        }
        Ok(RawValue::Table(entries))
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Result<Node, SyntaxError> {
        let at = self.position(value.span().start);
        let refused = |what: &str| SyntaxError {
            at: Some(at),
            reason: format!("`{what}` is not a number of 64 bits"),
        };
        let scalar = match value.into_inner() {
            DeValue::Table(table) => {
                let kind = self.table(table)?;
                return Ok(Node { at, kind });
            }
            DeValue::Array(list) => {
                let mut items = Vec::new();
                for item in list {
                    items.push(self.node(item)?);
                }
                let kind = RawValue::List(items);
                return Ok(Node { at, kind });
            }
            DeValue::String(text) => text.into_owned().into(),
            DeValue::Boolean(value) => value.into(),
            // The keys of a configuration take dates and times as texts.
            DeValue::Datetime(when) => when.to_string().into(),
            DeValue::Integer(number) => {
                let value = i64::from_str_radix(number.as_str(), number.radix());
                value
                    .map(Value::from)
                    .map_err(|_| refused(number.as_str()))?
            }
            DeValue::Float(number) => {
                let value = number.as_str().parse().ok().and_then(Number::from_f64);
                value
                    .map(Value::from)
                    .ok_or_else(|| refused(number.as_str()))?
            }
        };
        Ok(Node {
            at,
            kind: RawValue::Scalar(scalar),
        })
    }
}
