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
    /// The queue has changes that the journal of its export lacks.
    #[error(
        "the queue has changes that the journal of this export lacks; move it away and run again: the journal has all the others"
    )]
    Diverged,
    /// Another implementation of the traits failed.
    #[error("the queue failed: {0}; what is already stored stays, and the run can be repeated")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A worker thread is gone.
    #[error("the queue was interrupted")]
    Interrupted,
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
