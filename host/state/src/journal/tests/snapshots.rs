//! A queue is what the journal says, whether it has made all changes itself or began with a snapshot, and whenever it
//! was killed.

mod journals;

use std::{fs, path::PathBuf, sync::Mutex as Held};

use super::*;

const NAME: &str = "export-0";

async fn lead_in(folder: &Path, journal: &MemoryJournal) -> Result<JournaledLedger, QueueError> {
    JournaledLedger::lead_in(folder, NAME, Arc::new(journal.clone())).await
}

async fn follow_in(folder: &Path, journal: &MemoryJournal) -> Result<JournaledLedger, QueueError> {
    JournaledLedger::follow_in(folder, NAME, Arc::new(journal.clone())).await
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The queue's file in a folder.
fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join(format!("{NAME}.sqlite"))
}

/// What lies in a folder, but for the log of a queue that is open.
fn files(folder: &tempfile::TempDir) -> Vec<String> {
    let all = fs::read_dir(folder.path()).unwrap();
    let all = all.map(|it| it.unwrap().file_name().into_string().unwrap());
    let mut all: Vec<_> = all.filter(|it| !it.contains("sqlite-")).collect();
    all.sort();
    all
}

async fn is_cut(journal: &MemoryJournal) -> bool {
    matches!(journal.entries(0).await, Err(QueueError::Cut))
}

/// A journal with the conversations `a`, `b` and `c` whose first entries were removed, and its leader.
async fn cut(folder: &tempfile::TempDir) -> (MemoryJournal, JournaledLedger) {
    let journal = MemoryJournal::new();
    let leader = lead_in(folder.path(), &journal).await.unwrap();
    find(&leader, "find-1", "a").await.unwrap();
    assert!(!leader.snapshot_after(100).await.unwrap());
    assert!(leader.snapshot_after(3).await.unwrap());
    assert!(
        !leader.snapshot_after(1).await.unwrap(),
        "nothing has changed"
    );
    assert!(!is_cut(&journal).await, "one snapshot may be no snapshot");
    find(&leader, "find-2", "b").await.unwrap();
    assert!(leader.snapshot_after(1).await.unwrap());
    assert!(is_cut(&journal).await);
    find(&leader, "find-3", "c").await.unwrap();
    (journal, leader)
}

