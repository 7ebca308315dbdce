//! The state of a run that lives in memory alone, by stage; the ledger and the splits can restore it.

use std::{collections::BTreeMap, time::Duration};

use super::{
    adaptive_concurrency::AdaptiveConcurrency,
    backfill::Backfill,
    discovery::Discovery,
    fetch_concurrency::FetchConcurrency,
    fleet::HandedOver,
    held::HeldFetches,
    job_times::JobTimes,
    links::PendingArtifacts,
    ms,
    sink_health::SinkHealth,
    splits::{Splits, is_search},
};
use recording_host_http::Priority;
use recording_host_model::Activity;
use recording_host_state::{Ledger, QueueError, WorkQueue};

/// The work under way, in the order in which it passes through the stages.
pub(super) struct InFlight {
    pub(super) discovery: Discovery,
    pub(super) splits: Splits,
    /// How many fetches are under way at once.
    pub(super) fetches: FetchConcurrency,
    pub(super) links: PendingArtifacts,
    /// How many downloads are under way at once.
    pub(super) concurrency: AdaptiveConcurrency,
    pub(super) sinks: SinkHealth,
    pub(super) backfill: Backfill,
    pub(super) job_times: JobTimes,
    /// The fetches that nodes of the fleet have, if this engine leads.
    pub(super) handed: HandedOver,
    /// The fetches of the fleet that this engine has, if it is a node.
    pub(super) held: HeldFetches,
    /// What each sink has taken of what this run had for it, by the index of its binding.
    pub(super) taken: BTreeMap<usize, Taken>,
}

/// How many conversations a sink has taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Conversations that were filed.
    pub(super) filed: usize,
    /// Conversations that others have and that it lacked, for which its condition does not hold.
    pub(super) refused: usize,
    /// Those of them for which its condition holds.
    pub(super) taken: usize,
    /// True if it was told that it takes none.
    pub(super) reported: bool,
}

impl InFlight {
    /// Lets go of what waits for a fetch; downloads under way come to their end.
    pub(super) fn forget(&mut self, fetch: &str) {
        self.splits.forget(fetch);
        self.links.keep(|split| !split.starts_with(fetch));
    }

    /// The work that earlier runs have left in the ledger.
    pub(super) async fn load(
        work: &dyn WorkQueue,
        ledger: &dyn Ledger,
        sinks: SinkHealth,
        fetches: FetchConcurrency,
        concurrency: AdaptiveConcurrency,
    ) -> Result<Self, QueueError> {
        let mut splits = Splits::default();
        for (id, due) in work.open_splits().await? {
            splits.add(id, due);
        }
        Ok(InFlight {
            discovery: Discovery::default(),
            splits,
            fetches,
            links: PendingArtifacts::new(ledger.undelivered().await?),
            concurrency,
            sinks,
            backfill: Backfill::default(),
            job_times: JobTimes::default(),
            handed: HandedOver::default(),
            held: HeldFetches::default(),
            taken: BTreeMap::new(),
        })
    }

    /// Returns true if no split, no download and no copy waits, here or at a node.
    pub(super) fn is_idle(&self) -> bool {
        self.handed.is_empty()
            && self.splits.is_idle()
            && self.links.waiting() == 0
            && self.backfill.is_done()
    }

    /// Which of the requests that wait for the rate limit a split's goes before: first what begins jobs,
    /// then what asks about them, then what searches for more, unless there is nothing to fetch.
    pub(super) fn priority(&self, split: &str) -> Priority {
        if is_search(split) {
            return match self.discovery.is_wanted() {
                true => Priority::Ahead,
                false => Priority::Begin,
            };
        }
        match self.job_times.is_waiting(split) {
            true => Priority::Poll,
            false => Priority::Begin,
        }
    }

    /// The work under way at a time (ms), while requests pause for as long as `paused`.
    pub(super) fn activity(&self, now: u64, paused: Option<Duration>) -> Activity {
        let (jobs, oldest) = self.job_times.waiting();
        Activity {
            splits: self.splits.begun(),
            jobs,
            oldest_job_millis: oldest.map(|since| now.saturating_sub(since)),
            links: self.links.waiting(),
            transfers: self.concurrency.limit(),
            paused_millis: paused.map(ms),
        }
    }

    /// Heeds that the time of day has jumped by so much (ms): the machine's clock was set, or the machine
    /// slept. What waits for a length of time goes on waiting for the rest of it and no longer, and nothing
    /// counts as having failed for as long as the jump; what has come due meanwhile is due.
    pub(super) fn shift(&mut self, jump: i64) {
        self.splits.shift(jump);
        self.sinks.shift(jump);
        self.discovery.shift(jump);
        self.links.shift(jump);
    }

    /// When something is due next because of the time alone, after `now` (ms).
    pub(super) fn next_due(&self, now: u64) -> u64 {
        let due = [
            self.splits.next_due(now),
            self.discovery.next_due(now),
            self.sinks.paused_until(),
            self.sinks.next_probe(),
            self.links.next_due(),
        ];
        let later = due.into_iter().flatten().filter(|due| *due > now);
        later.min().unwrap_or(u64::MAX)
    }
}
