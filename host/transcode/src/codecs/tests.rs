mod hostile;

use std::io::Cursor;

use crate::*;

const HYBRID: &[u8] = include_bytes!("../../../../tests/fixtures/transcode/hybrid.opus");
const HYBRID_WAV: &[u8] = include_bytes!("../../../../tests/fixtures/transcode/hybrid.wav");
const CELT: &[u8] = include_bytes!("../../../../tests/fixtures/transcode/celt.opus");
const CELT_WAV: &[u8] = include_bytes!("../../../../tests/fixtures/transcode/celt.wav");
const SILK: &[u8] = include_bytes!("../../../../tests/fixtures/transcode/silk.opus");
const VORBIS: &[u8] = include_bytes!("../../../../tests/fixtures/transcode/talk.ogg");

type Bytes = Cursor<Vec<u8>>;

fn settings(to: Form, channels: Channels) -> TranscodeSettings {
    TranscodeSettings {
        to,
        channels,
        when: None,
        original: Original::Drop,
    }
}

fn made(input: &[u8], to: Form, channels: Channels) -> Result<Vec<Made<Bytes>>, TranscodeError> {
    let open = || Ok(Cursor::new(Vec::new()));
    match transcode(Cursor::new(input.to_vec()), &settings(to, channels), open)? {
        Transcoded::Files(files) => Ok(files),
        Transcoded::Already => panic!("it was already as wanted"),
    }
}

fn one(input: &[u8], to: Form, channels: Channels) -> Vec<u8> {
    let mut files = made(input, to, channels).unwrap();
    assert_eq!(files.len(), 1);
    files.remove(0).output.into_inner()
}

