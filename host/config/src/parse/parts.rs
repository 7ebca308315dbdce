//! Tables whose keys belong to several types: each type takes the keys that its schema names. By serde's `flatten`,
//! unknown keys would be accepted, and errors would not say where they are.

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::parse;
use crate::{ConfigError, key};

/// Takes the keys of a type out of a table that stands at `at`, and reads them.
pub(crate) fn take<T: DeserializeOwned + JsonSchema>(
    at: &str,
    table: &mut Map<String, Value>,
) -> Result<T, ConfigError> {
    let schema = T::json_schema(&mut SchemaGenerator::default());
    let names = schema.get("properties").and_then(Value::as_object);
    let names = names.into_iter().flat_map(Map::keys);
    let own = names.filter_map(|name| table.remove_entry(name)).collect();
    parse(at, Value::Object(own))
}

/// Refuses a key of a table that none of its types has, in the words of the deserializer; `known` are all that they
/// have.
pub(crate) fn refuse_others(
    at: &str,
    table: &Map<String, Value>,
    known: &Map<String, Value>,
) -> Result<(), ConfigError> {
    let Some(other) = table.keys().find(|name| !known.contains_key(*name)) else {
        return Ok(());
    };
    let names: Vec<String> = known.keys().map(|name| format!("`{name}`")).collect();
    let names = names.join(", ");
    let reason = format!("unknown field `{other}`, expected one of {names}");
    Err(key(format!("{at}.{other}"), reason))
}

/// Adds the keys of another type to the schema of a table.
pub(crate) fn join(table: &mut Value, part: &Value) {
    if let (Some(keys), Some(more)) = (
        table["properties"].as_object_mut(),
        part["properties"].as_object(),
    ) {
        keys.extend(more.clone());
    }
    if let Some(more) = part["required"].as_array() {
        let mut required = table["required"].as_array().cloned().unwrap_or_default();
        required.extend(more.iter().cloned());
        table["required"] = required.into();
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Place {
        name: String,
        #[serde(rename = "under")]
        prefix: Option<String>,
    }

    fn table(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn a_part_takes_its_own_keys_and_leaves_the_others() {
        let mut keys = table(json!({ "name": "a", "under": "b", "more": 1 }));
        let place: Place = take("sinks.lake", &mut keys).unwrap();
        assert_eq!(
            (place.name.as_str(), place.prefix.as_deref()),
            ("a", Some("b"))
        );
        assert_eq!(keys, table(json!({ "more": 1 })));
    }

    #[test]
    fn a_wrong_value_in_a_part_is_named_by_its_path() {
        for (keys, message) in [
            (
                json!({ "name": 1 }),
                "sinks.lake.name: is the number 1; it must be a text",
            ),
            (json!({}), "sinks.lake: the key `name` is missing"),
        ] {
            let error = take::<Place>("sinks.lake", &mut table(keys)).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_key_of_no_part_is_refused_with_those_of_all() {
        let known = table(json!({ "name": {}, "under": {} }));
        let given = table(json!({ "name": "a", "below": "b" }));
        let error = refuse_others("sinks.lake", &given, &known).unwrap_err();
        assert_eq!(
            error.to_string(),
            "sinks.lake.below: unknown field `below`, expected one of `name`, `under`"
        );
    }
}
