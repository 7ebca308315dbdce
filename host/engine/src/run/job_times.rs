//! How long the vendor's jobs take, and when it is worth asking whether one is done: a poll too early
//! costs a request of the limit, one too late costs time.

use std::collections::{HashMap, VecDeque};

use recording_host_model::{Job, Next, Wait};

/// Jobs of a kind that are remembered: the last ones show how the vendor does today.
const REMEMBERED: usize = 64;
/// Jobs of a kind from which something can be learned.
const ENOUGH: usize = 3;
/// The share of jobs that are done when they are first polled, in percent.
const PERCENTILE: usize = 70;
/// How much older a job grows until it is polled again, in percent of its age: polls thin out.
const GROWTH: u64 = 35;

/// The known times of jobs.
#[derive(Debug, Default)]
pub(super) struct JobTimes {
    /// How long the last jobs of each kind took (ms).
    took: HashMap<String, VecDeque<u64>>,
    /// The jobs that splits wait for: kind, and when each was submitted (ms).
    waiting: HashMap<String, (String, u64)>,
}

impl JobTimes {
    /// Takes note of what a split does next, and puts off a wait until its job is likely to be done.
    pub(super) fn plan(&mut self, split: &str, next: &mut Next, now: u64) {
        match next {
            // A request that asks for the job's state, as far as is known.
            Next::Send(_) => {}
            Next::Wait(Wait {
                until,
                job: Some(job),
                ..
            }) => {
                *until = self.resume_at(*until, job, now);
                let known = (job.kind.clone(), job.since);
                self.waiting.insert(split.to_owned(), known);
            }
            Next::Wait(Wait { job: None, .. }) | Next::Done(_) => {
                if let Some((kind, since)) = self.waiting.remove(split) {
                    let took = self.took.entry(kind).or_default();
                    took.push_back(now.saturating_sub(since));
                    if took.len() > REMEMBERED {
                        took.pop_front();
                    }
                }
            }
        }
    }

    /// How many jobs are waited for, and when the oldest was submitted (ms).
    pub(super) fn waiting(&self) -> (usize, Option<u64>) {
        let oldest = self.waiting.values().map(|(_, since)| *since).min();
        (self.waiting.len(), oldest)
    }

    /// Forgets a split that came to nothing: how long its job would have taken is not known.
    pub(super) fn forget(&mut self, split: &str) {
        self.waiting.remove(split);
    }

    fn resume_at(&self, until: u64, job: &Job, now: u64) -> u64 {
        let age = now.saturating_sub(job.since);
        let usual = self.usual(&job.kind).map(|usual| job.since + usual);
        let rest = match (job.done, job.total) {
            (Some(done), Some(total)) if done > 0 && done <= total => {
                Some(u128::from(age) * u128::from(total - done) / u128::from(done))
            }
            _ => None,
        };
        let likely = match (usual, rest.and_then(|rest| u64::try_from(rest).ok())) {
            (Some(usual), _) if usual > now => usual,
            (_, Some(rest)) => now.saturating_add(rest),
            _ => now + age * GROWTH / 100,
        };
        // A source that names a `latest` before `until` means `until`.
        likely.min(job.latest).max(until)
    }

    /// How long most jobs of a kind take (ms), if enough of them are known.
    fn usual(&self, kind: &str) -> Option<u64> {
        let mut took: Vec<u64> = self.took.get(kind)?.iter().copied().collect();
        if took.len() < ENOUGH {
            return None;
        }
        took.sort_unstable();
        took.get((took.len() * PERCENTILE).div_ceil(100) - 1)
            .copied()
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
    fn planned(times: &mut JobTimes, mut next: Next, now: u64) -> u64 {
        times.plan("s", &mut next, now);
        until(&next)
    }

    /// The known times after jobs that took so long.
    fn learnt(took: &[u64]) -> JobTimes {
        let mut times = JobTimes::default();
        for took in took {
            planned(&mut times, wait(5000, 0, None), 0);
            times.plan("s", &mut Next::Done(state()), *took);
        }
        times
    }

    #[test]
    fn as_long_as_nothing_is_known_polls_thin_out_with_the_age_of_a_job() {
        let mut times = learnt(&[60_000, 60_000]);
        assert_eq!(planned(&mut times, wait(5000, 0, None), 0), 5000);
        assert_eq!(planned(&mut times, wait(15_000, 0, None), 10_000), 15_000);
        let later = planned(&mut times, wait(105_000, 0, None), 100_000);
        assert_eq!(later, 135_000);
    }

    #[test]
    fn the_first_poll_comes_when_most_jobs_of_the_kind_were_done() {
        let took: Vec<u64> = (1..=10).map(|n| n * 10_000).collect();
        let mut times = learnt(&took);
        assert_eq!(planned(&mut times, wait(5000, 0, None), 0), 70_000);
        // One that takes longer is polled by its age, or by what it says of itself.
        let later = planned(&mut times, wait(85_000, 0, None), 80_000);
        assert_eq!(later, 108_000);
        let told = planned(&mut times, wait(85_000, 0, Some((80, 100))), 80_000);
        assert_eq!(told, 100_000);
    }

    #[test]
    fn a_wait_is_never_shorter_than_asked_for_nor_longer_than_the_source_waits() {
        let mut times = learnt(&[2_000_000; 5]);
        assert_eq!(planned(&mut times, wait(5000, 0, None), 0), 900_000);
        let mut times = learnt(&[1; 5]);
        assert_eq!(planned(&mut times, wait(5000, 0, None), 0), 5000);
        for odd in [(0, 100), (100, 100), (u64::MAX, 1), (1, u64::MAX)] {
            let at = planned(&mut times, wait(15_000, 0, Some(odd)), 10_000);
            assert!((15_000..=900_000).contains(&at), "{odd:?}: {at}");
        }
    }

    #[test]
    fn only_the_last_jobs_count_and_what_came_to_nothing_does_not() {
        let mut took = vec![500_000; REMEMBERED];
        took.extend([20_000; REMEMBERED]);
        let mut times = learnt(&took);
        assert_eq!(planned(&mut times, wait(5000, 0, None), 0), 20_000);
        times.forget("s");
        times.plan("s", &mut Next::Done(state()), 700_000);
        assert_eq!(times.took["batch"].len(), REMEMBERED);
        assert!(times.took["batch"].iter().all(|took| *took == 20_000));
    }
}
