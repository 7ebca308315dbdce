//! Every parser of bytes from outside, fed with damaged input: each test replays its seeds, what fuzzers found
//! (`fuzz/corpus`), and some hundred mutations of both, the same ones each time. `FUZZ_ROUNDS=10000` makes it
//! as many. `fuzz/coverage` feeds the same parsers, guided by coverage.
//!
//! Checksums are made right again after half of the mutations, or a parser would see little but its own
//! check of them. Nothing may panic, and nothing may take more than 64 MiB. With `FUZZ_ROUNDS` set, nothing
//! may take longer than a second either.

#[path = "fuzz/allocator.rs"]
mod allocator;
#[path = "fuzz/parser/answers.rs"]
mod answers;
#[path = "fuzz/parser/archive.rs"]
mod archive;
#[path = "fuzz/parser/audio.rs"]
mod audio;
#[path = "fuzz/parser/configuration.rs"]
mod configuration;
#[path = "fuzz/parser/encrypted.rs"]
mod encrypted;
#[path = "fuzz/parser/genesys_bucket.rs"]
mod genesys_bucket;
#[path = "fuzz/parser/genesys_cloud.rs"]
mod genesys_cloud;
#[path = "fuzz/parser/http.rs"]
mod http;
#[path = "fuzz/parser/media.rs"]
mod media;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/parser/page.rs"]
mod page;
#[path = "fuzz/parser.rs"]
mod parser;
#[path = "fuzz/parser/receipts.rs"]
mod receipts;
#[path = "fuzz/parser/rows.rs"]
mod rows;
#[path = "../component/genesys-cloud/tests/export/spoil.rs"]
mod spoil;
#[path = "fuzz/parser/vendor.rs"]
mod vendor;

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use allocator::Counting;
use mutate::Rng;
use parser::{MEMORY, Parser};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Mutations in the gate.
const ROUNDS: u64 = 200;
/// The longest that an input may take in a long run.
const LONGEST: Duration = Duration::from_secs(1);
/// The folder beside this file.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz");

/// A test for each parser, and the names of all of them.
macro_rules! parsers {
    ($($test:ident: $parser:expr,)*) => {
        $(
            #[test]
            fn $test() {
                fuzz(&$parser);
            }
        )*

        fn names() -> BTreeSet<String> {
            [$($parser.name.to_owned()),*].into()
        }
    };
}

parsers! {
    answers_of_genesys_cloud: genesys_cloud::GENESYS_CLOUD,
    answers_of_servers: http::HTTP,
    configurations: configuration::CONFIGURATION,
    encrypted_objects: encrypted::ENCRYPTED,
    files_of_answers: answers::ANSWERS,
    flac_frames_and_metadata: audio::FLAC,
    listings_and_metadata_of_a_bucket: genesys_bucket::GENESYS_BUCKET,
    ogg_with_opus: audio::OPUS,
    ogg_with_vorbis: audio::VORBIS,
    receipts_of_an_archive: receipts::RECEIPTS,
    requests_to_the_page: page::PAGE,
    rows_of_an_archive: rows::ROWS,
    the_beginning_and_the_length_of_media: media::MEDIA,
    wav: audio::WAV,
    zip_and_the_index_in_it: archive::ZIP,
}

/// The files in a folder, in the order of their names; none if it does not exist.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Feeds a parser with its seeds, what fuzzers found, and mutations of both.
fn fuzz(parser: &Parser) {
    let wanted = std::env::var("FUZZ_ROUNDS").ok();
    let long = wanted.is_some();
    let rounds = wanted.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let judge = |name: &str, input: &[u8]| {
        let began = Instant::now();
        let mut parsed = Ok(());
        let most = Counting::most(|| {
            parsed = catch_unwind(AssertUnwindSafe(|| (parser.feed)(input)));
        });
        let took = began.elapsed();
        assert!(parsed.is_ok(), "{name}: it panicked");
        assert!(most < MEMORY, "{name}: it took {most} bytes of memory");
        assert!(!long || took < LONGEST, "{name}: it took {took:?}");
    };
    let mut corpus = (parser.seeds)();
    for (number, input) in corpus.iter().enumerate() {
        judge(&format!("seed {number}"), input);
    }
    for file in files(&Path::new(FOLDER).join("corpus").join(parser.name)) {
        let input = fs::read(&file).unwrap();
        judge(&file.display().to_string(), &input);
        corpus.push(input);
    }
    for round in 0..rounds {
        let mut rng = Rng::new(round);
        let mut input = corpus[rng.below(corpus.len())].clone();
        (parser.mutate)(&mut rng, &mut input);
        if rng.below(2) == 0 {
            (parser.mend)(&mut input);
        }
        judge(&format!("round {round}"), &input);
    }
}

/// What a fuzzer does not come to by itself: megabytes of JSON in a few kilobytes.
#[test]
fn an_index_takes_no_more_memory_than_its_text_whatever_is_in_it() {
    let objects = |item: &dyn Fn(usize) -> String| {
        let items: Vec<String> = (0..).map(item).take(4_000_000 / item(0).len()).collect();
        format!("[{}]", items.join(","))
    };
    for text in [
        objects(&|_| r#"{"":0}"#.to_owned()),
        objects(&|_| "0".to_owned()).replace(',', " ,"),
        objects(&|number| format!(r#"{{"c":1,"r":1,"f":{:07}}}"#, number + 1_000_000)),
    ] {
        let index = [("index.json", text.as_bytes())];
        let input = archive::packed(zip::CompressionMethod::Deflated, &index);
        let most = Counting::most(|| (archive::ZIP.feed)(&input));
        assert!(most < MEMORY, "{} took {most} bytes of memory", &text[..20]);
    }
}

#[test]
fn every_target_and_every_folder_of_the_corpus_is_replayed() {
    let stems = |folder: &str| -> BTreeSet<String> {
        let files = files(&Path::new(FOLDER).join(folder)).into_iter();
        files
            .map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(stems("coverage/targets"), names());
    assert!(stems("corpus").is_subset(&names()));
}
