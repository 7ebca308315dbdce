//! Files settled conversations: their metadata rows, and the receipt that proves them.
//!
//! A segment is put whole and under a key that is derived from the export, so
//! that putting it again after a crash changes nothing.

use std::fmt::Write as _;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    queue::{Object, Outcome, Segment, Settled},
    sandbox::hex,
    sink::{Body, ObjectInfo, SinkError},
    transfer::Output,
};

/// A row of the metadata: one for each recording's file, or one for a conversation without any.
#[derive(Debug, Serialize)]
struct Row<'a> {
    conversation_id: &'a str,
    recording_id: Option<&'a str>,
    object_key: Option<&'a str>,
    archive_member: Option<&'a str>,
    content_type: Option<&'a str>,
    size_bytes: Option<u64>,
    sha256: Option<&'a str>,
    outcome: &'a str,
    reason: Option<String>,
    start: String,
    end: Option<String>,
    duration_ms: Option<u64>,
    direction: Option<&'a str>,
    ani: Option<&'a str>,
    dnis: Option<&'a str>,
    agents: Vec<Named<'a>>,
    queues: Vec<Named<'a>>,
    wrap_up_codes: Vec<Named<'a>>,
    tags: &'a [String],
    divisions: &'a [String],
    media_types: &'a [String],
    attributes: &'a std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct Named<'a> {
    id: &'a str,
    name: Option<&'a str>,
}

/// One line of a receipt.
#[derive(Debug, Serialize)]
struct Receipt<'a> {
    conversation_id: &'a str,
    #[serde(flatten)]
    outcome: &'a Outcome,
    objects: &'a [Object],
}

/// The first line of a receipt.
#[derive(Debug, Serialize)]
struct Head<'a> {
    receipt: u32,
    export: &'a str,
    segment: i64,
    day: &'a str,
    conversations: usize,
    metadata: Proof<'a>,
}

/// What proves an object.
#[derive(Debug, Serialize)]
struct Proof<'a> {
    key: &'a str,
    size: usize,
    sha256: String,
}

/// Puts a segment's rows and then its receipt into a sink.
///
/// # Errors
/// What the sink says; the segment can be put again.
pub async fn file(export: &str, segment: &Segment, output: &Output) -> Result<(), SinkError> {
    let name = format!("{export}-{:06}.jsonl", segment.number);
    let key = format!("metadata/date={}/{name}", segment.day);
    let rows = rows(segment, &output.name);
    let head = Head {
        receipt: 1,
        export,
        segment: segment.number,
        day: &segment.day,
        conversations: segment.conversations.len(),
        metadata: Proof {
            key: &key,
            size: rows.len(),
            sha256: hex(&Sha256::digest(rows.as_bytes())),
        },
    };
    let mut receipt = line(&head);
    for settled in &segment.conversations {
        receipt += &line(&Receipt {
            conversation_id: &settled.id,
            outcome: &settled.outcome,
            objects: objects(settled, &output.name),
        });
    }
    put(output, &key, rows).await?;
    put(
        output,
        &format!("receipts/date={}/{name}", segment.day),
        receipt,
    )
    .await
}

fn rows(segment: &Segment, sink: &str) -> String {
    let mut text = String::new();
    for settled in &segment.conversations {
        let objects = objects(settled, sink);
        if objects.is_empty() {
            text += &line(&row(settled, None));
        }
        for object in objects {
            text += &line(&row(settled, Some(object)));
        }
    }
    text
}

fn objects<'a>(settled: &'a Settled, sink: &str) -> &'a [Object] {
    settled.objects.get(sink).map_or(&[], Vec::as_slice)
}

fn row<'a>(settled: &'a Settled, object: Option<&'a Object>) -> Row<'a> {
    let record = &settled.record;
    let named = |list: &'a [(String, Option<String>)]| {
        list.iter()
            .map(|(id, name)| Named {
                id,
                name: name.as_deref(),
            })
            .collect()
    };
    let reason = match &settled.outcome {
        Outcome::Skipped { reason } => Some(reason.clone()),
        Outcome::Failed { code, message } => Some(format!("{code}: {message}")),
        Outcome::Partial { missing } => Some(missing.iter().fold(
            String::new(),
            |mut text, (code, message)| {
                let _ = write!(text, "{code}: {message}; ");
                text
            },
        )),
        _ => None,
    };
    Row {
        conversation_id: &settled.id,
        recording_id: object.map(|object| object.recording.as_str()),
        object_key: object.map(|object| object.key.as_str()),
        archive_member: object.and_then(|object| object.member.as_deref()),
        content_type: object.map(|object| object.content_type.as_str()),
        size_bytes: object.map(|object| object.size),
        sha256: object.map(|object| object.sha256.as_str()),
        outcome: settled.outcome.word(),
        reason,
        start: instant(record.start),
        end: record.end.map(instant),
        duration_ms: record.end.map(|end| end.saturating_sub(record.start)),
        direction: record.direction.as_deref(),
        ani: record.ani.as_deref(),
        dnis: record.dnis.as_deref(),
        agents: named(&record.agents),
        queues: named(&record.queues),
        wrap_up_codes: named(&record.wrap_up_codes),
        tags: &record.tags,
        divisions: &record.divisions,
        media_types: &record.media_types,
        attributes: &record.attributes,
    }
}

fn instant(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map(|at| format!("{at:.3}"))
        .unwrap_or_default()
}

fn line(value: &impl Serialize) -> String {
    // Maps with string keys and plain fields: serialisation cannot fail.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text
}

async fn put(output: &Output, key: &str, text: String) -> Result<(), SinkError> {
    let info = ObjectInfo {
        content_type: "application/x-ndjson".to_owned(),
        size: Some(text.len() as u64),
        replace: true,
    };
    output
        .sink
        .put(key, info, Body::whole(Bytes::from(text)))
        .await
        .map(|_| ())
}
