//! The queue of a fleet keeps every guarantee of a work queue.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use recording_host_cluster::{Fleet, FleetQueue};
use recording_host_model::{
    Artifact, ArtifactKey, Container, Conversation, Download, Named, Next, Split, SplitState, Step,
    Update, Wait,
};
use recording_host_state::{
    Lease, QueueError, WorkQueue,
    conformance::{self, Fixture},
};
use tokio::{runtime::Handle, task::block_in_place};

use super::nats::Servers;

/// The number of the next queue.
static QUEUES: AtomicU64 = AtomicU64::new(0);

struct Nats {
    fleet: Fleet,
    name: String,
    queue: FleetQueue,
}

impl Nats {
    /// A queue with nothing in it.
    fn empty(fleet: &Fleet) -> Self {
        let name = format!("source {}", QUEUES.fetch_add(1, Ordering::Relaxed));
        let open = FleetQueue::open(fleet, &name);
        let queue = block_in_place(|| Handle::current().block_on(open)).unwrap();
        Nats {
            fleet: fleet.clone(),
            name,
            queue,
        }
    }
}

#[async_trait]
impl Fixture for Nats {
    fn worker(&self) -> Arc<dyn WorkQueue> {
        Arc::new(self.queue.worker())
    }

    /// Another node, with a connection of its own.
    async fn reopen(&mut self) -> bool {
        let fleet = Fleet::open(self.fleet.settings().clone()).await.unwrap();
        self.queue = FleetQueue::open(&fleet, &self.name).await.unwrap();
        true
    }
}

