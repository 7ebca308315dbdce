//! The loudest sample of each stretch of a recording: what a waveform is drawn from.

use std::io::{Read, Seek};

use super::{Peaks, TranscodeError, convert, input::Input};

/// The waveform of a recording.
pub(crate) fn run<R>(input: R, stretches: usize) -> Result<Peaks, TranscodeError>
where
    R: Read + Seek + Send + Sync + 'static,
{
    let input = Input::new(input)?;
    let fault = input.fault();
    let mut decoder = fault.judge(convert::decoder(input))?;
    let (channels, rate) = (decoder.channels(), decoder.rate());
    let width = usize::from(channels);
    let mut lanes = vec![Lane::default(); width];
    let frames = convert::decode(&mut *decoder, &fault, |block| {
        for frame in block.chunks_exact(width) {
            for (lane, sample) in lanes.iter_mut().zip(frame) {
                lane.add(sample.unsigned_abs(), stretches);
            }
        }
        Ok(())
    })?;
    let values = lanes.into_iter().flat_map(|lane| lane.finish(stretches));
    Ok(Peaks {
        channels,
        duration_ms: frames * 1000 / u64::from(rate),
        values: values.collect(),
    })
}

/// The peaks of a channel, in steps that double whenever there are too many.
#[derive(Clone)]
struct Lane {
    peaks: Vec<u16>,
    step: usize,
    filled: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            peaks: Vec::new(),
            step: 1,
            filled: 0,
        }
    }
}

impl Lane {
    fn add(&mut self, sample: u16, stretches: usize) {
        if self.filled == 0 {
            // Four times as many as are wanted, so that the final division is even.
            if self.peaks.len() >= stretches * 8 {
                let joined = self.peaks.chunks(2);
                self.peaks = joined.filter_map(|two| two.iter().max().copied()).collect();
                self.step *= 2;
            }
            self.peaks.push(0);
        }
        if let Some(last) = self.peaks.last_mut() {
            *last = sample.max(*last);
        }
        self.filled = (self.filled + 1) % self.step;
    }

    fn finish(self, stretches: usize) -> Vec<u8> {
        let (length, count) = (self.peaks.len(), stretches.min(self.peaks.len()));
        let peak = |at: usize| {
            let range = at * length / count..(at + 1) * length / count;
            let loudest = self.peaks[range].iter().max().copied().unwrap_or_default();
            (u32::from(loudest) * 255 / 32768) as u8
        };
        (0..count).map(peak).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A WAV with two channels at 8 kHz: the left one is silent, the right one loud in its second half.
    fn wav(frames: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let length = frames * 4;
        file.extend(b"RIFF");
        file.extend((length + 36).to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16_u32.to_le_bytes());
        for half in [1_u16, 2] {
            file.extend(half.to_le_bytes());
        }
        file.extend(8000_u32.to_le_bytes());
        file.extend(32_000_u32.to_le_bytes());
        for half in [4_u16, 16] {
            file.extend(half.to_le_bytes());
        }
        file.extend(b"data");
        file.extend(length.to_le_bytes());
        for frame in 0..frames {
            file.extend(0_i16.to_le_bytes());
            let right = if frame >= frames / 2 { i16::MIN } else { 0 };
            file.extend(right.to_le_bytes());
        }
        file
    }

    #[test]
    fn each_channel_has_its_own_peaks_whatever_the_length() {
        for frames in [100, 8000, 123_456] {
            let peaks = run(Cursor::new(wav(frames)), 100).unwrap();
            assert_eq!((peaks.channels, peaks.values.len()), (2, 200));
            assert_eq!(peaks.duration_ms, u64::from(frames) / 8);
            assert!(
                peaks.values[..149].iter().all(|peak| *peak == 0),
                "{frames}"
            );
            assert!(
                peaks.values[151..].iter().all(|peak| *peak == 255),
                "{frames}"
            );
        }
    }

    #[test]
    fn a_wav_that_lies_about_its_length_is_refused() {
        let mut file = wav(100);
        file.truncate(60);
        assert!(matches!(
            run(Cursor::new(file), 10),
            Err(TranscodeError::Damaged(_))
        ));
    }
}
