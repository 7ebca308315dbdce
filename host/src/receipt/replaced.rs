//! Segments whose place another one has taken.

use std::collections::BTreeMap;

use super::{ObjectDigest, ReceiptReader, name, receipt_key};
use crate::{
    queue::{Replaced, Segment},
    sink::{SinkError, Store, StoreExt},
};

/// Removes what a sink has of a replaced segment: rows, catalog and, when these are gone, the
/// receipt that names them.
///
/// # Errors
/// What the sink says, or that the receipt cannot be read; it can be tried again.
pub async fn remove(store: &dyn Store, export: &str, segment: &Replaced) -> Result<(), SinkError> {
    let key = receipt_key(&name(export, &segment.day, segment.segment));
    let Some(receipt) = store.read(&key).await? else {
        return Ok(());
    };
    let reader = ReceiptReader::new(receipt.as_slice()).map_err(|error| SinkError {
        sink: segment.sink.clone(),
        key: key.clone(),
        reason: format!("{error}; it and its rows are void, remove them"),
        retryable: false,
    })?;
    let header = reader.header();
    for file in [&header.metadata, &header.catalog].into_iter().flatten() {
        store.delete(&file.key).await?;
    }
    store.delete(&key).await
}

/// What the receipts that a segment replaces say of the files beside its objects, by their keys.
pub(super) async fn sidecars(
    store: &dyn Store,
    export: &str,
    segment: &Segment,
) -> Result<BTreeMap<String, ObjectDigest>, SinkError> {
    let mut proven = BTreeMap::new();
    for number in &segment.replaces {
        let key = receipt_key(&name(export, &segment.day, *number));
        let receipt = store.read(&key).await?.unwrap_or_default();
        // What cannot be read is put again.
        let Ok(reader) = ReceiptReader::new(receipt.as_slice()) else {
            continue;
        };
        for (_, entry) in reader.flatten() {
            for sidecar in entry.sidecars {
                proven.insert(sidecar.key.clone(), sidecar);
            }
        }
    }
    Ok(proven)
}
