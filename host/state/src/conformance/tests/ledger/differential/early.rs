//! Calls from found to completed.

use super::{
    Run,
    arguments::{recording, split_of},
};
use crate::{FetchFailure, Lease};
use recording_host_model::{ArtifactKey, ArtifactResult};

/// How long a lease lasts (ms).
const LEASE: u64 = 60_000;

impl Run {
    pub(super) async fn begin_search(&mut self) {
        let (range, now) = (self.range(), self.now);
        let searched = self.pair.reader().ledger.searched().await.unwrap();
        let name = format!(
            "find-{:06}",
            searched.begun + u64::from(self.drawn.chance(90))
        );
        let splits = vec![split_of(format!("{name}/0"), "pages")];
        let call = format!("search {name} {range:?}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.search(splits.clone(), range, now).await
            })
            .await;
    }

    /// An open split of a kind, and now and then any that was known.
    async fn open(&mut self, kind: &str) -> Option<String> {
        let export = self.pair.reader();
        let open = export.worker.queue.open_splits().await.unwrap();
        let name = if kind == "pages" { "find" } else { "fetch" };
        let of = open.into_iter().map(|(id, _)| id);
        let of: Vec<String> = of.filter(|id| id.starts_with(name)).collect();
        self.drawn.any(&of)
    }

    /// Claims a split and commits a step of it.
    async fn commit(&mut self, id: String, step: recording_host_model::Step) {
        let (now, lease) = (self.now, self.lease());
        let horizon = self.drawn.pick(&[0, 3_600_000]);
        if self.drawn.chance(95) {
            let call = format!("claim {id}");
            self.pair
                .call(call, async |side| {
                    side.export.worker.queue.claim(id.clone(), lease).await
                })
                .await;
        }
        let call = format!("commit {id} {step:?} with horizon {horizon} at {now}");
        self.pair
            .call(call, async |side| {
                let queue = &side.export.worker.queue;
                let committed = queue.commit(id.clone(), step.clone(), now, horizon).await?;
                let mut artifacts: Vec<_> = committed.artifacts.into_iter().collect();
                artifacts.sort_unstable();
                Ok((committed.splits, artifacts, committed.wanted))
            })
            .await;
    }

    fn lease(&mut self) -> Lease {
        Lease {
            now: self.now,
            until: self.now + LEASE,
        }
    }

    pub(super) async fn step_search(&mut self) {
        let Some(id) = self.open("pages").await else {
            return self.begin_search().await;
        };
        let step = self.search_step(&id);
        self.commit(id, step).await;
    }

    pub(super) async fn end_searches(&mut self) {
        let now = self.now;
        match self.drawn.below(8) {
            0 => {
                let from = self.range().from;
                let call = format!("unsearch {from} at {now}");
                self.pair
                    .call(call, async |side| {
                        side.export.ledger.unsearch(from, now).await
                    })
                    .await;
            }
            1 => {
                let call = "search_again".to_owned();
                self.pair
                    .call(call, async |side| side.export.ledger.search_again().await)
                    .await;
            }
            2 => {
                let range = self.range();
                let until = self.drawn.chance(50).then_some(range.until);
                let call = format!("take_over {range:?} {until:?}");
                self.pair
                    .call(call, async |side| {
                        side.export.ledger.take_over((range.from, until)).await
                    })
                    .await;
            }
            _ => {
                let call = "searched_all".to_owned();
                self.pair
                    .call(call, async |side| {
                        side.export.ledger.searched_all(now).await
                    })
                    .await;
            }
        }
    }

    pub(super) async fn begin_fetch(&mut self) {
        let now = self.now;
        let (most, any) = (self.drawn.pick(&[1, 3, 4, 4]), self.drawn.chance(80));
        let call = format!("next_batch {most} {any} at {now}");
        let next = self
            .pair
            .call(call, async |side| {
                side.export.ledger.next_batch("fetch", most, any, now).await
            })
            .await;
        let Some(Some((name, batch))) = next else {
            return;
        };
        let mut ids: Vec<String> = batch.into_iter().map(|one| one.id).collect();
        // One that is filed is in no fetch, whoever names it.
        let other = self.id();
        let filed = self.pair.reader().ledger.last_filed(other.clone()).await;
        if filed.unwrap().is_some() {
            ids.push(other);
        }
        let many = self.drawn.below(2) + 1;
        let splits = (0..many).map(|part| split_of(format!("{name}/{part}"), "files"));
        let splits: Vec<_> = splits.collect();
        let call = format!("fetch {name} {ids:?} in {many}");
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                ledger
                    .fetch(name.clone(), ids.clone(), splits.clone(), now)
                    .await
            })
            .await;
    }

    pub(super) async fn step_fetch(&mut self) {
        let Some(id) = self.open("files").await else {
            return self.begin_fetch().await;
        };
        let ids = self.ids_fetched(&id).await;
        let step = self.fetch_step(&id, &ids);
        self.commit(id, step).await;
    }

    /// The conversations of the fetch of a split.
    pub(super) async fn ids_fetched(&mut self, split: &str) -> Vec<String> {
        let name = split.split('/').next().unwrap_or_default().to_owned();
        let order = self.pair.reader().ledger.order(name).await.unwrap();
        order.conversations().map(str::to_owned).collect()
    }

    /// Results of artifacts, mostly of those that wait for one.
    pub(super) async fn results(&mut self) -> Vec<ArtifactResult> {
        let ledger = self.pair.reader().ledger.clone();
        let mut waiting: Vec<String> = Vec::new();
        waiting.extend(ledger.undelivered().await.unwrap().into_values().flatten());
        let sinks = self.sinks.clone();
        waiting.extend(ledger.backlog(sinks).await.unwrap().into_values().flatten());
        let mut keys = self.drawn.some(&waiting, 60);
        if keys.is_empty() || self.drawn.chance(10) {
            let part = self.drawn.below(2) as u32;
            keys.push(recording(&self.id(), part).to_text());
        }
        let mut results = Vec::new();
        for key in keys {
            let inside = match ArtifactKey::from_text(&key) {
                Some(key) => ledger.in_bundle(&key).await.unwrap(),
                None => Vec::new(),
            };
            results.push(self.result(key, &inside));
        }
        results
    }

    pub(super) async fn deliver(&mut self) {
        let results = self.results().await;
        let call = format!("copies {results:?}");
        self.pair
            .call_set(call, async |side| side.export.ledger.copies(&results).await)
            .await;
        let call = format!("delivered {results:?}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.delivered(results.clone()).await
            })
            .await;
    }

    pub(super) fn failure(&mut self) -> FetchFailure {
        FetchFailure {
            code: "gone".to_owned(),
            message: "no luck".to_owned(),
            retryable: self.drawn.chance(50),
            divisible: self.drawn.chance(75),
        }
    }

    /// Lets go of a split, and mostly of all others of its fetch.
    pub(super) async fn abandon(&mut self) {
        let Some(split) = self.open("files").await else {
            return;
        };
        let name = split.split('/').next().unwrap_or_default().to_owned();
        let open = self.pair.reader().worker.queue.open_splits().await.unwrap();
        let of_it = open.into_iter().map(|(id, _)| id);
        let all = of_it.filter(|id| id.starts_with(&name) && self.drawn.chance(90));
        for split in all.collect::<Vec<_>>() {
            let (failure, now) = (self.failure(), self.now);
            let call = format!("abandon {split} {failure:?}");
            self.pair
                .call(call, async |side| {
                    let ledger = &side.export.ledger;
                    ledger.abandon(split.clone(), failure.clone(), now).await
                })
                .await;
        }
    }

    pub(super) async fn complete(&mut self) {
        let now = self.now;
        if self.drawn.chance(20) {
            let call = "settle_forgotten".to_owned();
            self.pair
                .call(call, async |side| {
                    side.export.ledger.settle_forgotten().await
                })
                .await;
        }
        let horizon = self.drawn.pick(&[0, 0, 0, 5 * 86_400_000]);
        let confirm = self.drawn.pick(&[0, 0, 0, 5 * 86_400_000]);
        let call = format!("complete at {now} with {horizon} and {confirm}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.complete(now, horizon, confirm).await
            })
            .await;
    }

    /// Calls of the work queue besides those of steps, of two workers.
    pub(super) async fn work(&mut self) {
        let (lease, due) = (self.lease(), self.now + self.drawn.below(3) * 1000);
        let id = match self.drawn.chance(50) {
            true => self.open("pages").await,
            false => self.open("files").await,
        };
        let (Some(id), what) = (id, self.drawn.below(4)) else {
            return;
        };
        let other = self.drawn.chance(30);
        let call = format!("work {what} on {id} by another {other}");
        self.pair
            .call(call, async |side| {
                let queue = if other {
                    &side.other
                } else {
                    &side.export.worker.queue
                };
                Ok(match what {
                    0 => format!("{:?}", queue.claim(id.clone(), lease).await?),
                    1 => format!("{:?}", queue.claim_next(lease).await?),
                    2 => format!("{:?}", queue.renew(id.clone(), lease).await?),
                    _ => format!("{:?}", queue.release(id.clone(), due).await?),
                })
            })
            .await;
    }
}
