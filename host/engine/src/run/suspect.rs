//! Fetches that may be what stops nodes: of all of them, a node does one thing at a time, and reports it before it is begun
//! and when it has come to an end. What nodes have begun again and again, and none of them has come to its end, is what
//! stops them; what was merely with a machine when that was killed is not.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{Engine, RunError, fleet::FleetRole, in_flight::InFlight};
use recording_host_model::ArtifactResult;
use recording_host_state::{
    FetchChange,
    fleet::{FetchConsumer, TakenFetch},
};

/// The code of what stops nodes.
const FETCH_NOT_ENDED: &str = "fetch-not-ended";
/// A fetch that nodes have taken so often and never ended may be what stops them.
const MOST_DELIVERIES: u64 = 10;
/// What so many have begun and not come to the end of does stop them.
const MOST_BEGUN: u64 = 10;
/// What so many have taken, one after another, and done nothing of stops them as well, whatever it is.
const MOST_IN_VAIN: u64 = 100;

/// The turn of whoever does something of a suspect: a node has one.
pub(super) type Turn = Arc<AsyncMutex<()>>;

/// A fetch that may be what stops nodes.
#[derive(Debug)]
pub(super) struct Suspect {
    fetch: String,
    consumer: Arc<dyn FetchConsumer>,
    turn: Turn,
    /// What is done of it now.
    under_way: Mutex<Option<String>>,
}

impl Suspect {
    /// A fetch that a node has taken, if it is one.
    pub(super) fn of(taken: &TakenFetch, fleet: &FleetRole, turn: &Turn) -> Option<Arc<Self>> {
        let consumer = fleet.consumer()?;
        (taken.deliveries > MOST_DELIVERIES).then(|| {
            Arc::new(Suspect {
                fetch: taken.order.fetch.clone(),
                consumer: Arc::clone(consumer),
                turn: Arc::clone(turn),
                under_way: Mutex::default(),
            })
        })
    }

    /// The turn, if nobody has it.
    pub(super) fn try_turn(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }

    /// Says that what is under way is broken off: this node does not stop for it.
    pub(super) async fn break_off(&self) {
        if let Some(what) = self.note(None) {
            self.report(FetchChange::ended(&what)).await;
        }
    }

    /// Notes what is under way; returns what was.
    fn note(&self, what: Option<&str>) -> Option<String> {
        let under_way = self.under_way.lock();
        let mut under_way = under_way.unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut under_way, what.map(str::to_owned))
    }

    async fn report(&self, change: FetchChange) {
        // If it is not stored, this attempt tells nobody anything, and the next one does.
        if let Err(error) = self.consumer.report(&self.fetch, change).await {
            tracing::debug!(%error, fetch = self.fetch, "what is begun was not reported");
        }
    }
}

/// Does something of a fetch: a download, or a step of a split. If the fetch may be what stops nodes, nothing else of such
/// fetches is done meanwhile; `turn` is there if whoever does it has it already.
pub(super) async fn in_turn<T>(
    suspect: Option<&Suspect>,
    turn: Option<OwnedMutexGuard<()>>,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let Some(suspect) = suspect else {
        return work.await;
    };
    let _turn = match turn {
        Some(turn) => turn,
        None => Arc::clone(&suspect.turn).lock_owned().await,
    };
    suspect.note(Some(what));
    suspect.report(FetchChange::begun(what)).await;
    let done = work.await;
    suspect.note(None);
    suspect.report(FetchChange::ended(what)).await;
    done
}

/// What stops the nodes that do a fetch, after what they have reported.
#[derive(Debug, Default)]
pub(super) struct Stopping {
    /// What they have begun and not come to the end of, and how often.
    pub(super) begun: BTreeMap<String, u64>,
    /// How many have taken the fetch and done nothing of it, if nobody knows why.
    pub(super) in_vain: Option<u64>,
}

