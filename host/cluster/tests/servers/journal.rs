//! Whoever leads an export, its ledger has each change once, whatever dies meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use recording_host_cluster::{Fleet, FleetJournal};
use recording_host_model::{Split, SplitState};
use recording_host_state::{Journal, JournaledLedger, Queue, QueueError, WorkQueue};
use tokio::time::sleep;

use super::nats::Servers;

pub(crate) const NOW: u64 = 1_767_600_000_000;

pub(crate) fn split(number: usize) -> Split {
    Split {
        id: format!("split-{number:06}"),
        kind: "job".to_owned(),
        state: SplitState {
            version: 1,
            data: Vec::new(),
        },
    }
}

pub(crate) async fn journal(fleet: &Fleet) -> Arc<dyn Journal> {
    Arc::new(FleetJournal::new(fleet, "calls").await.unwrap())
}

async fn lead(fleet: &Fleet) -> JournaledLedger {
    let queue = Queue::in_memory().unwrap();
    JournaledLedger::lead(queue, journal(fleet).await)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn entries_are_numbered_and_large_ones_are_whole() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let (first, second) = (journal(&fleet).await, journal(&fleet).await);
    assert!(first.entries(0).await.unwrap().is_empty());
    // What does not compress, and is larger than a message may be.
    let large: Vec<u8> = std::iter::repeat_with(rand::random).take(3 << 20).collect();
    let entries = [b"one".to_vec(), large, Vec::new(), b"four".to_vec()];
    for (number, entry) in (1..).zip(&entries) {
        first.append(number, entry).await.unwrap();
    }
    for taken in [1, 4, 6] {
        let refused = second.append(taken, b"other").await.unwrap_err();
        assert!(matches!(refused, QueueError::NotLeading), "{refused}");
    }
    assert_eq!(second.last().await.unwrap(), 4);
    assert!(second.entries(0).await.unwrap() == entries);
    assert!(second.entries(2).await.unwrap() == entries[2..]);
    second.append(5, b"five").await.unwrap();
    let refused = first.append(5, b"other").await.unwrap_err();
    assert!(matches!(refused, QueueError::NotLeading), "{refused}");
    assert_eq!(first.entries(4).await.unwrap(), [b"five"]);
    assert!(first.entries(5).await.unwrap().is_empty());
    // Another export has another one.
    let other = FleetJournal::new(&fleet, "chats").await.unwrap();
    assert_eq!(other.last().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn entries_are_found_wherever_they_lie_and_none_that_is_missing_is_passed_over() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let calls = journal(&fleet).await;
    let chats = FleetJournal::new(&fleet, "chats").await.unwrap();
    // Of one or two messages each, with none to three of another export between them.
    let entry = |number: u64| -> Vec<u8> {
        let length = if number.is_multiple_of(7) {
            700 << 10
        } else {
            9
        };
        std::iter::repeat_with(rand::random).take(length).collect()
    };
    let (mut entries, mut others) = (Vec::new(), 0);
    for number in 1..=30 {
        for _ in 0..number % 4 {
            others += 1;
            chats.append(others, b"other").await.unwrap();
        }
        entries.push(entry(number));
        calls
            .append(number, &entries[number as usize - 1])
            .await
            .unwrap();
    }
    for after in 0..=30 {
        let read = journal(&fleet).await.entries(after).await.unwrap();
        assert!(read == entries[after as usize..], "{after}");
    }
    let ahead = journal(&fleet).await.entries(31).await.unwrap_err();
    assert!(matches!(ahead, QueueError::Diverged), "{ahead}");
    // Another program stores an entry, and leaves one out.
    let client = async_nats::connect(format!("nats://127.0.0.1:{}", servers.ports[0]));
    let stream = async_nats::jetstream::new(client.await.unwrap());
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Recording-Host-Entry", "32");
    let payload = zstd::bulk::compress(b"entry", 3).unwrap();
    let subject = "recording-host_main_journal.calls";
    let stored = stream.publish_with_headers(subject, headers, payload.into());
    stored.await.unwrap().await.unwrap();
    for after in [0, 29, 30] {
        let refused = journal(&fleet).await.entries(after).await.unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("entry 31 is missing"),
            "{after}: {refused}"
        );
    }
    let next = journal(&fleet).await.entries(31).await.unwrap();
    assert_eq!(next, [b"entry"]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn minutes_of_a_fleet_no_change_is_lost_or_made_twice_while_leaders_and_servers_change() {
    let mut servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let first = lead(&fleet).await;
    let (next, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let changes = async {
        let (mut ledger, mut deposed) = (first, Vec::new());
        let mut number = 0;
        while !over.load(Ordering::Relaxed) {
            if next.swap(false, Ordering::Relaxed) {
                deposed.push(std::mem::replace(&mut ledger, lead(&fleet).await));
            }
            let added = ledger.add(vec![split(number)], NOW).await.unwrap();
            assert_eq!(added.len(), 1);
            // One that has been deposed does nothing, and no longer says anything else than the one that leads.
            if let Some(before) = deposed.last().filter(|_| number % 50 == 0) {
                let refused = before.add(vec![split(9_000_000 + number)], NOW).await;
                assert!(
                    matches!(refused, Err(QueueError::NotLeading)),
                    "{refused:?}"
                );
                assert_eq!(before.open_splits().await.unwrap().len(), number + 1);
            }
            number += 1;
            sleep(Duration::from_millis(5)).await;
        }
        (ledger, number)
    };
    let faults = async {
        for round in 0..4 {
            sleep(Duration::from_millis(500)).await;
            let dying = servers.leader_of(&fleet, "_journal").await;
            servers.kill(dying);
            next.store(round % 2 == 0, Ordering::Relaxed);
            sleep(Duration::from_secs(6)).await;
            servers.restart(dying);
            sleep(Duration::from_secs(3)).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let ((ledger, count), ()) = tokio::join!(changes, faults);
    println!("{count} changes by three leaders while four servers died");
    assert!(count > 200, "{count}");
    let all: Vec<_> = (0..count).map(|number| (split(number).id, NOW)).collect();
    assert!(ledger.open_splits().await.unwrap() == all);
    let follower = JournaledLedger::follow(Queue::in_memory().unwrap(), journal(&fleet).await);
    let follower = follower.await.unwrap();
    assert!(follower.open_splits().await.unwrap() == all);
}
