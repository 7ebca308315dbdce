//! The routing of conversations to sinks: a condition on conversations, and the wanted parts of them.

use std::{collections::BTreeMap, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::{CompletedConversation, ConversationRecord};

/// The conversations, and parts of them, that a sink takes; by default everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Which conversations.
    pub condition: Condition,
    /// Which parts of them.
    pub content: Content,
}

/// Which conversations a sink takes: those for which all holds that is said here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// One of these sorts of media was used, such as `voice`, as the source names them.
    #[schemars(example = ["voice"])]
    pub media_types: Vec<String>,
    /// One of these queues was passed, by id or by name.
    #[schemars(example = ["Sales"])]
    pub queues: Vec<String>,
    /// It belongs to one of these divisions, by id or by name.
    #[schemars(example = ["EMEA"])]
    pub divisions: Vec<String>,
    /// Who called whom first.
    #[schemars(example = &"inbound")]
    pub direction: Option<Direction>,
    /// It lasted at least so long; one that has no end does not.
    #[schemars(example = 10)]
    pub min_duration_seconds: Option<u64>,
    /// It lasted at most so long; one that has no end does not.
    #[schemars(example = 3600)]
    pub max_duration_seconds: Option<u64>,
    /// Sound of it was recorded, or, with `false`, was not, as far as the source says.
    #[schemars(example = true)]
    pub has_audio: Option<bool>,
    /// One of these agents took part, by id or by name.
    #[schemars(example = ["Ada Okafor"])]
    pub agents: Vec<String>,
    /// It was wrapped up with one of these codes, by id or by name.
    #[schemars(example = ["Complaint"])]
    pub wrap_up_codes: Vec<String>,
    /// It has one of these tags.
    #[schemars(example = ["legal-hold"])]
    pub tags: Vec<String>,
    /// Each of these attributes has one of the values that are given for it.
    #[schemars(schema_with = "attributes")]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// The number or address of either side begins with one of these; `tel:` and `sip:` before it do not
    /// count.
    #[schemars(example = ["+49"])]
    pub number_prefixes: Vec<String>,
    /// One of these conditions holds.
    #[schemars(schema_with = "conditions")]
    pub any_of: Vec<Condition>,
    /// None of these conditions holds.
    #[schemars(schema_with = "conditions")]
    pub none_of: Vec<Condition>,
}

/// The schema of conditions within a condition: it is not repeated, since it would have no end.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "type": "object" },
        "examples": [[{ "tags": ["vip"] }]],
    })
}

fn attributes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "type": "array", "items": { "type": "string" } },
        "examples": [{ "customer.tier": ["gold"] }],
    })
}

/// The direction of a conversation, seen from the contact center.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From a customer.
    Inbound,
    /// To a customer.
    Outbound,
}

/// The parts of conversations that a sink takes. Receipts are always written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "Vec<Part>")]
pub struct Content {
    /// Recordings.
    pub media: bool,
    /// Rows, and the catalog where there is one.
    pub metadata: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Part {
    /// Recordings.
    Media,
    /// Rows, and the catalog where there is one.
    Metadata,
}

impl Default for Content {
    fn default() -> Self {
        Content {
            media: true,
            metadata: true,
        }
    }
}

impl TryFrom<Vec<Part>> for Content {
    type Error = &'static str;

    fn try_from(parts: Vec<Part>) -> Result<Self, Self::Error> {
        let content = Content {
            media: parts.contains(&Part::Media),
            metadata: parts.contains(&Part::Metadata),
        };
        match parts.is_empty() {
            true => Err("name `media`, `metadata`, or both"),
            false => Ok(content),
        }
    }
}

/// Sorts of media that are sound, as sources name them.
const SOUND: [&str; 3] = ["voice", "callback", "video"];

impl Condition {
    /// Returns true if a conversation meets it.
    #[must_use]
    #[doc(hidden)]
    pub fn holds(&self, record: &ConversationRecord) -> bool {
        let one_of = |wanted: &[String], given: &[String]| {
            wanted.is_empty() || given.iter().any(|one| wanted.contains(one))
        };
        // By id or by name.
        let party_of = |wanted: &[String], given: &[(String, Option<String>)]| {
            let meant = |(id, name): &(String, Option<String>)| {
                wanted.contains(id) || name.as_ref().is_some_and(|name| wanted.contains(name))
            };
            wanted.is_empty() || given.iter().any(meant)
        };
        let lasted = record.end.map(|end| {
            let ms = end.saturating_sub(record.start);
            Duration::from_millis(ms)
        });
        let direction = match self.direction {
            None => true,
            Some(Direction::Inbound) => record.direction.as_deref() == Some("inbound"),
            Some(Direction::Outbound) => record.direction.as_deref() == Some("outbound"),
        };
        let media = &record.media_types;
        let sound = media.is_empty() || media.iter().any(|kind| SOUND.contains(&kind.as_str()));
        one_of(&self.media_types, media)
            && (one_of(&self.divisions, &record.divisions)
                || one_of(&self.divisions, &record.division_names))
            && party_of(&self.queues, &record.queues)
            && party_of(&self.agents, &record.agents)
            && party_of(&self.wrap_up_codes, &record.wrap_up_codes)
            && one_of(&self.tags, &record.tags)
            && self.attributes.iter().all(|(name, wanted)| {
                let given = record.attributes.get(name);
                given.is_some_and(|given| wanted.contains(given))
            })
            && self.has_number(record)
            && direction
            && self.min_duration_seconds.is_none_or(|least| {
                lasted.is_some_and(|lasted| lasted >= Duration::from_secs(least))
            })
            && self
                .max_duration_seconds
                .is_none_or(|most| lasted.is_some_and(|lasted| lasted <= Duration::from_secs(most)))
            && self
                .has_audio
                .is_none_or(|wanted| wanted == (record.recorded && sound))
            && (self.any_of.is_empty() || self.any_of.iter().any(|one| one.holds(record)))
            && !self.none_of.iter().any(|one| one.holds(record))
    }

