//! Reads WAV: PCM of 8 to 32 bits, floating point, and both laws of telephony (ITU-T G.711).
//!
//! Samples of more than 16 bits lose the lowest ones, those of fewer are scaled up. Headers of the
//! laws without the extension that they should have are taken, since recorders write such. So are lengths
//! that were never filled in. Whatever follows the samples must be chunks without samples.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::{
    Form, TranscodeError,
    codec::{Decoder, supported},
    input::{Input, exact},
};

/// How many bytes of a `fmt ` chunk mean something here.
const FORMAT: usize = 40;
/// Frames in a block.
const BLOCK: usize = 4096;
/// The values of a length while a file is being streamed, as common writers have them.
const OPEN: [u32; 3] = [u32::MAX, 0x7fff_ffff, 0x7fff_f000];
/// The bytes of a file that its length leaves out.
const BEFORE: u64 = 8;
/// The bytes after the tag of a format in the extensible header.
const GUID: [u8; 14] = *b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71";

/// A WAV file.
pub(super) struct Pcm<R> {
    input: BufReader<Input<R>>,
    sample: Sample,
    rate: u32,
    channels: u16,
    /// Bytes that are still to come; none if only the end of the file shows it.
    left: Option<u64>,
    /// True if the samples end with an odd byte, which another follows.
    odd: bool,
    bytes: Vec<u8>,
}

/// How a sample is coded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sample {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
    ALaw,
    MuLaw,
}

/// Returns true if a file begins like WAV.
pub(super) fn is_wav(head: &[u8]) -> bool {
    head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WAVE")
}

impl Sample {
    fn of(tag: u16, bits: u16) -> Option<Sample> {
        Some(match (tag, bits) {
            (1, 8) => Sample::U8,
            (1, 16) => Sample::I16,
            (1, 24) => Sample::I24,
            (1, 32) => Sample::I32,
            (3, 32) => Sample::F32,
            (3, 64) => Sample::F64,
            (6, 8) => Sample::ALaw,
            (7, 8) => Sample::MuLaw,
            _ => return None,
        })
    }

    /// Its length in bytes.
    fn size(self) -> usize {
        match self {
            Sample::U8 | Sample::ALaw | Sample::MuLaw => 1,
            Sample::I16 => 2,
            Sample::I24 => 3,
            Sample::I32 | Sample::F32 => 4,
            Sample::F64 => 8,
        }
    }

    /// The value of one that is `size` bytes long.
    fn value(self, bytes: &[u8]) -> i16 {
        let highest = |bytes: &[u8]| match bytes {
            [.., low, high] => i16::from_le_bytes([*low, *high]),
            _ => 0,
        };
        match self {
            Sample::U8 => (i16::from(bytes[0]) - 128) << 8,
            Sample::I16 | Sample::I24 | Sample::I32 => highest(bytes),
            Sample::F32 => {
                let value = bytes.try_into().map_or(0.0, f32::from_le_bytes);
                rounded(value.into())
            }
            Sample::F64 => rounded(bytes.try_into().map_or(0.0, f64::from_le_bytes)),
            Sample::ALaw => A_LAW[usize::from(bytes[0])],
            Sample::MuLaw => MU_LAW[usize::from(bytes[0])],
        }
    }
}

/// The sample for a value from -1 to 1; what is beyond is cut, what is no number is silence.
fn rounded(value: f64) -> i16 {
    (value * 32768.0).round() as i16
}

const A_LAW: [i16; 256] = table(false);
const MU_LAW: [i16; 256] = table(true);

/// The values of the codes of a law: a sign, three bits of exponent, four of mantissa.
const fn table(mu: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let plain = if mu { !code & 0xff } else { code ^ 0x55 };
        let (exponent, mantissa) = (plain >> 4 & 7, (plain & 15) as i16);
        let value = if mu {
            ((mantissa * 8 + 132) << exponent) - 132
        } else if exponent == 0 {
            mantissa * 16 + 8
        } else {
            (mantissa * 16 + 264) << (exponent - 1)
        };
        // The sign bit means minus in the one, plus in the other.
        table[code] = if (plain & 128 != 0) == mu {
            -value
        } else {
            value
        };
        code += 1;
    }
    table
}

impl<R: Read + Seek> Pcm<R> {
    pub(super) fn new(input: Input<R>) -> Result<Self, TranscodeError> {
        let whole = input.length();
        let mut input = BufReader::with_capacity(64 << 10, input);
        let mut head = [0; 12];
        exact(&mut input, &mut head)?;
        let reported = u32_at(&head, 4);
        let mut format = None;
        loop {
            let mut chunk = [0; 8];
            exact(&mut input, &mut chunk)?;
            let length = u32_at(&chunk, 4);
            match (&chunk[..4], format) {
                (b"fmt ", None) => format = Some(self::format(&mut input, length)?),
                (b"fmt ", Some(_)) => return Err(damaged("it has more than one format")),
                (b"data", Some((sample, rate, channels))) => {
                    let begin = input.stream_position()?;
                    let streamed = is_open(length, reported, begin, whole);
                    return Ok(Pcm {
                        input,
                        sample,
                        rate,
                        channels,
                        left: (!streamed).then_some(length.into()),
                        odd: !streamed && length % 2 == 1,
                        bytes: Vec::new(),
                    });
                }
                (b"data", None) => return Err(damaged("it has no format before its samples")),
                (b"LIST", _) => list(&mut input, length)?,
                _ => skip(&mut input, padded(length))?,
            }
        }
    }

