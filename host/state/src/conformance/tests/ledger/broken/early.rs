//! Faults on the way to completed.

use async_trait::async_trait;

use super::{Broken, Fault};
use crate::{
    Backfilled, Completion, CountMismatch, FetchFailure, ObjectCopy, QueueError, WorkQueue,
    fetch_order::ChangeKind,
    fleet::FetchReport,
    ledger::{DelegateDiscovery, DelegateFetching, DelegateHandover},
};
use recording_host_model::{
    ArtifactKey, ArtifactResult, ConversationRecord, ConversationRef, KeyContext, Outcome, Split,
    TimeRange,
};

#[async_trait]
impl DelegateDiscovery for Broken {
    async fn search(
        &self,
        splits: Vec<Split>,
        range: TimeRange,
        now: u64,
    ) -> Result<Vec<String>, QueueError> {
        let ids = splits.iter().map(|split| split.id.clone()).collect();
        let new = self.queue.search(splits, range, now).await?;
        if self.is(Fault::SearchesAtOnce) {
            self.queue.searched_all(now).await?;
        }
        Ok(match self.is(Fault::KnowsSplitsTwice) {
            true => ids,
            false => new,
        })
    }

    async fn unsearch(&self, from: u64, now: u64) -> Result<(), QueueError> {
        match self.is(Fault::ForgetsJumps) {
            true => Ok(()),
            false => self.queue.unsearch(from, now).await,
        }
    }

    async fn take_over(&self, interval: (u64, Option<u64>)) -> Result<(), QueueError> {
        if self.is(Fault::TakesOverAnything) && self.queue.searched().await?.ranges.is_empty() {
            let range = TimeRange {
                from: interval.0,
                until: interval.0 + 1,
            };
            self.queue.search(Vec::new(), range, 0).await?;
        }
        self.queue.take_over(interval).await
    }

    async fn known_one(&self, id: String) -> Result<Option<KeyContext>, QueueError> {
        let known = self.queue.known_one(id.clone()).await?;
        let mut past = self.past();
        let first = past.records.entry(id).or_insert(known.clone());
        Ok(match self.is(Fault::ReadsAnOlderRecord) {
            true => first.clone(),
            false => known,
        })
    }

    async fn miscounted(&self) -> Result<Vec<CountMismatch>, QueueError> {
        let mut ranges = self.queue.miscounted().await?;
        if self.is(Fault::ComparesTooFew) && self.queue.searched().await?.begun > 8 {
            ranges.push(CountMismatch {
                from: 0,
                until: 1,
                source: 1,
                known: 0,
                at: 0,
            });
        }
        Ok(match self.is(Fault::ComparesNoCounts) {
            true => Vec::new(),
            false => ranges,
        })
    }

    async fn in_bundle(&self, key: &ArtifactKey) -> Result<Vec<String>, QueueError> {
        let any = ArtifactKey::Bundle("one".to_owned());
        let key = match self.is(Fault::MixesBundles) {
            true => &any,
            false => key,
        };
        self.queue.in_bundle(key).await
    }
}

#[async_trait]
impl DelegateHandover for Broken {
    async fn apply(&self, mut report: FetchReport, sinks: Vec<String>) -> Result<bool, QueueError> {
        if self.is(Fault::AppliesTwice) {
            report.sequence = self.queue.applied().await? + 1;
        }
        let change = report.change.clone();
        let finished = self.queue.apply(report, sinks.clone()).await?;
        if let (ChangeKind::Delivered(results), Fault::OwesToEverySink) = (change.kind, self.fault)
        {
            for result in results {
                let ArtifactResult { artifact, took, .. } = result.into_result();
                let others = sinks.iter().filter(|sink| !took.contains(sink));
                let others = others.cloned().collect();
                let owed = ArtifactResult::owed(artifact, others);
                self.queue.delivered(vec![owed]).await?;
            }
        }
        Ok(finished)
    }
}

