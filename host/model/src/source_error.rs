//! Why a source cannot do its work.

use std::fmt;

/// Why a source cannot continue with a split, or cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceError {
    /// An option is wrong.
    Options(OptionError),
    /// The credentials were not accepted.
    Auth(String),
    /// A permission is missing, by the vendor's name for it.
    Forbidden(String),
    /// The thing that the split was about is no longer there.
    Gone(String),
    /// A later attempt may succeed; the text says what failed.
    Transient(String),
    /// No further attempt can succeed; the text says why.
    Permanent(String),
    /// The state was written by a version of the source that this one cannot read.
    IncompatibleState(u32),
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceError::Options(error) => write!(f, "option {}: {}", error.path, error.message),
            SourceError::Auth(text) => write!(f, "the log-in failed: {text}"),
            SourceError::Forbidden(permission) => write!(
                f,
                "a permission is missing: {permission}; grant it to the client that the source's `auth` names"
            ),
            SourceError::Gone(text) => write!(f, "gone: {text}"),
            SourceError::Transient(text) | SourceError::Permanent(text) => f.write_str(text),
            SourceError::IncompatibleState(version) => write!(
                f,
                "the queue was written by another version of the component (state {version}); finish with that one, or start over with an empty data_dir"
            ),
        }
    }
}

/// A fault of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The path of the option, such as `interval`.
    pub path: String,
    /// The fault, and the accepted values.
    pub message: String,
}
