//! MIME types and extensions.

use super::{
    ZIP,
    announced::{Looks, is_wrong, looks},
};

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
    ("application/x-zip-compressed", "zip"),
    ("application/json", "json"),
    ("message/rfc822", "eml"),
    ("text/plain", "txt"),
    ("text/html", "html"),
];

/// The extension for a MIME type.
pub(super) fn extension(content_type: &str) -> &'static str {
    let plain = essence(content_type);
    let mut types = TYPES.iter();
    let known = types.find(|(name, _)| *name == plain);
    known.map_or("bin", |(_, extension)| extension)
}

/// The MIME type of a file: the one that the source gives, if it is known here, else the server's, unless
/// the first bytes contradict that, else what those look like, else whatever was given.
pub(super) fn decide(reported: [Option<String>; 2], first: &[u8]) -> String {
    let known = |kind: &&String| extension(kind) != "bin";
    let [announced, served] = &reported;
    let right = |kind: &&String| !is_wrong(kind, first);
    let believed = announced.as_ref().filter(known);
    if let Some(kind) = believed.or_else(|| served.as_ref().filter(known).filter(right)) {
        return kind.clone();
    }
    match looks(first) {
        Looks::Media(kind) => kind.to_owned(),
        Looks::Zip => ZIP.to_owned(),
        _ => {
            let other = reported.into_iter().flatten().next();
            other.unwrap_or_else(|| "application/octet-stream".to_owned())
        }
    }
}

/// A MIME type without its parameters, in lower case.
pub(super) fn essence(kind: &str) -> String {
    let plain = kind.split(';').next().unwrap_or_default();
    plain.trim().to_ascii_lowercase()
}

/// Returns true if a MIME type is that of zips.
pub(super) fn is_zip(kind: &str) -> bool {
    extension(kind) == "zip"
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
        assert_eq!(decide([odd(), Some(ogg.to_owned())], b"RIFF"), ogg);
        assert_eq!(decide([odd(), None], b"OggS\0"), "audio/ogg");
        assert_eq!(decide([odd(), None], b"RIFF....WAVEfmt "), "audio/wav");
        assert_eq!(decide([None, None], &[0xff, 0xfb, 0x90]), "audio/mpeg");
        assert_eq!(decide([odd(), None], b"?"), "audio/x-new");
        assert_eq!(decide([None, None], b""), "application/octet-stream");
    }

    #[test]
    fn a_server_that_calls_sound_a_page_is_not_believed() {
        let served = |kind: &str| [None, Some(kind.to_owned())];
        assert_eq!(decide(served("text/html"), b"OggS\0"), "audio/ogg");
        assert_eq!(decide(served("text/html"), b"<html>"), "text/html");
        let announced = |kind: &str| [Some(kind.to_owned()), Some("text/html".to_owned())];
        assert_eq!(decide(announced("audio/wav"), b"OggS\0"), "audio/wav");
        for zip in [
            "APPLICATION/ZIP",
            "application/zip; charset=binary",
            "application/x-zip-compressed",
        ] {
            assert!(is_zip(&decide(announced(zip), b"PK\x03\x04")), "{zip}");
        }
    }
}
