//! From a decoder to an encoder, or to one for each channel.

use std::io::{self, Read, Seek, Write};

use super::{
    Channels, Form, Made, TranscodeError, TranscodeSettings, Transcoded,
    codec::{Decoder, Encoder},
    flac::Flac,
    input::{Fault, Input},
    opus,
    opus::Opus,
    pcm,
    pcm::Pcm,
    stream,
    stream::Stream,
    wav::Wav,
};

/// How many bytes of a file show its format.
const HEAD: u64 = 64;

pub(crate) fn run<R, W>(
    input: R,
    settings: &TranscodeSettings,
    open: &mut dyn FnMut() -> io::Result<W>,
) -> Result<Transcoded<W>, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
    W: Write + Seek + 'static,
{
    let input = Input::new(input)?;
    let fault = input.fault();
    let mut decoder = fault.judge(decoder(input))?;
    let channels = usize::from(decoder.channels());
    let whole = channels == 1 || settings.channels == Channels::Keep;
    if whole && decoder.form() == Some(settings.to) {
        // It is read to its end all the same: a file that stays as it is can be damaged like any other.
        decode(&mut *decoder, &fault, |_| Ok(()))?;
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
            Form::Wav => Box::new(Wav::new(output, rate, width)?),
            Form::Flac => Box::new(Flac::new(output, rate, width)?),
        });
    }
    let mut single = Vec::new();
    let frames = decode(&mut *decoder, &fault, |block| {
        match settings.channels {
            Channels::Keep => encoders[0].write(block)?,
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
        Ok(())
    })?;
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

/// The decoder for a file, by its first bytes.
pub(super) fn decoder<R>(mut input: Input<R>) -> Result<Box<dyn Decoder>, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
{
    let mut head = Vec::new();
    input.by_ref().take(HEAD).read_to_end(&mut head)?;
    input.rewind()?;
    Ok(if opus::is_opus(&head) {
        Box::new(Opus::new(input)?)
    } else if pcm::is_wav(&head) {
        Box::new(Pcm::new(input)?)
    } else if stream::is_vorbis(&head) {
        Box::new(Stream::vorbis(input)?)
    } else if stream::is_flac(&head) {
        Box::new(Stream::flac(input)?)
    } else {
        return Err(TranscodeError::Unknown);
    })
}

/// Decodes to the end, block by block, and returns how many samples each channel has.
pub(super) fn decode(
    decoder: &mut dyn Decoder,
    fault: &Fault,
    mut take: impl FnMut(&[i16]) -> Result<(), TranscodeError>,
) -> Result<u64, TranscodeError> {
    let channels = usize::from(decoder.channels());
    let (mut block, mut frames) = (Vec::new(), 0);
    while fault.judge(decoder.next(&mut block))? {
        frames += (block.len() / channels) as u64;
        take(&block)?;
    }
    match frames {
        0 => Err(TranscodeError::Empty),
        frames => Ok(frames),
    }
}

/// The mean of a frame's samples, towards zero.
fn mean(frame: &[i16]) -> i16 {
    let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
    // The mean of values is between them: it fits.
    (sum / frame.len() as i32) as i16
}
