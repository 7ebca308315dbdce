//! The identity of an export: its selection, and where it goes. Nothing else belongs to it: neither
//! tuning, nor defaults that are written out, nor the other sinks.
//!
//! The identity is a canonical text, sorted JSON of the keys that are set, by the names that they have
//! in a configuration; an option that has been renamed since (`x-renamed-to`) keeps its former name there,
//! so that a new spelling begins no new export. Its first key is the version of this rule. Options count
//! as the source's schema marks them (`x-identity`), so that a component may have new ones without
//! beginning new exports.

mod before;
mod sink_binding;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

pub(crate) use before::{label as label_before, route};

use crate::{privacy::Privacy, transfer::SinkBinding};
use recording_host_model::hex;

/// How many digits of the digest stand in names.
const DIGITS: usize = 12;
/// The mark in a source's schema of options, and its words.
const MARK: &str = "x-identity";
/// In the schema of a former name: what the option is called now.
const RENAMED: &str = "x-renamed-to";
const MARKS: [&str; 3] = ["account", "conversations", "recordings"];

/// The identity of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportIdentity {
    /// The selection, as canonical text.
    pub text: String,
    /// The part of it that decides what a recording is made of: account, format and the like. Exports
    /// that have it in common have the same recordings, of other conversations.
    pub form: String,
    /// The name in keys and files: the source's, and some digits of the text's digest.
    pub label: String,
    /// The name that the earlier version of the program would have given it.
    pub label_before: String,
}

impl ExportIdentity {
    /// The SHA-256 of the text, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        digest(&self.text)
    }

    /// The SHA-256 of the form, in hexadecimal.
    #[must_use]
    pub fn form_digest(&self) -> String {
        digest(&self.form)
    }
}

/// The identity of what the source `name` selects at `origins`, the base URLs of its API, by `options`
/// of which `schema` says what belongs to it, with rows from which `privacy` takes values out: rows of
/// two keys, or in the clear and not, are never mixed.
pub(crate) fn source(
    name: &str,
    origins: &[&str],
    options: &Value,
    schema: &str,
    privacy: &Privacy,
) -> (String, String, String) {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    // Where no option says which account it is, the API that is asked does, however it is named.
    let mut origins: Vec<&str> = match has(&schema, "account") {
        true => Vec::new(),
        false => origins.to_vec(),
    };
    origins.sort_unstable();
    origins.dedup();
    let marked = marked(options, &schema);
    let of = |marks: &[&str]| -> Map<String, Value> {
        let marked = marked.iter();
        marked
            .filter(|(mark, ..)| marks.contains(mark))
            .map(|(_, name, value)| ((*name).to_owned(), (*value).clone()))
            .collect()
    };
    let text = |mut keys: Value| {
        if privacy.is_active() {
            keys["privacy"] = json!(privacy.fingerprint());
        }
        keys.to_string()
    };
    let whole = text(json!({ "v": 1, "source": name, "api": origins, "options": of(&MARKS) }));
    let form = of(&["account", "recordings"]);
    let form = text(json!({ "v": 1, "api": origins, "options": form }));
    let label = format!("{}-{}", plain(name), &digest(&whole)[..DIGITS]);
    (whole, form, label)
}

/// The options that are set to something else than their default, each with its mark. A schema without
/// any mark is one of a source that does not know of them: then all of its options select.
fn marked<'a>(options: &'a Value, schema: &'a Value) -> Vec<(&'static str, &'a str, &'a Value)> {
    let properties = &schema["properties"];
    let any = MARKS.iter().any(|word| has(schema, word));
    let mut marked = Vec::new();
    for (given, value) in options.as_object().into_iter().flatten() {
        let name = renamed_to(schema, given).unwrap_or(given);
        let default = properties[name].get("default");
        let empty = value.as_array().is_some_and(Vec::is_empty) && default.is_none();
        if value.is_null() || empty || default == Some(value) {
            continue;
        }
        let mark = properties[name][MARK].as_str();
        let known = MARKS.into_iter().find(|word| mark == Some(*word));
        let name = former_name(schema, name).unwrap_or(name);
        match known {
            Some(word) => marked.push((word, name, value)),
            None if !any => marked.push(("recordings", name, value)),
            None => {}
        }
    }
    marked
}

