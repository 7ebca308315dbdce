//! The layout of a bucket that the integration fills (help article "Working with exported recordings
//! in AWS S3 bucket"):
//! `{organization}/year={Y}/month={M}/day={D}/hour={H}/conversation_id={id}/{file}`, in UTC of the
//! conversation's start, and beside each file `{file}_metadata.json`.
//!
//! Numbers without leading zeros have been observed, and the form is not documented: both ways are read.

use recording_source_sdk::Timestamp;
use serde::{Deserialize, Serialize};

const SIDECAR: &str = "_metadata.json";
/// Metadata of the whole call, in an undocumented form; no recording.
const CALL: &str = "_call_metadata.json";
const TRANSCRIPT: &str = ".transcript.json";

/// The way numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Digits {
    /// As few digits as are needed.
    Plain,
    /// At least two.
    Padded,
}

impl Digits {
    fn write(self, number: i8) -> String {
        match self {
            Digits::Plain => number.to_string(),
            Digits::Padded => format!("{number:02}"),
        }
    }
}

/// The folder of a day, given by any instant of it, below the organization's.
pub(crate) fn day(instant: Timestamp, digits: Digits) -> String {
    let date = civil(instant).date();
    format!(
        "year={}/month={}/day={}/",
        date.year(),
        digits.write(date.month()),
        digits.write(date.day())
    )
}

/// The folder of a conversation that began in the hour of `start`, below the organization's.
pub(crate) fn folder(start: Timestamp, conversation: &str, digits: Digits) -> String {
    format!(
        "{}hour={}/conversation_id={conversation}/",
        day(start, digits),
        digits.write(civil(start).hour())
    )
}

fn civil(instant: Timestamp) -> jiff::civil::DateTime {
    let instant = i64::try_from(instant)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    jiff::tz::Offset::UTC.to_datetime(instant)
}

/// The hour and the conversation of a key, given without the folder of its day; none if it is not of
/// the layout.
pub(crate) fn parse(rest: &str) -> Option<(u64, &str)> {
    let (hour, rest) = rest.strip_prefix("hour=")?.split_once('/')?;
    let (conversation, _) = rest.strip_prefix("conversation_id=")?.split_once('/')?;
    let digits = matches!(hour.len(), 1 | 2) && hour.bytes().all(|byte| byte.is_ascii_digit());
    let hour: u64 = hour.parse().ok().filter(|hour| digits && *hour < 24)?;
    is_id(conversation).then_some((hour, conversation))
}

/// Returns true if a text can be the id of a conversation or a recording.
pub(crate) fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c.is_control() || c == '/' || c == char::REPLACEMENT_CHARACTER)
}

/// The kind of a file in a conversation's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind<'a> {
    /// A recording, with the id from its name.
    Recording(&'a str),
    /// A transcript of a recording's speech, without metadata of its own.
    Transcript(&'a str),
    /// The metadata of the file of this name.
    Sidecar(&'a str),
    /// Nothing to export: a folder's marker, or metadata of the call.
    Other,
    /// Not of the layout.
    Odd,
}

/// The kind of the file of this name in a conversation's folder.
pub(crate) fn kind(name: &str) -> FileKind<'_> {
    if name.is_empty() || (name.ends_with(CALL) && is_id(name)) {
        return FileKind::Other;
    }
    if !is_id(name) {
        return FileKind::Odd;
    }
    if let Some(file) = name.strip_suffix(SIDECAR) {
        return match file {
            "" => FileKind::Odd,
            file => FileKind::Sidecar(file),
        };
    }
    if name.ends_with(TRANSCRIPT) && name != TRANSCRIPT {
        return FileKind::Transcript(name.trim_end_matches(".json"));
    }
    match name.rsplit_once('.') {
        Some((id, _)) if !id.is_empty() => FileKind::Recording(id),
        _ => FileKind::Odd,
    }
}

/// The MIME type of a file, by its name; `video` says that it shows a screen.
pub(crate) fn content_type(name: &str, video: bool) -> Option<&'static str> {
    let extension = name.rsplit('.').next().unwrap_or_default();
    Some(match extension.to_ascii_lowercase().as_str() {
        // RFC 7845: an Opus file is an Ogg file.
        "opus" | "ogg" | "oga" => "audio/ogg",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "webm" if video => "video/webm",
        "webm" => "audio/webm",
        "mp4" => "video/mp4",
        "zip" => "application/zip",
        "json" => "application/json",
        "eml" => "message/rfc822",
        "txt" => "text/plain",
        "html" => "text/html",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-01-05T09:30:00Z
    const AT: u64 = 1_767_605_400_000;

    #[test]
    fn folders_are_of_the_day_and_hour_in_utc() {
        assert_eq!(day(AT, Digits::Plain), "year=2026/month=1/day=5/");
        let plain = "year=2026/month=1/day=5/hour=9/conversation_id=c/";
        assert_eq!(folder(AT, "c", Digits::Plain), plain);
        let padded = "year=2026/month=01/day=05/hour=09/conversation_id=c/";
        assert_eq!(folder(AT, "c", Digits::Padded), padded);
    }

    #[test]
    fn keys_that_are_not_of_the_layout_are_odd() {
        assert_eq!(parse("hour=9/conversation_id=c/r.opus"), Some((9, "c")));
        assert_eq!(parse("hour=09/conversation_id=c/r.opus"), Some((9, "c")));
        for odd in [
            "hour=24/conversation_id=c/r.opus",
            "hour=+9/conversation_id=c/r.opus",
            "hour=9/conversation_id=/r.opus",
            "hour=9/conversation_id=../r.opus",
            "hour=9/conversation_id=a\nb/r.opus",
            "hour=9/conversation_id=c",
            "hour=9/r.opus",
            "stray.txt",
            "",
        ] {
            assert_eq!(parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn files_are_told_apart_by_their_names() {
        for (name, expected) in [
            ("r.opus", FileKind::Recording("r")),
            ("r.opus_metadata.json", FileKind::Sidecar("r.opus")),
            ("r.json", FileKind::Recording("r")),
            ("r.json_metadata.json", FileKind::Sidecar("r.json")),
            ("c.opus_call_metadata.json", FileKind::Other),
            (
                "c-m.transcript.json",
                FileKind::Transcript("c-m.transcript"),
            ),
            ("", FileKind::Other),
            ("_metadata.json", FileKind::Odd),
            ("deeper/r.opus", FileKind::Odd),
            ("..", FileKind::Odd),
            ("r", FileKind::Odd),
            (".opus", FileKind::Odd),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }
}
