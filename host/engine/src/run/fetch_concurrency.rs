//! How many fetches are under way at once: each is a job at the vendor's, as a rule.
//!
//! As many are wanted as use the rate limit up; more bring nothing. It begins with a few, and each that ends
//! while others wait to begin makes room for one more, or two while requests are to spare, so that it doubles or
//! trebles in the time of a job. Whether more jobs bring more is seen from one generation to the next: as many as
//! end in the time in which all that were under way at its beginning have ended, however long each of them takes.
//! Where they do not, the vendor works on so many at once, and it goes back to that number and rests. A vendor that
//! grows slow by itself is told from that: fewer end than before. When jobs take so long that their source may give
//! them up, it does not grow at all, and when the vendor refuses to begin another, it falls by a factor.

use std::time::Duration;

use super::{
    Engine,
    in_flight::InFlight,
    job_times::{Budget, Usual},
};
use recording_host_http::Priority;

/// With how many a run begins.
const START: f64 = 16.0;
/// How much more jobs there are to be until generations are compared.
const GROWN: f64 = 1.5;
/// How many times as many of them end in a time, at least, if more jobs bring more: that number to this power.
const GAIN: f64 = 0.4;
/// The same where they have once brought nothing.
const SURE: f64 = 0.7;
/// If fewer than this part of those before end in a time, the vendor has grown slow by itself.
const SLOWER: f64 = 0.5;
/// The part of a generation that may last on: a job may never end.
const STUCK: f64 = 0.1;
/// The part of a generation in which there may be too few to begin, or requests wait: they bound it then.
const UNBOUND: f64 = 0.2;
/// The shortest generation (ms): where jobs take less, it has several.
const SHORTEST: u64 = 10_000;
/// The part of the time that their source waits for them that jobs may take for there to be more.
const PATIENCE: f64 = 0.5;
/// How many more there are for one that has ended while requests are to spare, unless it is careful.
const FAST: u32 = 2;
/// The share that is left when the vendor refuses another.
const FALL: f64 = 0.7;
/// The share that is left of as many as would bring as much: those before may have been too many.
const BACK: f64 = 0.8;
/// How long it rests after it has fallen or more jobs have brought nothing, in times of a job, and at least (ms).
const REST: f64 = 3.0;
const LEAST_REST: u64 = 60_000;
/// How long none has ended when it grows nevertheless: those under way wait for something else (ms).
const STALLED: u64 = 60_000;

/// How long a request waits for the rate limit while there are requests to spare, and when they are scarce.
const TO_SPARE: Duration = Duration::from_millis(400);
const SCARCE: Duration = Duration::from_secs(3);

/// How many fetches are under way at once.
#[derive(Debug)]
pub(super) struct FetchConcurrency {
    most: f64,
    limit: f64,
    generation: Option<Generation>,
    /// What came of an earlier generation, with fewer jobs or as many.
    before: Option<Throughput>,
    /// True if more jobs have once brought nothing: it doubles at most until they are found to bring more.
    careful: bool,
    /// It does not grow before (ms).
    rest: u64,
    /// When it last grew, or there was no need to (ms).
    steady: u64,
    /// How often the vendor has refused.
    refusals: u64,
}

/// The time in which the jobs that are under way at its beginning end.
#[derive(Debug)]
struct Generation {
    /// When it began (ms), and how many jobs were under way then.
    began: u64,
    jobs: usize,
    /// How many have ended since, and how many were allowed in all milliseconds together.
    ended: u32,
    allowed: f64,
    /// How long something else than their number bounded them, up to when that was seen (ms).
    unbound: u64,
    seen: u64,
}

/// How many jobs end in a time (ms) with so many under way, at its beginning and on average.
#[derive(Clone, Copy, Debug)]
struct Throughput {
    jobs: f64,
    limit: f64,
    rate: f64,
}

/// The measurements that count at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// How many jobs have ended since the last look.
    pub(super) ended: u32,
    /// How many are under way, and how many of them were so before this generation.
    pub(super) jobs: usize,
    pub(super) earlier: usize,
    /// How long most jobs take, if that is known.
    pub(super) usual: Option<Usual>,
    /// True if a fetch waits to begin.
    pub(super) waits: bool,
    /// True if requests wait for the rate limit: more fetches would wait, too.
    pub(super) limited: bool,
    /// True if none waits.
    pub(super) spare: bool,
    /// How often the vendor has refused to begin another, since the beginning of the run.
    pub(super) refusals: u64,
}

impl FetchConcurrency {
    /// At most `most` at once, from a time (ms) on.
    pub(super) fn new(most: usize, now: u64) -> Self {
        let most = most.max(1) as f64;
        FetchConcurrency {
            most,
            limit: most.min(START),
            generation: None,
            before: None,
            careful: false,
            rest: 0,
            steady: now,
            refusals: 0,
        }
    }

