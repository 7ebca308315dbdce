//! Decides what a target is told, and when.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{Notice, NoticeTarget, Occasion};

/// How a source is.
#[derive(Clone, Debug, Default)]
pub(super) struct SourceState {
    /// The error that its run ended with.
    pub(super) error: Option<String>,
    /// The obstacles to its work.
    pub(super) hindrances: Vec<String>,
    pub(super) lag: Option<Duration>,
    /// Recordings that are unavailable, since the start, by code.
    pub(super) losses: BTreeMap<String, u64>,
}

/// Returns true if no run has failed and none is `stuck`.
pub(super) fn lives(states: &BTreeMap<String, SourceState>, stuck: &[String]) -> bool {
    stuck.is_empty() && states.values().all(|state| state.error.is_none())
}

/// The notices that one target has had.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// When each source was told of for each occasion.
    at: BTreeMap<(String, Occasion), Instant>,
    /// The occasions that were told and are not over.
    open: BTreeSet<(String, Occasion)>,
    /// Since when a source has been failing.
    failing: BTreeMap<String, Instant>,
    /// The losses that have been told.
    losses: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Judge {
    /// The notices that are due.
    pub(super) fn due(
        &mut self,
        target: &NoticeTarget,
        states: &BTreeMap<String, SourceState>,
        now: Instant,
    ) -> Vec<Notice> {
        let mut due = Vec::new();
        for (source, state) in states {
            let failure = self.failure(target, source, state, now);
            let behind = state.lag.filter(|lag| *lag > target.lag);
            let lag = behind.map(|lag| Notice::lag(source, lag));
            for (occasion, notice, text) in [
                (Occasion::Failure, failure, "works again"),
                (Occasion::Lag, lag, "has caught up"),
            ] {
                let key = (source.clone(), occasion);
                match notice {
                    Some(notice) if !self.open.contains(&key) => due.push(notice),
                    None if self.open.contains(&key) && !self.is_failing(source, occasion) => {
                        due.push(Notice::recovery(source, occasion, text));
                    }
                    _ => {}
                }
            }
            let new = self.new_losses(source, state);
            if !new.is_empty() {
                due.push(Notice::losses(source, new));
            }
        }
        let heard =
            |notice: &Notice| target.on.contains(&notice.occasion) && self.may(target, notice, now);
        due.retain(heard);
        due
    }

    /// The failure of a source, if it has lasted long enough.
    fn failure(
        &mut self,
        target: &NoticeTarget,
        source: &str,
        state: &SourceState,
        now: Instant,
    ) -> Option<Notice> {
        if let Some(error) = &state.error {
            self.failing.insert(source.to_owned(), now);
            return Some(Notice::failure(source, error));
        }
        if state.hindrances.is_empty() {
            self.failing.remove(source);
            return None;
        }
        let since = self.failing.entry(source.to_owned()).or_insert(now);
        let long = now.saturating_duration_since(*since) >= target.failing;
        long.then(|| Notice::failure(source, &state.hindrances.join("; ")))
    }

    /// True if a source fails, though not long enough for a notice: what was told is not over.
    fn is_failing(&self, source: &str, occasion: Occasion) -> bool {
        occasion == Occasion::Failure && self.failing.contains_key(source)
    }

    fn new_losses(&self, source: &str, state: &SourceState) -> BTreeMap<String, u64> {
        let reported = self.losses.get(source);
        let before = |code: &str| {
            reported
                .and_then(|reported| reported.get(code))
                .copied()
                .unwrap_or(0)
        };
        let new = state.losses.iter();
        let new = new.map(|(code, count)| (code.clone(), count.saturating_sub(before(code))));
        new.filter(|(_, count)| *count > 0).collect()
    }

    /// True if the last notice of this occasion is long enough ago. The end of what was told is told at once.
    fn may(&self, target: &NoticeTarget, notice: &Notice, now: Instant) -> bool {
        let last = self.at.get(&(notice.source.clone(), notice.occasion));
        notice.occasion == Occasion::Recovery
            || last.is_none_or(|at| now.saturating_duration_since(*at) >= target.at_most_every)
    }

    /// Notes that a notice was delivered, or was not: then it is due again after the usual pause.
    pub(super) fn reported(&mut self, notice: &Notice, delivered: bool, now: Instant) {
        let key = (notice.source.clone(), notice.occasion);
        self.at.insert(key.clone(), now);
        if !delivered && notice.occasion != Occasion::Recovery {
            return;
        }
        match notice.occasion {
            Occasion::Recovery => {
                self.open.remove(&(key.0, notice.of));
            }
            Occasion::Losses => {
                let reported = self.losses.entry(key.0).or_default();
                for (code, count) in &notice.losses {
                    *reported.entry(code.clone()).or_default() += count;
                }
            }
            Occasion::Failure | Occasion::Lag => {
                self.open.insert(key);
            }
        }
    }
}
