//! The beginnings of files, and the lengths that they state, as a transfer reads them on the way.
//!
//! An input is a byte that chooses the announced type, one that chooses the length of pieces, and the file.

use recording_host_engine::transfer::fuzzed;

use super::audio::OPUS_FILES;
use crate::{
    mutate::{self, Rng},
    parser::{Parser, unmended},
};

/// The facts that are read of a file before it is stored.
pub(crate) const MEDIA: Parser = Parser {
    name: "media",
    seeds,
    mutate,
    mend: unmended,
    feed,
};

/// The types that are announced.
const KINDS: [Option<&str>; 8] = [
    None,
    Some("audio/ogg; codecs=opus"),
    Some("audio/wav"),
    Some("video/mp4"),
    Some("application/zip"),
    Some("application/json"),
    Some("text/html"),
    Some("odd"),
];
/// The lengths of pieces.
const PIECES: [usize; 5] = [1, 3, 7, 64, 4096];

/// A file of each form that states its length, and of what is no recording.
fn seeds() -> Vec<Vec<u8>> {
    let sound = b"fmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0";
    let samples = [7; 60];
    let wide = b"ds64\x1c\0\0\0\xa0\0\0\0\0\0\0\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let big = b"fmt \0\0\0\x10\0\x01\0\x01\0\0\x1f@\0\0>\x80\0\x02\0\x10data\0\0\0\x3c";
    let webm = b"\x1a\x45\xdf\xa3\x84\x01\x02\x03\x04\x18\x53\x80\x67\x40\x3c";
    let box_ = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x01mdat\0\0\0\0\0\0\0\x4c";
    let files = [
        [
            b"RIFF\x68\0\0\0WAVE",
            &sound[..],
            b"LIST\x03\0\0\0abc\0data\x3c\0\0\0",
            &samples,
        ]
        .concat(),
        [
            b"RF64\xff\xff\xff\xffWAVE",
            &wide[..],
            sound,
            b"data\xff\xff\xff\xff",
            &samples,
        ]
        .concat(),
        [b"RIFX\0\0\0\x60WAVE", &big[..], &samples].concat(),
        [&webm[..], &samples].concat(),
        [&box_[..], &samples, b"\0\0\0\x10moovabcdefgh"].concat(),
        OPUS_FILES[0].to_vec(),
        b"\xef\xbb\xbf <!DOCTYPE html><html><body>Please log in</body></html>".to_vec(),
        b"\xff\xfe<\0h\0t\0m\0l\0>\0".to_vec(),
        br#"{"message":"not found","code":"not.found"}"#.to_vec(),
        b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".to_vec(),
        b"the recording is not available any more, sorry".to_vec(),
        b"PK\x03\x04\x14\0\0\0\0\0".to_vec(),
        b"\0\0\0\xff\xfb\x90\x64\0\0\0\0\0\0".to_vec(),
    ];
    let chosen = files.into_iter().zip(0_u8..);
    chosen
        .map(|(file, number)| [&[number % 8, number % 5][..], &file].concat())
        .collect()
}

/// Damages the file, and sometimes what is chosen.
fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    let mut file = input.split_off(input.len().min(2));
    mutate::mutate(rng, &mut file);
    if rng.below(4) == 0 && !input.is_empty() {
        let at = rng.below(input.len());
        input[at] = rng.below(40) as u8;
    }
    input.extend(file);
}

fn feed(input: &[u8]) {
    let [kind, piece, file @ ..] = input else {
        return;
    };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let piece = PIECES[usize::from(*piece) % PIECES.len()];
    let told = fuzzed::read(kind, file, piece);
    let whole = fuzzed::read(kind, file, file.len());
    assert!(
        told == whole,
        "in pieces of {piece} it tells {told:?}, whole {whole:?}"
    );
    let length = told.4;
    assert!(length.is_none_or(|length| length > file.len() as u64));
}
