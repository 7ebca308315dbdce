//! MIME types and extensions.

const TYPES: &[(&str, &str)] = &[
    ("audio/ogg", "ogg"),
    ("audio/opus", "opus"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/vnd.wave", "wav"),
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/flac", "flac"),
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

/// The first bytes of the files that have such, and their MIME types.
const MAGIC: &[(&[u8], usize, &str)] = &[
    (b"OggS", 0, "audio/ogg"),
    (b"WAVE", 8, "audio/wav"),
    (b"fLaC", 0, "audio/flac"),
    (b"ID3", 0, "audio/mpeg"),
    (&[0x1a, 0x45, 0xdf, 0xa3], 0, "video/webm"),
    (b"ftyp", 4, "video/mp4"),
    (b"PK\x03\x04", 0, "application/zip"),
];

/// The MIME type of a file: the first one told that is known here, else what its first bytes look
/// like, else whatever was told.
pub(super) fn settle(told: [Option<String>; 2], first: &[u8]) -> String {
    let known = |kind: &&String| extension(kind) != "bin";
    if let Some(kind) = told.iter().flatten().find(known) {
        return kind.clone();
    }
    let looks = MAGIC
        .iter()
        .find(|(magic, at, _)| first.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    let mpeg = matches!(first, [0xff, second, ..] if second & 0xe6 == 0xe2);
    match looks {
        Some((_, _, kind)) => (*kind).to_owned(),
        None if mpeg => "audio/mpeg".to_owned(),
        None => {
            let other = told.into_iter().flatten().next();
            other.unwrap_or_else(|| "application/octet-stream".to_owned())
        }
    }
}

/// The MIME type for a file name.
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit('.').next().unwrap_or_default();
    TYPES
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(extension))
        .map_or("application/octet-stream", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_is_replaced_by_what_the_bytes_look_like() {
        let odd = || Some("audio/x-new".to_owned());
        let ogg = "audio/ogg; codecs=opus";
        assert_eq!(settle([odd(), Some(ogg.to_owned())], b"RIFF"), ogg);
        assert_eq!(settle([odd(), None], b"OggS\0"), "audio/ogg");
        assert_eq!(settle([odd(), None], b"RIFF....WAVEfmt "), "audio/wav");
        assert_eq!(settle([None, None], &[0xff, 0xfb, 0x90]), "audio/mpeg");
        assert_eq!(settle([odd(), None], b"?"), "audio/x-new");
        assert_eq!(settle([None, None], b""), "application/octet-stream");
    }
}
