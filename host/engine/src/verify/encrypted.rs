//! Reads what is encrypted in an archive.

use std::{
    io::{self, Read},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::broken;
use recording_host_model::hex;
use recording_host_sink::{Body, Decrypt, DecryptError, SinkError, Store};

/// SHA-256 of an object.
pub(super) struct Digests {
    /// Of what is stored.
    pub(super) stored: String,
    /// Of what that decrypts to, where it was to be decrypted.
    pub(super) plain: Option<Result<String, DecryptError>>,
}

/// Reads an object and decrypts it on the way, in memory that does not grow with it.
pub(super) async fn digests(
    store: &dyn Store,
    key: &str,
    decryptor: &Arc<dyn Decrypt>,
) -> Result<Option<Digests>, SinkError> {
    let Some(body) = store.get(key).await? else {
        return Ok(None);
    };
    let decryptor = Arc::clone(decryptor);
    let reading = spawn_blocking(move || {
        let mut stored = Hashed {
            body,
            rest: Bytes::new(),
            digest: Sha256::new(),
        };
        let plain = plain(&*decryptor, &mut stored);
        // Whatever cannot be decrypted is read to its end all the same.
        io::copy(&mut stored, &mut io::sink())?;
        Ok::<_, io::Error>(Digests {
            stored: hex(&stored.digest.finalize()),
            plain: Some(plain),
        })
    });
    let read = reading.await.map_err(|_| broken(key))?;
    read.map(Some).map_err(|_| broken(key))
}

/// Decrypts a file of rows.
pub(super) fn rows(decryptor: &dyn Decrypt, file: &[u8]) -> Result<Bytes, DecryptError> {
    let mut plain = Vec::new();
    decryptor.decrypt(Box::new(file))?.read_to_end(&mut plain)?;
    Ok(plain.into())
}

fn plain(decryptor: &dyn Decrypt, stored: &mut Hashed) -> Result<String, DecryptError> {
    let mut from = decryptor.decrypt(Box::new(stored))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(hex(&digest.finalize()));
        }
        digest.update(&buffer[..length]);
    }
}

/// An object that is hashed while it is read, on a thread that may block.
struct Hashed {
    body: Body,
    rest: Bytes,
    digest: Sha256,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.body.next_blocking().map_err(io::Error::other)? {
                Some(data) => {
                    self.digest.update(&data);
                    self.rest = data;
                }
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
