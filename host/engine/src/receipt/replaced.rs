//! Segments whose place another one has taken.

use std::collections::BTreeMap;

use futures_util::StreamExt;

use super::{ObjectDigest, ReceiptReader, name, receipt_key};
use recording_host_model::Segment;
use recording_host_sink::{SinkError, Store, StoreExt};
use recording_host_state::SupersededSegment;

/// Removes what a sink has of a replaced segment: rows, catalog and, when these are gone, the
/// receipt that names them. Where that names none, files are known by their names.
///
/// # Errors
/// The sink's error; it can be tried again.
pub async fn remove(
    store: &dyn Store,
    export: &str,
    segment: &SupersededSegment,
) -> Result<(), SinkError> {
    let name = name(export, &segment.day, segment.segment);
    let key = receipt_key(&name);
    let receipt = store.read(&key).await?;
    let header = receipt.as_deref().and_then(|bytes| {
        let reader = ReceiptReader::new(bytes).ok()?;
        Some(reader.header().clone())
    });
    let named = header.map(|header| [header.metadata, header.catalog]);
    for file in named.iter().flatten().flatten() {
        store.delete(&file.key).await?;
    }
    for folder in ["metadata/", "catalog/"] {
        let prefix = format!("{folder}{name}.");
        let found: Vec<_> = store.list(&prefix).collect().await;
        for found in found {
            store.delete(&found?.key).await?;
        }
    }
    store.delete(&key).await
}

/// The files beside a segment's objects, by their keys, as the receipts of the segments that it replaces
/// in a sink describe them.
pub(super) async fn sidecars(
    store: &dyn Store,
    export: &str,
    segment: &Segment,
    sink: &str,
) -> Result<BTreeMap<String, ObjectDigest>, SinkError> {
    let mut proven = BTreeMap::new();
    for number in segment.replaces_in(sink) {
        let key = receipt_key(&name(export, &segment.day, *number));
        let receipt = store.read(&key).await?.unwrap_or_default();
        // Sidecars of a receipt that cannot be read are put again.
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
