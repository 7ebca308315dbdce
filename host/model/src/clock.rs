//! The clock of a run: the real one, or one that runs faster for use with the simulator.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

// The runtime's clock: it stands still where a test has paused it.
use tokio::time::Instant;

/// Tells the time and waits.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Instant,
    /// Milliseconds since the epoch at `base`.
    epoch_ms: u64,
    speed: f64,
}

impl Clock {
    /// A clock that runs `speed` times as fast as the real one from now on.
    #[must_use]
    pub fn new(speed: f64) -> Self {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self::starting_at(u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX), speed)
    }

    /// A clock that shows `ms` since the epoch now, and runs `speed` times as fast as the real one.
    #[must_use]
    pub fn starting_at(ms: u64, speed: f64) -> Self {
        Clock {
            base: Instant::now(),
            epoch_ms: ms,
            speed: if speed > 0.0 { speed } else { 1.0 },
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now(&self) -> u64 {
        let elapsed = self.base.elapsed().as_secs_f64() * self.speed * 1000.0;
        // Lossless for any time a run can last.
        self.epoch_ms + elapsed as u64
    }

    /// Waits for a length of this clock's time.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time.div_f64(self.speed)).await;
    }

    /// Waits until [`now`](Self::now) has reached `ms`.
    pub async fn sleep_until(&self, ms: u64) {
        let wait = ms.saturating_sub(self.now());
        if wait > 0 {
            self.sleep(Duration::from_millis(wait)).await;
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new(1.0)
    }
}
