//! The clock of a run: the machine's, or one that runs faster for use with the simulator.
//!
//! The machine's clock may be set, and goes on while the machine sleeps. So there are two readings: the time
//! of day, which is the machine's at any moment, and the time since the clock was made, which never jumps
//! and is the one for durations.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

// The runtime's clock: it stands still where a test has paused it.
use tokio::time::Instant;

/// The longest sleep until the time of day is read again, which may have been set meanwhile.
const LOOK: Duration = Duration::from_secs(10);

/// The longest that anything sleeps at once; nobody waits for its end.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Tells the time and waits.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
    /// Milliseconds since the epoch at `base`; none if the machine tells the time of day.
    epoch_ms: Option<u64>,
    speed: f64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn of_machine() -> Self {
        Clock {
            base: Instant::now(),
            epoch_ms: None,
            speed: 1.0,
        }
    }

    /// A clock that runs `speed` times as fast as the real one from now on.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        Self::starting_at(machine(), speed)
    }

    /// How many times as fast as the real one it runs.
    #[must_use]
    pub fn speed(self) -> f64 {
        self.speed
    }

    /// A clock that shows `ms` since the epoch now, and runs `speed` times as fast as the real one.
    #[must_use]
    pub fn starting_at(ms: u64, speed: f64) -> Self {
        Clock {
            base: Instant::now(),
            epoch_ms: Some(ms),
            speed: if speed > 0.0 { speed } else { 1.0 },
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z. It may jump, either way: durations are differences of
    /// [`elapsed`](Self::elapsed).
    #[must_use]
    pub fn now(&self) -> u64 {
        match self.epoch_ms {
            Some(epoch) => epoch.saturating_add(self.elapsed()),
            None => machine(),
        }
    }

    /// Milliseconds of this clock's time since it was made. It never jumps.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        // Lossless for any time a run can last.
        (self.base.elapsed().as_secs_f64() * self.speed * 1000.0) as u64
    }

    /// How long the time of day may be counted upon before it is read again.
    #[must_use]
    pub fn reliance(&self) -> Duration {
        match self.epoch_ms {
            Some(_) => Duration::MAX,
            None => LOOK,
        }
    }

    /// Waits for a length of this clock's time.
    pub async fn sleep(&self, time: Duration) {
        // A length that somebody named may be longer than any that can be divided.
        let seconds = (time.as_secs_f64() / self.speed).min(LONGEST.as_secs_f64());
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Waits until [`now`](Self::now) has reached `ms`, also if the clock is set meanwhile.
    pub async fn sleep_until(&self, ms: u64) {
        loop {
            let wait = ms.saturating_sub(self.now());
            if wait == 0 {
                return;
            }
            let wait = Duration::from_millis(wait).min(self.reliance());
            self.sleep(wait).await;
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::of_machine()
    }
}

/// The time of the machine's clock, in milliseconds since the epoch.
fn machine() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Notices that the time of day has jumped against the time that has elapsed.
#[derive(Clone, Copy, Debug)]
pub struct Jumps {
    /// The time of day, and the elapsed time, when they were last compared (ms).
    last: (u64, u64),
}

/// A difference that is no jump but the steering of a clock, in ms.
const STEERED: u64 = 2_000;

impl Jumps {
    /// Begins to compare.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Jumps {
            last: (clock.now(), clock.elapsed()),
        }
    }

    /// By how many milliseconds the time of day has jumped since the last call, if it has.
    pub fn since_last(&mut self, clock: Clock) -> Option<i64> {
        self.compare(clock.now(), clock.elapsed())
    }

    fn compare(&mut self, now: u64, elapsed: u64) -> Option<i64> {
        let (day, before) = self.last;
        let expected = day.saturating_add(elapsed.saturating_sub(before));
        let jump = now.checked_signed_diff(expected)?;
        if jump.unsigned_abs() <= STEERED {
            return None;
        }
        self.last = (now, elapsed);
        Some(jump)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_is_the_machines_and_durations_are_not() {
        let clock = Clock::default();
        let began = clock.now();
        // The runtime's time goes on by a day that the machine does not see.
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert_eq!(clock.elapsed(), 86_400_000);
        assert!(clock.now() - began < 3_600_000);
        let simulated = Clock::starting_at(7, 2.0);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((simulated.now(), simulated.elapsed()), (2_007, 2_000));
    }

    #[tokio::test(start_paused = true)]
    async fn no_length_or_instant_makes_a_clock_panic() {
        for clock in [Clock::default(), Clock::starting_at(u64::MAX, 0.001)] {
            let waits = async {
                clock.sleep(Duration::MAX).await;
            };
            assert!(
                tokio::time::timeout(Duration::from_secs(60), waits)
                    .await
                    .is_err()
            );
            let _ = clock.now();
        }
        let clock = Clock::starting_at(0, 1.0);
        let waits = clock.sleep_until(u64::MAX);
        assert!(
            tokio::time::timeout(Duration::from_secs(60), waits)
                .await
                .is_err()
        );
    }

    #[test]
    fn a_jump_is_noticed_once_and_steering_never() {
        let mut jumps = Jumps {
            last: (1_000_000, 0),
        };
        assert_eq!(jumps.compare(1_010_100, 10_000), None);
        assert_eq!(jumps.compare(8_220_000, 20_000), Some(7_200_000));
        assert_eq!(jumps.compare(8_230_000, 30_000), None);
        assert_eq!(jumps.compare(1_040_000, 40_000), Some(-7_200_000));
    }
}
