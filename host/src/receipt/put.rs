//! Puts an object that is written while it is on its way: measured and hashed in passing.

use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::Proof;
use crate::{
    sandbox::hex,
    sink::{Body, Feed, ObjectInfo, SinkError},
    transfer::Output,
};

/// Bytes that go on together.
const FRAME: usize = 256 << 10;

/// Puts what `write` writes, on a thread that may block, and says what proves it.
pub(super) async fn put(
    output: &Output,
    key: String,
    content_type: &str,
    write: impl FnOnce(&mut Passing) -> io::Result<()> + Send + 'static,
) -> Result<Proof, SinkError> {
    let (feed, body) = Body::channel();
    let writing = spawn_blocking(move || {
        let mut passing = Passing::new(feed);
        write(&mut passing)?;
        passing.end()
    });
    let info = ObjectInfo {
        content_type: content_type.to_owned(),
        size: None,
        replace: true,
    };
    let (written, stored) = tokio::join!(writing, output.sink.put(&key, info, body));
    let failed = |reason: String| SinkError {
        sink: output.name.clone(),
        key: key.clone(),
        reason,
        retryable: false,
    };
    match written {
        Ok(Ok((size, sha256))) => {
            stored?;
            Ok(Proof {
                key,
                size,
                sha256,
                etag: None,
            })
        }
        // The sink stopped reading, and says why.
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            stored?;
            Err(failed(
                "the sink stopped reading and called it a success".to_owned(),
            ))
        }
        Ok(Err(error)) => Err(failed(format!("it cannot be written: {error}"))),
        Err(error) => Err(failed(format!("writing it was interrupted: {error}"))),
    }
}

/// Bytes on their way to a sink. Dropped before its end, it breaks the object off.
pub(super) struct Passing {
    feed: Feed,
    frame: Vec<u8>,
    digest: Sha256,
    size: u64,
}

impl Passing {
    fn new(feed: Feed) -> Self {
        Passing {
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
    fn end(mut self) -> io::Result<(u64, String)> {
        if !self.frame.is_empty() {
            self.pass_on()?;
        }
        self.feed.end_blocking();
        Ok((self.size, hex(&self.digest.finalize())))
    }
}

impl Write for Passing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(FRAME - self.frame.len());
        self.frame.extend_from_slice(&data[..taken]);
        if self.frame.len() == FRAME {
            self.pass_on()?;
        }
        Ok(taken)
    }

    /// Frames go on when they are full; what is complete goes on at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
