//! What is under way, and what of it ends next.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use super::{RunError, TICK, deliver::Fetched, deliver::Tried, fill::Filled, step::Stepped};
use recording_host_model::clock::Clock;

/// What is under way.
#[derive(Default)]
pub(super) struct Tasks {
    pub(super) steps: JoinSet<Stepped>,
    pub(super) fetches: JoinSet<Fetched>,
    pub(super) tries: JoinSet<Tried>,
    pub(super) fills: JoinSet<Filled>,
}

/// What happened next.
pub(super) enum Happened {
    Stepped(Box<Stepped>),
    Fetched(Box<Fetched>),
    Tried(Tried),
    Filled(Box<Filled>),
    Time,
    Stop,
}

impl Tasks {
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
            && self.fetches.is_empty()
            && self.tries.is_empty()
            && self.fills.is_empty()
    }

    /// Waits until something has ended, but no longer than `wait` of the clock's time.
    pub(super) async fn next(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        clock: Clock,
        wait: Duration,
    ) -> Result<Happened, RunError> {
        let busy = !self.is_empty();
        Ok(tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Happened::Stop,
            Some(stepped) = self.steps.join_next() => Happened::Stepped(Box::new(joined(stepped)?)),
            Some(fetched) = self.fetches.join_next() => Happened::Fetched(Box::new(joined(fetched)?)),
            Some(tried) = self.tries.join_next() => Happened::Tried(joined(tried)?),
            Some(filled) = self.fills.join_next() => Happened::Filled(Box::new(joined(filled)?)),
            () = clock.sleep(wait) => Happened::Time,
            () = tokio::time::sleep(TICK), if busy => Happened::Time,
        })
    }
}

/// What a task has come to; one that panicked ends the run.
fn joined<T>(task: Result<T, JoinError>) -> Result<T, RunError> {
    task.map_err(|error| RunError::Host(error.to_string()))
}
