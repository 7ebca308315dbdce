//! Files that are damaged where nobody looks, or made to do harm.

use super::*;
use crate::codecs::ogg;

/// A chunk of a WAV.
fn chunk(name: &[u8; 4], length: u32, content: &[u8]) -> Vec<u8> {
    [name, &length.to_le_bytes()[..], content].concat()
}

#[test]
fn a_wav_that_would_stay_as_it_is_is_checked_like_any_other() {
    // Long: one table of files.
    let sound = wav16(1, &[1, 2, 3, 4]);
    let with = |more: &[u8]| [&sound[..], more].concat();
    let set = |at: usize, value: u32| {
        let mut changed = sound.clone();
        changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
        changed
    };
    let judged = |input: &[u8]| {
        let open = || Ok(Cursor::new(Vec::new()));
        let settings = settings(Form::Wav, Channels::Keep);
        match transcode(Cursor::new(input.to_vec()), &settings, open) {
            Ok(Transcoded::Already) => "already".to_owned(),
            Ok(Transcoded::Files(files)) => format!("made of {} samples", files[0].frames),
            Err(error) => error.to_string(),
        }
    };
    let more = "the audio is damaged: it goes on after its end";
    let other = "it has more than one chunk of samples";
    for (name, input, expected) in [
        ("whole", sound.clone(), "already"),
        (
            "a list behind it",
            with(&chunk(b"LIST", 4, b"INFO")),
            "already",
        ),
        (
            "an odd chunk whose last byte is missing",
            with(&chunk(b"id3 ", 3, b"abc")),
            "already",
        ),
        (
            "cut off",
            sound[..sound.len() - 2].to_vec(),
            "the audio is damaged: it ends too early",
        ),
        (
            "only a header",
            sound[..44].to_vec(),
            "the audio is damaged: it ends too early",
        ),
        ("empty", wav16(1, &[]), "there is no audio in it"),
        ("two chunks", with(&chunk(b"data", 4, &[1, 0, 2, 0])), other),
        ("a length that is too short", set(40, 4), more),
        (
            "a chunk that is cut off",
            with(&chunk(b"LIST", 40, b"INFO")),
            "the audio is damaged: it ends within a chunk",
        ),
        ("samples behind it", with(&[0; 9]), more),
        (
            "a header that was never completed",
            set(40, 0),
            "the audio is damaged: it goes on",
        ),
        (
            "an open length of sox",
            set(40, 0x7fff_f000),
            "made of 4 samples",
        ),
        (
            "an open length of ffmpeg",
            set(40, u32::MAX),
            "made of 4 samples",
        ),
    ] {
        let found = judged(&input);
        assert!(found.starts_with(expected), "{name}: {found}");
    }
    // Its length without samples, as it was before the first of them came.
    let mut begun = set(40, 0);
    begun[4..8].copy_from_slice(&36_u32.to_le_bytes());
    assert_eq!(judged(&begun), "made of 4 samples");
    let list = [b"wavl".to_vec(), chunk(b"data", 4, &[1, 0, 2, 0])].concat();
    let mut listed = sound[..36].to_vec();
    listed.extend(chunk(b"LIST", list.len() as u32, &list));
    assert_eq!(
        judged(&listed),
        "WAV whose samples are in a list is not supported"
    );
}

#[test]
fn a_flac_that_would_stay_as_it_is_is_checked_like_any_other() {
    let sound = one(&wav16(1, &[7; 9000]), Form::Flac, Channels::Keep);
    let judged = |input: Vec<u8>| {
        let open = || Ok(Cursor::new(Vec::new()));
        let settings = settings(Form::Flac, Channels::Keep);
        transcode(Cursor::new(input), &settings, open).map(|_| ())
    };
    judged(sound.clone()).unwrap();
    assert!(judged(sound[..sound.len() - 30].to_vec()).is_err());
    // The last byte of the digest.
    let mut other = sound.clone();
    other[41] ^= 1;
    let said = judged(other).unwrap_err().to_string();
    assert!(said.contains("digest"), "{said}");
    // Pictures are of no interest, however large they say to be.
    let mut pictured = sound.clone();
    pictured[4] = 0;
    pictured.splice(42..42, [&[0x86, 0, 1, 0][..], &[0xff; 256]].concat());
    judged(pictured).unwrap();
    let mut beyond = sound;
    beyond[4] = 0;
    beyond.splice(42..42, [0x86, 0xff, 0xff, 0xff]);
    assert!(matches!(judged(beyond), Err(TranscodeError::Damaged(_))));
}

#[test]
fn headers_that_ask_for_gigabytes_are_refused_before_a_decoder_sees_them() {
    let mut bits: Vec<bool> = Vec::new();
    let put = |bits: &mut Vec<bool>, value: u64, width: u32| {
        bits.extend((0..width).map(|place| value >> place & 1 == 1));
    };
    put(&mut bits, 255, 8);
    for _ in 0..256 {
        // 131,072 entries of 32 values, all codes of 17 bits: 16 MiB for some 20 bytes.
        put(&mut bits, 0x56_4342, 24);
        put(&mut bits, 32, 16);
        put(&mut bits, 131_072, 24);
        put(&mut bits, 1, 1);
        put(&mut bits, 16, 5);
        put(&mut bits, 131_072, 18);
        put(&mut bits, 1, 4);
        put(&mut bits, 0, 63);
        put(&mut bits, 0, 64 + 4 + 1 + 1 - 63);
    }
    let mut setup = b"\x05vorbis".to_vec();
    setup.extend(bits.chunks(8).map(|byte| {
        byte.iter()
            .rev()
            .fold(0, |value, bit| value << 1 | u8::from(*bit))
    }));
    let said = ogg::check_codebooks(&setup).unwrap_err().to_string();
    assert!(said.contains("too much memory"), "{said}");
    let mut sound = Cursor::new(VORBIS);
    let headers = ogg::headers(&mut sound, 3).unwrap();
    ogg::check_codebooks(&headers[2]).unwrap();
    assert!(ogg::check_codebooks(&headers[2][..headers[2].len() / 4]).is_err());
}

/// A page whose own checksum is right, and whose content leads a decoder out of the file.
#[test]
fn a_place_outside_of_the_file_is_damage_and_no_fault_of_the_disk() {
    let hostile = include_bytes!("../../../../../tests/fixtures/transcode/vorbis-outside.ogg");
    let said = made(hostile, Form::Wav, Channels::Keep);
    assert!(
        matches!(
            said,
            Err(TranscodeError::Damaged(_) | TranscodeError::Unsupported(_))
        ),
        "{said:?}"
    );
}
