//! The simulator's time, which may run fast.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the simulated time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    epoch_ms: u64,
    speed: f64,
}

impl Clock {
    pub(crate) fn new(speed: f64) -> Self {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            base: Instant::now(),
            epoch_ms: epoch.as_millis() as u64,
            speed,
        }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn now(&self) -> u64 {
        self.epoch_ms + (self.base.elapsed().as_secs_f64() * self.speed * 1000.0) as u64
    }
}

/// An instant as the vendor writes it.
pub(crate) fn iso(ms: u64) -> String {
    let instant = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or(jiff::Timestamp::MAX);
    format!("{instant:.3}")
}

/// Reads an instant as the vendor does: RFC 3339 with an offset.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}
