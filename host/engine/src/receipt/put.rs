//! Puts an object that is written while it is on its way: measured and hashed in passing.

use std::io;

use tokio::task::spawn_blocking;

use super::ObjectDigest;
use crate::transfer::SinkBinding;
use recording_host_sink::{Body, BodyWriter, PutOptions, SinkError};

/// Puts what `write` writes, on a thread that may block, and returns the digest of what is stored, be
/// it encrypted or not.
pub(super) async fn put(
    binding: &SinkBinding,
    key: String,
    content_type: &str,
    write: impl FnOnce(&mut BodyWriter) -> io::Result<()> + Send + 'static,
) -> Result<ObjectDigest, SinkError> {
    let (feed, body) = Body::channel();
    let writing = spawn_blocking(move || {
        let mut writer = BodyWriter::new(feed);
        write(&mut writer)?;
        writer.end()
    });
    let info = PutOptions {
        content_type: content_type.to_owned(),
        size: None,
        replace: true,
        plaintext: false,
    };
    let (written, stored) = tokio::join!(writing, binding.sink.put(&key, info, body));
    let failed = |reason: String| SinkError::new(&binding.name, &key, reason);
    match written {
        Ok(Ok((size, sha256))) => {
            let mut digest = ObjectDigest::of(key, size, sha256, stored?);
            // An object that is proven so is read whole: no tag is needed.
            digest.etag = None;
            Ok(digest)
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
