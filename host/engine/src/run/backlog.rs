//! Counts the work that waits in a run, for those who watch it.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use recording_host_model::{Backlog, CompletedConversation, Segment};
use recording_host_state::QueueError;

impl Engine {
    /// The work that waits now, and how much of the vendor's limit is used.
    pub(super) async fn backlog(&self) -> Result<Backlog, QueueError> {
        let stock = self.queue.stock().await?;
        let names = self.bindings.iter().map(|binding| &binding.name);
        let of = |count: fn(&recording_host_state::SinkLag) -> u64| {
            let counted = names.clone().map(|name| {
                let lag = stock.behind.get(name);
                (name.clone(), lag.map_or(0, count))
            });
            counted.collect::<BTreeMap<_, _>>()
        };
        let (spool_bytes, spool_max_bytes) = self.transfer.spooled();
        let budget = self.answers.budget();
        let month = self.answers.month();
        Ok(Backlog {
            artifacts: of(|lag| lag.artifacts),
            conversations: of(|lag| lag.conversations),
            queue_bytes: stock.bytes,
            spool_bytes,
            spool_max_bytes,
            requests_used: budget.map(|(used, _)| used),
            requests_allowed: budget.map(|(_, allowed)| allowed),
            month_requests: month.map(|month| month.requests),
            month_allowed: month.map(|month| month.ceiling),
        })
    }
}

/// The recordings of a segment's conversations that are unavailable, by code, but for those of `known`
/// conversations; nothing of one that takes the place of others, which have named it before.
pub(super) fn losses(segment: &Segment, known: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut losses = BTreeMap::new();
    if segment.is_whole() {
        let new = |completed: &&CompletedConversation| !known.contains(&completed.id);
        for completed in segment.conversations.iter().filter(new) {
            for (code, _) in completed.outcome.losses() {
                *losses.entry(code).or_default() += 1;
            }
        }
    }
    losses
}
