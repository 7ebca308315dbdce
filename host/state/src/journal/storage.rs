//! Where entries and snapshots are stored.

use std::path::Path;

use async_trait::async_trait;

use crate::QueueError;

/// A copy of a queue, as it was after an entry of its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of the entry; 0 if the queue is older than its journal.
    pub number: u64,
    /// The id of the journal.
    pub journal: String,
}

impl Snapshot {
    /// Returns true if this is to be stored, with another one as the newest.
    ///
    /// # Errors
    /// [`QueueError::Diverged`] if that is of another journal, which has entries, or as this one has none.
    pub fn follows(&self, newest: Option<&Snapshot>) -> Result<bool, QueueError> {
        match newest {
            None => Ok(true),
            Some(newest) if newest.journal == self.journal => Ok(newest.number < self.number),
            // Two queues were to be the first at once, and this one's journal has the first entry.
            Some(newest) if newest.number == 0 && self.number > 0 => Ok(true),
            Some(_) => Err(QueueError::Diverged),
        }
    }
}

/// Where the changes to the ledger of an export are stored, for whichever machine leads it.
///
/// The guarantees of every implementation:
///
/// - **Durable.** An entry or a snapshot outlives a crash once the call has returned.
/// - **Numbered.** Entries have the numbers 1, 2, 3 and so on; of those that are stored under one number at once, by
///   whomever, one is there, and each of the others is refused.
/// - **Cut behind snapshots alone.** Entries are there unless they are up to the newest snapshot but one; the newest
///   two snapshots are there. The newest is the one with the highest number, whenever it was stored.
/// - **One journal.** Of the snapshots of several journals, those of one are kept.
#[async_trait]
pub trait Journal: std::fmt::Debug + Send + Sync {
    /// Stores an entry; `number` is the one after the last.
    ///
    /// # Errors
    /// [`QueueError::NotLeading`] if another entry has this number: then it is not stored. Any other
    /// [`QueueError`]; then nobody knows.
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError>;

    /// The number of the last entry; 0 if there never was one.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn last(&self) -> Result<u64, QueueError>;

    /// The first of the entries after a number, in their order; none if there is none.
    ///
    /// # Errors
    /// [`QueueError::Cut`] if the next one is no longer there; [`QueueError::Diverged`] if there never was an entry
    /// of this number; any other [`QueueError`].
    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError>;

    /// Stores a snapshot, which is in a file. Nothing changes if the newest one has a number as high. Entries that only
    /// earlier snapshots need may be removed from then on.
    ///
    /// # Errors
    /// [`QueueError::Diverged`] if the newest snapshot is of another journal, unless that has no entry (0) and this
    /// one has; any other [`QueueError`].
    async fn keep_snapshot(&self, snapshot: &Snapshot, file: &Path) -> Result<(), QueueError>;

    /// The newest snapshot.
    ///
    /// # Errors
    /// [`QueueError`].
    async fn newest_snapshot(&self) -> Result<Option<Snapshot>, QueueError>;

    /// Writes the newest snapshot into a file, which is there and has nothing in it that counts.
    ///
    /// # Errors
    /// [`QueueError`]; then the file holds anything.
    async fn restore_snapshot(&self, to: &Path) -> Result<Option<Snapshot>, QueueError>;
}
