//! Audio and video of the right length, that any player plays.

use bytes::Bytes;

use super::content::Content;
use crate::rng::Rng;

/// Samples a second and channel of a WAV.
const RATE: u32 = 8000;
/// Bytes of one sample of both channels.
const FRAME: u32 = 4;
/// Seconds after which a WAV repeats itself.
const LOOP: u32 = 4;
/// Length of an Opus packet in ms, and in samples of Opus' clock.
const PACKET_MS: u64 = 20;
const PACKET_SAMPLES: u64 = 960;
/// Packets in an Ogg page: a second of sound.
const PAGE: usize = 50;
/// An MP3 frame of the asset: bytes and ms.
const MP3_FRAME: usize = 144;
const MP3_FRAME_MS: u64 = 36;

/// Short recordings from which longer ones are made.
pub(super) struct Assets {
    pattern: Bytes,
    /// OpusHead, OpusTags, and the packets of sound.
    opus: Vec<Vec<u8>>,
    mp3: &'static [u8],
    screen: &'static [u8],
}

impl Assets {
    pub(super) fn new() -> Self {
        Assets {
            pattern: pattern(),
            opus: packets(include_bytes!("../../assets/talk.opus")),
            mp3: include_bytes!("../../assets/talk.mp3"),
            screen: include_bytes!("../../assets/screen.webm"),
        }
    }

    /// WAV, 8 kHz, 16 bits, two channels.
    pub(super) fn wav(&self, duration_ms: u64) -> Content {
        let samples = duration_ms * u64::from(RATE) / 1000;
        let data = samples * u64::from(FRAME);
        let mut header = Vec::with_capacity(44);
        header.extend(b"RIFF");
        header.extend(u32::try_from(data + 36).unwrap_or(u32::MAX).to_le_bytes());
        header.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
        header.extend(RATE.to_le_bytes());
        header.extend((RATE * FRAME).to_le_bytes());
        header.extend(b"\x04\0\x10\0data");
        header.extend(u32::try_from(data).unwrap_or(u32::MAX).to_le_bytes());
        Content::Loop {
            length: header.len() as u64 + data,
            header: header.into(),
            pattern: self.pattern.clone(),
        }
    }

    /// OGG with Opus, two channels; the serial number of the stream distinguishes recordings.
    pub(super) fn ogg(&self, duration_ms: u64, serial: u32) -> Content {
        let count = duration_ms.div_ceil(PACKET_MS).max(1) as usize;
        let mut out = Vec::new();
        page(&mut out, 2, 0, serial, 0, &[&self.opus[0]]);
        page(&mut out, 0, 0, serial, 1, &[&self.opus[1]]);
        let sound = &self.opus[2..];
        for (number, first) in (0..count).step_by(PAGE).enumerate() {
            let last = (first + PAGE).min(count);
            let packets: Vec<&Vec<u8>> = (first..last).map(|at| &sound[at % sound.len()]).collect();
            let end = if last == count { 4 } else { 0 };
            let granule = last as u64 * PACKET_SAMPLES;
            page(&mut out, end, granule, serial, number as u32 + 2, &packets);
        }
        Content::Whole(out.into())
    }

    /// MP3: the frames of the asset from a place of its own for each recording.
    pub(super) fn mp3(&self, duration_ms: u64, seed: u64) -> Content {
        let frames = self.mp3.len() / MP3_FRAME;
        let first = seed as usize % frames;
        let count = duration_ms.div_ceil(MP3_FRAME_MS) as usize;
        let mut out = Vec::with_capacity(count * MP3_FRAME);
        for at in (first..first + count).map(|at| at % frames * MP3_FRAME) {
            out.extend_from_slice(&self.mp3[at..at + MP3_FRAME]);
        }
        Content::Whole(out.into())
    }

    /// WebM; a Void element at its end distinguishes the files.
    pub(super) fn screen(&self, seed: u64) -> Content {
        let mut out = self.screen.to_vec();
        out.extend([0xec, 0x88]);
        out.extend(seed.to_be_bytes());
        Content::Whole(out.into())
    }
}

/// Two voices that take turns, one on each channel: tones in the rhythm of syllables.
fn pattern() -> Bytes {
    let mut rng = Rng::new(0, 0, 0);
    let mut out = Vec::with_capacity((RATE * FRAME * LOOP) as usize);
    let syllable = RATE / 5;
    let mut pitch = [120.0_f64, 190.0];
    let mut phase = [0.0_f64; 2];
    for sample in 0..RATE * LOOP {
        if sample % syllable == 0 {
            pitch = [100.0 + rng.below(60) as f64, 170.0 + rng.below(80) as f64];
        }
        let speaker = (sample / (RATE * LOOP / 2)) as usize % 2;
        let place = f64::from(sample % syllable) / f64::from(syllable);
        let loudness = (place * std::f64::consts::PI).sin() * 6000.0;
        for channel in 0..2 {
            phase[channel] += pitch[channel] / f64::from(RATE) * std::f64::consts::TAU;
            let value = if channel == speaker {
                (phase[channel].sin() + 0.5 * (2.0 * phase[channel]).sin()) * loudness
            } else {
                0.0
            };
            out.extend((value as i16).to_le_bytes());
        }
    }
    out.into()
}

/// The packets of an Ogg stream (RFC 3533).
fn packets(ogg: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![Vec::new()];
    let mut at = 0;
    while at + 27 <= ogg.len() {
        let segments = usize::from(ogg[at + 26]);
        let table = &ogg[at + 27..at + 27 + segments];
        at += 27 + segments;
        for &length in table {
            let place = packets.len() - 1;
            packets[place].extend_from_slice(&ogg[at..at + usize::from(length)]);
            at += usize::from(length);
            if length < 255 {
                packets.push(Vec::new());
            }
        }
    }
    packets.retain(|packet| !packet.is_empty());
    packets
}

/// Writes an Ogg page (RFC 3533, section 6).
fn page(
    out: &mut Vec<u8>,
    flags: u8,
    granule: u64,
    serial: u32,
    number: u32,
    packets: &[&Vec<u8>],
) {
    let begin = out.len();
    out.extend(b"OggS\0");
    out.push(flags);
    out.extend(granule.to_le_bytes());
    out.extend(serial.to_le_bytes());
    out.extend(number.to_le_bytes());
    out.extend([0; 4]);
    let lacing: Vec<u8> = packets
        .iter()
        .flat_map(|packet| {
            let full = packet.len() / 255;
            std::iter::repeat_n(255, full).chain([(packet.len() % 255) as u8])
        })
        .collect();
    out.push(lacing.len() as u8);
    out.extend(&lacing);
    for packet in packets {
        out.extend_from_slice(packet);
    }
    let checksum = crc(&out[begin..]);
    out[begin + 22..begin + 26].copy_from_slice(&checksum.to_le_bytes());
}

/// Ogg's CRC-32: polynomial 0x04c11db7, nothing reflected or inverted.
fn crc(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut value = (byte as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                let carry = value >> 31;
                value = (value << 1) ^ (carry * 0x04c1_1db7);
                bit += 1;
            }
            table[byte] = value;
            byte += 1;
        }
        table
    };
    bytes.iter().fold(0, |crc: u32, byte| {
        crc << 8 ^ TABLE[((crc >> 24) as u8 ^ byte) as usize]
    })
}
