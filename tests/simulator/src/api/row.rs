//! A conversation as the analytics show it (AnalyticsConversationWithoutAttributes).

use serde_json::{Value, json};

use super::filter::direction;
use crate::{
    Conversation, MediaType, Organization, RecordingKind, faults::Fault, id::Kind,
    organization::QUEUES, server::World, time::iso,
};

/// The row of a conversation at `now`.
pub(super) fn row(world: &World, conversation: &Conversation, now: u64) -> Value {
    let organization = &world.organization;
    let ids = &organization.ids;
    let index = conversation.index;
    let mut participants = vec![customer(organization, conversation)];
    if conversation.inbound {
        participants.push(json!({
            "participantId": ids.make(Kind::Participant, index, 1),
            "participantName": QUEUES[conversation.queue as usize],
            "purpose": "acd",
            "sessions": [session(organization, conversation, 1, json!([{
                "segmentType": "interact",
                "segmentStart": iso(conversation.start),
                "segmentEnd": iso(conversation.start + 1000),
                "queueId": ids.make(Kind::Queue, conversation.queue, 0),
                "disconnectType": "transfer",
                "conference": false,
            }]))],
        }));
    }
    for (place, agent) in conversation.agents.iter().enumerate() {
        participants.push(agent_row(organization, conversation, place as u64, *agent));
    }
    let mut row = json!({
        "conversationId": conversation.id,
        "conversationStart": iso(conversation.start),
        "originatingDirection": direction(conversation),
        "divisionIds": [organization.division_id(conversation.division)],
        "participants": participants,
    });
    if conversation.has_ended(now) {
        row["conversationEnd"] = json!(iso(conversation.end));
    }
    if conversation.media == MediaType::Voice {
        row["mediaStatsMinConversationMos"] = json!(4.5);
        row["mediaStatsMinConversationRFactor"] = json!(87.6);
    }
    // The vendor adds fields and values without notice: some rows are odd.
    match conversation.odd % 40 {
        _ if !world.settings.newer_than_sdks => {}
        0 => row["conversationWeather"] = json!({ "sky": "clear" }),
        1 => row["participants"]
            .as_array_mut()
            .map_or((), |participants| {
                participants.push(json!({
                    "participantId": ids.make(Kind::Participant, index, 9),
                    "purpose": "aiagent",
                    "sessions": [session(organization, conversation, 9, json!([{
                        "segmentType": "reasoning",
                        "segmentStart": iso(conversation.start),
                    }]))],
                }));
            }),
        _ => {}
    }
    if world.chance.marks(Fault::UnknownValues, index).is_some()
        && let Some(participants) = row["participants"].as_array_mut()
    {
        participants.push(stranger(organization, conversation));
    }
    if conversation.end > now {
        forget_what_is_to_come(&mut row, &iso(now));
    }
    row
}

/// The row of a conversation with the attributes of its participants, as jobs give it.
pub(super) fn with_attributes(world: &World, conversation: &Conversation, at: u64) -> Value {
    let mut row = row(world, conversation, at);
    for participant in row["participants"].as_array_mut().into_iter().flatten() {
        participant["attributes"] = match participant["purpose"].as_str() {
            Some("customer" | "external") => json!({
                "tier": if conversation.odd.is_multiple_of(3) { "gold" } else { "silver" },
                "ivr.path": "main,billing",
            }),
            _ => json!({}),
        };
    }
    row
}

/// A participant of a kind that no SDK knows.
fn stranger(organization: &Organization, conversation: &Conversation) -> Value {
    let segments = json!([{
        "segmentType": "projecting",
        "segmentStart": iso(conversation.start),
        "segmentEnd": iso(conversation.end),
        "disconnectType": "spacetime",
        "conference": false,
    }]);
    let mut session = session(organization, conversation, 8, segments);
    session["mediaType"] = json!("hologram");
    json!({
        "participantId": organization.ids.make(Kind::Participant, conversation.index, 8),
        "purpose": "avatar",
        "sessions": [session],
    })
}

/// Takes out of the row of a conversation that continues what happens only after `now`.
fn forget_what_is_to_come(row: &mut Value, now: &str) {
    // Instants are all written in one way, so that they compare as text.
    let later = |value: &Value| value.as_str().is_some_and(|instant| instant > now);
    let participants = row["participants"].as_array_mut();
    let sessions = participants
        .into_iter()
        .flatten()
        .filter_map(|participant| participant["sessions"].as_array_mut())
        .flatten();
    for session in sessions {
        if let Some(metrics) = session["metrics"].as_array_mut() {
            metrics.retain(|metric| !later(&metric["emitDate"]));
        }
        let Some(segments) = session["segments"].as_array_mut() else {
            continue;
        };
        segments.retain(|segment| !later(&segment["segmentStart"]));
        for segment in segments.iter_mut().filter_map(Value::as_object_mut) {
            if segment.get("segmentEnd").is_some_and(later) {
                segment.remove("segmentEnd");
                segment.remove("disconnectType");
            }
        }
    }
}

