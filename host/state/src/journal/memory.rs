//! A journal in memory, for tests.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{Journal, Snapshot};
use crate::QueueError;

/// A journal that is lost with the process; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    /// How many entries were removed.
    cut: u64,
    entries: Vec<Vec<u8>>,
    /// The newest two, the newest first, with the bytes of their files.
    snapshots: Vec<(Snapshot, Arc<[u8]>)>,
}

impl MemoryJournal {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stored {
    fn last(&self) -> u64 {
        self.cut + self.entries.len() as u64
    }

    /// Removes what no snapshot but the newest two needs.
    fn cut(&mut self) {
        self.snapshots.truncate(2);
        if let [_, (needed, _)] = &self.snapshots[..] {
            let gone = needed.number.saturating_sub(self.cut);
            self.entries.drain(..gone as usize);
            self.cut += gone;
        }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError> {
        let mut stored = self.stored();
        if number != stored.last() + 1 {
            return Err(QueueError::NotLeading);
        }
        stored.entries.push(entry.to_vec());
        Ok(())
    }

    async fn last(&self) -> Result<u64, QueueError> {
        Ok(self.stored().last())
    }

    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError> {
        let stored = self.stored();
        if after > stored.last() {
            return Err(QueueError::Diverged);
        }
        let skipped = after.checked_sub(stored.cut).ok_or(QueueError::Cut)?;
        let entries = stored.entries.iter().skip(skipped as usize);
        Ok(entries.take(100).cloned().collect())
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot, file: &Path) -> Result<(), QueueError> {
        let bytes = fs::read(file).map_err(QueueError::io(file))?;
        let mut stored = self.stored();
        let newest = stored.snapshots.first().map(|(newest, _)| newest);
        if snapshot.follows(newest)? {
            stored
                .snapshots
                .retain(|(it, _)| it.journal == snapshot.journal);
            stored.snapshots.insert(0, (snapshot.clone(), bytes.into()));
            stored.cut();
        }
        Ok(())
    }

    async fn newest_snapshot(&self) -> Result<Option<Snapshot>, QueueError> {
        Ok(self.stored().snapshots.first().map(|(it, _)| it.clone()))
    }

    async fn restore_snapshot(&self, to: &Path) -> Result<Option<Snapshot>, QueueError> {
        let newest = self.stored().snapshots.first().cloned();
        let Some((snapshot, bytes)) = newest else {
            return Ok(None);
        };
        fs::write(to, bytes).map_err(QueueError::io(to))?;
        Ok(Some(snapshot))
    }
}
