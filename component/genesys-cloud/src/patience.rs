//! The time for which something that the vendor no longer finds is requested again.

use recording_source_sdk::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that is not found counts as lost after this time: as long as hosts try everything else.
pub(crate) const PATIENCE: u64 = 30 * 60_000;
/// The longest pause between two requests.
const LONGEST_PAUSE: u64 = 120_000;

/// The time since which something is not found, if it is not.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Absence {
    since: Option<Timestamp>,
}

impl Absence {
    /// Records that it has been found.
    pub(crate) fn over(&mut self) {
        self.since = None;
    }

    /// Records that another one has been found: an absence of `PATIENCE` or longer stays, so as not
    /// to wait as long again.
    pub(crate) fn over_if_young(&mut self, now: Timestamp) {
        self.since = self
            .since
            .filter(|since| now.saturating_sub(*since) >= PATIENCE);
    }

    /// Records that it has not been found; returns when to ask again, with pauses that grow, or none
    /// once it is lost.
    pub(crate) fn again(&mut self, now: Timestamp, shortest_pause: u64) -> Option<Timestamp> {
        let since = *self.since.get_or_insert(now);
        let gone = now.saturating_sub(since);
        let pause = (gone * 35 / 100).min(LONGEST_PAUSE).max(shortest_pause);
        (gone < PATIENCE).then(|| now + pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_is_asked_for_again_for_half_an_hour_since_it_was_found_last() {
        let mut absence = Absence::default();
        let mut asked = 0;
        let mut now = 1_000;
        while let Some(next) = absence.again(now, 5_000) {
            assert!(next >= now + 5_000 && next <= now + LONGEST_PAUSE);
            now = next;
            asked += 1;
        }
        assert!(now >= 1_000 + PATIENCE && asked < 40, "{now} {asked}");
        absence.over();
        assert!(absence.again(now, 5_000).is_some());
    }
}
