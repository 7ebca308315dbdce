//! How each sink fares: a circuit breaker for each. While one fails the run pauses; after a grace
//! period its breaker opens and the others continue without it. It is probed now and then, and gets its
//! backlog once it is back.

use std::{collections::BTreeSet, time::Duration};

use super::{PATIENCE, ms, pause};
use recording_host_sink::SinkError;

/// How long everything waits for a sink.
const GRACE: Duration = Duration::from_secs(60);

/// The sinks of a run, in the order of its bindings.
#[derive(Debug, Default)]
pub(super) struct SinkHealth {
    breakers: Vec<CircuitBreaker>,
    /// True if none is given up for failing too long.
    patient: bool,
    /// Those of which it is not yet known whether they are the archives of before.
    unverified: BTreeSet<usize>,
    /// Those that have no marker yet: they get one before anything else.
    unmarked: BTreeSet<usize>,
}

#[derive(Debug, Default)]
struct CircuitBreaker {
    /// Since when it is unavailable (ms), and how often it has failed in a row.
    failing: Option<(u64, u32)>,
    /// It is not used or probed before (ms).
    probe_at: u64,
    /// True if the others continue without it.
    open: bool,
    /// Why it is given up.
    given_up: Option<SinkError>,
    /// True if it is being probed.
    probing: bool,
}

/// The effect of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureEffect {
    /// Nothing: it is used again soon.
    Again,
    /// It has failed for the second time in a row.
    Twice,
    /// The others continue without it from now on.
    Opened,
}

impl SinkHealth {
    /// So many sinks, none of them verified; `patient`: none is given up as long as there is another one.
    pub(super) fn new(count: usize, patient: bool) -> Self {
        SinkHealth {
            breakers: (0..count).map(|_| CircuitBreaker::default()).collect(),
            patient,
            unverified: (0..count).collect(),
            unmarked: BTreeSet::new(),
        }
    }

