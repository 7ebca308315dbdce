//! Makes a lost queue anew from the receipts in the sinks, so that nothing is fetched or filed twice.
//!
//! What every sink proves is done with. What only some of them prove, and what was filed with a
//! loss, is taken up again, as another attempt. Memory holds one day at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;
use serde::Deserialize;

use crate::{
    queue::{Outcome, Proven, Queue, QueueError},
    sink::{SinkError, Store},
};

/// Why a queue was not recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// A sink cannot be read.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

#[derive(Deserialize)]
struct Head {
    export: String,
    segment: i64,
    day: String,
}

/// A receipt, as far as another run needs it.
pub(crate) struct Receipt {
    segment: i64,
    day: String,
    pub(crate) lines: Vec<Line>,
}

/// What a receipt says of a conversation.
#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) conversation_id: String,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
    objects: Vec<Size>,
    #[serde(default = "first")]
    pub(crate) attempt: u32,
    /// The sinks that take it, if not all do.
    #[serde(default)]
    sinks: Option<Vec<String>>,
}

fn first() -> u32 {
    1
}

#[derive(Deserialize)]
struct Size {
    size: u64,
}

/// Fills the new queue of `export` with what the receipts in `stores` prove, and returns how many
/// conversations are done with.
///
/// # Errors
/// [`RecoverError`]; the queue must not be used then.
pub async fn recover(
    queue: &Queue,
    export: &str,
    stores: &[(&str, &dyn Store)],
    now: u64,
) -> Result<u64, RecoverError> {
    let mut days = BTreeMap::<String, Vec<(usize, String)>>::new();
    for (number, (_, store)) in stores.iter().enumerate() {
        for key in receipts(*store, "receipts/", export).await? {
            let day = key.split('/').nth(1).unwrap_or_default().to_owned();
            days.entry(day).or_default().push((number, key));
        }
    }
    let mut done = 0;
    for keys in days.into_values() {
        let mut proven = BTreeMap::<String, Vec<Proven>>::new();
        let mut takers = BTreeMap::<String, Vec<String>>::new();
        let mut segments = BTreeSet::new();
        for (number, key) in keys {
            let Some(receipt) = Receipt::read(stores[number].1, &key, export).await? else {
                continue;
            };
            segments.insert((receipt.segment, receipt.day.clone()));
            for line in receipt.lines {
                let of = proven.entry(line.conversation_id.clone()).or_default();
                of.resize_with(stores.len(), Proven::default);
                if let Some(sinks) = line.sinks {
                    takers.insert(line.conversation_id.clone(), sinks);
                }
                if of[number].attempt < line.attempt {
                    of[number] = Proven {
                        conversation: line.conversation_id,
                        day: receipt.day.clone(),
                        attempt: line.attempt,
                        bytes: line.objects.iter().map(|object| object.size).sum(),
                        objects: line.objects.len() as u64,
                        outcome: Some(line.outcome),
                    };
                }
            }
        }
        let all = proven.into_iter().map(|(id, mut of)| {
            if let Some(takers) = takers.get(&id) {
                let takes = |name: &str| takers.iter().any(|taker| taker == name);
                let mut names = stores.iter().map(|(name, _)| *name);
                of.retain(|_| names.next().is_some_and(takes));
            }
            agreed(id, of)
        });
        let all = all.collect();
        done += queue.recover(all, segments, now).await?;
    }
    Ok(done)
}

/// The keys below `folder` that receipts of `export` may have.
pub(crate) async fn receipts(
    store: &dyn Store,
    folder: &str,
    export: &str,
) -> Result<Vec<String>, SinkError> {
    let mut keys = Vec::new();
    let mut list = store.list(folder);
    while let Some(found) = list.next().await.transpose()? {
        // receipts/date={day}/{export}-{segment}.jsonl
        let name = found.key.rsplit('/').next().unwrap_or_default();
        if name.starts_with(export) {
            keys.push(found.key);
        }
    }
    Ok(keys)
}

impl Receipt {
    /// Reads a receipt, if it is one of `export`. A line that cannot be read proves nothing.
    pub(crate) async fn read(
        store: &dyn Store,
        key: &str,
        export: &str,
    ) -> Result<Option<Self>, SinkError> {
        let text = text(store, key).await?;
        let mut lines = text.lines();
        let head = lines.next().map(serde_json::from_str::<Head>);
        let Some(Ok(head)) = head else {
            return Ok(None);
        };
        Ok((head.export == export).then(|| Receipt {
            segment: head.segment,
            day: head.day,
            lines: lines
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
        }))
    }
}

/// What all sinks prove of a conversation; without an outcome if they do not agree, or prove a loss.
fn agreed(conversation: String, of: Vec<Proven>) -> Proven {
    let attempt = of.iter().map(|one| one.attempt).max().unwrap_or_default();
    let agree = of.iter().all(|one| one.attempt == attempt);
    let fullest = of.into_iter().max_by_key(|one| (one.attempt, one.objects));
    let mut fullest = fullest.unwrap_or_default();
    fullest.conversation = conversation;
    fullest.outcome = fullest
        .outcome
        .filter(|outcome| agree && outcome.losses().is_empty());
    fullest
}

async fn text(store: &dyn Store, key: &str) -> Result<String, SinkError> {
    let mut bytes = Vec::new();
    if let Some(mut body) = store.get(key).await? {
        while let Some(data) = body.next().await.map_err(|broken| SinkError {
            sink: "receipts".to_owned(),
            key: key.to_owned(),
            reason: broken.to_string(),
            retryable: true,
        })? {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
