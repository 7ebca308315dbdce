//! One node at most leads, and what a stale leader publishes is refused.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use recording_host_cluster::{
    Candidate, ClusterError, Fleet, FleetSettings, Leader, Queued, SteppedDown, WorkMessage,
};
use tokio::time::{sleep, timeout};

use super::nats::{Proxy, Servers};

/// Long after another node should lead, on a machine that may have much else to do.
const TAKEOVER: Duration = Duration::from_secs(60);

fn fetches(names: impl IntoIterator<Item = String>) -> Vec<WorkMessage> {
    let message = |fetch| WorkMessage {
        source: "calls".to_owned(),
        fetch,
        body: b"{}".to_vec().into(),
    };
    names.into_iter().map(message).collect()
}

async fn lead(fleet: &Fleet, node: &str) -> Leader {
    Candidate::new(fleet, "calls", node)
        .await
        .unwrap()
        .lead()
        .await
        .unwrap()
}

/// How long it takes until a candidate leads.
async fn takes_over(fleet: &Fleet, node: &str) -> (Leader, Duration) {
    let began = Instant::now();
    let leader = timeout(TAKEOVER, lead(fleet, node))
        .await
        .expect("a leader");
    (leader, began.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn another_node_leads_when_the_leader_is_gone_and_at_once_when_it_resigns() {
    let servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let first = lead(&fleet, "a").await;
    let candidate = Candidate::new(&fleet, "calls", "b").await.unwrap();
    assert_eq!(candidate.leader().await.unwrap().as_deref(), Some("a"));
    // It stays the leader for longer than its lease, since it renews it.
    assert!(
        timeout(Duration::from_secs(13), candidate.lead())
            .await
            .is_err()
    );
    assert!(first.is_leading());
    drop(first);
    let (second, taken) = takes_over(&fleet, "b").await;
    println!(
        "takeover after the leader's death: {:.1} s",
        taken.as_secs_f64()
    );
    second.resign().await.unwrap();
    let (third, taken) = takes_over(&fleet, "c").await;
    println!("takeover after a resignation: {:.1} s", taken.as_secs_f64());
    assert!(
        taken < Duration::from_secs(8),
        "it has waited for the lease: {taken:?}"
    );
    assert!(third.is_leading());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_another_node_leads_when_the_leader_and_the_server_that_leads_the_stream_die_at_once()
 {
    let mut servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    for round in 0..3 {
        let leader = lead(&fleet, "a").await;
        leader
            .publish(fetches([format!("fetch {round}")]))
            .await
            .unwrap();
        let server = servers.leader_of(&fleet, "_work").await;
        servers.kill(server);
        drop(leader);
        let (leader, taken) = takes_over(&fleet, "b").await;
        println!(
            "takeover after the death of the leader and of a server: {:.1} s",
            taken.as_secs_f64()
        );
        // What the first has published is there.
        let queued = leader
            .publish(fetches([format!("fetch {round}")]))
            .await
            .unwrap();
        assert_eq!(queued, [Queued::Known]);
        leader.resign().await.unwrap();
        servers.restart(server);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn fetches_wait_once_each() {
    for count in [1, 3] {
        let servers = Servers::start(count);
        let fleet = servers.fleet("main").await;
        let leader = lead(&fleet, "a").await;
        let names = |range: std::ops::Range<usize>| range.map(|number| format!("fetch {number}"));
        let queued = leader.publish(fetches(names(0..2500))).await.unwrap();
        assert_eq!(queued, vec![Queued::New; 2500]);
        // A group with some that wait already is stored one by one.
        let queued = leader.publish(fetches(names(2490..2510))).await.unwrap();
        assert_eq!(
            queued,
            [vec![Queued::Known; 10], vec![Queued::New; 10]].concat()
        );
        let streams = fleet.streams().await.unwrap();
        // With the fence.
        assert_eq!(streams[0].messages, 2511);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn what_a_stale_leader_publishes_is_refused_and_it_steps_down() {
    for count in [1, 3] {
        let servers = Servers::start(count);
        let fleet = servers.fleet("main").await;
        let stale = lead(&fleet, "a").await;
        stale.publish(fetches(["one".to_owned()])).await.unwrap();
        // Another one has the lease, and the first does not know: as after a pause of its machine.
        let (_, stream) = work_stream(&fleet).await;
        stream
            .purge()
            .filter("recording-host.main.fence.calls")
            .await
            .unwrap();
        let leader = lead(&fleet, "b").await;
        let before = fleet.streams().await.unwrap()[0].messages;
        for names in [vec!["two"], vec!["three", "four"]] {
            let names = names.into_iter().map(str::to_owned);
            let refused = stale.publish(fetches(names)).await.unwrap_err();
            assert!(
                matches!(refused, ClusterError::NotLeading(SteppedDown::Superseded)),
                "{refused}"
            );
        }
        assert!(!stale.is_leading());
        assert_eq!(stale.stepped_down().await, SteppedDown::Superseded);
        assert_eq!(fleet.streams().await.unwrap()[0].messages, before);
        leader.publish(fetches(["two".to_owned()])).await.unwrap();
    }
}

/// The stream that the leader writes, through a client of others.
async fn work_stream(fleet: &Fleet) -> (async_nats::Client, async_nats::jetstream::stream::Stream) {
    let client = async_nats::connect(fleet.settings().servers[0].clone())
        .await
        .unwrap();
    let stream = async_nats::jetstream::new(client.clone())
        .get_stream("recording-host_main_work")
        .await
        .unwrap();
    (client, stream)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_batch_begun_under_a_lease_is_refused_when_it_ends_under_another() {
    for count in [1, 3] {
        let servers = Servers::start(count);
        let fleet = servers.fleet("main").await;
        let stale = lead(&fleet, "a").await;
        let (client, stream) = work_stream(&fleet).await;
        let fence = "recording-host.main.fence.calls";
        let held = stream.get_last_raw_message_by_subject(fence).await.unwrap();
        let subject = |number: usize| format!("recording-host.main.work.calls.{number}");
        let headers = |number: usize| {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Batch-Id", "late");
            headers.insert("Nats-Batch-Sequence", number.to_string());
            headers
        };
        let mut first = headers(1);
        first.insert(
            "Nats-Expected-Last-Subject-Sequence",
            held.sequence.to_string(),
        );
        first.insert("Nats-Expected-Last-Subject-Sequence-Subject", fence);
        client
            .publish_with_headers(subject(1), first, "{}".into())
            .await
            .unwrap();
        client.flush().await.unwrap();
        drop(stale);
        stream.purge().filter(fence).await.unwrap();
        let leader = lead(&fleet, "b").await;
        let mut last = headers(2);
        last.insert("Nats-Batch-Commit", "1");
        let answer = client
            .request_with_headers(subject(2), last, "{}".into())
            .await
            .unwrap();
        let answer = String::from_utf8(answer.payload.to_vec()).unwrap();
        assert!(answer.contains("10071"), "{answer}");
        assert_eq!(fleet.streams().await.unwrap()[0].messages, 1);
        assert!(leader.is_leading());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_full_stream_is_named_and_the_leader_goes_on_when_there_is_room() {
    let servers = Servers::start(1);
    let mut settings = servers.settings("main");
    settings.storage.work = 1 << 20;
    let fleet = Fleet::connect(settings).await.unwrap();
    fleet.init().await.unwrap();
    let leader = lead(&fleet, "a").await;
    let large = |number: usize| WorkMessage {
        source: "calls".to_owned(),
        fetch: number.to_string(),
        body: vec![b'x'; 100_000].into(),
    };
    let mut stored = 0;
    let error = loop {
        match leader.publish(vec![large(stored)]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ClusterError::Full(_)), "{error}");
    assert!((9..=10).contains(&stored), "{stored}");
    let (_, stream) = work_stream(&fleet).await;
    stream
        .purge()
        .filter("recording-host.main.work.>")
        .await
        .unwrap();
    leader.publish(vec![large(stored)]).await.unwrap();
    assert!(leader.is_leading());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_lease_that_servers_do_not_end_is_taken_over() {
    for left in [r#"{"v":1,"node":"gone","holder":"gone"}"#, "no lease"] {
        let servers = Servers::start(1);
        let fleet = servers.fleet("main").await;
        let (client, _) = work_stream(&fleet).await;
        let fence = "recording-host.main.fence.calls";
        // Without an age: it stays.
        let answer = client.request(fence, left.into()).await.unwrap();
        let answer = String::from_utf8(answer.payload.to_vec()).unwrap();
        assert!(!answer.contains("error"), "{answer}");
        // One that is renewed is not taken over, whoever does that.
        let candidate = Candidate::new(&fleet, "calls", "a").await.unwrap();
        let standing = tokio::spawn(async move { candidate.lead().await });
        for _ in 0..3 {
            sleep(Duration::from_secs(5)).await;
            assert!(!standing.is_finished());
            let mut headers = async_nats::HeaderMap::new();
            headers.insert("Nats-Rollup", "sub");
            let renewed = client.request_with_headers(fence, headers, left.into());
            let renewed = String::from_utf8(renewed.await.unwrap().payload.to_vec()).unwrap();
            assert!(!renewed.contains("error"), "{renewed}");
        }
        let began = Instant::now();
        let leader = timeout(TAKEOVER, standing).await.unwrap().unwrap().unwrap();
        println!(
            "a lease that nobody renews and nobody ends is another node's after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        leader.publish(fetches(["one".to_owned()])).await.unwrap();
    }
}

/// When each node has led, by one clock.
type Led = Arc<Mutex<Vec<(String, Instant, Instant)>>>;

/// Leads again and again, and notes from when until when.
async fn campaign(fleet: Fleet, node: String, led: Led) {
    let candidate = Candidate::new(&fleet, "calls", node.clone()).await.unwrap();
    loop {
        let Ok(leader) = candidate.lead().await else {
            continue;
        };
        let began = Instant::now();
        let mut until = began;
        while leader.is_leading() {
            until = Instant::now();
            sleep(Duration::from_millis(5)).await;
        }
        led.lock().unwrap().push((node.clone(), began, until));
    }
}

fn never_two(led: &Led) -> usize {
    let mut led = led.lock().unwrap().clone();
    led.sort_by_key(|it| it.1);
    for pair in led.windows(2) {
        assert!(pair[0].2 <= pair[1].1, "two led at once: {pair:?}");
    }
    led.len()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_a_renewal_that_hangs_never_gives_two_leaders() {
    let servers = Servers::start(1);
    servers.fleet("main").await;
    let led = Led::default();
    let (mut proxies, mut tasks) = (Vec::new(), tokio::task::JoinSet::new());
    for node in ["a", "b"] {
        let proxy = Proxy::to(servers.ports[0]).await;
        let settings = FleetSettings {
            servers: vec![format!("nats://127.0.0.1:{}", proxy.port)],
            ..servers.settings("main")
        };
        let fleet = Fleet::open(settings).await.unwrap();
        tasks.spawn(campaign(fleet, node.to_owned(), Arc::clone(&led)));
        proxies.push(proxy);
    }
    // Whoever leads is cut off for longer than the lease; then the other one.
    for stalled in [0, 1, 0] {
        sleep(Duration::from_secs(2)).await;
        proxies[stalled].stall(true);
        sleep(Duration::from_secs(14)).await;
        proxies[stalled].stall(false);
    }
    sleep(Duration::from_secs(12)).await;
    let times = never_two(&led);
    assert!(times >= 2, "each has stepped down: {times}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_the_fleet_is_led_again_after_the_death_of_the_server_that_leads_the_stream()
 {
    let mut servers = Servers::start(3);
    let fleet = servers.fleet("main").await;
    let led = Led::default();
    let mut tasks = tokio::task::JoinSet::new();
    for node in ["a", "b"] {
        let fleet = Fleet::open(servers.settings("main")).await.unwrap();
        tasks.spawn(campaign(fleet, node.to_owned(), Arc::clone(&led)));
    }
    let candidate = Candidate::new(&fleet, "calls", "c").await.unwrap();
    for _ in 0..3 {
        sleep(Duration::from_secs(3)).await;
        let server = servers.leader_of(&fleet, "_work").await;
        servers.kill(server);
        sleep(Duration::from_secs(15)).await;
        assert!(candidate.leader().await.unwrap().is_some(), "nobody leads");
        servers.restart(server);
    }
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    println!(
        "terms that ended during three deaths of a server: {}",
        never_two(&led)
    );
}