fn customer(organization: &Organization, conversation: &Conversation) -> Value {
    let segments = json!([{
        "segmentType": "interact",
        "segmentStart": iso(conversation.start),
        "segmentEnd": iso(conversation.end),
        "disconnectType": "client",
        "conference": false,
    }]);
    json!({
        "participantId": organization.ids.make(Kind::Participant, conversation.index, 0),
        "participantName": "Customer",
        "purpose": if conversation.inbound { "customer" } else { "external" },
        "sessions": [session(organization, conversation, 0, segments)],
    })
}

fn agent_row(
    organization: &Organization,
    conversation: &Conversation,
    place: u64,
    agent: u64,
) -> Value {
    let ids = &organization.ids;
    let wrap_up = conversation.end.saturating_sub(500);
    let mut wrapped = json!({
        "segmentType": "wrapup",
        "segmentStart": iso(wrap_up),
        "segmentEnd": iso(conversation.end),
        "queueId": ids.make(Kind::Queue, conversation.queue, 0),
        "wrapUpCode": ids.make(Kind::WrapUpCode, conversation.wrap_up_code, 0),
        "conference": false,
    });
    if !conversation.tags.is_empty() {
        wrapped["wrapUpTags"] = json!(conversation.tags);
    }
    let segments = json!([
        {
            "segmentType": "alert",
            "segmentStart": iso(conversation.start),
            "segmentEnd": iso(conversation.start + 1000),
            "queueId": ids.make(Kind::Queue, conversation.queue, 0),
            "conference": false,
        },
        {
            "segmentType": "interact",
            "segmentStart": iso(conversation.start + 1000),
            "segmentEnd": iso(wrap_up),
            "queueId": ids.make(Kind::Queue, conversation.queue, 0),
            "disconnectType": "peer",
            "conference": conversation.agents.len() > 1,
        },
        wrapped,
    ]);
    let mut session = session(organization, conversation, 2 + place, segments);
    let talk = conversation.end - conversation.start;
    session["metrics"] = json!([
        { "name": "tTalkComplete", "value": talk, "emitDate": iso(conversation.end) },
        { "name": "tHandle", "value": talk + 500, "emitDate": iso(conversation.end) },
    ]);
    session["peerId"] = json!(ids.make(Kind::Session, conversation.index, 0));
    let mut row = json!({
        "participantId": ids.make(Kind::Participant, conversation.index, 2 + place),
        "purpose": "agent",
        "userId": ids.make(Kind::User, agent, 0),
        "sessions": [session],
    });
    if !organization.nameless() {
        row["participantName"] = json!(organization.agent_name(agent));
    }
    let screen = |kind| matches!(kind, RecordingKind::Screen(_));
    if place == 0 && conversation.recordings.iter().any(|r| screen(r.kind)) {
        row["screenRecording"] = json!(true);
    }
    row
}

fn session(
    organization: &Organization,
    conversation: &Conversation,
    place: u64,
    segments: Value,
) -> Value {
    let (from, to) = if conversation.inbound {
        (&conversation.customer, &conversation.center)
    } else {
        (&conversation.center, &conversation.customer)
    };
    let mut session = json!({
        "sessionId": organization.session(conversation, place),
        "mediaType": conversation.media.name(),
        "direction": direction(conversation),
        "metrics": [],
        "segments": segments,
    });
    match conversation.media {
        MediaType::Voice => {
            session["ani"] = json!(from);
            session["dnis"] = json!(to);
            session["sessionDnis"] = json!(to);
            session["provider"] = json!("Edge");
            // The flag is there when recording was started, and absent otherwise.
            if conversation.flagged {
                session["recording"] = json!(true);
            }
        }
        MediaType::Message => {
            session["messageType"] = json!("sms");
            session["addressFrom"] = json!(from);
            session["addressTo"] = json!(to);
        }
        MediaType::Email | MediaType::Chat => {
            session["addressFrom"] = json!(from);
            session["addressTo"] = json!(to);
        }
    }
    if !conversation.inbound && place >= 2 {
        let campaign = organization.ids.make(Kind::Campaign, conversation.queue, 0);
        session["outboundCampaignId"] = json!(campaign);
    }
    session
}
