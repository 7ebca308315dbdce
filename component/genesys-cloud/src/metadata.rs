//! Turns a row of the analytics query into a conversation.

use std::collections::BTreeMap;

use jiff::Timestamp as Instant;
use recording_source_sdk::{Conversation, Direction, Party, Timestamp};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A row, or what is wrong with it: one bad row does not spoil its page.
#[derive(Debug)]
pub(crate) struct Parsed(pub(crate) Result<Row, String>);

impl<'de> Deserialize<'de> for Parsed {
    // Row by row, so that a page is never in memory as a whole tree of values.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|value| Parsed(Row::read(value)))
    }
}

/// A conversation and whether it can have a recording.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) conversation: Conversation,
    /// Transcripts of digital conversations exist without the flag, which is about calls.
    pub(crate) may_have_recordings: bool,
    /// The ids of sessions of agents, and of those that they talk to, with the agent's.
    pub(crate) sessions: Vec<(String, String)>,
}

// AnalyticsConversationWithoutAttributes and what is in it. Enums are open: plain strings here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    conversation_id: Option<String>,
    conversation_start: Option<String>,
    conversation_end: Option<String>,
    originating_direction: Option<String>,
    division_ids: Option<Vec<String>>,
    external_tag: Option<String>,
    participants: Option<Vec<Participant>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Participant {
    participant_name: Option<String>,
    purpose: Option<String>,
    user_id: Option<String>,
    screen_recording: Option<bool>,
    /// In the results of jobs alone.
    attributes: Option<BTreeMap<String, Option<String>>>,
    sessions: Option<Vec<Session>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Session {
    session_id: Option<String>,
    peer_id: Option<String>,
    media_type: Option<String>,
    ani: Option<String>,
    dnis: Option<String>,
    address_from: Option<String>,
    address_to: Option<String>,
    recording: Option<bool>,
    snippet_recording: Option<bool>,
    outbound_campaign_id: Option<String>,
    metrics: Option<Vec<Metric>>,
    segments: Option<Vec<Segment>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metric {
    name: Option<String>,
    value: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Segment {
    queue_id: Option<String>,
    wrap_up_code: Option<String>,
    wrap_up_tags: Option<Vec<String>>,
}

impl Row {
    /// Reads a row; the error names what is wrong with it, without personal data.
    pub(crate) fn read(value: Value) -> Result<Self, String> {
        let raw: Raw = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let id = raw.conversation_id.ok_or("a row has no conversationId")?;
        let start = raw
            .conversation_start
            .as_deref()
            .and_then(milliseconds)
            .ok_or_else(|| format!("conversation {id} has no conversationStart"))?;
        let participants = raw.participants.unwrap_or_default();
        let (ani, dnis) = addresses(&participants);
        let mut agents = Vec::new();
        let mut queues = Vec::new();
        let mut wrap_up_codes = Vec::new();
        let mut tags: Vec<String> = raw.external_tag.iter().cloned().collect();
        let mut media_types = Vec::new();
        let mut campaigns = Vec::new();
        let mut talk_ms = 0.0;
        let mut recorded = false;
        let mut digital = false;
        let mut sessions = Vec::new();
        let mut told = BTreeMap::new();
        for participant in &participants {
            recorded |= participant.screen_recording == Some(true);
            let agent = matches!(participant.purpose.as_deref(), Some("agent" | "user"));
            if let (true, Some(user)) = (agent, &participant.user_id) {
                add(&mut agents, user, participant.participant_name.as_deref());
                for session in participant.sessions.iter().flatten() {
                    let ids = [&session.session_id, &session.peer_id]
                        .into_iter()
                        .flatten();
                    sessions.extend(ids.map(|id| (id.clone(), user.clone())));
                }
            }
            tell(&mut told, participant);
            for session in participant.sessions.iter().flatten() {
                let media = session.media_type.as_deref().unwrap_or_default();
                recorded |=
                    session.recording == Some(true) || session.snippet_recording == Some(true);
                digital |= matches!(media, "chat" | "email" | "message" | "internalmessage");
                push(&mut media_types, session.media_type.as_ref());
                push(&mut campaigns, session.outbound_campaign_id.as_ref());
                for metric in session.metrics.iter().flatten() {
                    if metric.name.as_deref() == Some("tTalkComplete") {
                        talk_ms += metric.value.unwrap_or_default();
                    }
                }
                for segment in session.segments.iter().flatten() {
                    if let Some(queue) = &segment.queue_id {
                        add(&mut queues, queue, None);
                    }
                    if let Some(code) = &segment.wrap_up_code {
                        add(&mut wrap_up_codes, code, None);
                    }
                    for tag in segment.wrap_up_tags.iter().flatten() {
                        push(&mut tags, Some(tag));
                    }
                }
            }
        }
        let mut attributes = Vec::new();
        if talk_ms > 0.0 {
            attributes.push(("talk_ms".to_owned(), format!("{talk_ms:.0}")));
        }
        if !campaigns.is_empty() {
            attributes.push(("outbound_campaign_ids".to_owned(), campaigns.join(",")));
        }
        attributes.extend(
            told.into_iter()
                .filter(|(_, values)| !values.is_empty())
                .map(|(name, values)| (name, values.join("; "))),
        );
        Ok(Row {
            sessions,
            conversation: Conversation {
                id,
                start,
                end: raw.conversation_end.as_deref().and_then(milliseconds),
                direction: match raw.originating_direction.as_deref() {
                    Some("inbound") => Some(Direction::Inbound),
                    Some("outbound") => Some(Direction::Outbound),
                    _ => None,
                },
                ani,
                dnis,
                agents,
                queues,
                wrap_up_codes,
                tags,
                divisions: raw.division_ids.unwrap_or_default(),
                media_types,
                recorded,
                extent: None,
                attributes,
            },
            may_have_recordings: recorded || digital,
        })
    }
}

/// Attributes of a participant, by its purpose; different values of one name are all kept.
fn tell(told: &mut BTreeMap<String, Vec<String>>, participant: &Participant) {
    let purpose = participant.purpose.as_deref().unwrap_or("unknown");
    for (name, value) in participant.attributes.iter().flatten() {
        let values = told.entry(format!("{purpose}.{name}")).or_default();
        push(values, value.as_ref());
    }
}

/// ANI and DNIS of the customer's first session that has them, else of anybody's.
fn addresses(participants: &[Participant]) -> (Option<String>, Option<String>) {
    let customer = |p: &&Participant| matches!(p.purpose.as_deref(), Some("customer" | "external"));
    let sessions = || {
        let first = participants.iter().filter(customer);
        let rest = participants.iter().filter(|p| !customer(p));
        first.chain(rest).flat_map(|p| p.sessions.iter().flatten())
    };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    (
        sessions().find_map(|s| given(&s.ani).or_else(|| given(&s.address_from))),
        sessions().find_map(|s| given(&s.dnis).or_else(|| given(&s.address_to))),
    )
}

fn add(parties: &mut Vec<Party>, id: &str, name: Option<&str>) {
    match parties.iter_mut().find(|party| party.id == id) {
        Some(party) => party.name = party.name.take().or(name.map(str::to_owned)),
        None => parties.push(Party {
            id: id.to_owned(),
            name: name.map(str::to_owned),
        }),
    }
}

fn push(list: &mut Vec<String>, text: Option<&String>) {
    if let Some(text) = text.filter(|text| !list.contains(text)) {
        list.push(text.clone());
    }
}

/// An instant as the vendor writes it, read.
pub(crate) fn milliseconds(text: &str) -> Option<Timestamp> {
    let instant: Instant = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}

/// An instant as the vendor writes it.
pub(crate) fn iso(ms: Timestamp) -> String {
    let instant = i64::try_from(ms)
        .ok()
        .and_then(|ms| Instant::from_millisecond(ms).ok())
        .unwrap_or(Instant::MAX);
    format!("{instant:.3}")
}

/// FNV-1a: the same on every platform, for ever.
pub(crate) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
