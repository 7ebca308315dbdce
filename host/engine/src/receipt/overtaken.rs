//! Receipts in a sink that its queue knows nothing of: the queue is an older copy of the one that the sink
//! was filed with, or another program exports the same with a queue of its own.
//!
//! Segments are filed under numbers that the queue counts, so what such a queue files would take the
//! place of what is proven. It is refused instead: before anything is requested, or else before a receipt
//! is replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CommitError, ReceiptEntry, ReceiptHeader, ReceiptReader, adds_up, by_day, name, parts::Parts,
    parts_of, receipt_key,
};
use crate::{recover::ReceiptOwnership, transfer::SinkBinding};
use recording_host_sink::{SinkError, StoreExt};

/// Refuses a sink with a receipt of the export of a later segment than `last`, the last one of its queue. Of
/// a sink that does not let its receipts be listed or read, nothing is known.
pub(crate) async fn refuse_later(
    binding: &SinkBinding,
    claim: &ReceiptOwnership,
    last: i64,
) -> Result<(), SinkError> {
    let Some(store) = binding.sink.store() else {
        return Ok(());
    };
    let listed = match by_day(store, "receipts/").await {
        Ok(listed) => listed,
        Err(error) if error.retryable => return Err(error),
        Err(_) => return Ok(()),
    };
    for key in listed.into_values().flatten() {
        let Some((day, export, number)) = parts_of(&key) else {
            continue;
        };
        if export != claim.label() || number <= last {
            continue;
        }
        // A name alone proves nothing: anybody may have put a file there, or copied a receipt.
        let is_of = |head: &ReceiptHeader| {
            (head.export.as_str(), head.day.as_str(), head.segment) == (export, day, number)
                && key == receipt_key(&name(export, day, number))
        };
        if sound(binding, &key)
            .await?
            .is_some_and(|(head, _)| is_of(&head))
        {
            let what = format!("the queue has numbered no more than {last} segments");
            return Err(refusal(binding, &key, &what));
        }
    }
    Ok(())
}

/// Refuses to put a segment's receipt in the place of one that proves something else.
pub(super) async fn refuse_to_replace(
    binding: &SinkBinding,
    key: &str,
    mut parts: Parts<'_>,
) -> Result<(), CommitError> {
    let Some((_, there)) = sound(binding, key).await? else {
        return Ok(());
    };
    let encrypted = binding.sink.encrypts();
    let mut own = BTreeSet::new();
    while let Some(part) = parts.next().await? {
        own.extend(part.iter().map(|completed| {
            let entry = ReceiptEntry::of(completed, &binding.name, encrypted, &BTreeMap::new());
            ProvenOutcome::of(&entry)
        }));
    }
    let other = there
        .iter()
        .filter(|entry| !own.contains(&ProvenOutcome::of(entry)));
    match other.count() {
        0 => Ok(()),
        count => Err(refusal(
            binding,
            key,
            &format!("it proves {count} conversations otherwise than the queue would"),
        )
        .into()),
    }
}

/// What an entry proves of a conversation: its attempt, its outcome, and its objects by key and digest.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ProvenOutcome {
    conversation: String,
    attempt: u32,
    outcome: String,
    objects: BTreeSet<(String, String)>,
}

impl ProvenOutcome {
    fn of(entry: &ReceiptEntry) -> Self {
        let objects = entry.objects.iter();
        ProvenOutcome {
            conversation: entry.conversation_id.clone(),
            attempt: entry.attempt,
            outcome: entry.outcome.clone(),
            objects: objects
                .map(|object| (object.key.clone(), object.sha256.clone()))
                .collect(),
        }
    }
}

/// The receipt at a key; none if there is none, if it may not be read, or if it was changed.
async fn sound(
    binding: &SinkBinding,
    key: &str,
) -> Result<Option<(ReceiptHeader, Vec<ReceiptEntry>)>, SinkError> {
    let Some(store) = binding.sink.store() else {
        return Ok(None);
    };
    let bytes = match store.read(key).await {
        Ok(Some(bytes)) => bytes,
        Err(error) if error.retryable => return Err(error),
        Ok(None) | Err(_) => return Ok(None),
    };
    let reader = ReceiptReader::new(bytes.as_slice());
    let Some(reader) = reader.ok().filter(|_| adds_up(&bytes)) else {
        return Ok(None);
    };
    let head = reader.header().clone();
    let entries = reader.flatten().map(|(_, entry)| entry).collect();
    Ok(Some((head, entries)))
}

fn refusal(binding: &SinkBinding, key: &str, what: &str) -> SinkError {
    let reason = format!(
        "another run has put this receipt: {what}. Either `data_dir` is an older copy, or another program exports the same to this sink with a `data_dir` of its own. Nothing is replaced. Stop the other program, or move the queue out of `data_dir`: a run without a queue takes over what the receipts prove"
    );
    SinkError::new(&binding.name, key, reason)
}