/// The samples of a WAV of 16 bits with a header of 44 bytes, which must be right.
fn samples(wav: &[u8]) -> Vec<i16> {
    let number = |at: usize| u32::from_le_bytes(wav[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&wav[..4], &wav[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    assert_eq!((number(4), number(40)), (wav.len() - 8, wav.len() - 44));
    let pairs = wav[44..].chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// A WAV of 8 kHz; `format` is 1 for PCM, 6 for A-law, 7 for µ-law.
fn wav(format: u16, bits: u16, channels: u16, data: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut wav = b"RIFF".to_vec();
    wav.extend((data.len() as u32 + 36).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0");
    wav.extend(format.to_le_bytes());
    wav.extend(channels.to_le_bytes());
    wav.extend(8000_u32.to_le_bytes());
    wav.extend((8000 * u32::from(frame)).to_le_bytes());
    wav.extend(frame.to_le_bytes());
    wav.extend(bits.to_le_bytes());
    wav.extend(b"data");
    wav.extend((data.len() as u32).to_le_bytes());
    wav.extend(data);
    wav
}

/// A WAV of 16 bits with these samples.
fn wav16(channels: u16, samples: &[i16]) -> Vec<u8> {
    let data: Vec<u8> = samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect();
    wav(1, 16, channels, &data)
}

/// ITU-T G.711, table 2a.
fn mu_law(byte: u8) -> i16 {
    let byte = !byte;
    let magnitude = (((i32::from(byte & 15) << 3) + 132) << (byte >> 4 & 7)) - 132;
    (if byte & 128 == 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

/// ITU-T G.711, table 1a.
fn a_law(byte: u8) -> i16 {
    let byte = byte ^ 0x55;
    let (step, place) = (byte >> 4 & 7, i32::from(byte & 15) << 4);
    let magnitude = match step {
        0 => place + 8,
        _ => (place + 0x108) << (step - 1),
    };
    (if byte & 128 == 0 {
        -magnitude
    } else {
        magnitude
    }) as i16
}

#[test]
fn pcm_of_any_width_and_both_laws_of_telephony_are_exact_to_the_sample() {
    let all: Vec<u8> = (0..=255).collect();
    let eight: Vec<i16> = all
        .iter()
        .map(|byte| (i16::from(*byte) - 128) << 8)
        .collect();
    let wide: Vec<i16> = (0..5000_i32)
        .map(|at| (at * 7919 % 65536 - 32768) as i16)
        .collect();
    let three = wide
        .iter()
        .flat_map(|sample| [0x9c, sample.to_le_bytes()[0], sample.to_le_bytes()[1]]);
    let four = wide
        .iter()
        .flat_map(|sample| (i32::from(*sample) << 16 | 0x1234).to_le_bytes());
    let laws = |law: fn(u8) -> i16| all.iter().map(|byte| law(*byte)).collect::<Vec<i16>>();
    for (name, input, expected) in [
        ("8 bits", wav(1, 8, 1, &all), eight),
        (
            "24 bits",
            wav(1, 24, 1, &three.collect::<Vec<u8>>()),
            wide.clone(),
        ),
        ("32 bits", wav(1, 32, 1, &four.collect::<Vec<u8>>()), wide),
        ("µ-law", wav(7, 8, 1, &all), laws(mu_law)),
        ("A-law", wav(6, 8, 1, &all), laws(a_law)),
    ] {
        let found = samples(&one(&input, Form::Wav, Channels::Keep));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn floating_point_and_extensible_headers_are_taken() {
    let values = [0.0, 0.5, -0.25, 1.5, -1.5, f32::NAN];
    let expected = [0, 16384, -8192, 32767, -32768, 0];
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let plain = wav(3, 32, 1, &data);
    assert_eq!(samples(&one(&plain, Form::Wav, Channels::Keep)), expected);
    let mut long = plain;
    long[16] = 40;
    long[20..22].copy_from_slice(&[0xfe, 0xff]);
    let extension = b"\x16\0\x20\0\x04\0\0\0\x03\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";
    long.splice(36..36, *extension);
    assert_eq!(samples(&one(&long, Form::Wav, Channels::Keep)), expected);
}

#[test]
fn a_wav_that_was_streamed_goes_on_to_its_end() {
    for (whole, length) in [(u32::MAX, u32::MAX), (0, 0)] {
        let mut input = wav16(1, &[1, 2, 3]);
        input[4..8].copy_from_slice(&whole.to_le_bytes());
        input[40..44].copy_from_slice(&length.to_le_bytes());
        assert_eq!(samples(&one(&input, Form::Wav, Channels::Keep)), [1, 2, 3]);
    }
}

/// How far `found` is from `expected`, in dB.
fn noise(expected: &[i16], found: &[i16]) -> f64 {
    assert_eq!(expected.len(), found.len());
    let pairs = expected.iter().zip(found);
    let (signal, noise) = pairs.fold((0.0, 0.0), |(signal, noise), (a, b)| {
        let (a, b) = (f64::from(*a), f64::from(*b));
        (signal + a * a, noise + (a - b) * (a - b))
    });
    10.0 * (signal / f64::max(noise, 1e-9)).log10()
}

#[test]
fn opus_decodes_to_what_the_reference_decoder_makes_of_it() {
    for (name, input, reference) in [("hybrid", HYBRID, HYBRID_WAV), ("celt", CELT, CELT_WAV)] {
        let found = one(input, Form::Wav, Channels::Keep);
        assert_eq!(found[..44], reference[..44], "{name}");
        let noise = noise(&samples(reference), &samples(&found));
        assert!(noise > 90.0, "{name}: {noise} dB");
    }
}

#[test]
fn an_opus_stream_comes_back_at_the_rate_at_which_it_was_recorded() {
    let files = made(SILK, Form::Wav, Channels::Keep).unwrap();
    assert_eq!((files[0].rate, files[0].frames), (16_000, 32_000));
}

#[test]
fn vorbis_is_taken() {
    let files = made(VORBIS, Form::Wav, Channels::Keep).unwrap();
    assert_eq!((files[0].rate, files[0].frames), (48_000, 24_000));
    let noise = noise(&samples(CELT_WAV), &samples(files[0].output.get_ref()));
    assert!(noise > 5.0, "both are of the same words: {noise} dB");
}

#[test]
fn channels_are_kept_mixed_or_split() {
    let stereo: Vec<i16> = (0..9001).flat_map(|at| [at, -2 * at]).collect();
    let input = wav16(2, &stereo);
    for to in [Form::Wav, Form::Flac] {
        let plain = |file: &Made<Bytes>| {
            let bytes = file.output.get_ref();
            match to {
                Form::Wav => samples(bytes),
                Form::Flac => samples(&one(bytes, Form::Wav, Channels::Keep)),
            }
        };
        let mixed = made(&input, to, Channels::Mix).unwrap();
        assert_eq!(
            (mixed.len(), mixed[0].channel, mixed[0].frames),
            (1, None, 9001)
        );
        let mean: Vec<i16> = (0..9001).map(|at| -at / 2).collect();
        assert_eq!(plain(&mixed[0]), mean);
        let split = made(&input, to, Channels::Split).unwrap();
        assert_eq!(split.len(), 2);
        for (file, channel) in split.iter().zip(0..) {
            assert_eq!(
                (file.channel, file.frames, file.rate),
                (Some(channel), 9001, 8000)
            );
            let alone = stereo.iter().skip(channel.into()).step_by(2).copied();
            assert_eq!(plain(file), alone.collect::<Vec<_>>());
        }
    }
    assert_eq!(
        samples(&one(
            &one(&input, Form::Flac, Channels::Keep),
            Form::Wav,
            Channels::Keep
        )),
        stereo
    );
}

#[test]
fn flac_of_any_length_is_lossless() {
    for length in [1, 2, 15, 16, 31, 33, 4095, 4096, 4097, 8200] {
        let loud: Vec<i16> = (0..length)
            .map(|at: i64| (at * at * 31 % 65536 - 32768) as i16)
            .collect();
        let flac = one(&wav16(1, &loud), Form::Flac, Channels::Keep);
        assert_eq!(
            samples(&one(&flac, Form::Wav, Channels::Keep)),
            loud,
            "{length}"
        );
    }
}

#[test]
fn what_is_already_as_wanted_is_left_alone() {
    let already = |input: Vec<u8>, to: Form, channels: Channels| {
        let open = || Ok(Cursor::new(Vec::new()));
        let done = transcode(Cursor::new(input), &settings(to, channels), open).unwrap();
        matches!(done, Transcoded::Already)
    };
    let (mono, stereo) = (wav16(1, &[1, 2]), wav16(2, &[1, 2]));
    assert!(already(stereo.clone(), Form::Wav, Channels::Keep));
    assert!(already(mono.clone(), Form::Wav, Channels::Mix));
    assert!(!already(stereo, Form::Wav, Channels::Mix));
    assert!(!already(mono, Form::Flac, Channels::Keep));
    let flac = one(&wav16(2, &[1, 2]), Form::Flac, Channels::Keep);
    assert!(already(flac.clone(), Form::Flac, Channels::Keep));
    assert!(!already(flac, Form::Flac, Channels::Split));
    assert!(!already(wav(7, 8, 1, &[1, 2]), Form::Wav, Channels::Keep));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for to in [Form::Wav, Form::Flac] {
        let twice = [(); 2].map(|()| one(CELT, to, Channels::Mix));
        assert!(twice[0] == twice[1]);
    }
}

/// Where the pages of an Ogg file begin, and its length.
fn pages(ogg: &[u8]) -> Vec<usize> {
    let starts = (0..ogg.len()).filter(|at| ogg[*at..].starts_with(b"OggS\0"));
    starts.chain([ogg.len()]).collect()
}

fn refused(input: &[u8]) -> String {
    made(input, Form::Wav, Channels::Mix)
        .unwrap_err()
        .to_string()
}

#[test]
fn an_input_of_which_audio_may_be_left_out_is_refused_by_name() {
    let stereo = wav16(2, &[1; 4000]);
    let [.., before, last, end] = pages(CELT)[..] else {
        panic!("too few pages");
    };
    let [.., lost, next, _] = pages(VORBIS)[..] else {
        panic!("too few pages");
    };
    let joined = |parts: &[&[u8]]| parts.concat();
    for (input, reason) in [
        (b"hello".to_vec(), "it is neither WAV nor FLAC"),
        (Vec::new(), "it is neither WAV nor FLAC"),
        (wav16(2, &[]), "there is no audio in it"),
        (
            stereo[..stereo.len() - 1].to_vec(),
            "the audio is damaged: it ends too early",
        ),
        (CELT[..end - 1].to_vec(), "the audio is damaged: "),
        (
            joined(&[&CELT[..before], &CELT[last..]]),
            "the audio is damaged: ",
        ),
        (joined(&[CELT, CELT]), "there is more than one stream in it"),
        (
            joined(&[&VORBIS[..lost], &VORBIS[next..]]),
            "the audio is damaged: ",
        ),
        (
            VORBIS[..VORBIS.len() - 5].to_vec(),
            "the audio is damaged: ",
        ),
        (wav(1, 16, 9, &[0; 180]), "9 channels are not supported"),
        (
            wav(0x55, 16, 2, &[0; 400]),
            "WAV of format 0x0055 with 16 bits is not supported",
        ),
        (
            wav(1, 24, 1, &[0; 401]),
            "the audio is damaged: it ends within a sample",
        ),
    ] {
        let found = refused(&input);
        assert!(found.starts_with(reason), "{found:?}, not {reason:?}");
    }
}

#[test]
fn no_damage_makes_it_panic_or_write_without_end() {
    let flac = one(CELT_WAV, Form::Flac, Channels::Mix);
    let law = wav(7, 8, 2, &[0x55; 3000]);
    let mut state = 1_u32;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for input in [HYBRID, CELT, SILK, VORBIS, &flac, &law] {
        for _ in 0..60 {
            let mut bytes = input.to_vec();
            for _ in 0..=random(3) {
                // Half of it in the headers, where lengths are.
                let below = if random(2) == 0 { 120 } else { bytes.len() };
                let at = random(below);
                bytes[at] = random(256) as u8;
            }
            if random(3) == 0 {
                bytes.truncate(random(input.len()));
            }
            match made(&bytes, Form::Wav, Channels::Split) {
                Ok(files) => assert!(
                    files
                        .iter()
                        .all(|file| file.output.get_ref().len() < 1 << 20)
                ),
                Err(TranscodeError::Codec) => panic!("a codec panicked"),
                Err(_) => {}
            }
        }
    }
}
