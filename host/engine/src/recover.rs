//! Makes a lost queue anew from the receipts in the sinks, so that nothing is fetched or filed twice.
//!
//! Conversations that a sink proves are not fetched again: what others lack of them is brought to these.
//! Those filed with a loss are taken up again, as another attempt. Memory holds one day at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    identity::ExportIdentity,
    receipt::{ReceiptEntry, ReceiptHeader, ReceiptReader, by_day},
    shard::Days,
};
use recording_host_model::Outcome;
use recording_host_sink::{SinkError, Store, StoreExt};
use recording_host_state::{Ledger, QueueError, ReceiptSummary};

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

/// A receipt's line about a conversation, as far as it matters here.
pub(crate) struct ProvenEntry {
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

impl From<ReceiptEntry> for ProvenEntry {
    fn from(entry: ReceiptEntry) -> Self {
        ProvenEntry {
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

/// Which receipts are an export's: those of its own name and identity. Those of another export of the
/// source, whose recordings have the same form, prove what this one need not fetch again.
#[derive(Clone, Debug)]
pub(crate) struct ReceiptOwnership {
    /// The name in keys.
    label: String,
    labels: Vec<String>,
    /// The digests of identity and form.
    pub(crate) identity: String,
    pub(crate) form: String,
}

/// Whose a receipt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Own,
    /// That of another export with recordings of the same form.
    Alike,
}

impl ReceiptOwnership {
    pub(crate) fn new(identity: &ExportIdentity, label: &str) -> Self {
        ReceiptOwnership {
            label: label.to_owned(),
            labels: vec![identity.label.clone(), identity.label_before.clone()],
            identity: identity.digest(),
            form: identity.form_digest(),
        }
    }

    /// The beginning that the names of all exports of the source have in common.
    pub(crate) fn prefix(&self) -> &str {
        let digits = self.label.rfind('-').map_or(self.label.len(), |at| at + 1);
        &self.label[..digits]
    }

    /// The name of the export in keys.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Returns true if a receipt is one of those that the export may claim.
    pub(crate) fn covers(&self, head: &ReceiptHeader) -> bool {
        self.whose(head).is_some()
    }

    fn whose(&self, head: &ReceiptHeader) -> Option<Whose> {
        let named = self.label == head.export || self.labels.contains(&head.export);
        if named || head.identity.as_ref() == Some(&self.identity) {
            return Some(Whose::Own);
        }
        (head.form.as_ref() == Some(&self.form)).then_some(Whose::Alike)
    }
}

/// Fills the new queue of an export with what the receipts in `stores` prove, and returns how many
/// conversations are done with. What some sinks prove and others do not is noted as lacking in these.
///
/// # Errors
/// [`RecoverError`]; the queue must not be used then.
pub(crate) async fn recover(
    ledger: &dyn Ledger,
    claim: &ReceiptOwnership,
    stores: &[(&str, &dyn Store)],
    within: Option<&Days>,
    now: u64,
) -> Result<u64, RecoverError> {
    let mut days = BTreeMap::<String, Vec<usize>>::new();
    for (number, (_, store)) in stores.iter().enumerate() {
        let folders = by_day(*store, "receipts/").await?.into_keys();
        // Those of other shards are theirs to join and to repair.
        for folder in folders.filter(|it| within.is_none_or(|days| days.has_folder(it))) {
            days.entry(folder).or_default().push(number);
        }
    }
    let mut done = 0;
    for (folder, numbers) in days {
        let mut day = Day::new(stores);
        for number in numbers {
            let (_, store) = stores[number];
            let receipts = Receipts::read(store, &folder, claim).await?;
            day.add(number, receipts);
        }
        let (segments, replaced) = (
            std::mem::take(&mut day.segments),
            std::mem::take(&mut day.replaced),
        );
        done += ledger
            .recover(day.proven(), segments, replaced, now)
            .await?;
    }
    Ok(done)
}

/// The proof in the sinks for a day.
struct Day<'a> {
    stores: &'a [(&'a str, &'a dyn Store)],
    /// The proof for each conversation in each sink.
    lines: BTreeMap<String, Vec<Option<ProvenLine>>>,
    segments: BTreeSet<(i64, String)>,
    replaced: Vec<(i64, String, i64)>,
}

impl<'a> Day<'a> {
    fn new(stores: &'a [(&'a str, &'a dyn Store)]) -> Self {
        Day {
            stores,
            lines: BTreeMap::new(),
            segments: BTreeSet::new(),
            replaced: Vec::new(),
        }
    }

    fn add(&mut self, number: usize, receipts: Receipts) {
        let (sink, _) = self.stores[number];
        self.segments.extend(receipts.segments);
        let void = receipts.void.into_iter();
        self.replaced
            .extend(void.map(|(segment, by)| (segment, sink.to_owned(), by)));
        for line in receipts.lines {
            let of = self
                .lines
                .entry(line.entry.conversation_id.clone())
                .or_default();
            of.resize_with(self.stores.len(), || None);
            let before = of[number].as_ref().map(|it| it.entry.attempt);
            if before.is_none_or(|before| before < line.entry.attempt) {
                of[number] = Some(line);
            }
        }
    }

