//! Evidence: what an archive has of some conversations, as one zip that can be checked without this program.
//!
//! [`Selection`] says which conversations; [`Package`] reads all that the archive says about them, hashes every
//! object anew, and writes the zip in one pass, in memory that does not grow with the selection:
//!
//! | Path | |
//! |---|---|
//! | `archive/` | objects and whole receipts, under the keys and with the bytes that they have in the archive |
//! | `decrypted/` | encrypted objects in clear text, if an identity was given |
//! | `rows.jsonl`, `row.schema.json` | the rows of the conversations, and their schema |
//! | `verification.jsonl` | a line for each object: what was promised and what was found |
//! | `report.html`, `report.pdf` | what was verified, when, by which version, what was found, how to check it |
//! | `RECEIPT-SHA256SUMS` | the digests that receipts and rows promise, as `sha256sum -c` reads them |
//! | `SHA256SUMS` | the digests of all files of the package |

mod checked;
mod collect;
mod package;
mod path;
mod receipt;
mod report;
mod rows;
mod selection;

use std::io::{self, Write};

use jiff::Timestamp;

pub(crate) use rows::picked;
pub use selection::Selection;

use crate::{Archive, PageError};

/// A package that is to be made.
#[derive(Debug)]
pub struct Package<'a> {
    /// The archive.
    pub archive: &'a Archive,
    /// Which conversations of it.
    pub selection: &'a Selection,
    /// When it is made, as the report says.
    pub made: Timestamp,
}

/// A package that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Conversations in it.
    pub conversations: u64,
    /// Files in it.
    pub files: u64,
    /// The length of the zip in bytes.
    pub size: u64,
    /// The SHA-256 of the zip in hexadecimal.
    pub sha256: String,
    /// How much is not as it should be.
    pub findings: u64,
    /// The first of these, in words.
    pub first_findings: Vec<String>,
}

impl Package<'_> {
    /// Writes the zip. `exported` hears of each conversation before anything of it is written; its error
    /// ends the work.
    ///
    /// # Errors
    /// The archive cannot be read, the zip cannot be written, or there are too many files. What was written
    /// so far is no package.
    pub async fn write(
        self,
        into: impl Write + Send + 'static,
        exported: impl FnMut(&str) -> io::Result<()> + Send,
    ) -> Result<Packed, PageError> {
        collect::collect(self, into, exported).await
    }
}
