//! Receipts: the proof that an archive carries, its format, and how completed conversations are filed.
//!
//! [`ReceiptHeader`] and [`ReceiptEntry`] are the one definition of the format; [`ReceiptReader`] and
//! [`ReceiptWriter`] are what reads and writes it, everywhere. `docs/metadata.md` describes it.
//!
//! # How a segment is filed in a sink
//!
//! 1. Its rows, its part of the catalog and the files beside its objects are put.
//! 2. The receipt is made, with the digests of what was put, and its bytes are fixed in the ledger.
//! 3. Exactly these bytes are put. The receipt comes last: what it names is there. It is never
//!    encrypted, so that an archive can be proven without the secret that decrypts it.
//!
//! Keys are derived from export and segment. A run that was interrupted files the segment again:
//!
//! - No bytes are fixed: the receipt was never put. All is put again; in a sink that encrypts, with
//!   other bytes, which nothing names yet.
//! - Bytes are fixed, and the receipt is there: the segment is filed. A receipt that was put is never
//!   changed, whatever happened since to what it names; that is for `verify` and a repair.
//! - Bytes are fixed, and rows and catalog are there with the digests in them: they are put, and
//!   nothing else, so that they stay true where each put of rows would have other bytes.
//! - Bytes are fixed, and rows or catalog are not there (somebody has removed them, or emptied the
//!   sink): the receipt was never put, so the bytes are let go, and all is put again.
//! - Of a sink that cannot be read, what was put before the bytes were fixed is taken to be there.
//! - The receipt of another run is there: the queue is an older copy of the one that the sink was filed
//!   with, or another program has a queue of its own. A receipt is not replaced by one that proves
//!   something else, so the segment is refused.

mod context;
mod format;
mod key;
mod overtaken;
mod parts;
mod put;
mod read;
mod readme;
mod replaced;
mod sidecar;
mod write;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::transfer::SinkBinding;
use recording_host_metadata::{RowFormat, Writer, catalog::CatalogWriter};
use recording_host_model::{CompletedConversation, Segment, hex};
use recording_host_sink::{PutOptions, SinkError, SinkExt, Store, StoreExt};
use recording_host_state::{Ledger, QueueError};

pub use context::ReceiptContext;
pub use format::{
    ComponentVersion, CoveredInterval, ObjectDigest, Program, ReceiptEntry, ReceiptHeader,
    ReceiptObject, SearchedRange, SourceCount, VERSION,
};
pub(crate) use key::{by_day, parts_of, segment_of, sibling};
pub(crate) use key::{name, receipt_key};
pub(crate) use overtaken::refuse_later;
use parts::{Fed, Feed, Part, Parts, feed};
use put::put;
pub(crate) use read::adds_up;
pub use read::{ReceiptError, ReceiptReader, ReceiptTotals};
pub use readme::README;
pub use replaced::remove;
use sidecar::Sidecars;
pub use write::ReceiptWriter;

