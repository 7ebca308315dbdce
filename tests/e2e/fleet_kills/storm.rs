//! What happens to a fleet at random moments until its export ends: processes are killed, stand still, and are parted
//! from others.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use recording_host_cluster::Holder;
use tokio::time::sleep;

use super::{
    leads::Leads,
    site::{LOOK, Machine, Site},
};

/// How long nothing is done between two blows (ms).
const PAUSE: std::ops::Range<u64> = 3000..13_000;
/// The mean of that.
pub(super) const MEAN_PAUSE: Duration = Duration::from_secs(8);
/// How long a server is down (ms).
const DOWN: std::ops::Range<u64> = 2000..8000;
/// How long a server that is back needs until it has everything: until then no other one is killed.
const CATCHES_UP: Duration = Duration::from_secs(5);
/// How long a partition lasts (ms).
const PARTED: std::ops::Range<u64> = 5000..20_000;

/// How long a process stands still (ms): also longer than a lease, and than a fetch waits for a silent node.
const FROZEN: std::ops::Range<u64> = 1000..45_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    Partition,
    Freeze,
}

/// How often each blow falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blows {
    pub(super) kills: u64,
    pub(super) partitions: u64,
    pub(super) freezes: u64,
}

impl Blows {
    pub(super) fn count(&self) -> u64 {
        self.kills + self.partitions + self.freezes
    }
}

/// A partition: the ways on which nothing passes, by program and server.
struct Partition {
    until: Instant,
    ways: Vec<(usize, usize)>,
}

/// What is still to come, and what lasts.
pub(super) struct Storm {
    rng: SmallRng,
    blows: Vec<Blow>,
    next: Instant,
    /// The server that is down, and until when; or since when the last one is back.
    down: Option<(usize, Instant)>,
    back: Option<Instant>,
    /// The process that stands still, programs first, and until when.
    frozen: Option<(usize, Instant)>,
    partition: Option<Partition>,
    struck: BTreeMap<&'static str, u64>,
    /// The leaders that were killed, and when.
    leaders: Vec<(Instant, Holder)>,
}

/// What has happened.
#[derive(Debug)]
pub(super) struct Report {
    struck: BTreeMap<&'static str, u64>,
    take_overs: Vec<Duration>,
    terms: usize,
    unreachable: u64,
    lasted: Duration,
}

impl Report {
    fn sum(&self, of: Blow) -> u64 {
        let of_kind = self.struck.iter().filter(|(what, _)| {
            what.starts_with(match of {
                Blow::Kill => "killed",
                Blow::Partition => "parted",
                Blow::Freeze => "frozen",
            })
        });
        of_kind.map(|(_, count)| count).sum()
    }

    pub(super) fn blows(&self) -> Blows {
        Blows {
            kills: self.sum(Blow::Kill),
            partitions: self.sum(Blow::Partition),
            freezes: self.sum(Blow::Freeze),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            struck,
            take_overs,
            terms,
            unreachable,
            lasted,
        } = self;
        let seconds = take_overs.iter().map(Duration::as_secs_f64);
        let mut seconds: Vec<f64> = seconds.collect();
        seconds.sort_by(f64::total_cmp);
        write!(
            f,
            "{:?} in {:.0} s: {struck:?}; {terms} terms, {unreachable} starts without a server",
            self.blows(),
            lasted.as_secs_f64(),
        )?;
        match seconds[..] {
            [] => write!(f, "; no leader was killed"),
            [least, ..] => write!(
                f,
                "; {} take-overs in {least:.1} to {:.1} s, {:.1} s in the middle",
                seconds.len(),
                seconds[seconds.len() - 1],
                seconds[seconds.len() / 2],
            ),
        }
    }
}

