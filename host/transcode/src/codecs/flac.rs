//! FLAC of 16 bits. Lengths and the digest of the samples are filled in at the end.

use std::io::{BufWriter, Seek, SeekFrom, Write};

use flacenc::{
    bitsink::ByteSink,
    component::{BitRepr, Stream, StreamInfo},
    config,
    error::{Verified, Verify},
    source::{Context, Fill, FrameBuf},
};

use super::{TranscodeError, codec::Encoder};

/// Samples of each channel in a block.
const BLOCK: usize = 4096;
/// The highest rate that the encoder takes.
const FASTEST: u32 = 96_000;

/// A FLAC file that is being written.
pub(super) struct Flac<W: Write> {
    output: BufWriter<W>,
    settings: Verified<config::Encoder>,
    info: StreamInfo,
    /// Counts and digests the samples.
    context: Context,
    /// Samples that do not fill a block yet, interleaved.
    rest: Vec<i32>,
    buffer: FrameBuf,
    blocks: usize,
    /// The sizes of the shortest and the longest block in bytes.
    sizes: (usize, usize),
}

impl<W: Write + Seek> Flac<W> {
    pub(super) fn new(output: W, rate: u32, channels: u16) -> Result<Self, TranscodeError> {
        if rate > FASTEST {
            let reason = format!("FLAC with {rate} samples a second is not supported");
            return Err(TranscodeError::Unsupported(reason));
        }
        let channels = usize::from(channels);
        let mut info = StreamInfo::new(rate as usize, channels, 16).map_err(codec)?;
        info.set_block_sizes(BLOCK, BLOCK).map_err(codec)?;
        let settings = config::Encoder::default().into_verified();
        let mut flac = Flac {
            output: BufWriter::with_capacity(64 << 10, output),
            settings: settings.map_err(|(_, error)| codec(error))?,
            context: Context::new(16, channels),
            rest: Vec::with_capacity(2 * BLOCK * channels),
            buffer: FrameBuf::with_size(channels, BLOCK).map_err(codec)?,
            info,
            blocks: 0,
            sizes: (usize::MAX, 0),
        };
        flac.header()?;
        Ok(flac)
    }

    fn header(&mut self) -> Result<(), TranscodeError> {
        self.put(&Stream::with_stream_info(self.info.clone()))?;
        Ok(())
    }

    /// Writes a part of the file, and returns its length.
    fn put(&mut self, part: &impl BitRepr) -> Result<usize, TranscodeError> {
        let mut bytes = ByteSink::with_capacity(part.count_bits());
        part.write(&mut bytes).map_err(codec)?;
        self.output.write_all(bytes.as_slice())?;
        Ok(bytes.as_slice().len())
    }

    /// Writes a block of the first `length` samples.
    fn block(&mut self, length: usize) -> Result<(), TranscodeError> {
        let samples = &self.rest[..length];
        self.context.fill_interleaved(samples).map_err(codec)?;
        self.buffer.fill_interleaved(samples).map_err(codec)?;
        let frame =
            flacenc::encode_fixed_size_frame(&self.settings, &self.buffer, self.blocks, &self.info);
        let size = self.put(&frame.map_err(codec)?)?;
        self.sizes = (self.sizes.0.min(size), self.sizes.1.max(size));
        self.blocks += 1;
        self.rest.drain(..length);
        Ok(())
    }
}

impl<W: Write + Seek> Encoder<W> for Flac<W> {
    fn write(&mut self, samples: &[i16]) -> Result<(), TranscodeError> {
        let full = BLOCK * self.info.channels();
        for part in samples.chunks(full) {
            self.rest
                .extend(part.iter().map(|sample| i32::from(*sample)));
            while self.rest.len() >= full {
                self.block(full)?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<W, TranscodeError> {
        if !self.rest.is_empty() {
            self.block(self.rest.len())?;
        }
        let digest = self.context.md5_digest();
        self.info.set_md5_digest(&digest);
        self.info.set_total_samples(self.context.total_samples());
        self.info
            .set_frame_sizes(self.sizes.0, self.sizes.1)
            .map_err(codec)?;
        self.output.seek(SeekFrom::Start(0))?;
        self.header()?;
        Ok(self
            .output
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?)
    }
}

fn codec(_: impl std::fmt::Debug) -> TranscodeError {
    TranscodeError::Codec
}
