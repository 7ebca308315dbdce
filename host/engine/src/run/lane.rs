//! How each sink fares. For one that fails everything waits a while; then it is left behind and the
//! others go on. It is tried now and then, and catches up once it is back.

use std::time::Duration;

use super::{PATIENCE, ms, pause};
use recording_host_sink::SinkError;

/// How long everything waits for a sink.
const GRACE: Duration = Duration::from_secs(60);

/// The sinks of a run, in the order of its outputs.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Whether none is ever given up.
    patient: bool,
}

#[derive(Debug, Default)]
struct Lane {
    /// Since when it is unavailable (ms), and how often it has failed in a row.
    failing: Option<(u64, u32)>,
    /// It is not tried before (ms).
    rest: u64,
    /// Whether it is left behind.
    behind: bool,
    /// Why it is given up.
    refused: Option<SinkError>,
    /// Whether it is being tried.
    trying: bool,
}

/// What a failure has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Nothing: it is tried again soon.
    Again,
    /// It has failed for the second time in a row.
    Twice,
    /// The others go on without it from now on.
    LeftBehind,
}

impl Lanes {
    /// `patient` lanes are never given up as long as there is another one.
    pub(super) fn new(count: usize, patient: bool) -> Self {
        Lanes {
            lanes: (0..count).map(|_| Lane::default()).collect(),
            patient,
        }
    }

    /// Notes that a sink failed.
    ///
    /// # Errors
    /// The failure, if no sink is left.
    pub(super) fn failed(
        &mut self,
        place: usize,
        error: SinkError,
        now: u64,
    ) -> Result<Failed, SinkError> {
        let others = self.lanes.iter().enumerate();
        let mut others = others.filter(|(other, _)| *other != place);
        let alone = !others.any(|(_, lane)| lane.failing.is_none());
        let patient = self.patient;
        let lane = &mut self.lanes[place];
        let was = lane.is_away();
        let (since, failures) = lane.failing.get_or_insert((now, 0));
        let since = now.saturating_sub(*since);
        // What is under way at once fails at once: that counts as one failure.
        let counts = lane.rest <= now;
        if counts {
            *failures += 1;
            lane.rest = now + pause(*failures);
        }
        let twice = counts && *failures == 2;
        if !error.retryable || (since >= ms(PATIENCE) && !patient) {
            lane.refused = Some(error.clone());
        }
        lane.behind |= since >= ms(GRACE) && !alone;
        let is = lane.is_away();
        if self.lanes.iter().all(|lane| lane.refused.is_some()) {
            return Err(error);
        }
        Ok(match (was, is, twice) {
            (false, true, _) => Failed::LeftBehind,
            (false, false, true) => Failed::Twice,
            _ => Failed::Again,
        })
    }

    /// Leaves a sink behind that was unavailable from the start.
    pub(super) fn leave(&mut self, place: usize, now: u64) {
        let lane = &mut self.lanes[place];
        lane.failing = Some((now, 1));
        lane.rest = now + pause(1);
        lane.behind = true;
    }

    /// Notes that a sink works.
    pub(super) fn works(&mut self, place: usize) {
        self.lanes[place] = Lane::default();
    }

    /// Whether the others go on without it.
    pub(super) fn is_away(&self, place: usize) -> bool {
        self.lanes[place].is_away()
    }

    /// Whether a sink is given up.
    pub(super) fn is_refused(&self, place: usize) -> bool {
        self.lanes[place].refused.is_some()
    }

    /// Whether a sink is left alone for now.
    pub(super) fn rests(&self, place: usize, now: u64) -> bool {
        let lane = &self.lanes[place];
        lane.is_away() || lane.rest > now
    }

    /// Whether some sink is left behind.
    pub(super) fn any_away(&self) -> bool {
        self.lanes.iter().any(Lane::is_away)
    }

    /// Whether no sink is there.
    pub(super) fn all_away(&self) -> bool {
        self.lanes.iter().all(Lane::is_away)
    }

    /// Until when everything waits (ms), if for anything.
    pub(super) fn waits(&self) -> Option<u64> {
        let failing = self.lanes.iter().filter(|lane| lane.failing.is_some());
        let waited = failing.filter(|lane| !lane.is_away());
        waited.map(|lane| lane.rest).max()
    }

    /// The sinks left behind that are to be tried now; they count as being tried.
    pub(super) fn take_due(&mut self, now: u64) -> Vec<usize> {
        let patient = self.patient;
        let mut due = Vec::new();
        for (place, lane) in self.lanes.iter_mut().enumerate() {
            if lane.waits_for_try(patient) && lane.rest <= now {
                lane.trying = true;
                due.push(place);
            }
        }
        due
    }

    /// When the next sink is to be tried (ms).
    pub(super) fn next_try(&self) -> Option<u64> {
        let waiting = self.lanes.iter();
        let waiting = waiting.filter(|lane| lane.waits_for_try(self.patient));
        waiting.map(|lane| lane.rest).min()
    }

    /// Notes that a try is over.
    pub(super) fn tried(&mut self, place: usize) {
        self.lanes[place].trying = false;
    }

    /// Why a sink is given up, if none is left that may come back.
    pub(super) fn refused(&self) -> Option<&SinkError> {
        if self.next_try().is_some() || self.lanes.iter().any(|lane| lane.trying) {
            return None;
        }
        self.lanes.iter().find_map(|lane| lane.refused.as_ref())
    }
}

impl Lane {
    fn is_away(&self) -> bool {
        self.behind || self.refused.is_some()
    }

    fn waits_for_try(&self, patient: bool) -> bool {
        self.is_away() && !self.trying && (patient || self.refused.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(retryable: bool) -> SinkError {
        SinkError {
            sink: "lake".into(),
            key: "key".into(),
            reason: "unavailable".into(),
            retryable,
            different: None,
        }
    }

    #[test]
    fn a_sink_is_left_behind_after_a_while_and_given_up_after_a_long_one() {
        let mut lanes = Lanes::new(2, false);
        assert_eq!(lanes.failed(1, error(true), 0).unwrap(), Failed::Again);
        assert_eq!(lanes.waits(), Some(2000));
        assert_eq!(lanes.failed(1, error(true), 2000).unwrap(), Failed::Twice);
        let left = lanes.failed(1, error(true), 60_000).unwrap();
        assert_eq!(left, Failed::LeftBehind);
        assert_eq!((lanes.waits(), lanes.is_away(0)), (None, false));
        assert_eq!(lanes.next_try(), Some(68_000));
        assert_eq!(lanes.take_due(68_000), [1]);
        assert!(lanes.take_due(68_000).is_empty());
        lanes.tried(1);
        assert!(lanes.refused().is_none());
        lanes.failed(1, error(true), 1_800_000).unwrap();
        assert!(lanes.refused().is_some());
        lanes.works(1);
        assert!(!lanes.any_away() && lanes.refused().is_none());
    }

    #[test]
    fn the_last_sink_is_never_left_behind() {
        let mut lanes = Lanes::new(2, false);
        for at in [0, 60_000, 120_000] {
            for place in [0, 1] {
                lanes.failed(place, error(true), at).unwrap();
            }
        }
        assert!(!lanes.any_away() && lanes.waits().is_some());
        lanes.failed(0, error(false), 130_000).unwrap();
        lanes.failed(1, error(false), 130_000).unwrap_err();
    }
}
