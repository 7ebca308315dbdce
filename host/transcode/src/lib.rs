//! Turns recordings into WAV or FLAC, for what the vendor's batch API cannot do: it hands over
//! the format in which they were recorded.
//!
//! Takes WAV, FLAC, and Ogg with Opus or Vorbis. Works block by block, so that memory stays flat
//! whatever the length; the same input and settings give the same bytes. It is strict: an input
//! of which some audio could be left out unnoticed is refused, and the caller delivers the original.
//! Nothing in it runs outside this process, and no decoder is written in C.

#[cfg(feature = "codecs")]
mod codecs;
#[cfg(not(feature = "codecs"))]
#[path = "without_codecs.rs"]
mod codecs;
mod settings;

use std::{
    io::{self, Read, Seek, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

pub use settings::{Channels, Form, Media, Original, TranscodeSettings};

/// Why an input is not transcoded.
#[derive(Debug, thiserror::Error)]
pub enum TranscodeError {
    /// It is of none of the formats.
    #[error("it is neither WAV nor FLAC nor Ogg with Opus or Vorbis")]
    Unknown,
    /// The format has something that is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// It cannot be decoded to its end, or its parts do not agree.
    #[error("the audio is damaged: {0}")]
    Damaged(String),
    /// There is not one sample in it.
    #[error("there is no audio in it")]
    Empty,
    /// The result would not fit into a file of the format.
    #[error("it is too long for the format: a WAV file has at most 4 GiB")]
    TooLong,
    /// A codec came to a state that it does not know.
    #[error("the codec failed on it")]
    Codec,
    /// The input cannot be read or the output cannot be written: nothing is wrong with the audio.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The result for an input.
#[derive(Debug)]
pub enum Transcoded<W> {
    /// It is already as it was wanted.
    Already,
    /// The files that were made.
    Files(Vec<Made<W>>),
}

/// A file that was made.
#[derive(Debug)]
pub struct Made<W> {
    /// The channel that it has, counted from 0, if there is a file for each.
    pub channel: Option<u16>,
    /// Samples of each channel.
    pub frames: u64,
    /// Samples a second.
    pub rate: u32,
    /// Where it was written to.
    pub output: W,
}

/// Transcodes `input` into files that `open` makes, one after the other, all empty.
///
/// # Errors
/// [`TranscodeError`]; what was written so far is of no use. A build without the feature
/// `transcode` supports nothing.
pub fn transcode<R, W>(
    input: R,
    settings: &TranscodeSettings,
    open: impl FnMut() -> io::Result<W>,
) -> Result<Transcoded<W>, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
    W: Write + Seek + 'static,
{
    let mut open = open;
    shielded(|| codecs::transcode(input, settings, &mut open))
}

/// A waveform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peaks {
    /// How many channels there are.
    pub channels: u16,
    /// How long the recording is, in milliseconds.
    pub duration_ms: u64,
    /// For each channel, one after the other, `stretches` values from 0 (silence) to 255.
    pub values: Vec<u8>,
}

/// Decodes a recording to its end, in memory that does not grow with it, and divides it into
/// `stretches` of equal length; a shorter one than that has as many as samples.
///
/// # Errors
/// [`TranscodeError`], as of [`transcode`].
pub fn peaks<R>(input: R, stretches: usize) -> Result<Peaks, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
{
    shielded(|| codecs::peaks(input, stretches.max(1)))
}

/// Runs a codec: it takes what strangers made, and nothing of it is used after a panic.
fn shielded<T>(run: impl FnOnce() -> Result<T, TranscodeError>) -> Result<T, TranscodeError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(TranscodeError::Codec))
}
