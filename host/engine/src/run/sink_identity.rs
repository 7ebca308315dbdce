//! The relation of a run's sinks to its queue: sinks that it has filed in before, others in their place,
//! or new ones, which are filled with what the others have.

use std::{collections::BTreeMap, time::Duration};

use tokio::sync::watch;

use super::{Engine, PATIENCE, RunError, in_flight::InFlight, ms, pause};
use crate::{
    identity, marker, receipt,
    recover::Receipts,
    repair::{Repair, RepairError, RepairReport, verified},
    transfer::SinkBinding,
};
use recording_host_sink::SinkError;
use recording_host_state::KnownSink;

/// How often a repair looks again at what was on its way, at most.
const REPAIR_PASSES: u32 = 4;
/// How many conversations are noted at once.
const PAGE: usize = 5000;

/// A text that distinguishes a sink from others of its kind: the id in its marker, which is made if
/// `write` is true and there is none; where it cannot be read, its index.
pub(super) async fn marker_of(
    binding: &SinkBinding,
    write: bool,
) -> Result<Option<String>, SinkError> {
    let Some(store) = binding.sink.store() else {
        return Ok(binding.location.clone());
    };
    match marker::read(&binding.name, store).await? {
        None if write => marker::write(&binding.name, &*binding.sink, store)
            .await
            .map(Some),
        read => Ok(read),
    }
}

/// A sink as the ledger is to know it.
pub(super) fn known(binding: &SinkBinding, marker: Option<String>) -> KnownSink {
    KnownSink {
        name: binding.name.clone(),
        identity: identity::sink(binding),
        takes: identity::route(&binding.route),
        marker,
        lapsed: false,
    }
}

/// The standing of a sink, which decides what has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has what it should have.
    Same,
    /// Nothing is filed anywhere yet.
    First,
    /// It is new, was left out for a while, or takes other conversations.
    Added,
    /// It wants other objects, or under other keys.
    Reshaped,
    /// It is not the one that was filed in; the marker that it has.
    Other,
}

impl Engine {
    /// Compares the sinks with what the ledger knows of them, and notes what they lack. One that fails is
    /// left behind if there are others, and else waited for.
    pub(super) async fn know_sinks(
        &self,
        indexes: &[usize],
        in_flight: &mut InFlight,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let names = self.bindings.iter().map(|binding| binding.name.clone());
        self.ledger.lapse(names.collect()).await?;
        let began = self.clock.elapsed();
        for sink_index in indexes {
            for tried in 1.. {
                let error = match self.know_sink(*sink_index, in_flight).await {
                    Ok(()) => {
                        in_flight.sinks.verified(*sink_index);
                        break;
                    }
                    Err(RunError::Sink(error)) if error.retryable => error,
                    Err(error) => return Err(error),
                };
                if indexes.len() > 1 {
                    in_flight.sinks.open(*sink_index, self.clock.now());
                    self.on_sink_unavailable(*sink_index, &error.to_string());
                    break;
                }
                let waited = self.clock.elapsed().saturating_sub(began);
                if waited >= ms(PATIENCE) && !self.following {
                    return Err(error.into());
                }
                if tried == 2 {
                    self.warn(&format!("{error}; trying again"));
                }
                tokio::select! {
                    biased;
                    _ = stop.wait_for(|stop| *stop) => return Err(RunError::Stopped),
                    () = self.clock.sleep(Duration::from_millis(pause(tried))) => {}
                }
            }
        }
        Ok(())
    }

