//! Encrypts the objects that go into another sink.
//!
//! An object put under a key is stored under the key with `.age` behind it. Nobody can tell an object
//! that is there from one that is to be put, since equal ones differ once they are encrypted: the
//! object that is there is replaced. A put returns the length and digest of the stored object, so that
//! a receipt that is written afterwards proves it. Read through this sink, objects are as they are
//! stored: for that no identity is needed.

use std::{
    io::{self, Write},
    sync::Arc,
};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{
    Body, BodySender, BodyWriter, EncryptedObject, Health, PutOptions, PutResult, Sink, SinkError,
    Store,
};
use crate::encryption::Recipients;
use recording_host_model::ENCRYPTED_SUFFIX;

/// A sink whose objects are encrypted, all but those that are meant to be
/// [`plaintext`](PutOptions::plaintext). The one below must replace objects when it is told to.
#[derive(Debug)]
pub struct Encrypted {
    below: Arc<dyn Sink>,
    recipients: Recipients,
}

impl Encrypted {
    /// Encrypts for these recipients what goes into the sink `below`.
    #[must_use]
    pub fn new(below: Arc<dyn Sink>, recipients: Recipients) -> Self {
        Encrypted { below, recipients }
    }
}

#[async_trait]
impl Sink for Encrypted {
    fn name(&self) -> &str {
        self.below.name()
    }

    async fn check(&self) -> Result<Health, SinkError> {
        let below = self.below.check().await?;
        let recipients = self.recipients.count();
        Ok(Health {
            found: format!("{}; encrypted for {recipients} recipients", below.found),
        })
    }

    async fn put(&self, key: &str, info: PutOptions, body: Body) -> Result<PutResult, SinkError> {
        if info.plaintext {
            return self.below.put(key, info, body).await;
        }
        let key = format!("{key}{ENCRYPTED_SUFFIX}");
        let info = PutOptions {
            content_type: "application/octet-stream".to_owned(),
            // The length of what precedes the content differs from object to object.
            size: None,
            replace: true,
            plaintext: false,
        };
        let (feed, encrypted) = Body::channel();
        let recipients = self.recipients.clone();
        let sealing = spawn_blocking(move || seal(&recipients, body, feed));
        let (sealed, stored) = tokio::join!(sealing, self.below.put(&key, info, encrypted));
        let stored = stored?;
        let failed = |reason: String| SinkError::new(self.name(), &key, reason);
        let sealed = sealed.map_err(|error| failed(error.to_string()))?;
        let (plain, size, sha256) =
            sealed.map_err(|error| failed(format!("the sink took it without its end: {error}")))?;
        Ok(PutResult {
            size: plain,
            etag: stored.etag,
            encrypted: Some(EncryptedObject { key, size, sha256 }),
        })
    }

    async fn cleanup(&self) -> Result<u64, SinkError> {
        self.below.cleanup().await
    }

    fn backpressure(&self) -> u64 {
        self.below.backpressure()
    }

    fn encrypts(&self) -> bool {
        true
    }

    fn store(&self) -> Option<&dyn Store> {
        self.below.store()
    }
}

/// Encrypts an object, on a thread that may block: its length, and length and digest of what was
/// passed on. If it breaks off, so does what is passed on.
fn seal(
    recipients: &Recipients,
    mut body: Body,
    feed: BodySender,
) -> io::Result<(u64, u64, String)> {
    let mut into = recipients.encrypt(BodyWriter::new(feed))?;
    let mut plain = 0;
    while let Some(data) = body.next_blocking().map_err(io::Error::other)? {
        plain += data.len() as u64;
        into.write_all(&data)?;
    }
    let (size, sha256) = into.finish()?.end()?;
    Ok((plain, size, sha256))
}
