//! Reads receipts, line by line.

use std::{collections::BTreeMap, io::BufRead};

use sha2::{Digest, Sha256};

use super::format::{ReceiptEntry, ReceiptHeader, VERSION};
use recording_host_model::hex;

/// Why a line of a receipt was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ReceiptError {
    /// The number of the line; the header's is 1.
    pub line: u64,
    /// The cause.
    pub reason: String,
}

/// The totals of a receipt's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptTotals {
    /// How many lines follow the header.
    pub entries: u64,
    /// How many of those that can be read have each outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// SHA-256 of the bytes of all lines but the header.
    pub sha256: String,
}

/// Reads a receipt in memory that does not grow with it. It is an iterator over the entries, each
/// with the number of its line; a line that cannot be read is an error and does not end it.
pub struct ReceiptReader<R> {
    from: R,
    header: ReceiptHeader,
    /// The number of the line that was read last.
    line: u64,
    bytes: Vec<u8>,
    digest: Sha256,
    outcomes: BTreeMap<String, u64>,
    ended: bool,
}

impl<R> std::fmt::Debug for ReceiptReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceiptReader")
            .field("header", &self.header)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl<R: BufRead> ReceiptReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// The first line is not that of a receipt, or of one that a later program has written.
    pub fn new(mut from: R) -> Result<Self, ReceiptError> {
        let wrong = |reason: String| ReceiptError { line: 1, reason };
        let mut bytes = Vec::new();
        from.read_until(b'\n', &mut bytes)
            .map_err(|error| wrong(error.to_string()))?;
        let header: ReceiptHeader = serde_json::from_slice(&bytes)
            .map_err(|error| wrong(format!("it is not the first line of a receipt: {error}")))?;
        if !(1..=VERSION).contains(&header.receipt) {
            return Err(wrong(format!(
                "the receipt has version {}, and this program reads up to {VERSION}; use the program that wrote it",
                header.receipt
            )));
        }
        Ok(ReceiptReader {
            from,
            header,
            line: 1,
            bytes,
            digest: Sha256::new(),
            outcomes: BTreeMap::new(),
            ended: false,
        })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &ReceiptHeader {
        &self.header
    }

    /// The totals of the entries that were read: of all of them once the iterator has ended.
    #[must_use]
    pub fn totals(&self) -> ReceiptTotals {
        ReceiptTotals {
            entries: self.line - 1,
            outcomes: self.outcomes.clone(),
            sha256: hex(&self.digest.clone().finalize()),
        }
    }
}

/// Returns true if the lines of a receipt are those that its header counts. Of one of version 1 only their
/// number is known.
pub(crate) fn adds_up(receipt: &[u8]) -> bool {
    let Ok(mut reader) = ReceiptReader::new(receipt) else {
        return false;
    };
    let readable = reader.by_ref().all(|entry| entry.is_ok());
    let (header, totals) = (reader.header(), reader.totals());
    let reported = header.entries_sha256.as_ref();
    readable
        && totals.entries == header.conversations
        && reported.is_none_or(|reported| *reported == totals.sha256)
}

impl<R: BufRead> Iterator for ReceiptReader<R> {
    type Item = Result<(u64, ReceiptEntry), ReceiptError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.bytes.clear();
        let line = self.line + 1;
        let wrong = |reason: String| Some(Err(ReceiptError { line, reason }));
        match self.from.read_until(b'\n', &mut self.bytes) {
            Ok(0) => {
                self.ended = true;
                return None;
            }
            Ok(_) => {}
            Err(error) => {
                self.ended = true;
                return wrong(error.to_string());
            }
        }
        self.line = line;
        self.digest.update(&self.bytes);
        match serde_json::from_slice::<ReceiptEntry>(&self.bytes) {
            Ok(entry) => {
                *self.outcomes.entry(entry.outcome.clone()).or_default() += 1;
                Some(Ok((line, entry)))
            }
            Err(error) => wrong(format!("it is not the line of a conversation: {error}")),
        }
    }
}
