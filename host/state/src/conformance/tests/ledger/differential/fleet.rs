//! Calls about fetches that other machines do.

use super::{Run, pair::Pair};
use crate::{
    FetchChange, Queue,
    fleet::{FetchReport, TakenFetch},
};

impl Run {
    /// A change of a fetch, as a node reports it.
    async fn change(&mut self, split: &str) -> FetchChange {
        let now = self.now;
        match self.drawn.below(10) {
            0..5 => {
                let ids = self.ids_fetched(split).await;
                let step = self.fetch_step(split, &ids);
                FetchChange::step(split, &step, now, 0)
            }
            5..9 => FetchChange::delivered(&self.results().await),
            _ => FetchChange::abandoned(split, &self.failure(), now),
        }
    }

    /// A node reports a change of a fetch, and now and then one that was applied before.
    pub(super) async fn report(&mut self) {
        let ledger = self.pair.reader().ledger.clone();
        let orders = ledger.orders("fetch").await.unwrap();
        let Some(order) = self.drawn.any(&orders) else {
            return;
        };
        let applied = ledger.applied().await.unwrap();
        let split = format!("{}/0", order.fetch);
        let report = FetchReport {
            sequence: applied + u64::from(self.drawn.chance(90)),
            change: self.change(&split).await,
            fetch: order.fetch,
        };
        self.pair
            .call("confirm".to_owned(), async |side| {
                side.export.ledger.confirm().await
            })
            .await;
        let sinks = self.sinks.clone();
        let call = format!("apply {report:?} with {sinks:?}");
        self.pair
            .call(call, async |side| {
                side.export
                    .ledger
                    .apply(report.clone(), sinks.clone())
                    .await
            })
            .await;
    }

    /// A node takes a fetch on, works on it, and lets go of it.
    pub(super) async fn hand_over(&mut self) {
        let orders = self.pair.reader().ledger.orders("fetch").await.unwrap();
        let Some(order) = self.drawn.any(&orders) else {
            return;
        };
        let mut node = Pair::new(self.drawn.seed(), Queue::for_node().unwrap());
        let (fetch, now) = (order.fetch.clone(), self.now);
        let ids: Vec<String> = order.conversations().map(str::to_owned).collect();
        let split = format!("{fetch}/0");
        let mut changes = Vec::new();
        for _ in 0..self.drawn.below(3) {
            changes.push(self.change(&split).await);
        }
        let taken = TakenFetch {
            order,
            changes,
            deliveries: 1,
        };
        // The second time it is refused.
        for _ in 0..2 {
            let call = format!("take_on {taken:?}");
            node.call(call, async |side| {
                side.export.ledger.take_on(taken.clone(), now).await
            })
            .await;
            node.view().await;
        }
        let call = format!("let_go {fetch} {ids:?}");
        node.call(call, async |side| {
            side.export.ledger.let_go(fetch.clone(), ids.clone()).await
        })
        .await;
        node.view().await;
    }
}
