//! A file is followed whatever the pieces are in which it comes.

use super::*;

fn fed(file: &[u8], step: usize) -> MediaLength {
    let mut reported = MediaLength::of(&file[..file.len().min(64)]);
    file.chunks(step).for_each(|data| reported.feed(data));
    reported
}

/// The length that a file states if it is cut after so many bytes, in whatever pieces it comes.
fn reported(file: &[u8], cut: usize) -> Option<u64> {
    let reported = [1, 3, 64, 4096].map(|step| fed(&file[..cut], step).claimed(cut as u64));
    assert!(
        reported.iter().all(|one| *one == reported[0]),
        "{reported:?}"
    );
    reported[0]
}

/// Whole files state no more than they have, cut ones do.
fn is_followed(file: &[u8], from: usize) {
    assert_eq!(reported(file, file.len()), None);
    for cut in from..file.len() {
        assert!(
            reported(file, cut).is_some_and(|reported| reported > cut as u64),
            "{cut}"
        );
    }
}

fn wav(extra: &[u8], size: u32, data: usize) -> Vec<u8> {
    let mut file =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0".to_vec();
    file.extend(extra);
    file.extend(b"data");
    file.extend(size.to_le_bytes());
    file.extend(vec![7; data]);
    file
}

#[test]
fn a_wav_tells_the_length_of_its_data() {
    is_followed(&wav(b"", 300, 300), 44);
    // A chunk of an odd length is filled up.
    is_followed(&wav(b"LIST\x03\0\0\0abc\0", 301, 301), 44);
    // What follows the data, such as a byte to fill up, is nothing to worry about.
    assert_eq!(reported(&wav(b"", 300, 350), 394), None);
    for open in [0, 0xffff_ffff, 0x7fff_f000] {
        let file = wav(b"", open, 300);
        assert_eq!(reported(&file, file.len()), None, "{open:x}");
        assert_eq!(reported(&file, 100), None, "{open:x}");
    }
    // The sound is yet to come.
    assert!(reported(&wav(b"", 300, 300), 40).is_some());
}

#[test]
fn a_long_wav_tells_it_in_a_chunk_of_its_own() {
    let mut file = b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0".to_vec();
    file.extend(400_u64.to_le_bytes());
    file.extend(300_u64.to_le_bytes());
    file.extend([0; 12]);
    file.extend(b"fmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data\xff\xff\xff\xff");
    file.extend([7; 300]);
    is_followed(&file, 44);
    let mut big =
        b"RIFX\0\0\0\x2cWAVEfmt \0\0\0\x10\0\x01\0\x01\0\0\x1f@\0\0>\x80\0\x02\0\x10data\0\0\0\x08"
            .to_vec();
    big.extend([7; 8]);
    is_followed(&big, 44);
}

fn ogg(pages: &[(u8, usize)]) -> Vec<u8> {
    let mut file = Vec::new();
    for (flags, length) in pages {
        file.extend(b"OggS\0");
        file.push(*flags);
        file.extend([0; 20]);
        file.push((length / 255 + 1) as u8);
        file.extend(vec![255; length / 255]);
        file.push((length % 255) as u8);
        file.extend(vec![7; *length]);
    }
    file
}

#[test]
fn an_ogg_tells_the_length_of_each_page_and_which_is_the_last() {
    let file = ogg(&[(2, 19), (0, 600), (4, 30)]);
    assert_eq!(reported(&file, file.len()), None);
    assert!(!fed(&file, 100).is_unended());
    let ends = [19 + 28, 19 + 28 + 600 + 30];
    for cut in 28..file.len() {
        let cut_file = fed(&file[..cut], 64);
        let known = reported(&file, cut).is_some();
        assert_eq!(known, !ends.contains(&cut), "{cut}");
        assert!(known || cut_file.is_unended(), "{cut}");
    }
    // What follows the last page and is no page is nothing to worry about.
    let mut padded = file.clone();
    padded.extend([0; 100]);
    assert_eq!(reported(&padded, padded.len()), None);
}

#[test]
fn an_mp4_and_a_webm_tell_their_lengths() {
    let mut mp4 = b"\0\0\0\x10ftypisom\0\0\0\0".to_vec();
    mp4.extend(b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x60");
    mp4.extend([7; 80]);
    mp4.extend(b"\0\0\0\x10moovabcdefgh");
    assert_eq!(reported(&mp4, mp4.len()), None);
    assert_eq!(reported(&mp4, 100), Some(112));
    assert!(reported(&mp4, 120).is_some());
    // Up to the end of the file, and a box that nobody knows.
    assert_eq!(
        reported(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\0mdatxyz", 27),
        None
    );
    assert_eq!(
        reported(b"\0\0\0\x10ftypisom\0\0\0\0\x7f\0\0\0????xyz", 27),
        None
    );
    assert_eq!(reported(b"\0\0\0\x02ftypisom\0\0\0\0", 16), None);

    let mut webm = vec![
        0x1a, 0x45, 0xdf, 0xa3, 0x84, 1, 2, 3, 4, 0x18, 0x53, 0x80, 0x67,
    ];
    let open = [
        &webm[..],
        &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 9, 9],
    ]
    .concat();
    webm.extend([0x40, 200]);
    webm.extend([7; 200]);
    is_followed(&webm, 15);
    assert_eq!(reported(&open, open.len()), None);
}

#[test]
fn what_makes_no_sense_tells_nothing() {
    let mut seed = 1_u32;
    for magic in [
        &b"RIFF\0\0\0\0WAVE"[..],
        b"OggS\0",
        b"\0\0\0\x10ftyp",
        &[0x1a, 0x45, 0xdf, 0xa3],
    ] {
        for _ in 0..2000 {
            let mut file = magic.to_vec();
            for _ in 0..80 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                file.push((seed >> 24) as u8);
            }
            // Whatever it says, it says the same in whatever pieces, and nothing panics.
            reported(&file, file.len());
        }
    }
    assert_eq!(reported(b"<html>", 6), None);
    assert_eq!(reported(b"", 0), None);
}
