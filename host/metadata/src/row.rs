//! A row: what it says, and how a conversation becomes rows.
//!
//! The fields' names and their order are those of the columns. They are a
//! promise to readers: new ones come last, and none is renamed or retyped.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Serialize, Serializer};

use recording_host_model::{
    CompletedConversation, ConversationRecord, IndexColumn, IndexMetadata, Object, Outcome,
};

/// Someone or something that has an id and perhaps a name.
pub(crate) type Party = (String, Option<String>);

/// A row of the metadata: one for each recording's file, or one for a conversation without any.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    pub(super) conversation_id: &'a str,
    #[serde(serialize_with = "text")]
    pub(super) recording_id: Option<&'a str>,
    #[serde(serialize_with = "text")]
    pub(super) object_key: Option<&'a str>,
    #[serde(serialize_with = "text")]
    pub(super) archive_member: Option<&'a str>,
    #[serde(serialize_with = "text")]
    pub(super) content_type: Option<&'a str>,
    pub(super) size_bytes: Option<u64>,
    #[serde(serialize_with = "text")]
    pub(super) sha256: Option<&'a str>,
    pub(super) outcome: &'a str,
    #[serde(serialize_with = "text")]
    pub(super) reason: Option<Cow<'a, str>>,
    #[serde(serialize_with = "instant")]
    pub(super) start: u64,
    #[serde(serialize_with = "maybe_instant")]
    pub(super) end: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    #[serde(serialize_with = "text")]
    pub(super) direction: Option<&'a str>,
    #[serde(serialize_with = "text")]
    pub(super) ani: Option<&'a str>,
    #[serde(serialize_with = "text")]
    pub(super) dnis: Option<&'a str>,
    #[serde(serialize_with = "parties")]
    pub(super) agents: Cow<'a, [Party]>,
    #[serde(serialize_with = "parties")]
    pub(super) queues: &'a [Party],
    #[serde(serialize_with = "parties")]
    pub(super) wrap_up_codes: &'a [Party],
    pub(super) tags: Cow<'a, [String]>,
    pub(super) divisions: &'a [String],
    pub(super) media_types: &'a [String],
    pub(super) attributes: Cow<'a, BTreeMap<String, String>>,
    pub(super) attempt: u32,
    /// The same as `end`, under a name that no dialect of SQL reserves.
    #[serde(serialize_with = "maybe_instant")]
    pub(super) ended_at: Option<u64>,
    /// The names of `divisions`, in their order; the id where a name is unknown.
    pub(super) division_names: &'a [String],
}

/// The rows of a conversation in a sink, at least one.
pub(super) fn rows<'a>(
    completed: &'a CompletedConversation,
    sink: &str,
) -> impl Iterator<Item = Row<'a>> {
    let mut objects = completed.recordings_in(sink).peekable();
    let bare = objects.peek().is_none().then(|| row(completed, None));
    let full = objects.map(|object| row(completed, Some(object)));
    bare.into_iter().chain(full)
}

fn row<'a>(completed: &'a CompletedConversation, object: Option<&'a Object>) -> Row<'a> {
    let record = &completed.record;
    let mut row = Row {
        conversation_id: &completed.id,
        // A bundle that is kept may hold recordings whose id is unknown.
        recording_id: object
            .map(|object| object.recording.as_str())
            .filter(|id| !id.is_empty()),
        object_key: object.map(|object| object.key.as_str()),
        archive_member: object.and_then(|object| object.member.as_deref()),
        content_type: object.map(|object| object.content_type.as_str()),
        size_bytes: object.map(|object| object.size),
        sha256: object.map(|object| object.sha256.as_str()),
        outcome: completed.outcome.word(),
        reason: reason(
            &completed.outcome,
            object.and_then(|object| object.note.as_deref()),
        ),
        start: record.start,
        end: record.end,
        duration_ms: record.end.map(|end| end.saturating_sub(record.start)),
        direction: record.direction.as_deref(),
        ani: record.ani.as_deref(),
        dnis: record.dnis.as_deref(),
        agents: Cow::Borrowed(&record.agents),
        queues: &record.queues,
        wrap_up_codes: &record.wrap_up_codes,
        tags: Cow::Borrowed(&record.tags),
        divisions: &record.divisions,
        media_types: &record.media_types,
        attributes: attributes(record, object),
        attempt: completed.attempt,
        ended_at: record.end,
        division_names: &record.division_names,
    };
    if let Some(reported) = object.and_then(|object| object.index_metadata.as_deref()) {
        row.add(reported);
    }
    row
}