/// Returns true if a receipt of the day, whichever export's, names an object of this key. A receipt or a
/// line of it that cannot be read may name anything. For a repair, which files it anew, one that was
/// changed names nothing.
pub(crate) async fn names(
    store: &dyn Store,
    day: &str,
    key: &str,
    repair: bool,
) -> Result<bool, SinkError> {
    let folder = format!("receipts/date={day}/");
    for receipt in by_day(store, &folder).await?.into_values().flatten() {
        let Some(bytes) = store.read(&receipt).await? else {
            continue;
        };
        if repair && !adds_up(&bytes) {
            continue;
        }
        let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
            return Ok(true);
        };
        for entry in reader {
            let Ok((_, entry)) = entry else {
                return Ok(true);
            };
            let mut objects = entry.objects.iter().chain(&entry.aside);
            if objects.any(|object| object.key == key) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Why a segment is not filed; it can be filed again.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Files a segment in a sink, as far as it takes it, with the bytes of its receipt fixed in the ledger; `bindings` are
/// all sinks of the export, and `seen` looks at each conversation of the segment. Returns how many the sink has taken.
///
/// # Errors
/// [`CommitError`]; the segment can be filed again.
pub async fn commit_segment(
    ledger: &dyn Ledger,
    context: &ReceiptContext,
    segment: &Segment,
    binding: &SinkBinding,
    bindings: &[Arc<SinkBinding>],
    seen: &mut (dyn FnMut(&CompletedConversation) + Send),
) -> Result<usize, CommitError> {
    let parts = || Parts::sealed(ledger, segment, binding);
    commit(
        ledger,
        context,
        segment,
        parts().seen_by(seen),
        parts(),
        (binding, bindings),
    )
    .await
}

/// Files the conversations of a segment, which can be read twice: `again` has the same as `parts`.
async fn commit(
    ledger: &dyn Ledger,
    context: &ReceiptContext,
    segment: &Segment,
    mut parts: Parts<'_>,
    again: Parts<'_>,
    (binding, bindings): (&SinkBinding, &[Arc<SinkBinding>]),
) -> Result<usize, CommitError> {
    let Some(first) = parts.next().await? else {
        return Ok(0);
    };
    readme::put(ledger, binding).await?;
    let key = receipt_key(&name(&context.export, &segment.day, segment.number));
    let (number, sink) = (segment.number, binding.name.clone());
    let fixed = ledger.fixed_receipt(number, sink.clone()).await?;
    let fixed = match fixed {
        None => None,
        Some(bytes) => match so_far(binding, &key, &bytes).await? {
            SoFar::Filed => return parts.count().await,
            SoFar::Rows => Some(bytes),
            SoFar::Nothing => {
                ledger.release_receipt(number, sink.clone()).await?;
                None
            }
        },
    };
    overtaken::refuse_to_replace(binding, &key, again).await?;
    let bytes = match fixed {
        Some(bytes) => bytes,
        None => {
            let bytes = prepare(context, segment, first, &mut parts, (binding, bindings)).await?;
            ledger.fix_receipt(number, sink.clone(), bytes).await?
        }
    };
    let rows = ReceiptReader::new(bytes.as_slice()).ok();
    if let Some(rows) = rows.and_then(|reader| reader.header().metadata.clone()) {
        ledger.set_rows(number, sink, rows.sha256).await?;
    }
    put_receipt(binding, &key, bytes).await?;
    parts.count().await
}

/// Files a segment of these conversations in a sink without a queue: each call makes a receipt of its own.
///
/// # Errors
/// [`CommitError`]; the segment can be filed again.
pub async fn commit_segment_alone(
    context: &ReceiptContext,
    segment: &Segment,
    conversations: Vec<CompletedConversation>,
    binding: &SinkBinding,
    bindings: &[Arc<SinkBinding>],
) -> Result<(), CommitError> {
    let mut parts = Parts::given(conversations, binding);
    let Some(first) = parts.next().await? else {
        return Ok(());
    };
    let key = receipt_key(&name(&context.export, &segment.day, segment.number));
    let bytes = prepare(context, segment, first, &mut parts, (binding, bindings)).await?;
    Ok(put_receipt(binding, &key, bytes).await?)
}

/// How far a segment whose receipt is fixed has come.
enum SoFar {
    /// The receipt is there.
    Filed,
    /// Everything that the header names is there.
    Rows,
    /// Something that the header names is not there.
    Nothing,
}

async fn so_far(binding: &SinkBinding, key: &str, receipt: &[u8]) -> Result<SoFar, SinkError> {
    let Some(store) = binding.sink.store() else {
        return Ok(SoFar::Rows);
    };
    match store.read(key).await {
        Ok(Some(there)) if there == receipt => return Ok(SoFar::Filed),
        Ok(_) => {}
        Err(error) if error.retryable => return Err(error),
        // It may be written and not read.
        Err(_) => return Ok(SoFar::Rows),
    }
    let Ok(reader) = ReceiptReader::new(receipt) else {
        return Ok(SoFar::Nothing);
    };
    let header = reader.header();
    for file in [&header.metadata, &header.catalog].into_iter().flatten() {
        if !is_there(store, file).await? {
            return Ok(SoFar::Nothing);
        }
    }
    Ok(SoFar::Rows)
}

/// Returns true if a sink has this very object.
async fn is_there(store: &dyn Store, expected: &ObjectDigest) -> Result<bool, SinkError> {
    let bytes = store.read(&expected.key).await?;
    Ok(bytes.is_some_and(|bytes| hex(&Sha256::digest(&bytes)) == expected.sha256))
}

/// Puts all that a segment's receipt names while its conversations are read, and makes the receipt.
async fn prepare(
    context: &ReceiptContext,
    segment: &Segment,
    first: Part,
    parts: &mut Parts<'_>,
    (binding, bindings): (&SinkBinding, &[Arc<SinkBinding>]),
) -> Result<Vec<u8>, CommitError> {
    let content = binding.route.content;
    // The rows of a sink without media describe the objects in another one.
    let media_in = match content.media {
        true => None,
        false => bindings.iter().find(|other| other.route.content.media),
    };
    let described = media_in.map_or(&binding.name, |other| &other.name);
    let name = name(&context.export, &segment.day, segment.number);
    let mut feeds = Vec::new();
    let mut fed = |is_wanted: bool| {
        is_wanted.then(|| {
            let (feed, fed) = feed();
            feeds.push(feed);
            fed
        })
    };
    let rows = fed(content.metadata);
    let catalog = fed(content.metadata && binding.metadata.format() == RowFormat::Parquet);
    let rows = put_rows(&name, rows, binding, described);
    let catalog = put_catalog(&context.export, segment, &name, catalog, binding);
    let entries = write_entries(context, segment, first, parts, feeds, (binding, bindings));
    let (written, metadata, catalog) = tokio::join!(entries, rows, catalog);
    // If reading fails, nothing is written to its end; if writing does, nobody reads on.
    let (written, metadata, catalog) = (written?, metadata?, catalog?);
    let failed = |reason: &str| {
        SinkError::new(
            &binding.name,
            &receipt_key(&name),
            format!("the receipt cannot be written: {reason}"),
        )
    };
    let written = written.ok_or_else(|| failed("a file beside it was not written to its end"))?;
    let media_in = media_in.map(|other| other.name.clone());
    let header = context.header(segment, binding, metadata, catalog, media_in);
    let receipt = spawn_blocking(move || written.finish(header)).await;
    let receipt = receipt.map_err(|error| failed(&error.to_string()))?;
    Ok(receipt.map_err(|error| failed(&error.to_string()))?)
}

/// Reads a segment's conversations, hands them on to the files that are written meanwhile, and writes their entries; none if
/// one of these files was not written to its end.
async fn write_entries(
    context: &ReceiptContext,
    segment: &Segment,
    first: Part,
    parts: &mut Parts<'_>,
    feeds: Vec<Feed>,
    (binding, bindings): (&SinkBinding, &[Arc<SinkBinding>]),
) -> Result<Option<ReceiptWriter>, CommitError> {
    let sidecars = match binding.route.content.metadata {
        true => Sidecars::of(&context.export, segment, binding).await?,
        false => None,
    };
    let mut writer = ReceiptWriter::default();
    let mut next = Some(first);
    while let Some(part) = next {
        let part = Arc::new(part);
        for feed in &feeds {
            if !feed.hand_on(Some(&part)).await {
                return Ok(None);
            }
        }
        let beside = match &sidecars {
            Some(sidecars) => sidecars.put(&part).await?,
            None => BTreeMap::new(),
        };
        let (sink, encrypted) = (binding.name.clone(), binding.sink.encrypts());
        let bindings = bindings.to_vec();
        let written = spawn_blocking(move || {
            for completed in part.iter() {
                let take = bindings.iter().filter(|other| other.route.takes(completed));
                let take: Vec<String> = take.map(|other| other.name.clone()).collect();
                writer.entry(&ReceiptEntry {
                    sinks: (take.len() < bindings.len()).then_some(take),
                    ..ReceiptEntry::of(completed, &sink, encrypted, &beside)
                })?;
            }
            Ok::<_, serde_json::Error>(writer)
        });
        let failed = |reason: String| {
            let key = receipt_key(&name(&context.export, &segment.day, segment.number));
            let reason = format!("the receipt cannot be written: {reason}");
            SinkError::new(&binding.name, &key, reason)
        };
        let written = written.await.map_err(|error| failed(error.to_string()))?;
        writer = written.map_err(|error| failed(error.to_string()))?;
        next = parts.next().await?;
    }
    for feed in feeds {
        feed.hand_on(None).await;
    }
    Ok(Some(writer))
}

/// Puts a segment's rows, where there are any.
async fn put_rows(
    name: &str,
    conversations: Option<Fed>,
    binding: &SinkBinding,
    described: &str,
) -> Result<Option<ObjectDigest>, SinkError> {
    let Some(conversations) = conversations else {
        return Ok(None);
    };
    let settings = binding.metadata;
    let key = format!("metadata/{name}.{}", settings.extension());
    let sink = described.to_owned();
    let rows = put(binding, key, settings.content_type(), move |into| {
        let mut writer = Writer::new(settings, into)?;
        conversations.write_all(|completed| writer.write(completed, &sink))?;
        writer.finish().map(drop)
    });
    rows.await.map(Some)
}

/// Puts a segment's part of the catalog, where there is one.
async fn put_catalog(
    export: &str,
    segment: &Segment,
    name: &str,
    conversations: Option<Fed>,
    binding: &SinkBinding,
) -> Result<Option<ObjectDigest>, SinkError> {
    let Some(conversations) = conversations else {
        return Ok(None);
    };
    let settings = binding.metadata;
    let key = format!("catalog/{name}.parquet");
    let (export, number, sink) = (export.to_owned(), segment.number, binding.name.clone());
    let catalog = put(binding, key, settings.content_type(), move |into| {
        let mut writer = CatalogWriter::new(&export, number, settings.compression(), into)?;
        conversations.write_all(|completed| writer.write(completed, &sink))?;
        writer.finish().map(drop)
    });
    catalog.await.map(Some)
}

async fn put_receipt(binding: &SinkBinding, key: &str, receipt: Vec<u8>) -> Result<(), SinkError> {
    let info = PutOptions {
        content_type: "application/x-ndjson".to_owned(),
        size: None,
        replace: true,
        plaintext: true,
    };
    let put = binding.sink.put_bytes(key, info, Bytes::from(receipt));
    put.await.map(drop)
}

#[cfg(test)]
mod tests;
