//! Why the queue cannot be used.

use std::path::Path;

use recording_host_model::{Error, ErrorKind};

/// Why the queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The folder or file cannot be used.
    #[error("{path}: {source}; check `data_dir`")]
    Io {
        /// The path.
        path: String,
        /// The error from the system.
        source: std::io::Error,
    },
    /// Another process works on the same export.
    #[error("{0} is in use by another run of this export; wait for it or use another `data_dir`")]
    Locked(String),
    /// The file is no longer a database.
    #[error(
        "the queue {path} is damaged ({reason}); move it away and run again: what the receipts in the sinks prove is not fetched again"
    )]
    Damaged {
        /// The file.
        path: String,
        /// The error from SQLite.
        reason: String,
    },
    /// A later version of this program has written it.
    #[error(
        "the queue {path} has the schema {version}, which this version of the program does not know; use the version that wrote it, or move it away and run again: what the receipts in the sinks prove is not fetched again"
    )]
    OtherVersion {
        /// The file.
        path: String,
        /// The version of its schema.
        version: i64,
    },
    /// An earlier version of this program has written it, and nobody has run the export since.
    #[error(
        "the queue {0} was written by an earlier version of this program; `run` upgrades it and keeps a copy beside it"
    )]
    NotMigrated(String),
    /// The disk has no room.
    #[error("no room for the queue {0}; free some space in `data_dir` and run again")]
    Full(String),
    /// SQLite failed.
    #[error("the queue failed: {0}; what is already stored stays, and the run can be repeated")]
    Sqlite(#[from] rusqlite::Error),
    /// The worker does not hold the split that it would commit a step of.
    #[error("the split {0} is not held by this worker; what has been committed of it counts")]
    NotHeld(String),
    /// Another node leads the export.
    #[error("another node leads this export now; this one changes nothing of it any more")]
    NotLeading,
    /// The queue has changes that the journal of its export lacks, or has no part in it.
    #[error(
        "the queue is not of the journal of this export, or has changes that it lacks; move the queue away and run again: it is made anew from the journal and its snapshots. If the servers of the journal have lost it, bring their streams back first"
    )]
    Diverged,
    /// The journal no longer has the changes that the queue lacks: snapshots do. A ledger that is opened anew begins with
    /// the newest ([`JournaledLedger::lead_in`](crate::JournaledLedger::lead_in)).
    #[error(
        "the journal of this export no longer has the changes that the queue lacks; run again: the queue is restored from the newest snapshot"
    )]
    Cut,
    /// What a snapshot contains is not what it is said to be.
    #[error(
        "the snapshot of the queue after entry {number} of its journal cannot be used ({reason}); bring back a node that has the queue: it stores the next one"
    )]
    Snapshot {
        /// The number of the entry.
        number: u64,
        /// Why not.
        reason: String,
    },
    /// Another implementation of the traits failed.
    #[error("the queue failed: {0}; what is already stored stays, and the run can be repeated")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A worker thread is gone.
    #[error("the queue was interrupted")]
    Interrupted,
}

/// Why what came of a fetch of a fleet cannot be used; within [`QueueError::Backend`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A later version of this program has written it.
    #[error(
        "{what} has the format {version}, which this version of the program does not know; upgrade this node"
    )]
    LaterFormat {
        /// What it is.
        what: String,
        /// Its format.
        version: u32,
    },
    /// It cannot be read.
    #[error("what came of the fetch {fetch} cannot be read: {reason}")]
    Unreadable {
        /// The fetch.
        fetch: String,
        /// Why not, without anything of what came.
        reason: String,
    },
}

impl From<FetchError> for QueueError {
    fn from(error: FetchError) -> Self {
        QueueError::Backend(Box::new(error))
    }
}

impl QueueError {
    /// Why what came of a fetch cannot be used, if that is the error.
    #[must_use]
    pub fn fetch_error(&self) -> Option<&FetchError> {
        match self {
            QueueError::Backend(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// The fetch of which what came cannot be read, if that is the error, and why not.
    #[must_use]
    pub fn unreadable(&self) -> Option<(&str, &str)> {
        match self.fetch_error()? {
            FetchError::Unreadable { fetch, reason } => Some((fetch, reason)),
            FetchError::LaterFormat { .. } => None,
        }
    }

    /// An error of the system at a path.
    pub fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| QueueError::Io { path, source }
    }
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        let passes = matches!(error, QueueError::Locked(_) | QueueError::Full(_));
        Error::new(ErrorKind::State, error).with_retryable(passes)
    }
}

/// Distinguishes a damaged file and a full disk from other failures.
pub(super) fn damaged(error: rusqlite::Error, path: &Path) -> QueueError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
    let path = path.display().to_string();
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => QueueError::Damaged {
            path,
            reason: error.to_string(),
        },
        Some(DiskFull) => QueueError::Full(path),
        _ => QueueError::Sqlite(error),
    }
}