impl<'a> Row<'a> {
    /// Adds the contents of an archive's index: to the columns that say nothing yet, and as
    /// attributes under the fields' own names. The source's own data on the conversation stay.
    fn add(&mut self, reported: &'a IndexMetadata) {
        for (meaning, name, value) in &reported.known {
            let room = match meaning {
                IndexColumn::Ani => fill(&mut self.ani, value),
                IndexColumn::Dnis => fill(&mut self.dnis, value),
                IndexColumn::AgentName => self.add_agent(value),
                IndexColumn::Tag => {
                    if !self.tags.contains(value) {
                        self.tags.to_mut().push(value.clone());
                    }
                    true
                }
            };
            // Without a name it must not be an attribute.
            if !room && !name.is_empty() {
                self.add_attribute(name, value);
            }
        }
        for (name, value) in &reported.others {
            self.add_attribute(name, value);
        }
    }

    /// Adds the name of an agent; says whether there is room for it.
    fn add_agent(&mut self, name: &str) -> bool {
        let known = |(_, known): &Party| known.as_deref() == Some(name);
        if self.agents.iter().any(known) {
            return true;
        }
        match &self.agents[..] {
            [] => self.agents = vec![(String::new(), Some(name.to_owned()))].into(),
            [(id, None)] => self.agents = vec![(id.clone(), Some(name.to_owned()))].into(),
            _ => return false,
        }
        true
    }

    fn add_attribute(&mut self, name: &str, value: &str) {
        if !self.attributes.contains_key(name) {
            let attributes = self.attributes.to_mut();
            attributes.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Fills a column that says nothing yet; says whether it says this now.
fn fill<'a>(column: &mut Option<&'a str>, value: &'a str) -> bool {
    *column.get_or_insert(value) == value
}

/// The attributes of the conversation, and those of the row's recording. A row without a recording
/// has those of all that are known, as [`of_all`] gives them.
fn attributes<'a>(
    record: &'a ConversationRecord,
    object: Option<&Object>,
) -> Cow<'a, BTreeMap<String, String>> {
    if record.recordings.is_empty() {
        return Cow::Borrowed(&record.attributes);
    }
    let mut attributes = record.attributes.clone();
    match object {
        Some(object) => {
            let own = record.recordings.get(&object.recording);
            attributes.extend(
                own.into_iter()
                    .flatten()
                    .map(|(n, v)| (n.clone(), v.clone())),
            );
        }
        None => attributes.extend(of_all(&record.recordings)),
    }
    Cow::Owned(attributes)
}

/// The attributes of recordings that have no row of their own, under names without ids, since names
/// become fields: the value if there is one recording, else a JSON list with one element for each of
/// `recording.ids`.
fn of_all(recordings: &BTreeMap<String, BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let value = |values: Vec<Option<&String>>| match values.as_slice() {
        [Some(only)] => (*only).clone(),
        _ => serde_json::json!(values).to_string(),
    };
    let names: BTreeSet<&String> = recordings.values().flat_map(BTreeMap::keys).collect();
    let mut all = BTreeMap::new();
    for name in names {
        let values = recordings.values().map(|about| about.get(name));
        all.insert(name.clone(), value(values.collect()));
    }
    let ids = recordings.keys().map(Some).collect();
    all.insert("recording.ids".to_owned(), value(ids));
    all
}

/// Why there is not, or not all of, what was requested; or why it is not in the form that was wanted.
fn reason<'a>(outcome: &'a Outcome, note: Option<&'a str>) -> Option<Cow<'a, str>> {
    match outcome {
        Outcome::Stored | Outcome::NoRecording => note.map(Cow::from),
        Outcome::Skipped { reason } => Some(reason.into()),
        Outcome::Failed { code, message } => Some(reported(code, message).into()),
        Outcome::Partial { missing } => {
            let each = missing
                .iter()
                .map(|(code, message)| reported(code, message));
            let all = each.chain(note.map(str::to_owned));
            Some(all.collect::<Vec<_>>().join("; ").into())
        }
    }
}

/// A code and its message, where there is one.
fn reported(code: &str, message: &str) -> String {
    match message {
        "" => code.to_owned(),
        message => format!("{code}: {message}"),
    }
}

fn instant<S: Serializer>(ms: &u64, to: S) -> Result<S::Ok, S::Error> {
    let at = i64::try_from(*ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match at {
        Some(at) => to.collect_str(&format_args!("{at:.3}")),
        // Beyond the year 9999: no clock of a vendor means it.
        None => to.serialize_str(""),
    }
}

fn maybe_instant<S: Serializer>(ms: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => instant(ms, to),
        None => to.serialize_none(),
    }
}

/// A text, or an empty one in place of one that is absent: JSON has no null of a type, and a reader that guesses
/// types would find another one on a day that has none of these texts.
pub(super) fn text<S: Serializer>(
    text: &Option<impl AsRef<str>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(text.as_ref().map_or("", |text| text.as_ref()))
}

fn parties<S: Serializer>(list: &impl AsRef<[Party]>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named<'a> {
        id: &'a str,
        #[serde(serialize_with = "text")]
        name: &'a Option<String>,
    }
    to.collect_seq(list.as_ref().iter().map(|(id, name)| Named { id, name }))
}
