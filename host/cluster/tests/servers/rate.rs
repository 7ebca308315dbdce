//! All nodes together keep the vendor's limit, and use it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use recording_host_cluster::{Fleet, FleetRateLimiter, FleetSettings, RateLimit, Slot};
use tokio::{task::JoinSet, time::sleep};

use super::nats::Servers;

const LIMIT: RateLimit = RateLimit {
    requests: 300,
    window: Duration::from_secs(60),
};

async fn rate(settings: &FleetSettings, credential: &str) -> Arc<FleetRateLimiter> {
    let fleet = Fleet::connect(settings.clone()).await.unwrap();
    Arc::new(
        FleetRateLimiter::open(&fleet, credential, LIMIT)
            .await
            .unwrap(),
    )
}

/// Sends requests without end, eight at a time.
fn send(
    rate: &Arc<FleetRateLimiter>,
    tasks: &mut JoinSet<()>,
    sent: impl Fn(Slot) + Clone + Send + Sync + 'static,
) {
    for _ in 0..8 {
        let (rate, sent) = (Arc::clone(rate), sent.clone());
        tasks.spawn(async move {
            loop {
                sent(rate.acquire().await.unwrap());
            }
        });
    }
}

/// The most that any stretch of time holds that is as long as a window.
fn fullest(times: &[Instant]) -> usize {
    let within = |number: usize| {
        let end = times[number] + LIMIT.window;
        times[number..].partition_point(|at| *at < end)
    };
    (0..times.len()).map(within).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_four_nodes_never_exceed_the_limit_and_use_95_percent_of_it() {
    let servers = Servers::start(3);
    let settings = servers.settings("main");
    servers.fleet("main").await;
    let times = Arc::<Mutex<Vec<(usize, Instant)>>>::default();
    let mut tasks = JoinSet::new();
    for node in 0..4 {
        let rate = rate(&settings, "client").await;
        let times = Arc::clone(&times);
        send(&rate, &mut tasks, move |_| {
            times.lock().unwrap().push((node, Instant::now()))
        });
    }
    sleep(2 * LIMIT.window + Duration::from_secs(3)).await;
    tasks.shutdown().await;
    let mut times = times.lock().unwrap().clone();
    times.sort_by_key(|(_, at)| *at);
    let shares = [0, 1, 2, 3].map(|node| times.iter().filter(|it| it.0 == node).count());
    let times: Vec<Instant> = times.into_iter().map(|(_, at)| at).collect();
    let fullest = fullest(&times);
    // Two windows, from the first request on, as a vendor counts.
    let windows = [0, 1].map(|number| {
        let from = times[0] + number * LIMIT.window;
        let within = |at: &&Instant| (from..from + LIMIT.window).contains(*at);
        times.iter().filter(within).count()
    });
    println!(
        "four nodes sent {windows:?} of {} in a window; at most {fullest} in any; by node {shares:?}",
        LIMIT.requests
    );
    assert!(fullest <= LIMIT.requests as usize, "{fullest}");
    for sent in windows {
        assert!(sent * 100 >= LIMIT.requests as usize * 95, "{sent}");
    }
    for share in shares {
        assert!(
            share * 8 >= times.len(),
            "a fair share is a quarter: {shares:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_node_that_dies_costs_the_slots_that_it_has_leased() {
    let servers = Servers::start(1);
    let settings = servers.settings("main");
    servers.fleet("main").await;
    let slots = Arc::<Mutex<Vec<u64>>>::default();
    let (mut dies, mut lives) = (JoinSet::new(), JoinSet::new());
    for tasks in [&mut dies, &mut lives] {
        let rate = rate(&settings, "client").await;
        let slots = Arc::clone(&slots);
        send(&rate, tasks, move |slot| {
            slots.lock().unwrap().push(slot.at)
        });
    }
    sleep(Duration::from_secs(5)).await;
    dies.shutdown().await;
    sleep(Duration::from_secs(10)).await;
    lives.shutdown().await;
    let mut slots = slots.lock().unwrap().clone();
    slots.sort_unstable();
    let apart: Vec<u64> = slots.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slot = *apart.iter().min().unwrap();
    assert!(slot >= 200_000, "no slot is used twice: {slot} µs");
    let unused: u64 = apart.iter().map(|it| it / slot - 1).sum();
    println!("slots that a dead node has cost: {unused}");
    // One for each of its requests that waited, and a slice.
    assert!(unused <= 8 + 5, "{unused}");
    assert!(slots.len() > 60, "{}", slots.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_pause_is_one_of_all_nodes_and_credentials_do_not_wait_for_each_other() {
    let servers = Servers::start(1);
    let settings = servers.settings("main");
    servers.fleet("main").await;
    let [one, other, of_another] = [
        rate(&settings, "client").await,
        rate(&settings, "client").await,
        rate(&settings, "another client").await,
    ];
    let first = one.acquire().await.unwrap();
    let pause = Duration::from_secs(4);
    one.pause(pause).await.unwrap();
    let after = of_another.acquire().await.unwrap();
    assert!(
        after.at < first.at + 4_000_000,
        "it does not wait for the other's pause"
    );
    for rate in [&other, &one] {
        let slot = rate.acquire().await.unwrap();
        assert!(
            slot.at >= first.at + 4_000_000,
            "{slot:?} is in the pause from {first:?} on"
        );
    }
}
