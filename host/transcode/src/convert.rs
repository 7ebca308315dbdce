//! From a decoder to an encoder, or to one for each channel.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::{
    Channels, Form, Made, Settings, TranscodeError, Transcoded,
    codec::{Decoder, Encoder},
    flac::Flac,
    opus,
    opus::Opus,
    pcm,
    pcm::Pcm,
    stream,
    stream::Stream,
    wav::Wav,
};

pub(super) fn run<R, W>(
    mut input: R,
    settings: &Settings,
    open: &mut dyn FnMut() -> io::Result<W>,
) -> Result<Transcoded<W>, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
    W: Write + Seek + 'static,
{
    let mut head = Vec::new();
    input.seek(SeekFrom::Start(0))?;
    input.by_ref().take(64).read_to_end(&mut head)?;
    input.seek(SeekFrom::Start(0))?;
    let mut decoder: Box<dyn Decoder> = if opus::is_opus(&head) {
        Box::new(Opus::new(input)?)
    } else if pcm::is_wav(&head) {
        Box::new(Pcm::new(input)?)
    } else if stream::is_known(&head) {
        Box::new(Stream::new(input)?)
    } else {
        return Err(TranscodeError::Unknown);
    };
    let channels = usize::from(decoder.channels());
    let whole = channels == 1 || settings.channels == Channels::Keep;
    if whole && decoder.form() == Some(settings.to) {
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
    let (mut block, mut single, mut frames) = (Vec::new(), Vec::new(), 0);
    while decoder.next(&mut block)? {
        frames += (block.len() / channels) as u64;
        match settings.channels {
            Channels::Keep => encoders[0].write(&block)?,
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
    }
    if frames == 0 {
        return Err(TranscodeError::Empty);
    }
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

/// The mean of a frame's samples, towards zero.
fn mean(frame: &[i16]) -> i16 {
    let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
    // The mean of values is between them: it fits.
    (sum / frame.len() as i32) as i16
}
