//! A leader and its nodes in one simulation: any of them stops at any moment, and fetches are taken from nodes that
//! go on.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use recording_host_model::clock::Clock;
use recording_host_state::{MemoryFleet, MemoryJournal, Queue, fleet::FetchConsumer as _};
use tokio::{sync::watch, task::JoinSet};

use super::{
    Kept, Machines, Part, Poison, Ran, World, assert_nothing_repeated, check, clock_of, export,
    in_simulated_time, network::Network, run,
};
use crate::run::FleetRole;

const NODES: u64 = 3;
/// A node that has failed so often fails for a reason that does not pass.
const MOST_FAILURES: u32 = 1000;

/// Does fetches until the simulation ends, through as many crashes as the world has.
async fn node(world: Arc<Mutex<World>>, fleet: MemoryFleet, clock: Clock, seed: u64, part: Part) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x00de);
    let mut crashes = world.lock().unwrap().crashes;
    let (_running, stop) = watch::channel(false);
    let mut failed = 0;
    loop {
        let part = Part {
            fleet: FleetRole::Node(Arc::new(Network::of_node(&fleet, &world, clock))),
            killed: Arc::default(),
            ..part.clone()
        };
        let killed = Arc::clone(&part.killed);
        let queue = Queue::for_node().unwrap();
        let engine = run(&world, Kept::of(&queue), clock, seed, &part, (None, false));
        drop(part);
        let until_crash = match crashes {
            0 => u64::MAX / 4,
            _ => rng.random_range(0..90_000),
        };
        let time = Duration::from_millis(until_crash);
        tokio::select! {
            worked = tokio::time::timeout(time, engine.work(stop.clone())) => match worked {
                Err(_) => crashes = crashes.saturating_sub(1),
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    failed += 1;
                    assert!(failed < MOST_FAILURES, "a node never comes to work: {error}");
                }
            },
            () = killed.notified() => {}
        }
        drop(engine);
        clock.sleep(Duration::from_secs(1)).await;
    }
}

/// Takes fetches from nodes that have not stopped, as servers do that have not heard of them for long.
async fn redeliver(fleet: MemoryFleet, clock: Clock, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0xde11);
    for _ in 0..rng.random_range(0..6) {
        let pause = rng.random_range(0..120_000);
        clock.sleep(Duration::from_millis(pause)).await;
        let taken = fleet.taken();
        if !taken.is_empty() {
            fleet.redeliver(&taken[rng.random_range(0..taken.len())]);
        }
    }
}

