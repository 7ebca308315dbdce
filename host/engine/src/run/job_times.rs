//! How long the vendor's jobs take, and when it is worth asking whether one is done: a poll too early
//! costs a request of the limit, one too late costs time.
//!
//! All that is known of a job's time is whether it was done when it was asked about, so that is what is
//! learned from: the age at which most jobs of a kind are done moves down a little whenever one was done at
//! that age, and up by more whenever one was not. Where it comes to rest, the share of those that are done
//! is the one that is wanted, however the times are spread, and it follows a vendor that grows slow.

use std::collections::HashMap;

use super::splits::is_search;
use recording_host_model::{Job, Next, Wait};

/// Jobs of a kind from which the age at which most are done is first known.
const ENOUGH: usize = 3;
/// The share of jobs that are to be done when they are first polled.
const DONE: f64 = 0.75;
/// How far the age moves at once.
const STEP: f64 = 0.1;
/// How near to that age a poll is made that says something about it.
const NEAR: f64 = 0.1;
/// The part of that age after which a job is first polled while there are requests to spare.
const EARLY: f64 = 0.75;
/// How much older a job grows until it is polled again, as part of its age: polls thin out. While requests
/// are to spare, as usual, and while others wait for the limit.
const GROWTH: [f64; 3] = [0.25, 0.35, 0.6];
/// How much more than what a job's progress says is waited for: it is not even.
const MARGIN: f64 = 0.05;

/// How short requests are: what a poll too early costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    /// A request could go at once.
    ToSpare,
    /// Requests wait a little.
    Used,
    /// Requests wait for long: each poll is one submission less.
    Scarce,
}

/// How long most jobs of a kind take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    /// The age at which most of them are done (ms).
    pub(super) time: f64,
    /// How long a source waits for one (ms).
    pub(super) patience: f64,
}

/// The known times of jobs.
#[derive(Debug, Default)]
pub(super) struct JobTimes {
    kinds: HashMap<String, KindTimes>,
    /// The jobs that splits wait for.
    waiting: HashMap<String, Waiting>,
    /// How many jobs of fetches have ended since this was last taken, and the kind of the last one.
    ended: u32,
    last: String,
    /// Counts the generations of jobs.
    generation: u32,
}

/// The times of jobs of a kind.
#[derive(Debug, Default)]
struct KindTimes {
    /// The times of the first jobs (ms).
    first: Vec<u64>,
    /// The age at which most of them are done (ms), once some are known.
    usual: Option<f64>,
    /// How long its source waits for one (ms).
    patience: u64,
}

/// A job that a split waits for.
#[derive(Debug)]
struct Waiting {
    kind: String,
    /// When it was submitted (ms).
    since: u64,
    /// How long its source waits for it (ms).
    patience: u64,
    /// True if it was not done at about the usual age, or what it was then is not known.
    counted: bool,
    /// The generation in which it began.
    generation: u32,
}

impl KindTimes {
    /// Notes that a job was not done at an age, and when it is likely to be, if that is told (ms).
    fn not_done(&mut self, age: f64, likely: Option<f64>, counted: &mut bool) {
        let Some(usual) = &mut self.usual else {
            *counted = true;
            return;
        };
        if age < *usual * (1.0 - NEAR) {
            return;
        }
        // No further than what is known, whatever the number of jobs that say so.
        let known = likely.unwrap_or(age * (1.0 + NEAR));
        *usual = (*usual * (1.0 + STEP * DONE)).min(known.max(*usual));
        *counted = true;
    }

    /// Notes that a job was done at an age (ms); `counted`: it was not at about the usual age.
    fn done(&mut self, age: u64, counted: bool) {
        match &mut self.usual {
            Some(usual) if !counted && age as f64 <= *usual * (1.0 + NEAR) => {
                *usual *= 1.0 - STEP * (1.0 - DONE);
            }
            Some(_) => {}
            None => {
                self.first.push(age);
                if self.first.len() >= ENOUGH {
                    self.first.sort_unstable();
                    let at = (self.first.len() as f64 * DONE).ceil() as usize - 1;
                    self.usual = self.first.get(at).map(|age| *age as f64);
                    self.first.clear();
                }
            }
        }
    }
}

