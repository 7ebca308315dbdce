//! Makes of the rows of a conversation again what is known of it, so that another sink can have its own
//! rows without asking the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    parquet,
    read::{self, lines_of},
    row,
};
use recording_host_model::{ConversationRecord, IndexMetadata};

/// A row, as far as it describes its conversation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Row {
    /// The conversation.
    pub conversation_id: String,
    /// The recording, if the row is about one.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub recording_id: Option<String>,
    /// The key of its object.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub object_key: Option<String>,
    /// Its name in an archive that is kept.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub archive_member: Option<String>,
    /// Its MIME type.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub content_type: Option<String>,
    /// Its length in bytes.
    pub size_bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub sha256: Option<String>,
    /// The outcome of the conversation.
    pub outcome: String,
    /// Why there is less than was requested.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub reason: Option<String>,
    /// When the conversation began, RFC 3339, UTC.
    pub start: String,
    /// When it ended, RFC 3339, UTC.
    pub end: Option<String>,
    /// `inbound` or `outbound`.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub direction: Option<String>,
    /// Who called.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub ani: Option<String>,
    /// The number that was called.
    #[serde(deserialize_with = "read::text", serialize_with = "row::text")]
    pub dnis: Option<String>,
    /// The agents.
    pub agents: Vec<Named>,
    /// The queues.
    pub queues: Vec<Named>,
    /// The wrap-up codes.
    pub wrap_up_codes: Vec<Named>,
    /// The tags.
    pub tags: Vec<String>,
    /// The divisions.
    pub divisions: Vec<String>,
    /// Their names, in their order; the id where a name is unknown. Empty in rows of earlier versions.
    #[serde(default)]
    pub division_names: Vec<String>,
    /// The types of media.
    pub media_types: Vec<String>,
    /// Further facts.
    pub attributes: BTreeMap<String, String>,
    /// Which outcome of the conversation it is, counted from 1.
    pub attempt: u32,
}

/// Somebody or something with an id and perhaps a name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name, where the source tells it.
    #[serde(default, deserialize_with = "read::text", serialize_with = "row::text")]
    pub name: Option<String>,
}

/// The facts in the rows of a conversation about it, and about each of its objects besides.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// The conversation.
    pub record: ConversationRecord,
    /// The facts that only the rows of an object contain, by its key and its name in a kept archive.
    pub objects: BTreeMap<(String, Option<String>), Arc<IndexMetadata>>,
}

/// The rows of some conversations in a file; its key determines the format.
///
/// # Errors
/// The file cannot be read in the format that its key names.
pub fn rows_of(
    key: &str,
    file: Bytes,
    conversations: &BTreeSet<String>,
) -> io::Result<BTreeMap<String, Vec<Row>>> {
    read(key, file, &|row| {
        conversations.contains(&row.conversation_id)
    })
}

/// All rows of a file; its key determines the format.
///
/// # Errors
/// The file cannot be read in the format that its key names.
pub fn all_rows(key: &str, file: Bytes) -> io::Result<BTreeMap<String, Vec<Row>>> {
    read(key, file, &|_| true)
}

fn read(
    key: &str,
    file: Bytes,
    wanted: &dyn Fn(&Row) -> bool,
) -> io::Result<BTreeMap<String, Vec<Row>>> {
    let mut rows = BTreeMap::<String, Vec<Row>>::new();
    let mut add = |row: Row| {
        if wanted(&row) {
            rows.entry(row.conversation_id.clone())
                .or_default()
                .push(row);
        }
    };
    for_each_row(key, file, &mut add)?;
    Ok(rows)
}

/// Reads the rows of a file one after the other; its key determines the format.
///
/// # Errors
/// The file cannot be read in the format that its key names.
pub fn for_each_row(key: &str, file: Bytes, add: &mut dyn FnMut(Row)) -> io::Result<()> {
    if key.ends_with(".parquet") {
        return parquet::for_each_row(file, add);
    }
    for line in lines_of(key, file)? {
        add(serde_json::from_str(&line?)?);
    }
    Ok(())
}

/// Reads the rows of a file, each with its line of JSON: as it lies in the file where that is JSON Lines,
/// else of the same fields.
///
/// # Errors
/// The file cannot be read in the format that its key names.
pub fn for_each_line(key: &str, file: Bytes, add: &mut dyn FnMut(Row, String)) -> io::Result<()> {
    if key.ends_with(".parquet") {
        return parquet::for_each_row(file, &mut |row| {
            let line = line(&row);
            add(row, line);
        });
    }
    for line in lines_of(key, file)? {
        let line = line?;
        add(serde_json::from_str(&line)?, line);
    }
    Ok(())
}

/// A row as a line of JSON, with the fields that follow from others.
fn line(row: &Row) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        row: &'a Row,
        duration_ms: Option<u64>,
        ended_at: Option<&'a str>,
    }
    let start = milliseconds(&row.start);
    let end = row.end.as_deref().and_then(milliseconds);
    let line = Line {
        row,
        duration_ms: end.zip(start).map(|(end, start)| end.saturating_sub(start)),
        ended_at: row.end.as_deref(),
    };
    // Texts and numbers alone: that cannot fail.
    serde_json::to_string(&line).unwrap_or_default()
}

impl Restored {
    /// The facts in the rows of one conversation; none if they cannot be those of one.
    pub fn of(rows: &[Row]) -> Option<Self> {
        let latest = rows.iter().map(|row| row.attempt).max()?;
        let rows: Vec<&Row> = rows.iter().filter(|row| row.attempt == latest).collect();
        let first = rows.first()?;
        // Facts that all rows contain are about the conversation, the rest about each object.
        let mut common = first.attributes.clone();
        common.retain(|name, value| {
            let same = |row: &&Row| row.attributes.get(name) == Some(value);
            rows.iter().all(same)
        });
        let shared_tags: Vec<String> = first
            .tags
            .iter()
            .filter(|tag| rows.iter().all(|row| row.tags.contains(tag)))
            .cloned()
            .collect();
        let objects = rows.iter().filter_map(|row| {
            let others = row.attributes.iter();
            let others = others.filter(|(name, _)| !common.contains_key(*name));
            let own = IndexMetadata {
                known: Vec::new(),
                others: others.map(|(n, v)| (n.clone(), v.clone())).collect(),
            };
            let key = (row.object_key.clone()?, row.archive_member.clone());
            (!own.others.is_empty()).then(|| (key, Arc::new(own)))
        });
        let parties = |list: &[Named]| {
            let each = list.iter().map(|one| (one.id.clone(), one.name.clone()));
            each.collect()
        };
        Some(Restored {
            objects: objects.collect(),
            record: ConversationRecord {
                start: milliseconds(&first.start)?,
                end: first.end.as_deref().and_then(milliseconds),
                direction: first.direction.clone(),
                ani: first.ani.clone(),
                dnis: first.dnis.clone(),
                agents: parties(&first.agents),
                queues: parties(&first.queues),
                wrap_up_codes: parties(&first.wrap_up_codes),
                tags: shared_tags,
                divisions: first.divisions.clone(),
                division_names: first.division_names.clone(),
                media_types: first.media_types.clone(),
                recorded: first.outcome != "no-recording",
                attributes: common,
                recordings: BTreeMap::new(),
            },
        })
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}
