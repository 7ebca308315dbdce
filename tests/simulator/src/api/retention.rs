//! Recordings found without the analytics: those that are kept, and those without a conversation.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Refusal, params::Params};
use crate::{State, faults::Fault, http::Request, id::Kind, rng::Rng, server::World, time::iso};

const DAY: u64 = 86_400_000;
const SORT_ORPHAN: u64 = 7;
/// The most recordings on a page of the retention query.
const PAGE: u64 = 500;
/// The most orphans that are listed, unless only those whose conversation is known are requested.
const CAP: usize = 500;
/// When recordings are archived and deleted, after they were made.
const ARCHIVED: u64 = 365 * DAY;
const DELETED: u64 = 730 * DAY;

/// Lists recordings that have been kept for more than some days.
pub(super) fn retention(world: &World, request: &Request) -> Result<(StatusCode, Value), Refusal> {
    const PATH: &str = "/api/v2/recordings/retention/query";
    let params = Params::of(request, &["retentionThresholdDays", "cursor", "pageSize"])?;
    if params.get("retentionThresholdDays").is_none() {
        return Err(Refusal::bad("retentionThresholdDays is required"));
    }
    let days = params.number("retentionThresholdDays", 0, 36_500)?;
    let size = params.number("pageSize", 25, PAGE)?.max(1);
    let place = |cursor: &str| {
        let (index, number) = cursor.split_once('.')?;
        Some((index.parse::<u64>().ok()?, number.parse::<usize>().ok()?))
    };
    let (first, skipped) = match params.get("cursor") {
        None => (0, 0),
        Some(cursor) => place(cursor).ok_or_else(|| Refusal::bad("The cursor is none of these"))?,
    };
    let before = world.clock.now().saturating_sub(days * DAY);
    let end = world.organization.first_at(before);
    let mut entities = Vec::new();
    let mut next = None;
    'listing: for index in first..end {
        let conversation = world.organization.conversation(index);
        if conversation.end >= before || !world.may_see(&conversation) {
            continue;
        }
        let skipped = if index == first { skipped } else { 0 };
        for (at, recording) in conversation.recordings.iter().enumerate().skip(skipped) {
            if recording.state == State::Deleted {
                continue;
            }
            if entities.len() as u64 == size {
                next = Some(format!("{index}.{at}"));
                break 'listing;
            }
            entities.push(json!({
                "conversationId": conversation.id,
                "recordingId": recording.id,
                "archiveDate": iso(conversation.start + ARCHIVED),
                "archiveMedium": "CLOUDARCHIVE",
                "deleteDate": iso(conversation.start + DELETED),
                "creationTime": iso(conversation.start),
            }));
        }
    }
    let uri = format!("{PATH}?retentionThresholdDays={days}&pageSize={size}");
    let mut answer = json!({ "entities": entities, "selfUri": uri });
    if let Some(next) = next {
        answer["nextUri"] = json!(format!("{uri}&cursor={next}"));
    }
    Ok((StatusCode::OK, answer))
}

/// The number of the orphan with this id.
pub(crate) fn orphan(world: &World, id: &str) -> Option<u64> {
    match world.organization.ids.read(id)? {
        (Kind::Orphan, number, 0) if number < world.settings.orphans => Some(number),
        _ => None,
    }
}

/// `fileState` of an orphan: one of ten is archived.
pub(super) fn orphan_state(orphan: u64) -> &'static str {
    match orphan % 10 {
        7 => "ARCHIVED",
        _ => "AVAILABLE",
    }
}

/// Returns true if the vendor knows the conversation of an orphan.
fn knows_conversation(orphan: u64) -> bool {
    orphan % 3 == 1
}

/// Lists recordings that belong to no conversation.
pub(super) fn orphans(world: &World, request: &Request) -> Result<(StatusCode, Value), Refusal> {
    const KNOWN: [&str; 7] = [
        "pageSize",
        "pageNumber",
        "sortBy",
        "nextPage",
        "previousPage",
        "hasConversation",
        "media",
    ];
    let params = Params::of(request, &KNOWN)?;
    let with_conversation = params.choice("hasConversation", &["true", "false"])? == Some("true");
    let size = params.number("pageSize", 25, 100)?.max(1);
    let number = params.number("pageNumber", 1, u64::MAX)?.max(1);
    let (from, until) = world.organization.interval();
    let (from, until) = (from.as_millisecond() as u64, until.as_millisecond() as u64);
    let all = 0..world.settings.orphans;
    let listed: Vec<u64> = match with_conversation {
        true => all.filter(|orphan| knows_conversation(*orphan)).collect(),
        false => all.take(CAP).collect(),
    };
    let total = listed.len() as u64;
    let first = ((number - 1).saturating_mul(size)).min(total);
    let shown = &listed[first as usize..(first + size).min(total) as usize];
    let entities = shown.iter().map(|&orphan| {
        let odd = world.chance.marks(Fault::UnknownValues, orphan).is_some();
        let id = world.organization.ids.make(Kind::Orphan, orphan, 0);
        let mut rng = Rng::new(world.settings.seed, SORT_ORPHAN, orphan);
        json!({
            "id": id,
            "createdTime": iso(from + rng.below(until - from)),
            "providerType": "EDGE",
            "mediaType": "CALL",
            "fileState": orphan_state(orphan),
            "orphanStatus": match knows_conversation(orphan) {
                _ if odd => "ADRIFT",
                true => "CONVERSATION_NOT_EVALUATED",
                false => "NO_CONVERSATION",
            },
            "selfUri": format!("/api/v2/orphanrecordings/{id}"),
        })
    });
    Ok((
        StatusCode::OK,
        json!({
            "entities": entities.collect::<Vec<_>>(),
            "pageSize": size,
            "pageNumber": number,
            "total": total,
            "pageCount": total.div_ceil(size),
            "selfUri": format!("/api/v2/orphanrecordings?pageSize={size}&pageNumber={number}"),
        }),
    ))
}
