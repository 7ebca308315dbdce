//! How a job gets on: what it expects and what it has, as time goes by.

use crate::{
    faults::{Chance, Fault},
    rng::Rng,
};

/// The course of a job, fixed when it is submitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// How long it takes (ms); none if it never completes.
    length: Option<u64>,
    /// True if its count stands still for a while.
    stalls: bool,
    /// True if it expects more after everything had been there.
    grows_late: bool,
}

/// A job's report of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) expected: usize,
    pub(super) ready: usize,
    pub(super) finished: bool,
}

/// A job that never completes gets on as if it took this long (ms): it has hardly anything.
const NEVER: f64 = 1e15;

impl Course {
    /// The course of a job that takes `mean` ms on average.
    pub(super) fn draw(chance: &Chance, rng: &mut Rng, mean: u64) -> Self {
        let length = mean / 2 + rng.below(mean + 1);
        let stalls = chance.strikes(Fault::StalledJob).is_some();
        Course {
            length: match chance.strikes(Fault::StuckJob) {
                Some(_) => None,
                None if stalls => Some(length * 2),
                None => Some(length),
            },
            stalls,
            grows_late: chance.strikes(Fault::LateGrowth).is_some(),
        }
    }

    /// Returns true if it is never done.
    pub(super) fn is_stuck(self) -> bool {
        self.length.is_none()
    }

    /// Returns true if it is done at this age (ms).
    pub(super) fn finished(self, age: u64) -> bool {
        self.length.is_some_and(|length| age >= length)
    }

    /// How far it is at this age (ms), if it yields `all` results in the end.
    pub(super) fn progress(self, age: u64, all: usize) -> Progress {
        let finished = self.finished(age);
        if finished {
            return Progress {
                expected: all,
                ready: all,
                finished,
            };
        }
        let length = self.length.map_or(NEVER, |length| length as f64);
        let mut passed = age as f64 / length;
        if self.stalls {
            // It stands still from a quarter of its time to three quarters.
            passed = 2.0 * (passed.min(0.25) + (passed - 0.75).max(0.0));
        }
        let share = |of: usize, share: f64| ((of as f64 * share) as usize).min(of);
        // The recordings are discovered in the first third, and ready one by one.
        let discovered = |of: usize, passed: f64| {
            let expected = (of as f64 * 3.0 * passed).ceil() as usize;
            expected.min(of)
        };
        let (expected, ready) = if self.grows_late && all > 1 {
            let first = all - all.div_ceil(10);
            if passed < 0.7 {
                let passed = (passed / 0.4).min(1.0);
                (discovered(first, passed), share(first, passed))
            } else {
                (all, first + share(all - first, (passed - 0.7) / 0.3))
            }
        } else {
            (discovered(all, passed), share(all, passed))
        };
        Progress {
            expected,
            ready,
            finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(stalls: bool, grows_late: bool) -> Vec<Progress> {
        let course = Course {
            length: Some(1000),
            stalls,
            grows_late,
        };
        (0..=1000).map(|age| course.progress(age, 50)).collect()
    }

    #[test]
    fn a_job_gets_on_evenly_and_is_complete_in_the_end() {
        for (stalls, grows_late) in [(false, false), (true, false), (false, true), (true, true)] {
            let course = course(stalls, grows_late);
            for pair in course.windows(2) {
                assert!(pair[0].ready <= pair[1].ready && pair[0].expected <= pair[1].expected);
                assert!(pair[1].ready <= pair[1].expected);
            }
            let last = course[1000];
            assert_eq!((last.expected, last.ready, last.finished), (50, 50, true));
            assert!(!course[999].finished);
        }
        assert_eq!(self::course(false, false)[500].ready, 25);
    }

    #[test]
    fn a_stalled_job_stands_still_for_half_of_its_time() {
        let course = course(true, false);
        assert_eq!(course[250].ready, course[749].ready);
        assert!(course[900].ready > course[749].ready);
    }

    #[test]
    fn a_job_that_grows_late_had_everything_before() {
        let course = course(false, true);
        assert_eq!((course[450].expected, course[450].ready), (45, 45));
        assert_eq!((course[690].expected, course[690].ready), (45, 45));
        assert_eq!(course[710].expected, 50);
    }

    #[test]
    fn a_stuck_job_is_never_done() {
        let course = Course {
            length: None,
            stalls: false,
            grows_late: false,
        };
        assert!(!course.finished(u64::MAX / 2));
        assert_eq!(course.progress(86_400_000, 50).ready, 0);
    }
}
