//! Messages of the deserializer in the words of a configuration: text, number, table, list.

/// The expected value of a key, by the deserializer's word for it; the first that fits counts.
const EXPECTED: [(&str, &str); 14] = [
    ("a string", "a text"),
    ("path string", "a path"),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("struct ", "a table"),
    ("internally tagged enum", "a table with a `type`"),
    ("adjacently tagged enum", "a table with a `type`"),
    ("variant identifier", "one of the words that the key has"),
    ("a boolean", "true or false"),
    ("f64", "a number"),
    ("f32", "a number"),
    ("u", "a whole number, not negative"),
    ("i", "a whole number"),
    ("a nonzero", "a whole number above 0"),
];

/// A message about a value in plain words; `shown`: the value itself may be shown.
pub(super) fn worded(message: &str, shown: bool) -> String {
    let message = message
        .split_once(" at line ")
        .map_or(message, |(message, _)| message);
    let found = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .and_then(|rest| rest.rsplit_once(", expected "));
    if let Some((given, expected)) = found {
        return format!("{}; it must be {}", given_as(given, shown), must(expected));
    }
    if message.starts_with("data did not match any variant") {
        return "has none of the forms that this key may have; see docs/configuration.md"
            .to_owned();
    }
    if message.starts_with("invalid type: ") || message.starts_with("invalid value: ") {
        return "is of the wrong type".to_owned();
    }
    message.to_owned()
}

fn must(expected: &str) -> &str {
    let known = EXPECTED.iter().find(|(word, _)| {
        let unsigned = matches!(*word, "u" | "i");
        match unsigned {
            // `u64`, `usize`
            true => expected
                .strip_prefix(word)
                .is_some_and(|rest| rest == "size" || rest.parse::<u32>().is_ok()),
            false => expected.starts_with(word),
        }
    });
    known.map_or(expected, |(_, ours)| ours)
}

fn given_as(given: &str, shown: bool) -> String {
    let (kind, value) = given.split_once(' ').unwrap_or((given, ""));
    let kind = match kind {
        "string" => "text",
        "integer" | "floating" => "number",
        "boolean" if !shown => return "is true or false".to_owned(),
        "boolean" => "value",
        "map" | "struct" => return "is a table".to_owned(),
        "sequence" => return "is a list".to_owned(),
        "unit" | "null" | "Option" => return "is empty".to_owned(),
        _ => return format!("is {given}"),
    };
    let value = value.trim_start_matches("point ").trim_matches('`');
    match shown {
        true => format!("is the {kind} {}", value.replace('"', "`")),
        false => format!("is a {kind} (not shown)"),
    }
}

/// Returns true if the value of a key may be shown: it is none that may be a secret.
pub(super) fn is_shown(path: &str) -> bool {
    const HIDDEN: [&str; 11] = [
        "auth",
        "secret",
        "password",
        "token",
        "key",
        "user",
        "client",
        "credentials",
        "header",
        "url",
        "connection",
    ];
    let path = path.to_ascii_lowercase();
    !HIDDEN.iter().any(|word| path.contains(word))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
    }

    #[derive(Debug, Deserialize)]
    struct Example {
        #[serde(default)]
        _text: String,
        #[serde(default)]
        _number: u32,
        #[serde(default)]
        _list: Vec<u8>,
        #[serde(default)]
        _path: std::path::PathBuf,
        #[serde(default)]
        _flag: bool,
        #[serde(default)]
        _kind: Option<Kind>,
    }

    #[test]
    fn a_wrong_type_is_told_in_the_words_of_a_configuration() {
        for (name, value, message) in [
            ("_text", json!({}), "is a table; it must be a text"),
            ("_text", json!(5), "is the number 5; it must be a text"),
            ("_text", json!(null), "is empty; it must be a text"),
            ("_text", json!(true), "is the value true; it must be a text"),
            (
                "_number",
                json!("x"),
                "is the text `x`; it must be a whole number, not negative",
            ),
            (
                "_number",
                json!(-1),
                "is the number -1; it must be a whole number, not negative",
            ),
            (
                "_number",
                json!(1.5),
                "is the number 1.5; it must be a whole number, not negative",
            ),
            ("_list", json!("x"), "is the text `x`; it must be a list"),
            ("_path", json!([]), "is a list; it must be a path"),
            (
                "_flag",
                json!("yes"),
                "is the text `yes`; it must be true or false",
            ),
        ] {
            let error = serde_json::from_value::<Example>(json!({ name: value })).unwrap_err();
            assert_eq!(worded(&error.to_string(), true), message);
        }
        let hidden = worded("invalid type: integer `77`, expected a string", false);
        assert_eq!(hidden, "is a number (not shown); it must be a text");
        let hidden = worded("invalid type: boolean `true`, expected a string", false);
        assert_eq!(hidden, "is true or false; it must be a text");
        assert!(!is_shown("sources.calls.auth.client_secret") && is_shown("sinks.lake.path"));
    }
}
