//! Checks that a file is what its source announces: its first bytes against that type.
//!
//! Only what contradicts its announcement is refused: bytes that are recognizably something else, a
//! page or a message where sound was announced, or fewer bytes than a header has. What is not
//! recognized is no contradiction, since audio without a header looks like nothing.

use super::media_type::{content_type, essence, extension, is_zip};
use recording_host_model::{Artifact, ArtifactKey, Container, ConversationRecord};

/// How many of a file's first bytes are looked at.
pub(super) const HEAD: usize = 64;
/// Fewer bytes than this are the beginning of no audio or video format.
const LEAST: usize = 12;
/// The media types of conversations that are recorded as sound or picture alone.
const SPOKEN: [&str; 5] = ["voice", "callback", "video", "screenshare", "cobrowse"];

/// The appearance of the first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looks {
    /// Sound or moving pictures of this type.
    Media(&'static str),
    /// A zip.
    Zip,
    Html,
    Xml,
    Json,
    /// Words in no particular form.
    Text,
    /// Another format: how messages call it, and its extension.
    Other(&'static str, &'static str),
    Unknown,
}

/// A file that is not what was announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unfit {
    /// A short stable code: `empty` or `not-a-recording`.
    pub code: &'static str,
    /// The reason: what was announced and what came.
    pub reason: String,
    /// The extension for what came.
    pub(super) extension: &'static str,
}

impl Unfit {
    /// A file that is no recording, for this reason.
    pub(super) fn not_a_recording(reason: String, extension: &'static str) -> Self {
        Unfit {
            code: "not-a-recording",
            reason,
            extension,
        }
    }

    /// A file without a byte in it.
    pub(super) fn empty() -> Self {
        Unfit {
            code: "empty",
            reason: "the file has no byte in it".to_owned(),
            extension: "bin",
        }
    }

    /// The MIME type of what came.
    pub(super) fn content_type(&self) -> &'static str {
        content_type(self.extension)
    }
}

/// The content of an artifact as its source announces it.
pub(super) struct AnnouncedContent {
    announced: Option<String>,
    /// True if the conversation may have been recorded as text; none if nobody says.
    written: Option<bool>,
}

/// The announced kind of content, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Media,
    Zip,
    Json,
    Xml,
    Html,
    Text,
    Other,
    Nothing,
}

impl AnnouncedContent {
    /// What a source announces of an artifact of a conversation, as far as it is known.
    pub(super) fn of(artifact: &Artifact, record: Option<&ConversationRecord>) -> Self {
        let packed = !matches!(artifact.container, Container::Single)
            || matches!(artifact.key, ArtifactKey::Bundle(_));
        let announced = match packed {
            true => Some(super::ZIP.to_owned()),
            false => artifact.content_type.clone(),
        };
        let kinds = record.map_or(&[][..], |record| &record.media_types);
        let spoken = |kind: &String| SPOKEN.iter().any(|word| kind.eq_ignore_ascii_case(word));
        AnnouncedContent {
            announced,
            written: (!kinds.is_empty()).then(|| !kinds.iter().all(spoken)),
        }
    }

    /// Compares it with a file's first bytes; `all` says that there are no more.
    pub(super) fn check(&self, first: &[u8], all: bool) -> Result<(), Unfit> {
        if all && first.is_empty() {
            return Err(Unfit::empty());
        }
        let (looks, family) = (looks(first), family(self.announced.as_deref()));
        if contradicts(family, looks, self.written) {
            let came = looks.described();
            let reason = match &self.announced {
                Some(announced) => format!("{announced} was announced, and {came} came"),
                None => format!("{came} came, which is no recording of this conversation"),
            };
            return Err(Unfit::not_a_recording(reason, looks.extension()));
        }
        let least = match looks {
            Looks::Media("audio/wav") => 44,
            Looks::Media("audio/flac") => 42,
            Looks::Media("audio/ogg") => 28,
            Looks::Media(_) => LEAST,
            Looks::Unknown if family == Family::Media => LEAST,
            _ => 0,
        };
        if all && first.len() < least {
            let announced = self.announced.as_deref().unwrap_or_default();
            let extension = match looks.extension() {
                "bin" => extension(announced),
                extension => extension,
            };
            let came = first.len();
            let reason = format!("{came} bytes came, fewer than the header of a recording has");
            return Err(Unfit::not_a_recording(reason, extension));
        }
        Ok(())
    }
}

