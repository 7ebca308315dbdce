//! The JSON documents in a bundle, which say whose each file is.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use serde_json::{Value, value::RawValue};

use super::{Archive, EntryError, ZipEntry, json};
use recording_host_model::{BundleIndex, IndexColumn, IndexMetadata};

/// The longest JSON document that may be an index, in bytes.
const LONGEST: u64 = 16 << 20;
/// How many further fields of an object are kept.
const FIELDS: usize = 64;
/// The most recordings that one file may be.
const OWNERS: usize = 1000;
/// The most recordings that an index may tell of: as many as an archive has files.
const RECORDINGS: usize = 50_000;
/// How deep lists and objects in one another are looked into.
const DEEP: usize = 16;
/// The longest field that is written anew as text, in bytes.
const WRITTEN: usize = 64 << 10;
/// The longest name of such a field, and where its text is cut, in bytes.
const LONGEST_NAME: usize = 64;
const LONGEST_TEXT: usize = 1000;

/// The contents of a bundle's index.
#[derive(Debug, Default)]
pub struct Listed {
    /// Whose each file is, by [`plain`] name; a file may be that of several.
    pub owners: BTreeMap<String, Vec<Owner>>,
    /// Recordings that are not there: conversation and reason.
    pub missing: Vec<(String, String)>,
    /// The names of the documents that it was read from.
    pub documents: BTreeSet<String>,
    /// Documents that cannot be read.
    pub unreadable: Vec<(String, EntryError)>,
    /// What is in `owners`: file, conversation and recording.
    known: HashSet<(String, String, String)>,
}

/// Whose a file of a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The conversation.
    pub conversation: String,
    /// The recording.
    pub recording: String,
    /// The MIME type, if the index contains it.
    pub content_type: Option<String>,
    /// Everything else that the index says of it.
    pub index_metadata: Option<Arc<IndexMetadata>>,
}

/// A name as it is compared: writers differ in slashes and in what stands before the first.
#[must_use]
pub fn plain(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.trim_start_matches("./")
        .trim_start_matches('/')
        .to_owned()
}

impl Archive {
    /// Reads the index of a bundle: the JSON documents inside, those at the top first. A document
    /// that one before it lists is a recording, and what stands in it is not believed.
    #[must_use]
    pub fn listed(&self, index: &BundleIndex) -> Listed {
        let mut listed = Listed::default();
        let mut documents: Vec<&ZipEntry> = self
            .entries()
            .iter()
            .filter(|entry| entry.name.to_ascii_lowercase().ends_with(".json"))
            .filter(|entry| entry.size <= LONGEST)
            .collect();
        documents.sort_by_key(|entry| plain(&entry.name).matches('/').count());
        for entry in documents {
            if listed.owners.contains_key(&plain(&entry.name)) {
                continue;
            }
            let mut text = Vec::with_capacity(entry.size as usize);
            let unpacked = self.unpack(entry, |data| {
                text.extend_from_slice(&data);
                true
            });
            if let Err(error) = unpacked {
                listed.unreadable.push((entry.name.clone(), error));
                continue;
            }
            let before = (listed.owners.len(), listed.missing.len());
            // A JSON file that is no index is an ordinary file.
            let text = json::text(&text);
            let values = json::read(&text);
            for value in &values {
                collect(value, index, DEEP, &mut listed);
            }
            if listed.is_full() {
                let reason = format!("it lists more than {RECORDINGS} recordings");
                let error = EntryError::Damaged(reason);
                listed.unreadable.push((entry.name.clone(), error));
            }
            if before != (listed.owners.len(), listed.missing.len()) || is_empty(&values) {
                listed.documents.insert(entry.name.clone());
            }
        }
        listed.known = HashSet::new();
        listed
    }
}

impl Listed {
    /// Returns true if it has as much as an index may tell.
    fn is_full(&self) -> bool {
        self.known.len() + self.missing.len() >= RECORDINGS
    }

