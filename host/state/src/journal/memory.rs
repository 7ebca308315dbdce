//! A journal in memory, for tests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::Journal;
use crate::QueueError;

/// A journal that is lost with the process; clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal(Arc<Mutex<Vec<Vec<u8>>>>);

impl MemoryJournal {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError> {
        let mut all = self.all();
        if number != all.len() as u64 + 1 {
            return Err(QueueError::NotLeading);
        }
        all.push(entry.to_vec());
        Ok(())
    }

    async fn last(&self) -> Result<u64, QueueError> {
        Ok(self.all().len() as u64)
    }

    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(self.all().iter().skip(after).take(100).cloned().collect())
    }
}
