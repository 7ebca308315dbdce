//! The targets of cargo-fuzz: the parsers that `tests/fuzz.rs` replays, fed by libFuzzer.
//!
//! `run` builds and runs them; [tests/README.md](../../../README.md) has the commands.

#[path = "../../allocator.rs"]
mod allocator;
#[path = "../../mutate.rs"]
mod mutate;
#[path = "../../parser.rs"]
mod parser;
mod parsers;
#[path = "../../../../component/genesys-cloud/tests/export/spoil.rs"]
mod spoil;

use std::{fs, panic, path::PathBuf};

use allocator::Counting;
use mutate::Rng;
use parser::{MEMORY, Parser};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The environment's name for the folder that seeds are laid out in before libFuzzer reads it.
const SEEDS: &str = "FUZZ_SEEDS";

/// Makes a target of a parser.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(init: $crate::begin($name), |input: &[u8]| {
            $crate::feed($name, input);
        });
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
            $crate::mutate($name, data, size, most, seed)
        });
    };
}

fn parser(name: &str) -> &'static Parser {
    let found = parsers::ALL.iter().find(|parser| parser.name == name);
    found.expect("a target has the name of a parser")
}

/// Lays the seeds out if the environment has a folder for them. A panic of our own code ends the fuzzer,
/// caught or not; one in a crate of others does where nothing catches it.
pub fn begin(name: &str) {
    if let Some(folder) = std::env::var_os(SEEDS) {
        for (number, seed) in (parser(name).seeds)().iter().enumerate() {
            let file = PathBuf::from(&folder).join(format!("seed-{number:03}"));
            fs::write(file, seed).expect("seeds can be written");
        }
    }
    let abort = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let file = panic.location().map_or("", |location| location.file());
        match file.contains("/registry/src/") {
            true => eprintln!("panic in a crate of others: {panic}"),
            false => abort(panic),
        }
    }));
}

/// Feeds the parser.
pub fn feed(name: &str, input: &[u8]) {
    let parser = parser(name);
    let most = Counting::most(|| (parser.feed)(input));
    assert!(most < MEMORY, "it took {most} bytes of memory");
}

/// Damages an input as libFuzzer does or as the replay does, and mends the checksums of half of them.
pub fn mutate(name: &str, data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let parser = parser(name);
    let mut rng = Rng::new(seed.into());
    let mut size = size;
    if rng.below(2) == 0 {
        size = libfuzzer_sys::fuzzer_mutate(data, size, most);
    } else {
        let mut input = data[..size].to_vec();
        (parser.mutate)(&mut rng, &mut input);
        size = input.len().min(most);
        data[..size].copy_from_slice(&input[..size]);
    }
    if rng.below(2) == 0 {
        (parser.mend)(&mut data[..size]);
    }
    size
}
