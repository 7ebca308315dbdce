//! Fetches that may be what stops nodes: one thing of them is done at a time, and reported before it is begun and when
//! it has come to an end. What nodes have begun again and again, and none of them has come to its end, is what stops
//! them; what was merely with a machine when that was killed is not.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Mutex;

use super::fleet::FleetRole;
use recording_host_state::{
    FetchChange,
    fleet::{FetchConsumer, TakenFetch},
};

/// A fetch that nodes have taken so often and never ended may be what stops them.
const MOST_DELIVERIES: u64 = 10;
/// What so many have begun and not come to the end of does stop them.
const MOST_BEGUN: u64 = 10;

/// A fetch that may be what stops nodes.
#[derive(Debug)]
pub(super) struct Suspect {
    fetch: String,
    consumer: Arc<dyn FetchConsumer>,
    /// Whoever has it does something of the fetch.
    turn: Mutex<()>,
}

impl Suspect {
    /// A fetch that a node has taken, if it is one.
    pub(super) fn of(taken: &TakenFetch, fleet: &FleetRole) -> Option<Arc<Self>> {
        let consumer = fleet.consumer()?;
        (taken.deliveries > MOST_DELIVERIES).then(|| {
            Arc::new(Suspect {
                fetch: taken.order.fetch.clone(),
                consumer: Arc::clone(consumer),
                turn: Mutex::new(()),
            })
        })
    }

    async fn report(&self, change: FetchChange) {
        // If it is not stored, this attempt tells nobody anything, and the next one does.
        if let Err(error) = self.consumer.report(&self.fetch, change).await {
            tracing::debug!(%error, fetch = self.fetch, "what is begun was not reported");
        }
    }
}

/// Does something of a fetch: a download, or a step of a split. If the fetch may be what stops nodes, nothing else of it
/// is done meanwhile.
pub(super) async fn in_turn<T>(
    suspect: Option<&Suspect>,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let Some(suspect) = suspect else {
        return work.await;
    };
    let _turn = suspect.turn.lock().await;
    suspect.report(FetchChange::begun(what)).await;
    let done = work.await;
    suspect.report(FetchChange::ended(what)).await;
    done
}

/// What stops the nodes that do a fetch, after what they have reported, and how many of them have begun it.
pub(super) fn what_stops_nodes(reported: &[FetchChange]) -> BTreeMap<String, u64> {
    let mut begun = FetchChange::begun_in_vain(reported);
    begun.retain(|_, times| *times >= MOST_BEGUN);
    begun
}
