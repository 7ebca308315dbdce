//! A commented configuration to begin with, written from the schema: what a key is for, what it
//! may be, and its default or an example.
//!
//! A line `#key: value` is a key that is left out; without its `#` it is right as it stands.

use serde_json::{Map, Value};

/// Keys that are not required and stand in a first configuration all the same.
const STARTED: [&str; 5] = ["auth", "options", "prefix", "region", "type"];
/// Columns that a comment takes.
const WIDTH: usize = 100;

/// The requested type does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no {what} has the type `{name}`; use {}", known.join(", "))]
pub struct UnknownType {
    /// `source` or `sink`.
    pub what: &'static str,
    /// The requested type.
    pub name: String,
    /// The types that there are.
    pub known: Vec<String>,
}

/// A configuration in YAML that brings recordings from a source of this type to a sink of this
/// type, written from the [schema](super::schema).
///
/// # Errors
/// [`UnknownType`] names the types that there are.
pub fn example(schema: &Value, source: &str, sink: &str) -> Result<String, UnknownType> {
    let properties = &schema["properties"];
    let source = kind(&properties["sources"], "source", source)?;
    let sink = kind(&properties["sinks"], "sink", sink)?;
    let mut text = Text(String::new());
    text.say(0, None, "Lines of the form `#key: value` are keys that are left out, with their default or an example.");
    for (name, tables) in [
        ("data_dir", None),
        ("secret", None),
        ("sources", Some(("calls", source))),
        ("sinks", Some(("lake", sink))),
        ("concurrency", None),
        ("limits", None),
    ] {
        text.0.push('\n');
        let of = &properties[name];
        match (name, tables) {
            ("secret", _) => {
                text.describe(0, None, of);
                text.line(0, None, "secret:");
                text.line(2, None, "env: { type: env }");
            }
            (_, Some((called, table))) => {
                text.describe(0, None, of);
                text.line(0, None, &format!("{name}:"));
                text.line(2, None, &format!("{called}:"));
                text.keys(table, 4, None);
            }
            (_, None) => text.key(name, of, name == "data_dir", 0, None),
        }
    }
    Ok(text.0)
}

/// The schema of the tables of this type.
fn kind<'a>(of: &'a Value, what: &'static str, name: &str) -> Result<&'a Value, UnknownType> {
    let kinds = of["additionalProperties"]["oneOf"].as_array();
    let kinds = kinds.map_or(&[][..], Vec::as_slice);
    let word = |kind: &Value| {
        kind["properties"]["type"]["const"]
            .as_str()
            .map(str::to_owned)
    };
    let found = kinds
        .iter()
        .find(|kind| word(kind).as_deref() == Some(name));
    found.ok_or_else(|| UnknownType {
        what,
        name: name.to_owned(),
        known: kinds.iter().filter_map(word).collect(),
    })
}

/// YAML that is being written. What is left out has its `#` in a column of its own.
struct Text(String);

impl Text {
    fn line(&mut self, indent: usize, left_out: Option<usize>, text: &str) {
        let line = match left_out {
            None => format!("{:indent$}{text}\n", ""),
            Some(column) => format!(
                "{:column$}#{:rest$}{text}\n",
                "",
                "",
                rest = indent - column
            ),
        };
        self.0.push_str(&line);
    }

    /// A comment.
    fn say(&mut self, indent: usize, left_out: Option<usize>, text: &str) {
        // Leaving a key out does not leave out its description.
        let left_out = left_out.filter(|column| *column < indent);
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() > 1 && indent + line.len() + 1 + word.len() > WIDTH {
                self.line(indent, left_out, &line);
                line.truncate(1);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(indent, left_out, &line);
    }

    /// Writes the description of a key and its possible values.
    fn describe(&mut self, indent: usize, left_out: Option<usize>, of: &Value) {
        let mut text = of["description"].as_str().unwrap_or_default().to_owned();
        let words: Vec<&str> = choices(of).filter_map(Value::as_str).collect();
        if !words.is_empty() {
            text = format!("{text} One of {}.", words.join(", "));
        }
        if !text.is_empty() {
            self.say(indent, left_out, text.trim());
        }
    }

    /// The keys of a table: its type first, then those that are needed, then what is simple.
    fn keys(&mut self, table: &Value, indent: usize, left_out: Option<usize>) {
        let none = Map::new();
        let properties = table["properties"].as_object().unwrap_or(&none);
        let required = |name: &str| {
            // Of names of which one is needed, the first is the one that is not a former name.
            let lists = [&table["required"], &table["anyOf"][0]["required"]];
            let mut names = lists.into_iter().filter_map(Value::as_array).flatten();
            names.any(|required| required == name)
        };
        let wanted = |name: &str| required(name) || STARTED.contains(&name);
        let mut names: Vec<&String> = properties.keys().collect();
        names.retain(|name| properties[*name]["deprecated"] != true);
        names.sort_by_key(|name| {
            let nested = inner(&properties[*name]).is_some();
            (name.as_str() != "type", nested, !wanted(name))
        });
        for name in names {
            self.key(name, &properties[name], wanted(name), indent, left_out);
        }
    }

    fn key(
        &mut self,
        name: &str,
        of: &Value,
        wanted: bool,
        indent: usize,
        left_out: Option<usize>,
    ) {
        let left_out = left_out.or((!wanted).then_some(indent));
        self.describe(indent, left_out, of);
        if let Some(table) = inner(of) {
            self.line(indent, left_out, &format!("{name}:"));
            self.keys(table, indent + 2, left_out);
        } else {
            let value = scalar(&value(of, wanted));
            self.line(indent, left_out, &format!("{name}: {value}"));
        }
    }
}

/// The kinds of a schema that has several, one of which may be null.
fn kinds(of: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"]
        .iter()
        .filter_map(|name| of[*name].as_array())
        .flatten()
        .flat_map(|kind| match kind["oneOf"].as_array() {
            Some(inner) => inner.iter().collect(),
            None => vec![kind],
        })
}

/// The table that a key holds; the first one if there are several kinds.
fn inner(of: &Value) -> Option<&Value> {
    std::iter::once(of)
        .chain(kinds(of))
        .find(|kind| kind["properties"].is_object())
}

/// The words that a key may be.
fn choices(of: &Value) -> impl Iterator<Item = &Value> {
    let listed = of["enum"].as_array().into_iter().flatten();
    let constants = kinds(of).filter_map(|kind| kind.get("const"));
    listed.chain(constants)
}

/// The value of a key, or a possible one.
fn value(of: &Value, wanted: bool) -> Value {
    let said = |value: &&Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(table) => !table.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    let default = Some(&of["default"]).filter(said);
    let example = of["examples"].get(0);
    let (first, second) = if wanted {
        (example, default)
    } else {
        (default, example)
    };
    let chosen = of.get("const").or(first).or(second);
    chosen.or(choices(of).next()).cloned().unwrap_or_default()
}

/// A value as YAML: JSON, but for plain words and references to secrets.
fn scalar(value: &Value) -> String {
    let plain = |text: &str| {
        let inner = text
            .strip_prefix("SECRET[")
            .and_then(|rest| rest.strip_suffix(']'));
        let text = inner.unwrap_or(text);
        let word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        let named = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        named
            && text.chars().all(word)
            && !["true", "false", "null", "yes", "no", "on", "off"].contains(&text)
    };
    match value {
        Value::String(text) if plain(text) => text.clone(),
        value => value.to_string(),
    }
}
