//! The traits of decoders and encoders.

use super::{Form, TranscodeError};

/// The most channels that are taken: as many as FLAC has.
const CHANNELS: u16 = 8;

/// Decodes block by block into interleaved samples.
pub(super) trait Decoder {
    /// Samples a second.
    fn rate(&self) -> u32;
    /// Channels, 1 to [`CHANNELS`].
    fn channels(&self) -> u16;
    /// The format, if it is one that is made here.
    fn form(&self) -> Option<Form> {
        None
    }
    /// Replaces `block` by the next samples; false at the end.
    fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, TranscodeError>;
}

/// Encodes interleaved samples.
pub(super) trait Encoder<W> {
    fn write(&mut self, samples: &[i16]) -> Result<(), TranscodeError>;
    /// Completes the file.
    fn finish(self: Box<Self>) -> Result<W, TranscodeError>;
}

/// Refuses rates and numbers of channels that no call has, and no format can express.
pub(super) fn supported(rate: u32, channels: usize) -> Result<u16, TranscodeError> {
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
