//! Why an artifact was not delivered, and whether another attempt helps.

use std::time::Duration;

use super::Unfit;
use recording_host_http::DownloadError;

/// Why an artifact was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The link does not work, or works no longer: a fresh one may.
    #[error("{0}")]
    Link(String),
    /// Who serves the link does not answer, or not to the end: the link may work later.
    #[error("{0}")]
    Origin(String),
    /// The file that came is not what it claims to be: a later attempt may bring one that is.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// This artifact is unavailable, whatever the link: what the source says of it makes no sense, or
    /// leads somewhere that the run may not go to. Others are not concerned.
    #[error("{reason}")]
    Item {
        /// A short stable code.
        code: &'static str,
        /// The cause, and how to fix it.
        reason: String,
    },
    /// The host's own folder or queue failed, or its log-in: no artifact can be downloaded.
    #[error("{0}")]
    Host(String),
}

impl TransferError {
    pub(super) fn item(code: &'static str, reason: impl Into<String>) -> Self {
        TransferError::Item {
            code,
            reason: reason.into(),
        }
    }
}

/// How an attempt ended.
pub(super) enum AttemptError {
    /// Another attempt with the same link may succeed.
    Retry(String),
    /// The same, after the pause that the server asks for, if it does: nothing is wrong with the link.
    Origin(String, Option<Duration>),
    /// The file that came is not what it claims to be.
    Unfit(Unfit),
    /// It cannot.
    Fatal(TransferError),
}

impl AttemptError {
    /// Another attempt with the same link may succeed.
    pub(super) fn retry(reason: impl Into<String>) -> Self {
        AttemptError::Retry(reason.into())
    }
}

impl From<DownloadError> for AttemptError {
    fn from(error: DownloadError) -> Self {
        AttemptError::Fatal(match error {
            DownloadError::Retryable { reason, after } => {
                return AttemptError::Origin(reason, after);
            }
            DownloadError::Link(reason) => TransferError::Link(reason),
            DownloadError::Refused { code, reason } => TransferError::Item { code, reason },
            DownloadError::Credentials(reason) => TransferError::Host(reason),
        })
    }
}

impl From<Unfit> for AttemptError {
    fn from(unfit: Unfit) -> Self {
        AttemptError::Unfit(unfit)
    }
}

/// The result of an attempt if there is no other one.
impl From<AttemptError> for TransferError {
    fn from(attempt: AttemptError) -> Self {
        match attempt {
            AttemptError::Retry(reason) => TransferError::Link(reason),
            AttemptError::Origin(reason, _) => TransferError::Origin(reason),
            AttemptError::Unfit(unfit) => TransferError::Unfit(unfit),
            AttemptError::Fatal(error) => error,
        }
    }
}

impl From<TransferError> for AttemptError {
    fn from(error: TransferError) -> Self {
        AttemptError::Fatal(error)
    }
}

pub(super) fn host(error: impl std::fmt::Display) -> TransferError {
    TransferError::Host(error.to_string())
}
