//! Ogg with Opus (RFC 7845).
//!
//! Opus decodes to whichever of its rates is requested: the one at which the stream says that it was
//! recorded, or 48 kHz.

use std::io::{BufReader, Read};

use opus_pure::{Error, MAX_PACKET_SAMPLES, OggOpusReader, OggPacket, OpusDecoder, Trim};

/// The rates that the decoder has.
const RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// The clock of the positions in the stream, ticks a second.
const CLOCK: u64 = 48_000;

/// Why a stream is not decoded.
#[derive(Debug)]
pub enum Failure {
    /// It cannot be decoded to its end, or its parts do not agree.
    Damaged(String),
    /// It has something that is not supported.
    Unsupported(String),
    /// The decoder came to a state that it does not know.
    Codec,
}

/// The form of the samples.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// Samples a second.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
}

/// An Opus stream.
pub struct Stream<R: Read> {
    /// None once all is read.
    reader: Option<OggOpusReader<BufReader<R>>>,
    decoder: OpusDecoder,
    trim: Trim,
    packet: OggPacket,
    /// The samples of a packet.
    block: Vec<i16>,
    format: Format,
    position: Position,
}

impl<R: Read> std::fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
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

impl<R: Read> Stream<R> {
    /// Reads the headers.
    ///
    /// # Errors
    /// [`Failure`] if they are not those of mono or stereo.
    pub fn new(input: R) -> Result<Self, Failure> {
        let reader = OggOpusReader::new(BufReader::with_capacity(64 << 10, input))?;
        let head = reader.head();
        if head.mapping_family != 0 {
            let reason = "Opus with a channel mapping other than mono and stereo is not supported";
            return Err(Failure::Unsupported(reason.to_owned()));
        }
        let reported = head.input_sample_rate;
        let rate = if RATES.contains(&reported) {
            reported
        } else {
            48_000
        };
        let channels = u16::from(head.channel_count);
        Ok(Stream {
            decoder: head.decoder(rate as i32)?,
            trim: Trim::new(head, rate as i32, channels.into())?,
            reader: Some(reader),
            packet: OggPacket::default(),
            block: Vec::new(),
            format: Format { rate, channels },
            position: Position::default(),
        })
    }

    /// The form of the samples.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Adds the samples of the next packet; false at the end.
    ///
    /// # Errors
    /// [`Failure`] if the packet cannot be decoded, or if the end is not that of a whole stream.
    pub fn next(&mut self, samples: &mut Vec<i16>) -> Result<bool, Failure> {
        let Some(reader) = &mut self.reader else {
            return Ok(false);
        };
        if !reader.read_packet_into(&mut self.packet)? {
            self.position.agree()?;
            ended(self.reader.take())?;
            return Ok(false);
        }
        let channels = usize::from(self.format.channels);
        self.block.resize(MAX_PACKET_SAMPLES * channels, 0);
        let frames =
            self.decoder
                .decode_s16(&self.packet.data, MAX_PACKET_SAMPLES, &mut self.block)?;
        self.position.note(
            frames as u64 * CLOCK / u64::from(self.format.rate),
            self.packet.page_granule,
        );
        let audio = self.trim.keep_range(&self.packet, frames * channels);
        samples.extend(&self.block[audio]);
        Ok(true)
    }
}

impl Position {
    fn note(&mut self, ticks: u64, reported: i64) {
        self.decoded += ticks;
        let Ok(reported) = u64::try_from(reported) else {
            return;
        };
        match &mut self.first {
            // All packets of a page state the page's end.
            Some((first, samples)) if *first == reported && self.last == reported => {
                *samples = self.decoded;
            }
            Some(_) => {}
            None => self.first = Some((reported, self.decoded)),
        }
        self.last = reported;
    }

    /// Fails if a page is missing, or if samples would be cut off that no encoder has added.
    fn agree(&self) -> Result<(), Failure> {
        let Some((first, samples)) = self.first else {
            return Ok(());
        };
        // A stream need not begin at 0. One of a single page may end within its last packet.
        let begin = first.saturating_sub(samples);
        let reported = self.last.saturating_sub(begin);
        let damaged = |reason: &str| Err(Failure::Damaged(reason.to_owned()));
        if reported > self.decoded {
            return damaged("a part of the stream is missing");
        }
        if self.decoded - reported > CLOCK {
            return damaged("the stream has more audio than it tells");
        }
        Ok(())
    }
}

/// Fails if there is more after the end of the stream, such as another stream.
fn ended<R: Read>(reader: Option<OggOpusReader<BufReader<R>>>) -> Result<(), Failure> {
    let Some(reader) = reader else {
        return Ok(());
    };
    match reader.into_inner().read(&mut [0]) {
        Ok(0) => Ok(()),
        _ => Err(Failure::Unsupported(
            "there is more than one stream in it".to_owned(),
        )),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Internal(_) => Failure::Codec,
            error => Failure::Damaged(error.to_string()),
        }
    }
}
