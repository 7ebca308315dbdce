//! Why a run ends early.

use recording_host_http::RequestHalt;
use recording_host_model::{Error, ErrorKind, OptionError, SourceError};
use recording_host_sink::SinkError;
use recording_host_source::SandboxError;
use recording_host_state::QueueError;

/// Why a run ended early. What is done stays done; another run resumes from there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// An option of the source is wrong.
    #[error("options.{}: {}", .0.path, .0.message)]
    Options(OptionError),
    /// The source says that it cannot continue.
    #[error("the source stopped: {0}")]
    Source(String),
    /// The source did not answer for too long.
    #[error("the source stopped: {0}")]
    Unavailable(String),
    /// The component failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A sink is unavailable.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The host's own doing failed.
    #[error("{0}")]
    Host(String),
    /// The configuration cannot be run as it is.
    #[error("{0}")]
    Config(String),
    /// Steps were to be written down that hold what the source's `privacy` takes out.
    #[error("privacy: a record of the steps would hold what it takes out; leave out one of them")]
    Private,
    /// It was told to stop.
    #[error("stopped; run it again to resume")]
    Stopped,
    /// A ceiling of the configuration is reached.
    #[error("{0}")]
    Budget(RequestHalt),
}

impl RunError {
    /// Returns true if another node of the fleet leads the export by now.
    pub(crate) fn is_lead_lost(&self) -> bool {
        matches!(self, RunError::Queue(QueueError::NotLeading))
    }
}

impl From<SourceError> for RunError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Options(error) => RunError::Options(error),
            SourceError::Transient(_) => RunError::Unavailable(error.to_string()),
            error => RunError::Source(error.to_string()),
        }
    }
}

impl From<RequestHalt> for RunError {
    fn from(halt: RequestHalt) -> Self {
        match halt {
            RequestHalt::Spent { .. } => RunError::Budget(halt),
            RequestHalt::Uncounted(_) => RunError::Host(halt.to_string()),
        }
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        let (kind, retryable) = match error {
            RunError::Options(option) => {
                let path = option.path.clone();
                return Error::new(ErrorKind::Config, RunError::Options(option))
                    .with_context("option", path);
            }
            RunError::Sandbox(error) => return error.into(),
            RunError::Queue(error) => return error.into(),
            RunError::Sink(error) => return error.into(),
            RunError::Private | RunError::Config(_) => (ErrorKind::Config, false),
            RunError::Source(_) => (ErrorKind::Source, false),
            RunError::Unavailable(_) => (ErrorKind::Source, true),
            RunError::Host(_) => (ErrorKind::Host, false),
            RunError::Stopped => (ErrorKind::Stopped, true),
            RunError::Budget(_) => (ErrorKind::Budget, true),
        };
        Error::new(kind, error).with_retryable(retryable)
    }
}
