//! The one error of the library.

use std::{error::Error as StdError, fmt};

/// Why an operation was not carried out: the kind of failure, whether the same call may succeed later,
/// the things concerned, and in words what to do.
///
/// Work done before it stays done: the same call resumes there.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    retryable: bool,
    context: Vec<(&'static str, String)>,
    inner: Box<dyn StdError + Send + Sync>,
}

/// Where the cause of an [`Error`] is to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration or an argument is wrong; nothing was done.
    Config,
    /// The source refused, or did not answer for too long.
    Source,
    /// The source's component failed, or cannot be loaded.
    Component,
    /// A sink refused, or did not answer for too long.
    Sink,
    /// The state in `data_dir` cannot be used.
    State,
    /// This machine failed, as when a disk is full.
    Host,
    /// It was ordered to stop.
    Stopped,
    /// A ceiling of the configuration is reached: no more may be requested for now.
    Budget,
}

impl Error {
    /// An error of a kind, in the words of `inner`; the same call cannot succeed as it is.
    pub fn new(kind: ErrorKind, inner: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error {
            kind,
            retryable: false,
            context: Vec::new(),
            inner: inner.into(),
        }
    }

    /// Says whether the same call may succeed later.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Adds what it is about, such as `sink` and a sink's name; never a secret or a signed link.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.context.push((name, value.into()));
        self
    }

    /// Of what kind it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns true if the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// A thing that it concerns, by name: `sink` and `key` of an object, `option` of a source, `config` for
    /// the path of a key of the configuration, and others in time.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&str> {
        let mut context = self.context.iter();
        let found = context.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The error of the part that failed.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.inner
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The words of `inner` are its own already.
        self.inner.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_kind_context_and_words_and_its_cause_once() {
        let cause = std::io::Error::other("no space left");
        let error = Error::new(ErrorKind::Host, cause)
            .with_retryable(true)
            .with_context("path", "/data");
        assert_eq!(error.kind(), ErrorKind::Host);
        assert_eq!(error.context("path"), Some("/data"));
        assert_eq!(error.context("sink"), None);
        assert!(error.is_retryable() && error.get_ref().is::<std::io::Error>());
        assert_eq!(
            (error.to_string().as_str(), error.source().is_none()),
            ("no space left", true)
        );
    }
}
