//! A ledger with a journal keeps every guarantee, whoever follows it answers as it does, and nobody changes
//! anything who does not lead.

mod snapshots;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use futures_util::FutureExt;

use super::*;
use crate::{
    Ledger,
    conformance::{
        self, Fixture,
        ledger::{
            self, LedgerFixture,
            export::{SINKS, conversation, first_split, texts},
        },
    },
    ledger::{Discovery, Fetching, Repair, Report},
};
use recording_host_model::{Next, SplitState, TimeRange};

const NOW: u64 = 1_767_600_000_000;

/// The output of what waits for nothing but locks that nobody holds.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    tokio::task::unconstrained(future).now_or_never().unwrap()
}

/// A ledger that leads; all that is in memory is there at once.
fn leading(journal: &MemoryJournal) -> JournaledLedger {
    leading_with(Queue::in_memory().unwrap(), Arc::new(journal.clone()))
}

fn leading_with(queue: Queue, journal: Arc<dyn Journal>) -> JournaledLedger {
    at_once(JournaledLedger::lead(queue, journal)).unwrap()
}

/// One that leads and is changed, and others that follow and are asked; at a restart another machine leads.
struct Fleet {
    journal: MemoryJournal,
    leader: JournaledLedger,
    is_changed: AtomicBool,
}

impl Fleet {
    fn new() -> Self {
        let journal = MemoryJournal::new();
        Fleet {
            leader: leading(&journal),
            journal,
            is_changed: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Fixture for Fleet {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.leader.for_another_worker())
    }

    async fn reopen(&mut self) -> bool {
        self.leader = leading(&self.journal);
        self.is_changed = AtomicBool::new(false);
        true
    }
}

impl LedgerFixture for Fleet {
    fn ledger(&self) -> Arc<dyn Ledger> {
        if !self.is_changed.swap(true, Ordering::Relaxed) {
            return Arc::new(self.leader.clone());
        }
        let journal = Arc::new(self.journal.clone());
        let followed = JournaledLedger::follow(Queue::in_memory().unwrap(), journal);
        Arc::new(at_once(followed).unwrap())
    }
}

#[tokio::test]
async fn a_journaled_ledger_and_those_that_follow_it_keep_every_guarantee() {
    ledger::all(Fleet::new).await.unwrap();
    conformance::all(Fleet::new).await.unwrap();
}

/// Begins a search and commits a conversation that it has found.
async fn find(ledger: &JournaledLedger, name: &str, id: &str) -> Result<(), QueueError> {
    let range = TimeRange {
        from: NOW,
        until: NOW + 1,
    };
    let split = first_split(name, "pages");
    let at = split.id.clone();
    ledger.search(vec![split], range, NOW).await?;
    ledger.claim(at.clone(), Lease::without_end(NOW)).await?;
    let step = Step {
        conversations: vec![conversation(id)],
        ..done()
    };
    ledger.commit(at, step, NOW, 0).await.map(drop)
}

fn done() -> Step {
    Step::from(Next::Done(SplitState {
        version: 1,
        data: vec![0xff],
    }))
}

async fn known(ledger: &JournaledLedger) -> Vec<String> {
    let known = ledger.known(texts(&["a", "b", "c"])).await.unwrap();
    known.into_keys().collect()
}

#[tokio::test]
async fn a_ledger_that_no_longer_leads_changes_nothing_and_reads_what_the_next_one_changes() {
    let journal = MemoryJournal::new();
    let first = leading(&journal);
    find(&first, "find-1", "a").await.unwrap();
    let second = leading(&journal);
    assert_eq!(known(&second).await, ["a"]);
    let refused = find(&first, "find-2", "b").await.unwrap_err();
    assert!(matches!(refused, QueueError::NotLeading), "{refused}");
    let refused = first.lapse_all().await.unwrap_err();
    assert!(matches!(refused, QueueError::NotLeading), "{refused}");
    assert_eq!(known(&first).await, ["a"]);
    find(&second, "find-2", "c").await.unwrap();
    assert_eq!(known(&first).await, ["a", "c"]);
    assert_eq!(first.searched().await.unwrap().begun, 2);
    // It refuses what a worker of before would commit, too.
    let refused = find(&first, "find-3", "b").await.unwrap_err();
    assert!(matches!(refused, QueueError::NotLeading), "{refused}");
}

impl JournaledLedger {
    async fn lapse_all(&self) -> Result<(), QueueError> {
        crate::ledger::Sinks::lapse(self, texts(&SINKS)).await
    }
}

/// A journal whose responses are lost, or that is away, after a while.
#[derive(Debug)]
struct Failing {
    journal: MemoryJournal,
    stores: bool,
    fails: AtomicBool,
}

#[async_trait]
impl Journal for Failing {
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError> {
        if !self.fails.load(Ordering::Relaxed) {
            return self.journal.append(number, entry).await;
        }
        if self.stores {
            self.journal.append(number, entry).await?;
        }
        Err(QueueError::Interrupted)
    }

