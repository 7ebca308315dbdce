//! Fetches go to nodes and reports come back, each once and in order, whatever dies meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use recording_host_cluster::{Candidate, Fleet, FleetConsumer, FleetPublisher, Leader};
use recording_host_model::{Conversation, Next, Split, SplitState, Step};
use recording_host_state::{
    FetchChange, FetchOrder, Lease, Queue, QueueError, WorkQueue,
    fleet::{FetchConsumer, FetchPublisher},
};
use tokio::time::{Instant, sleep, timeout};

use super::nats::{Proxy, Servers};

const NOW: u64 = 1_767_600_000_000;
/// Long after a silent node has lost its fetches, on a machine that may have much else to do.
const LOST: Duration = Duration::from_secs(90);

fn state(text: &str) -> SplitState {
    SplitState {
        version: 1,
        data: text.as_bytes().to_vec(),
    }
}

/// Orders of as many fetches, as a leader's ledger makes them.
async fn orders(count: usize) -> Vec<FetchOrder> {
    let queue = Queue::in_memory().unwrap();
    let split = |id: String| Split {
        id,
        kind: "job".to_owned(),
        state: state("{}"),
    };
    queue
        .add(vec![split("find-1".to_owned())], NOW)
        .await
        .unwrap();
    let conversation = |number: usize| Conversation {
        id: format!("c{number}"),
        start: NOW,
        end: Some(NOW),
        direction: None,
        ani: None,
        dnis: None,
        agents: Vec::new(),
        queues: Vec::new(),
        wrap_up_codes: Vec::new(),
        tags: Vec::new(),
        divisions: Vec::new(),
        media_types: Vec::new(),
        recorded: true,
        revision: None,
        attributes: Vec::new(),
    };
    let found = Step {
        conversations: (0..count).map(conversation).collect(),
        ..Step::from(Next::Done(state("")))
    };
    let lease = Lease::without_end(NOW);
    queue.claim("find-1".to_owned(), lease).await.unwrap();
    queue
        .commit("find-1".to_owned(), found, NOW, 0)
        .await
        .unwrap();
    for number in 0..count {
        let name = format!("calls-{number:06}");
        let ids = vec![format!("c{number}")];
        let splits = vec![split(name.clone())];
        queue.fetch(name, ids, splits, NOW).await.unwrap();
    }
    queue.orders("calls").await.unwrap()
}

async fn lead(fleet: &Fleet) -> Arc<Leader> {
    let candidate = Candidate::new(fleet, "calls", "leader").await.unwrap();
    Arc::new(candidate.lead().await.unwrap())
}

async fn publisher(fleet: &Fleet) -> FleetPublisher {
    let leader = lead(fleet).await;
    FleetPublisher::new(fleet, leader, "calls").await.unwrap()
}

async fn node(fleet: &Fleet) -> FleetConsumer {
    FleetConsumer::new(fleet, "calls").await.unwrap()
}

/// The servers as another program uses them.
async fn jetstream(fleet: &Fleet) -> async_nats::jetstream::Context {
    let client = async_nats::connect(fleet.settings().servers[0].clone());
    async_nats::jetstream::new(client.await.unwrap())
}

/// A change that can be told from others.
fn change(fetch: &str, number: u64) -> FetchChange {
    FetchChange::step(
        fetch,
        &Step::from(Next::Done(state(&number.to_string()))),
        NOW,
        0,
    )
}