    /// Notes whose a file is. A file that is a thousand recordings already is named as missing from further ones:
    /// it would be stored once more for each.
    fn add(&mut self, file: String, owner: Owner) {
        let (conversation, recording) = (owner.conversation.clone(), owner.recording.clone());
        if !self.known.insert((file.clone(), conversation, recording)) {
            return;
        }
        let owners = self.owners.entry(file.clone()).or_default();
        if owners.len() < OWNERS {
            owners.push(owner);
            return;
        }
        // Told once of each conversation.
        let conversation = owner.conversation;
        if self
            .known
            .insert((file, conversation.clone(), String::new()))
        {
            let reason = format!("the index gives one file to more than {OWNERS} recordings");
            self.missing.push((conversation, reason));
        }
    }
}

/// Returns true if a document says that there is nothing.
fn is_empty(values: &[&RawValue]) -> bool {
    let [value] = values else {
        return false;
    };
    let list = value.get().strip_prefix('[');
    list.is_some_and(|rest| rest.trim_start() == "]")
}

/// Collects what a part of an index tells, down to `depth` lists and objects in one another.
fn collect(value: &RawValue, index: &BundleIndex, depth: usize, listed: &mut Listed) {
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    match value.get().as_bytes() {
        [b'[', ..] => json::elements(value, |item| collect(item, index, depth, listed)),
        [b'{', ..] if !listed.is_full() => {
            let fields = json::fields(value);
            if !recording(&fields, index, listed) {
                fields
                    .values()
                    .for_each(|field| collect(field, index, depth, listed));
            }
        }
        _ => {}
    }
}

/// Collects what an object tells of a recording, if it does.
fn recording(
    fields: &BTreeMap<String, &RawValue>,
    index: &BundleIndex,
    listed: &mut Listed,
) -> bool {
    let text = |name: &str| id(fields.get(name)?);
    let owner = text(&index.conversation_field).zip(text(&index.recording_field));
    if let (Some((conversation, recording)), Some(file)) = (owner, text(&index.file_field)) {
        let content_type = index.content_type_field.as_deref().and_then(text);
        let owner = Owner {
            conversation,
            recording,
            content_type,
            index_metadata: index_metadata(fields, index),
        };
        listed.add(plain(&file), owner);
        return true;
    }
    let error = index.error_field.as_deref().and_then(text);
    let Some((conversation, reason)) = text(&index.conversation_field).zip(error) else {
        return false;
    };
    let reason = reason.chars().filter(|c| !c.is_control());
    listed
        .missing
        .push((conversation, reason.take(300).collect()));
    true
}

/// A text, or a number: an id that was written as one is that id.
fn id(value: &RawValue) -> Option<String> {
    match value.get().as_bytes() {
        [b'"', ..] => serde_json::from_str(value.get()).ok(),
        [b'-' | b'0'..=b'9', ..] => Some(value.get().to_owned()),
        _ => None,
    }
}

/// The fields of an object besides those that say whose the file is: bounded, and as text.
fn index_metadata(
    fields: &BTreeMap<String, &RawValue>,
    index: &BundleIndex,
) -> Option<Arc<IndexMetadata>> {
    let identify = [
        Some(&index.conversation_field),
        Some(&index.recording_field),
        Some(&index.file_field),
        index.content_type_field.as_ref(),
        index.error_field.as_ref(),
    ];
    let mut metadata = IndexMetadata::default();
    let further = fields.iter().filter(|(name, value)| {
        !identify.contains(&Some(name)) && name.len() <= LONGEST_NAME && value.get() != "null"
    });
    for (name, value) in further.take(FIELDS) {
        let column = index.columns.iter().find(|field| field.name == *name);
        let Some(column) = column.map(|field| field.column) else {
            metadata.others.insert(name.clone(), text(value));
            continue;
        };
        let mut values = Vec::new();
        if column == IndexColumn::Tag && value.get().starts_with('[') {
            json::elements(value, |tag| {
                if values.len() < FIELDS {
                    values.push(tag);
                }
            });
        } else {
            values.push(*value);
        }
        let known = values.into_iter();
        metadata
            .known
            .extend(known.map(|value| (column, name.clone(), text(value))));
    }
    metadata.known.retain(|(.., text)| !text.is_empty());
    metadata.others.retain(|_, text| !text.is_empty());
    (metadata != IndexMetadata::default()).then(|| Arc::new(metadata))
}

