//! The header packets of an Ogg stream, and what they may make a decoder allocate.
//!
//! A decoder allocates what headers ask for, and headers of a few bytes can ask for gigabytes. So they
//! are read here before any decoder sees them.

use std::io::Read;

use super::{TranscodeError, input::exact};

/// The most bytes that header packets have. Calls have some 4 KiB.
const HEADERS: usize = 1 << 20;
/// The most bytes of a packet with comments: each comment takes many times its length in memory.
const COMMENTS: usize = 128 << 10;
/// The most memory that the codebooks of Vorbis take, in bytes. Those of common encoders take some 2 MiB.
const CODEBOOKS: u64 = 24 << 20;
/// The memory that an entry of a codebook takes beside its values, in bytes.
const ENTRY: u64 = 24;

/// Reads the first `count` packets of the only stream of a file.
pub(super) fn headers(input: &mut impl Read, count: usize) -> Result<Vec<Vec<u8>>, TranscodeError> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    let mut serial = None;
    let mut total = 0;
    while packets.len() < count {
        let mut header = [0; 27];
        exact(input, &mut header)?;
        if !header.starts_with(b"OggS\0") {
            return Err(damaged("its header is no page of Ogg"));
        }
        if *serial.get_or_insert(header[14..18].to_vec()) != header[14..18] {
            let reason = "there is more than one stream in it";
            return Err(TranscodeError::Unsupported(reason.to_owned()));
        }
        let mut lacing = vec![0; usize::from(header[26])];
        exact(input, &mut lacing)?;
        for segment in lacing {
            let begin = packet.len();
            total += usize::from(segment);
            if total > HEADERS {
                return Err(damaged("its headers are too long"));
            }
            packet.resize(begin + usize::from(segment), 0);
            exact(input, &mut packet[begin..])?;
            if segment < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
    }
    packets.truncate(count);
    if packets
        .get(1)
        .is_some_and(|comments| comments.len() > COMMENTS)
    {
        return Err(damaged("its comments are too long"));
    }
    Ok(packets)
}

/// Refuses a setup header of Vorbis (Vorbis I, 3.2.1) whose codebooks take too much memory.
pub(super) fn check_codebooks(setup: &[u8]) -> Result<(), TranscodeError> {
    let malformed = || damaged("its codebooks are malformed");
    let mut bits = Bits {
        bytes: setup.strip_prefix(b"\x05vorbis").ok_or_else(malformed)?,
        at: 0,
    };
    let mut memory = 0;
    let books = bits.take(8).ok_or_else(malformed)? + 1;
    for _ in 0..books {
        memory += codebook(&mut bits).ok_or_else(malformed)?;
        if memory > CODEBOOKS {
            return Err(damaged("its codebooks take too much memory"));
        }
    }
    Ok(())
}

/// Reads a codebook, and returns the memory that it takes; none if it makes no sense.
fn codebook(bits: &mut Bits<'_>) -> Option<u64> {
    if bits.take(24)? != 0x56_4342 {
        return None;
    }
    let (dimensions, entries) = (bits.take(16)?, bits.take(24)?);
    let memory = u64::from(entries) * (u64::from(dimensions) * 4 + ENTRY);
    if memory > CODEBOOKS {
        return Some(memory);
    }
    let (ordered, mut entry) = (bits.take(1)? == 1, 0);
    if ordered {
        bits.take(5)?;
        while entry < entries {
            let width = u32::BITS - (entries - entry).leading_zeros();
            entry += bits.take(width)?;
        }
    } else {
        let sparse = bits.take(1)? == 1;
        while entry < entries {
            if !sparse || bits.take(1)? == 1 {
                bits.take(5)?;
            }
            entry += 1;
        }
    }
    let kind = bits.take(4)?;
    if kind > 0 {
        bits.skip(64)?;
        let width = bits.take(4)? + 1;
        bits.skip(1)?;
        let values = match kind {
            1 => root(entries, dimensions)?,
            2 => u64::from(entries) * u64::from(dimensions),
            _ => return None,
        };
        bits.skip(values * u64::from(width))?;
    }
    Some(memory)
}

/// The greatest number whose power of `dimensions` is at most `entries`.
fn root(entries: u32, dimensions: u32) -> Option<u64> {
    let fits = |value: u64| {
        value
            .checked_pow(dimensions)
            .is_some_and(|power| power <= u64::from(entries))
    };
    if dimensions == 0 || entries == 0 {
        return None;
    }
    let estimate = f64::from(entries).powf(1.0 / f64::from(dimensions)) as u64;
    (estimate.saturating_sub(1)..=estimate + 1)
        .rev()
        .find(|value| fits(*value))
}

/// Numbers packed from the lowest bit on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: u64,
}

impl Bits<'_> {
    fn take(&mut self, width: u32) -> Option<u32> {
        let mut value = 0;
        for place in 0..width {
            let byte = self.bytes.get((self.at / 8) as usize)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(value)
    }

    fn skip(&mut self, width: u64) -> Option<()> {
        self.at = self.at.checked_add(width)?;
        (self.at <= self.bytes.len() as u64 * 8).then_some(())
    }
}

fn damaged(reason: &str) -> TranscodeError {
    TranscodeError::Damaged(reason.to_owned())
}
