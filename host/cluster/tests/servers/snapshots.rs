//! A machine that lacks what the journal no longer has begins with a snapshot, whatever dies meanwhile.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use recording_host_cluster::{Fleet, StreamUse};
use recording_host_model::{Conversation, Next, Split, SplitState, Step, TimeRange};
use recording_host_state::{
    JournaledLedger, Lease, QueueError, Snapshot, WorkQueue,
    ledger::{Discovery, Report},
};
use tokio::time::sleep;

use super::{
    journal::{NOW, journal, split},
    nats::Servers,
};

async fn lead(fleet: &Fleet, folder: &Path) -> JournaledLedger {
    let led = JournaledLedger::lead_in(folder, "calls", journal(fleet).await);
    led.await.unwrap()
}

async fn follow(fleet: &Fleet, folder: &Path) -> JournaledLedger {
    let followed = JournaledLedger::follow_in(folder, "calls", journal(fleet).await);
    followed.await.unwrap()
}

/// A split whose state does not compress.
fn large(number: usize) -> Split {
    let data = std::iter::repeat_with(rand::random).take(48 << 10);
    Split {
        state: SplitState {
            version: 1,
            data: data.collect(),
        },
        ..split(number)
    }
}

/// The messages in a stream, and their bytes.
async fn stored(fleet: &Fleet, of: StreamUse) -> (u64, u64) {
    let streams = fleet.streams().await.unwrap();
    let stream = streams.into_iter().find(|it| it.of == of).unwrap();
    (stream.messages, stream.bytes)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn a_new_machine_is_restored_and_goes_on_while_servers_die() {
    let mut servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let folders: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let leader = lead(&fleet, folders[0].path()).await;
    let mut count = 0;
    for _ in 0..3 {
        for _ in 0..40 {
            leader.add(vec![large(count)], NOW).await.unwrap();
            count += 1;
        }
        assert!(leader.snapshot_after(40).await.unwrap());
    }
    let cut = journal(&fleet).await.entries(0).await.unwrap_err();
    assert!(matches!(cut, QueueError::Cut), "{cut}");
    let (messages, bytes) = stored(&fleet, StreamUse::Snapshots).await;
    assert!(bytes > 8 << 20, "{bytes}");
    println!("two snapshots: {messages} messages, {bytes} bytes");
    let over = AtomicBool::new(false);
    let changes = async {
        while !over.load(Ordering::Relaxed) {
            leader.add(vec![split(count)], NOW).await.unwrap();
            count += 1;
            if count % 100 == 0 {
                assert!(leader.snapshot_after(1).await.unwrap());
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let restored = async {
        for (folder, stream) in folders[1..]
            .iter()
            .zip(["_snapshots", "_journal", "_snapshots"])
        {
            let dying = servers.leader_of(&fleet, stream).await;
            servers.kill(dying);
            let began = Instant::now();
            let follower = follow(&fleet, folder.path()).await;
            println!("restored in {:?}", began.elapsed());
            assert!(follower.open_splits().await.unwrap().len() >= 120);
            sleep(Duration::from_secs(2)).await;
            servers.restart(dying);
            sleep(Duration::from_secs(5)).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(changes, restored);
    // Another machine leads on, and a third one has all of it.
    let next = lead(&fleet, folders[1].path()).await;
    let all: Vec<_> = (0..=count).map(|number| (split(number).id, NOW)).collect();
    next.add(vec![split(count)], NOW).await.unwrap();
    for folder in &folders[2..] {
        let follower = follow(&fleet, folder.path()).await;
        assert!(follower.open_splits().await.unwrap() == all);
    }
    let refused = leader.add(vec![split(0)], NOW).await.unwrap_err();
    assert!(matches!(refused, QueueError::NotLeading), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn the_newest_two_are_kept_and_what_was_abandoned_is_removed() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let (journal, other) = (journal(&fleet).await, journal(&fleet).await);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snapshot");
    let to = folder.path().join("restored");
    let of = |number| Snapshot {
        number,
        journal: "one".to_owned(),
    };
    let text = |number: u64| format!("snapshot {number} ").repeat(100_000);
    std::fs::write(&to, "").unwrap();
    assert_eq!(journal.restore_snapshot(&to).await.unwrap(), None);
    for number in 1..=40 {
        journal.append(number, b"entry").await.unwrap();
    }
    // Whoever stored these was stopped: a leader of before, and one that perhaps goes on.
    let client = async_nats::connect(format!("nats://127.0.0.1:{}", servers.ports[0]));
    let stream = async_nats::jetstream::new(client.await.unwrap());
    for part in ["7.before", "90.later"] {
        let subject = format!("recording-host_main_snapshots.part.calls.{part}");
        let stored = stream.publish(subject, "part".into()).await.unwrap();
        stored.await.unwrap();
    }
    for number in [10, 20, 15, 20, 30] {
        std::fs::write(&file, text(number)).unwrap();
        journal.keep_snapshot(&of(number), &file).await.unwrap();
    }
    // A list, two snapshots of one part, and a part that is perhaps not abandoned.
    assert_eq!(stored(&fleet, StreamUse::Snapshots).await.0, 4);
    assert_eq!(other.newest_snapshot().await.unwrap(), Some(of(30)));
    assert_eq!(other.restore_snapshot(&to).await.unwrap(), Some(of(30)));
    assert!(std::fs::read_to_string(&to).unwrap() == text(30));
    let foreign = Snapshot {
        number: 31,
        journal: "two".to_owned(),
    };
    let refused = other.keep_snapshot(&foreign, &file).await.unwrap_err();
    assert!(matches!(refused, QueueError::Diverged), "{refused}");
    // What the one before the newest needs is there.
    for (after, there) in [(0, false), (19, false), (20, true), (39, true), (40, true)] {
        let entries = other.entries(after).await;
        match entries {
            Ok(entries) if there => assert_eq!(entries.len() as u64, 40 - after),
            Err(QueueError::Cut) if !there => {}
            other => panic!("{after}: {other:?}"),
        }
    }
    assert_eq!(other.last().await.unwrap(), 40);
    other.append(41, b"entry").await.unwrap();
    // Parts that are missing are not passed over.
    let snapshots = stream.get_stream("recording-host_main_snapshots").await;
    let parts = "recording-host_main_snapshots.part.calls.30.*";
    snapshots.unwrap().purge().filter(parts).await.unwrap();
    let missing = other.restore_snapshot(&to).await.unwrap_err().to_string();
    assert!(missing.contains("parts of it are missing"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_snapshot_is_whole_while_others_store_newer_ones() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let folder = tempfile::tempdir().unwrap();
    // Two parts, each of another snapshot's.
    let bytes = |number: u64| -> Vec<u8> {
        let noise = std::iter::repeat_with(rand::random).take(700 << 10);
        number.to_be_bytes().into_iter().chain(noise).collect()
    };
    let over = AtomicBool::new(false);
    let store = async |first: u64| {
        let journal = journal(&fleet).await;
        let file = folder.path().join(format!("from-{first}"));
        for number in (first..80).step_by(2) {
            std::fs::write(&file, bytes(number)).unwrap();
            let snapshot = Snapshot {
                number,
                journal: "one".to_owned(),
            };
            journal.keep_snapshot(&snapshot, &file).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
    };
    let read = async |name: &str| {
        let (journal, to) = (journal(&fleet).await, folder.path().join(name));
        std::fs::write(&to, "").unwrap();
        let mut seen = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let Some(snapshot) = journal.restore_snapshot(&to).await.unwrap() else {
                continue;
            };
            let read = std::fs::read(&to).unwrap();
            assert_eq!(read[..8], snapshot.number.to_be_bytes());
            assert_eq!(read.len(), 8 + (700 << 10));
            seen.push(snapshot.number);
        }
        assert!(seen.is_sorted() && seen.len() > 5, "{seen:?}");
    };
    tokio::join!(store(1), store(2), read("one"), read("two"));
    let (messages, _) = stored(&fleet, StreamUse::Snapshots).await;
    assert_eq!(messages, 5);
    let newest = journal(&fleet).await.newest_snapshot().await.unwrap();
    assert_eq!(newest.unwrap().number, 79);
}

fn conversation(number: usize) -> Conversation {
    Conversation {
        id: format!("{:032x}", rand::random::<u128>()),
        start: NOW + number as u64,
        end: Some(NOW + number as u64 + 60_000),
        direction: None,
        ani: Some(format!("tel:+1555{number:07}")),
        dnis: Some("tel:+15550100".to_owned()),
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: vec!["a tag".to_owned()],
        divisions: vec!["home".to_owned()],
        media_types: vec!["voice".to_owned()],
        recorded: true,
        revision: None,
        attributes: Vec::new(),
    }
}

/// Has a ledger find conversations.
async fn find(ledger: &JournaledLedger, round: usize, most: usize) {
    let split = split(round);
    let at = split.id.clone();
    let range = TimeRange {
        from: NOW,
        until: NOW + 1,
    };
    ledger.search(vec![split], range, NOW).await.unwrap();
    let lease = Lease::without_end(NOW);
    assert!(ledger.claim(at.clone(), lease).await.unwrap().is_some());
    let step = Step {
        conversations: (0..most)
            .map(|it| conversation(round * most + it))
            .collect(),
        ..Step::from(Next::Done(SplitState {
            version: 1,
            data: Vec::new(),
        }))
    };
    ledger.commit(at, step, NOW, 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn a_hundred_thousand_conversations_are_a_snapshot_of_some_megabytes() {
    let servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leader = lead(&fleet, first.path()).await;
    for round in 0..100 {
        find(&leader, round, 1000).await;
    }
    let file = first.path().join("calls.sqlite");
    let file = std::fs::metadata(file).unwrap().len();
    let began = Instant::now();
    assert!(leader.snapshot_after(1).await.unwrap());
    let kept = began.elapsed();
    let (_, bytes) = stored(&fleet, StreamUse::Snapshots).await;
    let began = Instant::now();
    let follower = follow(&fleet, second.path()).await;
    println!(
        "queue {file} bytes, snapshot {bytes}; stored in {kept:?}, restored in {:?}",
        began.elapsed()
    );
    let progress = follower.progress().await.unwrap();
    assert_eq!(progress.conversations, 100_000);
    assert!(bytes < file / 2 && bytes > 1 << 20, "{bytes} of {file}");
}
