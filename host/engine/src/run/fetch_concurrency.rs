//! How many fetches are under way at once: each is a job at the vendor's, as a rule.
//!
//! As many are wanted as use the rate limit up; more bring nothing. It begins with a few, and each that ends
//! while others wait to begin makes room for one more, so that it doubles in the time of a job. When jobs
//! take longer for being more it stays for a while where it is, and when they take so long that their source
//! may give them up it does not grow at all. When the vendor refuses to begin another, it falls by a factor.

use std::time::Duration;

use super::{
    Engine,
    in_flight::InFlight,
    job_times::{Budget, Usual},
};
use recording_host_http::Priority;

/// With how many a run begins.
const START: f64 = 16.0;
/// Jobs take longer for being more if they take so many times as long with so many times as many.
const INFLATED: f64 = 1.5;
const GROWN: f64 = 1.2;
/// The part of the time that their source waits for them that jobs may take for there to be more.
const PATIENCE: f64 = 0.5;
/// The share that is left when the vendor refuses another.
const FALL: f64 = 0.7;
/// How long it rests after it has fallen or jobs have been found to take longer, in times of a job, and at
/// least (ms).
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
    /// How many there were when it was last compared how long jobs take, and that time (ms).
    base: Option<(f64, f64)>,
    /// It does not grow before (ms).
    rest: u64,
    /// When it last grew, or there was no need to (ms).
    steady: u64,
    /// How often the vendor has refused.
    refusals: u64,
}

/// The measurements that count at a time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// How many jobs have ended since the last look.
    pub(super) ended: u32,
    /// How long most jobs take, if that is known.
    pub(super) usual: Option<Usual>,
    /// True if a fetch waits to begin.
    pub(super) waits: bool,
    /// True if requests wait for the rate limit: more fetches would wait, too.
    pub(super) limited: bool,
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
            base: None,
            rest: 0,
            steady: now,
            refusals: 0,
        }
    }

    /// How many may be under way.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Heeds what has happened since the last look, at a time (ms).
    pub(super) fn adjust(&mut self, demand: Demand, now: u64) {
        if demand.refusals > self.refusals {
            self.refusals = demand.refusals;
            if now >= self.rest {
                self.limit = (self.limit * FALL).max(1.0);
                self.rest(demand.usual, now);
            }
            return;
        }
        if let Some(usual) = demand.usual {
            self.compare(usual, now);
        }
        let long = |usual: Usual| usual.time > usual.patience * PATIENCE;
        let enough = now < self.rest || demand.usual.is_some_and(long);
        if !demand.waits || demand.limited || enough {
            self.steady = now;
            return;
        }
        let grown = match demand.ended {
            0 if now.saturating_sub(self.steady) < STALLED => return,
            0 => (self.limit * 0.25).max(1.0),
            ended => f64::from(ended),
        };
        self.steady = now;
        self.limit = (self.limit + grown).min(self.most);
    }

    /// Compares how long jobs take with how long they took when there were fewer.
    fn compare(&mut self, usual: Usual, now: u64) {
        if let Some((limit, before)) = self.base {
            if self.limit >= limit * GROWN && usual.time > before * INFLATED {
                self.rest(Some(usual), now);
                return;
            }
            if self.limit > limit && self.limit < limit * 2.0 {
                return;
            }
        }
        // Where there are no more than before, the vendor may have grown slow by itself.
        if usual.converged {
            self.base = Some((self.limit, usual.time));
        }
    }

    /// Rests; how long jobs take with so many is learned anew.
    fn rest(&mut self, usual: Option<Usual>, now: u64) {
        let rest = usual.map_or(0.0, |usual| usual.time * REST) as u64;
        self.rest = now + rest.max(LEAST_REST);
        self.base = None;
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
        let demand = Demand {
            ended: in_flight.job_times.take_ended(),
            usual: in_flight.job_times.usual(),
            waits,
            limited: waits && self.http.delay(Priority::Poll) >= SCARCE,
            refusals: self.http.refused_to_begin(),
        };
        in_flight.fetches.adjust(demand, self.clock.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Demand = Demand {
        ended: 0,
        usual: None,
        waits: true,
        limited: false,
        refusals: 0,
    };

    fn usual(time: f64) -> Option<Usual> {
        Some(Usual {
            time,
            converged: true,
            patience: 900_000.0,
        })
    }

    /// Jobs under way against a vendor who works on `capacity` of them at once; returns the limit at the
    /// end and the highest.
    fn course(job: f64, capacity: f64, minutes: u64) -> (usize, usize) {
        let mut limit = FetchConcurrency::new(512, 0);
        let (mut highest, mut owed) = (0, 0.0);
        for second in 0..minutes * 60 {
            let takes = job * (limit.limit() as f64 / capacity).max(1.0);
            owed += limit.limit() as f64 * 1000.0 / takes;
            let ended = owed as u32;
            owed -= f64::from(ended);
            let demand = Demand {
                ended,
                usual: usual(takes).filter(|_| second > 60),
                ..WAITING
            };
            limit.adjust(demand, second * 1000);
            highest = highest.max(limit.limit());
        }
        (limit.limit(), highest)
    }

    #[test]
    fn it_doubles_in_the_time_of_a_job_as_long_as_that_helps() {
        let mut limit = FetchConcurrency::new(512, 0);
        let ended = 8;
        limit.adjust(Demand { ended, ..WAITING }, 60_000);
        assert_eq!(limit.limit(), 24);
        assert_eq!(course(60_000.0, 1e9, 10), (512, 512));
        assert_eq!(FetchConcurrency::new(5, 0).limit(), 5);
    }

    #[test]
    fn it_rests_when_jobs_take_longer_for_being_more() {
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
        assert_eq!(look(70_000.0, 61_000), 32);
        assert_eq!(look(80_000.0, 62_000), 40);
        assert_eq!(look(125_000.0, 63_000), 40);
        assert_eq!(look(125_000.0, 300_000), 40);
        // The vendor may have grown slow by itself: it tries a few more.
        assert_eq!(look(125_000.0, 500_000), 48);
        // But not so many that their source might give them up.
        assert_eq!(look(460_000.0, 4_000_000), 48);
        assert_eq!(look(440_000.0, 8_000_000), 56);
        let (limit, highest) = course(20_000.0, 20.0, 60);
        assert!(highest == limit && limit < 500, "{limit} {highest}");
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