#[async_trait]
impl DelegateFetching for Broken {
    async fn next_batch(
        &self,
        export: &str,
        mut most: usize,
        any: bool,
        now: u64,
    ) -> Result<Option<(String, Vec<ConversationRef>)>, QueueError> {
        if self.is(Fault::ChoosesTooMany) {
            most = 9;
        }
        let next = self.queue.next_batch(export, most, any, now).await?;
        if let (Some((name, batch)), true) = (&next, self.is(Fault::BeginsWhatItChooses)) {
            let ids = batch.iter().map(|one| one.id.clone()).collect();
            self.queue.fetch(name.clone(), ids, Vec::new(), now).await?;
        }
        Ok(next)
    }

    async fn fetch(
        &self,
        name: String,
        conversations: Vec<String>,
        splits: Vec<Split>,
        now: u64,
    ) -> Result<Vec<String>, QueueError> {
        let ids = splits.iter().map(|split| split.id.clone()).collect();
        let queue = &self.queue;
        match self.fault {
            Fault::BeginsWithoutSplits => {
                queue.fetch(name, conversations, Vec::new(), now).await?;
                Ok(ids)
            }
            Fault::TearsFetches => {
                queue.fetch(name, conversations, Vec::new(), now).await?;
                tokio::task::yield_now().await;
                queue.add(splits, now).await
            }
            _ => queue.fetch(name, conversations, splits, now).await,
        }
    }

    async fn abandon(
        &self,
        split: String,
        mut failure: FetchFailure,
        now: u64,
    ) -> Result<usize, QueueError> {
        failure.divisible &= !self.is(Fault::NeverDivides);
        self.queue.abandon(split, failure, now).await
    }

    async fn delivered(&self, mut batch: Vec<ArtifactResult>) -> Result<(), QueueError> {
        match self.fault {
            Fault::LosesOneOfABatch if batch.len() > 1 => drop(batch.pop()),
            Fault::OwesNothing => batch.iter_mut().for_each(|one| one.backlog.clear()),
            Fault::TearsBatches => {
                for one in batch {
                    self.queue.delivered(vec![one]).await?;
                    tokio::task::yield_now().await;
                }
                return Ok(());
            }
            _ => {}
        }
        self.queue.delivered(batch).await
    }

    async fn copies(&self, batch: &[ArtifactResult]) -> Result<Vec<ObjectCopy>, QueueError> {
        match self.is(Fault::FindsNoCopies) {
            true => Ok(Vec::new()),
            false => self.queue.copies(batch).await,
        }
    }

    async fn complete(
        &self,
        now: u64,
        mut horizon: u64,
        confirm: u64,
    ) -> Result<Completion, QueueError> {
        match self.fault {
            Fault::CompletesTooEarly => drop(self.queue.settle_forgotten().await?),
            Fault::PostponesNothing => horizon = 0,
            _ => {}
        }
        let mut completion = self.queue.complete(now, horizon, confirm).await?;
        if self.is(Fault::BlamesTheAttemptBefore) && !completion.losses.is_empty() {
            let before = self.past().completed.losses.clone();
            if before.contains_key("fewer-than-announced") {
                completion.losses = before;
            }
        }
        if completion == Completion::default() && self.is(Fault::CompletesTwice) {
            return Ok(self.past().completed.clone());
        }
        self.past().completed = completion.clone();
        Ok(completion)
    }

    async fn settle_forgotten(&self) -> Result<usize, QueueError> {
        match self.is(Fault::ForgivesWhatIsOwed) {
            true => Ok(0),
            false => self.queue.settle_forgotten().await,
        }
    }

    async fn retry_lost(&self, now: u64) -> Result<usize, QueueError> {
        let lost = self.queue.retry_lost(now).await?;
        if !self.is(Fault::RetriesWhatIsStored) {
            return Ok(lost);
        }
        let mut stored = Vec::new();
        for number in 1..=self.queue.last_segment().await? {
            stored.extend(self.queue.filed_in(number).await?);
        }
        self.queue.lacks("lake".to_owned(), stored.clone()).await?;
        let again = stored.into_iter().map(|conversation| Backfilled {
            conversation,
            record: Some(ConversationRecord::default()),
            outcome: Outcome::Stored,
            extent: None,
            objects: Vec::new(),
            filled: Default::default(),
        });
        let again = self.queue.filled(again.collect(), Vec::new(), now).await?;
        Ok(lost + again)
    }
}
