//! Segments whose place another one has taken.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Proof, name, receipt_key};
use crate::{
    queue::{Replaced, Segment},
    sink::{SinkError, Store, StoreExt},
};

#[derive(Deserialize)]
struct Head {
    metadata: Option<Proof>,
    catalog: Option<Proof>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    sidecars: Vec<Proof>,
}

/// Removes what a sink has of a replaced segment: rows, catalogue and, when these are gone, the
/// receipt that names them.
///
/// # Errors
/// What the sink says, or that the receipt cannot be read; it can be tried again.
pub async fn remove(store: &dyn Store, export: &str, segment: &Replaced) -> Result<(), SinkError> {
    let key = receipt_key(&name(export, &segment.day, segment.segment));
    let Some(receipt) = store.read(&key).await? else {
        return Ok(());
    };
    let first = receipt.split(|byte| *byte == b'\n').next();
    let head: Head = serde_json::from_slice(first.unwrap_or_default()).map_err(|_| SinkError {
        sink: segment.sink.clone(),
        key: key.clone(),
        reason: "its first line is not that of a receipt; it and its rows are void, remove them"
            .to_owned(),
        retryable: false,
    })?;
    for file in [head.metadata, head.catalog].into_iter().flatten() {
        store.delete(&file.key).await?;
    }
    store.delete(&key).await
}

/// What the receipts that a segment replaces say of the files beside its objects, by their keys.
pub(super) async fn sidecars(
    store: &dyn Store,
    export: &str,
    segment: &Segment,
) -> Result<BTreeMap<String, Proof>, SinkError> {
    let mut proven = BTreeMap::new();
    for number in &segment.replaces {
        let key = receipt_key(&name(export, &segment.day, *number));
        let receipt = store.read(&key).await?.unwrap_or_default();
        let lines = receipt.split(|byte| *byte == b'\n').skip(1);
        // What cannot be read is put again.
        let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        for proof in lines.flat_map(|line| line.sidecars) {
            proven.insert(proof.key.clone(), proof);
        }
    }
    Ok(proven)
}