    /// How many may be under way.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Heeds what has happened since the last look, at a time (ms); returns true if a generation of jobs begins.
    pub(super) fn adjust(&mut self, demand: Demand, now: u64) -> bool {
        let begins = self.measure(demand, now);
        if demand.refusals > self.refusals {
            self.refusals = demand.refusals;
            if now >= self.rest {
                self.limit = (self.limit * FALL).max(1.0);
                self.rest(demand.usual.map_or(0.0, |usual| usual.time), now);
            }
            return begins;
        }
        let long = |usual: Usual| usual.time > usual.patience * PATIENCE;
        let enough = now < self.rest || demand.usual.is_some_and(long);
        if !demand.waits || demand.limited || enough {
            self.steady = now;
            return begins;
        }
        let grown = match demand.ended {
            0 if now.saturating_sub(self.steady) < STALLED => return begins,
            0 => {
                let times = (now.saturating_sub(self.steady) / STALLED).min(3) as i32;
                (self.limit * (1.25_f64.powi(times) - 1.0)).max(1.0)
            }
            ended if demand.spare && !self.careful => f64::from(ended * FAST),
            ended => f64::from(ended),
        };
        self.steady = now;
        let most = match self.careful {
            true => self.before.map_or(self.limit, |before| before.limit * 2.0),
            false => self.most,
        };
        self.limit = (self.limit + grown).min(most).clamp(self.limit, self.most);
        begins
    }

    /// Counts the jobs of a generation; returns true if the next one begins.
    fn measure(&mut self, demand: Demand, now: u64) -> bool {
        let next = Generation {
            began: now,
            jobs: demand.jobs,
            ended: 0,
            allowed: 0.0,
            unbound: 0,
            seen: now,
        };
        let Some(generation) = &mut self.generation else {
            self.generation = Some(next);
            return true;
        };
        let passed = now.saturating_sub(generation.seen);
        generation.ended += demand.ended;
        generation.allowed += self.limit * passed as f64;
        if !demand.waits || demand.limited {
            generation.unbound += passed;
        }
        generation.seen = now;
        let lasts = demand.earlier as f64 > generation.jobs as f64 * STUCK;
        if lasts || now.saturating_sub(generation.began) < SHORTEST {
            return false;
        }
        if let Some(ended) = self.generation.replace(next) {
            self.compare(&ended, now);
        }
        true
    }

    /// Compares what came of a generation with that of one with fewer jobs.
    fn compare(&mut self, ended: &Generation, now: u64) {
        let took = now.saturating_sub(ended.began) as f64;
        let bound = ended.unbound as f64 <= took * UNBOUND;
        if !bound || ended.ended == 0 || ended.jobs == 0 {
            self.before = None;
            return;
        }
        let this = Throughput {
            jobs: ended.jobs as f64,
            limit: ended.allowed / took,
            rate: f64::from(ended.ended) / took,
        };
        let before = self.before.unwrap_or(this);
        // In waves, those that begin late end in the next generation.
        let grown = (this.limit / before.limit).min(this.jobs / before.jobs);
        let gain = this.rate / before.rate;
        let sure = if self.careful { SURE } else { GAIN };
        if grown >= GROWN && (SLOWER..grown.powf(GAIN)).contains(&gain) {
            let enough = before.limit * gain.max(1.0) * BACK;
            self.limit = self.limit.min(enough).max(1.0);
            self.careful = true;
            self.rest(took, now);
        } else if grown <= 1.0 || grown >= GROWN && !(SLOWER..grown.powf(sure)).contains(&gain) {
            self.before = Some(this);
        }
    }

    /// Rests for some times of a job (ms); what comes of so many jobs is learned anew.
    fn rest(&mut self, job: f64, now: u64) {
        self.rest = now + ((job * REST) as u64).max(LEAST_REST);
        self.before = None;
    }
}

impl Engine {
    /// How short requests are.
    pub(super) fn budget(&self) -> Budget {
        match self.http.delay(Priority::Ahead) {
            delay if delay < TO_SPARE => Budget::ToSpare,
            delay if delay < SCARCE => Budget::Used,
            _ => Budget::Scarce,
        }
    }

