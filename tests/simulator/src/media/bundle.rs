//! The guide dialect's zip with the recordings of a job and a JSON index of them.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::content::Content;
use crate::{RecordingKind, api::batch::Row, server::World, time::iso};

/// Makes the bundle of a job in an unnamed file.
pub(super) fn make(world: &World, rows: &[Row]) -> io::Result<Content> {
    let mut zip = ZipWriter::new(tempfile::tempfile()?);
    let mut index = Vec::new();
    for row in rows {
        let (conversation, recording) = (&row.conversation, &row.recording);
        let mut entry = json!({
            "conversationId": conversation.id,
            "recordingId": recording.id,
            "startTime": iso(conversation.start),
            "endTime": iso(conversation.start + recording.duration_ms),
            "durationMs": recording.duration_ms,
            "agentName": conversation.agents.first().map(|a| world.organization.agent_name(*a)),
        });
        let (ani, dnis) = if conversation.inbound {
            (&conversation.customer, &conversation.center)
        } else {
            (&conversation.center, &conversation.customer)
        };
        entry["ani"] = json!(ani);
        entry["dnis"] = json!(dnis);
        if let Some(error) = row.error {
            entry["errorMsg"] = json!(error);
            index.push(entry);
            continue;
        }
        let name = name(row);
        entry["fileName"] = json!(name);
        entry["contentType"] = json!(recording.kind.content_type());
        index.push(entry);
        let content = world.media.recording(conversation, recording, row.part);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(content.length() > 0xffff_0000);
        zip.start_file(name, options)?;
        let mut at = 0;
        while at < content.length() {
            let mut buffer = vec![0; (content.length() - at).min(super::CHUNK as u64) as usize];
            content.read(at, &mut buffer)?;
            zip.write_all(&buffer)?;
            at += buffer.len() as u64;
        }
    }
    zip.start_file("metadata.json", SimpleFileOptions::default())?;
    zip.write_all(Value::Array(index).to_string().as_bytes())?;
    let file = zip.finish()?;
    let length = file.metadata()?.len();
    Ok(Content::File {
        file: Arc::new(Mutex::new(file)),
        length,
    })
}

fn name(row: &Row) -> String {
    let (conversation, recording) = (&row.conversation.id, &row.recording.id);
    let part = match row.part {
        0 => String::new(),
        part => format!(".{part}"),
    };
    let extension = match row.recording.kind {
        RecordingKind::Ogg => "ogg",
        RecordingKind::Wav => "wav",
        RecordingKind::Mp3 => "mp3",
        RecordingKind::Screen(_) => "webm",
        RecordingKind::Transcript => "zip",
        RecordingKind::Json => "json",
    };
    format!("{conversation}/{recording}{part}.{extension}")
}