/// The present name of an option that a schema knows by a former name.
pub(crate) fn renamed_to<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    schema["properties"][name][RENAMED].as_str()
}

/// The former name of an option, by its schema.
fn former_name<'a>(schema: &'a Value, name: &str) -> Option<&'a str> {
    let mut properties = schema["properties"].as_object()?.iter();
    let former = properties.find(|(_, property)| property[RENAMED] == name);
    former.map(|(former, _)| former.as_str())
}

/// The options by the names that they had first.
pub(crate) fn by_former_names(options: &Value, schema: &str) -> Value {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let given = options.as_object().into_iter().flatten();
    let renamed = given.map(|(name, value)| {
        let name = former_name(&schema, name).unwrap_or(name);
        (name.to_owned(), value.clone())
    });
    renamed.collect::<Map<String, Value>>().into()
}

/// Returns true if a schema marks any option with this word.
fn has(schema: &Value, word: &str) -> bool {
    let properties = schema["properties"].as_object();
    properties.is_some_and(|all| all.values().any(|it| it[MARK].as_str() == Some(word)))
}

/// The keys that decide which object stands under which key of a sink, as canonical text.
pub(crate) fn sink(binding: &SinkBinding) -> String {
    let mut keys = binding.identity();
    keys["v"] = json!(1);
    keys.to_string()
}

/// A name as it may stand in a file's name.
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(letter).collect()
}

