//! Puts right what a verification finds: objects are copied from another sink that has them with the
//! right digest; segments whose rows or receipts are wrong are filed anew from what is sound; rows that
//! stand twice are removed. What is left of it is noted in the ledger as lacking in the sink, so that the
//! run fetches it again, as a further attempt. Nothing is removed unless something else says the same.

mod doubled;
mod objects;
mod segments;
mod unproven;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::{
    recover::ReceiptOwnership,
    transfer::SinkBinding,
    verify::{
        Difference, ObjectKind, SegmentId, VerifyFinding, VerifyOptions, VerifyReport, try_verify,
    },
};
use recording_host_model::Events;
use recording_host_sink::{SinkError, Store};
use recording_host_state::{Ledger, QueueError};

/// The result of a repair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Differences that were found before.
    pub found: u64,
    /// Objects that were copied from another sink.
    pub restored: u64,
    /// Conversations that were filed anew from what is in the sinks.
    pub filed_again: u64,
    /// Conversations that were fetched again from the source.
    pub fetched_again: u64,
    /// Files that were removed because others say the same.
    pub removed: u64,
    /// How much was on its way to another sink when it was looked at, plus the sinks that could not be
    /// read: it is worth another look.
    #[serde(skip)]
    pub(crate) postponed: u64,
    /// The findings that remain after the repair, by sink.
    pub left: BTreeMap<String, Vec<VerifyFinding>>,
}

impl RepairReport {
    /// Returns true if another pass may put more right: something is left that is not just unknown, or was
    /// not looked at yet.
    pub(crate) fn is_worth_more(&self) -> bool {
        let mut left = self.left.values().flatten();
        self.postponed > 0 || left.any(|finding| finding.difference != Difference::Unexpected)
    }

    pub(crate) fn add(&mut self, other: &RepairReport) {
        self.found += other.found;
        self.restored += other.restored;
        self.filed_again += other.filed_again;
        self.fetched_again += other.fetched_again;
        self.removed += other.removed;
        self.postponed += other.postponed;
    }
}

/// Why a repair was not made; it can be made again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepairError {
    /// A sink failed.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// A sink that is repaired, and what there is to repair it with.
pub(crate) struct Repair<'a> {
    pub(crate) ledger: &'a dyn Ledger,
    pub(crate) claim: &'a ReceiptOwnership,
    pub(crate) bindings: &'a [Arc<SinkBinding>],
    /// The sink, by its index among the bindings.
    pub(crate) sink_index: usize,
    pub(crate) now: u64,
    pub(crate) events: &'a Events,
}

/// Compares a sink with its receipts, object by object; none if it cannot be read.
pub(crate) async fn verified(
    binding: &SinkBinding,
    events: &Events,
) -> Result<Option<VerifyReport>, SinkError> {
    let Some(store) = binding.sink.store() else {
        return Ok(None);
    };
    let options = VerifyOptions {
        layout: binding.layout.clone(),
        full: true,
        events: events.clone(),
        ..VerifyOptions::default()
    };
    try_verify(store, options).await.map(Some)
}

impl Repair<'_> {
    fn binding(&self) -> &Arc<SinkBinding> {
        &self.bindings[self.sink_index]
    }

    /// Puts right what can be put right now, and notes what must be fetched.
    pub(crate) async fn repair(&self, store: &dyn Store) -> Result<RepairReport, RepairError> {
        let Some(report) = verified(self.binding(), self.events).await? else {
            return Ok(RepairReport::default());
        };
        let mut done = RepairReport {
            found: report.findings.len() as u64,
            ..RepairReport::default()
        };
        let sorted = Sorted::new(report.findings);
        if sorted.gaps {
            self.ledger.search_again().await?;
        }
        done.removed += self.remove_doubled(store, &sorted.doubled).await?;
        let mut wrong = self.restore(store, sorted.objects, &mut done).await?;
        for segment in sorted.segments {
            self.file_again(store, &segment, &mut wrong, &mut done)
                .await?;
        }
        self.fetch(store, wrong, &mut done).await?;
        // The rows of a segment say what of it is postponed, and that need not be fetched.
        if done.postponed == 0 {
            self.fetch_unproven(store, &mut done).await?;
        }
        Ok(done)
    }

    /// Has conversations fetched again of which nothing in the sinks brings the objects back.
    async fn fetch(
        &self,
        store: &dyn Store,
        wrong: Wrong,
        done: &mut RepairReport,
    ) -> Result<(), RepairError> {
        let name = &self.binding().name;
        let lacking: Vec<String> = wrong.conversations.into_iter().collect();
        let noted = self.ledger.lacks(name.clone(), lacking).await?;
        done.fetched_again += noted;
        if noted == 0 {
            return Ok(());
        }
        for key in &wrong.keys {
            // Where removing is not allowed, what comes may be put under its key as another version.
            match store.delete(key).await {
                Err(error) if error.retryable => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Conversations and objects that cannot be put right from the sinks.
#[derive(Default)]
struct Wrong {
    conversations: BTreeSet<String>,
    /// The objects of these that are there with other bytes.
    keys: BTreeSet<String>,
    /// All objects that are not as they should be.
    objects: BTreeSet<String>,
}

/// The findings, by what is to be done about them.
#[derive(Default)]
struct Sorted {
    /// Objects that are missing or wrong.
    objects: Vec<VerifyFinding>,
    /// Segments whose receipts, rows or parts of the catalog are wrong.
    segments: BTreeSet<SegmentId>,
    /// Rows that stand twice.
    doubled: Vec<VerifyFinding>,
    /// True if days have no receipt at all.
    gaps: bool,
}

impl Sorted {
    fn new(findings: Vec<VerifyFinding>) -> Self {
        let mut sorted = Sorted::default();
        for finding in findings {
            let media = matches!(finding.kind, ObjectKind::Recording | ObjectKind::Aside);
            match finding.difference {
                Difference::Gap => sorted.gaps = true,
                Difference::Doubled => sorted.doubled.push(finding),
                Difference::Missing | Difference::Size | Difference::Content if media => {
                    sorted.objects.push(finding);
                }
                // Whose it is, nobody knows.
                Difference::Unexpected if media => {}
                _ => sorted.segments.extend(finding.segment),
            }
        }
        sorted
    }
}
