//! Why a source cannot do its work.

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

/// A fault of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// The path of the option, such as `interval`.
    pub path: String,
    /// The fault, and the accepted values.
    pub message: String,
}