/// The SHA-256 of a text, in hexadecimal.
pub(crate) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// The differences between two identities, in words: the keys with both values.
pub(crate) fn differences(one: &str, other: &str) -> Vec<String> {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (one, other) = (parsed(one), parsed(other));
    let mut reported = Vec::new();
    if one["api"] != other["api"] {
        reported.push(format!(
            "the API is {} and was {}",
            other["api"], one["api"]
        ));
    }
    if one["privacy"] != other["privacy"] {
        reported.push("`privacy` has another key or other fields".to_owned());
    }
    let none = Map::new();
    let table = |value: &Value| value["options"].as_object().unwrap_or(&none).clone();
    let (before, after) = (table(&one), table(&other));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let shown = |table: &Map<String, Value>| {
            table
                .get(name)
                .map_or_else(|| "not set".to_owned(), ToString::to_string)
        };
        if before.get(name) != after.get(name) {
            let (was, is) = (shown(&before), shown(&after));
            reported.push(format!("option `{name}` is {is} and was {was}"));
        }
    }
    reported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::PrivacyFields;

    const SCHEMA: &str = r#"{ "properties": {
        "media": { "x-identity": "conversations" },
        "format": { "x-identity": "recordings", "default": "original" },
        "poll_seconds": {}, "page_size": { "default": 100 } } }"#;
    const API: &[&str] = &["https://api.example.com"];

    fn of(options: &Value) -> (String, String, String) {
        source("calls", API, options, SCHEMA, &Privacy::default())
    }

    #[test]
    fn an_identity_keeps_its_golden_value() {
        let (text, form, label) =
            of(&json!({ "media": ["voice"], "format": "wav", "poll_seconds": 5 }));
        assert_eq!(
            text,
            r#"{"api":["https://api.example.com"],"options":{"format":"wav","media":["voice"]},"source":"calls","v":1}"#
        );
        assert_eq!(
            form,
            r#"{"api":["https://api.example.com"],"options":{"format":"wav"},"v":1}"#
        );
        assert_eq!(label, "calls-30c568c7c454");
        let (_, _, label) = of(&json!({}));
        assert_eq!(label, "calls-6dc9ef2a0053");
    }

    #[test]
    fn tuning_and_defaults_that_are_written_out_change_nothing() {
        let bare = of(&json!({ "media": ["voice"] }));
        for same in [
            json!({ "media": ["voice"], "poll_seconds": 9, "page_size": 25 }),
            json!({ "media": ["voice"], "format": "original" }),
            json!({ "media": ["voice"], "format": null }),
        ] {
            assert_eq!(of(&same), bare, "{same}");
        }
        for other in [
            json!({ "media": ["voice", "chat"] }),
            json!({ "media": ["voice"], "format": "wav" }),
        ] {
            assert_ne!(of(&other).2, bare.2, "{other}");
        }
        let form = |options: &Value| of(options).1;
        assert_eq!(form(&json!({ "media": ["chat"] })), bare.1);
        assert_ne!(form(&json!({ "format": "wav" })), bare.1);
    }

    #[test]
    fn rows_with_other_pseudonyms_or_other_fields_left_out_are_another_export() {
        let of = |fields: &[&str]| {
            let fields = PrivacyFields {
                drop: fields.iter().map(|&field| field.to_owned()).collect(),
                ..PrivacyFields::default()
            };
            let privacy = Privacy::new(&fields, None).unwrap();
            source("calls", API, &json!({}), SCHEMA, &privacy)
        };
        let (none, tags, more) = (of(&[]), of(&["tags"]), of(&["tags", "ani"]));
        assert_eq!(none.2, "calls-6dc9ef2a0053");
        assert_eq!(tags.2, "calls-1fcf94f8af42");
        for (one, other) in [(&none, &tags), (&tags, &more)] {
            // What one proves is nothing that the other could take over.
            assert!(one.1 != other.1 && one.2 != other.2);
            let reported = differences(&one.0, &other.0);
            assert_eq!(reported, ["`privacy` has another key or other fields"]);
        }
    }

    #[test]
    fn an_option_that_says_the_account_stands_for_the_api() {
        let schema =
            r#"{ "properties": { "bucket": { "x-identity": "account" }, "path_style": {} } }"#;
        let of = |origin: &str, bucket: &str| {
            let options = json!({ "bucket": bucket, "path_style": true });
            source("calls", &[origin], &options, schema, &Privacy::default())
        };
        assert_eq!(of("https://b.s3.test", "b"), of("https://s3.test", "b"));
        assert_ne!(of("https://s3.test", "b").1, of("https://s3.test", "c").1);
    }

    #[test]
    fn a_renamed_option_begins_no_new_export_however_it_is_called() {
        let before = r#"{ "properties": {
            "organisation": { "x-identity": "account" }, "lanes": {} } }"#;
        let since = r#"{ "properties": {
            "organization": { "x-identity": "account" }, "parallelism": {},
            "organisation": { "x-renamed-to": "organization", "deprecated": true },
            "lanes": { "x-renamed-to": "parallelism", "deprecated": true } } }"#;
        let of =
            |schema, options: &Value| source("calls", API, options, schema, &Privacy::default());
        let former = json!({ "organisation": "o", "lanes": 2 });
        let today = json!({ "organization": "o", "parallelism": 2 });
        let golden = of(before, &former);
        assert_eq!(of(since, &former), golden);
        assert_eq!(of(since, &today), golden);
        assert_ne!(of(since, &json!({ "organization": "p" })), golden);
        assert_eq!(by_former_names(&today, since), former);
        assert_eq!(by_former_names(&former, since), former);
        assert_eq!(by_former_names(&today, before), today);
    }

    #[test]
    fn every_option_counts_for_a_source_that_marks_none() {
        let label = |options: &Value| source("calls", API, options, "{}", &Privacy::default()).2;
        assert_ne!(label(&json!({ "a": 1 })), label(&json!({ "a": 2 })));
        assert_eq!(label(&json!({ "a": null })), label(&json!({})));
    }

    #[test]
    fn what_differs_is_told_by_its_name() {
        let (one, ..) = of(&json!({ "media": ["voice"] }));
        let (other, ..) = of(&json!({ "media": ["voice"], "format": "wav" }));
        let reported = differences(&one, &other);
        assert_eq!(reported, [r#"option `format` is "wav" and was not set"#]);
        assert!(differences(&one, &one).is_empty());
    }
}
