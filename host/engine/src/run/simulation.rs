//! The run loop, the queue, the retries and the limiter in simulated time, with faults by a seed.
//!
//! The same seed makes the same run, to the millisecond, but where sinks are filled or repaired: rows are
//! read on other threads there, so that what is ready at one time may come in another order.
//! `RECORDING_HOST_SEEDS=FROM-TO` chooses the seeds; one that fails is named.

mod delivery;
mod fleet;
mod network;
mod pace;
mod source;
mod vendor;
mod world;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use super::{Concurrency, Engine, FleetRole, Follow, Interval, RunError, answer_room::AnswerRoom};
use crate::{
    identity::ExportIdentity, privacy::Intake, receipt::ReceiptContext, recover::ReceiptOwnership,
    repair::RepairReport, transfer::SinkBinding,
};
use delivery::Way;
use network::Network;
use recording_host_http::{AllowedOrigins, Authenticator, Limiter, OAuth, SourceHttp};
use recording_host_model::{
    Event, Events, Origin, OriginRole, RateLimit, Subscriber, clock::Clock,
};
use recording_host_state::{
    JournaledLedger, Ledger, MemoryFleet, MemoryJournal, Queue, QueueError, WorkQueue,
};
use source::Source;
use vendor::Vendor;
use world::{Change, DAY, Poison, START, TestSink, World};

/// Requests that the simulated vendor allows in a minute.
const ALLOWED: u32 = 120;

/// Seeds beyond those of each test run that have failed before.
const FAILED_ONCE: [u64; 35] = [
    367, 388, 416, 458, 780, 962, 1038, 2082, 2355, 2397, 2432, 2516, 2838, 3342, 3573, 3598, 4098,
    4630, 5078, 5190, 5360, 5434, 5602, 6100, 6527, 7416, 7556, 7913, 8207, 8452, 8466, 9292, 9530,
    9642, 9782,
];

/// How many runs a repair may take where sinks and source fail on the way.
const REPAIRS: u32 = 40;

/// How soon whoever watches over a machine of a fleet starts it again: first, and when it has failed often.
const RESTART: Duration = Duration::from_secs(10);
const RESTART_AT_LAST: Duration = Duration::from_secs(300);

/// A run of one seed: what was done, in the order in which it was done.
struct Ran {
    log: Vec<String>,
}

/// The part of an engine in a simulation.
#[derive(Clone)]
struct Part {
    fleet: FleetRole,
    /// Tells that the machine is dead.
    killed: Arc<Notify>,
    /// The rate of the vendor's client, which all engines of a fleet share.
    limiter: Arc<Limiter>,
    /// If each crash is of a machine whose disk is lost with it, and another one leads next.
    machines: Option<Machines>,
}

impl Part {
    /// The only engine.
    fn alone() -> Self {
        let limit = RateLimit {
            requests_per_minute: ALLOWED,
            count_header: Some("count".into()),
            allowed_header: Some("allowed".into()),
            reset_header: Some("reset".into()),
        };
        Part {
            fleet: FleetRole::Alone,
            killed: Arc::default(),
            limiter: Arc::new(Limiter::new(Some(limit))),
            machines: None,
        }
    }
}

/// What the machines of a fleet share.
#[derive(Clone)]
struct Machines {
    fleet: MemoryFleet,
    journal: MemoryJournal,
}

impl Machines {
    /// The next one leads, which has had no part in the export so far.
    async fn lead(&self, world: &Arc<Mutex<World>>, clock: Clock) -> (FleetRole, Kept) {
        let journal = Arc::new(self.journal.clone());
        let ledger = JournaledLedger::lead(Queue::in_memory().unwrap(), journal).await;
        let publisher = Network::of_leader(self.fleet.lead(), world, clock);
        (
            FleetRole::Leader(Arc::new(publisher)),
            Kept::of(&ledger.unwrap()),
        )
    }
}

/// The ledger of an engine, and the work queue that belongs to it.
#[derive(Clone)]
struct Kept {
    work: Arc<dyn WorkQueue>,
    ledger: Arc<dyn Ledger>,
}

impl Kept {
    fn of<T: Ledger + WorkQueue + Clone + 'static>(ledger: &T) -> Self {
        Kept {
            work: Arc::new(ledger.clone()),
            ledger: Arc::new(ledger.clone()),
        }
    }
}

