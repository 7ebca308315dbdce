//! Ledgers that break one guarantee each.

mod early;
mod late;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;

use super::super::super::{Fixture, ledger::LedgerFixture};
use crate::{Completion, Ledger, Queue, WorkQueue, ledger::Delegate};
use recording_host_model::KeyContext;

/// How a ledger is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Splits of a search that are known are reported as new.
    KnowsSplitsTwice,
    /// A range counts as searched when its search begins.
    SearchesAtOnce,
    /// Once the clock was ahead, what was searched too early still counts.
    ForgetsJumps,
    /// A conversation is read as it was when it was first read.
    ReadsAnOlderRecord,
    /// The conversations of a bundle are those of any bundle.
    MixesBundles,
    /// What the source counts is not compared with what is known.
    ComparesNoCounts,
    /// The conversations of a fetch are under way without its splits.
    BeginsWithoutSplits,
    /// A batch that is chosen is begun.
    BeginsWhatItChooses,
    /// A batch has more conversations than asked for.
    ChoosesTooMany,
    /// A fetch that fails is never divided.
    NeverDivides,
    /// Of a batch of results the last is lost.
    LosesOneOfABatch,
    /// A sink that was away is owed nothing.
    OwesNothing,
    /// No file is a copy.
    FindsNoCopies,
    /// Outcomes are made final while artifacts are under way.
    CompletesTooEarly,
    /// What was completed is completed again.
    CompletesTwice,
    /// Nothing is waited for.
    PostponesNothing,
    /// What is fetched without a word on it stays so.
    ForgivesWhatIsOwed,
    /// What is not completed is sealed, too.
    SealsTooEarly,
    /// A segment has other conversations' facts when it is read again.
    ChangesSegments,
    /// The bytes of a receipt are those that were given last.
    OverwritesReceipts,
    /// The bytes of each sink's receipt are released with one.
    ReleasesEveryReceipt,
    /// A note about a sink's files is one about any sink's.
    MixesSinks,
    /// That the first sink has a segment is forgotten.
    ForgetsFilings,
    /// What the last sink has is counted twice.
    CountsTwice,
    /// What one sink has counts as filed everywhere.
    FilesTooEarly,
    /// That there is more of a conversation by now is not seen.
    SeesNoGrowth,
    /// Conversations without a loss are taken up again as losses.
    RetriesWhatIsStored,
    /// Segments that were removed are still to be removed.
    KeepsReplaced,
    /// What a segment replaces is what is still there in any sink.
    ForgetsWhatIsReplaced,
    /// What a segment replaces in one sink, it replaces in the other.
    ReplacesEverywhere,
    /// That a sink lacks conversations is not noted.
    ForgetsWhatIsLacked,
    /// What a sink refuses is brought to it all the same.
    BringsWhatIsRefused,
    /// A sink that is added lacks only what is filed.
    LacksNothingUnderWay,
    /// Sinks that are gone are waited for.
    WaitsForEver,
    /// Objects that a receipt names are said to be named by none.
    ForgetsNoObject,
    /// The numbers of the segments in receipts are given again.
    ForgetsNumbers,
    /// Of a segment with wrong files the sink is not said to lack anything.
    FilesNothingAgain,
    /// Conversations are counted otherwise for progress than for the status.
    Miscounts,
    /// Losses are named again and again.
    NamesLossesAgain,
    /// A text under a name is one under any name.
    MixesNotes,
    /// A version that is noted twice is counted twice.
    AddsUp,
    /// A fetch begins first with its conversations and then with its splits.
    TearsFetches,
    /// Results are noted one after the other.
    TearsBatches,
    /// Of receipts that are fixed at the same time the last one counts.
    RacesReceipts,
    /// What sinks lack is forgotten at a restart.
    ForgetsWhatIsLackedAtARestart,
    /// Texts are kept in memory alone.
    KeepsNotesInMemory,
    /// What an earlier version has searched is taken over where there was none.
    TakesOverAnything,
    /// Of many counted ranges some are not compared with all that is known in them.
    ComparesTooFew,
    /// Whatever a node reports is applied, be it for the second time.
    AppliesTwice,
    /// What a node has brought to a sink is owed to all others.
    OwesToEverySink,
    /// A loss has the reason that the attempt before had.
    BlamesTheAttemptBefore,
    /// A sink that is added does not lack what is on its way to others alone.
    ForgetsWhatIsApart,
    /// What was on its way to a sink that is gone is brought to all at the same attempt.
    RepeatsAttempts,
    /// What is on its way to some sinks is brought to all once one is said to have it.
    TakesBackWhatIsUnderWay,
    /// A sink lacks what it has the receipt of.
    LacksWhatItHas,
    /// What is for some sinks alone is joined with what is for all.
    KeepsWhatIsApart,
    /// What has grown by the time its last sink is gone is put where nobody fetches it.
    LosesWhatHasGrown,
    /// Where a segment counts as filed because its last sink is gone, its artifacts stay in the ledger.
    HoldsWhatIsFiled,
    /// A repair that is refused lets go of what could be compacted.
    LetsGoOfWhatIsCompactable,
}

/// A ledger with a fault, and its work queue.
pub(super) struct BrokenFixture {
    queue: Queue,
    fault: Fault,
    past: Arc<Mutex<Past>>,
}

/// The past that a fault is made of.
#[derive(Debug, Default)]
struct Past {
    records: HashMap<String, Option<KeyContext>>,
    completed: Completion,
    sealed: HashSet<String>,
    objects: BTreeSet<String>,
    compacted: Vec<String>,
    removed: HashSet<i64>,
    lacked: Vec<(String, Vec<String>)>,
    notes: HashMap<String, String>,
    /// True once a sink was added.
    added: bool,
    /// True once sinks were gone.
    lapsed: bool,
    /// Conversations on their way that a sink was said to have.
    taken_back: HashSet<String>,
    /// Sinks that were said to have segments.
    has_receipts: Vec<String>,
    /// True once a segment for some sinks alone was read.
    apart: bool,
}

pub(super) fn broken(fault: Fault) -> BrokenFixture {
    BrokenFixture {
        queue: Queue::in_memory().unwrap(),
        fault,
        past: Arc::default(),
    }
}

#[async_trait]
impl Fixture for BrokenFixture {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.queue.for_another_worker())
    }

    async fn reopen(&mut self) -> bool {
        let past = std::mem::take(&mut *self.past.lock().unwrap());
        if self.fault == Fault::ForgetsWhatIsLackedAtARestart {
            for (sink, ids) in past.lacked {
                let all = ids.into_iter().map(|id| (id, u32::MAX)).collect();
                self.queue.has(sink, all, false).await.unwrap();
            }
        }
        true
    }
}

impl LedgerFixture for BrokenFixture {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(Broken {
            queue: self.queue.clone(),
            fault: self.fault,
            past: Arc::clone(&self.past),
        })
    }
}

/// A ledger with a fault, which leaves all else to one without.
#[derive(Debug)]
struct Broken {
    queue: Queue,
    fault: Fault,
    past: Arc<Mutex<Past>>,
}

impl Broken {
    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap()
    }
}

impl Delegate for Broken {
    fn delegate(&self) -> &dyn Ledger {
        &self.queue
    }
}