    /// The fields of a conversation that it looks at and that may be personal, each with its path in the
    /// condition.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        let mut asked = |given: bool, path: &str, field: &str| {
            if given {
                fields.push((path.to_owned(), field.to_owned()));
            }
        };
        asked(!self.queues.is_empty(), "queues", "queues");
        asked(!self.divisions.is_empty(), "divisions", "divisions");
        asked(!self.agents.is_empty(), "agents", "agents");
        let codes = !self.wrap_up_codes.is_empty();
        asked(codes, "wrap_up_codes", "wrap_up_codes");
        asked(!self.tags.is_empty(), "tags", "tags");
        for field in ["ani", "dnis"] {
            asked(!self.number_prefixes.is_empty(), "number_prefixes", field);
        }
        for name in self.attributes.keys() {
            let field = format!("attributes.{name}");
            asked(true, &field, &field);
        }
        for (path, inner) in self.inner() {
            let inner = inner.fields().into_iter();
            fields.extend(inner.map(|(at, field)| (format!("{path}.{at}"), field)));
        }
        fields
    }

    /// The path of a part that every conversation meets, or none, and why: a nested condition that has no
    /// key, an empty prefix, or a least duration above the greatest.
    #[must_use]
    pub fn mistake(&self) -> Option<(String, &'static str)> {
        const EVERY: &str = "is empty, and so matches every conversation; leave it out or fill it";
        if self.number_prefixes.iter().any(String::is_empty) {
            return Some(("number_prefixes".to_owned(), EVERY));
        }
        let (least, most) = (self.min_duration_seconds, self.max_duration_seconds);
        if most.is_some_and(|most| least.unwrap_or(0) > most) {
            let reason = "is more than `max_duration_seconds`, so no conversation is taken";
            return Some(("min_duration_seconds".to_owned(), reason));
        }
        self.inner().find_map(|(path, inner)| {
            if *inner == Condition::default() {
                return Some((path, EVERY));
            }
            let (below, reason) = inner.mistake()?;
            Some((format!("{path}.{below}"), reason))
        })
    }

    /// The conditions within it, with their paths.
    fn inner(&self) -> impl Iterator<Item = (String, &Condition)> {
        let lists = [("any_of", &self.any_of), ("none_of", &self.none_of)];
        lists.into_iter().flat_map(|(name, list)| {
            let numbered = list.iter().enumerate();
            numbered.map(move |(number, inner)| (format!("{name}[{number}]"), inner))
        })
    }

    /// Returns true if the number of either side begins as wanted.
    fn has_number(&self, record: &ConversationRecord) -> bool {
        let bare = |number: &String| {
            let schemes = ["tel:", "sip:"];
            let rest = schemes
                .iter()
                .find_map(|scheme| number.strip_prefix(scheme));
            rest.unwrap_or(number).to_owned()
        };
        let begins = |number: String| {
            self.number_prefixes
                .iter()
                .any(|one| number.starts_with(one))
        };
        let mut numbers = record.ani.iter().chain(&record.dnis).map(bare);
        self.number_prefixes.is_empty() || numbers.any(begins)
    }
}

impl Route {
    /// Returns true if the sink takes a completed conversation.
    #[must_use]
    #[doc(hidden)]
    pub fn takes(&self, completed: &CompletedConversation) -> bool {
        self.condition.holds(&completed.record)
    }

