//! Unnamed files in the host's own folder, in which archives wait to be unpacked, and recordings
//! to be transcoded.
//!
//! They vanish with the process. How many bytes are in them at once is bounded.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most space that archives may take at once, in bytes; a larger one is spooled while no other is.
pub const QUOTA: u64 = 16 << 30;
/// The longest archive that is read, in bytes.
pub const LONGEST: u64 = 64 << 30;
/// The unit in which room is counted, in bytes.
const UNIT: u64 = 1 << 20;

/// The folder and its quota, shared by clones.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    units: Arc<Semaphore>,
    all: u32,
}

/// Room for an archive, given back when this is dropped.
#[derive(Debug)]
pub struct Room {
    permit: OwnedSemaphorePermit,
}

/// Why nothing can be spooled.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk is full.
    #[error(
        "no space is left in {folder}, where downloads wait to be unpacked or transcoded; make room, or move `data_dir`"
    )]
    Full {
        /// The folder.
        folder: String,
    },
    /// The folder cannot be used.
    #[error("cannot spool a download in {folder}: {source}; check `data_dir`")]
    Io {
        /// The folder.
        folder: String,
        /// The error from the system.
        source: io::Error,
    },
}

impl Spool {
    /// Spools in `folder`, at most [`QUOTA`] bytes at once.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self::with_quota(folder, QUOTA)
    }

    /// Spools in `folder`, at most `quota` bytes at once, in steps of 1 MiB.
    #[must_use]
    pub fn with_quota(folder: PathBuf, quota: u64) -> Self {
        let all = (quota / UNIT).clamp(1, QUOTA / UNIT) as u32;
        Spool {
            folder,
            units: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// The room that is taken, and all there is, in bytes.
    #[must_use]
    pub fn taken(&self) -> (u64, u64) {
        let all = u64::from(self.all) * UNIT;
        let free = self.units.available_permits() as u64 * UNIT;
        (all.saturating_sub(free), all)
    }

    /// Waits for room for `size` bytes; for all there is, if that is not enough.
    pub async fn room(&self, size: u64) -> Option<Room> {
        let units = size.div_ceil(UNIT).clamp(1, self.all.into()) as u32;
        let permit = Arc::clone(&self.units).acquire_many_owned(units).await;
        permit.ok().map(|permit| Room { permit })
    }

    /// Enlarges a room to `size` bytes if there is space; never waits, so that two downloads cannot
    /// wait for each other.
    pub fn enlarge(&self, room: &mut Room, size: u64) -> bool {
        let wanted = size.div_ceil(UNIT).min(self.all.into()) as u32;
        let held = room.permit.num_permits() as u32;
        if wanted <= held {
            return true;
        }
        match Arc::clone(&self.units).try_acquire_many_owned(wanted - held) {
            Ok(more) => {
                room.permit.merge(more);
                true
            }
            Err(_) => false,
        }
    }

    /// An unnamed file.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn file(&self) -> Result<File, SpoolError> {
        tempfile::tempfile_in(&self.folder).map_err(|error| self.error(error))
    }

    /// The error for a failure to write to the folder.
    #[must_use]
    pub fn error(&self, source: io::Error) -> SpoolError {
        error(&self.folder, source)
    }
}

fn error(folder: &Path, source: io::Error) -> SpoolError {
    let folder = folder.display().to_string();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SpoolError::Full { folder },
        _ => SpoolError::Io { folder, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn no_more_than_the_quota_is_spooled_at_once() {
        let spool = Spool::with_quota(PathBuf::new(), 10 * UNIT);
        let mut one = spool.room(6 * UNIT).await.unwrap();
        let wait = Duration::from_millis(30);
        assert!(timeout(wait, spool.room(5 * UNIT)).await.is_err());
        assert!(spool.enlarge(&mut one, 9 * UNIT));
        let other = spool.room(1).await.unwrap();
        assert!(!spool.enlarge(&mut one, 10 * UNIT), "it would have to wait");
        drop(one);
        drop(other);
        // An archive beyond the quota is spooled while no other is.
        let mut huge = timeout(wait, spool.room(1 << 40)).await.unwrap().unwrap();
        assert!(spool.enlarge(&mut huge, 1 << 41));
        assert!(timeout(wait, spool.room(1)).await.is_err());
    }

    #[test]
    fn a_full_disk_is_said_to_be_full() {
        let full = error(Path::new("/var/spool"), io::ErrorKind::StorageFull.into());
        assert!(matches!(full, SpoolError::Full { .. }));
        assert!(full.to_string().contains("make room"), "{full}");
    }
}
