//! The codecs, and what is done with the samples that come of them.

mod codec;
mod convert;
mod flac;
mod input;
mod ogg;
mod opus;
mod pcm;
mod peaks;
mod stream;
#[cfg(test)]
mod tests;
mod wav;

pub(super) use convert::run as transcode;
pub(super) use peaks::run as peaks;

use super::{Channels, Form, Made, Peaks, TranscodeError, TranscodeSettings, Transcoded};
