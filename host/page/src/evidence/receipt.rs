//! A receipt, as far as a package needs it.

use std::collections::BTreeSet;

use recording_host_engine::receipt::{ReceiptEntry, ReceiptError, ReceiptHeader, ReceiptReader};

/// The entries of a receipt about some conversations.
pub(super) struct Receipt {
    pub(super) header: ReceiptHeader,
    /// Their lines, by their numbers.
    pub(super) lines: Vec<(u64, ReceiptEntry)>,
    /// False if the receipt's lines are not those that its header counts.
    pub(super) adds_up: bool,
}

impl Receipt {
    pub(super) fn read(bytes: &[u8], wanted: &BTreeSet<String>) -> Result<Self, ReceiptError> {
        let mut reader = ReceiptReader::new(bytes)?;
        let (mut lines, mut readable) = (Vec::new(), true);
        for line in reader.by_ref() {
            match line {
                Ok((number, entry)) if wanted.contains(&entry.conversation_id) => {
                    lines.push((number, entry));
                }
                Ok(_) => {}
                Err(_) => readable = false,
            }
        }
        let (header, totals) = (reader.header().clone(), reader.totals());
        let reported = header.entries_sha256.as_ref();
        let adds_up = readable
            && totals.entries == header.conversations
            && reported.is_none_or(|reported| *reported == totals.sha256);
        Ok(Receipt {
            header,
            lines,
            adds_up,
        })
    }
}
