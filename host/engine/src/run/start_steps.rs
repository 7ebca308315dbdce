//! Starts the steps of splits, as many as may be under way, in the order that uses the rate limit best.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    Engine, RunError,
    fetch_concurrency::Demand,
    in_flight::InFlight,
    job_times::Budget,
    step::{NextInput, StepDone},
};
use recording_host_http::Priority;
use recording_host_state::Lease;

/// How long a request waits for the rate limit while there are requests to spare, and when they are scarce.
const TO_SPARE: Duration = Duration::from_millis(400);
const SCARCE: Duration = Duration::from_secs(3);
impl Engine {
    /// How short requests are.
    pub(super) fn budget(&self) -> Budget {
        match self.answers.delay(Priority::Ahead) {
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
            limited: waits && self.answers.delay(Priority::Poll) >= SCARCE,
            refusals: self.answers.refused_to_begin(),
        };
        in_flight.fetches.adjust(demand, self.clock.elapsed());
    }

    /// Starts as many steps as may be under way; unless `begins`, only of fetches that have begun.
    pub(super) async fn start_steps(
        &self,
        in_flight: &mut InFlight,
        steps: &mut JoinSet<StepDone>,
        now: u64,
        begins: bool,
    ) -> Result<(), RunError> {
        // Links expire: no new ones are requested while so many wait.
        if in_flight.links.ready() > in_flight.concurrency.limit() * 64 {
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
        let InFlight { splits, links, .. } = in_flight;
        for id in links.take_refreshes(room, |id| !splits.is_busy(id)) {
            in_flight.splits.begin(id.clone());
            self.start_step(id, in_flight, steps, now).await?;
        }
        Ok(())
    }

    async fn start_step(
        &self,
        id: String,
        in_flight: &InFlight,
        steps: &mut JoinSet<StepDone>,
        now: u64,
    ) -> Result<(), RunError> {
        let input = in_flight.links.input(&id);
        let priority = in_flight.priority(&id);
        let lease = Lease::without_end(now);
        if let Some(split) = self.work.claim(id, lease).await? {
            self.spawn(steps, split, priority, NextInput::SplitInput(input));
        }
        Ok(())
    }
}
