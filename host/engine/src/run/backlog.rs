//! Counts the work that waits in a run, for those who watch it.

use super::Engine;
use recording_host_model::Backlog;
use recording_host_state::{QueueError, QueueStock, SinkLag};

impl Engine {
    /// The work that waits now, and how much of the vendor's limit is used.
    pub(super) async fn backlog(&self) -> Result<Backlog, QueueError> {
        let stock = self.ledger.stock().await?;
        let sinks = self.bindings.iter().map(|binding| &*binding.name);
        let (spool_bytes, spool_max_bytes) = self.transfer.spooled();
        let budget = self.http.budget();
        let month = self.http.month();
        let fetches = match self.fleet.publisher() {
            Some(publisher) => Some(publisher.counts().await?.waiting),
            None => None,
        };
        Ok(Backlog {
            fetches,
            spool_bytes,
            spool_max_bytes,
            requests_used: budget.map(|(used, _)| used),
            requests_allowed: budget.map(|(_, allowed)| allowed),
            month_requests: month.map(|month| month.requests),
            month_allowed: month.map(|month| month.ceiling),
            ..owed(&stock, sinks)
        })
    }
}

/// The work that waits according to a queue.
pub(super) fn owed<'a>(
    stock: &QueueStock,
    sinks: impl Iterator<Item = &'a str> + Clone,
) -> Backlog {
    let of = |count: fn(&SinkLag) -> u64| {
        let counted = sinks.clone().map(|sink| {
            let lag = stock.behind.get(sink);
            (sink.to_owned(), lag.map_or(0, count))
        });
        counted.collect()
    };
    Backlog {
        artifacts: of(|lag| lag.artifacts),
        conversations: of(|lag| lag.conversations),
        queue_bytes: stock.bytes,
        ..Backlog::default()
    }
}