#[tokio::test]
async fn a_machine_that_lacks_what_was_cut_begins_with_the_newest_snapshot() {
    let (first, second, third) = (folder(), folder(), folder());
    let journal = MemoryJournal::new();
    let leader = lead_in(first.path(), &journal).await.unwrap();
    find(&leader, "find-1", "a").await.unwrap();
    // Two that have the first entries alone: one is off, the other one goes on.
    drop(follow_in(second.path(), &journal).await.unwrap());
    let behind = JournaledLedger::follow(Queue::in_memory().unwrap(), Arc::new(journal.clone()));
    let behind = behind.await.unwrap();
    assert!(leader.snapshot_after(1).await.unwrap());
    for (round, id) in [(1, "b"), (2, "c")] {
        find(&leader, &format!("more-{round}"), id).await.unwrap();
        assert!(leader.snapshot_after(1).await.unwrap());
    }
    let last = leader.catch_up().await.unwrap();
    assert!(matches!(behind.catch_up().await, Err(QueueError::Cut)));
    for folder in [&second, &third] {
        let follower = follow_in(folder.path(), &journal).await.unwrap();
        assert_eq!(known(&follower).await, ["a", "b", "c"]);
        assert_eq!(follower.catch_up().await.unwrap(), last);
        assert_eq!(files(folder), ["export-0.lock", "export-0.sqlite"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(file(folder)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let refused = follower.snapshot_after(1).await.unwrap_err();
        assert!(matches!(refused, QueueError::NotLeading), "{refused}");
    }
    // Any of them leads on.
    let next = lead_in(third.path(), &journal).await.unwrap();
    find(&next, "find-4", "d").await.unwrap();
    let follower = follow_in(second.path(), &journal).await.unwrap();
    let all = follower.known(texts(&["a", "b", "c", "d"])).await.unwrap();
    assert_eq!(all.len(), 4);
    let refused = find(&leader, "find-5", "e").await.unwrap_err();
    assert!(matches!(refused, QueueError::NotLeading), "{refused}");
}

#[tokio::test]
async fn the_ledger_goes_on_while_a_snapshot_is_made() {
    let (first, second) = (folder(), folder());
    let journal = MemoryJournal::new();
    let leader = lead_in(first.path(), &journal).await.unwrap();
    let changes = async {
        for number in 0..200 {
            let split = first_split(&format!("more-{number}"), "pages");
            leader.add(vec![split], NOW).await.unwrap();
        }
    };
    let snapshots = async {
        for _ in 0..10 {
            leader.snapshot_after(1).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(changes, snapshots);
    let newest = journal.newest_snapshot().await.unwrap().unwrap();
    assert!(newest.number > 1 && is_cut(&journal).await, "{newest:?}");
    let follower = follow_in(second.path(), &journal).await.unwrap();
    let (ours, theirs) = tokio::join!(leader.open_splits(), follower.open_splits());
    assert_eq!(ours.unwrap(), theirs.unwrap());
}

#[tokio::test]
async fn a_snapshot_that_nobody_waits_for_leaves_nothing_behind() {
    let folder = folder();
    let journal = MemoryJournal::new();
    let leader = lead_in(folder.path(), &journal).await.unwrap();
    for _ in 0..20 {
        let snapshot = leader.snapshot_after(1);
        let _ = tokio::time::timeout(std::time::Duration::from_micros(300), snapshot).await;
    }
    find(&leader, "find-1", "a").await.unwrap();
    assert!(leader.snapshot_after(1).await.unwrap());
    for _ in 0..100 {
        if files(&folder) == ["export-0.lock", "export-0.sqlite"] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{:?}", files(&folder));
}

#[tokio::test]
async fn a_queue_that_is_killed_while_it_is_restored_is_one_or_the_other() {
    let origin = folder();
    let (journal, _leader) = cut(&origin).await;
    let old = MemoryJournal::new();
    old.append(1, &first_entry(&origin)).await.unwrap();
    let restores = async |folder: &tempfile::TempDir, why: &str| {
        let follower = follow_in(folder.path(), &journal).await.unwrap();
        assert_eq!(known(&follower).await, ["a", "b", "c"], "{why}");
        assert_eq!(files(folder), ["export-0.lock", "export-0.sqlite"], "{why}");
    };
    // With one entry of the same journal, and a log beside it that is not in the file.
    let logged = folder();
    let open = follow_in(logged.path(), &old).await.unwrap();
    let killed = folder();
    for end in ["sqlite", "sqlite-wal"] {
        let name = format!("{NAME}.{end}");
        fs::copy(logged.path().join(&name), killed.path().join(&name)).unwrap();
    }
    drop(open);
    restores(&killed, "with a log").await;
    // While the snapshot was read.
    let begun = folder();
    drop(follow_in(begun.path(), &old).await.unwrap());
    left(&begun);
    restores(&begun, "half a snapshot").await;
    // After the queue was closed, and before it was replaced.
    let closed = folder();
    drop(follow_in(closed.path(), &old).await.unwrap());
    let (queue, _) = opened_soon(&closed).await;
    let place = queue.place().await.unwrap();
    assert_eq!(place.number, 1);
    drop(queue.close(&file(&closed)).unwrap());
    restores(&closed, "closed").await;
    // After it was replaced, and before it was opened.
    let replaced = folder();
    journal.restore_snapshot(&file(&replaced)).await.unwrap();
    left(&replaced);
    restores(&replaced, "replaced").await;
}

/// Leaves half a copy behind.
fn left(folder: &tempfile::TempDir) {
    let path = folder.path().join(format!("{NAME}.sqlite.copy-0"));
    fs::write(path, b"half").unwrap();
}

/// An entry that says that somebody leads, of the journal of a queue.
fn first_entry(folder: &tempfile::TempDir) -> Vec<u8> {
    let queue = Queue::open_read_only(folder.path(), NAME).unwrap().unwrap();
    let connection = queue.connection.lock().unwrap();
    let id = Place::of(&connection).unwrap().journal.unwrap();
    entry::bytes(&id, false, &Written::Lead).unwrap().to_vec()
}

async fn opened_soon(folder: &tempfile::TempDir) -> (Queue, bool) {
    for _ in 0..500 {
        if let Ok(opened) = Queue::open(folder.path(), NAME) {
            return opened;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it is still open");
}

/// What is done to a snapshot that is read.
type Spoil = fn(&Path, &mut Snapshot);

/// A journal whose snapshots are spoiled, or that stops.
#[derive(Debug)]
struct Spoiled {
    journal: MemoryJournal,
    spoil: Spoil,
    /// After as many calls that change something, each fails: before or after it is made.
    left: Held<usize>,
    makes: bool,
}

impl Spoiled {
    fn new(journal: &MemoryJournal, spoil: Spoil) -> Self {
        Spoiled {
            journal: journal.clone(),
            spoil,
            left: Held::new(usize::MAX),
            makes: false,
        }
    }

    fn stops(&self) -> bool {
        let mut left = self.left.lock().unwrap();
        let stops = *left == 0;
        *left = left.saturating_sub(1);
        stops
    }
}

#[async_trait]
impl Journal for Spoiled {
    async fn append(&self, number: u64, entry: &[u8]) -> Result<(), QueueError> {
        let stops = self.stops();
        if !stops || self.makes {
            self.journal.append(number, entry).await?;
        }
        match stops {
            true => Err(QueueError::Interrupted),
            false => Ok(()),
        }
    }

    async fn last(&self) -> Result<u64, QueueError> {
        self.journal.last().await
    }

    async fn entries(&self, after: u64) -> Result<Vec<Vec<u8>>, QueueError> {
        self.journal.entries(after).await
    }

    async fn keep_snapshot(&self, snapshot: &Snapshot, file: &Path) -> Result<(), QueueError> {
        let stops = self.stops();
        if !stops || self.makes {
            self.journal.keep_snapshot(snapshot, file).await?;
        }
        match stops {
            true => Err(QueueError::Interrupted),
            false => Ok(()),
        }
    }

    async fn newest_snapshot(&self) -> Result<Option<Snapshot>, QueueError> {
        self.journal.newest_snapshot().await
    }

    async fn restore_snapshot(&self, to: &Path) -> Result<Option<Snapshot>, QueueError> {
        let mut snapshot = self.journal.restore_snapshot(to).await?;
        if let Some(snapshot) = &mut snapshot {
            (self.spoil)(to, snapshot);
        }
        Ok(snapshot)
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_what_it_is_said_to_be_takes_no_queues_place() {
    let origin = folder();
    let (journal, _leader) = cut(&origin).await;
    let spoils: [(Spoil, &str); 5] = [
        (|_, it| it.number += 1, "after entry"),
        (|_, it| it.journal.push('0'), "of another journal"),
        (|to, _| fs::write(to, b"").unwrap(), "it is empty"),
        (
            |to, _| fs::write(to, vec![7; 8192]).unwrap(),
            "not a database",
        ),
        (
            |to, _| {
                let mut bytes = fs::read(to).unwrap();
                bytes.truncate(bytes.len() - 4096);
                fs::write(to, bytes).unwrap();
            },
            "malformed",
        ),
    ];
    for (spoil, says) in spoils {
        let folder = folder();
        let spoiled = Arc::new(Spoiled::new(&journal, spoil));
        let refused = JournaledLedger::follow_in(folder.path(), NAME, spoiled).await;
        let refused = refused.unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, QueueError::Snapshot { .. }), "{text}");
        assert!(text.contains(says), "{text}");
        let (queue, _) = opened_soon(&folder).await;
        assert!(queue.is_empty().await.unwrap());
        assert_eq!(files(&folder), ["export-0.lock", "export-0.sqlite"]);
    }
}

#[tokio::test]
async fn a_snapshot_that_a_stale_leader_stores_late_changes_nothing() {
    let origin = folder();
    let (journal, stale) = cut(&origin).await;
    let late = CopyOf::new(&origin).await;
    let other = folder();
    let leader = lead_in(other.path(), &journal).await.unwrap();
    assert!(leader.snapshot_after(1).await.unwrap());
    let before = journal.newest_snapshot().await.unwrap().unwrap();
    assert!(late.snapshot.number < before.number);
    journal
        .keep_snapshot(&late.snapshot, &late.path)
        .await
        .unwrap();
    assert!(!stale.snapshot_after(1).await.unwrap());
    let newest = journal.newest_snapshot().await.unwrap().unwrap();
    assert_eq!(newest, before);
    // Nor does one of another journal.
    let foreign = Snapshot {
        number: before.number + 10,
        journal: "of another one".to_owned(),
    };
    let refused = journal.keep_snapshot(&foreign, &late.path).await;
    assert!(matches!(refused.unwrap_err(), QueueError::Diverged));
    let third = folder();
    let follower = follow_in(third.path(), &journal).await.unwrap();
    assert_eq!(known(&follower).await, ["a", "b", "c"]);
}

/// A snapshot that was made, and not stored yet.
struct CopyOf {
    snapshot: Snapshot,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl CopyOf {
    async fn new(of: &tempfile::TempDir) -> Self {
        let folder = folder();
        let copy = crate::restore::CopyFile::new(&file(&folder)).unwrap();
        let place = copy.fill_from(&file(of)).await.unwrap();
        let path = folder.path().join("kept");
        fs::copy(copy.path(), &path).unwrap();
        CopyOf {
            snapshot: Snapshot {
                number: place.number,
                journal: place.journal.unwrap(),
            },
            path,
            _folder: folder,
        }
    }
}

#[tokio::test]
async fn what_a_queue_has_recovered_stays_although_it_is_not_ready() {
    let (first, second) = (folder(), folder());
    let journal = MemoryJournal::new();
    for found in [true, false] {
        let leader = lead_in(first.path(), &journal).await.unwrap();
        if found {
            find(&leader, "find-1", "a").await.unwrap();
        }
        assert_eq!(known(&leader).await, ["a"]);
        assert!(!leader.is_ready().await.unwrap());
    }
    let leader = lead_in(first.path(), &journal).await.unwrap();
    assert!(leader.snapshot_after(1).await.unwrap());
    let follower = follow_in(second.path(), &journal).await.unwrap();
    assert!(!follower.is_ready().await.unwrap());
    leader.set_ready().await.unwrap();
    // It is a change in the journal.
    assert!(follower.is_ready().await.unwrap());
    assert_eq!(known(&follower).await, ["a"]);
}

/// One that leads in a folder, and at a restart begins in another one with a snapshot.
struct Restored {
    journal: MemoryJournal,
    leader: Option<JournaledLedger>,
    folder: tempfile::TempDir,
}

impl Restored {
    fn new() -> Self {
        let (journal, folder) = (MemoryJournal::new(), folder());
        let (queue, _) = Queue::open(folder.path(), NAME).unwrap();
        let led = JournaledLedger::lead(queue, Arc::new(journal.clone()));
        let led = std::thread::scope(|scope| {
            let run = scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(led));
            run.join().unwrap()
        });
        Restored {
            journal,
            leader: Some(led.unwrap()),
            folder,
        }
    }

    fn leader(&self) -> &JournaledLedger {
        self.leader.as_ref().unwrap()
    }
}

#[async_trait]
impl Fixture for Restored {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.leader().for_another_worker())
    }

    async fn reopen(&mut self) -> bool {
        for _ in 0..2 {
            let leader = self.leader.take().unwrap();
            leader.snapshot_after(1).await.unwrap();
            self.folder = folder();
            let next = lead_in(self.folder.path(), &self.journal).await;
            self.leader = Some(next.unwrap());
        }
        true
    }
}

impl LedgerFixture for Restored {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(self.leader().clone())
    }
}

#[tokio::test]
async fn a_ledger_that_is_restored_now_and_then_keeps_every_guarantee() {
    ledger::all(Restored::new).await.unwrap();
    conformance::all(Restored::new).await.unwrap();
}
