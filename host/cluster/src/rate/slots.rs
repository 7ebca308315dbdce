//! Which slots are leased: one number, the time of the next free one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ClusterError;

/// The version of the format.
const VERSION: u32 = 1;
/// This part of the window is kept free, for requests that are late on their way.
const FREE: u32 = 32;
/// A request may be sent later than its slot begins by this part of the window.
const LATE: u32 = 64;
/// This part of the window is leased ahead of time.
const AHEAD: u32 = 30;
/// This part of the window's requests is leased at once, at most.
const SLICE: u32 = 60;

/// A vendor's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The requests of a window.
    pub requests: u32,
    /// How long a window is.
    pub window: Duration,
}

impl RateLimit {
    /// How long a slot is (µs).
    fn slot(&self) -> u64 {
        let window = micros(self.window + self.window / FREE);
        window.div_ceil(u64::from(self.requests.max(1))).max(1)
    }

    /// How late a request may be sent after its slot has begun.
    pub(super) fn late(&self) -> Duration {
        self.window / LATE
    }

    /// How many slots a node leases at once, at most.
    fn slice(&self) -> u32 {
        self.requests.div_ceil(SLICE).max(1)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The slots of a credential as they stand in the bucket. Times are the servers' (µs since the epoch).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Slots {
    v: u32,
    /// When the next slot begins that nobody has leased.
    next: u64,
    /// No slot begins before: the vendor has asked for a pause.
    pub(super) blocked: u64,
    /// The id of the change that made it so.
    pub(super) write: String,
}

impl Default for Slots {
    fn default() -> Self {
        Slots {
            v: VERSION,
            next: 0,
            blocked: 0,
            write: String::new(),
        }
    }
}

/// Slots that a node has leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    first: u64,
    slot: u64,
    count: u32,
}

impl Lease {
    /// When each begins.
    pub(super) fn times(self) -> impl Iterator<Item = u64> {
        (0..u64::from(self.count)).map(move |number| self.first + number * self.slot)
    }
}

impl Slots {
    pub(super) fn read(subject: &str, payload: &[u8]) -> Result<Self, ClusterError> {
        let what = || format!("the rate at {subject}");
        let slots: Slots =
            serde_json::from_slice(payload).map_err(|error| ClusterError::Unreadable {
                what: what(),
                reason: error.to_string(),
            })?;
        match slots.v <= VERSION {
            true => Ok(slots),
            false => Err(ClusterError::OtherVersion {
                what: what(),
                version: slots.v,
            }),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Leases as many slots as are wanted, at most a slice; or says how long to wait before asking again. A
    /// node whose own last slot is still to come leaves the next ones to others for a while.
    pub(super) fn lease(
        &mut self,
        now: u64,
        own_last: u64,
        wanted: u32,
        limit: &RateLimit,
    ) -> Result<Lease, Duration> {
        let (slot, window) = (limit.slot(), micros(limit.window));
        let count = wanted.clamp(1, limit.slice());
        let ahead = window / u64::from(AHEAD);
        let slice = slot * u64::from(limit.slice());
        // Nobody leases as far ahead: the servers' clock was set back. After a window nothing of before counts.
        if self.next > now + ahead + slice + window {
            self.next = now + window;
        }
        if own_last > now + ahead / 2 && own_last <= self.next {
            return Err(Duration::from_micros(own_last - now - ahead / 2));
        }
        let first = self.next.max(self.blocked).max(now);
        if first > now + ahead {
            return Err(Duration::from_micros(first - now - ahead));
        }
        self.next = first + slot * u64::from(count);
        Ok(Lease { first, slot, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// The times at which requests are sent if many nodes always want some, each as late as it may be.
    fn sent(limit: RateLimit, late: impl Fn(usize) -> u64) -> Vec<u64> {
        let (mut slots, mut now, mut sent) = (Slots::default(), SECOND, Vec::new());
        while now < SECOND + 4 * micros(limit.window) {
            match slots.lease(now, 0, 1 + (now % 7) as u32, &limit) {
                Ok(lease) => sent.extend(lease.times()),
                Err(wait) => now += micros(wait),
            }
        }
        let delayed = sent.iter().enumerate();
        let mut delayed: Vec<u64> = delayed.map(|(number, at)| at + late(number)).collect();
        delayed.sort_unstable();
        delayed
    }

    #[test]
    fn no_window_holds_more_than_the_limit_and_each_holds_95_percent() {
        for requests in [1, 2, 7, 10, 60, 300, 299, 3000] {
            let window = Duration::from_secs(60);
            let limit = RateLimit { requests, window };
            let late = micros(limit.late());
            for lateness in [0, 1, 2] {
                let times = sent(limit, |number| match lateness {
                    0 => 0,
                    1 => late * (number % 2) as u64,
                    // The worst: late ones, and then those in time.
                    _ => late * u64::from((number / requests as usize).is_multiple_of(2)),
                });
                for (number, first) in times.iter().enumerate() {
                    let within = times[number..].partition_point(|at| *at < first + micros(window));
                    assert!(within <= requests as usize, "{within} of {requests}");
                }
                let used = times.len() as f64 / 4.0 / f64::from(requests);
                // Of a limit of a few requests a window more is lost to its end.
                assert!(used >= 0.95 || requests < 60, "{used} of {requests}");
            }
        }
    }

    #[test]
    fn a_pause_holds_slots_back_and_a_clock_set_back_does_so_for_a_window() {
        let window = Duration::from_secs(60);
        let limit = RateLimit {
            requests: 300,
            window,
        };
        let mut slots = Slots {
            blocked: 100 * SECOND,
            ..Slots::default()
        };
        let wait = slots.lease(70 * SECOND, 0, 5, &limit).unwrap_err();
        assert_eq!(wait, Duration::from_secs(28));
        assert_eq!(
            slots.lease(98 * SECOND, 0, 5, &limit).unwrap().first,
            100 * SECOND
        );
        let mut slots = Slots {
            next: 9_000 * SECOND,
            ..Slots::default()
        };
        assert_eq!(
            slots.lease(1_000 * SECOND, 0, 5, &limit).unwrap_err(),
            Duration::from_secs(58)
        );
    }

    #[test]
    fn no_more_is_leased_at_once_than_is_wanted_or_a_slice() {
        let window = Duration::from_secs(60);
        let limit = RateLimit {
            requests: 300,
            window,
        };
        let count = |wanted| {
            Slots::default()
                .lease(SECOND, 0, wanted, &limit)
                .unwrap()
                .count
        };
        assert_eq!([count(0), count(1), count(4), count(100)], [1, 1, 4, 5]);
    }

    #[test]
    fn a_node_that_has_slots_leaves_the_next_ones_to_others() {
        let window = Duration::from_secs(60);
        let limit = RateLimit {
            requests: 300,
            window,
        };
        let mut slots = Slots::default();
        let lease = slots.lease(SECOND, 0, 9, &limit).unwrap();
        let last = lease.times().last().unwrap();
        assert!(slots.lease(SECOND, 0, 9, &limit).is_ok());
        let wait = slots.lease(SECOND / 2, last, 9, &limit).unwrap_err();
        assert_eq!(wait, Duration::from_micros(last - SECOND / 2 - SECOND));
    }

    #[test]
    fn the_format_is_the_one_that_other_nodes_read() {
        let text = String::from_utf8(Slots::default().to_bytes()).unwrap();
        assert_eq!(text, r#"{"v":1,"next":0,"blocked":0,"write":""}"#);
        assert!(Slots::read("s", text.as_bytes()).is_ok());
        assert!(Slots::read("s", text.replace("1", "2").as_bytes()).is_err());
    }
}