impl JobTimes {
    /// Takes note of what a split does next, and puts off a wait until its job is likely to be done.
    pub(super) fn plan(&mut self, split: &str, next: &mut Next, now: u64, budget: Budget) {
        match next {
            // A request that asks for the job's state, as far as is known.
            Next::Send(_) => {}
            Next::Wait(Wait {
                until,
                job: Some(job),
                ..
            }) => {
                self.note(split, job, now);
                *until = self.resume_at(*until, job, now, budget);
            }
            Next::Wait(Wait { job: None, .. }) | Next::Done(_) => {
                if let Some(job) = self.waiting.remove(split) {
                    let took = now.saturating_sub(job.since);
                    let kind = self.kinds.entry(job.kind.clone()).or_default();
                    kind.done(took, job.counted);
                    kind.patience = job.patience;
                    if !is_search(split) {
                        self.ended += 1;
                        self.last = job.kind;
                    }
                }
            }
        }
    }

    /// Notes that a split waits for a job: a new one, or still the same.
    fn note(&mut self, split: &str, job: &Job, now: u64) {
        let kind = self.kinds.entry(job.kind.clone()).or_default();
        match self.waiting.get_mut(split) {
            Some(waiting) if waiting.since == job.since && waiting.kind == job.kind => {
                let age = now.saturating_sub(job.since) as f64;
                let likely = left(job, age).map(|left| age + left);
                kind.not_done(age, likely, &mut waiting.counted);
            }
            _ => {
                let waiting = Waiting {
                    kind: job.kind.clone(),
                    since: job.since,
                    patience: job.latest.saturating_sub(job.since),
                    // One of an earlier run may have been asked about before.
                    counted: job.since < now,
                    generation: self.generation,
                };
                self.waiting.insert(split.to_owned(), waiting);
            }
        }
    }

    /// Returns true if a split waits for a job.
    pub(super) fn is_waiting(&self, split: &str) -> bool {
        self.waiting.contains_key(split)
    }

    /// How many jobs are waited for, and when the oldest was submitted (ms).
    pub(super) fn waiting(&self) -> (usize, Option<u64>) {
        let oldest = self.waiting.values().map(|job| job.since).min();
        (self.waiting.len(), oldest)
    }

    /// How many jobs of fetches are under way, and how many of them began before this generation.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let fetches = || self.waiting.iter().filter(|(split, _)| !is_search(split));
        let earlier = fetches().filter(|(_, job)| job.generation < self.generation);
        (fetches().count(), earlier.count())
    }

    /// Counts those that begin from now on as another generation.
    pub(super) fn begin_generation(&mut self) {
        self.generation += 1;
    }

    /// How many jobs of fetches have ended since this was last called.
    pub(super) fn take_ended(&mut self) -> u32 {
        std::mem::take(&mut self.ended)
    }

    /// How long jobs take of the kind that ended last, if that is known.
    pub(super) fn usual(&self) -> Option<Usual> {
        let kind = self.kinds.get(&self.last)?;
        Some(Usual {
            time: kind.usual?,
            patience: kind.patience as f64,
        })
    }

    /// Forgets a split that came to nothing: how long its job would have taken is not known.
    pub(super) fn forget(&mut self, split: &str) {
        self.waiting.remove(split);
    }

    fn resume_at(&self, until: u64, job: &Job, now: u64, budget: Budget) -> u64 {
        let age = now.saturating_sub(job.since) as f64;
        let usual = self.kinds.get(&job.kind).and_then(|kind| kind.usual);
        let (first, growth) = match budget {
            Budget::ToSpare => (usual.map(|usual| usual * EARLY), GROWTH[0]),
            Budget::Used => (usual, GROWTH[1]),
            Budget::Scarce => (usual, GROWTH[2]),
        };
        let wait = match (first, left(job, age)) {
            (Some(first), _) if first * (1.0 - NEAR / 2.0) > age => first - age,
            // Early polls are followed by one at the usual age.
            (_, None) if usual.is_some_and(|usual| usual * (1.0 - NEAR / 2.0) > age) => {
                usual.unwrap_or(age) - age
            }
            (_, Some(left)) => left * (1.0 + MARGIN),
            _ => age * growth,
        };
        // A source that names a `latest` before `until` means `until`.
        now.saturating_add(wait as u64).min(job.latest).max(until)
    }
}

