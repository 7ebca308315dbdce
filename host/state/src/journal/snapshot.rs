//! Snapshots of the ledger.

use super::{JournaledLedger, Snapshot};
use crate::{QueueError, restore::CopyFile};

impl JournaledLedger {
    /// Stores a snapshot of the queue if the journal has at least as many entries since the newest one, and lets the
    /// journal remove what no snapshot but the newest two needs; returns true if it did. The ledger goes on meanwhile.
    /// A queue in memory has no snapshots.
    ///
    /// # Errors
    /// [`QueueError::NotLeading`] if another machine leads; any other [`QueueError`]: it may be repeated.
    pub async fn snapshot_after(&self, entries: u64) -> Result<bool, QueueError> {
        let _one_at_a_time = self.snapshots.lock().await;
        let reading = self.reading().await?;
        if reading.state.follows {
            return Err(QueueError::NotLeading);
        }
        let (path, last) = (reading.queue().path().await?, reading.state.last);
        drop(reading);
        let newest = self.journal.newest_snapshot().await?;
        let since = last.saturating_sub(newest.map_or(0, |it| it.number));
        match path {
            Some(path) if since >= entries.max(1) => {
                let copy = CopyFile::new(&path)?;
                let place = copy.fill_from(&path).await?;
                let snapshot = Snapshot {
                    number: place.number,
                    journal: place.journal.ok_or(QueueError::Interrupted)?,
                };
                self.journal.keep_snapshot(&snapshot, copy.path()).await?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
