//! Ogg with Opus (RFC 7845).
//!
//! Opus decodes to whichever of its rates is requested: the one at which the stream says that it was
//! recorded, or 48 kHz.

use std::io::{BufReader, Read, Seek};

use opus_pure::{Error, MAX_PACKET_SAMPLES, OggOpusReader, OggPacket, OpusDecoder, Trim};

use super::{
    TranscodeError,
    codec::{Decoder, supported},
    input::Input,
    ogg,
};

/// The rates that the decoder has.
const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// The clock of the positions in the stream, ticks a second.
const CLOCK: u64 = 48_000;

/// An Opus stream.
pub(super) struct Opus<R: Read> {
    /// None once all is read.
    reader: Option<OggOpusReader<BufReader<Input<R>>>>,
    decoder: OpusDecoder,
    trim: Trim,
    packet: OggPacket,
    rate: u32,
    channels: u16,
    position: Position,
}

/// Compares the positions that pages state with the samples that are there.
#[derive(Default)]
struct Position {
    /// The first position stated, and the samples up to there, in ticks.
    first: Option<(u64, u64)>,
    /// The last position stated.
    last: u64,
    /// All samples, in ticks.
    decoded: u64,
}

/// Returns true if a file begins like Ogg with Opus.
pub(super) fn is_opus(head: &[u8]) -> bool {
    head.starts_with(b"OggS") && head.windows(8).any(|part| part == b"OpusHead")
}

impl<R: Read + Seek> Opus<R> {
    pub(super) fn new(mut input: Input<R>) -> Result<Self, TranscodeError> {
        // The identification and the comments.
        ogg::headers(&mut input, 2)?;
        input.rewind()?;
        let reader =
            OggOpusReader::new(BufReader::with_capacity(64 << 10, input)).map_err(named)?;
        let head = reader.head();
        if head.mapping_family != 0 {
            let reason = "Opus with a channel mapping other than mono and stereo is not supported";
            return Err(TranscodeError::Unsupported(reason.to_owned()));
        }
        let told = head.input_sample_rate;
        let rate = if RATES.contains(&told) { told } else { 48_000 };
        let channels = supported(rate, head.channel_count.into())?;
        Ok(Opus {
            decoder: head.decoder(rate as i32).map_err(named)?,
            trim: Trim::new(head, rate as i32, channels.into()).map_err(named)?,
            reader: Some(reader),
            packet: OggPacket::default(),
            rate,
            channels,
            position: Position::default(),
        })
    }
}

impl<R: Read + Seek> Decoder for Opus<R> {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn channels(&self) -> u16 {
        self.channels
    }

    fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, TranscodeError> {
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        if !reader.read_packet_into(&mut self.packet).map_err(named)? {
            self.position.agree()?;
            ended(self.reader.take())?;
            return Ok(false);
        }
        let channels = usize::from(self.channels);
        block.resize(MAX_PACKET_SAMPLES * channels, 0);
        let frames = self
            .decoder
            .decode_s16(&self.packet.data, MAX_PACKET_SAMPLES, block)
            .map_err(named)?;
        self.position.note(
            frames as u64 * CLOCK / u64::from(self.rate),
            self.packet.page_granule,
        );
        let audio = self.trim.keep_range(&self.packet, frames * channels);
        block.truncate(audio.end);
        block.drain(..audio.start);
        Ok(true)
    }
}

impl Position {
    fn note(&mut self, ticks: u64, told: i64) {
        self.decoded += ticks;
        let Ok(told) = u64::try_from(told) else {
            return;
        };
        match &mut self.first {
            // All packets of a page state the page's end.
            Some((first, samples)) if *first == told && self.last == told => {
                *samples = self.decoded;
            }
            Some(_) => {}
            None => self.first = Some((told, self.decoded)),
        }
        self.last = told;
    }

    /// Fails if a page is missing, or if samples would be cut off that no encoder has added.
    fn agree(&self) -> Result<(), TranscodeError> {
        let Some((first, samples)) = self.first else {
            return Ok(());
        };
        // A stream need not begin at 0. One of a single page may end within its last packet.
        let begin = first.saturating_sub(samples);
        let told = self.last.saturating_sub(begin);
        let damaged = |reason: &str| Err(TranscodeError::Damaged(reason.to_owned()));
        if told > self.decoded {
            return damaged("a part of the stream is missing");
        }
        if self.decoded - told > CLOCK {
            return damaged("the stream has more audio than it tells");
        }
        Ok(())
    }
}

/// Fails if there is more after the end of the stream, such as another stream.
fn ended<R: Read + Seek>(
    reader: Option<OggOpusReader<BufReader<Input<R>>>>,
) -> Result<(), TranscodeError> {
    let Some(reader) = reader else {
        return Ok(());
    };
    let mut rest = [0];
    match reader.into_inner().read(&mut rest)? {
        0 => Ok(()),
        _ => Err(TranscodeError::Unsupported(
            "there is more than one stream in it".to_owned(),
        )),
    }
}

fn named(error: Error) -> TranscodeError {
    match error {
        Error::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        Error::Internal(_) => TranscodeError::Codec,
        error => TranscodeError::Damaged(error.to_string()),
    }
}
