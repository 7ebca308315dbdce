//! The text of a configuration: YAML or TOML, read into values of which it is known where they stand.
//!
//! Nothing in it can be read in two ways: a key that stands twice in a table is refused at any
//! depth, as are several documents, merged tables and tags that nobody heeds. Size and depth are
//! bounded, so that no file, however it came about, takes the program's memory or stack.

mod toml;
mod yaml;

use std::{collections::BTreeMap, fmt, io::Read, path::Path};

use serde_json::{Map, Value};

use super::ConfigError;

/// The most bytes that a configuration may have.
const LARGEST: u64 = 1 << 20;
/// How deep tables and lists may lie in one another.
const DEEPEST: usize = 32;

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    line: u64,
    column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it stands.
#[derive(Debug)]
struct Node {
    at: Position,
    kind: RawValue,
}

#[derive(Debug)]
enum RawValue {
    Scalar(Value),
    List(Vec<Node>),
    Table(Vec<(String, Position, Node)>),
}

/// Why a text is no configuration: where, and the reason.
#[derive(Debug)]
struct SyntaxError {
    at: Option<Position>,
    reason: String,
}

/// Where each key of a configuration stands, so that an error about a key gives line and column.
#[derive(Debug, Default)]
pub(super) struct Positions {
    file: String,
    keys: BTreeMap<String, Position>,
}

/// Reads a file; names ending in `.toml` are TOML, all others YAML, which JSON is, too.
pub(super) fn load(path: &Path) -> Result<(Value, Positions), ConfigError> {
    let file = path.display().to_string();
    let read = |source| ConfigError::Read {
        path: file.clone(),
        source,
    };
    let mut text = String::new();
    let opened = std::fs::File::open(path).map_err(read)?;
    if path.is_dir() {
        return Err(ConfigError::Syntax {
            position: file,
            reason: "is a folder; name the configuration's file".to_owned(),
        });
    }
    opened
        .take(LARGEST + 1)
        .read_to_string(&mut text)
        .map_err(read)?;
    let toml = path
        .extension()
        .is_some_and(|extension| extension == "toml");
    parse(&text, toml, &file)
}

/// Reads a text; errors call it by the name of its `file`.
fn parse(text: &str, toml: bool, file: &str) -> Result<(Value, Positions), ConfigError> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut positions = Positions {
        file: file.to_owned(),
        keys: BTreeMap::new(),
    };
    let value = if text.len() as u64 > LARGEST {
        Err(SyntaxError {
            at: None,
            reason: format!("is larger than {LARGEST} bytes, which no configuration needs"),
        })
    } else {
        let root = if toml {
            toml::parse(text)
        } else {
            yaml::parse(text)
        };
        root.and_then(|root| positions.enter(root, "", 0))
    };
    match value {
        Ok(value) => Ok((value, positions)),
        Err(error) => Err(ConfigError::Syntax {
            position: match error.at {
                Some(at) => format!("{file}:{at}"),
                None => file.to_owned(),
            },
            reason: error.reason,
        }),
    }
}

impl Positions {
    /// Notes where all that is in `node` stands, whose path is `path`, and gives its value.
    fn enter(&mut self, node: Node, path: &str, depth: usize) -> Result<Value, SyntaxError> {
        if depth > DEEPEST {
            return Err(SyntaxError {
                at: Some(node.at),
                reason: format!("tables and lists are nested more than {DEEPEST} deep"),
            });
        }
        Ok(match node.kind {
            RawValue::Scalar(value) => value,
            RawValue::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    self.keys.insert(path.clone(), item.at);
                    list.push(self.enter(item, &path, depth + 1)?);
                }
                list.into()
            }
            RawValue::Table(entries) => {
                let mut table = Map::new();
                for (name, at, node) in entries {
                    let path = match path {
                        "" => name.clone(),
                        path => format!("{path}.{name}"),
                    };
                    if table.contains_key(&name) {
                        let first = self.keys.get(&path).map(|first| first.line);
                        return Err(twice(&path, at, first));
                    }
                    self.keys.insert(path.clone(), at);
                    let value = self.enter(node, &path, depth + 1)?;
                    table.insert(name, value);
                }
                table.into()
            }
        })
    }

    /// An error about a key with the position in the file where that key stands, or the table that
    /// lacks it.
    pub(super) fn locate(&self, error: ConfigError) -> ConfigError {
        let path = match &error {
            ConfigError::Key { at, .. } => at.clone(),
            ConfigError::Secret(error) => error.at.clone(),
            ConfigError::Component { at, .. } => format!("sources.{at}"),
            ConfigError::Read { .. } | ConfigError::Syntax { .. } | ConfigError::Placed { .. } => {
                return error;
            }
        };
        if self.file.is_empty() {
            return error;
        }
        let mut known = path.as_str();
        let at = loop {
            if let Some(at) = self.keys.get(known) {
                break Some(at);
            }
            match known.rfind(['.', '[']) {
                Some(end) => known = &known[..end],
                None => break None,
            }
        };
        ConfigError::Placed {
            position: match at {
                Some(at) => format!("{}:{at}", self.file),
                None => self.file.clone(),
            },
            error: Box::new(error),
        }
    }
}

fn twice(path: &str, at: Position, first: Option<u64>) -> SyntaxError {
    let first = first.map_or(String::new(), |line| format!(", first in line {line}"));
    SyntaxError {
        at: Some(at),
        reason: format!("{path}: duplicate key{first}; remove one of them"),
    }
}

#[cfg(test)]
mod tests;