    fn proven(self) -> Vec<ReceiptSummary> {
        let names: Vec<&str> = self.stores.iter().map(|(name, _)| *name).collect();
        let lines = self.lines.into_iter();
        lines.map(|(id, of)| agreed(id, of, &names)).collect()
    }
}

/// A receipt's line about a conversation, with data from its header.
pub(crate) struct ProvenLine {
    pub(crate) day: String,
    pub(crate) entry: ProvenEntry,
    /// The digest of the identity of the sink, if it is given.
    pub(crate) sink_identity: Option<String>,
    whose: Whose,
}

/// The content of the receipts of a day.
#[derive(Default)]
pub(crate) struct Receipts {
    /// The numbers of the export's segments, with the day.
    segments: BTreeSet<(i64, String)>,
    /// The lines about each conversation; of several attempts at one each.
    pub(crate) lines: Vec<ProvenLine>,
    /// Segments that are there although another one has taken their place, and that one.
    void: Vec<(i64, i64)>,
}

impl Receipts {
    /// The numbers of the export's segments that are there, with the day.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &(i64, String)> {
        self.segments.iter()
    }

    /// Reads the receipts that an export may claim in the folder of a day. A line that cannot be read
    /// proves nothing.
    pub(crate) async fn read(
        store: &dyn Store,
        folder: &str,
        claim: &ReceiptOwnership,
    ) -> Result<Self, SinkError> {
        for _ in 0..LISTS {
            let listed = by_day(store, folder).await?;
            let keys = listed.into_values().flatten();
            let name = format!("{folder}{}", claim.prefix());
            let keys = keys.filter(|key| key.starts_with(&name));
            // One that is gone again has been replaced by one that is there now.
            if let Some(receipts) = Self::read_all(store, keys, claim).await? {
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
            different: None,
        })
    }

    /// Reads the receipts with these keys; none if one of them is not there.
    async fn read_all(
        store: &dyn Store,
        keys: impl Iterator<Item = String>,
        claim: &ReceiptOwnership,
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
            let Some(whose) = claim.whose(&head) else {
                continue;
            };
            // Only segments under the name that the export has are among its numbers.
            let own = head.export == claim.label;
            if own {
                receipts.segments.insert((head.segment, head.day.clone()));
            }
            let identity = (head.export.clone(), head.segment);
            if let Some(by) = replaced.get(&identity) {
                if own {
                    receipts.void.push((head.segment, *by));
                }
                continue;
            }
            for segment in head.replaces.iter().copied() {
                replaced.insert((head.export.clone(), segment), head.segment);
                if own {
                    receipts.segments.insert((segment, head.day.clone()));
                }
            }
            receipts
                .lines
                .extend(reader.flatten().map(|(_, entry)| ProvenLine {
                    day: head.day.clone(),
                    entry: entry.into(),
                    sink_identity: head.sink_identity.clone(),
                    whose,
                }));
        }
        Ok(Some(receipts))
    }
}

/// The joint proof in the sinks for a conversation: without an outcome if it is a loss, which is tried
/// again.
fn agreed(conversation: String, of: Vec<Option<ProvenLine>>, names: &[&str]) -> ReceiptSummary {
    let reported = of
        .iter()
        .flatten()
        .find_map(|line| line.entry.sinks.clone());
    let takes = |name: &str| {
        reported
            .as_ref()
            .is_none_or(|reported| reported.iter().any(|it| it == name))
    };
    let sound = |line: &&ProvenLine| line.entry.outcome.losses().is_empty();
    // A conversation that one sink has without a loss is complete, whatever other sinks say.
    let best = of
        .iter()
        .flatten()
        .max_by_key(|line| (sound(line), line.entry.attempt, line.entry.objects));
    let latest = of.iter().flatten().map(|line| line.entry.attempt).max();
    let Some(best) = best else {
        return ReceiptSummary::default();
    };
    let lacks = names
        .iter()
        .zip(&of)
        .filter(|(name, line)| takes(name) && !line.as_ref().is_some_and(|line| sound(&line)));
    let had = |line: &Option<ProvenLine>| line.is_some();
    ReceiptSummary {
        lacking: lacks
            .map(|(name, line)| ((*name).to_owned(), had(line)))
            .collect(),
        day: best.day.clone(),
        attempt: latest.unwrap_or_default(),
        extent: best.entry.extent,
        bytes: best.entry.bytes,
        objects: best.entry.objects,
        outcome: sound(&best).then(|| best.entry.outcome.clone()),
        alike: best.whose == Whose::Alike,
        conversation,
    }
}
