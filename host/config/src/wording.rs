//! Messages of the deserializer in the words of a configuration: text, number, table, list.

/// The expected value of a key, by the deserializer's word for it; the first that fits counts.
const EXPECTED: [(&str, &str); 16] = [
    ("a string", "a text"),
    ("path string", "a path"),
    ("a sequence", "a list"),
    ("a map", "a table"),
    ("struct ", "a table"),
    ("internally tagged enum", "a table with a `type`"),
    ("adjacently tagged enum", "a table with a `type`"),
    ("string or map", "one of the words that the key has"),
    ("map with a single key", "one of the words that the key has"),
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
    if let Some(name) = quoted(message, "missing field ") {
        return format!("the key `{name}` is missing");
    }
    if let Some(name) = quoted(message, "duplicate field ") {
        return format!(
            "`{name}` is given twice, once by another name that it has; leave out one of them"
        );
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown_word(rest, shown);
    }
    if message == "expected value" {
        return "is of the wrong type; it must be one of the words that the key has".to_owned();
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

/// The name in a message that begins with `words`.
fn quoted<'a>(message: &'a str, words: &str) -> Option<&'a str> {
    message.strip_prefix(words)?.split('`').nth(1)
}

/// What is wrong with a word, by the deserializer's list of those that there are: `x`, expected one of `a`, `b`.
fn unknown_word(rest: &str, shown: bool) -> String {
    // The word itself may hold anything.
    let (given, known) = rest.rsplit_once(", expected ").unwrap_or((rest, ""));
    let known: Vec<String> = known
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|word| format!("`{word}`"))
        .collect();
    let given = match shown {
        true => given,
        false => "the text (not shown)",
    };
    match known.as_slice() {
        [] => format!("{given} is not known"),
        [only] => format!("{given} is not {only}"),
        _ => format!("{given} is none of {}", known.join(", ")),
    }
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

/// Returns true if the value of a key may be shown: it is none that may be a secret. The word for a type is
/// none, wherever it stands.
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
    path.ends_with(".type") || !HIDDEN.iter().any(|word| path.contains(word))
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

    #[test]
    fn words_and_keys_are_told_in_the_words_of_a_configuration() {
        for (message, words) in [
            ("missing field `x`", "the key `x` is missing"),
            (
                "unknown variant `mp3`, expected one of `wav`, `ogg`",
                "`mp3` is none of `wav`, `ogg`",
            ),
            (
                "unknown variant `mp3`, expected `wav` or `ogg`",
                "`mp3` is none of `wav`, `ogg`",
            ),
            (
                "unknown variant `mp3`, expected `wav`",
                "`mp3` is not `wav`",
            ),
            (
                "unknown variant `a, expected `, expected `wav` or `ogg`",
                "`a, expected ` is none of `wav`, `ogg`",
            ),
            (
                "duplicate field `x`",
                "`x` is given twice, once by another name that it has; leave out one of them",
            ),
            (
                "invalid type: integer `5`, expected string or map",
                "is the number 5; it must be one of the words that the key has",
            ),
            (
                "expected value at line 1 column 9",
                "is of the wrong type; it must be one of the words that the key has",
            ),
            (
                "unknown field `x`, expected `y`",
                "unknown field `x`, expected `y`",
            ),
        ] {
            assert_eq!(worded(message, true), words);
        }
        let hidden = worded("unknown variant `hush`, expected `a` or `b`", false);
        assert_eq!(hidden, "the text (not shown) is none of `a`, `b`");
    }
}
