//! The tasks under way, and which of them ends next.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{
    RunError, TICK, backfill::BackfillDone, deliver::TransferDone, results::WrittenResults,
    sink_outage::ProbeDone, step::StepDone,
};
use recording_host_model::clock::Clock;
use recording_host_state::{
    QueueError,
    fleet::{FetchReport, TakenFetch},
};

/// The tasks under way.
#[derive(Default)]
pub(super) struct Tasks {
    pub(super) steps: JoinSet<StepDone>,
    pub(super) transfers: JoinSet<TransferDone>,
    pub(super) probes: JoinSet<ProbeDone>,
    pub(super) backfills: JoinSet<BackfillDone>,
    /// At most one: results are written down in their order.
    pub(super) writing: JoinSet<WrittenResults>,
    /// At most one: the next report of a node, which a leader waits for.
    pub(super) reports: JoinSet<Result<FetchReport, QueueError>>,
    /// At most one: the next fetch of a fleet, which a node waits for.
    pub(super) taking: JoinSet<Result<TakenFetch, QueueError>>,
}

/// The event that happened next.
pub(super) enum Happened {
    StepDone(Box<StepDone>),
    TransferDone(Box<TransferDone>),
    ProbeDone(ProbeDone),
    BackfillDone(Box<BackfillDone>),
    ResultsWritten(WrittenResults),
    Reported(Box<Result<FetchReport, QueueError>>),
    FetchTaken(Box<Result<TakenFetch, QueueError>>),
    Time,
    Stop,
}

impl Tasks {
    /// Returns true if nothing is under way but waiting for others.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
            && self.transfers.is_empty()
            && self.probes.is_empty()
            && self.backfills.is_empty()
            && self.writing.is_empty()
    }

    /// Waits until something has ended or `draining` changes, but no longer than `wait` of the clock's time.
    pub(super) async fn next(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        draining: &mut watch::Receiver<bool>,
        clock: Clock,
        wait: Duration,
    ) -> Result<Happened, RunError> {
        let busy = !self.is_empty();
        Ok(tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Happened::Stop,
            Some(written) = self.writing.join_next() => Happened::ResultsWritten(joined(written)?),
            Some(stepped) = self.steps.join_next() => Happened::StepDone(Box::new(joined(stepped)?)),
            Some(fetched) = self.transfers.join_next() => Happened::TransferDone(Box::new(joined(fetched)?)),
            Some(tried) = self.probes.join_next() => Happened::ProbeDone(joined(tried)?),
            Some(filled) = self.backfills.join_next() => Happened::BackfillDone(Box::new(joined(filled)?)),
            Some(reported) = self.reports.join_next() => Happened::Reported(Box::new(joined(reported)?)),
            Some(taken) = self.taking.join_next() => Happened::FetchTaken(Box::new(joined(taken)?)),
            Ok(()) = draining.changed() => Happened::Time,
            () = clock.sleep(wait) => Happened::Time,
            () = tokio::time::sleep(TICK), if busy => Happened::Time,
        })
    }
}

/// The result of a task; one that panicked ends the run.
pub(super) fn joined<T>(task: Result<T, JoinError>) -> Result<T, RunError> {
    task.map_err(|error| RunError::Host(error.to_string()))
}
