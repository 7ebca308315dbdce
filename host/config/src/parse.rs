//! Values read into the types of the configuration, with errors that name the very key.

pub(super) mod parts;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ConfigError, key, wording};

/// Reads the keys at `at`; an error names the very key that it is about.
pub(super) fn parse<T: DeserializeOwned>(at: &str, value: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let full = format!("{at}.{path}");
        let reason = wording::worded(&error.into_inner().to_string(), wording::is_shown(&full));
        match (at, path.as_str()) {
            ("", ".") => key("the configuration", reason),
            ("", path) => key(path, reason),
            (at, ".") => key(at, reason),
            (at, path) => key(format!("{at}.{path}"), reason),
        }
    })
}

/// As [`parse`], for a table whose `type` says which keys it has: an error names the key within it.
pub(super) fn parse_typed<T: DeserializeOwned>(at: &str, value: Value) -> Result<T, ConfigError> {
    let Value::Object(mut table) = value else {
        return Err(key(at, "must be a table with a `type`"));
    };
    let kind = match table.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(key(format!("{at}.type"), "must be a text")),
        None => return Err(key(format!("{at}.type"), "missing; give one")),
    };
    // So that the deserializer knows the type first, and where it is in the table.
    let outer = serde_json::json!({ kind.as_str(): table });
    serde_path_to_error::deserialize(outer).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let full = match path.strip_prefix(&kind) {
            Some(below) => format!("{at}{below}"),
            None => format!("{at}.type"),
        };
        let reason = wording::worded(&message, wording::is_shown(&full));
        key(full, reason)
    })
}
