//! Starts the steps of splits, as many as may be under way, in the order that uses the rate limit best.

use tokio::task::JoinSet;

use super::{
    Engine, RunError,
    in_flight::InFlight,
    step::{NextInput, StepDone},
};
use recording_host_state::Lease;

impl Engine {
    /// Starts as many steps as may be under way; unless `begins`, only of fetches that have begun.
    pub(super) async fn start_steps(
        &self,
        in_flight: &mut InFlight,
        steps: &mut JoinSet<StepDone>,
        now: u64,
        begins: bool,
    ) -> Result<(), RunError> {
        // Links expire: no new ones are requested while so many wait.
        if in_flight.links.waiting() > in_flight.concurrency.limit() * 64 {
            return Ok(());
        }
        let most = in_flight.fetches.limit();
        let next = |in_flight: &mut InFlight| match begins {
            true => in_flight.splits.take(now, most),
            false => in_flight.splits.take_begun(now),
        };
        while let Some(id) = next(in_flight) {
            self.start_step(id, in_flight, steps, now).await?;
        }
        let room = most.saturating_sub(steps.len());
        let InFlight { splits, links, .. } = &mut *in_flight;
        for id in links.take_refreshes(room, |id| !splits.is_busy(id)) {
            in_flight.splits.begin(id.clone());
            self.start_step(id, in_flight, steps, now).await?;
        }
        Ok(())
    }

    async fn start_step(
        &self,
        id: String,
        in_flight: &mut InFlight,
        steps: &mut JoinSet<StepDone>,
        now: u64,
    ) -> Result<(), RunError> {
        let input = in_flight.links.input(&id);
        let priority = in_flight.priority(&id);
        let lease = Lease::without_end(now);
        let Some(split) = self.work.claim(id.clone(), lease).await? else {
            // It is another node's by now: nothing of it is in progress here.
            in_flight.splits.done(&id);
            in_flight.links.abandon(&id);
            return Ok(());
        };
        let suspect = in_flight.held.suspect(&split.id);
        let todo = NextInput::SplitInput(input);
        self.spawn(steps, split, suspect, priority, todo);
        Ok(())
    }
}
