//! Brings a download into an unnamed file, hashed on the way.

use std::{
    fs::File,
    io::{self, Write},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::transfer::{
    AttemptError, Begun, MediaLength, Transfer, TransferError, announced::HEAD, checked, host,
    unpack::FAILED,
};
use recording_host_model::Artifact;
use recording_host_zip::{Archive, EntryError, LONGEST, Room};

/// How much is written at once, in bytes.
const BATCH: usize = 1 << 20;

/// A download in an unnamed file.
pub(in crate::transfer) struct Spooled {
    pub(in crate::transfer) file: File,
    pub(in crate::transfer) size: u64,
    pub(in crate::transfer) sha256: String,
    /// Its first bytes, and the length that it states about itself.
    pub(in crate::transfer) first: Bytes,
    pub(in crate::transfer) reported: MediaLength,
    /// True if only the end of the connection showed where it ends.
    pub(in crate::transfer) ends_with_connection: bool,
    /// Its room in the spool, given back with it.
    _room: Room,
}

/// A file that is being written.
struct Writer {
    file: File,
    digest: Sha256,
}

impl Writer {
    /// Writes what has been collected, on a thread that may block.
    async fn write(mut self, frames: Vec<Bytes>) -> Result<io::Result<Self>, TransferError> {
        let writing = spawn_blocking(move || {
            for data in &frames {
                self.digest.update(data);
                self.file.write_all(data)?;
            }
            Ok(self)
        });
        writing.await.map_err(host)
    }
}

impl Transfer {
    /// Downloads an archive, or a file that is to be transcoded; all of it, or the rest of what has
    /// `begun`.
    pub(in crate::transfer) async fn spooled(
        &self,
        artifact: &Artifact,
        mut begun: Option<Begun<'_>>,
    ) -> Result<Spooled, AttemptError> {
        let size = begun.as_ref().and_then(|begun| begun.download.size());
        let mut wanted = size.or(artifact.size).unwrap_or(0);
        loop {
            let spooled = self.spooled_within(artifact, begun.take(), &mut wanted);
            match spooled.await? {
                Some(spooled) => return Ok(spooled),
                // It is longer than there was room for: start over where there is.
                None => continue,
            }
        }
    }

    /// Begins a download, as far as its first bytes.
    async fn begin<'a>(&'a self, artifact: &'a Artifact) -> Result<Begun<'a>, AttemptError> {
        let mut download = self.downloads.begin(artifact).await?;
        let next = download.first(HEAD).await?;
        Ok(Begun { download, next })
    }

    /// Downloads it if there is room for it; else says how much is wanted.
    async fn spooled_within(
        &self,
        artifact: &Artifact,
        begun: Option<Begun<'_>>,
        wanted: &mut u64,
    ) -> Result<Option<Spooled>, AttemptError> {
        let Some(mut room) = self.spool.room(*wanted).await else {
            return Err(host("the spool is closed").into());
        };
        let Begun {
            mut download,
            mut next,
        } = match begun {
            Some(begun) => begun,
            None => self.begin(artifact).await?,
        };
        let announced = download.size();
        let too_long =
            || TransferError::item("too-large", format!("it is longer than {LONGEST} bytes"));
        if let Some(size) = announced {
            if size > LONGEST {
                return Err(too_long().into());
            }
            if !self.spool.enlarge(&mut room, size) {
                *wanted = size;
                return Ok(None);
            }
        }
        let full = |error| TransferError::Host(self.spool.error(error).to_string());
        let mut writer = Writer {
            file: self.spool.file().map_err(host)?,
            digest: Sha256::new(),
        };
        let (mut total, mut frames, mut collected) = (0, Vec::new(), 0);
        let first = next.clone().unwrap_or_default();
        let mut reported = MediaLength::of(&first);
        // Only a few bytes are looked at: all of the frame need not be kept for that.
        let first = Bytes::copy_from_slice(&first[..first.len().min(HEAD)]);
        while let Some(data) = next {
            reported.feed(&data);
            total += data.len() as u64;
            if total > LONGEST {
                return Err(too_long().into());
            }
            if !self.spool.enlarge(&mut room, total) {
                // Nobody knows how long it is: all there is.
                *wanted = u64::MAX;
                return Ok(None);
            }
            collected += data.len();
            frames.push(data);
            if collected >= BATCH {
                let batch = std::mem::take(&mut frames);
                writer = writer.write(batch).await?.map_err(full)?;
                collected = 0;
            }
            next = download.next().await?;
        }
        let Writer { file, digest } = writer.write(frames).await?.map_err(full)?;
        Ok(Some(Spooled {
            file,
            size: total,
            sha256: checked(artifact, announced, total, digest)?,
            first,
            reported,
            ends_with_connection: download.ends_with_connection(),
            _room: room,
        }))
    }

    /// Unpacks an entry into an unnamed file.
    pub(super) async fn spooled_entry(
        &self,
        archive: &Arc<Archive>,
        entry: usize,
    ) -> Result<Result<File, EntryError>, TransferError> {
        let mut file = self.spool.file().map_err(host)?;
        let archive = Arc::clone(archive);
        let unpacking = spawn_blocking(move || {
            let mut written = Ok(());
            let unpacked = archive.unpack(&archive.entries()[entry], |data| {
                written = file.write_all(&data);
                written.is_ok()
            });
            written.map(|()| unpacked.map(|_| file))
        });
        let Ok(unpacked) = unpacking.await else {
            return Ok(Err(EntryError::Damaged(FAILED.to_owned())));
        };
        match unpacked.map_err(|error| host(self.spool.error(error)))? {
            Err(error @ EntryError::Spool(_)) => Err(host(error)),
            unpacked => Ok(unpacked),
        }
    }
}
