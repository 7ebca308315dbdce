//! Copies to sinks what they lack and others have, beside everything else that a run does.

use std::{collections::VecDeque, sync::Arc};

use tokio::task::JoinSet;

use super::{Engine, RunError, in_flight::InFlight};
use crate::replicate::{Job, ReplicateError, Replicated, jobs, replicate};

/// The copies that are to be made.
#[derive(Debug, Default)]
pub(super) struct Backfill {
    /// True if the jobs must be found out.
    due: bool,
    jobs: VecDeque<Job>,
    /// True if a job is under way.
    busy: bool,
    /// True if the source has been searched for what no sink could describe.
    searched: bool,
}

impl Backfill {
    /// Has it found out what sinks lack.
    pub(super) fn look(&mut self) {
        self.due = true;
    }

    pub(super) fn is_done(&self) -> bool {
        !self.due && !self.busy && self.jobs.is_empty()
    }
}

/// The result of a job.
pub(super) struct BackfillDone {
    job: Job,
    result: Result<Replicated, ReplicateError>,
}

impl Engine {
    /// Starts the next job, if there is one and all sinks are there.
    pub(super) async fn backfill_sinks(
        &self,
        in_flight: &mut InFlight,
        backfills: &mut JoinSet<BackfillDone>,
        now: u64,
    ) -> Result<(), RunError> {
        if in_flight.backfill.busy
            || (!in_flight.backfill.due && in_flight.backfill.jobs.is_empty())
        {
            return Ok(());
        }
        let lacking = self.ledger.lacking().await?;
        let names: Vec<String> = lacking.into_keys().collect();
        let mut indexes = self.indexes(&names);
        if names.is_empty() || indexes.all(|sink_index| in_flight.sinks.is_unavailable(sink_index))
        {
            in_flight.backfill.due = false;
            in_flight.backfill.jobs.clear();
            return Ok(());
        }
        let there = in_flight.sinks.available();
        if there
            .iter()
            .any(|sink_index| in_flight.sinks.is_paused(*sink_index, now))
        {
            return Ok(());
        }
        if in_flight.backfill.due {
            in_flight.backfill.due = false;
            match jobs(&self.bindings, &there).await {
                Ok(jobs) => in_flight.backfill.jobs = jobs.into(),
                Err(error) => {
                    in_flight.backfill.due = true;
                    return self.fill_failed(error, in_flight);
                }
            }
        }
        // A donor that is away may come back; one that is given up does not.
        let sinks = &in_flight.sinks;
        in_flight
            .backfill
            .jobs
            .retain(|job| !sinks.is_given_up(job.donor));
        if in_flight.backfill.jobs.is_empty() {
            // No sink has any of it, as when the only one was emptied: the source may.
            return self.search_for_lacking(in_flight).await;
        }
        let mut jobs = in_flight.backfill.jobs.iter();
        let next = jobs.position(|job| there.contains(&job.donor));
        let Some(mut job) = next.and_then(|at| in_flight.backfill.jobs.remove(at)) else {
            return Ok(());
        };
        in_flight.backfill.busy = true;
        let (ledger, claim) = (Arc::clone(&self.ledger), Arc::clone(&self.claim));
        // A sink that is away gets what it lacks when it is back.
        let bindings = self.bindings.clone();
        backfills.spawn(async move {
            let result = replicate(&*ledger, &claim, &bindings, &mut job).await;
            BackfillDone { job, result }
        });
        Ok(())
    }

    /// Notes what came of a job.
    pub(super) async fn on_backfill(
        &self,
        filled: BackfillDone,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        in_flight.backfill.busy = false;
        let BackfillDone { job, result } = filled;
        match result {
            Ok(done) => {
                let now = self.clock.now();
                for (_, sink) in &done.refused {
                    for sink_index in self.indexes(std::slice::from_ref(sink)) {
                        in_flight.taken.entry(sink_index).or_default().refused += 1;
                    }
                }
                let wanted = self.ledger.filled(done.found, done.refused, now).await?;
                in_flight.discovery.found(wanted > 0);
                if let Some(error) = done.failed {
                    in_flight.backfill.jobs.push_front(job);
                    return self.fill_failed(error, in_flight);
                }
            }
            Err(error) => {
                in_flight.backfill.jobs.push_front(job);
                return self.fill_failed(error, in_flight);
            }
        }
        if in_flight.backfill.is_done() {
            self.search_for_lacking(in_flight).await?;
        }
        Ok(())
    }

    /// Searches the source once for what sinks lack and no other could describe.
    pub(super) async fn search_for_lacking(
        &self,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let lacking = self.ledger.lacking().await?;
        let lacks =
            |binding: &Arc<crate::transfer::SinkBinding>| lacking.contains_key(&binding.name);
        if in_flight.backfill.searched || !self.bindings.iter().any(lacks) {
            return Ok(());
        }
        in_flight.backfill.searched = true;
        self.ledger.search_again().await?;
        // In the next turn: this one's time is past.
        in_flight.discovery.search_at(Some(self.clock.now() + 1));
        Ok(())
    }

    /// Returns true if a sink that is away lacks something.
    pub(super) async fn any_away_lacks(&self, in_flight: &InFlight) -> Result<bool, RunError> {
        let lacking = self.ledger.lacking().await?;
        let names: Vec<String> = lacking.into_keys().collect();
        let mut indexes = self.indexes(&names);
        Ok(
            indexes.any(|sink_index| in_flight.sinks.is_unavailable(sink_index))
                || !in_flight.backfill.is_done(),
        )
    }

    fn fill_failed(&self, error: ReplicateError, in_flight: &mut InFlight) -> Result<(), RunError> {
        match error {
            ReplicateError::Sink(sink_index, error) => {
                self.sink_failed(sink_index, error, in_flight)
            }
            ReplicateError::Queue(error) => Err(error.into()),
        }
    }
}