/// Why a file of a bundle, which begins so, is not the recording that the index calls it; none if that
/// is no recording of sound or pictures.
pub(super) fn listed(content_type: &str, first: &[u8]) -> Option<String> {
    let looks = looks(first);
    let media = family(Some(content_type)) == Family::Media;
    match (media, first.is_empty()) {
        (false, _) => None,
        (true, true) => Some("there is no byte in it".to_owned()),
        (true, false) => contradicts(Family::Media, looks, None).then(|| {
            let came = looks.described();
            format!("the index calls it {content_type}, and it is {came}")
        }),
    }
}

/// Returns true if the first bytes of a file contradict the server's word for its type.
pub(super) fn is_wrong(served: &str, first: &[u8]) -> bool {
    contradicts(family(Some(served)), looks(first), None)
}

fn family(announced: Option<&str>) -> Family {
    let kind = announced.map(essence).unwrap_or_default();
    let (top, sub) = kind.split_once('/').unwrap_or_default();
    match (top, sub) {
        ("", _) | ("binary", _) | (_, "octet-stream" | "force-download" | "x-download") => {
            Family::Nothing
        }
        _ if is_zip(&kind) => Family::Zip,
        (_, "html" | "xhtml+xml") => Family::Html,
        _ if sub == "json" || sub.ends_with("+json") => Family::Json,
        _ if sub == "xml" || sub.ends_with("+xml") => Family::Xml,
        ("text" | "message" | "multipart", _) => Family::Text,
        ("audio" | "video", _) | ("application", "ogg" | "mp4") => Family::Media,
        _ => Family::Other,
    }
}

fn contradicts(family: Family, looks: Looks, written: Option<bool>) -> bool {
    use Looks::{Html, Json, Media, Other, Text, Unknown, Xml, Zip};
    match (family, looks) {
        (_, Unknown) => false,
        // A vendor's word for the container need not be right: sound is sound.
        (Family::Media, Media(_)) => false,
        // A zip of which nothing can be read is kept as it came, whatever else it is.
        (Family::Zip, Zip | Text) => false,
        (Family::Json, Json | Text) | (Family::Xml, Xml | Html | Text) => false,
        (Family::Media | Family::Zip | Family::Json | Family::Xml, _) => true,
        (Family::Html | Family::Text, Media(_) | Zip | Other(..)) => true,
        (Family::Html | Family::Text, _) => false,
        (Family::Other, found) => found == Html,
        (Family::Nothing, Html | Xml) => written != Some(true),
        (Family::Nothing, Json | Text) => written == Some(false),
        (Family::Nothing, _) => false,
    }
}

impl Looks {
    fn described(self) -> String {
        match self {
            Looks::Media(kind) => kind.to_owned(),
            Looks::Zip => "a zip".to_owned(),
            Looks::Html => "an HTML page".to_owned(),
            Looks::Xml => "an XML document".to_owned(),
            Looks::Json => "a JSON document".to_owned(),
            Looks::Text => "text".to_owned(),
            Looks::Other(name, _) => name.to_owned(),
            Looks::Unknown => "something else".to_owned(),
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Looks::Media(kind) => extension(kind),
            Looks::Zip => "zip",
            Looks::Html => "html",
            Looks::Xml => "xml",
            Looks::Json => "json",
            Looks::Text => "txt",
            Looks::Other(_, extension) => extension,
            Looks::Unknown => "bin",
        }
    }
}

