//! The JSON documents in a bundle, which say whose each file is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Archive, Entry, EntryError};
use crate::sandbox::BundleIndex;

/// The longest JSON document that may be an index, in bytes.
const LONGEST: u64 = 16 << 20;

/// What a bundle's index tells.
#[derive(Debug, Default)]
pub struct Listed {
    /// Whose each file is, by [`plain`] name; a file may be that of several.
    pub owners: BTreeMap<String, Vec<Owner>>,
    /// Recordings that are not there: conversation and reason.
    pub missing: Vec<(String, String)>,
    /// The names of the documents that told it.
    pub documents: BTreeSet<String>,
    /// Documents that cannot be read.
    pub unreadable: Vec<(String, EntryError)>,
}

/// Whose a file of a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The conversation.
    pub conversation: String,
    /// The recording.
    pub recording: String,
    /// The MIME type, if the index tells.
    pub content_type: Option<String>,
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
        let mut documents: Vec<&Entry> = self
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
            let mut text = Vec::new();
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
            if let Ok(value) = serde_json::from_slice(&text) {
                collect(&value, index, &mut listed);
            }
            if before != (listed.owners.len(), listed.missing.len()) || is_empty(&text) {
                listed.documents.insert(entry.name.clone());
            }
        }
        listed
    }
}

/// Whether a document says that there is nothing.
fn is_empty(text: &[u8]) -> bool {
    matches!(serde_json::from_slice(text), Ok(Value::Array(items)) if items.is_empty())
}

fn collect(value: &Value, index: &BundleIndex, listed: &mut Listed) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, index, listed)),
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
            let owner = text(&index.conversation_field).zip(text(&index.recording_field));
            if let (Some((conversation, recording)), Some(file)) = (owner, text(&index.file_field))
            {
                let content_type = index.content_type_field.as_deref().and_then(text);
                let owner = Owner {
                    conversation,
                    recording,
                    content_type,
                };
                let owners = listed.owners.entry(plain(&file)).or_default();
                if !owners.contains(&owner) {
                    owners.push(owner);
                }
            } else if let Some((conversation, reason)) =
                text(&index.conversation_field).zip(index.error_field.as_deref().and_then(text))
            {
                let reason = reason.chars().filter(|c| !c.is_control());
                listed
                    .missing
                    .push((conversation, reason.take(300).collect()));
            } else {
                fields
                    .values()
                    .for_each(|field| collect(field, index, listed));
            }
        }
        _ => {}
    }
}