    /// Has the number of fetches follow what they take and what the vendor allows.
    pub(super) fn adjust_fetches(&self, in_flight: &mut InFlight, now: u64) {
        let limit = in_flight.fetches.limit();
        let wanted = in_flight.discovery.is_wanted() && in_flight.splits.begun() >= limit;
        let waits = wanted || in_flight.splits.is_full(now, limit);
        let (jobs, earlier) = in_flight.job_times.under_way();
        let demand = Demand {
            ended: in_flight.job_times.take_ended(),
            jobs,
            earlier,
            usual: in_flight.job_times.usual(),
            waits,
            limited: waits && self.http.delay(Priority::Poll) >= SCARCE,
            spare: self.budget() == Budget::ToSpare,
            refusals: self.http.refused_to_begin(),
        };
        if in_flight.fetches.adjust(demand, self.clock.elapsed()) {
            in_flight.job_times.begin_generation();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Demand = Demand {
        ended: 0,
        jobs: 0,
        earlier: 0,
        usual: None,
        waits: true,
        limited: false,
        spare: false,
        refusals: 0,
    };

    fn usual(time: f64) -> Option<Usual> {
        Some(Usual {
            time,
            patience: 900_000.0,
        })
    }

    /// Jobs of such times, by their numbers, against a vendor who works on `capacity` of them at once; returns the
    /// limit in each second.
    fn course(seconds: u64, capacity: usize, takes: impl Fn(u64, u64) -> u64) -> Vec<usize> {
        let mut limit = FetchConcurrency::new(512, 0);
        // The end of each job, and the generation in which it began.
        let mut jobs: Vec<(u64, u32)> = Vec::new();
        let (mut number, mut generation) = (0, 0);
        let mut limits = Vec::new();
        for second in 0..seconds {
            let before = jobs.len();
            jobs.retain(|job| job.0 > second);
            let ended = u32::try_from(before - jobs.len()).unwrap();
            jobs.sort_unstable();
            while jobs.len() < limit.limit() {
                let turn = jobs.len().checked_sub(capacity);
                let begins = turn.map_or(second, |turn| jobs[turn].0);
                let job = (begins + takes(number, second), generation);
                jobs.insert(jobs.partition_point(|other| *other < job), job);
                number += 1;
            }
            let demand = Demand {
                ended,
                jobs: jobs.len(),
                earlier: jobs.iter().filter(|job| job.1 < generation).count(),
                spare: true,
                ..WAITING
            };
            if limit.adjust(demand, second * 1000) {
                generation += 1;
            }
            limits.push(limit.limit());
        }
        limits
    }

    #[test]
    fn it_doubles_in_the_time_of_a_job_as_long_as_that_helps() {
        let mut limit = FetchConcurrency::new(512, 0);
        let ended = 8;
        limit.adjust(Demand { ended, ..WAITING }, 60_000);
        assert_eq!(limit.limit(), 24);
        assert_eq!(FetchConcurrency::new(5, 0).limit(), 5);
        let alike = |_, _| 60;
        let spread = |number: u64, _| 30 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 60;
        // Short ones end first: fewer of the next generation seem to end.
        let bimodal = |number: u64, _| if number.is_multiple_of(2) { 20 } else { 180 };
        // All that are under way when the vendor grows slow are no more than before.
        let slower = |_, second| if second < 120 { 60 } else { 600 };
        for (name, limits) in [
            ("alike", course(600, usize::MAX, alike)),
            ("spread", course(600, usize::MAX, spread)),
            ("bimodal", course(900, usize::MAX, bimodal)),
            ("slower", course(1800, usize::MAX, slower)),
        ] {
            assert_eq!(limits.last(), Some(&512), "{name}: {limits:?}");
            assert!(limits.is_sorted(), "{name} seems crowded: {limits:?}");
        }
    }

    #[test]
    fn it_goes_back_and_rests_where_more_jobs_bring_nothing() {
        for (capacity, takes) in [(40, 60), (40, 5), (100, 60), (16, 120)] {
            let about = |number: u64, _| {
                takes - takes / 5 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (takes * 2 / 5 + 1)
            };
            let limits = course(2 * 3600, capacity, about);
            let late = &limits[1800..];
            let (most, least) = (late.iter().max().unwrap(), late.iter().min().unwrap());
            assert!(*most <= capacity * 8, "{capacity}: {most} at once");
            assert!(*least * 10 >= capacity * 6, "{capacity}: {least} at once");
        }
    }

    #[test]
    fn it_does_not_grow_so_far_that_jobs_are_given_up() {
        let mut limit = FetchConcurrency::new(512, 0);
        let mut look = |time, now| {
            let demand = Demand {
                ended: 8,
                usual: usual(time),
                ..WAITING
            };
            limit.adjust(demand, now);
            limit.limit()
        };
        assert_eq!(look(60_000.0, 60_000), 24);
        assert_eq!(look(460_000.0, 61_000), 24);
        assert_eq!(look(440_000.0, 62_000), 32);
    }

    #[test]
    fn it_does_not_grow_without_need_or_while_requests_wait() {
        let mut limit = FetchConcurrency::new(512, 0);
        for second in 0..600 {
            let demand = Demand {
                ended: 1,
                waits: second % 2 == 0,
                limited: second % 2 == 0,
                ..WAITING
            };
            limit.adjust(demand, second * 1000);
        }
        assert_eq!(limit.limit(), 16);
    }

    #[test]
    fn it_falls_when_the_vendor_refuses_and_tries_again_later() {
        let mut limit = FetchConcurrency::new(512, 0);
        let mut refused = Demand {
            refusals: 3,
            ..WAITING
        };
        limit.adjust(refused, 1000);
        assert_eq!(limit.limit(), 11);
        refused.refusals = 4;
        limit.adjust(refused, 2000);
        assert_eq!(limit.limit(), 11, "one sign");
        refused.ended = 2;
        limit.adjust(refused, 30_000);
        assert_eq!(limit.limit(), 11);
        limit.adjust(refused, 62_000);
        assert_eq!(limit.limit(), 13);
    }

    #[test]
    fn those_that_wait_for_long_do_not_hold_up_others_for_good() {
        let mut limit = FetchConcurrency::new(512, 0);
        for second in 0..600 {
            limit.adjust(WAITING, second * 1000);
        }
        assert!(limit.limit() > 40, "{}", limit.limit());
    }
}