/// The first bytes of sound and moving pictures, where they stand, and the MIME type.
const MEDIA: &[(&[u8], usize, &str)] = &[
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ID3", 0, "audio/mpeg"),
    (&[0x1a, 0x45, 0xdf, 0xa3], 0, "video/webm"),
    (b"ftyp", 4, "video/mp4"),
    (b"moov", 4, "video/mp4"),
    (b"mdat", 4, "video/mp4"),
    (b"free", 4, "video/mp4"),
    (b"skip", 4, "video/mp4"),
    (b"wide", 4, "video/mp4"),
    (b"#!AMR", 0, "audio/amr"),
    (b".snd", 0, "audio/basic"),
    (b"caff", 0, "audio/x-caf"),
    (b"AIFF", 8, "audio/aiff"),
    (b"AIFC", 8, "audio/aiff"),
    (b"AVI ", 8, "video/x-msvideo"),
    (&[0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66], 0, "video/x-ms-asf"),
    (&[0, 0, 1, 0xba], 0, "video/mpeg"),
    (b"FLV\x01", 0, "video/x-flv"),
];
/// The same of other formats, with how messages call them and their extensions.
const OTHERS: &[(&[u8], &str, &str)] = &[
    (b"%PDF-", "a PDF", "pdf"),
    (b"\x89PNG\r\n", "a PNG picture", "png"),
    (&[0xff, 0xd8, 0xff], "a JPEG picture", "jpg"),
    (b"GIF8", "a GIF picture", "gif"),
    (&[0x1f, 0x8b, 8], "gzip", "gz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z"),
    (b"Rar!\x1a\x07", "a RAR archive", "rar"),
    (b"\x7fELF", "a program", "bin"),
];
/// The beginnings of pages.
const HTML: [&str; 15] = [
    "<!doctype html",
    "<html",
    "<head",
    "<body",
    "<title",
    "<script",
    "<style",
    "<meta",
    "<center",
    "<h1",
    "<p>",
    "<div",
    "<iframe",
    "<table",
    "<!--",
];

/// The appearance of the first bytes of a file.
pub(super) fn looks(first: &[u8]) -> Looks {
    let wave = first.get(8..12) == Some(b"WAVE");
    let riff = [b"RIFF", b"RIFX", b"RF64", b"BW64"];
    if wave && riff.iter().any(|magic| first.starts_with(*magic)) {
        return Looks::Media("audio/wav");
    }
    let at = |magic: &[u8], at: usize| first.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((.., kind)) = MEDIA.iter().find(|(magic, offset, _)| at(magic, *offset)) {
        return Looks::Media(kind);
    }
    let zip = [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"];
    if zip.iter().any(|magic| first.starts_with(*magic)) {
        return Looks::Zip;
    }
    if let Some((_, name, extension)) = OTHERS.iter().find(|(magic, ..)| at(magic, 0)) {
        return Looks::Other(name, extension);
    }
    // Encoders fill up with zeros before the first frame.
    let padding = first.iter().take_while(|byte| **byte == 0).count();
    match first[padding..] {
        // Layer III or II, and ADTS, which has no layer.
        [0xff, second, ..] if second & 0xe6 == 0xe2 || second & 0xe6 == 0xe4 => {
            return Looks::Media("audio/mpeg");
        }
        [0xff, second, ..] if second & 0xf6 == 0xf0 => return Looks::Media("audio/aac"),
        _ => {}
    }
    written(first)
}

/// The appearance of bytes that may be text.
fn written(first: &[u8]) -> Looks {
    let bytes: Vec<u8> = match first {
        [0xff, 0xfe, rest @ ..] | [0xfe, 0xff, rest @ ..] => {
            // UTF-16: what pages begin with has a zero in each character.
            rest.iter().copied().filter(|byte| *byte != 0).collect()
        }
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        rest => rest.to_vec(),
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Looks::Unknown,
    };
    if text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
        return Looks::Unknown;
    }
    let text = text.trim_start().to_ascii_lowercase();
    // A chat in JSON may mention a page, and is none.
    let markup = text.starts_with('<');
    let html = markup && (text.contains("<html") || text.contains("<!doctype html"));
    if html || HTML.iter().any(|tag| text.starts_with(tag)) {
        return Looks::Html;
    }
    let mut chars = text.chars();
    let opening = chars.next();
    let then = chars.find(|c| !c.is_whitespace());
    match (opening, then) {
        (Some('<'), Some('?' | '!' | 'a'..='z')) => Looks::Xml,
        (Some('{'), Some('"' | '}')) => Looks::Json,
        (Some('['), Some('{' | '[' | '"' | ']')) => Looks::Json,
        _ if is_prose(&text) => Looks::Text,
        _ => Looks::Unknown,
    }
}

/// Returns true if a text has words in it: bytes of silence are letters, too, but always the same.
fn is_prose(text: &str) -> bool {
    let mut different = [false; 128];
    let letters = text.bytes().filter(u8::is_ascii_alphabetic);
    letters
        .clone()
        .for_each(|letter| different[usize::from(letter & 0x7f)] = true);
    let kinds = different.iter().filter(|there| **there).count();
    text.contains(char::is_whitespace) && kinds >= 5 && letters.count() * 2 > text.len()
}

#[cfg(test)]
mod tests;