impl Storm {
    pub(super) fn new(seed: u64, count: Blows) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut blows = vec![Blow::Kill; count.kills as usize];
        blows.resize(blows.len() + count.partitions as usize, Blow::Partition);
        blows.resize(blows.len() + count.freezes as usize, Blow::Freeze);
        blows.shuffle(&mut rng);
        Storm {
            rng,
            blows,
            next: Instant::now(),
            down: None,
            back: None,
            frozen: None,
            partition: None,
            struck: BTreeMap::new(),
            leaders: Vec::new(),
        }
    }

    /// Lets everything happen, and waits until all programs have ended. What has not happened when the first
    /// of them ends, does not.
    pub(super) async fn rage(mut self, site: &mut Site) -> Report {
        let began = Instant::now();
        let leads = Leads::watch(&site.fleet).await;
        self.wait();
        loop {
            site.look();
            self.mend(site);
            if site.all_ended() {
                break;
            }
            if !site.any_ended() && Instant::now() >= self.next {
                self.strike(site, &leads);
                self.wait();
            }
            site.check_progress();
            sleep(LOOK).await;
        }
        let killed = self.leaders.iter();
        Report {
            take_overs: killed
                .filter_map(|(at, holder)| leads.taken_over(*at, holder))
                .collect(),
            terms: leads.count(),
            unreachable: site.machines.iter().map(|it| it.unreachable).sum(),
            struck: self.struck,
            lasted: began.elapsed(),
        }
    }

    /// Draws when the next blow comes.
    fn wait(&mut self) {
        self.next = Instant::now() + Duration::from_millis(self.rng.random_range(PAUSE));
    }

    fn strike(&mut self, site: &mut Site, leads: &Leads) {
        // A partition ends before another begins.
        let possible = |blow: &Blow| match blow {
            Blow::Kill => true,
            Blow::Partition => self.partition.is_none(),
            Blow::Freeze => self.frozen.is_none(),
        };
        let Some(place) = self.blows.iter().rposition(possible) else {
            return;
        };
        let what = match self.blows.remove(place) {
            Blow::Kill => self.kill(site, leads),
            Blow::Partition => self.part(site),
            Blow::Freeze => self.freeze(site, leads),
        };
        *self.struck.entry(what).or_default() += 1;
    }

    fn kill(&mut self, site: &mut Site, leads: &Leads) -> &'static str {
        let programs = site.machines.len();
        let victim = self.rng.random_range(0..programs + site.servers.count());
        if victim >= programs && self.are_all_up(programs) {
            let down = Duration::from_millis(self.rng.random_range(DOWN));
            site.servers.kill(victim - programs);
            self.down = Some((victim - programs, Instant::now() + down));
            return "killed: server";
        }
        let victim = victim % programs;
        let leading = leading(&site.machines[victim], leads);
        site.kill(victim);
        match leading {
            Some(holder) => {
                self.leaders.push((Instant::now(), holder));
                "killed: leader"
            }
            None => "killed: program",
        }
    }

    /// Returns true if all servers have everything: two that lack it would be too many.
    fn are_all_up(&self, programs: usize) -> bool {
        let frozen = self.frozen.is_some_and(|(number, _)| number >= programs);
        !frozen && self.down.is_none() && self.back.is_none_or(|it| it.elapsed() > CATCHES_UP)
    }

    /// Has a program or a server stand still: leases and fetches of its own end, and it does not know.
    fn freeze(&mut self, site: &Site, leads: &Leads) -> &'static str {
        let programs = site.machines.len();
        let mut victim = self.rng.random_range(0..programs + site.servers.count());
        if victim >= programs && !self.are_all_up(programs) {
            victim %= programs;
        }
        let lasts = Duration::from_millis(self.rng.random_range(FROZEN));
        self.frozen = Some((victim, Instant::now() + lasts));
        if victim >= programs {
            site.servers.freeze(victim - programs, true);
            return "frozen: server";
        }
        let leading = leading(&site.machines[victim], leads);
        site.machines[victim].freeze(true);
        match leading {
            Some(_) => "frozen: leader",
            None => "frozen: program",
        }
    }

    /// Parts a program from all servers, or a server from all programs.
    fn part(&mut self, site: &Site) -> &'static str {
        let (programs, servers) = (site.machines.len(), site.servers.count());
        let (ways, what): (Vec<_>, _) = match self.rng.random_range(0..3) {
            0 | 1 => {
                let program = self.rng.random_range(0..programs);
                let ways = (0..servers).map(|server| (program, server));
                (
                    ways.collect(),
                    ["parted: program, cut", "parted: program, silent"],
                )
            }
            _ => {
                let server = self.rng.random_range(0..servers);
                let ways = (0..programs).map(|program| (program, server));
                (
                    ways.collect(),
                    ["parted: server, cut", "parted: server, silent"],
                )
            }
        };
        let silent = self.rng.random_bool(0.5);
        for (program, server) in &ways {
            let link = &site.machines[*program].links[*server];
            if silent {
                link.stall(true);
            } else {
                link.cut(true);
            }
        }
        let lasts = Duration::from_millis(self.rng.random_range(PARTED));
        let until = Instant::now() + lasts;
        self.partition = Some(Partition { until, ways });
        what[usize::from(silent)]
    }

    /// Ends what has lasted long enough.
    fn mend(&mut self, site: &mut Site) {
        let now = Instant::now();
        if let Some((server, _)) = self.down.take_if(|(_, until)| now >= *until) {
            site.servers.restart(server);
            self.back = Some(now);
        }
        if let Some((number, _)) = self.frozen.take_if(|(_, until)| now >= *until) {
            // One that was killed meanwhile has begun again, and does not mind.
            match number.checked_sub(site.machines.len()) {
                None => site.machines[number].freeze(false),
                Some(server) => {
                    site.servers.freeze(server, false);
                    self.back = Some(now);
                }
            }
        }
        if let Some(over) = self.partition.take_if(|it| now >= it.until) {
            for (program, server) in over.ways {
                // Whatever it was.
                site.machines[program].links[server].stall(false);
            }
        }
    }
}

/// The lease that a machine holds, if it leads.
fn leading(machine: &Machine, leads: &Leads) -> Option<Holder> {
    let (since, holder) = leads.now()?;
    // One from before its start is that of the process before.
    (holder.node == machine.name && since > machine.started).then_some(holder)
}