fn bytes(changes: &[FetchChange]) -> Vec<Vec<u8>> {
    changes.iter().map(FetchChange::to_bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_fetch_goes_to_one_node_and_its_reports_to_the_leader() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    let made = orders(2).await;
    publisher.publish(made.clone()).await.unwrap();
    // Another time, nothing changes.
    publisher.publish(made).await.unwrap();
    assert_eq!(
        publisher.published().await.unwrap(),
        ["calls-000000", "calls-000001"]
    );
    let (first, second) = (node(&fleet).await, node(&fleet).await);
    let taken = first.take().await.unwrap();
    let other = second.take().await.unwrap();
    assert!(taken.changes.is_empty() && taken.order.fetch != other.order.fetch);
    let fetch = taken.order.fetch.as_str();
    for number in 0..3 {
        first.report(fetch, change(fetch, number)).await.unwrap();
    }
    let refused = second.report(fetch, change(fetch, 9)).await.unwrap_err();
    assert!(matches!(refused, QueueError::NotHeld(_)), "{refused}");
    let (mut after, mut got) = (0, Vec::new());
    while got.len() < 3 {
        let report = publisher.next_report(after).await.unwrap();
        assert!(report.sequence > after);
        after = report.sequence;
        // A node that takes a fetch says so.
        if report.fetch == fetch
            && report.change.to_bytes() != FetchChange::delivered(&[]).to_bytes()
        {
            got.push(report.change);
        }
    }
    let sent: Vec<_> = (0..3).map(|number| change(fetch, number)).collect();
    assert_eq!(bytes(&got), bytes(&sent));
    first.done(fetch).await.unwrap();
    publisher.forget(fetch).await.unwrap();
    assert_eq!(publisher.published().await.unwrap(), [&*other.order.fetch]);
    assert!(timeout(Duration::from_secs(2), first.take()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn reports_of_one_node_at_once_are_all_stored() {
    let servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    publisher.publish(orders(1).await).await.unwrap();
    let node = Arc::new(node(&fleet).await);
    let fetch = node.take().await.unwrap().order.fetch;
    let mut reports = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (node, fetch) = (Arc::clone(&node), fetch.clone());
        reports.spawn(async move { node.report(&fetch, change(&fetch, number)).await });
    }
    for reported in reports.join_all().await {
        reported.unwrap();
    }
    node.give_back(&fetch).await.unwrap();
    let taken = node.take().await.unwrap();
    // The node has said that it takes it, too.
    assert_eq!(taken.changes.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_cannot_be_read_costs_no_node_anything_and_is_published_anew() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    let stream = jetstream(&fleet).await;
    let garbage = async |subject: &str| {
        let stored = stream.publish(subject.to_owned(), "neither".into()).await;
        stored.unwrap().await.unwrap();
    };
    let made = orders(2).await;
    garbage("recording-host.main.work.calls.calls-000000").await;
    let node = node(&fleet).await;
    let refused = node.take().await.unwrap_err();
    let (named, _) = refused.unreadable().unwrap();
    assert_eq!(named, "calls-000000");
    assert!(timeout(Duration::from_secs(2), node.take()).await.is_err());
    let subjects = "recording-host.main.dead.calls.>".to_owned();
    let dead = fleet.dead_letters().await.unwrap();
    assert_eq!(dead["calls"], (1, subjects));
    // Its name is free.
    publisher.publish(made[..1].to_vec()).await.unwrap();
    let taken = node.take().await.unwrap();
    let fetch = taken.order.fetch.as_str();
    assert_eq!((fetch, taken.changes.len()), ("calls-000000", 0));
    node.report(fetch, change(fetch, 1)).await.unwrap();
    // Nobody's: no name has such a subject.
    garbage("recording-host_main_reports.calls.calls-000000.more").await;
    garbage("recording-host_main_reports.calls.calls-000000").await;
    // Nobody reports after what cannot be read, and nobody begins with it.
    let refused = node.report(fetch, change(fetch, 2)).await.unwrap_err();
    assert!(matches!(refused, QueueError::NotHeld(_)), "{refused}");
    let mut after = 0;
    let unreadable = loop {
        match publisher.next_report(after).await {
            Ok(report) => after = report.sequence,
            Err(error) => break error,
        }
    };
    let (named, _) = unreadable.unreadable().unwrap();
    assert_eq!(named, "calls-000000");
    publisher.forget(fetch).await.unwrap();
    publisher.publish(made).await.unwrap();
    let mut taken = [node.take().await.unwrap(), node.take().await.unwrap()];
    taken.sort_by(|one, other| one.order.fetch.cmp(&other.order.fetch));
    assert!(taken[0].order.fetch == fetch && taken[0].changes.is_empty());
    node.report(fetch, change(fetch, 3)).await.unwrap();
    let report = publisher.next_report(after).await.unwrap();
    assert!(report.sequence > after);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_is_too_large_or_too_much_to_be_kept_costs_no_node_anything() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    let context = jetstream(&fleet).await;
    let stream = context.get_stream("recording-host_main_work");
    let stream = stream.await.unwrap();
    let node = node(&fleet).await;
    let unreadable = async |payload: Vec<u8>| {
        let subject = "recording-host.main.work.calls.calls-000000";
        let stored = context.publish(subject, payload.into()).await.unwrap();
        stored.await.unwrap();
        let refused = node.take().await.unwrap_err();
        assert_eq!(refused.unreadable().unwrap().0, "calls-000000");
    };
    // With its reason it would be larger than what servers take: the reason is kept.
    unreadable(vec![b'x'; (1 << 20) - 100]).await;
    let subject = "recording-host.main.dead.calls.calls-000000";
    let kept = stream.get_last_raw_message_by_subject(subject).await;
    let kept = kept.unwrap();
    assert!(kept.payload.is_empty());
    let reason = kept.headers.get("Recording-Host-Reason").unwrap();
    assert!(reason.as_str().contains("calls-000000"), "{reason}");
    // There is room for the order, and none for more.
    stream.purge().filter(subject).await.unwrap();
    let payload = vec![b'x'; 100_000];
    let roomy = stream.get_info().await.unwrap().config;
    let full = async_nats::jetstream::stream::Config {
        max_bytes: 150_000,
        ..roomy.clone()
    };
    context.update_stream(full).await.unwrap();
    unreadable(payload).await;
    assert!(fleet.dead_letters().await.unwrap().is_empty());
    context.update_stream(roomy).await.unwrap();
    publisher.publish(orders(1).await).await.unwrap();
    let taken = node.take().await.unwrap();
    assert_eq!(taken.order.fetch, "calls-000000");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_fetch_that_is_given_back_goes_on_at_another_node_and_the_first_is_refused() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    publisher.publish(orders(1).await).await.unwrap();
    let (first, second) = (node(&fleet).await, node(&fleet).await);
    let fetch = first.take().await.unwrap().order.fetch;
    first.report(&fetch, change(&fetch, 1)).await.unwrap();
    first.give_back(&fetch).await.unwrap();
    let taken = timeout(LOST, second.take()).await.unwrap().unwrap();
    assert!(bytes(&taken.changes).contains(&change(&fetch, 1).to_bytes()));
    let refused = first.report(&fetch, change(&fetch, 2)).await.unwrap_err();
    assert!(matches!(refused, QueueError::NotHeld(_)), "{refused}");
    second.report(&fetch, change(&fetch, 3)).await.unwrap();
    second.done(&fetch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_a_node_that_is_silent_loses_its_fetch_and_is_refused_when_it_is_back() {
    let servers = Servers::start(1);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    publisher.publish(orders(1).await).await.unwrap();
    let proxy = Proxy::to(servers.ports[0]).await;
    let mut stalling = servers.settings("main");
    stalling.servers = vec![format!("nats://127.0.0.1:{}", proxy.port)];
    let silent = node(&Fleet::open(stalling).await.unwrap()).await;
    let fetch = silent.take().await.unwrap().order.fetch;
    silent.report(&fetch, change(&fetch, 1)).await.unwrap();
    let second = node(&fleet).await;
    // While the first one goes on, nobody else gets it, however long that takes.
    assert!(
        timeout(Duration::from_secs(40), second.take())
            .await
            .is_err()
    );
    proxy.stall(true);
    let began = Instant::now();
    let taken = timeout(LOST, second.take()).await.unwrap().unwrap();
    println!(
        "a silent node's fetch is another one's after {:.0} s",
        began.elapsed().as_secs_f64()
    );
    assert!(bytes(&taken.changes).contains(&change(&fetch, 1).to_bytes()));
    proxy.stall(false);
    let refused = silent.report(&fetch, change(&fetch, 2)).await.unwrap_err();
    assert!(matches!(refused, QueueError::NotHeld(_)), "{refused}");
    second.report(&fetch, change(&fetch, 3)).await.unwrap();
}

/// A node that reports so often on each fetch, until all is over.
async fn do_fetches(fleet: Fleet, reports: u64, over: Arc<AtomicBool>) {
    let node = node(&fleet).await;
    while !over.load(Ordering::Relaxed) {
        let Ok(taken) = timeout(Duration::from_secs(5), node.take()).await else {
            continue;
        };
        let taken = taken.unwrap();
        let fetch = taken.order.fetch.as_str();
        // Continues where another node has stopped, or this one before it lost the fetch.
        let done = bytes(&taken.changes);
        for number in 0..reports {
            let change = change(fetch, number);
            if done.contains(&change.to_bytes()) {
                continue;
            }
            match node.report(fetch, change).await {
                Ok(()) => sleep(Duration::from_millis(20)).await,
                Err(QueueError::NotHeld(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        node.done(fetch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_no_report_is_lost_or_doubled_while_servers_die() {
    const FETCHES: usize = 60;
    const REPORTS: u64 = 20;
    let mut servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let publisher = publisher(&fleet).await;
    publisher.publish(orders(FETCHES).await).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let mut nodes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        nodes.spawn(do_fetches(fleet.clone(), REPORTS, Arc::clone(&over)));
    }
    let leading = tokio::spawn(async move {
        let mut got = std::collections::BTreeMap::<String, Vec<Vec<u8>>>::new();
        let (mut after, mut left) = (0, FETCHES as u64 * REPORTS);
        while left > 0 {
            let report = publisher.next_report(after).await.unwrap();
            after = report.sequence;
            let change = report.change.to_bytes();
            if change != FetchChange::delivered(&[]).to_bytes() {
                got.entry(report.fetch).or_default().push(change);
                left -= 1;
            }
        }
        got
    });
    let mut killed = 0;
    while !leading.is_finished() && killed < 6 {
        sleep(Duration::from_secs(4)).await;
        let number = match killed % 2 {
            0 => servers.leader_of(&fleet, "reports").await,
            _ => killed % 3,
        };
        servers.kill(number);
        sleep(Duration::from_secs(1)).await;
        servers.restart(number);
        killed += 1;
    }
    let got = timeout(Duration::from_secs(300), leading)
        .await
        .unwrap()
        .unwrap();
    over.store(true, Ordering::Relaxed);
    while let Some(node) = nodes.join_next().await {
        node.unwrap();
    }
    assert_eq!(got.len(), FETCHES);
    for (fetch, changes) in got {
        let sent: Vec<_> = (0..REPORTS).map(|number| change(&fetch, number)).collect();
        assert_eq!(changes, bytes(&sent), "{fetch}");
    }
    println!("{killed} servers killed");
}
