//! WAV with PCM of 16 bits: a header of 44 bytes, whose lengths are filled in at the end.

use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::{TranscodeError, codec::Encoder};

/// The length of the header in bytes, and what of it the length in its second field leaves out.
const HEADER: u32 = 44;
const BEFORE: u32 = 8;

/// A WAV file that is being written.
pub(super) struct Wav<W: Write> {
    output: BufWriter<W>,
    rate: u32,
    channels: u16,
    /// Bytes of samples so far.
    data: u32,
}

impl<W: Write + Seek> Wav<W> {
    pub(super) fn new(output: W, rate: u32, channels: u16) -> Result<Self, TranscodeError> {
        let mut wav = Wav {
            output: BufWriter::with_capacity(64 << 10, output),
            rate,
            channels,
            data: 0,
        };
        wav.header()?;
        Ok(wav)
    }

    fn header(&mut self) -> Result<(), TranscodeError> {
        let frame = self.channels * 2;
        let mut header = Vec::with_capacity(HEADER as usize);
        header.extend(b"RIFF");
        header.extend((self.data + HEADER - BEFORE).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16_u32.to_le_bytes());
        header.extend(1_u16.to_le_bytes());
        header.extend(self.channels.to_le_bytes());
        header.extend(self.rate.to_le_bytes());
        header.extend((self.rate * u32::from(frame)).to_le_bytes());
        header.extend(frame.to_le_bytes());
        header.extend(16_u16.to_le_bytes());
        header.extend(b"data");
        header.extend(self.data.to_le_bytes());
        Ok(self.output.write_all(&header)?)
    }
}

impl<W: Write + Seek> Encoder<W> for Wav<W> {
    fn write(&mut self, samples: &[i16]) -> Result<(), TranscodeError> {
        self.data = u32::try_from(samples.len() * 2)
            .ok()
            .and_then(|more| self.data.checked_add(more))
            .filter(|data| *data <= u32::MAX - HEADER)
            .ok_or(TranscodeError::TooLong)?;
        for sample in samples {
            self.output.write_all(&sample.to_le_bytes())?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<W, TranscodeError> {
        self.output.seek(SeekFrom::Start(0))?;
        self.header()?;
        Ok(self
            .output
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn what_no_wav_header_can_tell_is_refused() {
        let mut wav = Wav::new(Cursor::new(Vec::new()), 8000, 1).unwrap();
        wav.data = u32::MAX - HEADER - 3;
        wav.write(&[0]).unwrap();
        assert!(matches!(wav.write(&[0]), Err(TranscodeError::TooLong)));
    }
}