async fn conforms(servers: usize) {
    let servers = Servers::start(servers);
    let fleet = servers.fleet("main").await;
    let began = Instant::now();
    conformance::all(|| Nats::empty(&fleet)).await.unwrap();
    println!(
        "the suite with {} server(s): {:.2} s",
        servers.count(),
        began.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn every_guarantee_is_kept_on_one_server() {
    conforms(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn every_guarantee_is_kept_on_three_servers() {
    conforms(3).await;
}

/// Kills a server as `kill -9` does, starts it again, and so on with the next.
async fn kill_in_turn(mut servers: Servers, kills: Arc<AtomicU64>) {
    for number in (0..servers.count()).cycle() {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        servers.kill(number);
        kills.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        servers.restart(number);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_every_guarantee_is_kept_while_servers_die() {
    let servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let kills = Arc::new(AtomicU64::new(0));
    let killer = tokio::spawn(kill_in_turn(servers, Arc::clone(&kills)));
    let began = Instant::now();
    let mut rounds = 0;
    while kills.load(Ordering::Relaxed) < 4 {
        conformance::all(|| Nats::empty(&fleet)).await.unwrap();
        rounds += 1;
    }
    killer.abort();
    println!(
        "the suite {rounds} time(s) with 4 kills: {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

const NOW: u64 = 1_700_000_000_000;
const STEPS: u64 = 5;

fn split(id: String) -> Split {
    Split {
        id,
        kind: "kind".to_owned(),
        state: counted(0),
    }
}

fn counted(steps: u64) -> SplitState {
    SplitState {
        version: 1,
        data: steps.to_string().into_bytes(),
    }
}

fn step(next: Next) -> Step {
    Step {
        conversations: Vec::new(),
        artifacts: Vec::new(),
        outcomes: Vec::new(),
        splits: Vec::new(),
        updates: Vec::new(),
        notes: Vec::new(),
        next,
    }
}

/// Claims splits and steps them, each one step further, until none is open and no more are `coming`. `holders` has who holds what.
async fn work(
    queue: FleetQueue,
    number: usize,
    holders: Arc<Mutex<HashMap<String, usize>>>,
    coming: Arc<AtomicBool>,
) -> u64 {
    let mut committed = 0;
    loop {
        let lease = Lease {
            now: NOW,
            until: NOW + 60_000,
        };
        let Some(split) = queue.claim_next(lease).await.unwrap() else {
            let last = !coming.load(Ordering::Relaxed);
            if last && queue.open_splits().await.unwrap().is_empty() {
                return committed;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let before = holders.lock().unwrap().insert(split.id.clone(), number);
        assert_eq!(before, None, "{} is held by two", split.id);
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..5))).await;
        let steps: u64 = String::from_utf8(split.state.data)
            .unwrap()
            .parse()
            .unwrap();
        let state = counted(steps + 1);
        let next = match steps + 1 == STEPS {
            true => Next::Done(state),
            false => Next::Wait(Wait {
                until: NOW,
                state,
                job: None,
            }),
        };
        let name = Named {
            id: split.id.clone(),
            name: (steps + 1).to_string(),
        };
        let step = Step {
            updates: vec![Update::Name(name)],
            ..step(next)
        };
        // From here on another may hold it.
        holders.lock().unwrap().remove(&split.id);
        queue.commit(split.id, step, NOW, 0).await.unwrap();
        committed += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn two_workers_never_hold_one_split_and_no_step_is_lost_or_doubled_while_servers_die() {
    let servers = Servers::start(3);
    let settings = servers.settings("main");
    let fleet = servers.fleet("main").await;
    let queue = FleetQueue::open(&fleet, "calls").await.unwrap();
    let kills = Arc::new(AtomicU64::new(0));
    let killer = tokio::spawn(kill_in_turn(servers, Arc::clone(&kills)));
    let holders = Arc::<Mutex<HashMap<String, usize>>>::default();
    let coming = Arc::new(AtomicBool::new(true));
    let began = Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let fleet = Fleet::connect(settings.clone()).await.unwrap();
        let queue = FleetQueue::open(&fleet, "calls").await.unwrap();
        workers.spawn(work(
            queue,
            number,
            Arc::clone(&holders),
            Arc::clone(&coming),
        ));
    }
    let mut splits = 0;
    while kills.load(Ordering::Relaxed) < 4 {
        let new: Vec<Split> = (splits..splits + 10)
            .map(|number| split(format!("{number:05}")))
            .collect();
        assert_eq!(queue.add(new, NOW).await.unwrap().len(), 10);
        splits += 10;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    coming.store(false, Ordering::Relaxed);
    let mut committed = 0;
    while let Some(of_one) = workers.join_next().await {
        committed += of_one.unwrap();
    }
    println!(
        "{committed} steps by 6 workers with {} kill(s): {:.1} s",
        kills.load(Ordering::Relaxed),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(committed, splits * STEPS);
    // What each found is there once, in order.
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let mut sequence = 0;
    while let Some((next, step)) = queue.found_after(sequence).await.unwrap() {
        sequence = next;
        let Some(Update::Name(name)) = step.updates.into_iter().next() else {
            panic!("a step without its update");
        };
        found.entry(step.split).or_default().push(name.name);
    }
    assert_eq!(found.len() as u64, splits);
    let all: Vec<String> = (1..=STEPS).map(|step| step.to_string()).collect();
    for (split, steps) in found {
        assert_eq!(steps, all, "of {split}");
    }
    killer.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn calls_wait_while_all_servers_are_away_and_go_on_by_themselves() {
    let mut servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let queue = FleetQueue::open(&fleet, "calls").await.unwrap();
    let ids = |of: &str| {
        (0..20)
            .map(|number| format!("{of} {number:02}"))
            .collect::<Vec<_>>()
    };
    let splits = |of: &str| ids(of).into_iter().map(split).collect::<Vec<_>>();
    queue.add(splits("before"), NOW).await.unwrap();
    (0..3).for_each(|number| servers.kill(number));
    let adding = {
        let (queue, splits) = (queue.worker(), splits("meanwhile"));
        tokio::spawn(async move { queue.add(splits, NOW + 1).await })
    };
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!adding.is_finished(), "nobody has stored it");
    (0..3).for_each(|number| servers.restart(number));
    let began = Instant::now();
    assert_eq!(adding.await.unwrap().unwrap(), ids("meanwhile"));
    println!(
        "goes on {:.1} s after the start",
        began.elapsed().as_secs_f64()
    );
    let open: Vec<String> = queue
        .open_splits()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(open, [ids("before"), ids("meanwhile")].concat());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_steps_find_is_kept_without_links_until_it_is_forgotten() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let queue = FleetQueue::open(&fleet, "calls").await.unwrap();
    queue
        .add(vec![split(String::from("s"))], NOW)
        .await
        .unwrap();
    queue
        .claim("s".to_owned(), Lease::without_end(NOW))
        .await
        .unwrap()
        .unwrap();
    let conversation = |number: usize| Conversation {
        id: format!("c{number}"),
        start: 1,
        end: None,
        direction: None,
        ani: None,
        dnis: None,
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: vec!["x".repeat(10_000)],
        divisions: Vec::new(),
        media_types: Vec::new(),
        recorded: true,
        revision: None,
        attributes: Vec::new(),
    };
    let link = "https://files.example/1?signature=hunter2";
    let artifact = Artifact {
        key: ArtifactKey::Bundle("b".to_owned()),
        download: Download {
            url: link.to_owned(),
            headers: Vec::new(),
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    };
    // More than one message can hold.
    let large = Step {
        conversations: (0..200).map(conversation).collect(),
        artifacts: vec![artifact],
        ..step(Next::Done(counted(1)))
    };
    let conversations = large.conversations.clone();
    let committed = queue.commit("s".to_owned(), large, NOW, 0).await.unwrap();
    assert_eq!((committed.wanted, committed.artifacts.len()), (200, 1));
    let (sequence, found) = queue.found_after(0).await.unwrap().unwrap();
    assert_eq!(found.conversations, conversations);
    assert_eq!(found.artifacts, ["b\nb"]);
    assert!(!format!("{found:?}").contains("hunter2"));
    assert!(queue.found_after(sequence).await.unwrap().is_none());
    queue.forget_found(sequence).await.unwrap();
    assert!(queue.found_after(0).await.unwrap().is_none());
    // The split itself stays.
    assert_eq!(
        queue.split(String::from("s")).await.unwrap().unwrap().state,
        counted(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_split_of_a_later_version_is_named_and_left_alone() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let queue = FleetQueue::open(&fleet, "calls").await.unwrap();
    let client = async_nats::connect(fleet.settings().servers[0].clone())
        .await
        .unwrap();
    let bucket = async_nats::jetstream::new(client);
    let subject = "$KV.recording-host_main_queue.calls.split.s";
    bucket
        .publish(subject, r#"{"v":2}"#.into())
        .await
        .unwrap()
        .await
        .unwrap();
    for error in [
        queue.open_splits().await.unwrap_err(),
        // It stays so.
        queue.open_splits().await.unwrap_err(),
        queue
            .claim("s".to_owned(), Lease::without_end(NOW))
            .await
            .unwrap_err(),
    ] {
        let text = match error {
            QueueError::Backend(error) => error.to_string(),
            other => panic!("{other}"),
        };
        assert!(text.contains("format 2"), "{text}");
    }
}
