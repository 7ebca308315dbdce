//! Receipts of an archive.

use recording_host_engine::receipt::ReceiptReader;

use crate::{
    mutate,
    parser::{Parser, owned, unmended},
};

/// Receipts.
pub(crate) const RECEIPTS: Parser = Parser {
    name: "receipts",
    seeds: || {
        owned(&[
            include_bytes!("../../fixtures/receipts/v1.jsonl"),
            include_bytes!("../../fixtures/receipts/v1-index.jsonl"),
            include_bytes!("../../fixtures/receipts/v1-encrypted.jsonl"),
            include_bytes!("../../fixtures/receipts/v2.jsonl"),
        ])
    },
    mutate: mutate::mutate,
    mend: unmended,
    feed,
};

fn feed(input: &[u8]) {
    if let Ok(mut reader) = ReceiptReader::new(input) {
        reader.by_ref().for_each(drop);
        assert!(reader.totals().entries <= input.len() as u64);
    }
}
