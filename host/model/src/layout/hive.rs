//! The file of metadata that Genesys Cloud's integration with S3 puts beside each recording.
//!
//! Its fields are those that are known of the vendor's ("Working with exported recordings in AWS S3
//! bucket"). A field that nobody reported is null. The same conversation gives the same bytes.

use jiff::Timestamp;
use serde::Serialize;

use crate::ENCRYPTED_SUFFIX;
use crate::{CompletedConversation, Object};

/// The suffix of a file's key in that of its metadata.
const SIDECAR: &str = "_metadata.json";

/// A name without what would make it that of another file's metadata, in whatever case, if it has that.
pub(super) fn before_sidecar(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(SIDECAR.len())?;
    let ending = name.get(at..)?;
    ending.eq_ignore_ascii_case(SIDECAR).then(|| &name[..at])
}

/// The integration's extension for a file; all Ogg of Genesys Cloud holds Opus.
pub(super) fn extension(of_type: &str) -> &str {
    match of_type {
        "ogg" => "opus",
        other => other,
    }
}

/// The extension by which other layouts know such a file.
pub(super) fn of_type(in_key: &str) -> &str {
    match in_key {
        "opus" => "ogg",
        other => other,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    media_type: Option<&'static str>,
    media_subtype: Option<&'a str>,
    provider: Option<&'static str>,
    user_ids: Vec<&'a str>,
    start_time: Option<String>,
    end_time: Option<String>,
    duration_ms: Option<u64>,
    conversation_id: &'a str,
    recording_id: &'a str,
    initial_direction: Option<&'a str>,
}

/// Key and bytes of the metadata beside an object; none beside an archive of many conversations, nor
/// beside what is kept although it is no recording.
pub fn sidecar(completed: &CompletedConversation, object: &Object) -> Option<(String, Vec<u8>)> {
    if object.aside || object.key.starts_with(super::BUNDLES) {
        return None;
    }
    let record = &completed.record;
    let screen = object.content_type.starts_with("video/");
    let agents = record.agents.iter().map(|(id, _)| id.as_str());
    let own = |name: &str, in_index: &str| {
        let known = record.recordings.get(&object.recording);
        let reported = object.index_metadata.as_ref();
        known
            .and_then(|known| known.get(name))
            .or_else(|| reported?.others.get(in_index))
            .map(String::as_str)
    };
    // Those of the recording, or else the conversation's.
    let time = |text: Option<&str>| {
        let at: Timestamp = text?.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok()
    };
    let start = time(own("recording.start_time", "startTime")).unwrap_or(record.start);
    let end = time(own("recording.end_time", "endTime")).or(record.end);
    // Lists of an index are there as JSON.
    let listed = |ids| {
        let ids = str::split(ids, [',', '[', ']', '"']);
        ids.filter(|id| !id.is_empty()).collect()
    };
    let users = own("recording.agent_ids", "userIds").map(listed);
    let metadata = Metadata {
        media_type: match screen {
            true => Some("Screen"),
            false => media_type(&object.content_type, &record.media_types),
        },
        media_subtype: match screen {
            true => Some("Screen"),
            false => own("recording.media_subtype", "mediaSubtype"),
        },
        provider: None,
        user_ids: users.unwrap_or_else(|| agents.filter(|id| !id.is_empty()).collect()),
        start_time: instant(start),
        end_time: end.and_then(instant),
        duration_ms: end.map(|end| end.saturating_sub(start)),
        conversation_id: &completed.id,
        recording_id: &object.recording,
        initial_direction: record.direction.as_deref(),
    };
    let mut bytes = serde_json::to_vec(&metadata).ok()?;
    // Some readers take a line for one only if it ends.
    bytes.push(b'\n');
    // Beside an encrypted file it is encrypted itself, and so named.
    let plain = object
        .stored
        .as_ref()
        .and(object.key.strip_suffix(ENCRYPTED_SUFFIX));
    let key = plain.unwrap_or(&object.key);
    Some((format!("{key}{SIDECAR}"), bytes))
}

/// The vendor's word for what was recorded, from the sorts of media of the conversation.
fn media_type(content_type: &str, of_conversation: &[String]) -> Option<&'static str> {
    let audio = content_type.starts_with("audio/");
    let known = [
        ("voice", true, "Call"),
        ("callback", true, "Callback"),
        ("chat", false, "Chat"),
        ("email", false, "Email"),
        ("message", false, "Message"),
    ];
    let fits = known.into_iter().filter(|(_, sound, _)| *sound == audio);
    let mut candidates = fits.filter(|(name, ..)| of_conversation.iter().any(|of| of == name));
    let word = candidates.next().map(|(.., word)| word);
    word.or(audio.then_some("Call"))
}

/// An instant as the integration writes it, without a colon in the offset.
fn instant(ms: u64) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()?;
    let text = format!("{at:.3}");
    Some(format!("{}+0000", text.trim_end_matches('Z')))
}
