//! Faults on the way from completed to filed, and in what is kept of sinks.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::{Broken, Fault};
use crate::{
    Acknowledged, Backfilled, QueueError, ReceiptSummary, Status, SupersededSegment, VoidSegment,
    ledger::{DelegateFiling, DelegateRepair, DelegateReport, DelegateSinks},
};
use recording_host_model::{
    ArtifactContents, ArtifactResult, CompletedConversation, Progress, Segment,
};

/// The other one of the two sinks.
fn other(sink: &str) -> String {
    if sink == "lake" { "nas" } else { "lake" }.to_owned()
}

#[async_trait]
impl DelegateFiling for Broken {
    async fn seal_segments(
        &self,
        least: usize,
        most: usize,
        sinks: Vec<String>,
    ) -> Result<(), QueueError> {
        if self.is(Fault::SealsTooEarly) {
            self.queue.settle_forgotten().await?;
            self.queue.complete(0, 0, 0).await?;
        }
        self.queue.seal_segments(least, most, sinks).await
    }

    async fn segment(&self, number: i64) -> Result<Segment, QueueError> {
        let mut segment = self.queue.segment(number).await?;
        // Where all sinks were known from the beginning, none is filed in after the first.
        if self.is(Fault::ForgetsWhatIsReplaced) && self.past().compacted == ["lake"] {
            for numbers in segment.replaces.values_mut() {
                numbers.retain(|number| !self.past().removed.contains(number));
            }
        }
        if self.is(Fault::ReplacesEverywhere)
            && let Some(numbers) = segment.replaces.get("lake").cloned()
        {
            segment.replaces.insert(other("lake"), numbers);
        }
        self.past().apart |= segment.apart;
        if self.is(Fault::TakesBackWhatIsUnderWay) {
            let mut of = segment.ids.iter();
            segment.apart &= !of.any(|id| self.past().taken_back.contains(id));
        }
        Ok(segment)
    }

