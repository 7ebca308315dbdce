//! Both queues keep every guarantee, and queues that break one each are found out.

mod broken;
mod ledger;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;

use super::{Failure, Fixture, all, claims, commits, splits};
use crate::{MemoryWorkQueue, Queue, WorkQueue};
use broken::{Fault, broken};

/// SQLite in a folder that goes with it.
struct Sqlite {
    folder: tempfile::TempDir,
    queue: Option<Queue>,
}

fn open(folder: &Path) -> Queue {
    Queue::open(folder, "export-0").unwrap().0
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Sqlite {
            queue: Some(open(folder.path())),
            folder,
        }
    }
}

#[async_trait]
impl Fixture for Sqlite {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.queue.as_ref().unwrap().for_another_worker())
    }

    async fn reopen(&mut self) -> bool {
        drop(self.queue.take());
        self.queue = Some(open(self.folder.path()));
        true
    }
}

/// Maps, which a restart leaves as they are but for the claims.
struct Memory(MemoryWorkQueue);

#[async_trait]
impl Fixture for Memory {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.0.worker())
    }

    async fn reopen(&mut self) -> bool {
        self.0 = self.0.restarted();
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_every_guarantee() {
    all(Sqlite::new).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_in_memory_keeps_every_guarantee() {
    all(|| Memory(MemoryWorkQueue::new())).await.unwrap();
}

/// Checks that a fault is found by the check that is meant for it, and by the suite.
async fn found(fault: Fault, by: Result<(), Failure>) {
    assert!(by.is_err(), "{fault:?} is not found by its check");
    assert!(
        all(|| broken(fault)).await.is_err(),
        "{fault:?} is not found"
    );
}

#[tokio::test]
async fn a_queue_that_adds_or_orders_splits_wrongly_is_found_out() {
    let fault = Fault::AddsWhatIsKnown;
    found(fault, splits::are_added_once(&broken(fault)).await).await;
    let fault = Fault::Reorders;
    found(fault, splits::are_in_order(&broken(fault)).await).await;
    let fault = Fault::HandsOutEarly;
    found(fault, splits::wait_until_they_are_due(&broken(fault)).await).await;
    let fault = Fault::LosesTheDueTime;
    found(fault, splits::wait_until_they_are_due(&broken(fault)).await).await;
}

#[tokio::test]
async fn a_queue_that_breaks_claims_is_found_out() {
    let fault = Fault::HandsOutTwice;
    found(fault, claims::are_exclusive(&broken(fault)).await).await;
    let fault = Fault::HandsOutTheNextTwice;
    found(
        fault,
        claims::of_many_workers_never_meet(&broken(fault)).await,
    )
    .await;
    let fault = Fault::ReleasesForAnybody;
    found(fault, claims::are_given_back(&broken(fault)).await).await;
    let fault = Fault::ForgetsRenewals;
    found(fault, claims::are_renewed(&broken(fault)).await).await;
    let fault = Fault::LeasesNeverEnd;
    found(fault, claims::end_with_their_lease(&broken(fault)).await).await;
}

#[tokio::test]
async fn a_queue_that_breaks_commits_is_found_out() {
    let fault = Fault::ForgetsCommits;
    found(fault, commits::are_whole(&broken(fault)).await).await;
    let fault = Fault::DropsNewSplits;
    found(fault, commits::are_whole(&broken(fault)).await).await;
    let fault = Fault::ReadsAnOlderState;
    found(fault, commits::are_whole(&broken(fault)).await).await;
    let fault = Fault::HoldsWhatWaits;
    found(fault, commits::give_back_what_waits(&broken(fault)).await).await;
    let fault = Fault::CommitsWhatIsDone;
    found(
        fault,
        commits::of_what_is_done_are_refused(&broken(fault)).await,
    )
    .await;
    let fault = Fault::CommitsForAnybody;
    found(
        fault,
        commits::without_a_claim_are_refused(&broken(fault)).await,
    )
    .await;
    let fault = Fault::KeepsHalfOfWhatIsRefused;
    found(
        fault,
        commits::without_a_claim_are_refused(&broken(fault)).await,
    )
    .await;
    let fault = Fault::LosesTheLastCommit;
    found(
        fault,
        commits::outlive_the_process(&mut broken(fault)).await,
    )
    .await;
}