    /// Compares a sink with what the ledger knows of it, and notes what it lacks.
    pub(super) async fn know_sink(
        &self,
        sink_index: usize,
        in_flight: &mut InFlight,
    ) -> Result<(), RunError> {
        let binding = &self.bindings[sink_index];
        let sinks = self.ledger.sinks().await?;
        let before = sinks.iter().find(|sink| sink.name == binding.name);
        let delivered = self.ledger.has_delivered().await?;
        let marker = marker_of(binding, false).await?;
        let identity = identity::sink(binding);
        let standing = match before {
            None if !delivered => Standing::First,
            // An earlier version of the program has filed or stored, and knew of no markers.
            None if sinks.is_empty() && self.ledger.has_filed().await? => {
                match self.has_receipts(binding).await? {
                    true => Standing::Same,
                    false => Standing::Other,
                }
            }
            None if sinks.is_empty() && self.ledger.has_stored().await? => Standing::Same,
            // Also if a run has sealed segments and come no further: it was not among those to file them in.
            None => Standing::Added,
            Some(before) if before.marker != marker => Standing::Other,
            Some(before) if before.identity != identity => Standing::Reshaped,
            Some(before) if before.lapsed || before.takes != identity::route(&binding.route) => {
                Standing::Added
            }
            Some(_) => Standing::Same,
        };
        let refill = self.refill.contains(&binding.name);
        if standing == Standing::Other && !refill && delivered {
            return Err(RunError::Sink(refusal(binding, before, marker)));
        }
        // Also one that is new to the ledger may have receipts of the export: only a ledger that is made of
        // them knows what they prove.
        let last = self.ledger.last_segment().await?;
        receipt::refuse_later(binding, &self.claim, last).await?;
        // Nothing is put where nothing may ever come.
        if standing == Standing::First && marker.is_none() {
            in_flight.sinks.lacks_marker(sink_index);
            return Ok(());
        }
        let anew = !matches!(standing, Standing::Same | Standing::First);
        if anew {
            // What nodes have brought to the one before says nothing of this one.
            self.recall(in_flight).await?;
            self.fill(binding, before, standing).await?;
        }
        let marker = marker_of(binding, true).await?;
        self.ledger.set_sink(known(binding, marker)).await?;
        if anew {
            // Orders name the sinks as the ledger has them.
            self.publish_all(in_flight).await?;
        }
        Ok(())
    }

    /// Gives sinks their markers that are about to get something for the first time.
    pub(super) async fn mark_sinks(&self, in_flight: &mut InFlight) -> Result<(), RunError> {
        for sink_index in in_flight.sinks.markable(self.clock.now()) {
            let binding = &self.bindings[sink_index];
            match marker_of(binding, true).await {
                Ok(marker) => {
                    self.ledger.set_sink(known(binding, marker)).await?;
                    in_flight.sinks.marked(sink_index);
                }
                Err(error) => self.sink_failed(sink_index, error, in_flight)?,
            }
        }
        Ok(())
    }

    /// Notes that a sink lacks what others have, but for what its own receipts prove.
    async fn fill(
        &self,
        binding: &SinkBinding,
        before: Option<&KnownSink>,
        standing: Standing,
    ) -> Result<(), RunError> {
        self.ledger.lacks_all(binding.name.clone()).await?;
        let reshaped = standing == Standing::Reshaped;
        let now = identity::digest(&identity::sink(binding));
        let assumed = before.map(|before| identity::digest(&before.identity));
        if let Some(store) = binding.sink.store() {
            for folder in receipt::by_day(store, "receipts/").await?.into_keys() {
                let receipts = Receipts::read(store, &folder, &self.claim).await?;
                let segments = receipts.segments().cloned().collect();
                self.ledger
                    .has_segments(binding.name.clone(), segments)
                    .await?;
                let mut attempts = BTreeMap::<String, (u32, bool)>::new();
                for line in receipts.lines {
                    // Earlier receipts do not contain the sink's form: it was the one that was known.
                    let form = line.sink_identity.as_ref().or(assumed.as_ref());
                    let same = form.map_or(!reshaped, |form| *form == now);
                    let entry = line.entry;
                    let of = attempts.entry(entry.conversation_id).or_default();
                    if (entry.attempt, same) > *of {
                        *of = (entry.attempt, same);
                    }
                }
                let all: Vec<(String, (u32, bool))> = attempts.into_iter().collect();
                for page in all.chunks(PAGE) {
                    let (same, other): (Vec<_>, Vec<_>) =
                        page.iter().cloned().partition(|(_, (_, same))| *same);
                    let of = |list: Vec<(String, (u32, bool))>| {
                        list.into_iter()
                            .map(|(id, (attempt, _))| (id, attempt))
                            .collect()
                    };
                    let name = binding.name.clone();
                    self.ledger.has(name.clone(), of(same), false).await?;
                    self.ledger.has(name, of(other), true).await?;
                }
            }
        }
        let lacking = self.ledger.lacking().await?;
        let lacking = lacking.get(&binding.name).copied().unwrap_or_default();
        let why = match standing {
            Standing::Reshaped => "wants its objects in another form or under other keys",
            Standing::Other => "is another one than before",
            _ => "is new, was left out, or takes other conversations now",
        };
        if lacking > 0 {
            self.warn(&format!(
                "sink {} {why}: {lacking} conversations from other sinks are checked; those it takes are copied from a sink that has them in the same form, otherwise requested again",
                binding.name
            ));
        }
        Ok(())
    }

