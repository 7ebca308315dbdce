//! Files what is complete: segments, their rows and receipts, in each sink.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, FILE_AFTER, ROWS, RunError, in_flight::InFlight, ms};
use crate::receipt::{self, CommitError};
use recording_host_model::{CompletedConversation, Event, Segment};
use recording_host_state::{Ledger, QueueError};

/// How long after a run's start small segments are filed first (ms): whoever loses the machine then has
/// something that is proven.
const EARLY: u64 = 45_000;
/// Conversations of a day that are filed early, at least, where small files stay for good.
const FEW: usize = 1000;

/// When what is complete is filed, in the clock's elapsed time.
pub(super) struct Upkeep {
    /// When small segments were filed last (ms).
    filed_at: u64,
    /// How long after that they are filed again (ms): the pauses grow.
    pause: u64,
    /// When it is time again (ms).
    next: u64,
    /// Until when requests pause, in seconds since the epoch, as the ledger was told last; 0 if they do not.
    paused: u64,
}

impl Upkeep {
    pub(super) fn new(now: u64) -> Self {
        Upkeep {
            filed_at: now,
            pause: EARLY,
            next: 0,
            paused: 0,
        }
    }

    pub(super) fn is_due(&self, now: u64) -> bool {
        now >= self.next
    }

    /// Returns true if small segments are to be filed.
    fn is_overdue(&self, now: u64) -> bool {
        now >= self.filed_at.saturating_add(self.pause)
    }

    /// Notes that small segments have been filed, if there were `any`.
    fn filed(&mut self, any: bool, now: u64) {
        if any {
            self.filed_at = now;
            self.pause = (self.pause * 2).min(FILE_AFTER);
        }
    }
}

/// Of so many conversations a sink should have taken one.
const MANY: usize = 100;

/// The result of filing.
#[derive(Clone, Copy, Debug)]
pub(super) struct FilingResult {
    /// True if every sink has all that is sealed; one that is unavailable gets it later.
    pub(super) everywhere: bool,
    /// True if there was something to file.
    any: bool,
}

impl Engine {
    /// Completes and files conversations.
    pub(super) async fn complete_and_file(
        &self,
        upkeep: &mut Upkeep,
        in_flight: &mut InFlight,
        now: u64,
    ) -> Result<(), RunError> {
        let elapsed = self.clock.elapsed();
        let (late, confirm) = (ms(self.late), ms(self.confirm));
        let completed = self.ledger.complete(now, late, confirm).await?;
        for (code, count) in completed.losses {
            self.events.emit(|| Event::RecordingsLost { code, count });
        }
        let overdue = upkeep.is_overdue(elapsed);
        let open = self.interval.until.is_none();
        let least = match overdue {
            false => ROWS,
            true if open || self.may_compact() => 1,
            true => FEW,
        };
        let filed = self.file(least, in_flight).await?;
        if overdue {
            upkeep.filed(filed.any, elapsed);
            // Days of the past are joined once, at the end.
            if open {
                self.compact(in_flight).await?;
            }
        }
        self.report(in_flight).await?;
        self.note_pause(upkeep).await?;
        // What there is to look through grows with the export: that must not take most of the time.
        let then = self.clock.elapsed();
        upkeep.next = then + (5 * (then - elapsed)).max(2000);
        Ok(())
    }

    /// Has the ledger tell whoever asks for its status until when requests pause.
    async fn note_pause(&self, upkeep: &mut Upkeep) -> Result<(), RunError> {
        let paused = self.http.paused();
        let until = paused.map_or(0, |left| (self.clock.now() + ms(left)) / 1000);
        // The end of a pause is the same at each look, give or take what rounding does.
        if until.abs_diff(upkeep.paused) > 1 {
            upkeep.paused = until;
            self.ledger.set_paused_until(until * 1000).await?;
        }
        Ok(())
    }