    /// Fails if samples may be in what follows those that were announced.
    fn ends(&mut self) -> Result<(), TranscodeError> {
        if self.odd && self.input.read(&mut [0])? == 0 {
            return Ok(());
        }
        loop {
            let mut chunk = Vec::new();
            self.input.by_ref().take(8).read_to_end(&mut chunk)?;
            if chunk.is_empty() {
                return Ok(());
            }
            // Names are letters, or it is no chunk.
            if chunk.len() < 8 || !chunk[..4].iter().all(|byte| (b' '..=b'~').contains(byte)) {
                return Err(damaged("it goes on after its end"));
            }
            if &chunk[..4] == b"data" {
                let reason = "it has more than one chunk of samples";
                return Err(TranscodeError::Unsupported(reason.to_owned()));
            }
            let length = u32_at(&chunk, 4);
            let at = self.input.stream_position()?;
            let end = at + u64::from(length);
            let whole = self.input.get_ref().length();
            if end > whole {
                return Err(damaged("it ends within a chunk"));
            }
            // The byte that makes the last chunk even may be missing.
            let next = (at + padded(length)).min(whole);
            self.input.seek(SeekFrom::Start(next))?;
        }
    }
}

/// Returns true if the length of a chunk of samples was never filled in. `told` is the file's length as its
/// header has it, `whole` the true one.
fn is_open(length: u32, reported: u32, begin: u64, whole: u64) -> bool {
    let unfinished =
        reported == 0 || OPEN.contains(&reported) || u64::from(reported) + BEFORE <= begin;
    let beyond = begin + u64::from(length) > whole;
    length == u32::MAX || (beyond && OPEN.contains(&length)) || (length == 0 && unfinished)
}

/// Skips a list, unless it is one of chunks of samples.
fn list(input: &mut (impl Read + Seek), length: u32) -> Result<(), TranscodeError> {
    let mut kind = [0; 4];
    if length >= 4 {
        exact(input, &mut kind)?;
    }
    if &kind == b"wavl" {
        let reason = "WAV whose samples are in a list is not supported";
        return Err(TranscodeError::Unsupported(reason.to_owned()));
    }
    skip(input, padded(length) - if length >= 4 { 4 } else { 0 })
}

/// Reads a `fmt ` chunk: the samples, the rate and the channels.
fn format(input: &mut impl Read, length: u32) -> Result<(Sample, u32, u16), TranscodeError> {
    let mut bytes = [0; FORMAT];
    let useful = FORMAT.min(length as usize);
    exact(input, &mut bytes[..useful])?;
    skip(input, padded(length) - useful as u64)?;
    if useful < 16 {
        return Err(damaged("its format is cut off"));
    }
    let mut tag = u16_at(&bytes, 0);
    if tag == 0xfffe && useful == FORMAT && bytes[26..40] == GUID {
        tag = u16_at(&bytes, 24);
    }
    let (bits, align) = (u16_at(&bytes, 14), u16_at(&bytes, 12));
    let sample = Sample::of(tag, bits).ok_or_else(|| {
        let reason = format!("WAV of format {tag:#06x} with {bits} bits is not supported");
        TranscodeError::Unsupported(reason)
    })?;
    let (rate, channels) = (u32_at(&bytes, 4), u16_at(&bytes, 2));
    let channels = supported(rate, channels.into())?;
    if usize::from(align) != usize::from(channels) * sample.size() {
        return Err(damaged("its format contradicts itself"));
    }
    Ok((sample, rate, channels))
}

impl<R: Read + Seek> Decoder for Pcm<R> {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn channels(&self) -> u16 {
        self.channels
    }

    fn form(&self) -> Option<Form> {
        // One that was streamed has no lengths in its header, and gets some.
        (self.sample == Sample::I16 && self.left.is_some()).then_some(Form::Wav)
    }

    fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, TranscodeError> {
        let size = self.sample.size();
        let frame = size * usize::from(self.channels);
        let most = (BLOCK * frame) as u64;
        self.bytes.clear();
        let wanted = self.left.map_or(most, |left| left.min(most));
        let read = self
            .input
            .by_ref()
            .take(wanted)
            .read_to_end(&mut self.bytes)?;
        if self.left.is_some() && (read as u64) < wanted {
            return Err(damaged("it ends too early"));
        }
        if read % frame != 0 {
            return Err(damaged("it ends within a sample"));
        }
        self.left = self.left.map(|left| left - wanted);
        block.clear();
        block.extend(
            self.bytes
                .chunks_exact(size)
                .map(|bytes| self.sample.value(bytes)),
        );
        if self.left == Some(0) && read == 0 {
            self.ends()?;
        }
        Ok(read > 0)
    }
}

/// The length of a chunk with the byte that makes it even.
fn padded(length: u32) -> u64 {
    u64::from(length) + u64::from(length % 2)
}

fn skip(input: &mut impl Read, length: u64) -> Result<(), TranscodeError> {
    let skipped = io::copy(&mut input.take(length), &mut io::sink())?;
    if skipped < length {
        return Err(damaged("it has no samples"));
    }
    Ok(())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn damaged(reason: &str) -> TranscodeError {
    TranscodeError::Damaged(reason.to_owned())
}