fn run(
    world: &Arc<Mutex<World>>,
    kept: Kept,
    clock: Clock,
    seed: u64,
    part: &Part,
    (refill, repair): (Option<&'static str>, bool),
) -> Engine {
    // Long: one value, field by field.
    let world = Arc::clone(world);
    let origins = [
        Origin {
            url: "https://api.test".into(),
            role: OriginRole::Api,
        },
        Origin {
            url: "https://login.test/token".into(),
            role: OriginRole::Token,
        },
    ];
    let allow = AllowedOrigins::new(&origins, None, false);
    let oauth = OAuth::new(
        allow.token("https://login.test/token").unwrap(),
        "id".to_owned().into(),
        "secret".to_owned().into(),
    );
    let vendor = Arc::new(Vendor::new(Arc::clone(&world), clock));
    let (open, sinks) = {
        let world = world.lock().unwrap();
        (world.days.is_some(), world.sinks.clone())
    };
    Engine {
        spans: super::spans::WorkSpans::default(),
        export: "calls".into(),
        context: ReceiptContext::new("calls"),
        interval: Interval {
            from: START,
            until: (!open).then_some(START + DAY),
        },
        source: Arc::new(Source::new(Arc::clone(&world), Arc::clone(&part.killed))),
        fetch_size: 7,
        http: Arc::new(SourceHttp::over(
            vendor,
            allow,
            Arc::new(Authenticator::OAuth(oauth)),
            Arc::clone(&part.limiter),
            clock,
            seed,
        )),
        transfer: Arc::new(Way::new(
            Arc::clone(&world),
            Arc::clone(&kept.ledger),
            Arc::clone(&part.killed),
            clock,
        )),
        bindings: sinks
            .into_iter()
            .map(|name| {
                let lake = TestSink::new(name, Arc::clone(&world), clock);
                Arc::new(SinkBinding::new(name, Arc::new(lake)))
            })
            .collect(),
        absent: Vec::new(),
        refill: refill.into_iter().map(str::to_owned).collect(),
        claim: Arc::new(ReceiptOwnership::new(
            &ExportIdentity {
                text: "simulated".into(),
                form: "simulated".into(),
                label: "calls".into(),
                label_before: "calls".into(),
            },
            "calls",
        )),
        repair,
        work: kept.work,
        ledger: kept.ledger,
        fleet: part.fleet.clone(),
        intake: Arc::new(Intake::default()),
        clock,
        concurrency: Concurrency {
            splits: 5,
            transfers: 3,
        },
        answer_room: AnswerRoom::default(),
        follow: Follow {
            settle: Duration::from_secs(1800),
            look_back: Duration::from_secs(4 * 3600),
            every: Duration::from_secs(3600),
        },
        following: open,
        drain: tokio::sync::watch::channel(false).1,
        late: Duration::from_secs(6 * 3600),
        confirm: Duration::from_secs(3600),
        events: Events::default().with(Arc::new(Warnings(Arc::clone(&world)))),
    }
}

/// Notes what machines warn of.
struct Warnings(Arc<Mutex<World>>);

impl Subscriber for Warnings {
    fn on_event(&self, event: &Event) {
        if let Event::Warning { text } = event {
            self.0.lock().unwrap().warnings.push(text.clone());
        }
    }
}

/// Exports a world to its end, through crashes at any moment. The rate of the vendor's client is known anew after
/// each, unless a fleet shares it.
async fn export(world: &Arc<Mutex<World>>, clock: Clock, seed: u64, fleet: Option<&Part>) {
    let mut stale = Stale::new();
    export_through_crashes(world, clock, seed, fleet, &mut stale).await;
    end_all(&mut stale).await;
}

/// Stops them; they may have failed, and not come upon anything that cannot be.
async fn end_all(stale: &mut Stale) {
    stale.abort_all();
    while let Some(ended) = stale.join_next().await {
        match ended {
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => {}
        }
    }
}

/// Leaders that another one has taken the place of, and that go on for a while.
type Stale = JoinSet<Result<Result<RepairReport, RunError>, tokio::time::error::Elapsed>>;

async fn export_through_crashes(
    world: &Arc<Mutex<World>>,
    clock: Clock,
    seed: u64,
    fleet: Option<&Part>,
    stale: &mut Stale,
) {
    // Long: the loop of an export through crashes, in order.
    let queue = Queue::in_memory().unwrap();
    let (_running, stop) = watch::channel(false);
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x5eed);
    let (mut crashes, follows) = {
        let world = world.lock().unwrap();
        (world.crashes, world.days)
    };
    let began = clock.now();
    // The change between two runs, once: a sink is added, or one is wiped and filled anew.
    let mut change = world.lock().unwrap().change;
    let mut refill = None;
    let (mut repair, mut repairs) = (false, 0);
    let mut wait = RESTART;
    // Long enough for the last day to be compacted.
    let end = follows.map(|days| began + days * DAY + DAY + DAY / 2);
    loop {
        let mut part = fleet.cloned().unwrap_or_else(Part::alone);
        let mut kept = Kept::of(&queue);
        if let Some(machines) = part.machines.clone() {
            (part.fleet, kept) = machines.lead(world, clock).await;
        }
        let run = Arc::new(run(world, kept, clock, seed, &part, (refill, repair)));
        let mut going = Box::pin({
            let (run, stop) = (Arc::clone(&run), stop.clone());
            async move { run.run(stop).await }
        });
        let left = end.map_or(u64::MAX, |end| end.saturating_sub(clock.now()));
        let until_crash = if crashes > 0 {
            let scale = if follows.is_some() {
                20_000_000
            } else {
                90_000
            };
            rng.random_range(0..scale)
        } else {
            u64::MAX
        };
        let time = Duration::from_millis(left.min(until_crash).min(400 * DAY));
        match tokio::time::timeout(time, &mut going).await {
            Ok(Ok(repaired)) => match change.take() {
                Some(change) => {
                    end_all(stale).await;
                    repair = matches!(change, Change::Damage);
                    refill = world.lock().unwrap().change_sinks(change);
                }
                None if repair && repairs < REPAIRS => {
                    // One after which the sinks are as they should be, as far as they can be read.
                    repairs += 1;
                    let left = run.left(RepairReport::default()).await;
                    // As the program does, it looks again at what it could not look at.
                    if repaired.postponed == 0 && left.is_ok_and(|left| left.left.is_empty()) {
                        return;
                    }
                }
                None => return,
            },
            // Whatever ends a run early, the next one resumes from there.
            Ok(Err(
                RunError::Source(_)
                | RunError::Unavailable(_)
                | RunError::Sink(_)
                | RunError::Sandbox(_)
                | RunError::Queue(QueueError::Backend(_)),
            )) => {
                if fleet.is_some() {
                    // Whoever starts it again waits longer each time: nodes go on meanwhile.
                    clock.sleep(wait).await;
                    wait = (wait * 2).min(RESTART_AT_LAST);
                }
            }
            Ok(Err(error)) => panic!("{error}"),
            Err(_) if end.is_some_and(|end| clock.now() >= end) => return,
            Err(_) => {
                if part.machines.is_some() && rng.random_bool(0.5) {
                    // It has not stopped, and does not know that another one leads.
                    stale.spawn(tokio::time::timeout(Duration::from_secs(90), going));
                }
                crashes = crashes.saturating_sub(1);
                if let Some(change) = change.take_if(|_| rng.random_bool(0.5)) {
                    // Nobody may write to a sink while it is emptied.
                    end_all(stale).await;
                    repair = matches!(change, Change::Damage);
                    refill = world.lock().unwrap().change_sinks(change);
                }
            }
        }
        assert!(clock.now() < began + 300 * DAY, "it does not end");
    }
}

