//! The export's record of a conversation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Conversation, Direction, IndexColumn, Object, Outcome, Party};

/// The known facts about a conversation, as in the metadata row.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ConversationRecord {
    /// When it began, ms since the epoch.
    pub start: u64,
    /// When it ended, ms since the epoch.
    pub end: Option<u64>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// The calling number or address.
    pub ani: Option<String>,
    /// The number or address called.
    pub dnis: Option<String>,
    /// Id and name of each agent.
    pub agents: Vec<(String, Option<String>)>,
    /// Id and name of each queue.
    pub queues: Vec<(String, Option<String>)>,
    /// Id and name of each wrap-up code.
    pub wrap_up_codes: Vec<(String, Option<String>)>,
    /// Tags.
    pub tags: Vec<String>,
    /// Divisions.
    pub divisions: Vec<String>,
    /// The names of the divisions, in their order, and the id of one whose name is unknown; empty if none is
    /// known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub division_names: Vec<String>,
    /// Media types, as the vendor names them.
    pub media_types: Vec<String>,
    /// True if the vendor says that a recording of it was begun.
    #[serde(default)]
    pub recorded: bool,
    /// Everything else that the source reported.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of recordings that the source reported, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recordings: BTreeMap<String, BTreeMap<String, String>>,
}

impl ConversationRecord {
    /// Names the divisions, as far as `name` knows them.
    ///
    /// # Errors
    /// That of `name`.
    pub fn name_divisions<E>(
        &mut self,
        name: impl FnMut(&String) -> Result<Option<String>, E>,
    ) -> Result<(), E> {
        let known: Vec<Option<String>> =
            self.divisions.iter().map(name).collect::<Result<_, E>>()?;
        if known.iter().any(Option::is_some) {
            let named = known.into_iter().zip(&self.divisions);
            let named = named.map(|(name, id)| name.unwrap_or_else(|| id.clone()));
            self.division_names = named.collect();
        }
        Ok(())
    }
}

impl From<&Conversation> for ConversationRecord {
    fn from(found: &Conversation) -> Self {
        let parties = |list: &[Party]| {
            list.iter()
                .map(|party| (party.id.clone(), party.name.clone()))
                .collect()
        };
        ConversationRecord {
            start: found.start,
            end: found.end,
            direction: found.direction.map(|direction| {
                match direction {
                    Direction::Inbound => "inbound",
                    Direction::Outbound => "outbound",
                }
                .to_owned()
            }),
            ani: found.ani.clone(),
            dnis: found.dnis.clone(),
            agents: parties(&found.agents),
            queues: parties(&found.queues),
            wrap_up_codes: parties(&found.wrap_up_codes),
            tags: found.tags.clone(),
            divisions: found.divisions.clone(),
            division_names: Vec::new(),
            media_types: found.media_types.clone(),
            recorded: found.recorded,
            attributes: found.attributes.iter().cloned().collect(),
            recordings: BTreeMap::new(),
        }
    }
}

/// The queue's knowledge of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyContext {
    /// When it began, ms since the epoch.
    pub start: u64,
    /// The record for its row; none once every sink holds it.
    pub record: Option<ConversationRecord>,
}

/// The fields of a recording in the index of an archive, besides those that say whose it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct IndexMetadata {
    /// The fields that mean something to the rows: what it means, the field's name, which is empty if
    /// it is to be no attribute, and its value.
    pub known: Vec<(IndexColumn, String, String)>,
    /// All others, by name.
    pub others: BTreeMap<String, String>,
}

/// A conversation that is ready to be filed.
#[derive(Clone, Debug)]
pub struct CompletedConversation {
    /// Its id.
    pub id: String,
    /// The known facts about it.
    pub record: ConversationRecord,
    /// Its outcome.
    pub outcome: Outcome,
    /// 1 for the first outcome of the conversation; a later one, with a higher number, replaces it.
    pub attempt: u32,
    /// How much there was of it at the source, if the source can say.
    pub revision: Option<u64>,
    /// Its objects in each sink.
    pub objects: BTreeMap<String, Vec<Object>>,
    /// Artifacts that were no longer available when a sink had come back, as code and message, by sink.
    pub lost_in: BTreeMap<String, Vec<(String, String)>>,
}

impl CompletedConversation {
    /// Its objects in a sink.
    #[must_use]
    pub fn objects_in(&self, sink: &str) -> &[Object] {
        self.objects.get(sink).map_or(&[], Vec::as_slice)
    }

    /// Has its outcome name what could not be brought to a sink any more, as that sink is to have it.
    pub fn name_losses_in(&mut self, sink: &str) {
        if let Some(lost) = self.lost_in.remove(sink) {
            let stored = self.recordings_in(sink).next().is_some();
            self.outcome = self.outcome.clone().with_losses(lost, stored);
        }
    }

    /// Its recordings in a sink: without what was kept aside.
    pub fn recordings_in(&self, sink: &str) -> impl Iterator<Item = &Object> {
        let objects = self.objects_in(sink).iter();
        objects.filter(|object| !object.aside)
    }
}

/// The day of an instant (ms), `YYYY-MM-DD` in UTC.
#[must_use]
pub fn day(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(
            || "1970-01-01".to_owned(),
            |at| at.to_string()[..10].to_owned(),
        )
}
