//! Calls about what sinks lack, and about what receipts prove.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Run,
    arguments::{IDS, SINKS, texts},
};
use crate::{
    Backfilled, KnownSink, ReceiptSummary, VoidSegment,
    conformance::ledger::export::{DAY, SIZE, conversation, object},
};
use recording_host_model::{ConversationRecord, Outcome};

impl Run {
    pub(super) async fn lack_and_fill(&mut self) {
        match self.drawn.below(10) {
            0..3 => self.lack().await,
            3..6 => self.fill().await,
            6..8 => self.have().await,
            _ => self.expect().await,
        }
    }

    async fn lack(&mut self) {
        let (sink, ids) = (self.drawn.pick(&self.sinks), self.ids(40));
        let call = format!("lacks {sink} {ids:?}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.lacks(sink.clone(), ids.clone()).await
            })
            .await;
    }

    /// A filed conversation as it is brought to those that lack it.
    fn backfilled(&mut self, id: &str, lackers: &BTreeSet<String>) -> Backfilled {
        let lackers: Vec<String> = lackers.iter().cloned().collect();
        let filled = self.drawn.some(&lackers, 75);
        let objects = filled.iter().map(|sink| (sink.clone(), object(id)));
        let lost = Outcome::Partial {
            missing: vec![("missing".to_owned(), "no luck".to_owned())],
        };
        Backfilled {
            conversation: id.to_owned(),
            record: self
                .drawn
                .chance(85)
                .then(|| ConversationRecord::from(&conversation(id))),
            outcome: if self.drawn.chance(15) {
                lost
            } else {
                Outcome::Stored
            },
            extent: self.drawn.any(&[None, Some(3)]).flatten(),
            objects: objects.collect(),
            filled: filled.into_iter().collect(),
        }
    }

    async fn fill(&mut self) {
        let now = self.now;
        let call = "lackers".to_owned();
        let lackers = self
            .pair
            .call(call, async |side| {
                side.export.reader.lackers(texts(&IDS)).await
            })
            .await;
        let lackers: Vec<_> = lackers.unwrap_or_default().into_iter().collect();
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for (id, sinks) in self.drawn.some(&lackers, 60) {
            if self.drawn.chance(10) {
                refused.extend(sinks.first().map(|sink| (id.clone(), sink.clone())));
            }
            found.push(self.backfilled(&id, &sinks));
        }
        let call = format!("filled {found:?} refused {refused:?}");
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                ledger.filled(found.clone(), refused.clone(), now).await
            })
            .await;
    }

    async fn have(&mut self) {
        let (sink, further) = (self.sink(), self.drawn.chance(40));
        let ids = self.ids(50);
        let proven: Vec<(String, u32)> = ids
            .into_iter()
            .map(|id| (id, self.drawn.below(5) as u32))
            .collect();
        let call = format!("has {sink} {proven:?} {further}");
        self.pair
            .call(call, async |side| {
                side.export
                    .ledger
                    .has(sink.clone(), proven.clone(), further)
                    .await
            })
            .await;
    }

    /// Expects a segment that is being filed in another sink, too, or learns that one has it.
    async fn expect(&mut self) {
        let unfiled = self.pair.reader().ledger.unfiled().await.unwrap();
        let numbers: Vec<i64> = unfiled.into_keys().collect();
        let (Some(number), sink) = (self.drawn.any(&numbers), self.drawn.pick(&self.sinks)) else {
            return;
        };
        let day = match self.drawn.chance(80) {
            true => self.pair.reader().ledger.segment(number).await.unwrap().day,
            false => "2020-02-02".to_owned(),
        };
        let there = self.drawn.chance(50);
        let call = format!("segment {number} of {day} is there {there} in {sink}");
        self.pair
            .call(call, async |side| {
                let (ledger, sink) = (&side.export.ledger, sink.clone());
                match there {
                    true => ledger.has_segments(sink, vec![(number, day.clone())]).await,
                    false => ledger.expect_filing(number, sink).await,
                }
            })
            .await;
    }

    /// A sink is added or taken away.
    pub(super) async fn change_sinks(&mut self) {
        let sink = self.sink();
        if self.sinks.contains(&sink) && self.sinks.len() > 1 {
            self.sinks.retain(|one| *one != sink);
            let present = self.sinks.clone();
            let call = format!("lapse to {present:?}");
            self.pair
                .call(call, async |side| {
                    side.export.ledger.lapse(present.clone()).await
                })
                .await;
            return;
        }
        if !self.sinks.contains(&sink) {
            self.sinks.push(sink.clone());
            let call = format!("lacks_all {sink}");
            self.pair
                .call(call, async |side| {
                    side.export.ledger.lacks_all(sink.clone()).await
                })
                .await;
        }
        let known = KnownSink {
            name: sink,
            identity: self.drawn.pick(&["one", "two"]).to_owned(),
            ..KnownSink::default()
        };
        let call = format!("set_sink {known:?}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.set_sink(known.clone()).await
            })
            .await;
    }

    /// The files of a segment turn out to be wrong in a sink.
    pub(super) async fn repair(&mut self) {
        let (ledger, now) = (self.pair.reader().ledger.clone(), self.now);
        let last = ledger.last_segment().await.unwrap();
        if last == 0 {
            return;
        }
        let number = self.drawn.below(last as u64) as i64 + 1;
        let mut conversations = ledger.filed_in(number).await.unwrap();
        if self.drawn.chance(20) {
            conversations.push(self.id());
        }
        if conversations.is_empty() {
            return;
        }
        let sink = self.drawn.pick(&self.sinks);
        let alone = BTreeSet::from([sink.clone()]);
        let sound = self.drawn.some(&conversations, 60);
        let segment = VoidSegment {
            sound: sound.iter().map(|id| self.backfilled(id, &alone)).collect(),
            day: DAY.to_owned(),
            sink,
            number,
            conversations,
        };
        let call = format!("file_again {segment:?}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.file_again(segment.clone(), now).await
            })
            .await;
    }

    /// Takes over what receipts prove, before anything else.
    pub(super) async fn recover(&mut self) {
        let (ids, now) = (self.ids(50), self.now);
        let mut proven = Vec::new();
        for id in ids {
            let outcome = [Outcome::Stored, Outcome::NoRecording];
            let lacking = self.drawn.some(&SINKS, 20);
            proven.push(ReceiptSummary {
                conversation: id,
                day: DAY.to_owned(),
                attempt: self.drawn.below(3) as u32 + 1,
                extent: self.drawn.any(&[None, Some(1)]).flatten(),
                objects: 1,
                bytes: SIZE,
                outcome: self.drawn.chance(80).then(|| self.drawn.pick(&outcome)),
                lacking: lacking
                    .into_iter()
                    .map(|sink| (sink.to_owned(), self.drawn.chance(50)))
                    .collect(),
                alike: self.drawn.chance(25),
            });
        }
        let segments = BTreeMap::from([(2, DAY.to_owned()), (3, DAY.to_owned())]);
        let segments: BTreeSet<(i64, String)> = segments.into_iter().collect();
        let replaced = vec![(2, "lake".to_owned(), 3)];
        let call = format!("recover {proven:?} {segments:?} {replaced:?}");
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                let all = (proven.clone(), segments.clone(), replaced.clone());
                ledger.recover(all.0, all.1, all.2, now).await
            })
            .await;
        let call = "set_ready".to_owned();
        self.pair
            .call(call, async |side| side.export.ledger.set_ready().await)
            .await;
    }
}
