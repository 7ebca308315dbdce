//! Damages input in the ways that parsers stumble over, and makes checksums right again.

/// A generator of numbers that are the same for the same seed (SplitMix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(9))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Values at which lengths and counters turn over.
const EDGES: [u32; 9] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
];

/// Damages an input once or a few times.
pub(crate) fn mutate(rng: &mut Rng, input: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        if input.is_empty() {
            return;
        }
        // Half of it in the headers, where lengths are.
        let below = match rng.below(2) {
            0 => input.len().min(200),
            _ => input.len(),
        };
        let at = rng.below(below);
        match rng.below(8) {
            0..=2 => {
                for _ in 0..1 << rng.below(6) {
                    let place = rng.below(below);
                    input[place] = rng.below(256) as u8;
                }
            }
            3 => input[at] ^= 1 << rng.below(8),
            4 => input.truncate(at),
            5 => {
                let edge = EDGES[rng.below(EDGES.len())];
                let bytes = match rng.below(2) {
                    0 => edge.to_le_bytes(),
                    _ => edge.to_be_bytes(),
                };
                let width = (1 << rng.below(3)).min(input.len() - at);
                input[at..at + width].copy_from_slice(&bytes[..width]);
            }
            6 => {
                // A piece once more, elsewhere.
                let begin = rng.below(input.len());
                let end = (begin + rng.below(2000)).min(input.len());
                let piece = input[begin..end].to_vec();
                input.splice(at..at, piece);
            }
            _ => {
                let end = (at + rng.below(300)).min(input.len());
                input.drain(at..end);
            }
        }
    }
}

/// A CRC whose highest bit comes first.
fn crc(bytes: &[u8], width: u32, polynomial: u32) -> u32 {
    let (top, mask) = (
        1 << (width - 1),
        (u64::from(u32::MAX) >> (32 - width)) as u32,
    );
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << (width - 8), |crc, _| {
            let shifted = crc << 1 & mask;
            if crc & top == 0 {
                shifted
            } else {
                shifted ^ polynomial
            }
        })
    })
}

/// Makes the checksums of the pages of an Ogg file right (RFC 3533, 6).
pub(crate) fn ogg_pages(input: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = input.get(at..at + 27) {
        if !header.starts_with(b"OggS") {
            at += 1;
            continue;
        }
        let segments = usize::from(header[26]);
        let Some(lacing) = input.get(at + 27..at + 27 + segments) else {
            return;
        };
        let content: usize = lacing.iter().map(|segment| usize::from(*segment)).sum();
        let end = at + 27 + segments + content;
        if end > input.len() {
            return;
        }
        input[at + 22..at + 26].fill(0);
        let sum = crc(&input[at..end], 32, 0x04c1_1db7);
        input[at + 22..at + 26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}

/// Makes the checksums of the frames of a FLAC file right (RFC 9639, 9), as far as they are found.
pub(crate) fn flac_frames(input: &mut [u8]) {
    let starts = (0..input.len()).filter(|at| input[*at..].starts_with(&[0xff, 0xf8]));
    let starts: Vec<usize> = starts.chain([input.len()]).collect();
    for pair in starts.windows(2) {
        let (begin, end) = (pair[0], pair[1]);
        if end - begin < 10 {
            continue;
        }
        // A block of a usual length at a usual rate, the first 128 of them.
        if input[begin + 2] >> 4 >= 8 && input[begin + 2] & 15 < 12 && input[begin + 4] < 128 {
            input[begin + 5] = crc(&input[begin..begin + 5], 8, 7) as u8;
        }
        let sum = crc(&input[begin..end - 2], 16, 0x8005) as u16;
        input[end - 2..end].copy_from_slice(&sum.to_be_bytes());
    }
}

/// Makes the checksums of the stored entries of a zip right, in both of their headers (APPNOTE 4.3).
pub(crate) fn zip_entries(input: &mut [u8]) {
    let number = |input: &[u8], at: usize, width: usize| {
        let bytes = input.get(at..at + width)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | usize::from(*byte)),
        )
    };
    for at in 0..input.len() {
        if !input[at..].starts_with(b"PK\x01\x02") {
            continue;
        }
        let (Some(0), Some(size), Some(local)) = (
            number(input, at + 10, 2),
            number(input, at + 20, 4),
            number(input, at + 42, 4),
        ) else {
            continue;
        };
        let (Some(name), Some(extra)) =
            (number(input, local + 26, 2), number(input, local + 28, 2))
        else {
            continue;
        };
        let begin = local + 30 + name + extra;
        let Some(sum) = input.get(begin..begin + size).map(crc32fast::hash) else {
            continue;
        };
        input[at + 16..at + 20].copy_from_slice(&sum.to_le_bytes());
        input[local + 14..local + 18].copy_from_slice(&sum.to_le_bytes());
    }
}
