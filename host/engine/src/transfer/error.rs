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
    /// What came is not what it claims to be: a later attempt may bring that.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// This artifact is unavailable, whatever the link: what the source says of it makes no sense, or
    /// leads somewhere that the run may not go to. Others are not concerned.
    #[error("{reason}")]
    Item {
        /// A short stable code.
        code: &'static str,
        /// What happened and what to do.
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
pub(super) enum Attempt {
    /// Another attempt with the same link may succeed, after the pause that the server asks for, if it
    /// does.
    Again(String, Option<Duration>),
    /// What came is not what it claims to be.
    Unfit(Unfit),
    /// It cannot.
    Never(TransferError),
}

impl Attempt {
    /// Another attempt with the same link may succeed.
    pub(super) fn again(reason: impl Into<String>) -> Self {
        Attempt::Again(reason.into(), None)
    }
}

impl From<DownloadError> for Attempt {
    fn from(error: DownloadError) -> Self {
        Attempt::Never(match error {
            DownloadError::Retryable { reason, after } => return Attempt::Again(reason, after),
            DownloadError::Link(reason) => TransferError::Link(reason),
            DownloadError::Refused { code, reason } => TransferError::Item { code, reason },
            DownloadError::Credentials(reason) => TransferError::Host(reason),
        })
    }
}

impl From<Unfit> for Attempt {
    fn from(unfit: Unfit) -> Self {
        Attempt::Unfit(unfit)
    }
}

/// What an attempt comes to if there is no other one.
impl From<Attempt> for TransferError {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Again(reason, _) => TransferError::Link(reason),
            Attempt::Unfit(unfit) => TransferError::Unfit(unfit),
            Attempt::Never(error) => error,
        }
    }
}

impl From<TransferError> for Attempt {
    fn from(error: TransferError) -> Self {
        Attempt::Never(error)
    }
}

pub(super) fn host(error: impl std::fmt::Display) -> TransferError {
    TransferError::Host(error.to_string())
}
