//! Turns recordings into WAV or FLAC, for what the vendor's batch API cannot do: it hands over
//! the format in which they were recorded.
//!
//! Takes WAV, FLAC, and Ogg with Opus or Vorbis. Works block by block, so that memory stays flat
//! whatever the length; the same input and settings give the same bytes. It is strict: an input
//! of which some audio could be left out unnoticed is refused, and the caller delivers the original.
//! Nothing in it runs outside this process, and no decoder is written in C.

mod flac;
mod opus;
mod pcm;
mod stream;
mod wav;

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::Deserialize;
use symphonia::core::io::MediaSource;

/// The most channels that are taken: as many as FLAC has.
const CHANNELS: u16 = 8;

/// How a sink wants recordings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The format that is made.
    pub to: Form,
    /// What becomes of the channels.
    #[serde(default)]
    pub channels: Channels,
    /// The MIME types that are taken; all that can be, if not given.
    #[serde(default)]
    pub when: Option<Vec<Media>>,
    /// What becomes of the original.
    #[serde(default)]
    pub original: Original,
}

/// A format that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// WAV with PCM of 16 bits.
    Wav,
    /// FLAC of 16 bits.
    Flac,
}

/// What becomes of channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// All in one file, as they are.
    #[default]
    Keep,
    /// One channel, the mean of all.
    Mix,
    /// Each in a file of its own.
    Split,
}

/// What becomes of an original that was transcoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Original {
    /// It is delivered too.
    #[default]
    Keep,
    /// It is not.
    Drop,
}

/// A MIME type that can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Media {
    /// `audio/ogg`, and its other name `audio/opus`.
    #[serde(rename = "audio/ogg", alias = "audio/opus")]
    Ogg,
    /// `audio/wav`, and its other names.
    #[serde(
        rename = "audio/wav",
        alias = "audio/x-wav",
        alias = "audio/wave",
        alias = "audio/vnd.wave"
    )]
    Wav,
    /// `audio/flac`, and its other name `audio/x-flac`.
    #[serde(rename = "audio/flac", alias = "audio/x-flac")]
    Flac,
}

impl Media {
    /// What a MIME type is, with or without parameters.
    fn of(content_type: &str) -> Option<Media> {
        let plain = content_type.split(';').next().unwrap_or_default().trim();
        Some(match plain.to_ascii_lowercase().as_str() {
            "audio/ogg" | "audio/opus" => Media::Ogg,
            "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Media::Wav,
            "audio/flac" | "audio/x-flac" => Media::Flac,
            _ => return None,
        })
    }
}

impl Settings {
    /// Whether files of this MIME type are to be transcoded.
    #[must_use]
    pub fn takes(&self, content_type: &str) -> bool {
        let when = self.when.as_ref();
        Media::of(content_type).is_some_and(|media| when.is_none_or(|all| all.contains(&media)))
    }
}

impl Form {
    /// The MIME type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Form::Wav => "audio/wav",
            Form::Flac => "audio/flac",
        }
    }

    /// The extension of its files.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Form::Wav => "wav",
            Form::Flac => "flac",
        }
    }
}

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
    /// The input could not be read or the output not be written: nothing is wrong with the audio.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What came of an input.
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

/// Decodes block by block into interleaved samples.
trait Decoder {
    /// Samples a second.
    fn rate(&self) -> u32;
    /// Channels, 1 to [`CHANNELS`].
    fn channels(&self) -> u16;
    /// Whether it is WAV with PCM of 16 bits.
    fn is_wav16(&self) -> bool {
        false
    }
    /// Replaces `block` by the next samples; false at the end.
    fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, TranscodeError>;
}

/// Encodes interleaved samples.
trait Encoder<W> {
    fn write(&mut self, samples: &[i16]) -> Result<(), TranscodeError>;
    /// Completes the file.
    fn finish(self: Box<Self>) -> Result<W, TranscodeError>;
}

