//! Fills sinks with what they lack and others have, beside everything else that a run does.

use std::{collections::VecDeque, sync::Arc};

use tokio::task::JoinSet;

use super::{Run, RunError, live::Live};
use crate::replicate::{Job, ReplicateError, Replicated, jobs, replicate};

/// How far the filling of sinks is.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// Whether what is to be done must be found out.
    pub(super) due: bool,
    jobs: VecDeque<Job>,
    /// Whether a job is under way.
    busy: bool,
    /// Whether the source has been searched for what no sink could tell of.
    searched: bool,
}

impl Filling {
    pub(super) fn is_done(&self) -> bool {
        !self.due && !self.busy && self.jobs.is_empty()
    }
}

/// What came of a job.
pub(super) struct Filled {
    job: Job,
    result: Result<Replicated, ReplicateError>,
}

impl Run {
    /// Starts the next job, if there is one and all sinks are there.
    pub(super) async fn fill_sinks(
        &self,
        live: &mut Live,
        fills: &mut JoinSet<Filled>,
        now: u64,
    ) -> Result<(), RunError> {
        if live.filling.busy || (!live.filling.due && live.filling.jobs.is_empty()) {
            return Ok(());
        }
        let lacking = self.queue.lacking().await?;
        let names: Vec<String> = lacking.into_keys().collect();
        let mut places = self.places(&names);
        if names.is_empty() || places.all(|place| live.lanes.is_away(place)) {
            live.filling.due = false;
            live.filling.jobs.clear();
            return Ok(());
        }
        let there: Vec<usize> = (0..self.outputs.len())
            .filter(|place| !live.lanes.is_away(*place))
            .collect();
        if there.iter().any(|place| live.lanes.rests(*place, now)) {
            return Ok(());
        }
        if live.filling.due {
            live.filling.due = false;
            match jobs(&self.outputs, &there).await {
                Ok(jobs) => live.filling.jobs = jobs.into(),
                Err(error) => {
                    live.filling.due = true;
                    return self.fill_failed(error, live);
                }
            }
        }
        // A donor that is away may come back; one that is given up does not.
        let lanes = &live.lanes;
        live.filling.jobs.retain(|job| !lanes.is_refused(job.donor));
        if live.filling.jobs.is_empty() {
            // No sink has any of it, as when the only one was emptied: the source may.
            return self.search_for_lacking(live).await;
        }
        let mut jobs = live.filling.jobs.iter();
        let next = jobs.position(|job| there.contains(&job.donor));
        let Some(job) = next.and_then(|at| live.filling.jobs.remove(at)) else {
            return Ok(());
        };
        live.filling.busy = true;
        let (queue, claim) = (self.queue.clone(), Arc::clone(&self.claim));
        // A sink that is away gets what it lacks when it is back.
        let outputs = self.outputs.clone();
        fills.spawn(async move {
            let result = replicate(&queue, &claim, &outputs, &job).await;
            Filled { job, result }
        });
        Ok(())
    }

    /// Notes what came of a job.
    pub(super) async fn filled(&self, filled: Filled, live: &mut Live) -> Result<(), RunError> {
        live.filling.busy = false;
        let Filled { job, result } = filled;
        match result {
            Ok(done) => {
                let now = self.clock.now();
                let wanted = self.queue.filled(done.found, done.refused, now).await?;
                live.wanted |= wanted > 0;
                if let Some(error) = done.failed {
                    live.filling.jobs.push_front(job);
                    return self.fill_failed(error, live);
                }
            }
            Err(error) => {
                live.filling.jobs.push_front(job);
                return self.fill_failed(error, live);
            }
        }
        if live.filling.is_done() {
            self.search_for_lacking(live).await?;
        }
        Ok(())
    }

    /// Searches the source once for what sinks lack and no other could tell of.
    pub(super) async fn search_for_lacking(&self, live: &mut Live) -> Result<(), RunError> {
        let lacking = self.queue.lacking().await?;
        let lacks = |output: &Arc<crate::transfer::Output>| lacking.contains_key(&output.name);
        if live.filling.searched || !self.outputs.iter().any(lacks) {
            return Ok(());
        }
        live.filling.searched = true;
        self.queue.search_again().await?;
        // In the next turn: this one's time is past.
        live.next_search = Some(self.clock.now() + 1);
        Ok(())
    }

    /// Whether a sink that is away lacks something.
    pub(super) async fn any_away_lacks(&self, live: &Live) -> Result<bool, RunError> {
        let lacking = self.queue.lacking().await?;
        let names: Vec<String> = lacking.into_keys().collect();
        let mut places = self.places(&names);
        Ok(places.any(|place| live.lanes.is_away(place)) || !live.filling.is_done())
    }

    fn fill_failed(&self, error: ReplicateError, live: &mut Live) -> Result<(), RunError> {
        match error {
            ReplicateError::Sink(place, error) => self.sink_failed(place, error, live),
            ReplicateError::Queue(error) => Err(error.into()),
        }
    }
}
