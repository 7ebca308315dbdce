//! All that is read from the bytes of a file on its way, for the fuzzers.

use recording_host_model::{Artifact, ArtifactKey, Container, Download};

use super::{
    announced::{AnnouncedContent, HEAD, is_wrong, listed},
    media_length::MediaLength,
    media_type::decide,
};

/// What is told of a file in all: why it is no recording, the MIME type that it gets, whether the words of a
/// server or an index about it are wrong, and the length that it states if that is more than it has.
pub type MediaFacts = (
    Option<String>,
    String,
    bool,
    Option<String>,
    Option<u64>,
    bool,
);

/// Reads a file of this announced type that comes in pieces of so many bytes.
pub fn read(announced: Option<&str>, file: &[u8], piece: usize) -> MediaFacts {
    let first = &file[..file.len().min(HEAD)];
    let kind = announced.map(str::to_owned);
    let artifact = Artifact {
        key: ArtifactKey::Bundle(String::new()),
        download: Download {
            url: String::new(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: kind.clone(),
        container: Container::Single,
        size: None,
        sha256: None,
    };
    let unfit = AnnouncedContent::of(&artifact, None).check(first, first.len() == file.len());
    let mut length = MediaLength::of(first);
    for data in file.chunks(piece.max(1)) {
        length.feed(data);
    }
    let word = announced.unwrap_or_default();
    (
        unfit.err().map(|unfit| unfit.to_string()),
        decide([None, kind], first),
        is_wrong(word, first),
        listed(word, first),
        length.claimed(file.len() as u64),
        length.is_unended(),
    )
}
