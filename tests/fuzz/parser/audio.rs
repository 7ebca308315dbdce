//! Recordings, as `transcode` and `peaks` read them.

use std::io::{self, Cursor, Seek, SeekFrom, Write};

use recording_host_transcode::{
    Channels, Form, Original, TranscodeSettings, Transcoded, peaks, transcode,
};

use crate::{
    mutate::{self, flac_frames, ogg_pages},
    parser::{Parser, owned, unmended},
};

/// The most bytes that are made of an input: as the host does, which takes no more of a small file.
const MADE: u64 = 64 << 20;
/// The stretches of a waveform.
const STRETCHES: usize = 100;

/// Ogg with Opus.
pub(crate) const OPUS: Parser = Parser {
    name: "opus",
    seeds: || owned(&OPUS_FILES),
    mutate: mutate::mutate,
    mend: ogg_pages,
    feed,
};

/// Ogg with Vorbis.
pub(crate) const VORBIS: Parser = Parser {
    name: "vorbis",
    seeds: || owned(&VORBIS_FILES),
    mutate: mutate::mutate,
    mend: ogg_pages,
    feed,
};

/// FLAC.
pub(crate) const FLAC: Parser = Parser {
    name: "flac",
    seeds: || vec![flac(1, 9000), flac(2, 3000)],
    mutate: mutate::mutate,
    mend: flac_frames,
    feed,
};

/// WAV.
pub(crate) const WAV: Parser = Parser {
    name: "wav",
    seeds: wavs,
    mutate: mutate::mutate,
    mend: unmended,
    feed,
};

pub(crate) const OPUS_FILES: [&[u8]; 3] = [
    include_bytes!("../../fixtures/transcode/hybrid.opus"),
    include_bytes!("../../fixtures/transcode/celt.opus"),
    include_bytes!("../../fixtures/transcode/silk.opus"),
];
const VORBIS_FILES: [&[u8]; 2] = [
    include_bytes!("../../fixtures/transcode/talk.ogg"),
    include_bytes!("../../fixtures/transcode/vorbis-outside.ogg"),
];
/// Sound of two channels with 16 bits, after a header of 44 bytes.
const SOUND: &[u8] = include_bytes!("../../fixtures/transcode/celt.wav");

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

fn settings(to: Form, channels: Channels) -> TranscodeSettings {
    TranscodeSettings {
        to,
        channels,
        when: None,
        original: Original::Drop,
    }
}

/// Decodes an input; what is made of it depends on its length.
fn feed(input: &[u8]) {
    let ways = [
        (Form::Wav, Channels::Mix),
        (Form::Wav, Channels::Keep),
        (Form::Flac, Channels::Split),
        (Form::Flac, Channels::Keep),
    ];
    let file = Cursor::new(input.to_vec());
    let error = match ways.get(input.len() % (ways.len() + 1)) {
        Some((to, channels)) => {
            let open = || Ok(Nothing::default());
            transcode(file, &settings(*to, *channels), open).err()
        }
        None => peaks(file, STRETCHES).err(),
    };
    if let Some(error) = error {
        let _ = error.to_string();
    }
}

/// A WAV of a tag and with a number of bits, whose `samples` follow a sound header.
fn wav(tag: u16, bits: u16, channels: u16, samples: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let length = samples.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((length + 36).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(tag.to_le_bytes());
    file.extend(channels.to_le_bytes());
    file.extend(8000_u32.to_le_bytes());
    file.extend((8000 * u32::from(frame)).to_le_bytes());
    file.extend(frame.to_le_bytes());
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend(length.to_le_bytes());
    file.extend(samples);
    file
}

/// Each form of samples, and a file that is cut off.
fn wavs() -> Vec<Vec<u8>> {
    let forms = [
        (1, 8, 2),
        (1, 16, 1),
        (1, 24, 1),
        (1, 32, 2),
        (3, 32, 1),
        (3, 64, 1),
        (6, 8, 1),
        (7, 8, 2),
    ];
    let whole = forms.map(|(tag, bits, channels)| wav(tag, bits, channels, &SOUND[5000..6200]));
    let cut = SOUND[..20_000].to_vec();
    whole.into_iter().chain([cut]).collect()
}

/// A FLAC of so many channels and bytes of sound.
fn flac(channels: u16, bytes: usize) -> Vec<u8> {
    let sound = wav(1, 16, channels, &SOUND[5000..5000 + bytes]);
    let open = || Ok(Cursor::new(Vec::new()));
    let settings = settings(Form::Flac, Channels::Keep);
    match transcode(Cursor::new(sound), &settings, open).unwrap() {
        Transcoded::Files(mut files) => files.remove(0).output.into_inner(),
        Transcoded::Already => panic!("a WAV is no FLAC"),
    }
}