/// The clock of a simulation. An export of the past begins a day later, when all calls are over.
fn clock_of(world: &Mutex<World>) -> Clock {
    let began = match world.lock().unwrap().days {
        Some(_) => START,
        None => START + 2 * DAY,
    };
    Clock::starting_at(began, 1.0)
}

/// Runs a simulation on this thread, in no time; what is under way at its end is dropped.
fn in_simulated_time<T>(simulation: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(simulation)
}

fn simulate(seed: u64) -> Ran {
    let world = Arc::new(Mutex::new(World::new(seed)));
    in_simulated_time(async { export(&world, clock_of(&world), seed, None).await });
    let world = world.lock().unwrap();
    world.check();
    Ran {
        log: world.log.clone(),
    }
}

/// Runs seeds on every core; returns those that fail, with what they say.
fn all(seeds: &[u64], simulate: fn(u64) -> Ran) -> BTreeMap<u64, String> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(&seed) = seeds.get(at) else {
                        return;
                    };
                    if let Err(panic) = std::panic::catch_unwind(|| simulate(seed)) {
                        let text = panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                        let text = text.unwrap_or_default();
                        failed.lock().unwrap().insert(seed, text);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_is_twice() {
    check(simulate, (0..300).chain(FAILED_ONCE));
}

/// Fails if any seed does: those of the environment, or else these.
fn check(simulate: fn(u64) -> Ran, seeds: impl Iterator<Item = u64>) {
    let seeds: Vec<u64> = match std::env::var("RECORDING_HOST_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once('-').expect("FROM-TO");
            (from.parse().unwrap()..to.parse().unwrap()).collect()
        }
        Err(_) => seeds.collect(),
    };
    let failed = all(&seeds, simulate);
    let each = failed
        .iter()
        .map(|(seed, text)| format!("\nseed {seed}: {text}"));
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed:{}",
        failed.len(),
        seeds.len(),
        each.collect::<String>()
    );
}

#[test]
fn a_seed_repeats_to_the_millisecond() {
    for seed in [1, 2, 3, 50, 51] {
        let (one, other) = (simulate(seed), simulate(seed));
        let differs = one.log.iter().zip(&other.log).position(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.log.len(), other.log.len(), "seed {seed}");
    }
}

#[test]
fn without_faults_no_work_is_repeated() {
    for seed in 0..20 {
        let world = Arc::new(Mutex::new(World::calm(seed)));
        in_simulated_time(async { export(&world, clock_of(&world), seed, None).await });
        assert_nothing_repeated(&world, seed);
    }
}

/// Fails if work was done that a calm world has no need of.
fn assert_nothing_repeated(world: &Mutex<World>, seed: u64) {
    let world = world.lock().unwrap();
    world.check();
    let wanted = world.conversations.iter().filter(|one| one.wanted());
    assert_eq!(world.submits, wanted.count().div_ceil(7), "seed {seed}");
    assert_eq!(world.refused, 0, "seed {seed}");
    assert!(
        world.stored.values().all(|&times| times == 1),
        "seed {seed}"
    );
}