    /// Notes that a sink failed.
    ///
    /// # Errors
    /// The failure, if no sink is left.
    pub(super) fn failed(
        &mut self,
        sink_index: usize,
        error: SinkError,
        now: u64,
    ) -> Result<FailureEffect, SinkError> {
        let others = self.breakers.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != sink_index);
        let alone = !others.any(|(_, breaker)| breaker.failing.is_none());
        let patient = self.patient;
        let breaker = &mut self.breakers[sink_index];
        let was = breaker.is_unavailable();
        let (since, failures) = breaker.failing.get_or_insert((now, 0));
        let since = now.saturating_sub(*since);
        // Operations that are under way at once fail at once: that counts as one failure.
        let counts = breaker.probe_at <= now;
        if counts {
            *failures += 1;
            breaker.probe_at = now + pause(*failures);
        }
        let twice = counts && *failures == 2;
        if !error.retryable || (since >= ms(PATIENCE) && !patient) {
            breaker.given_up = Some(error.clone());
        }
        breaker.open |= since >= ms(GRACE) && !alone;
        let is = breaker.is_unavailable();
        if self
            .breakers
            .iter()
            .all(|breaker| breaker.given_up.is_some())
        {
            return Err(error);
        }
        Ok(match (was, is, twice) {
            (false, true, _) => FailureEffect::Opened,
            (false, false, true) => FailureEffect::Twice,
            _ => FailureEffect::Again,
        })
    }

    /// Moves all times by as much as the time of day has jumped (ms).
    pub(super) fn shift(&mut self, jump: i64) {
        for breaker in &mut self.breakers {
            breaker.probe_at = breaker.probe_at.saturating_add_signed(jump);
            if let Some((since, _)) = &mut breaker.failing {
                *since = since.saturating_add_signed(jump);
            }
        }
    }

    /// Opens the breaker of a sink that was unavailable from the start.
    pub(super) fn open(&mut self, sink_index: usize, now: u64) {
        let breaker = &mut self.breakers[sink_index];
        breaker.failing = Some((now, 1));
        breaker.probe_at = now + pause(1);
        breaker.open = true;
    }

    /// Notes that a sink works.
    pub(super) fn succeeded(&mut self, sink_index: usize) {
        self.breakers[sink_index] = CircuitBreaker::default();
    }

    /// Returns true if the others continue without it.
    pub(super) fn is_unavailable(&self, sink_index: usize) -> bool {
        self.breakers[sink_index].is_unavailable()
    }

    /// Returns true if a sink is given up.
    pub(super) fn is_given_up(&self, sink_index: usize) -> bool {
        self.breakers[sink_index].given_up.is_some()
    }

    /// Returns true if a sink is unavailable or paused for now.
    pub(super) fn is_paused(&self, sink_index: usize, now: u64) -> bool {
        let breaker = &self.breakers[sink_index];
        breaker.is_unavailable() || breaker.probe_at > now
    }

    /// Returns true if the run continues without some sink.
    pub(super) fn any_unavailable(&self) -> bool {
        self.breakers.iter().any(CircuitBreaker::is_unavailable)
    }

    /// Returns true if no sink is available.
    pub(super) fn none_available(&self) -> bool {
        self.breakers.iter().all(CircuitBreaker::is_unavailable)
    }

    /// Until when the run pauses (ms), if for any sink.
    pub(super) fn paused_until(&self) -> Option<u64> {
        let failing = self
            .breakers
            .iter()
            .filter(|breaker| breaker.failing.is_some());
        let waited = failing.filter(|breaker| !breaker.is_unavailable());
        waited.map(|breaker| breaker.probe_at).max()
    }

    /// The unavailable sinks that are to be probed now; they count as being probed.
    pub(super) fn take_probes(&mut self, now: u64) -> Vec<usize> {
        let patient = self.patient;
        let mut due = Vec::new();
        for (sink_index, breaker) in self.breakers.iter_mut().enumerate() {
            if breaker.waits_for_probe(patient) && breaker.probe_at <= now {
                breaker.probing = true;
                due.push(sink_index);
            }
        }
        due
    }

    /// When the next sink is to be probed (ms).
    pub(super) fn next_probe(&self) -> Option<u64> {
        let waiting = self.breakers.iter();
        let waiting = waiting.filter(|breaker| breaker.waits_for_probe(self.patient));
        waiting.map(|breaker| breaker.probe_at).min()
    }

    /// Goes on without a sink until [`succeeded`](Self::succeeded); it is not probed meanwhile.
    pub(super) fn leave_out(&mut self, sink_index: usize, now: u64) {
        self.open(sink_index, now);
        self.breakers[sink_index].probe_at = u64::MAX;
    }

    /// Notes that a probe is over.
    pub(super) fn probed(&mut self, sink_index: usize) {
        self.breakers[sink_index].probing = false;
    }

    /// Why a sink is given up, if none is left that may come back.
    pub(super) fn given_up(&self) -> Option<&SinkError> {
        if self.next_probe().is_some() || self.breakers.iter().any(|breaker| breaker.probing) {
            return None;
        }
        self.breakers
            .iter()
            .find_map(|breaker| breaker.given_up.as_ref())
    }
}

impl SinkHealth {
    /// The sinks that are available.
    pub(super) fn available(&self) -> Vec<usize> {
        let indexes = 0..self.breakers.len();
        indexes
            .filter(|sink_index| !self.is_unavailable(*sink_index))
            .collect()
    }

    /// Notes that a sink is known to be the archive of before, or a new one.
    pub(super) fn verified(&mut self, sink_index: usize) {
        self.unverified.remove(&sink_index);
    }

    /// Returns true if it is not yet known of some sink which archive it is.
    pub(super) fn any_unverified(&self) -> bool {
        !self.unverified.is_empty()
    }

    /// Notes that a sink has no marker yet.
    pub(super) fn lacks_marker(&mut self, sink_index: usize) {
        self.unmarked.insert(sink_index);
    }

