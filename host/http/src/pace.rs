//! Tells a download that merely trickles from one that is slow.

use std::time::Duration;

/// How long a download is watched before it is judged.
const WINDOW: Duration = Duration::from_secs(60);
/// Fewer bytes a second than this are a trickle.
const LEAST: u64 = 1000;

/// How fast a download has come of late. Only time spent waiting for the server counts: sinks may be slow.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    waited: Duration,
    came: u64,
    trickles: bool,
}

impl Pace {
    /// Notes that so many bytes came after so long a wait; returns true if the download trickles and should
    /// be started over.
    pub(crate) fn note(&mut self, waited: Duration, came: usize) -> bool {
        self.waited += waited;
        self.came += came as u64;
        if self.waited < WINDOW {
            return false;
        }
        self.trickles = self.came < LEAST * self.waited.as_secs();
        (self.waited, self.came) = (Duration::ZERO, 0);
        self.trickles
    }

    /// Returns true if the last that is known of it is that it trickled.
    pub(crate) fn trickles(&self) -> bool {
        self.trickles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_is_cut_and_a_slow_line_is_not() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert!((0..600).all(|_| !pace.note(second, 1000)));
        let cut = (0..60).map(|_| pace.note(second, 999)).filter(|cut| *cut);
        assert_eq!(cut.count(), 1);
        assert!(pace.trickles());
        // A download that never waits for its server is as fast as its sinks.
        assert!((0..60).all(|_| !pace.note(second, 100_000)));
        assert!(!pace.trickles());
        assert!((0..10_000).all(|_| !pace.note(Duration::ZERO, 1)));
    }
}