    /// Returns true if the sink takes recordings of a conversation. One that is not known any more has gone
    /// where it belongs.
    #[must_use]
    #[doc(hidden)]
    pub fn takes_media(&self, record: Option<&ConversationRecord>) -> bool {
        self.content.media
            && match record {
                Some(record) => self.condition.holds(record),
                None => self.condition == Condition::default(),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ConversationRecord {
        ConversationRecord {
            start: 1_000,
            end: Some(61_000),
            direction: Some("inbound".into()),
            queues: vec![("q1".into(), Some("Sales".into()))],
            divisions: vec!["d1".into()],
            division_names: vec!["EMEA".into()],
            media_types: vec!["voice".into()],
            recorded: true,
            ani: Some("tel:+4930123".into()),
            dnis: Some("sip:team@example.com".into()),
            agents: vec![("u1".into(), Some("Ada Okafor".into()))],
            wrap_up_codes: vec![("w1".into(), None)],
            tags: vec!["vip".into()],
            attributes: BTreeMap::from([("tier".into(), "gold".into())]),
            ..ConversationRecord::default()
        }
    }

    fn condition(text: &str) -> Condition {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn each_part_of_a_condition_decides() {
        for (text, holds) in [
            ("{}", true),
            (r#"{"media_types":["voice","chat"]}"#, true),
            (r#"{"media_types":["chat"]}"#, false),
            (r#"{"queues":["q1"]}"#, true),
            (r#"{"queues":["Sales"]}"#, true),
            (r#"{"queues":["Support"]}"#, false),
            (r#"{"divisions":["d1"]}"#, true),
            (r#"{"divisions":["d2"]}"#, false),
            (r#"{"divisions":["APAC","EMEA"]}"#, true),
            (r#"{"direction":"inbound"}"#, true),
            (r#"{"direction":"outbound"}"#, false),
            (r#"{"min_duration_seconds":60}"#, true),
            (r#"{"min_duration_seconds":61}"#, false),
            (r#"{"max_duration_seconds":60}"#, true),
            (r#"{"max_duration_seconds":59}"#, false),
            (r#"{"has_audio":true}"#, true),
            (r#"{"has_audio":false}"#, false),
            (r#"{"queues":["Sales"],"direction":"outbound"}"#, false),
            (r#"{"agents":["Ada Okafor"]}"#, true),
            (r#"{"agents":["u2"]}"#, false),
            (r#"{"wrap_up_codes":["w1"]}"#, true),
            (r#"{"wrap_up_codes":["w2"]}"#, false),
            (r#"{"tags":["legal-hold","vip"]}"#, true),
            (r#"{"tags":["legal-hold"]}"#, false),
            (r#"{"attributes":{"tier":["silver","gold"]}}"#, true),
            (
                r#"{"attributes":{"tier":["gold"],"region":["north"]}}"#,
                false,
            ),
            (r#"{"number_prefixes":["+49"]}"#, true),
            (r#"{"number_prefixes":["team@"]}"#, true),
            (r#"{"number_prefixes":["tel:","+1"]}"#, false),
            (
                r#"{"any_of":[{"queues":["Support"]},{"tags":["vip"]}]}"#,
                true,
            ),
            (
                r#"{"any_of":[{"queues":["Support"]},{"tags":["praise"]}]}"#,
                false,
            ),
            (r#"{"none_of":[{"tags":["praise"]}]}"#, true),
            (
                r#"{"none_of":[{"tags":["vip"],"direction":"outbound"}]}"#,
                true,
            ),
            (
                r#"{"queues":["Sales"],"none_of":[{"tags":["praise"]},{"agents":["u1"]}]}"#,
                false,
            ),
        ] {
            assert_eq!(condition(text).holds(&record()), holds, "{text}");
        }
        let live = ConversationRecord {
            end: None,
            ..record()
        };
        assert!(!condition(r#"{"max_duration_seconds":60}"#).holds(&live));
        let longer = ConversationRecord {
            end: Some(61_001),
            ..record()
        };
        assert!(!condition(r#"{"max_duration_seconds":60}"#).holds(&longer));
        let chat = ConversationRecord {
            media_types: vec!["chat".into()],
            ..record()
        };
        assert!(condition(r#"{"has_audio":false}"#).holds(&chat));
    }

    #[test]
    fn content_is_not_nothing() {
        let content = |text: &str| serde_json::from_str::<Content>(text);
        let metadata = content(r#"["metadata"]"#).unwrap();
        assert!(metadata.metadata && !metadata.media);
        assert_eq!(
            content(r#"["media","metadata"]"#).unwrap(),
            Content::default()
        );
        let error = content("[]").unwrap_err().to_string();
        assert!(error.contains("media"), "{error}");
    }
}