    async fn last(&self) -> Result<u64, QueueError> {
        self.journal.last().await
    }

    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError> {
        self.journal.entries(after).await
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot, file: &Path) -> Result<(), QueueError> {
        self.journal.keep_snapshot(snapshot, file).await
    }

    async fn newest_snapshot(&self) -> Result<Option<Snapshot>, QueueError> {
        self.journal.newest_snapshot().await
    }

    async fn restore_snapshot(&self, to: &Path) -> Result<Option<Snapshot>, QueueError> {
        self.journal.restore_snapshot(to).await
    }
}

#[tokio::test]
async fn what_is_stored_without_a_response_is_made_once_and_what_is_not_is_not_made() {
    for stores in [true, false] {
        let journal = Arc::new(Failing {
            journal: MemoryJournal::new(),
            stores,
            fails: AtomicBool::new(false),
        });
        let ledger = leading_with(Queue::in_memory().unwrap(), Arc::clone(&journal) as _);
        find(&ledger, "find-1", "a").await.unwrap();
        journal.fails.store(true, Ordering::Relaxed);
        let unknown = ledger.add(vec![first_split("more", "pages")], NOW).await;
        assert!(unknown.is_err());
        let open = ledger.open_splits().await.unwrap();
        assert_eq!(open.len(), usize::from(stores), "{open:?}");
        journal.fails.store(false, Ordering::Relaxed);
        // A repeat adds it where it is missing.
        let added = ledger.add(vec![first_split("more", "pages")], NOW).await;
        assert_eq!(added.unwrap().len(), usize::from(!stores));
        assert_eq!(ledger.open_splits().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_queue_in_a_file_makes_each_entry_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = MemoryJournal::new();
    let open = || Queue::open(folder.path(), "export-0").unwrap().0;
    let ledger = JournaledLedger::lead(open(), Arc::new(journal.clone()));
    let ledger = ledger.await.unwrap();
    ledger.set_ready().await.unwrap();
    find(&ledger, "find-1", "a").await.unwrap();
    ledger.set_paused_until(NOW).await.unwrap();
    drop(ledger);
    let elsewhere = leading(&journal);
    find(&elsewhere, "find-2", "b").await.unwrap();
    let retried = elsewhere.retry_lost(NOW).await.unwrap();
    assert_eq!(retried, 0);
    let ledger = JournaledLedger::lead(open(), Arc::new(journal));
    let ledger = ledger.await.unwrap();
    assert_eq!(known(&ledger).await, ["a", "b"]);
    let progress = ledger.progress().await.unwrap();
    assert_eq!(progress.conversations, 2);
    find(&ledger, "find-3", "c").await.unwrap();
    assert_eq!(ledger.progress().await.unwrap().conversations, 3);
}

#[tokio::test]
async fn a_queue_with_changes_that_no_journal_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Queue::open(folder.path(), "export-0").unwrap().0;
    let queue = open();
    queue
        .set_meta("any".to_owned(), "text".to_owned())
        .await
        .unwrap();
    drop(queue);
    let refused = JournaledLedger::lead(open(), Arc::new(MemoryJournal::new()));
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("move the queue away"), "{refused}");
    // Nor is one that has more than the journal.
    let journal = MemoryJournal::new();
    let queue = Queue::in_memory().unwrap();
    let ledger = leading_with(queue.clone(), Arc::new(journal));
    find(&ledger, "find-1", "a").await.unwrap();
    let refused = JournaledLedger::lead(queue, Arc::new(MemoryJournal::new()));
    let refused = refused.await.unwrap_err().to_string();
    assert!(refused.contains("move the queue away"), "{refused}");
}

#[tokio::test]
async fn an_entry_of_a_later_version_is_refused_and_named() {
    let journal = MemoryJournal::new();
    let entry = br#"{"v":99,"change":{"part":"Unknown"}}"#;
    journal.append(1, entry).await.unwrap();
    let led = JournaledLedger::lead(Queue::in_memory().unwrap(), Arc::new(journal.clone()));
    let refused = led.await.unwrap_err().to_string();
    assert!(
        refused.contains("an entry of the journal has the format 99"),
        "{refused}"
    );
    // One that is of this version, and unknown all the same, is not passed over either.
    let journal = MemoryJournal::new();
    let entry = br#"{"v":1,"journal":"a","change":{"part":"Report","call":{"set_mood":{}}}}"#;
    journal.append(1, entry).await.unwrap();
    let led = JournaledLedger::follow(Queue::in_memory().unwrap(), Arc::new(journal));
    let refused = led.await.unwrap_err().to_string();
    assert!(refused.contains("set_mood"), "{refused}");
}
