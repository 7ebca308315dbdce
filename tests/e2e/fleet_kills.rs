//! A fleet of programs on NATS servers, whose processes are killed, stopped for a while and parted from one another at
//! random moments, makes the archive that one undisturbed machine makes. `tests/fleet-kills` runs all of it; the ordinary
//! tests a part.

#[path = "fleet_kills/leads.rs"]
mod leads;
#[path = "fleet_kills/site.rs"]
mod site;
#[path = "fleet_kills/storm.rs"]
mod storm;
#[path = "fleet_kills/throughput.rs"]
mod throughput;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use genesys_simulator::{Faults, Settings};

use crate::{
    crashes::{Files, TestSink, patient, proven},
    support::{self, Harness},
};
use leads::Leads;
use site::{Setup, Site, Work};
use storm::{Blows, Storm};

/// How many programs there are.
const PROGRAMS: usize = 4;
/// The conversations of a fetch, at most.
const FETCH: u64 = 100;
/// How often each fault strikes, where it can.
const FAULTS: f64 = 0.03;
/// The part of a fetch's time that its job takes; the rest is for its files.
const JOB: f64 = 0.7;

/// The least that a job takes: one that is soon over is taken for one that hangs.
const LEAST_JOB: Duration = Duration::from_secs(5);

/// Whether faults strike that make any machine request fresh links, which takes a batch if that was in vain three times:
/// files that are not what they claim to be and links that end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CostlyFaults {
    Strike,
    /// Then it is seen how often kills cost a batch.
    Never,
}

impl CostlyFaults {
    fn faults(self) -> Faults {
        let all = Faults::all(FAULTS);
        match self {
            CostlyFaults::Strike => all,
            CostlyFaults::Never => Faults {
                expired: 0.0,
                truncated: 0.0,
                corrupted: 0.0,
                unknown_content_type: 0.0,
                ..all
            },
        }
    }
}

/// A number that an environment variable gives.
fn given(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(otherwise, |text| {
        let number = text.parse();
        number.unwrap_or_else(|_| panic!("{name} is no number: {text}"))
    })
}

/// How much is done to a fleet.
#[derive(Clone, Copy, Debug)]
struct Plan {
    conversations: u64,
    blows: Blows,
    /// Fetches that are in progress at once.
    at_once: u64,
    /// How fast the contact center's time runs. Leases and shared rates have no other time than the real one: only at
    /// 1 do all nodes together come near the vendor's limit, but its faults last as long as they say.
    speed: f64,
    costly: CostlyFaults,
}

impl Plan {
    fn given(otherwise: Plan) -> Self {
        Plan {
            conversations: given("FLEET_CONVERSATIONS", otherwise.conversations),
            blows: Blows {
                kills: given("FLEET_KILLS", otherwise.blows.kills),
                partitions: given("FLEET_PARTITIONS", otherwise.blows.partitions),
                freezes: given("FLEET_FREEZES", otherwise.blows.freezes),
            },
            ..otherwise
        }
    }

    /// How long a job takes: the vendor's jobs are what the export waits for, until everything was done to it.
    fn job_time(&self) -> Duration {
        let disturbed = storm::MEAN_PAUSE * u32::try_from(self.blows.count()).unwrap();
        let rounds = self.conversations.div_ceil(FETCH * self.at_once);
        disturbed.mul_f64(JOB / rounds as f64).max(LEAST_JOB)
    }
}

fn settings(conversations: u64) -> Settings {
    Settings {
        conversations,
        seed: 17,
        // Many files and few bytes.
        mean_call: Duration::from_secs(4),
        analytics_job_time: Duration::from_secs(5),
        ..Settings::default()
    }
}

/// Programs that differ in nothing but their names.
fn alike(programs: usize) -> Vec<Setup> {
    vec![Setup::with(Vec::new()); programs]
}