/// A value as text: a string as it is, all else as JSON.
fn text(value: &RawValue) -> String {
    let json = value.get();
    let mut text = match json.as_bytes() {
        [b'"', ..] => serde_json::from_str(json).unwrap_or_default(),
        b"null" => String::new(),
        // Without what stands between its parts, unless it is long or has what no number can be.
        _ => match json.len() <= WRITTEN {
            true => serde_json::from_str(json)
                .map_or_else(|_| json.to_owned(), |value: Value| value.to_string()),
            false => json[..json.floor_char_boundary(LONGEST_TEXT)].to_owned(),
        },
    };
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::IndexField;
    use serde_json::json;

    fn listed(document: &str) -> Listed {
        let index = BundleIndex {
            conversation_field: "c".to_owned(),
            recording_field: "r".to_owned(),
            file_field: "f".to_owned(),
            content_type_field: Some("t".to_owned()),
            error_field: Some("e".to_owned()),
            retryable_errors: Vec::new(),
            columns: vec![IndexField {
                name: "labels".to_owned(),
                column: IndexColumn::Tag,
            }],
        };
        let mut listed = Listed::default();
        for value in json::read(document) {
            collect(value, &index, DEEP, &mut listed);
        }
        listed
    }

    #[test]
    fn what_an_index_tells_is_kept_as_text_within_bounds() {
        let reported = |fields: Value| {
            let mut object =
                json!({ "c": "c1", "r": "r1", "f": "x.wav", "t": "audio/wav", "e": null });
            object
                .as_object_mut()
                .unwrap()
                .extend(fields.as_object().unwrap().clone());
            listed(&object.to_string()).owners["x.wav"][0]
                .index_metadata
                .clone()
        };
        assert_eq!(reported(json!({ "nothing": null, "empty": "" })), None);
        let some = reported(json!({ "a": "text", "b": 7, "d": [true], "labels": ["x", "y"] }));
        let others = [("a", "text"), ("b", "7"), ("d", "[true]")];
        let expected = IndexMetadata {
            known: ["x", "y"]
                .map(|tag| (IndexColumn::Tag, "labels".to_owned(), tag.to_owned()))
                .into(),
            others: others
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .into(),
        };
        assert_eq!(some.as_deref(), Some(&expected));
        let many: Value = (0..10_000).map(|n| (format!("n{n}"), json!(n))).collect();
        assert_eq!(reported(many).unwrap().others.len(), FIELDS);
        let long =
            reported(json!({ "long": "ü".repeat(9000), "labels": vec!["x"; 9000] })).unwrap();
        assert_eq!(long.others["long"].len(), LONGEST_TEXT);
        assert_eq!(long.known.len(), FIELDS);
        assert_eq!(reported(json!({ "n".repeat(65): "x" })), None);
    }

    #[test]
    fn an_index_of_any_length_takes_time_in_proportion() {
        // Each is compared with a set: with a list, this would take an hour.
        let item = |n: usize| json!({ "c": "call", "r": n.to_string(), "f": "a.wav" });
        let items: Vec<Value> = (0..200_000).map(item).collect();
        let listed = listed(&Value::Array(items).to_string());
        assert_eq!(listed.owners["a.wav"].len(), OWNERS);
        assert_eq!(listed.missing.len(), 1);
        assert!(listed.is_full());
    }

    #[test]
    fn a_number_that_is_none_costs_itself_alone_and_a_list_in_a_field_is_written_anew() {
        let listed = listed(
            r#"{"all":[{"c":"c","r":1,"f":"1"},{"c":1e3,"r":2,"f":"2","n":1e999,"l":[ 1 , {} ]}]}"#,
        );
        assert_eq!(listed.owners["1"][0].recording, "1");
        let other = &listed.owners["2"][0];
        assert_eq!(other.conversation, "1e3");
        let reported = &other.index_metadata.as_ref().unwrap().others;
        assert_eq!(
            (reported["n"].as_str(), reported["l"].as_str()),
            ("1e999", "[1,{}]")
        );
    }

    #[test]
    fn what_is_nested_without_end_is_looked_into_no_deeper_than_an_index_is() {
        let item = r#"{"c":"c","r":"r","f":"f"}"#;
        for (depth, found) in [(0, 1), (DEEP - 1, 1), (DEEP, 0), (100_000, 0)] {
            let document = format!("{}{item}{}", "[".repeat(depth), "]".repeat(depth));
            assert_eq!(listed(&document).owners.len(), found, "{depth}");
        }
    }
}
