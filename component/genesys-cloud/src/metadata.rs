//! Turns a row of the analytics query into a conversation.
//!
//! An id suffices: each field of an unexpected type is dropped by itself, and named.

use std::collections::BTreeMap;

use jiff::Timestamp as Instant;
use recording_source_sdk::{
    Conversation, Direction, Party, Timestamp,
    json::{Object, Odd},
};

/// The most values of a list of a conversation that are kept: each is compared with those before it.
const MOST: usize = 1000;

/// A conversation and whether it can have a recording.
#[derive(Debug)]
pub(crate) struct ConversationRow {
    pub(crate) conversation: Conversation,
    pub(crate) began: Began,
    /// Transcripts of digital conversations exist without the flag, which is about calls; and a field
    /// that cannot be read may have indicated a recording.
    pub(crate) may_have_recordings: bool,
    /// The ids of sessions of agents, and of those that they talk to, with the agent's.
    pub(crate) sessions: Vec<(String, String)>,
}

/// The origin of a conversation's start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Began {
    /// The row says so.
    Reported,
    /// From the first of its segments: the row itself does not say so.
    Guessed,
    /// Unknown.
    Unknown,
}

// AnalyticsConversationWithoutAttributes and its contents. Enums are open: plain strings here.
struct Participant {
    participant_name: Option<String>,
    purpose: Option<String>,
    user_id: Option<String>,
    screen_recording: Option<bool>,
    /// Only in the results of jobs.
    attributes: Vec<(String, String)>,
    sessions: Vec<Session>,
}

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
    talk_ms: f64,
    segments: Vec<CallSegment>,
}

struct CallSegment {
    queue_id: Option<String>,
    wrap_up_code: Option<String>,
    wrap_up_tags: Vec<String>,
}

impl Participant {
    fn read(one: &Object<'_>) -> Self {
        Participant {
            participant_name: one.text("participantName"),
            purpose: one.text("purpose"),
            user_id: one.text("userId"),
            screen_recording: one.flag("screenRecording"),
            attributes: one.pairs("attributes"),
            sessions: one
                .objects("sessions")
                .map(|session| Session::read(&session))
                .collect(),
        }
    }
}

impl Session {
    fn read(one: &Object<'_>) -> Self {
        let mut talk_ms = 0.0;
        for metric in one.objects("metrics") {
            if metric.text("name").as_deref() == Some("tTalkComplete") {
                talk_ms += metric.number("value").unwrap_or_default();
            }
        }
        Session {
            session_id: one.text("sessionId"),
            peer_id: one.text("peerId"),
            media_type: one.text("mediaType"),
            ani: one.text("ani"),
            dnis: one.text("dnis"),
            address_from: one.text("addressFrom"),
            address_to: one.text("addressTo"),
            recording: one.flag("recording"),
            snippet_recording: one.flag("snippetRecording"),
            outbound_campaign_id: one.text("outboundCampaignId"),
            talk_ms,
            segments: one
                .objects("segments")
                .map(|segment| CallSegment {
                    queue_id: segment.text("queueId"),
                    wrap_up_code: segment.text("wrapUpCode"),
                    wrap_up_tags: segment.texts("wrapUpTags"),
                })
                .collect(),
        }
    }
}

/// The start of the first segment of a row.
fn first_segment(row: &Object<'_>) -> Option<Timestamp> {
    let sessions = row
        .objects("participants")
        .flat_map(|one| one.objects("sessions").collect::<Vec<_>>());
    let segments = sessions.flat_map(|one| one.objects("segments").collect::<Vec<_>>());
    segments.filter_map(|one| one.instant("segmentStart")).min()
}

impl ConversationRow {
    /// Reads a row, and returns the dropped fields; none if it has no id that can be used.
    pub(crate) fn read(object: &Object<'_>) -> Option<(Self, Odd)> {
        let (row, odd) = object.apart(Self::of);
        let mut row = row?;
        if row.began == Began::Unknown
            && let (Some(start), _) = object.apart(first_segment)
        {
            row.conversation.start = start;
            row.began = Began::Guessed;
        }
        row.may_have_recordings |= odd.touches("participants");
        Some((row, odd))
    }

    fn of(row: &Object<'_>) -> Option<Self> {
        let id = row.text("conversationId").filter(|id| !id.is_empty())?;
        let start = row.instant("conversationStart");
        let participants = row.objects("participants");
        let participants: Vec<Participant> =
            participants.map(|one| Participant::read(&one)).collect();
        let (ani, dnis) = addresses(&participants);
        let mut reported = ParticipantSummary {
            tags: row.text("externalTag").into_iter().collect(),
            ..ParticipantSummary::default()
        };
        for participant in &participants {
            reported.add(participant);
        }
        // Without a single session nothing says that there is no recording.
        let silent = participants.iter().all(|one| one.sessions.is_empty());
        Some(ConversationRow {
            began: match start {
                Some(_) => Began::Reported,
                None => Began::Unknown,
            },
            may_have_recordings: reported.recorded || reported.digital || silent,
            conversation: Conversation {
                id,
                start: start.unwrap_or_default(),
                end: row.instant("conversationEnd"),
                direction: match row.text("originatingDirection").as_deref() {
                    Some("inbound") => Some(Direction::Inbound),
                    Some("outbound") => Some(Direction::Outbound),
                    _ => None,
                },
                ani,
                dnis,
                divisions: row.texts("divisionIds"),
                recorded: reported.recorded,
                revision: None,
                attributes: reported.attributes(),
                agents: reported.agents,
                queues: reported.queues,
                wrap_up_codes: reported.wrap_up_codes,
                tags: reported.tags,
                media_types: reported.media_types,
            },
            sessions: reported.sessions,
        })
    }
}