/// Waits for an export; fails if any of the others does.
async fn beside(others: &mut JoinSet<()>, export: impl Future<Output = ()>) {
    tokio::pin!(export);
    loop {
        tokio::select! {
            () = &mut export => break,
            Some(ended) = others.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
    others.shutdown().await;
}

/// Exports a world; the leader comes back after a crash, or another one `fails_over` with nothing but the journal.
async fn export_by_fleet(world: &Arc<Mutex<World>>, seed: u64, fails_over: bool) {
    let clock = clock_of(world);
    let fleet = MemoryFleet::new();
    let mut part = Part::alone();
    part.machines = fails_over.then(|| Machines {
        fleet: fleet.clone(),
        journal: MemoryJournal::new(),
    });
    let mut others = JoinSet::new();
    for number in 0..NODES {
        let (world, part) = (Arc::clone(world), part.clone());
        let seed = seed.wrapping_mul(31).wrapping_add(number);
        others.spawn(node(world, fleet.clone(), clock, seed, part));
    }
    others.spawn(redeliver(fleet.clone(), clock, seed));
    let publisher = Network::of_leader(fleet.clone(), world, clock);
    part.fleet = FleetRole::Leader(Arc::new(publisher));
    beside(&mut others, export(world, clock, seed, Some(&part))).await;
    let follows = world.lock().unwrap().days.is_some();
    assert!(follows || fleet.waiting() == 0, "a fetch is left");
}

fn simulate_fleet(seed: u64, fails_over: bool) -> Ran {
    let world = Arc::new(Mutex::new(World::new(seed)));
    in_simulated_time(export_by_fleet(&world, seed, fails_over));
    let world = world.lock().unwrap();
    world.check();
    Ran {
        log: world.log.clone(),
    }
}

#[test]
fn whatever_happens_to_a_fleet_nothing_is_lost_and_nothing_is_twice() {
    check(|seed| simulate_fleet(seed, false), 0..200);
}

#[test]
fn whichever_machine_leads_nothing_is_lost_and_nothing_is_twice() {
    check(|seed| simulate_fleet(seed, true), 0..200);
}

/// How many conversations are lost of an export without any other fault during which something kills each machine that
/// does it; fails for one that need not be.
fn losses_of(seed: u64, poison: Poison) -> usize {
    let mut world = World::calm(seed);
    let mut calls = world.conversations.iter();
    let Some(call) = calls.find(|call| call.recordings.len() > 1) else {
        return 0;
    };
    let (conversation, recording) = (call.id.clone(), format!("{}-r0", call.id));
    let id = match poison {
        Poison::Step | Poison::Refresh => conversation.clone(),
        Poison::Download => recording,
    };
    if poison == Poison::Refresh {
        // Links are lost with the machines that had them.
        world.crashes = 20;
    }
    world.poison = Some((poison, id.clone()));
    let world = Arc::new(Mutex::new(world));
    in_simulated_time(export_by_fleet(&world, seed, false));
    let lost = world.lock().unwrap().losses();
    if poison == Poison::Refresh {
        // Those whose links are asked for together are lost together.
        for receipt in lost.values() {
            assert!(
                receipt.to_string().contains("fetch-not-ended"),
                "{seed}: {receipt}"
            );
        }
        return lost.len();
    }
    assert_eq!(
        lost.keys().collect::<Vec<_>>(),
        [&conversation],
        "{seed}, {poison:?}: {lost:?}"
    );
    let receipt = &lost[&conversation];
    let named = match poison {
        Poison::Step => receipt["code"] == "fetch-not-ended",
        _ => receipt["missing"][0][0] == "fetch-not-ended",
    };
    assert!(named, "{seed}, {poison:?}: {receipt}");
    lost.len()
}

#[test]
fn what_kills_every_machine_is_a_loss_and_everything_else_is_stored() {
    for poison in [Poison::Step, Poison::Download, Poison::Refresh] {
        let lost: usize = (0..20).map(|seed| losses_of(seed, poison)).sum();
        assert!(lost > 0, "{poison:?}");
    }
}

/// Exports a world in which nothing goes wrong, beside what is done to the fleet meanwhile.
fn export_calmly<F>(seed: u64, meanwhile: impl FnOnce(MemoryFleet, Clock) -> F) -> Arc<Mutex<World>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let world = Arc::new(Mutex::new(World::calm(seed)));
    in_simulated_time(async {
        let clock = clock_of(&world);
        let fleet = MemoryFleet::new();
        let mut part = Part::alone();
        let mut others = JoinSet::new();
        for number in 0..NODES {
            let (world, part) = (Arc::clone(&world), part.clone());
            others.spawn(node(world, fleet.clone(), clock, number, part));
        }
        others.spawn(meanwhile(fleet.clone(), clock));
        let publisher = Network::of_leader(fleet, &world, clock);
        part.fleet = FleetRole::Leader(Arc::new(publisher));
        beside(&mut others, export(&world, clock, seed, Some(&part))).await;
    });
    world
}

#[test]
fn what_is_taken_from_one_node_after_another_is_no_loss() {
    for seed in 0..20 {
        let world = export_calmly(seed, |fleet, clock| async move {
            let mut rng = SmallRng::seed_from_u64(seed);
            // Far more often than one is that may be what stops nodes.
            for _ in 0..200 {
                let pause = rng.random_range(0..8000);
                clock.sleep(Duration::from_millis(pause)).await;
                fleet
                    .taken()
                    .iter()
                    .for_each(|fetch| fleet.redeliver(fetch));
            }
        });
        let world = world.lock().unwrap();
        world.check();
        let lost = world.losses();
        assert!(lost.is_empty(), "{seed}: {lost:?}");
        // What comes back to a machine that has lost it goes on there.
        let mut warnings = world.warnings.iter();
        let held_up = warnings.find(|it| it.contains("handed over again"));
        assert_eq!(held_up, None, "{seed}");
    }
}

/// Takes a fetch from the machine that has it and has a machine take it that does nothing of it, a hundred times.
async fn take_in_vain(fleet: MemoryFleet, clock: Clock, given_up: Arc<AtomicU32>) {
    let fetch = loop {
        if let Some(fetch) = fleet.taken().pop() {
            break fetch;
        }
        clock.sleep(Duration::from_millis(1)).await;
    };
    let idle = fleet.node();
    for _ in 0..100 {
        fleet.redeliver(&fetch);
        let taken = idle.take().await.unwrap();
        assert_eq!(taken.order.fetch, fetch, "no other one is free");
    }
    fleet.redeliver(&fetch);
    given_up.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn what_machines_take_a_hundred_times_and_do_nothing_of_is_divided_or_lost_by_name() {
    let taken = Arc::new(AtomicU32::new(0));
    let (mut divided, mut lost) = (0, 0);
    for seed in 0..40 {
        let undisturbed = export_calmly(seed, |_, _| async {});
        let count = Arc::clone(&taken);
        let world = export_calmly(seed, |fleet, clock| take_in_vain(fleet, clock, count));
        let world = world.lock().unwrap();
        let losses = world.losses();
        if losses.is_empty() {
            world.check();
        }
        // One conversation cannot be divided.
        assert!(losses.len() < 2, "{seed}: {losses:?}");
        for receipt in losses.values() {
            assert_eq!(receipt["code"], "fetch-not-ended", "{seed}: {receipt}");
        }
        lost += losses.len();
        divided += usize::from(world.jobs.len() > undisturbed.lock().unwrap().jobs.len());
    }
    let taken = taken.load(Ordering::Relaxed) as usize;
    println!("{taken} taken in vain, {divided} divided, {lost} lost");
    assert!(taken > 20 && divided + lost >= taken);
}

#[test]
fn what_a_machine_has_and_never_does_is_done_by_another() {
    let hung = Arc::new(AtomicU32::new(0));
    for seed in 0..20 {
        let count = Arc::clone(&hung);
        let world = export_calmly(seed, |fleet, _| async move {
            let hangs = fleet.node();
            let taken = hangs.take().await;
            count.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
            drop((taken, hangs));
        });
        let world = world.lock().unwrap();
        world.check();
        let lost = world.losses();
        assert!(lost.is_empty(), "{seed}: {lost:?}");
    }
    assert!(hung.load(Ordering::Relaxed) > 10);
}

#[test]
fn without_faults_a_fleet_repeats_no_work() {
    for seed in 0..20 {
        let world = export_calmly(seed, |_, _| async {});
        assert_nothing_repeated(&world, seed);
    }
}