impl Stopping {
    pub(super) fn of(reported: &[FetchChange]) -> Self {
        let mut begun = FetchChange::begun_in_vain(reported);
        begun.retain(|_, times| *times >= MOST_BEGUN);
        let in_vain = FetchChange::taken_in_vain(reported);
        let unknown = begun.is_empty() && in_vain >= MOST_IN_VAIN;
        Stopping {
            begun,
            in_vain: unknown.then_some(in_vain),
        }
    }
}

impl Engine {
    /// The artifacts of the splits of a fetch that are done, which no sink has.
    pub(super) async fn undelivered_of(
        &self,
        fetch: &str,
    ) -> Result<BTreeMap<String, Vec<String>>, RunError> {
        let mut undelivered = self.ledger.undelivered().await?;
        undelivered.retain(|split, _| split.starts_with(fetch));
        Ok(undelivered)
    }

    /// The splits of a fetch that are open, and when they are due.
    pub(super) async fn open_splits_of(&self, fetch: &str) -> Result<Vec<(String, u64)>, RunError> {
        let mut splits = self.work.open_splits().await?;
        splits.retain(|(id, _)| id.starts_with(fetch));
        Ok(splits)
    }

    /// Gives up what stops nodes, of a fetch: an artifact is a loss that is named, and a split is divided, down to one
    /// conversation, which is such a loss as well. Of a split that is done, asking for fresh links does: its artifacts are
    /// lost. If nobody knows what does, its open splits are divided, and an artifact is lost.
    pub(super) async fn give_up(
        &self,
        fetch: &str,
        stopping: Stopping,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let mut reasons: BTreeMap<String, String> = BTreeMap::new();
        for (what, times) in stopping.begun {
            let reason = format!(
                "machines have begun this {times} times, one after another, and none has come to its end"
            );
            reasons.insert(what, reason);
        }
        let mut undelivered = self.undelivered_of(fetch).await?;
        let open = self.open_splits_of(fetch).await?;
        if let Some(times) = stopping.in_vain {
            let reason = format!(
                "machines have taken this fetch {times} times, one after another, and done nothing of it"
            );
            let first = undelivered.values().flatten().min().cloned();
            let open = open.iter().map(|(split, _)| split.clone());
            reasons.extend(
                first
                    .into_iter()
                    .chain(open)
                    .map(|what| (what, reason.clone())),
            );
        }
        for (what, reason) in reasons {
            if open.iter().any(|(split, _)| *split == what) {
                if let Some(split) = self.work.split(what).await? {
                    self.fail_split(&split, FETCH_NOT_ENDED, reason, in_flight)
                        .await?;
                }
                continue;
            }
            let of_split = undelivered.remove(&what).unwrap_or_default();
            let keys = undelivered.values().flatten();
            let named = keys.filter(|key| **key == what).cloned();
            let lost = named.chain(of_split);
            let lost = lost.map(|key| ArtifactResult::failed(key, FETCH_NOT_ENDED, &reason));
            self.write_lost(lost.collect(), in_flight).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_nodes_is_what_all_begin_and_none_ends_or_else_unknown() {
        let taken = || FetchChange::delivered(&[]);
        let begun = || {
            [
                taken(),
                FetchChange::begun("b"),
                FetchChange::ended("b"),
                FetchChange::begun("a"),
            ]
        };
        let few: Vec<FetchChange> = (0..9).flat_map(|_| begun()).collect();
        assert!(Stopping::of(&few).begun.is_empty());
        let enough: Vec<FetchChange> = (0..10).flat_map(|_| begun()).collect();
        let stopping = Stopping::of(&enough);
        assert_eq!(stopping.begun, BTreeMap::from([("a".to_owned(), 10)]));
        assert_eq!(stopping.in_vain, None);
        let mut unknown: Vec<FetchChange> = (0..100).map(|_| taken()).collect();
        assert_eq!(Stopping::of(&unknown).in_vain, Some(100));
        unknown.push(FetchChange::delivered(&[ArtifactResult::failed(
            "c".into(),
            "no",
            "x",
        )]));
        assert_eq!(Stopping::of(&unknown).in_vain, None, "something came of it");
    }
}