    /// Files what is completed: days with at least `least` conversations.
    pub(super) async fn file(
        &self,
        least: usize,
        in_flight: &mut InFlight,
    ) -> Result<FilingResult, RunError> {
        let sinks = self.bindings.iter().map(|binding| binding.name.clone());
        let sinks = sinks.collect();
        self.ledger.seal_segments(least, ROWS, sinks).await?;
        let mut all = true;
        let unfiled = self.ledger.unfiled().await?;
        let any = !unfiled.is_empty();
        if any {
            self.mark_sinks(in_flight).await?;
        }
        for (number, sinks) in unfiled {
            // No sink has it yet: its losses are news, also while another sink is unavailable and owed some of it.
            let mut is_new = self.ledger.filings_left(number).await? == self.bindings.len();
            let mut indexes: Vec<usize> = self.indexes(&sinks).collect();
            indexes.retain(|sink_index| !in_flight.sinks.is_paused(*sink_index, self.clock.now()));
            if indexes.is_empty() {
                all = false;
                continue;
            }
            let segment = self.ledger.segment(number).await?;
            let small = segment.ids.len() < ROWS;
            let keep = small && segment.is_whole() && self.may_compact();
            let mut everywhere = false;
            for sink_index in indexes {
                let binding = &self.bindings[sink_index];
                let context = self.receipt_context(&segment.day).await?;
                let is_news = is_new && segment.is_whole();
                let mut losses = NewLosses::of(&*self.ledger, number, is_news).await?;
                let mut seen = |completed: &CompletedConversation| losses.count(completed);
                let commit = receipt::commit_segment(
                    &*self.ledger,
                    &context,
                    &segment,
                    binding,
                    &self.bindings,
                    &mut seen,
                );
                match commit.await {
                    Ok(taken) => {
                        is_new = false;
                        let (name, now) = (binding.name.clone(), self.clock.now());
                        let filed = self.ledger.filed(number, name, keep, now).await?;
                        self.count(&segment, sink_index, taken, in_flight);
                        everywhere = filed.everywhere;
                        if !losses.codes.is_empty() {
                            let codes = losses.codes;
                            self.events.emit(|| Event::LossesFiled { codes });
                        }
                        in_flight.discovery.found(filed.grown > 0);
                    }
                    Err(CommitError::Sink(error)) => {
                        self.sink_failed(sink_index, error, in_flight)?
                    }
                    Err(CommitError::Queue(error)) => return Err(error.into()),
                }
            }
            all &= everywhere;
        }
        self.name_sinks_without(in_flight, false).await?;
        all &= self.remove_replaced(in_flight).await?;
        Ok(FilingResult {
            everywhere: all,
            any,
        })
    }

    /// Counts what a sink has taken of a segment, and tells of it.
    fn count(&self, segment: &Segment, sink_index: usize, taken: usize, in_flight: &mut InFlight) {
        let so_far = in_flight.taken.entry(sink_index).or_default();
        so_far.filed += segment.ids.len();
        so_far.taken += taken;
        if taken > 0 {
            self.events.emit(|| Event::SegmentFiled {
                sink: self.bindings[sink_index].name.clone(),
                day: segment.day.clone(),
                number: segment.number,
                conversations: taken,
            });
        }
    }

    /// Names the sinks that have never taken a conversation: what a condition asks for may be misspelt. Before
    /// the end of the run those are named that take none of many.
    pub(super) async fn name_sinks_without(
        &self,
        in_flight: &mut InFlight,
        at_end: bool,
    ) -> Result<(), RunError> {
        for (sink_index, so_far) in &mut in_flight.taken {
            let binding = &self.bindings[*sink_index];
            // What others have and it takes is filed later than the rest of that is refused.
            let seen = match at_end {
                true => so_far.filed + so_far.refused,
                false if so_far.filed < MANY => 0,
                false => so_far.filed,
            };
            if so_far.taken > 0 || seen == 0 || so_far.reported {
                continue;
            }
            so_far.reported = true;
            let readable = binding.sink.store().is_some();
            if readable && self.ledger.readme(binding.name.clone()).await? > 0 {
                continue;
            }
            self.warn(&format!(
                "{}: its `condition` holds for none of the {seen} conversations of this run; `recording-host test` tries a condition on samples",
                binding.name
            ));
        }
        Ok(())
    }
}

/// The recordings of a segment's conversations that are unavailable, by code, but for those of conversations that have
/// named it before.
struct NewLosses {
    /// The conversations that have; none if nothing of the segment is news.
    known: Option<BTreeSet<String>>,
    codes: BTreeMap<String, usize>,
}

impl NewLosses {
    /// Those of a segment, if it `is_news`.
    async fn of(ledger: &dyn Ledger, number: i64, is_news: bool) -> Result<Self, QueueError> {
        let known = match is_news {
            // A loss that was tried again and remains one is no news.
            true => Some(ledger.known_losses(number).await?),
            false => None,
        };
        Ok(NewLosses {
            known,
            codes: BTreeMap::new(),
        })
    }

    fn count(&mut self, completed: &CompletedConversation) {
        let Some(known) = &self.known else {
            return;
        };
        if !known.contains(&completed.id) {
            for (code, _) in completed.outcome.losses() {
                *self.codes.entry(code).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_filed_within_a_minute_of_work_and_then_ever_more_seldom() {
        let mut upkeep = Upkeep::new(1000);
        assert!(!upkeep.is_overdue(1000 + EARLY - 1) && upkeep.is_overdue(1000 + EARLY));
        // As long as there was nothing, the first is filed at once.
        upkeep.filed(false, 100_000);
        assert!(upkeep.is_overdue(100_001));
        let mut now = 200_000;
        upkeep.filed(true, now);
        assert!(!upkeep.is_overdue(now + EARLY) && upkeep.is_overdue(now + 2 * EARLY));
        for _ in 0..20 {
            now += FILE_AFTER;
            upkeep.filed(true, now);
        }
        assert!(upkeep.is_overdue(now + FILE_AFTER) && !upkeep.is_overdue(now + FILE_AFTER - 1));
    }
}
