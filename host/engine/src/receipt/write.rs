//! Writes receipts.

use std::{collections::BTreeMap, io::Write};

use sha2::{Digest, Sha256};

use super::format::{ReceiptEntry, ReceiptHeader, VERSION};
use recording_host_model::hex;

/// Makes the bytes of a receipt: entries first, since the header says what they add up to.
#[derive(Debug, Default)]
pub struct ReceiptWriter {
    entries: Vec<u8>,
    count: u64,
    outcomes: BTreeMap<String, u64>,
}

impl ReceiptWriter {
    /// Adds an entry. Entries come in the order of conversations' ids.
    ///
    /// # Errors
    /// The entry cannot be written as JSON.
    pub fn entry(&mut self, entry: &ReceiptEntry) -> Result<(), serde_json::Error> {
        serde_json::to_writer(&mut self.entries, entry)?;
        self.entries.push(b'\n');
        self.count += 1;
        *self.outcomes.entry(entry.outcome.clone()).or_default() += 1;
        Ok(())
    }

    /// The receipt with this header, in which version, count, outcomes and digest are filled in.
    ///
    /// # Errors
    /// The header cannot be written as JSON.
    pub fn finish(mut self, header: ReceiptHeader) -> Result<Vec<u8>, serde_json::Error> {
        let header = ReceiptHeader {
            receipt: VERSION,
            conversations: self.count,
            outcomes: self.outcomes,
            entries_sha256: Some(hex(&Sha256::digest(&self.entries))),
            ..header
        };
        let mut bytes = Vec::with_capacity(self.entries.len() + 4096);
        serde_json::to_writer(bytes.by_ref(), &header)?;
        bytes.push(b'\n');
        bytes.append(&mut self.entries);
        Ok(bytes)
    }
}
