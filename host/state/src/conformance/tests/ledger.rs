//! SQLite keeps every guarantee of a ledger, in a file and in memory, so does the ledger in maps, and ledgers
//! that break one each are found out.

mod broken;
mod differential;

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    super::{
        Fixture,
        ledger::{LedgerFixture, all},
    },
    Sqlite,
};
use crate::{Ledger, MemoryLedger, Queue, WorkQueue, conformance};
use broken::{Fault, broken};

impl LedgerFixture for Sqlite {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.queue.clone().unwrap())
    }
}

/// SQLite in memory, on the thread that calls it.
struct InMemory(Queue);

#[async_trait]
impl Fixture for InMemory {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.0.for_another_worker())
    }
}

impl LedgerFixture for InMemory {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.0.clone())
    }
}

/// Maps, which a restart leaves as they are but for the claims.
struct Maps(MemoryLedger);

#[async_trait]
impl Fixture for Maps {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.0.worker())
    }

    async fn reopen(&mut self) -> bool {
        self.0 = self.0.restarted().0;
        true
    }
}

impl LedgerFixture for Maps {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_in_memory_keeps_every_guarantee() {
    all(|| Maps(MemoryLedger::new())).await.unwrap();
    let as_a_work_queue = conformance::all(|| Maps(MemoryLedger::new())).await;
    as_a_work_queue.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_in_a_file_keeps_every_guarantee() {
    // Whoever runs the suite may do so in a task of its own.
    tokio::spawn(all(Sqlite::new)).await.unwrap().unwrap();
}

#[tokio::test]
async fn sqlite_in_memory_keeps_every_guarantee() {
    all(|| InMemory(Queue::in_memory().unwrap())).await.unwrap();
}

/// Checks that the suite finds each fault to break a guarantee.
async fn found(faults: &[(Fault, &str)]) {
    for (fault, guarantee) in faults {
        let failure = all(|| broken(*fault)).await;
        let Err(failure) = failure else {
            panic!("{fault:?} is not found");
        };
        assert_eq!(
            failure.guarantee, *guarantee,
            "{fault:?}: {}",
            failure.reason
        );
    }
}

#[tokio::test]
async fn a_ledger_that_breaks_discovery_is_found_out() {
    found(&[
        (
            Fault::KnowsSplitsTwice,
            "a search is numbered, and its splits are known once",
        ),
        (
            Fault::SearchesAtOnce,
            "a range is searched when its search is over",
        ),
        (
            Fault::ForgetsJumps,
            "a range is searched when its search is over",
        ),
        (
            Fault::ReadsAnOlderRecord,
            "what a step reports of a conversation is known when it is committed",
        ),
        (
            Fault::ComparesNoCounts,
            "the source's counts are compared with what is known",
        ),
        (
            Fault::MixesBundles,
            "the conversations are known whose recordings are in a bundle",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_breaks_fetches_is_found_out() {
    let owed = "an artifact is owed to a sink until it has it, or it is lost";
    found(&[
        (Fault::BeginsWithoutSplits, "a fetch begins with its splits"),
        (Fault::BeginsWhatItChooses, "a fetch begins with its splits"),
        (
            Fault::ChoosesTooMany,
            "a batch has what is wanted and due, and no more than asked for",
        ),
        (
            Fault::NeverDivides,
            "a fetch that is abandoned is divided, or has failed",
        ),
        (
            Fault::LosesOneOfABatch,
            "the results of a batch are noted together",
        ),
        (Fault::OwesNothing, owed),
        (
            Fault::FindsNoCopies,
            "a file of a recording with the bytes of another is a copy",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_breaks_outcomes_is_found_out() {
    let last = "an outcome is final when nothing is left to do, and once";
    found(&[
        (Fault::CompletesTooEarly, last),
        (Fault::CompletesTwice, last),
        (
            Fault::PostponesNothing,
            "what may still come of a conversation is waited for",
        ),
        (
            Fault::ForgivesWhatIsOwed,
            "what the source owes an outcome for has failed in the end",
        ),
        (
            Fault::RetriesWhatIsStored,
            "a loss is tried again, and nothing else",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_breaks_filing_is_found_out() {
    let filed = "what every sink has is filed, and counted once";
    let receipts = "the first bytes of a receipt stay until they are released";
    found(&[
        (
            Fault::SealsTooEarly,
            "a segment takes what is completed, and each once",
        ),
        (Fault::ForgetsFilings, filed),
        (Fault::CountsTwice, filed),
        (Fault::FilesTooEarly, filed),
        (
            Fault::ChangesSegments,
            "a segment is the same whenever it is read",
        ),
        (Fault::OverwritesReceipts, receipts),
        (Fault::ReleasesEveryReceipt, receipts),
        (
            Fault::MixesSinks,
            "what is noted of the files of a sink is read for that sink",
        ),
        (
            Fault::SeesNoGrowth,
            "what has grown at the source is fetched again",
        ),
        (
            Fault::ForgetsWhatIsReplaced,
            "a segment in the place of smaller ones is the same for a sink that is added, and counted once",
        ),
        (
            Fault::ReplacesEverywhere,
            "what is filed in the place of a sink's wrong files replaces nothing in another sink",
        ),
        (
            Fault::KeepsReplaced,
            "a larger segment takes the place of small ones",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_forgets_what_sinks_lack_is_found_out() {
    found(&[
        (
            Fault::ForgetsWhatIsLacked,
            "what a sink lacks is known until it has it",
        ),
        (
            Fault::BringsWhatIsRefused,
            "what a sink lacks is filed in it, and in no other",
        ),
        (
            Fault::LacksNothingUnderWay,
            "a sink that is added lacks all that others have",
        ),
        (Fault::WaitsForEver, "nothing waits for a sink that is gone"),
        (
            Fault::ForgetsNoObject,
            "what sinks hold is known until a receipt names it",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_breaks_repair_or_report_is_found_out() {
    let again = "the wrong files of a segment give way once its conversations are filed anew";
    let named = "a loss is named once, unless it is tried again by order";
    found(&[
        (
            Fault::ForgetsNumbers,
            "what receipts prove is not fetched again",
        ),
        (Fault::FilesNothingAgain, again),
        (
            Fault::Miscounts,
            "progress, status and stock say what was done",
        ),
        (Fault::NamesLossesAgain, named),
        (Fault::MixesNotes, "what is noted is read"),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_whose_calls_are_neither_whole_nor_durable_is_found_out() {
    let whole = "a call that nobody waits for has all of its effect or none";
    let durable = "what has returned outlives the process";
    found(&[
        (
            Fault::RacesReceipts,
            "of calls at the same time each sees the effect of those before",
        ),
        (
            Fault::AddsUp,
            "a call that may be repeated changes nothing the second time",
        ),
        (Fault::TearsFetches, whole),
        (Fault::TearsBatches, whole),
        (Fault::ForgetsWhatIsLackedAtARestart, durable),
        (Fault::KeepsNotesInMemory, durable),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_brings_what_is_apart_to_others_is_found_out() {
    let gone = "what no sink is left for is filed, and fetched again if it has grown";
    let has = "a sink that has the receipt of what it lacked lacks it no longer";
    found(&[
        (
            Fault::ForgetsWhatIsApart,
            "a sink that is added lacks what is on its way to others alone",
        ),
        (
            Fault::RepeatsAttempts,
            "what was on its way to a sink that is gone is filed, or is another attempt",
        ),
        (
            Fault::TakesBackWhatIsUnderWay,
            "what is on its way to some sinks is not brought to all, whatever receipts prove",
        ),
        (Fault::LacksWhatItHas, has),
        (Fault::KeepsWhatIsApart, has),
        (Fault::LosesWhatHasGrown, gone),
        (Fault::HoldsWhatIsFiled, gone),
        (
            Fault::LetsGoOfWhatIsCompactable,
            "a repair that has to wait changes nothing",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_ledger_that_takes_other_machines_or_versions_wrongly_is_found_out() {
    let reported = "what a node reports is noted once, and owed to whom it has not brought it";
    found(&[
        (
            Fault::TakesOverAnything,
            "a range is searched when its search is over",
        ),
        (
            Fault::ComparesTooFew,
            "the source's counts are compared with what is known",
        ),
        (Fault::AppliesTwice, reported),
        (Fault::OwesToEverySink, reported),
        (
            Fault::BlamesTheAttemptBefore,
            "a loss is that of the last attempt, whatever was announced before",
        ),
    ])
    .await;
}
