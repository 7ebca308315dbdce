//! Bytes that are written while they are on their way to a sink: measured and hashed in passing.

use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::BodySender;
use recording_host_model::hex;

/// Bytes that are passed on together.
const FRAME: usize = 256 << 10;

/// Bytes on their way to a sink. Dropped before its end, it breaks the object off.
pub struct BodyWriter {
    feed: BodySender,
    frame: Vec<u8>,
    digest: Sha256,
    size: u64,
}

impl BodyWriter {
    /// Writes to a body.
    #[must_use]
    pub fn new(feed: BodySender) -> Self {
        BodyWriter {
            feed,
            frame: Vec::with_capacity(FRAME),
            digest: Sha256::new(),
            size: 0,
        }
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let frame = std::mem::replace(&mut self.frame, Vec::with_capacity(FRAME));
        self.digest.update(&frame);
        self.size += frame.len() as u64;
        self.feed
            .send_blocking(Bytes::from(frame))
            .map_err(|closed| io::Error::new(io::ErrorKind::BrokenPipe, closed))
    }

    /// Says that the object is complete, and what its length and sha256 are.
    ///
    /// # Errors
    /// The sink has given up.
    pub fn end(mut self) -> io::Result<(u64, String)> {
        if !self.frame.is_empty() {
            self.pass_on()?;
        }
        self.feed.end_blocking();
        Ok((self.size, hex(&self.digest.finalize())))
    }
}

impl Write for BodyWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&data[..taken]);
        if self.frame.len() == FRAME {
            self.pass_on()?;
        }
        Ok(taken)
    }

    /// Does nothing: frames are passed on when they are full, and the last one at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
