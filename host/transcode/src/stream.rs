//! FLAC, and Ogg with Vorbis.
//!
//! Samples of more than 16 bits lose the lowest ones, those of fewer are scaled up.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::{
    codecs::audio::{AudioDecoder, well_known::CODEC_ID_FLAC},
    errors::Error,
    formats::{FormatReader, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream},
};

use super::{
    Form, TranscodeError,
    codec::{Decoder, supported},
};

/// A stream of one of the formats.
pub(super) struct Stream {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    rate: u32,
    channels: u16,
    /// How many frames the file says that it has.
    told: Option<u64>,
    decoded: u64,
    flac: bool,
}

/// A file as the library wants it.
struct Source<R> {
    input: R,
    length: u64,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl<R: Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.input.seek(to)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// Returns true if a file begins like one of the formats.
pub(super) fn is_known(head: &[u8]) -> bool {
    let vorbis = head.starts_with(b"OggS") && head.windows(7).any(|part| part == b"\x01vorbis");
    vorbis || head.starts_with(b"fLaC")
}

impl Stream {
    pub(super) fn new<R>(mut input: R) -> Result<Self, TranscodeError>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
        let length = input.seek(SeekFrom::End(0))?;
        input.rewind()?;
        let input = Source { input, length };
        let input = MediaSourceStream::new(Box::new(input), Default::default());
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), input, Default::default(), Default::default())
            .map_err(named)?;
        let mut audio = format
            .tracks()
            .iter()
            .filter(|track| track.track_type() == Some(TrackType::Audio));
        let (Some(track), None) = (audio.next(), audio.next()) else {
            let reason = "it has not exactly one track of audio";
            return Err(TranscodeError::Unsupported(reason.to_owned()));
        };
        let parameters = track.codec_params.as_ref().and_then(|all| all.audio());
        let parameters = parameters.ok_or(TranscodeError::Unknown)?;
        let channels = parameters.channels.as_ref().map_or(0, |all| all.count());
        let rate = parameters.sample_rate.unwrap_or(0);
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &Default::default())
            .map_err(named)?;
        Ok(Stream {
            channels: supported(rate, channels)?,
            rate,
            told: track.num_frames,
            track: track.id,
            flac: parameters.codec == CODEC_ID_FLAC,
            decoder,
            format,
            decoded: 0,
        })
    }
}

impl Decoder for Stream {
    fn rate(&self) -> u32 {
        self.rate
    }

    fn channels(&self) -> u16 {
        self.channels
    }

    fn form(&self) -> Option<Form> {
        self.flac.then_some(Form::Flac)
    }

    fn next(&mut self, block: &mut Vec<i16>) -> Result<bool, TranscodeError> {
        let packet = loop {
            match self.format.next_packet().map_err(named)? {
                Some(packet) if packet.track_id == self.track => break packet,
                Some(_) => {}
                None if self.told.is_some_and(|told| told != self.decoded) => {
                    let told = self.told.unwrap_or_default();
                    let reason = format!("it has {} samples, and tells of {told}", self.decoded);
                    return Err(TranscodeError::Damaged(reason));
                }
                None => return Ok(false),
            }
        };
        let audio = self.decoder.decode(&packet).map_err(named)?;
        if audio.spec().rate() != self.rate
            || audio.spec().channels().count() != usize::from(self.channels)
        {
            let reason = "its rate or its channels change on the way";
            return Err(TranscodeError::Unsupported(reason.to_owned()));
        }
        self.decoded += audio.frames() as u64;
        audio.copy_to_vec_interleaved(block);
        Ok(true)
    }
}

fn named(error: Error) -> TranscodeError {
    match error {
        Error::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => error.into(),
        Error::IoError(_) => TranscodeError::Damaged("it ends too early".to_owned()),
        Error::Unsupported(what) => {
            TranscodeError::Unsupported(format!("a feature of the format is not supported: {what}"))
        }
        Error::ResetRequired => {
            TranscodeError::Unsupported("there is more than one stream in it".to_owned())
        }
        error => TranscodeError::Damaged(error.to_string()),
    }
}
