//! Receipts in a sink that its queue knows nothing of: the queue is an older copy of the one that the sink
//! was filed with, or another program exports the same with a queue of its own.
//!
//! Segments are filed under numbers that the queue counts, so what such a queue files would take the
//! place of what is proven. It is refused instead: before anything is requested, or else before a receipt
//! is replaced.

use std::collections::BTreeSet;

use super::{ReceiptReader, by_day, parts_of};
use crate::{recover::ReceiptOwnership, transfer::SinkBinding};
use recording_host_model::Segment;
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
    let is_later = |key: &String| {
        parts_of(key).is_some_and(|(_, export, number)| export == claim.label() && number > last)
    };
    for key in listed.into_values().flatten().filter(is_later) {
        // A name alone proves nothing: anybody may have put a file there.
        if proven(binding, &key)
            .await?
            .is_some_and(|it| !it.is_empty())
        {
            return Err(refusal(
                binding,
                key,
                &format!("the queue has filed no more than {last} segments"),
            ));
        }
    }
    Ok(())
}

/// Refuses to put a segment's receipt in the place of one that proves something else.
pub(super) async fn refuse_to_replace(
    binding: &SinkBinding,
    key: &str,
    segment: &Segment,
) -> Result<(), SinkError> {
    let Some(there) = proven(binding, key).await? else {
        return Ok(());
    };
    let own: BTreeSet<(&str, u32)> = segment
        .conversations
        .iter()
        .map(|completed| (completed.id.as_str(), completed.attempt))
        .collect();
    let other = there
        .iter()
        .filter(|(id, attempt)| !own.contains(&(id.as_str(), *attempt)))
        .count();
    match other {
        0 => Ok(()),
        _ => Err(refusal(
            binding,
            key.to_owned(),
            &format!("it proves {other} conversations that the queue would file elsewhere"),
        )),
    }
}

/// What the receipt at a key proves, as conversations and attempts; none if no receipt is there, or none
/// that can be read.
async fn proven(
    binding: &SinkBinding,
    key: &str,
) -> Result<Option<BTreeSet<(String, u32)>>, SinkError> {
    let Some(store) = binding.sink.store() else {
        return Ok(None);
    };
    let bytes = match store.read(key).await {
        Ok(Some(bytes)) => bytes,
        Err(error) if error.retryable => return Err(error),
        Ok(None) | Err(_) => return Ok(None),
    };
    let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
        return Ok(None);
    };
    let entries = reader.flatten();
    Ok(Some(
        entries
            .map(|(_, entry)| (entry.conversation_id, entry.attempt))
            .collect(),
    ))
}

fn refusal(binding: &SinkBinding, key: String, what: &str) -> SinkError {
    SinkError::new(
        &binding.name,
        &key,
        format!(
            "another run has put this receipt: {what}. Either `data_dir` is an older copy, or another program exports the same to this sink with a `data_dir` of its own. Nothing is replaced. Stop the other program, or move the queue out of `data_dir`: a run without a queue takes over what the receipts prove"
        ),
    )
}