    /// Returns true if a sink has any receipt of the export, or has no store to read it from.
    async fn has_receipts(&self, binding: &SinkBinding) -> Result<bool, RunError> {
        let Some(store) = binding.sink.store() else {
            return Ok(true);
        };
        for folder in receipt::by_day(store, "receipts/").await?.into_keys() {
            if !Receipts::read(store, &folder, &self.claim)
                .await?
                .lines
                .is_empty()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Compares the sinks with their receipts, if that was requested, and puts right what is not as it
    /// should be.
    pub(super) async fn repair_sinks(
        &self,
        in_flight: &InFlight,
    ) -> Result<RepairReport, RunError> {
        let mut all = RepairReport::default();
        if !self.repair {
            return Ok(all);
        }
        for (sink_index, binding) in self.bindings.iter().enumerate() {
            let Some(store) = binding
                .sink
                .store()
                .filter(|_| !in_flight.sinks.is_unavailable(sink_index))
            else {
                self.warn(&format!(
                    "sink {} cannot be read now, so it is not repaired",
                    binding.name
                ));
                // One that can be read at all is worth another look once it is back.
                all.postponed += u64::from(binding.sink.store().is_some());
                continue;
            };
            let repair = Repair {
                ledger: &*self.ledger,
                claim: &self.claim,
                bindings: &self.bindings,
                sink_index,
                now: self.clock.now(),
                events: &self.events,
            };
            let repaired = repair.repair(store).await.map_err(|error| match error {
                RepairError::Sink(error) => RunError::Sink(error),
                RepairError::Queue(error) => RunError::Queue(error),
            })?;
            all.add(&repaired);
        }
        Ok(all)
    }

    /// Runs the export, and again while a repair finds what was on its way before; says what was put right.
    pub(super) async fn run_and_repair(
        &self,
        stop: &watch::Receiver<bool>,
    ) -> Result<RepairReport, RunError> {
        let mut repaired = self.run(stop.clone()).await?;
        if !self.repair || *stop.borrow() {
            return Ok(repaired);
        }
        repaired = self.left(repaired).await?;
        // What was on its way when it was damaged is named by a receipt only now.
        let mut passes = 1;
        while repaired.is_worth_more() && passes < REPAIR_PASSES {
            let more = self.run(stop.clone()).await?;
            repaired.add(&more);
            repaired.postponed = more.postponed;
            repaired = self.left(repaired).await?;
            passes += 1;
        }
        if repaired.postponed > 0 {
            self.warn("some of what is to be repaired is still on its way to another sink, or in a sink that cannot be read; run `--repair` again");
        }
        Ok(repaired)
    }

    /// A repair with the findings that are left after it.
    pub(super) async fn left(&self, mut repaired: RepairReport) -> Result<RepairReport, RunError> {
        repaired.left.clear();
        for binding in &self.bindings {
            let Some(report) = verified(binding, &self.events).await? else {
                continue;
            };
            if !report.findings.is_empty() {
                repaired.left.insert(binding.name.clone(), report.findings);
            }
        }
        Ok(repaired)
    }

    /// A sink that was down is back: it may be another one by now.
    pub(super) async fn know_again(
        &self,
        sink_index: usize,
        in_flight: &mut InFlight,
    ) -> Result<bool, RunError> {
        match self.know_sink(sink_index, in_flight).await {
            Ok(()) => {
                in_flight.sinks.verified(sink_index);
                Ok(true)
            }
            Err(RunError::Sink(error)) => {
                self.sink_failed(sink_index, error, in_flight)?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Why a sink is not filed in, and what can be done about it.
fn refusal(binding: &SinkBinding, before: Option<&KnownSink>, marker: Option<String>) -> SinkError {
    let name = &binding.name;
    let reason = match (before.and_then(|before| before.marker.as_ref()), marker) {
        (Some(_), None) => format!(
            "this is not the archive that the export was filed in: it has no marker, so it was moved, emptied, or is not mounted; correct the sink's configuration, or fill it with `run --refill {name}`"
        ),
        (None, None) => format!(
            "the export was filed in this sink, and it has no receipt of it: it was moved, emptied, or is not mounted; correct the sink's configuration, or fill it with `run --refill {name}`"
        ),
        (_, Some(there)) => format!(
            "this is not the archive that the export was filed in: it is `{there}`; correct the sink's configuration, or fill it with `run --refill {name}`"
        ),
    };
    SinkError::new(name, marker::KEY, reason)
}