    /// Notes that a sink has its marker.
    pub(super) fn marked(&mut self, sink_index: usize) {
        self.unmarked.remove(&sink_index);
    }

    /// The sinks without a marker that can get it now.
    pub(super) fn markable(&self, now: u64) -> Vec<usize> {
        let indexes = self.unmarked.iter().copied();
        indexes
            .filter(|sink_index| !self.is_paused(*sink_index, now))
            .collect()
    }

    /// How many downloads may be under way at once, where the pace allows `pace`.
    pub(super) fn allows(&self, pace: usize, now: u64) -> usize {
        let unmarked = |sink_index: &usize| !self.is_unavailable(*sink_index);
        match self.paused_until() {
            _ if self.none_available() => 0,
            // Objects that are in a sink before its marker would not be missed if it were another later.
            _ if self.unmarked.iter().any(unmarked) => 0,
            Some(until) if until > now => 0,
            // A sink that was unavailable is tried with one download before it gets all of them.
            Some(_) => 1,
            None => pace,
        }
    }
}

impl CircuitBreaker {
    fn is_unavailable(&self) -> bool {
        self.open || self.given_up.is_some()
    }

    fn waits_for_probe(&self, patient: bool) -> bool {
        self.is_unavailable() && !self.probing && (patient || self.given_up.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(retryable: bool) -> SinkError {
        SinkError::new("lake", "key", "unavailable").with_retryable(retryable)
    }

    #[test]
    fn a_sink_is_left_behind_after_a_while_and_given_up_after_a_long_one() {
        let mut breakers = SinkHealth::new(2, false);
        assert_eq!(
            breakers.failed(1, error(true), 0).unwrap(),
            FailureEffect::Again
        );
        assert_eq!(breakers.paused_until(), Some(2000));
        assert_eq!(
            breakers.failed(1, error(true), 2000).unwrap(),
            FailureEffect::Twice
        );
        let left = breakers.failed(1, error(true), 60_000).unwrap();
        assert_eq!(left, FailureEffect::Opened);
        assert_eq!(
            (breakers.paused_until(), breakers.is_unavailable(0)),
            (None, false)
        );
        assert_eq!(breakers.next_probe(), Some(68_000));
        assert_eq!(breakers.take_probes(68_000), [1]);
        assert!(breakers.take_probes(68_000).is_empty());
        breakers.probed(1);
        assert!(breakers.given_up().is_none());
        breakers.failed(1, error(true), 1_800_000).unwrap();
        assert!(breakers.given_up().is_some());
        breakers.succeeded(1);
        assert!(!breakers.any_unavailable() && breakers.given_up().is_none());
    }

    #[test]
    fn downloads_wait_for_a_pause_a_probe_and_a_marker() {
        let mut health = SinkHealth::new(2, false);
        assert_eq!(health.allows(9, 0), 9);
        health.lacks_marker(1);
        assert_eq!((health.allows(9, 0), health.markable(0)), (0, vec![1]));
        health.marked(1);
        health.failed(1, error(true), 0).unwrap();
        assert_eq!((health.allows(9, 1), health.allows(9, 2000)), (0, 1));
        health.open(1, 0);
        assert_eq!((health.allows(9, 1), health.available()), (9, vec![0]));
        health.open(0, 0);
        assert_eq!(health.allows(9, 1), 0);
        health.verified(0);
        assert!(health.any_unverified());
        health.verified(1);
        assert!(!health.any_unverified());
    }

    #[test]
    fn the_last_sink_is_never_left_behind() {
        let mut breakers = SinkHealth::new(2, false);
        for at in [0, 60_000, 120_000] {
            for sink_index in [0, 1] {
                breakers.failed(sink_index, error(true), at).unwrap();
            }
        }
        assert!(!breakers.any_unavailable() && breakers.paused_until().is_some());
        breakers.failed(0, error(false), 130_000).unwrap();
        breakers.failed(1, error(false), 130_000).unwrap_err();
    }
}