/// Transcodes `input` into files that `open` makes, one after the other, all empty.
///
/// # Errors
/// [`TranscodeError`]; what was written so far is of no use.
pub fn transcode<R, W>(
    input: R,
    settings: &Settings,
    mut open: impl FnMut() -> io::Result<W>,
) -> Result<Transcoded<W>, TranscodeError>
where
    R: MediaSource + 'static,
    W: Write + Seek + 'static,
{
    // Codecs take what strangers made; nothing of theirs is used after a panic.
    catch_unwind(AssertUnwindSafe(|| run(input, settings, &mut open)))
        .unwrap_or(Err(TranscodeError::Codec))
}

fn run<R, W>(
    mut input: R,
    settings: &Settings,
    open: &mut dyn FnMut() -> io::Result<W>,
) -> Result<Transcoded<W>, TranscodeError>
where
    R: MediaSource + 'static,
    W: Write + Seek + 'static,
{
    let mut head = Vec::new();
    input.seek(SeekFrom::Start(0))?;
    input.by_ref().take(64).read_to_end(&mut head)?;
    input.seek(SeekFrom::Start(0))?;
    let mut decoder: Box<dyn Decoder> = if opus::is_opus(&head) {
        Box::new(opus::Opus::new(input)?)
    } else if pcm::is_wav(&head) {
        Box::new(pcm::Pcm::new(input)?)
    } else if stream::is_known(&head) {
        Box::new(stream::Stream::new(input)?)
    } else {
        return Err(TranscodeError::Unknown);
    };
    let channels = usize::from(decoder.channels());
    if settings.to == Form::Wav
        && decoder.is_wav16()
        && (channels == 1 || settings.channels == Channels::Keep)
    {
        return Ok(Transcoded::Already);
    }
    let (files, width) = match settings.channels {
        Channels::Keep => (1, channels),
        Channels::Mix => (1, 1),
        Channels::Split => (channels, 1),
    };
    let mut encoders: Vec<Box<dyn Encoder<W>>> = Vec::with_capacity(files);
    for _ in 0..files {
        let (output, rate, width) = (open()?, decoder.rate(), width as u16);
        encoders.push(match settings.to {
            Form::Wav => Box::new(wav::Wav::new(output, rate, width)?),
            Form::Flac => Box::new(flac::Flac::new(output, rate, width)?),
        });
    }
    let (mut block, mut single, mut frames) = (Vec::new(), Vec::new(), 0);
    while decoder.next(&mut block)? {
        frames += (block.len() / channels) as u64;
        match settings.channels {
            Channels::Keep => encoders[0].write(&block)?,
            Channels::Mix => {
                single.clear();
                single.extend(block.chunks_exact(channels).map(mean));
                encoders[0].write(&single)?;
            }
            Channels::Split => {
                for (channel, encoder) in encoders.iter_mut().enumerate() {
                    single.clear();
                    single.extend(block.iter().skip(channel).step_by(channels));
                    encoder.write(&single)?;
                }
            }
        }
    }
    if frames == 0 {
        return Err(TranscodeError::Empty);
    }
    let split = settings.channels == Channels::Split;
    let made = encoders.into_iter().zip(0..).map(|(encoder, channel)| {
        Ok::<_, TranscodeError>(Made {
            channel: split.then_some(channel),
            frames,
            rate: decoder.rate(),
            output: encoder.finish()?,
        })
    });
    Ok(Transcoded::Files(made.collect::<Result<_, _>>()?))
}

/// The mean of a frame's samples, towards zero.
fn mean(frame: &[i16]) -> i16 {
    let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
    // The mean of values is between them: it fits.
    (sum / frame.len() as i32) as i16
}

/// Refuses what no call has, and no format can tell.
fn supported(rate: u32, channels: usize) -> Result<u16, TranscodeError> {
    if !(1..=192_000).contains(&rate) {
        let reason = format!("{rate} samples a second are not supported");
        return Err(TranscodeError::Unsupported(reason));
    }
    match u16::try_from(channels) {
        Ok(channels @ 1..=CHANNELS) => Ok(channels),
        _ => {
            let reason = format!("{channels} channels are not supported: 1 to {CHANNELS} are");
            Err(TranscodeError::Unsupported(reason))
        }
    }
}

#[cfg(test)]
mod tests;
