//! Length and digest of a file, as they were found, and what they say beside what was promised.

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// Its length in bytes.
    pub(super) size: u64,
    /// Its SHA-256 in hexadecimal.
    pub(super) sha256: String,
}

/// How a file stands to what is said about it. The words are those of `verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is what the receipt says, byte for byte.
    Good,
    /// It is not there.
    Missing,
    /// It has another length.
    Size,
    /// It has other bytes.
    Content,
}

impl Verdict {
    /// How a file that was read stands to the length and SHA-256 that it should have.
    pub(super) fn of(found: &Checked, size: u64, sha256: &str) -> Self {
        match found {
            found if found.size != size => Verdict::Size,
            found if found.sha256 != sha256 => Verdict::Content,
            _ => Verdict::Good,
        }
    }

    /// The word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Missing => "missing",
            Verdict::Size => "size",
            Verdict::Content => "content",
        }
    }
}
