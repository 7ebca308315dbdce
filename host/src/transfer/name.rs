//! Object keys and MIME types.

use crate::{archive::safe, queue::day};

/// `recordings/{yyyy}/{mm}/{dd}/{conversation}/{recording}[.{part}]`
pub(super) fn stem(start: u64, conversation: &str, recording: &str, part: u32) -> String {
    let part = if part == 0 {
        String::new()
    } else {
        format!(".{part}")
    };
    format!(
        "recordings/{}/{}/{}{part}",
        day(start).replace('-', "/"),
        safe(conversation),
        safe(recording)
    )
}

const TYPES: &[(&str, &str)] = &[
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/vnd.wave", "wav"),
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/webm", "webm"),
    ("video/webm", "webm"),
    ("video/mp4", "mp4"),
    ("application/zip", "zip"),
    ("application/json", "json"),
    ("message/rfc822", "eml"),
    ("text/plain", "txt"),
    ("text/html", "html"),
];

/// The extension for a MIME type.
pub(super) fn extension(content_type: &str) -> &'static str {
    let plain = content_type.split(';').next().unwrap_or_default().trim();
    TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(plain))
        .map_or("bin", |(_, extension)| extension)
}

/// The MIME type for a file name.
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit('.').next().unwrap_or_default();
    TYPES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(extension))
        .map_or("application/octet-stream", |(name, _)| name)
}
