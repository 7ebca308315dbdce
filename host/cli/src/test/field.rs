//! What `privacy` has done to the fields of a row, found by comparing the row with the one without it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// The effect of `privacy` on a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Treatment {
    /// It is as the sample has it.
    Kept,
    /// None of its values is there, and nothing instead.
    Removed,
    /// None of its values is there, but something instead of each.
    Masked,
    /// Some of its values are there, and some are not.
    Partly,
}

impl Treatment {
    pub(super) fn word(self) -> &'static str {
        match self {
            Treatment::Kept => "is kept",
            Treatment::Removed => "is removed",
            Treatment::Masked => "is masked",
            Treatment::Partly => "is removed or masked in part",
        }
    }
}

/// What became of each field that the row has `before`, by its name in `privacy`.
pub(super) fn treatments(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> BTreeMap<String, Treatment> {
    let (before, after) = (fields(before), fields(after));
    let none = Vec::new();
    let treated = before.into_iter().map(|(field, was)| {
        let is = after.get(&field).unwrap_or(&none);
        let treatment = if *is == was {
            Treatment::Kept
        } else if is.is_empty() {
            Treatment::Removed
        } else if is.len() == was.len() && !is.iter().any(|value| was.contains(value)) {
            Treatment::Masked
        } else {
            Treatment::Partly
        };
        (field, treatment)
    });
    treated.collect()
}

/// The values of a row by the names that fields have in `privacy`; those without any are left out.
fn fields(row: &Map<String, Value>) -> BTreeMap<String, Vec<String>> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |field: String, value: &Value| {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            fields.entry(field).or_default().push(text.to_owned());
        }
    };
    for (column, value) in row {
        match value {
            // Its code stays in any case.
            Value::String(reason) if column == "reason" => {
                let (_, message) = reason.split_once(": ").unwrap_or_default();
                add(column.clone(), &message.into());
            }
            Value::Array(list) => {
                for item in list {
                    match item {
                        Value::Object(party) => {
                            for (part, value) in party {
                                add(format!("{column}.{part}"), value);
                            }
                        }
                        value => add(column.clone(), value),
                    }
                }
            }
            Value::Object(named) => {
                for (name, value) in named {
                    add(format!("{column}.{name}"), value);
                }
            }
            value => add(column.clone(), value),
        }
    }
    fields
}

/// The fields that a name in `privacy` stands for, of those that are there: itself, its `id` and `name`, or all
/// attributes.
pub(super) fn meant<'a>(
    name: &str,
    treated: &'a BTreeMap<String, Treatment>,
) -> Vec<(&'a str, Treatment)> {
    let group = name.strip_suffix(".*").unwrap_or(name);
    let of = |field: &str| match field.strip_prefix(group) {
        Some("") => group == name,
        Some(rest) => rest.starts_with('.') && (group != name || !name.contains('.')),
        None => false,
    };
    let all = treated
        .iter()
        .map(|(field, treatment)| (field.as_str(), *treatment));
    all.filter(|(field, _)| of(field)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(row: &Value) -> Map<String, Value> {
        row.as_object().unwrap().clone()
    }

    #[test]
    fn what_became_of_a_field_is_seen_by_comparing() {
        let before = of(
            &json!({ "ani": "1", "dnis": "2", "tags": ["a", "b"], "direction": null,
            "agents": [{ "id": "i", "name": "n" }], "reason": "archived: by Ada",
            "attributes": { "a": "1", "b.c": "2" } }),
        );
        let after = of(
            &json!({ "ani": "p_1", "dnis": "2", "tags": ["a"], "direction": null,
            "agents": [{ "id": "", "name": "p_n" }], "reason": "archived",
            "attributes": { "b.c": "2" } }),
        );
        let treated = treatments(&before, &after);
        let expected = [
            ("agents.id", Treatment::Removed),
            ("agents.name", Treatment::Masked),
            ("ani", Treatment::Masked),
            ("attributes.a", Treatment::Removed),
            ("attributes.b.c", Treatment::Kept),
            ("dnis", Treatment::Kept),
            ("reason", Treatment::Removed),
            ("tags", Treatment::Partly),
        ];
        let expected = expected.map(|(field, treatment)| (field.to_owned(), treatment));
        assert_eq!(treated, expected.into());
        let names = |name| -> Vec<&str> {
            let meant = meant(name, &treated).into_iter();
            meant.map(|(field, _)| field).collect()
        };
        assert_eq!(names("agents"), ["agents.id", "agents.name"]);
        assert_eq!(names("attributes.*"), ["attributes.a", "attributes.b.c"]);
        assert_eq!(names("attributes.b"), [""; 0]);
        assert_eq!(names("attributes.b.c"), ["attributes.b.c"]);
        assert_eq!(names("tags"), ["tags"]);
    }
}