/// A program whose clock is wrong, but for the monotonic one.
fn wrong_by(offset: &str) -> Setup {
    let library = std::env::var("LIBFAKETIME");
    let library = library.expect("LIBFAKETIME is not set: tests/run installs faketime and sets it");
    Setup::with(vec![
        ("LD_PRELOAD", library),
        ("FAKETIME", offset.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ])
}

/// What one undisturbed machine makes of a contact center, and the batch jobs that it takes.
async fn undisturbed(settings: Settings) -> (Files, u64) {
    let harness = Harness::start(settings).await;
    support::export(patient(harness.config())).await;
    let submitted = harness.simulator.batches().submitted;
    (support::files(&harness.output()), submitted)
}

/// Nothing is missing, nothing is there twice, and hardly anything was asked of the vendor twice: `again` batch jobs and
/// one in fifty, besides those that nobody could have had the results of.
async fn nothing_lost(site: &Site, wanted: &Files, fewest: u64, again: u64) {
    let harness = &site.harness;
    let earlier = proven(harness, &TestSink::Folder, site.config(), wanted).await;
    let path = harness.write(site.config()).display().to_string();
    let verify = ["verify", "--full", "--config", &path];
    let verified = harness.run_program(&verify).await;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{said}");
    let (stats, batches) = (harness.simulator.stats(), harness.simulator.batches());
    let calls: u64 = stats.requests.values().sum();
    println!(
        "{} batch jobs, {fewest} are the fewest; {} of them never end, of {} the id was lost; {calls} calls, {} refused with 429; {earlier} rows of earlier attempts",
        batches.submitted, batches.stuck, batches.unheard, stats.refused
    );
    assert!(
        stats.refused * 1000 <= calls,
        "{} of {calls} calls were refused",
        stats.refused
    );
    // One that never ends may be divided in two.
    let needed = fewest + 2 * batches.stuck + batches.unheard;
    let most = (needed as f64 * 1.02) as u64 + again;
    assert!(
        batches.submitted <= most,
        "{} batch jobs, {most} at most",
        batches.submitted
    );
}

/// An export during which processes are killed, stand still and are parted from one another.
async fn through_kills(plan: Plan) {
    let seed = given("FLEET_SEED", 1);
    let settings = settings(plan.conversations);
    let (wanted, fewest) = undisturbed(settings.clone()).await;
    let work = Work {
        job_time: plan.job_time(),
        at_once: plan.at_once,
        speed: plan.speed,
    };
    let faulty = Settings {
        faults: plan.costly.faults(),
        fault_seed: Some(seed),
        ..settings
    };
    let mut site = Site::start(faulty, work, alike(PROGRAMS)).await;
    let report = Storm::new(seed, plan.blows).rage(&mut site).await;
    println!("{report}");
    assert_eq!(
        report.blows(),
        plan.blows,
        "the export ended before all was done to it: give it more conversations, or slower jobs"
    );
    nothing_lost(
        &site,
        &wanted,
        fewest,
        plan.blows.kills + plan.blows.freezes,
    )
    .await;
}

/// An export during which all servers are away for a while.
async fn through_an_outage(conversations: u64, away: Duration) {
    let settings = settings(conversations);
    let (wanted, fewest) = undisturbed(settings.clone()).await;
    let work = Work {
        job_time: Duration::from_secs(10),
        at_once: 4,
        speed: 1.0,
    };
    let mut site = Site::start(settings, work, alike(2)).await;
    let submitted = |site: &Site| site.harness.simulator.batches().submitted;
    site.until(|site| submitted(site) > fewest / 4).await;
    site.servers.stop();
    site.rest(away).await;
    let (during, again) = (submitted(&site), Instant::now());
    assert!(
        !site.any_ended(),
        "the export ended while the servers were away"
    );
    site.servers.start_again();
    site.until(|site| submitted(site) > during || site.any_ended())
        .await;
    println!(
        "servers away for {} s: the next batch job {:.1} s after they were back",
        away.as_secs(),
        again.elapsed().as_secs_f64()
    );
    site.until(Site::all_ended).await;
    nothing_lost(&site, &wanted, fewest, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn a_fleet_whose_processes_are_killed_loses_nothing_and_does_nothing_twice() {
    through_kills(Plan::given(Plan {
        conversations: 1500,
        blows: Blows {
            kills: 10,
            partitions: 2,
            freezes: 2,
        },
        at_once: 4,
        speed: 4.0,
        costly: CostlyFaults::Never,
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn a_fleet_whose_servers_were_away_goes_on_by_itself() {
    through_an_outage(800, Duration::from_secs(given("FLEET_OUTAGE", 20))).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers and libfaketime, which tests/run installs"]
async fn machines_whose_clocks_differ_by_minutes_export_together() {
    let settings = settings(600);
    let (wanted, fewest) = undisturbed(settings.clone()).await;
    let work = Work {
        job_time: Duration::from_secs(8),
        at_once: 2,
        speed: 1.0,
    };
    let clocks = ["+7m", "-7m", "+3m", "-1m"].map(wrong_by);
    let mut site = Site::start(settings, work, clocks.to_vec()).await;
    let submitted = |site: &Site| site.harness.simulator.batches().submitted;
    let leads = Leads::watch(&site.fleet).await;
    // The one that leads dies, so that another clock counts.
    let mut led = BTreeSet::new();
    for part in 1..=2 {
        site.until(|site| submitted(site) >= part * fewest / 3)
            .await;
        let (_, leader) = leads.now().expect("nobody leads");
        let number = site.machines.iter().position(|it| it.name == leader.node);
        site.kill(number.unwrap());
        led.insert(leader.node.clone());
        site.until(|_| leads.now().is_some_and(|(_, now)| now != leader))
            .await;
    }
    println!("{led:?} have led, and then {:?}", leads.now());
    site.until(Site::all_ended).await;
    nothing_lost(&site, &wanted, fewest, 2).await;
}

/// A large and a small organization, and the share of the large one's batch jobs that were submitted when the small one
/// was exported.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn organizations_of_one_fleet_are_exported_side_by_side() {
    let work = Work {
        job_time: Duration::from_secs(4),
        at_once: 2,
        speed: 1.0,
    };
    let (large, small) = (
        settings(1600),
        Settings {
            seed: 18,
            ..settings(200)
        },
    );
    let (wanted, fewest) = undisturbed(large.clone()).await;
    let (also, fewest_of_small) = undisturbed(small.clone()).await;
    let paced = |settings| Settings {
        job_time: work.job_time,
        ..settings
    };
    let other = Harness::fast(paced(small), work.speed).await;
    let mut site = Site::start_beside(paced(large), work, alike(2), &[("other", &other)]).await;
    let submitted = |harness: &Harness| harness.simulator.batches().submitted;
    site.until(|_| submitted(&other) == fewest_of_small).await;
    let of_large = submitted(&site.harness);
    println!(
        "{of_large} of {fewest} batch jobs when the small organization had all of its {fewest_of_small}"
    );
    assert!(
        of_large > 0 && of_large * 2 < fewest,
        "{of_large} of {fewest}"
    );
    site.until(Site::all_ended).await;
    for (harness, fewest) in [(&site.harness, fewest), (&other, fewest_of_small)] {
        let (stats, submitted) = (harness.simulator.stats(), submitted(harness));
        assert_eq!((submitted, stats.refused), (fewest, 0));
    }
    let found = support::files(&site.harness.output());
    let mut both = support::media(&wanted);
    both.extend(support::media(&also));
    support::same_media(&support::media(&found), &both);
    let path = site.harness.write(site.config()).display().to_string();
    let verify = ["verify", "--full", "--config", &path];
    let verified = site.harness.run_program(&verify).await;
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{said}");
}

/// An export by a former version of the program, whose machines are upgraded one after another; one goes back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a former version of the program, which tests/fleet-upgrade builds"]
async fn a_fleet_of_two_versions_exports_together() {
    let former = std::env::var_os("FORMER_PROGRAM").expect("FORMER_PROGRAM names no program");
    let former = PathBuf::from(former);
    let settings = settings(2000);
    let (wanted, fewest) = undisturbed(settings.clone()).await;
    let work = Work {
        job_time: Duration::from_secs(6),
        at_once: 3,
        speed: 1.0,
    };
    let begun = Setup {
        program: Some(former.clone()),
        variables: Vec::new(),
    };
    let mut site = Site::start(settings, work, vec![begun; 3]).await;
    let submitted = |site: &Site| site.harness.simulator.batches().submitted;
    let steps = [
        (0, None),
        (1, None),
        (1, Some(&*former)),
        (2, None),
        (1, None),
    ];
    for (step, (number, program)) in steps.into_iter().enumerate() {
        let part = (step as u64 + 1) * fewest / 7;
        site.until(|site| submitted(site) >= part || site.any_ended())
            .await;
        assert!(!site.any_ended(), "the export ended too early");
        site.exchange(number, program);
    }
    site.until(Site::all_ended).await;
    nothing_lost(&site, &wanted, fewest, 0).await;
}

/// The same at full size, and what four machines bring.
mod a_hundred_kills_of_a_fleet {
    use super::{
        Blows, CostlyFaults, Duration, Plan, given, through_an_outage, through_kills, throughput,
    };

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes half an hour; tests/fleet-kills runs it"]
    async fn and_twenty_partitions_lose_nothing_and_do_nothing_twice() {
        through_kills(Plan::given(Plan {
            conversations: 20_000,
            blows: Blows {
                kills: 100,
                partitions: 20,
                freezes: 20,
            },
            at_once: 16,
            speed: 1.0,
            costly: CostlyFaults::Strike,
        }))
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes minutes; tests/fleet-kills runs it"]
    async fn minutes_without_servers_are_waited_out() {
        through_an_outage(800, Duration::from_secs(given("FLEET_OUTAGE", 300))).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "takes minutes; tests/fleet-kills runs it"]
    async fn four_machines_bring_more_than_one() {
        throughput::compare(given("FLEET_MEDIA", 12_000)).await;
    }
}