    async fn sealed_conversations(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<CompletedConversation>, QueueError> {
        let is_new = self.past().sealed.insert(ids.concat());
        let mut sealed = self.queue.sealed_conversations(ids).await?;
        for completed in &mut sealed {
            if !is_new && self.is(Fault::ChangesSegments) {
                completed.record.tags.push("read again".to_owned());
            }
            if self.is(Fault::RepeatsAttempts) && self.past().lapsed {
                completed.attempt = 1;
            }
        }
        Ok(sealed)
    }

    async fn compact(
        &self,
        before: String,
        most: usize,
        sinks: Vec<String>,
    ) -> Result<bool, QueueError> {
        self.past().compacted = sinks.clone();
        self.queue.compact(before, most, sinks).await
    }

    async fn filed(
        &self,
        segment: i64,
        sink: String,
        keep: bool,
        now: u64,
    ) -> Result<Acknowledged, QueueError> {
        let queue = &self.queue;
        match self.fault {
            Fault::ForgetsFilings if sink == "lake" => return Ok(Acknowledged::default()),
            Fault::FilesTooEarly => {
                queue.filed(segment, other(&sink), keep, now).await?;
            }
            _ => {}
        }
        let filed = queue.filed(segment, sink, keep, now).await?;
        if filed.everywhere && self.is(Fault::LacksWhatItHas) {
            let ids = queue.filed_in(segment).await?;
            let sinks = self.past().has_receipts.clone();
            for sink in sinks {
                queue.lacks(sink, ids.clone()).await?;
            }
        }
        Ok(match self.is(Fault::SeesNoGrowth) {
            true => Acknowledged { grown: 0, ..filed },
            false => filed,
        })
    }

    async fn can_compact(&self, before: String) -> Result<bool, QueueError> {
        let kept = self.is(Fault::KeepsWhatIsApart) && self.past().apart;
        Ok(kept || self.queue.can_compact(before).await?)
    }

    async fn fix_receipt(
        &self,
        segment: i64,
        sink: String,
        bytes: Vec<u8>,
    ) -> Result<Vec<u8>, QueueError> {
        if self.is(Fault::RacesReceipts) {
            let fixed = self.queue.fixed_receipt(segment, sink.clone()).await?;
            tokio::task::yield_now().await;
            if let Some(fixed) = fixed {
                return Ok(fixed);
            }
        }
        if self.is(Fault::OverwritesReceipts) || self.is(Fault::RacesReceipts) {
            self.queue.release_receipt(segment, sink.clone()).await?;
        }
        self.queue.fix_receipt(segment, sink, bytes).await
    }

    async fn release_receipt(&self, segment: i64, sink: String) -> Result<(), QueueError> {
        if self.is(Fault::ReleasesEveryReceipt) {
            self.queue.release_receipt(segment, other(&sink)).await?;
        }
        self.queue.release_receipt(segment, sink).await
    }

    async fn rows(&self, segment: i64, sink: String) -> Result<Option<String>, QueueError> {
        let rows = self.queue.rows(segment, sink.clone()).await?;
        match (rows, self.is(Fault::MixesSinks)) {
            (None, true) => self.queue.rows(segment, other(&sink)).await,
            (rows, _) => Ok(rows),
        }
    }

    async fn set_readme(&self, sink: String, version: i64) -> Result<(), QueueError> {
        let before = match self.is(Fault::AddsUp) {
            true => self.queue.readme(sink.clone()).await?,
            false => 0,
        };
        self.queue.set_readme(sink, before + version).await
    }

    async fn removed(&self, replaced: SupersededSegment) -> Result<(), QueueError> {
        self.past().removed.insert(replaced.segment);
        match self.is(Fault::KeepsReplaced) {
            true => Ok(()),
            false => self.queue.removed(replaced).await,
        }
    }
}

#[async_trait]
impl DelegateSinks for Broken {
    async fn lapse(&self, present: Vec<String>) -> Result<(), QueueError> {
        self.past().lapsed = true;
        if self.is(Fault::WaitsForEver) {
            return Ok(());
        }
        self.queue.lapse(present).await?;
        // What was for a sink that had been added has not grown.
        if self.is(Fault::LosesWhatHasGrown)
            && !self.past().added
            && let Some((name, batch)) = self.queue.next_batch("x", 9, true, u64::MAX >> 1).await?
        {
            let ids = batch.into_iter().map(|one| one.id).collect();
            self.queue.fetch(name, ids, Vec::new(), 0).await?;
        }
        Ok(())
    }

    async fn has_stored(&self) -> Result<bool, QueueError> {
        let held = self.is(Fault::HoldsWhatIsFiled) && self.past().lapsed;
        Ok(held || self.queue.has_stored().await?)
    }

    async fn has_segments(
        &self,
        sink: String,
        segments: Vec<(i64, String)>,
    ) -> Result<(), QueueError> {
        self.past().has_receipts.push(sink.clone());
        self.queue.has_segments(sink, segments).await
    }

    async fn has(
        &self,
        sink: String,
        conversations: Vec<(String, u32)>,
        further: bool,
    ) -> Result<(), QueueError> {
        for (id, _) in &conversations {
            if self.queue.last_filed(id.clone()).await?.is_none() {
                self.past().taken_back.insert(id.clone());
            }
        }
        self.queue.has(sink, conversations, further).await
    }

