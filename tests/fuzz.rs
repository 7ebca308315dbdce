//! Every parser of bytes from outside, fed with damaged input: each test replays a corpus and some hundred
//! mutations of it, the same ones each time. `FUZZ_ROUNDS=10000` makes it as many.
//!
//! Checksums are made right again after half of the mutations, or a parser would see little but its own
//! check of them. Nothing may panic, and nothing may take more than 64 MiB. With `FUZZ_ROUNDS` set, nothing
//! may take longer than a second either.

#[path = "fuzz/allocator.rs"]
mod allocator;
#[path = "fuzz/mutate.rs"]
mod mutate;

use std::{
    fs::File,
    io::{self, Cursor, Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use allocator::Counting;
use mutate::{Rng, flac_frames, ogg_pages, zip_entries};
use recording_host_engine::receipt::ReceiptReader;
use recording_host_model::BundleIndex;
use recording_host_transcode::{
    Channels, Form, Original, TranscodeSettings, Transcoded, transcode,
};
use recording_host_zip::{Archive, Limits};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Mutations in the gate.
const ROUNDS: u64 = 200;
/// The most memory that an input may take, in bytes.
const MEMORY: usize = 64 << 20;
/// The longest that an input may take in a long run.
const LONGEST: Duration = Duration::from_secs(1);
/// The most bytes that are made of an input: as the host does, which takes no more of a small file.
const MADE: u64 = 64 << 20;

const OPUS: [&[u8]; 3] = [
    include_bytes!("fixtures/transcode/hybrid.opus"),
    include_bytes!("fixtures/transcode/celt.opus"),
    include_bytes!("fixtures/transcode/silk.opus"),
];
const VORBIS: [&[u8]; 2] = [
    include_bytes!("fixtures/transcode/talk.ogg"),
    include_bytes!("fixtures/transcode/vorbis-outside.ogg"),
];
const RECEIPTS: [&[u8]; 3] = [
    include_bytes!("fixtures/receipts/v1.jsonl"),
    include_bytes!("fixtures/receipts/v1-index.jsonl"),
    include_bytes!("fixtures/receipts/v2.jsonl"),
];

/// Feeds a parser with a corpus and with mutations of it.
fn fuzz(corpus: &[Vec<u8>], mend: fn(&mut [u8]), parse: impl Fn(&[u8])) {
    let wanted = std::env::var("FUZZ_ROUNDS").ok();
    let long = wanted.is_some();
    let rounds = wanted.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let judge = |name: &str, input: &[u8]| {
        let (began, before) = (Instant::now(), Counting::reset());
        let parsed = catch_unwind(AssertUnwindSafe(|| parse(input)));
        let took = began.elapsed();
        let most = Counting::peak().saturating_sub(before);
        assert!(parsed.is_ok(), "{name}: it panicked");
        assert!(most < MEMORY, "{name}: it took {most} bytes of memory");
        assert!(!long || took < LONGEST, "{name}: it took {took:?}");
    };
    for (number, input) in corpus.iter().enumerate() {
        judge(&format!("file {number} of the corpus"), input);
    }
    for round in 0..rounds {
        let mut rng = Rng::new(round);
        let mut input = corpus[rng.below(corpus.len())].clone();
        mutate::mutate(&mut rng, &mut input);
        if rng.below(2) == 0 {
            mend(&mut input);
        }
        judge(&format!("round {round}"), &input);
    }
}

fn owned(corpus: &[&[u8]]) -> Vec<Vec<u8>> {
    corpus.iter().map(|input| input.to_vec()).collect()
}

fn unmended(_: &mut [u8]) {}

/// Takes what is made, and keeps none of it.
#[derive(Default)]
struct Nothing {
    at: u64,
    written: u64,
}

impl Write for Nothing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        self.at += bytes.len() as u64;
        match self.written > MADE {
            true => Err(io::ErrorKind::QuotaExceeded.into()),
            false => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Nothing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let SeekFrom::Start(at) = to {
            self.at = at;
        }
        Ok(self.at)
    }
}

fn transcoding(to: Form, channels: Channels) -> TranscodeSettings {
    TranscodeSettings {
        to,
        channels,
        when: None,
        original: Original::Drop,
    }
}

fn transcoded(input: &[u8]) {
    let settings = transcoding(Form::Wav, Channels::Mix);
    let open = || Ok(Nothing::default());
    if let Err(error) = transcode(Cursor::new(input.to_vec()), &settings, open) {
        let _ = error.to_string();
    }
}

fn flac() -> Vec<u8> {
    let settings = transcoding(Form::Flac, Channels::Keep);
    let wav = include_bytes!("fixtures/transcode/celt.wav");
    let open = || Ok(Cursor::new(Vec::new()));
    match transcode(Cursor::new(wav.to_vec()), &settings, open).unwrap() {
        Transcoded::Files(mut files) => files.remove(0).output.into_inner(),
        Transcoded::Already => panic!("a WAV is no FLAC"),
    }
}

#[test]
fn ogg_with_opus() {
    fuzz(&owned(&OPUS), ogg_pages, transcoded);
}

#[test]
fn ogg_with_vorbis() {
    fuzz(&owned(&VORBIS), ogg_pages, transcoded);
}

#[test]
fn flac_frames_and_metadata() {
    fuzz(&[flac()], flac_frames, transcoded);
}

#[test]
fn wav() {
    let plain = include_bytes!("fixtures/transcode/hybrid.wav")[..20_000].to_vec();
    let mut law = plain[..3000].to_vec();
    law[20] = 7;
    law[34] = 8;
    law[32] = 1;
    fuzz(&[plain, law], unmended, transcoded);
}

/// An archive with stored and deflated entries, and an index that lists them.
fn archives() -> Vec<Vec<u8>> {
    let index =
        r#"[{"c":"c1","r":"r1","f":"a/1.ogg","t":"audio/ogg","x":"ü"},{"c":"c2","e":"gone"}]"#;
    [
        zip::CompressionMethod::Stored,
        zip::CompressionMethod::Deflated,
    ]
    .map(|method| {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, content) in [
            ("index.json", index.as_bytes()),
            ("a/1.ogg", &OPUS[0][..2000]),
            ("../b\\2.ogg", b"words words words"),
        ] {
            writer.start_file(name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    })
    .into()
}

fn unpacked(input: &[u8]) {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(input).unwrap();
    let Ok(archive) = Archive::open(file, &Limits::default()) else {
        return;
    };
    for entry in archive.entries() {
        let _ = archive.unpack(entry, |_| true);
        assert!(!entry.safe_name.split('/').any(|part| part == ".."));
    }
    let _ = archive.listed(&BundleIndex {
        conversation_field: "c".to_owned(),
        recording_field: "r".to_owned(),
        file_field: "f".to_owned(),
        content_type_field: Some("t".to_owned()),
        error_field: Some("e".to_owned()),
        retryable_errors: Vec::new(),
        columns: Vec::new(),
    });
}

#[test]
fn zip_and_the_index_in_it() {
    fuzz(&archives(), zip_entries, unpacked);
}

#[test]
fn receipts() {
    fuzz(&owned(&RECEIPTS), unmended, |input| {
        if let Ok(reader) = ReceiptReader::new(input) {
            reader.for_each(drop);
        }
    });
}
