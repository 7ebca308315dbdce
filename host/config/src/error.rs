//! An error with the position that it is about.

use crate::secret::SecretError;
use recording_host_model::{Error, ErrorKind};
use recording_host_source::SandboxError;

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {}", crate::file::words(source))]
    Read {
        /// The file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The text is not YAML or TOML, or a key stands in it twice.
    #[error("{position}: {reason}")]
    Syntax {
        /// The file, line and column.
        position: String,
        /// The cause.
        reason: String,
    },
    /// Something is wrong with a key, of which it is known where it stands.
    #[error("{position}: {error}")]
    Placed {
        /// The file, line and column.
        position: String,
        /// The cause.
        error: Box<ConfigError>,
    },
    /// A key is unknown, missing, or has a wrong value.
    #[error("{at}: {reason}")]
    Key {
        /// The key's path.
        at: String,
        /// The cause, and the accepted values.
        reason: String,
    },
    /// A secret is unavailable.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A component cannot be used.
    #[error("sources.{at}: {source}")]
    Component {
        /// The source.
        at: String,
        /// The cause.
        source: SandboxError,
    },
}

impl ConfigError {
    /// The error, without its position.
    fn bare(&self) -> &Self {
        match self {
            ConfigError::Placed { error, .. } => error.bare(),
            bare => bare,
        }
    }

    /// Returns true if a component failed while it was asked, rather than what the configuration says of it.
    pub(crate) fn is_trap(&self) -> bool {
        matches!(
            self.bare(),
            ConfigError::Component {
                source: SandboxError::Trap { .. },
                ..
            }
        )
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let at = match error.bare() {
            ConfigError::Key { at, .. } | ConfigError::Component { at, .. } => Some(at.clone()),
            _ => None,
        };
        let error = Error::new(ErrorKind::Config, error);
        match at {
            Some(at) => error.with_context("config", at),
            None => error,
        }
    }
}
