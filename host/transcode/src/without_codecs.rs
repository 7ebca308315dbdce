//! Stands in for the codecs in a build without them: settings can be read, and nothing is decoded.

use std::io::{self, Read, Seek, Write};

use super::{Peaks, TranscodeError, TranscodeSettings, Transcoded};

fn absent<T>() -> Result<T, TranscodeError> {
    let reason = "this build cannot transcode; build it with the feature `transcode`";
    Err(TranscodeError::Unsupported(reason.to_owned()))
}

pub(super) fn transcode<R, W>(
    _input: R,
    _settings: &TranscodeSettings,
    _open: &mut dyn FnMut() -> io::Result<W>,
) -> Result<Transcoded<W>, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
    W: Write + Seek + 'static,
{
    absent()
}

pub(super) fn peaks<R>(_input: R, _stretches: usize) -> Result<Peaks, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
{
    absent()
}
