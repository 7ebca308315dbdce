//! An entry of a journal: what it says, and how it is made in a queue.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Journal, place};
use crate::{
    FetchChange, Queue, QueueError, WorkQueue,
    fetch_order::parts::splits,
    ledger::{
        DiscoveryChange, FetchingChange, FilingChange, HandoverChange, RepairChange, ReportChange,
        SinksChange,
    },
};
use recording_host_model::Split;

/// The version of the entries' format. Members may be added under the same one; readers ignore those that they do
/// not know.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'a> {
    v: u32,
    journal: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    adopted: bool,
    change: &'a Written<'a>,
}

/// An entry as it is stored.
///
/// # Errors
/// [`QueueError`].
pub(super) fn bytes(
    journal: &str,
    adopted: bool,
    change: &Written<'_>,
) -> Result<Arc<[u8]>, QueueError> {
    let versioned = Versioned {
        v: VERSION,
        journal,
        adopted,
        change,
    };
    let bytes = serde_json::to_vec(&versioned);
    bytes
        .map(Into::into)
        .map_err(|error| QueueError::Backend(error.into()))
}

/// A change that becomes an entry.
#[derive(Serialize)]
#[serde(tag = "part", content = "call")]
pub(crate) enum Written<'a> {
    Discovery(&'a DiscoveryChange),
    Fetching(&'a FetchingChange),
    Handover(&'a HandoverChange),
    Filing(&'a FilingChange),
    Sinks(&'a SinksChange),
    Repair(&'a RepairChange),
    Report(&'a ReportChange),
    Work(&'a WorkChange),
    Lead,
}

/// A change that an entry contains.
#[derive(Deserialize)]
#[serde(tag = "part", content = "call")]
enum Change {
    Discovery(DiscoveryChange),
    Fetching(FetchingChange),
    Handover(Box<HandoverChange>),
    Filing(FilingChange),
    Sinks(SinksChange),
    Repair(RepairChange),
    Report(ReportChange),
    Work(WorkChange),
    /// Another machine leads from here on.
    Lead,
}

/// A change to the work queue, as an entry of the journal has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkChange {
    Add {
        #[serde(with = "splits")]
        splits: Vec<Split>,
        now: u64,
    },
    Commit(FetchChange),
    Release {
        split: String,
        due: u64,
    },
}

/// An entry that was read.
#[derive(Deserialize)]
pub(super) struct ReadEntry {
    /// The id of the journal.
    pub(super) journal: String,
    /// True of the first one of a journal that begins with the queue of an earlier run, which a snapshot alone has.
    #[serde(default)]
    pub(super) adopted: bool,
    change: Change,
}

impl ReadEntry {
    pub(super) fn new(bytes: &[u8]) -> Result<Self, QueueError> {
        crate::fetch_order::read("an entry of the journal", bytes, VERSION)
    }

    /// Makes its change.
    pub(super) async fn make(self, queue: &Queue) -> Result<(), QueueError> {
        match self.change {
            Change::Discovery(change) => change.make(queue).await,
            Change::Fetching(change) => change.make(queue).await,
            Change::Handover(change) => change.make(queue).await,
            Change::Filing(change) => change.make(queue).await,
            Change::Sinks(change) => change.make(queue).await,
            Change::Repair(change) => change.make(queue).await,
            Change::Report(change) => change.make(queue).await,
            Change::Lead => queue.transaction(|_| Ok(())).await,
            Change::Work(WorkChange::Add { splits, now }) => queue.add(splits, now).await.map(drop),
            Change::Work(WorkChange::Commit(step)) => queue.follow_step(step).await,
            Change::Work(WorkChange::Release { split, due }) => {
                queue.follow_release(split, due).await
            }
        }
    }
}

/// What makes a transaction of a queue an entry of a journal.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(super) number: u64,
    /// The id of the journal, if the queue has not noted it yet.
    pub(super) journal: Option<String>,
    /// None if the journal has it already.
    pub(super) unstored: Option<Unstored>,
}

#[derive(Clone, Debug)]
pub(super) struct Unstored {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) bytes: Arc<[u8]>,
}

impl Entry {
    /// Notes it in the queue, in the transaction that makes the change.
    pub(crate) fn note(&self, tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<()> {
        if let Some(journal) = &self.journal {
            place::note_journal(tx, journal)?;
        }
        place::note_number(tx, self.number)
    }

    /// Stores it, before that transaction is committed.
    pub(crate) async fn store(&self) -> Result<(), QueueError> {
        match &self.unstored {
            Some(Unstored { journal, bytes }) => journal.append(self.number, bytes).await,
            None => Ok(()),
        }
    }
}