    async fn lackers(
        &self,
        conversations: Vec<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, QueueError> {
        let mut lackers = self.queue.lackers(conversations).await?;
        // No other check adds a sink while something is on its way to others alone.
        if self.is(Fault::ForgetsWhatIsApart) {
            for sinks in lackers.values_mut() {
                sinks.remove("vault");
            }
        }
        Ok(lackers)
    }

    async fn lacks_all(&self, sink: String) -> Result<(), QueueError> {
        self.past().added = true;
        self.queue.lacks_all(sink.clone()).await?;
        if !self.is(Fault::LacksNothingUnderWay) {
            return Ok(());
        }
        let owed = self.queue.backlog(vec![sink.clone()]).await?;
        let taken = owed.into_values().flatten().map(|artifact| ArtifactResult {
            artifact,
            result: Ok(ArtifactContents::default()),
            took: vec![sink.clone()],
            backlog: Vec::new(),
        });
        self.queue.delivered(taken.collect()).await
    }

    async fn lacks(&self, sink: String, conversations: Vec<String>) -> Result<u64, QueueError> {
        let noted = self
            .queue
            .lacks(sink.clone(), conversations.clone())
            .await?;
        if self.is(Fault::ForgetsWhatIsLacked) {
            let all = conversations.into_iter().map(|id| (id, u32::MAX)).collect();
            self.queue.has(sink, all, false).await?;
        } else {
            self.past().lacked.push((sink, conversations));
        }
        Ok(noted)
    }

    async fn filled(
        &self,
        lacking: Vec<Backfilled>,
        mut refused: Vec<(String, String)>,
        now: u64,
    ) -> Result<usize, QueueError> {
        if self.is(Fault::BringsWhatIsRefused) {
            refused.clear();
        }
        self.queue.filled(lacking, refused, now).await
    }
}

#[async_trait]
impl DelegateRepair for Broken {
    async fn recover(
        &self,
        proven: Vec<ReceiptSummary>,
        mut segments: BTreeSet<(i64, String)>,
        replaced: Vec<(i64, String, i64)>,
        now: u64,
    ) -> Result<u64, QueueError> {
        if self.is(Fault::ForgetsNumbers) {
            segments.clear();
        }
        self.queue.recover(proven, segments, replaced, now).await
    }

    async fn file_again(
        &self,
        mut segment: VoidSegment,
        now: u64,
    ) -> Result<Option<u64>, QueueError> {
        if self.is(Fault::FilesNothingAgain) {
            segment.conversations.clear();
        }
        let again = self.queue.file_again(segment, now).await?;
        if again.is_none() && self.is(Fault::LetsGoOfWhatIsCompactable) {
            self.queue.lacks("lake".to_owned(), Vec::new()).await?;
        }
        Ok(again)
    }
}

#[async_trait]
impl DelegateReport for Broken {
    async fn progress(&self) -> Result<Progress, QueueError> {
        let mut progress = self.queue.progress().await?;
        if self.is(Fault::Miscounts) && progress.fetched > 0 {
            progress.fetched -= 1;
        }
        Ok(progress)
    }

    async fn status(&self) -> Result<Status, QueueError> {
        let mut status = self.queue.status().await?;
        if self.is(Fault::CountsTwice) {
            let filed = &mut status.progress.filed;
            filed.values_mut().for_each(|count| *count *= 2);
        }
        Ok(status)
    }

    async fn not_filed(&self, sink: String) -> Result<Vec<String>, QueueError> {
        let keys = self.queue.not_filed(sink).await?;
        let mut past = self.past();
        past.objects.extend(keys.iter().cloned());
        Ok(match self.is(Fault::ForgetsNoObject) {
            true => past.objects.iter().cloned().collect(),
            false => keys,
        })
    }

    async fn report_losses(&self) -> Result<(), QueueError> {
        match self.is(Fault::NamesLossesAgain) {
            true => Ok(()),
            false => self.queue.report_losses().await,
        }
    }

    async fn meta(&self, name: &'static str) -> Result<Option<String>, QueueError> {
        match self.fault {
            Fault::MixesNotes => self.queue.meta("any").await,
            Fault::KeepsNotesInMemory => Ok(self.past().notes.get(name).cloned()),
            _ => self.queue.meta(name).await,
        }
    }

    async fn set_meta(&self, name: String, value: String) -> Result<(), QueueError> {
        match self.fault {
            Fault::MixesNotes => self.queue.set_meta("any".to_owned(), value).await,
            Fault::KeepsNotesInMemory => {
                self.past().notes.insert(name, value);
                Ok(())
            }
            _ => self.queue.set_meta(name, value).await,
        }
    }
}
