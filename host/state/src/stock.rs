//! The work that waits in a queue, and the queue's size.

use std::{collections::BTreeMap, fs};

use super::{Queue, QueueError, SinkLag, delivered::behind};

/// The work that waits in a queue, and the queue's size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// How far sinks are behind; those that are not are left out.
    pub behind: BTreeMap<String, SinkLag>,
    /// The length of its files, in bytes.
    pub bytes: u64,
}

impl Queue {
    /// The work that waits, and the queue's size.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn stock(&self) -> Result<Stock, QueueError> {
        self.with(|tx| {
            let length = |file: String| fs::metadata(file).map_or(0, |file| file.len());
            let path = tx.path().unwrap_or_default();
            // The file of changes that are not yet in the main one lies beside it.
            let bytes = length(path.to_owned()) + length(format!("{path}-wal"));
            Ok(Stock {
                behind: behind(tx)?,
                bytes,
            })
        })
        .await
    }
}
