//! Which journal a queue is of: one that it begins, as the queue of an export that ran alone, and no other one.

use super::*;

/// A queue of an export that ran on one machine.
async fn alone(folder: &tempfile::TempDir, id: &str) {
    let (queue, _) = Queue::open(folder.path(), NAME).unwrap();
    let ledger: &dyn Ledger = &queue;
    ledger.set_ready().await.unwrap();
    let range = TimeRange {
        from: NOW,
        until: NOW + 1,
    };
    let split = first_split("alone", "pages");
    let at = split.id.clone();
    ledger.search(vec![split], range, NOW).await.unwrap();
    let claimed = queue.claim(at.clone(), Lease::without_end(NOW)).await;
    assert!(claimed.unwrap().is_some());
    let step = Step {
        conversations: vec![conversation(id)],
        ..done()
    };
    queue.commit(at, step, NOW, 0).await.unwrap();
}

#[tokio::test]
async fn an_export_that_ran_on_one_machine_becomes_the_fleets_wherever_that_is_interrupted() {
    for (stop, makes) in [(0, false), (0, true), (1, false), (1, true), (9, false)] {
        let (first, second, third) = (folder(), folder(), folder());
        alone(&first, "a").await;
        let journal = MemoryJournal::new();
        let stopping = Spoiled {
            left: Held::new(stop),
            makes,
            ..Spoiled::new(&journal, |_, _| {})
        };
        let led = JournaledLedger::lead_in(first.path(), NAME, Arc::new(stopping)).await;
        assert_eq!(led.is_err(), stop < 2, "{led:?}");
        drop(led);
        let leader = lead_in(first.path(), &journal).await.unwrap();
        assert!(leader.is_ready().await.unwrap());
        find(&leader, "find-1", "b").await.unwrap();
        let newest = journal.newest_snapshot().await.unwrap().unwrap();
        assert_eq!(newest.number, 0);
        let other = follow_in(second.path(), &journal).await.unwrap();
        assert_eq!(known(&other).await, ["a", "b"]);
        assert!(other.is_ready().await.unwrap());
        assert!(leader.snapshot_after(1).await.unwrap());
        find(&leader, "find-2", "c").await.unwrap();
        assert!(leader.snapshot_after(1).await.unwrap());
        let next = lead_in(third.path(), &journal).await.unwrap();
        assert_eq!(known(&next).await, ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn another_machine_continues_an_export_whose_snapshot_alone_was_stored() {
    let (first, second, third) = (folder(), folder(), folder());
    alone(&first, "a").await;
    let journal = MemoryJournal::new();
    let stopping = Spoiled {
        left: Held::new(1),
        ..Spoiled::new(&journal, |_, _| {})
    };
    let led = JournaledLedger::lead_in(first.path(), NAME, Arc::new(stopping)).await;
    assert!(led.is_err() && journal.last().await.unwrap() == 0);
    let leader = lead_in(second.path(), &journal).await.unwrap();
    assert_eq!(known(&leader).await, ["a"]);
    let follower = follow_in(first.path(), &journal).await.unwrap();
    assert_eq!(known(&follower).await, ["a"]);
    // One that has nothing, and looked before the snapshot was there, does not take the entries for all.
    let early = JournaledLedger::follow(Queue::in_memory().unwrap(), Arc::new(journal.clone()));
    assert!(matches!(early.await.unwrap_err(), QueueError::Cut));
    // One that has an export of its own is refused, and keeps it.
    alone(&third, "c").await;
    for _ in 0..2 {
        let refused = lead_in(third.path(), &journal).await.unwrap_err();
        assert!(matches!(refused, QueueError::Diverged), "{refused}");
    }
    let (kept, _) = opened_soon(&third).await;
    assert_eq!(kept.known(texts(&["c"])).await.unwrap().len(), 1);
}

#[tokio::test]
async fn of_two_exports_that_begin_a_journal_at_once_one_does() {
    let (first, second) = (folder(), folder());
    alone(&first, "a").await;
    let journal = MemoryJournal::new();
    let stopping = Spoiled {
        left: Held::new(1),
        ..Spoiled::new(&journal, |_, _| {})
    };
    let led = JournaledLedger::lead_in(first.path(), NAME, Arc::new(stopping)).await;
    assert!(led.is_err());
    // Another machine had seen no snapshot, and stores the first entry.
    let other = leading(&journal);
    find(&other, "find-1", "b").await.unwrap();
    let refused = lead_in(first.path(), &journal).await.unwrap_err();
    assert!(matches!(refused, QueueError::Diverged), "{refused}");
    // What the first one has stored is in nobody's way.
    let leader = lead_in(second.path(), &journal).await.unwrap();
    assert_eq!(known(&leader).await, ["b"]);
    assert!(leader.snapshot_after(1).await.unwrap());
    let third = folder();
    let follower = follow_in(third.path(), &journal).await.unwrap();
    assert_eq!(known(&follower).await, ["b"]);
}

#[tokio::test]
async fn one_that_was_interrupted_does_not_begin_a_journal_that_another_one_has_begun() {
    let (first, second) = (folder(), folder());
    let journal = MemoryJournal::new();
    // Neither has stored an entry; the second one has stored its snapshot.
    for (folder, id, stop) in [(&first, "a", 0), (&second, "b", 1)] {
        alone(folder, id).await;
        let stopping = Spoiled {
            left: Held::new(stop),
            ..Spoiled::new(&journal, |_, _| {})
        };
        let led = JournaledLedger::lead_in(folder.path(), NAME, Arc::new(stopping)).await;
        assert!(led.is_err());
    }
    for follows in [false, true] {
        let opened = match follows {
            true => follow_in(first.path(), &journal).await,
            false => lead_in(first.path(), &journal).await,
        };
        let refused = opened.unwrap_err();
        assert!(matches!(refused, QueueError::Diverged), "{refused}");
    }
    let leader = lead_in(second.path(), &journal).await.unwrap();
    assert_eq!(known(&leader).await, ["b"]);
}

#[tokio::test]
async fn a_queue_that_is_not_of_the_journal_is_refused_and_left_as_it_is() {
    let origin = folder();
    let (journal, leader) = cut(&origin).await;
    let last = leader.catch_up().await.unwrap();
    drop(leader);
    // Shorter ones, one that is as long, longer ones, and none.
    for length in [0, 1, last - 1, last, last + 1, last + 100] {
        let other = MemoryJournal::new();
        for number in 1..=length {
            let entry = entry::bytes("of another one", false, &Written::Lead).unwrap();
            other.append(number, &entry).await.unwrap();
        }
        for follows in [false, true] {
            let opened = match follows {
                true => follow_in(origin.path(), &other).await,
                false => lead_in(origin.path(), &other).await,
            };
            let refused = opened.unwrap_err();
            assert!(
                matches!(refused, QueueError::Diverged),
                "{length} {refused}"
            );
        }
        assert_eq!(other.last().await.unwrap(), length);
    }
    // One whose snapshots are of another journal: the queue lacks what that has cut.
    let foreign = folder();
    let (other, theirs) = cut(&foreign).await;
    for number in 0..last {
        find(&theirs, &format!("more-{number}"), "d").await.unwrap();
        theirs.snapshot_after(1).await.unwrap();
    }
    let refused = follow_in(origin.path(), &other).await.unwrap_err();
    assert!(matches!(refused, QueueError::Diverged), "{refused}");
    // The snapshots of a journal that was lost.
    let lost = Lost(journal.clone());
    let new = folder();
    let refused = JournaledLedger::lead_in(new.path(), NAME, Arc::new(lost)).await;
    assert!(matches!(refused.unwrap_err(), QueueError::Diverged));
    let (queue, _) = opened_soon(&new).await;
    assert!(queue.is_empty().await.unwrap(), "restored for nothing");
    // It is what it was.
    let leader = lead_in(origin.path(), &journal).await.unwrap();
    assert_eq!(known(&leader).await, ["a", "b", "c"]);
}

/// A journal that has lost its entries, and not its snapshots.
#[derive(Debug)]
struct Lost(MemoryJournal);

#[async_trait]
impl Journal for Lost {
    async fn append(&self, _: u64, _: &[u8]) -> Result<(), QueueError> {
        Err(QueueError::NotLeading)
    }

    async fn last(&self) -> Result<u64, QueueError> {
        Ok(0)
    }

    async fn entries(&self, _: u64) -> Result<Vec<Vec<u8>>, QueueError> {
        Ok(Vec::new())
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot, file: &Path) -> Result<(), QueueError> {
        self.0.keep_snapshot(snapshot, file).await
    }

    async fn newest_snapshot(&self) -> Result<Option<Snapshot>, QueueError> {
        self.0.newest_snapshot().await
    }

    async fn restore_snapshot(&self, to: &Path) -> Result<Option<Snapshot>, QueueError> {
        self.0.restore_snapshot(to).await
    }
}
