//! How many seconds of audio are transcoded in a second: `cargo bench --bench transcode`.
//!
//! The recordings of the tests, one after the other, each often enough to take a while.

use std::{
    io::Cursor,
    time::{Duration, Instant},
};

use recording_host_transcode::{
    Channels, Form, Original, TranscodeSettings, Transcoded, transcode,
};

/// How long each case is measured.
const WHILE: Duration = Duration::from_secs(2);

const INPUTS: [(&str, &[u8]); 5] = [
    (
        "Opus, speech",
        include_bytes!("../../../tests/fixtures/transcode/silk.opus"),
    ),
    (
        "Opus, hybrid",
        include_bytes!("../../../tests/fixtures/transcode/hybrid.opus"),
    ),
    (
        "Opus, music",
        include_bytes!("../../../tests/fixtures/transcode/celt.opus"),
    ),
    (
        "Vorbis",
        include_bytes!("../../../tests/fixtures/transcode/talk.ogg"),
    ),
    (
        "WAV",
        include_bytes!("../../../tests/fixtures/transcode/celt.wav"),
    ),
];

fn main() {
    for (name, input) in INPUTS {
        for to in [Form::Wav, Form::Flac] {
            let settings = TranscodeSettings {
                to,
                channels: Channels::Split,
                when: None,
                original: Original::Drop,
            };
            let begin = Instant::now();
            let mut seconds = 0.0;
            while begin.elapsed() < WHILE {
                seconds += transcoded(input, &settings);
            }
            let speed = seconds / begin.elapsed().as_secs_f64();
            println!(
                "{name:<14} {:<11} {speed:>6.0} times real time",
                to.content_type()
            );
        }
    }
}

/// Transcodes a recording, and says how long it is in seconds.
fn transcoded(input: &'static [u8], settings: &TranscodeSettings) -> f64 {
    let open = || Ok(Cursor::new(Vec::new()));
    match transcode(Cursor::new(input), settings, open) {
        Ok(Transcoded::Files(files)) => files[0].frames as f64 / f64::from(files[0].rate),
        other => panic!("{other:?}"),
    }
}