/// How long a job of an age still takes if it goes on as so far, if it tells of its progress (ms).
fn left(job: &Job, age: f64) -> Option<f64> {
    match (job.done, job.total) {
        (Some(done), Some(total)) if done > 0 && done <= total => {
            Some(age * ((total - done) as f64 / done as f64))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recording_host_model::SplitState;

    fn state() -> SplitState {
        SplitState {
            version: 1,
            data: Vec::new(),
        }
    }

    fn wait(until: u64, since: u64, progress: Option<(u64, u64)>) -> Next {
        Next::Wait(Wait {
            until,
            state: state(),
            job: Some(Job {
                kind: "batch".to_owned(),
                since,
                done: progress.map(|(done, _)| done),
                total: progress.map(|(_, total)| total),
                latest: since + 900_000,
            }),
        })
    }

    fn until(next: &Next) -> u64 {
        match next {
            Next::Wait(wait) => wait.until,
            other => panic!("{other:?}"),
        }
    }

    /// When a split of that name is to be resumed.
    fn planned(times: &mut JobTimes, mut next: Next, now: u64, budget: Budget) -> u64 {
        times.plan("s", &mut next, now, budget);
        until(&next)
    }

    /// The known times after jobs that took so long.
    fn learned(took: &[u64]) -> JobTimes {
        let mut times = JobTimes::default();
        for took in took {
            planned(&mut times, wait(5000, 0, None), 0, Budget::Used);
            times.plan("s", &mut Next::Done(state()), *took, Budget::Used);
        }
        times
    }

    #[test]
    fn as_long_as_nothing_is_known_polls_thin_out_with_the_age_of_a_job() {
        let mut times = learned(&[60_000, 60_000]);
        let mut at = |now, budget| {
            times.forget("s");
            planned(&mut times, wait(now + 5000, 0, None), now, budget)
        };
        assert_eq!(at(0, Budget::Used), 5000);
        assert_eq!(at(10_000, Budget::Used), 15_000);
        assert_eq!(at(100_000, Budget::ToSpare), 125_000);
        assert_eq!(at(100_000, Budget::Used), 135_000);
        assert_eq!(at(100_000, Budget::Scarce), 160_000);
    }

    #[test]
    fn the_first_poll_comes_when_most_jobs_are_done() {
        let mut times = learned(&[60_000, 70_000, 80_000]);
        let first = planned(&mut times, wait(5000, 0, None), 0, Budget::Scarce);
        assert_eq!(first, 80_000);
        // One that takes longer is polled by what it says of itself.
        let reported = planned(
            &mut times,
            wait(95_000, 0, Some((80, 100))),
            90_000,
            Budget::Used,
        );
        assert_eq!(reported, 113_625);
    }

    /// How often jobs of such times are polled, and how long they are waited for beyond their end, on average.
    fn course(times: impl Fn(u64) -> u64, progress: bool, budget: Budget) -> (f64, f64) {
        let mut known = JobTimes::default();
        let (mut polls, mut beyond) = (0, 0);
        for number in 0..2000 {
            let took = times(number);
            let split = number.to_string();
            let (mut now, mut job) = (0, wait(5000, 0, None));
            loop {
                known.plan(&split, &mut job, now, budget);
                now = until(&job);
                polls += u32::from(number >= 1000);
                if now >= took {
                    break;
                }
                let reported = progress.then_some((now * 100 / took, 100));
                job = wait(now + 5000, 0, reported);
            }
            known.plan(&split, &mut Next::Done(state()), now, budget);
            if number >= 1000 {
                beyond += now - took;
            }
        }
        (f64::from(polls) / 1000.0, beyond as f64 / 1000.0)
    }

    fn spread(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
    }

    #[test]
    fn few_polls_are_enough_however_the_times_are_spread() {
        let uniform = |number| 30_000 + spread(number) % 60_000;
        let bimodal = |number| match spread(number) % 10 {
            0..5 => 20_000,
            _ => 150_000,
        };
        let slower = |number| match number {
            0..1000 => 30_000,
            _ => 300_000,
        };
        for progress in [true, false] {
            for times in [uniform, bimodal, slower] {
                let (polls, _) = course(times, progress, Budget::Scarce);
                assert!(polls < 1.6, "{polls}");
            }
        }
        let (many, soon) = course(bimodal, false, Budget::ToSpare);
        let (few, late) = course(bimodal, false, Budget::Scarce);
        assert!(many >= few && soon <= late, "{many} {few} {soon} {late}");
    }

    #[test]
    fn a_wait_is_never_shorter_than_asked_for_nor_longer_than_the_source_waits() {
        let mut times = learned(&[2_000_000; 5]);
        let first = planned(&mut times, wait(5000, 0, None), 0, Budget::Used);
        assert_eq!(first, 900_000);
        let mut times = learned(&[1; 5]);
        let first = planned(&mut times, wait(5000, 0, None), 0, Budget::ToSpare);
        assert_eq!(first, 5000);
        for odd in [(0, 100), (100, 100), (u64::MAX, 1), (1, u64::MAX)] {
            let at = planned(
                &mut times,
                wait(15_000, 0, Some(odd)),
                10_000,
                Budget::Scarce,
            );
            assert!((15_000..=900_000).contains(&at), "{odd:?}: {at}");
        }
    }

    #[test]
    fn what_is_known_follows_a_vendor_that_grows_fast_or_slow() {
        let usual = |times: &JobTimes| times.kinds["batch"].usual.unwrap();
        let mut times = learned(&[500_000; 3]);
        for _ in 0..200 {
            let at = planned(&mut times, wait(5000, 0, None), 0, Budget::Used);
            times.plan("s", &mut Next::Done(state()), at, Budget::Used);
        }
        assert!(usual(&times) < 10_000.0, "{}", usual(&times));
        // Any number of jobs that are not done at an age show no more than that.
        let mut times = learned(&[20_000; 3]);
        for number in 0..500 {
            let split = number.to_string();
            for now in [0, 20_000] {
                times.plan(&split, &mut wait(5000, 0, None), now, Budget::Used);
            }
        }
        assert!((20_000.0..=22_001.0).contains(&usual(&times)));
        assert_eq!(times.waiting(), (500, Some(0)));
    }

    #[test]
    fn what_came_to_nothing_does_not_count() {
        let mut times = learned(&[20_000; 3]);
        assert_eq!(times.take_ended(), 3);
        planned(&mut times, wait(5000, 0, None), 0, Budget::Used);
        assert!(times.is_waiting("s"));
        assert_eq!(times.under_way(), (1, 0));
        times.begin_generation();
        assert_eq!(times.under_way(), (1, 1));
        planned(&mut times, wait(5000, 1000, None), 1000, Budget::Used);
        assert_eq!(times.under_way(), (1, 0), "another job");
        times.forget("s");
        times.plan("s", &mut Next::Done(state()), 700_000, Budget::Used);
        assert_eq!(times.take_ended(), 0);
    }
}
