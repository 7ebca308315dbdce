//! The state of a run that lives in memory alone, by stage; the queue can restore it.

use super::{
    adaptive_concurrency::AdaptiveConcurrency, backfill::Backfill, discovery::Discovery,
    job_times::JobTimes, links::Links, sink_health::SinkHealth, splits::Splits,
};
use recording_host_model::Activity;
use recording_host_state::{Queue, QueueError, WorkQueue};

/// The work under way, in the order in which it passes through the stages.
pub(super) struct InFlight {
    pub(super) discovery: Discovery,
    pub(super) splits: Splits,
    pub(super) links: Links,
    /// How many downloads are under way at once.
    pub(super) concurrency: AdaptiveConcurrency,
    pub(super) sinks: SinkHealth,
    pub(super) backfill: Backfill,
    pub(super) job_times: JobTimes,
}

impl InFlight {
    /// The work that earlier runs have left in the queue.
    pub(super) async fn load(
        work: &dyn WorkQueue,
        queue: &Queue,
        sinks: SinkHealth,
        concurrency: AdaptiveConcurrency,
    ) -> Result<Self, QueueError> {
        let mut splits = Splits::default();
        for (id, due) in work.open_splits().await? {
            splits.add(id, due);
        }
        Ok(InFlight {
            discovery: Discovery::default(),
            splits,
            links: Links::new(queue.undelivered().await?),
            concurrency,
            sinks,
            backfill: Backfill::default(),
            job_times: JobTimes::default(),
        })
    }

    /// Returns true if no split, no download and no copy waits.
    pub(super) fn is_idle(&self) -> bool {
        self.splits.is_idle() && self.links.ready() == 0 && self.backfill.is_done()
    }

    /// The work under way at a time (ms).
    pub(super) fn activity(&self, now: u64) -> Activity {
        let (jobs, oldest) = self.job_times.waiting();
        Activity {
            splits: self.splits.begun(),
            jobs,
            oldest_job_millis: oldest.map(|since| now.saturating_sub(since)),
            links: self.links.ready(),
            transfers: self.concurrency.limit(),
        }
    }

    /// Heeds that the time of day has jumped by so much (ms): the machine's clock was set, or the machine
    /// slept. What waits for a length of time goes on waiting for the rest of it and no longer, and nothing
    /// counts as having failed for as long as the jump; what has come due meanwhile is due.
    pub(super) fn shift(&mut self, jump: i64) {
        self.splits.shift(jump);
        self.sinks.shift(jump);
        self.discovery.shift(jump);
    }

    /// When something is due next because of the time alone, after `now` (ms).
    pub(super) fn next_due(&self, now: u64) -> u64 {
        let due = [
            self.splits.next_due(now),
            self.discovery.next_due(now),
            self.sinks.paused_until(),
            self.sinks.next_probe(),
        ];
        let later = due.into_iter().flatten().filter(|due| *due > now);
        later.min().unwrap_or(u64::MAX)
    }
}
