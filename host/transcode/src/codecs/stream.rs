//! FLAC, and Ogg with Vorbis.
//!
//! Samples of more than 16 bits lose the lowest ones, those of fewer are scaled up.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::{
    codecs::audio::{AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_FLAC},
    errors::Error,
    formats::{FormatReader, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream},
};

use super::{
    Form, TranscodeError,
    codec::{Decoder, supported},
    input::{Input, exact},
    ogg,
};

/// The first bytes of FLAC (RFC 9639, 6).
const FLAC: &[u8] = b"fLaC";
/// The length of the header of a block of metadata, and of the block that describes the stream, in bytes.
const BLOCK_HEADER: usize = 4;
const STREAM_INFO: usize = 34;
/// The flag of the last block of metadata.
const LAST: u8 = 0x80;

/// A stream of one of the formats.
pub(super) struct Stream {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    rate: u32,
    channels: u16,
    /// How many frames the file says that it has.
    reported: Option<u64>,
    decoded: u64,
    flac: bool,
}

/// A file as the library wants it.
struct Source<R> {
    /// Bytes that stand in place of those before where `input` is; none if the file is read as it is.
    head: io::Cursor<Vec<u8>>,
    input: Input<R>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.input.read(buffer),
            read => Ok(read),
        }
    }
}

impl<R: Read + Seek> Seek for Source<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self.is_seekable() {
            true => self.input.seek(to),
            false => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

impl<R: Read + Seek> Source<R> {
    fn is_seekable(&self) -> bool {
        self.head.get_ref().is_empty()
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Source<R> {
    fn is_seekable(&self) -> bool {
        Source::is_seekable(self)
    }

    fn byte_len(&self) -> Option<u64> {
        Source::is_seekable(self).then(|| self.input.length())
    }
}

/// Returns true if a file begins like Ogg with Vorbis.
pub(super) fn is_vorbis(head: &[u8]) -> bool {
    head.starts_with(b"OggS") && head.windows(7).any(|part| part == b"\x01vorbis")
}

/// Returns true if a file begins like FLAC.
pub(super) fn is_flac(head: &[u8]) -> bool {
    head.starts_with(FLAC)
}

impl Stream {
    /// Ogg with Vorbis.
    pub(super) fn vorbis<R>(mut input: Input<R>) -> Result<Self, TranscodeError>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
        // The identification, the comments, and the setup.
        let headers = ogg::headers(&mut input, 3)?;
        ogg::check_codebooks(&headers[2])?;
        input.rewind()?;
        Self::new(Source {
            head: io::Cursor::default(),
            input,
        })
    }

    /// FLAC, of whose metadata only the first block says anything about the audio: pictures and comments
    /// are not even read.
    pub(super) fn flac<R>(mut input: Input<R>) -> Result<Self, TranscodeError>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
        let mut head = vec![0; FLAC.len() + BLOCK_HEADER + STREAM_INFO];
        exact(&mut input, &mut head)?;
        let block = &mut head[FLAC.len()..];
        if block[0] & !LAST != 0 || block[1..4] != [0, 0, STREAM_INFO as u8] {
            return Err(TranscodeError::Damaged(
                "it does not begin with what its stream is".to_owned(),
            ));
        }
        let mut last = block[0] & LAST != 0;
        block[0] |= LAST;
        while !last {
            let mut block = [0; BLOCK_HEADER];
            exact(&mut input, &mut block)?;
            last = block[0] & LAST != 0;
            let length = u32::from_be_bytes([0, block[1], block[2], block[3]]);
            input.seek(SeekFrom::Current(length.into()))?;
        }
        Self::new(Source {
            head: io::Cursor::new(head),
            input,
        })
    }

    fn new<R>(input: Source<R>) -> Result<Self, TranscodeError>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
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
        // FLAC has a digest of its samples.
        let options = AudioDecoderOptions::default().verify(true);
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &options)
            .map_err(named)?;
        Ok(Stream {
            channels: supported(rate, channels)?,
            rate,
            reported: track.num_frames,
            track: track.id,
            flac: parameters.codec == CODEC_ID_FLAC,
            decoder,
            format,
            decoded: 0,
        })
    }

    /// Fails if what was decoded is not what the file says that it has.
    fn agree(&mut self) -> Result<(), TranscodeError> {
        if let Some(reported) = self.reported
            && reported != self.decoded
        {
            let reason = format!("it has {} samples but announces {reported}", self.decoded);
            return Err(TranscodeError::Damaged(reason));
        }
        match self.decoder.finalize().verify_ok {
            Some(false) => {
                let reason = "its samples do not match its digest";
                Err(TranscodeError::Damaged(reason.to_owned()))
            }
            _ => Ok(()),
        }
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
                None => return self.agree().map(|()| false),
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
