//! Makes a lost queue anew from the receipts in the sinks, so that nothing is fetched or filed twice.
//!
//! What every sink proves is done with. What only some of them prove, and what was filed with a
//! loss, is taken up again, as another attempt. Memory holds one day at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    queue::{Outcome, Proven, Queue, QueueError},
    receipt::{ReceiptEntry, ReceiptReader, by_day},
    sink::{SinkError, Store, StoreExt},
};

/// How often a day is listed whose receipts are being replaced.
const LISTS: u32 = 10;

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

/// What a receipt says of a conversation, as far as it matters here.
pub(crate) struct Line {
    pub(crate) conversation_id: String,
    pub(crate) outcome: Outcome,
    /// How many recordings there are, and their bytes.
    objects: u64,
    bytes: u64,
    pub(crate) attempt: u32,
    pub(crate) extent: Option<u64>,
    /// The sinks that take it, if not all do.
    sinks: Option<Vec<String>>,
}

impl From<ReceiptEntry> for Line {
    fn from(entry: ReceiptEntry) -> Self {
        Line {
            outcome: entry.outcome(),
            conversation_id: entry.conversation_id,
            objects: entry.objects.len() as u64,
            bytes: entry.objects.iter().map(|object| object.size).sum(),
            attempt: entry.attempt,
            extent: entry.extent,
            sinks: entry.sinks,
        }
    }
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
    let mut days = BTreeMap::<String, Vec<usize>>::new();
    for (number, (_, store)) in stores.iter().enumerate() {
        for folder in by_day(*store, "receipts/").await?.into_keys() {
            days.entry(folder).or_default().push(number);
        }
    }
    let mut done = 0;
    for (folder, numbers) in days {
        let mut proven = BTreeMap::<String, Vec<Proven>>::new();
        let mut takers = BTreeMap::<String, Vec<String>>::new();
        let mut segments = BTreeSet::new();
        let mut replaced = Vec::new();
        for number in numbers {
            let (sink, store) = stores[number];
            let receipts = Receipts::read(store, &folder, export).await?;
            segments.extend(receipts.segments);
            let void = receipts.void.into_iter();
            replaced.extend(void.map(|(segment, by)| (segment, sink.to_owned(), by)));
            for (day, line) in receipts.lines {
                let of = proven.entry(line.conversation_id.clone()).or_default();
                of.resize_with(stores.len(), Proven::default);
                if let Some(sinks) = line.sinks {
                    takers.insert(line.conversation_id.clone(), sinks);
                }
                if of[number].attempt < line.attempt {
                    of[number] = Proven {
                        conversation: line.conversation_id,
                        day,
                        attempt: line.attempt,
                        extent: line.extent,
                        bytes: line.bytes,
                        objects: line.objects,
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
        done += queue.recover(all, segments, replaced, now).await?;
    }
    Ok(done)
}

/// What the receipts of a day say.
#[derive(Default)]
pub(crate) struct Receipts {
    /// The numbers of their segments, with the day.
    segments: BTreeSet<(i64, String)>,
    /// Of what is said of each conversation, with the day; of several attempts at one each.
    pub(crate) lines: Vec<(String, Line)>,
    /// Segments that are there although another one has taken their place, and that one.
    void: Vec<(i64, i64)>,
}

impl Receipts {
    /// Reads the receipts of `export` in the folder of a day. A line that cannot be read proves nothing.
    pub(crate) async fn read(
        store: &dyn Store,
        folder: &str,
        export: &str,
    ) -> Result<Self, SinkError> {
        for _ in 0..LISTS {
            let listed = by_day(store, folder).await?;
            let keys = listed.into_values().flatten();
            let name = format!("{folder}{export}-");
            let keys = keys.filter(|key| key.starts_with(&name));
            // One that is gone again has been replaced by one that is there now.
            if let Some(receipts) = Self::read_all(store, keys, export).await? {
                return Ok(receipts);
            }
        }
        Err(SinkError {
            sink: "receipts".to_owned(),
            key: folder.to_owned(),
            reason:
                "receipts are listed and cannot be found; see whether something else removes them"
                    .to_owned(),
            retryable: true,
        })
    }

    /// Reads the receipts with these keys; none if one of them is not there.
    async fn read_all(
        store: &dyn Store,
        keys: impl Iterator<Item = String>,
        export: &str,
    ) -> Result<Option<Self>, SinkError> {
        let mut receipts = Receipts::default();
        let mut replaced = BTreeMap::new();
        for key in keys {
            let Some(bytes) = store.read(&key).await? else {
                return Ok(None);
            };
            let Ok(reader) = ReceiptReader::new(bytes.as_slice()) else {
                continue;
            };
            let head = reader.header().clone();
            if head.export != export {
                continue;
            }
            receipts.segments.insert((head.segment, head.day.clone()));
            if let Some(by) = replaced.get(&head.segment) {
                receipts.void.push((head.segment, *by));
                continue;
            }
            for segment in head.replaces {
                replaced.insert(segment, head.segment);
                receipts.segments.insert((segment, head.day.clone()));
            }
            let entries = reader.flatten();
            receipts
                .lines
                .extend(entries.map(|(_, entry)| (head.day.clone(), entry.into())));
        }
        Ok(Some(receipts))
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
