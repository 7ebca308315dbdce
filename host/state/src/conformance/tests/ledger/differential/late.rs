//! Calls from completed to filed, and back.

use super::Run;

impl Run {
    pub(super) async fn seal(&mut self) {
        let (least, most) = (self.drawn.pick(&[1, 1, 2]), self.drawn.pick(&[1, 2, 9]));
        let sinks = self.sinks.clone();
        let call = format!("seal_segments {least} {most} {sinks:?}");
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                ledger.seal_segments(least, most, sinks.clone()).await
            })
            .await;
        let call = "last_segment".to_owned();
        self.pair
            .call(call, async |side| side.export.reader.last_segment().await)
            .await;
    }

    /// Files a segment in a sink that it can be filed in.
    pub(super) async fn file(&mut self) {
        let unfiled = self.pair.reader().ledger.unfiled().await.unwrap();
        let places = unfiled.into_iter().flat_map(|(number, sinks)| {
            let places = sinks.into_iter().map(move |sink| (number, sink));
            places.collect::<Vec<_>>()
        });
        let mut places: Vec<(i64, String)> = places.collect();
        places.sort_unstable();
        let Some((number, sink)) = self.drawn.any(&places) else {
            return;
        };
        if self.drawn.chance(20) {
            return self.fix(number, sink).await;
        }
        let (keep, now) = (self.drawn.chance(60), self.now);
        let call = format!("segment {number}");
        self.pair
            .call(call, async |side| {
                let reader = &side.export.reader;
                let segment = reader.segment(number).await?;
                let conversations = reader.sealed_conversations(segment.ids.clone()).await?;
                Ok((segment, conversations))
            })
            .await;
        for _ in 0..self.drawn.pick(&[1, 1, 1, 2]) {
            let call = format!("filed {number} in {sink} with keep {keep}");
            self.pair
                .call(call, async |side| {
                    let ledger = &side.export.ledger;
                    ledger.filed(number, sink.clone(), keep, now).await
                })
                .await;
        }
    }

    /// Calls about the receipt of a segment.
    async fn fix(&mut self, number: i64, sink: String) {
        self.notes += 1;
        let (what, note) = (self.drawn.below(4), self.notes.to_string());
        let call = format!("fix {what} {note} of {number} in {sink}");
        self.pair
            .call(call, async |side| {
                let (ledger, sink) = (&side.export.ledger, sink.clone());
                match what {
                    0 | 1 => {
                        let bytes = note.clone().into_bytes();
                        ledger.fix_receipt(number, sink, bytes).await.map(Some)
                    }
                    2 => ledger.release_receipt(number, sink).await.map(|()| None),
                    _ => {
                        let set = ledger.set_rows(number, sink, note.clone());
                        set.await.map(|()| None)
                    }
                }
            })
            .await;
    }

    pub(super) async fn compact(&mut self) {
        let before = self.drawn.pick(&["2030-01-01", "2030-01-01", "2023-11-15"]);
        let (before, most) = (before.to_owned(), self.drawn.pick(&[2, 3, 9]));
        let sinks = match self.drawn.chance(5) {
            true => Vec::new(),
            false => self.sinks.clone(),
        };
        let call = format!("compact {before} {most} {sinks:?}");
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                ledger.compact(before.clone(), most, sinks.clone()).await
            })
            .await;
    }

    /// Brings all that can be brought there to the receipts, and joins the segments.
    pub(super) async fn finish(&mut self) {
        let now = self.now;
        for _ in 0..3 {
            self.step_fetch().await;
            self.deliver().await;
        }
        let call = "settle_forgotten and complete".to_owned();
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                let forgotten = ledger.settle_forgotten().await?;
                Ok((forgotten, ledger.complete(now, 0, 0).await?))
            })
            .await;
        self.seal().await;
        for _ in 0..8 {
            self.file().await;
        }
        self.compact().await;
    }

    pub(super) async fn remove(&mut self) {
        let call = "replaced".to_owned();
        let replaced = self
            .pair
            .call_set(call, async |side| side.export.reader.replaced().await)
            .await;
        let Some(one) = self.drawn.any(&replaced.unwrap()) else {
            return;
        };
        let call = format!("removed {one:?}");
        self.pair
            .call(call, async |side| {
                side.export.ledger.removed(one.clone()).await
            })
            .await;
    }

    pub(super) async fn try_again(&mut self) {
        let (now, by_order) = (self.now, self.drawn.chance(50));
        let call = format!("try again by order {by_order} at {now}");
        self.pair
            .call(call, async |side| match by_order {
                true => side.export.ledger.retry_lost(now).await,
                false => side.export.ledger.retry_passing(now).await,
            })
            .await;
    }

    pub(super) async fn note(&mut self) {
        self.notes += 1;
        let (what, note) = (self.drawn.below(4), self.notes);
        let sink = self.sink();
        let call = format!("note {what} {note} {sink}");
        self.pair
            .call(call, async |side| {
                let ledger = &side.export.ledger;
                match what {
                    0 => {
                        ledger
                            .set_meta("conformance".to_owned(), note.to_string())
                            .await
                    }
                    1 => ledger.set_readme(sink.clone(), note as i64).await,
                    2 => ledger.set_paused_until(note % 3).await,
                    _ => ledger.report_losses().await,
                }
            })
            .await;
    }
}