/// The combined data of the participants of a conversation.
#[derive(Default)]
struct ParticipantSummary {
    agents: Vec<Party>,
    queues: Vec<Party>,
    wrap_up_codes: Vec<Party>,
    tags: Vec<String>,
    media_types: Vec<String>,
    campaigns: Vec<String>,
    talk_ms: f64,
    recorded: bool,
    digital: bool,
    sessions: Vec<(String, String)>,
    by_purpose: BTreeMap<String, Vec<String>>,
    /// How many values were not taken into a list that was full.
    left_out: u64,
}

impl ParticipantSummary {
    fn add(&mut self, participant: &Participant) {
        self.recorded |= participant.screen_recording == Some(true);
        let agent = matches!(participant.purpose.as_deref(), Some("agent" | "user"));
        if let (true, Some(user)) = (agent, &participant.user_id) {
            let name = participant.participant_name.as_deref();
            self.left_out += add(&mut self.agents, user, name);
            for session in &participant.sessions {
                let ids = [&session.session_id, &session.peer_id];
                let ids = ids.into_iter().flatten();
                self.sessions
                    .extend(ids.map(|id| (id.clone(), user.clone())));
            }
        }
        self.left_out += tell(&mut self.by_purpose, participant);
        for session in &participant.sessions {
            let media = session.media_type.as_deref().unwrap_or_default();
            self.recorded |=
                session.recording == Some(true) || session.snippet_recording == Some(true);
            self.digital |= matches!(media, "chat" | "email" | "message" | "internalmessage");
            self.left_out += push(&mut self.media_types, session.media_type.as_ref());
            self.left_out += push(&mut self.campaigns, session.outbound_campaign_id.as_ref());
            self.talk_ms += session.talk_ms;
            for segment in &session.segments {
                if let Some(queue) = &segment.queue_id {
                    self.left_out += add(&mut self.queues, queue, None);
                }
                if let Some(code) = &segment.wrap_up_code {
                    self.left_out += add(&mut self.wrap_up_codes, code, None);
                }
                for tag in &segment.wrap_up_tags {
                    self.left_out += push(&mut self.tags, Some(tag));
                }
            }
        }
    }

    fn attributes(&mut self) -> Vec<(String, String)> {
        let mut attributes = Vec::new();
        if self.talk_ms > 0.0 {
            attributes.push(("talk_ms".to_owned(), format!("{:.0}", self.talk_ms)));
        }
        if self.left_out > 0 {
            attributes.push(("values_left_out".to_owned(), self.left_out.to_string()));
        }
        if !self.campaigns.is_empty() {
            let campaigns = self.campaigns.join(",");
            attributes.push(("outbound_campaign_ids".to_owned(), campaigns));
        }
        let reported = std::mem::take(&mut self.by_purpose).into_iter();
        let reported = reported.filter(|(_, values)| !values.is_empty());
        attributes.extend(reported.map(|(name, values)| (name, values.join("; "))));
        attributes
    }
}

/// Attributes of a participant, by its purpose; different values of one name are all kept, up to [`MOST`].
/// Returns how many were not.
fn tell(reported: &mut BTreeMap<String, Vec<String>>, participant: &Participant) -> u64 {
    let purpose = participant.purpose.as_deref().unwrap_or("unknown");
    let attributes = participant.attributes.iter();
    let left_out = attributes.map(|(name, value)| {
        let values = reported.entry(format!("{purpose}.{name}")).or_default();
        push(values, Some(value))
    });
    left_out.sum()
}

/// ANI and DNIS of the customer's first session that has them, else of anybody's.
fn addresses(participants: &[Participant]) -> (Option<String>, Option<String>) {
    let customer = |p: &&Participant| matches!(p.purpose.as_deref(), Some("customer" | "external"));
    let sessions = || {
        let first = participants.iter().filter(customer);
        let rest = participants.iter().filter(|p| !customer(p));
        first.chain(rest).flat_map(|p| &p.sessions)
    };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    (
        sessions().find_map(|s| given(&s.ani).or_else(|| given(&s.address_from))),
        sessions().find_map(|s| given(&s.dnis).or_else(|| given(&s.address_to))),
    )
}

/// Adds somebody to a list; returns 1 if it is full.
fn add(parties: &mut Vec<Party>, id: &str, name: Option<&str>) -> u64 {
    let full = parties.len() >= MOST;
    match parties.iter_mut().find(|party| party.id == id) {
        Some(party) => party.name = party.name.take().or(name.map(str::to_owned)),
        None if full => return 1,
        None => parties.push(Party {
            id: id.to_owned(),
            name: name.map(str::to_owned),
        }),
    }
    0
}

/// Adds a text to a list; returns 1 if it is full.
fn push(list: &mut Vec<String>, text: Option<&String>) -> u64 {
    match text.filter(|text| !list.contains(text)) {
        Some(_) if list.len() >= MOST => 1,
        Some(text) => {
            list.push(text.clone());
            0
        }
        None => 0,
    }
}

/// An instant as the vendor writes it.
pub(crate) fn iso(ms: Timestamp) -> String {
    let instant = i64::try_from(ms)
        .ok()
        .and_then(|ms| Instant::from_millisecond(ms).ok())
        .unwrap_or(Instant::MAX);
    format!("{instant:.3}")
}

/// FNV-1a: the same on every platform and in every version.
pub(crate) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
