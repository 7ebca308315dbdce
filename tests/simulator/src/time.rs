//! The simulator's time, which may run fast.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The clock of the simulated time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
    epoch_ms: u64,
    speed: f64,
}

impl Clock {
    /// A clock that shows `start`, or the real time, and runs from now on.
    pub(crate) fn new(speed: f64, start: Option<Timestamp>) -> Self {
        let start = start.unwrap_or_else(Timestamp::now);
        Clock {
            base: Instant::now(),
            epoch_ms: u64::try_from(start.as_millisecond()).unwrap_or(0),
            speed: if speed > 0.0 { speed } else { 1.0 },
        }
    }

    /// The time as a client reads it to keep up with it.
    pub(crate) fn json(&self) -> String {
        serde_json::json!({ "now_ms": self.now(), "speed": self.speed }).to_string()
    }

    /// The time in the format of HTTP (RFC 9110, IMF-fixdate).
    pub(crate) fn date(&self) -> String {
        let now = i64::try_from(self.now()).ok();
        let at = now.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        at.unwrap_or_default()
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn now(&self) -> u64 {
        self.epoch_ms + (self.base.elapsed().as_secs_f64() * self.speed * 1000.0) as u64
    }

    /// How long a length of this clock's time really takes.
    pub(crate) fn real(&self, time: Duration) -> Duration {
        time.div_f64(self.speed)
    }
}

/// An instant as the vendor writes it.
pub(crate) fn iso(ms: u64) -> String {
    let instant = Timestamp::from_millisecond(ms as i64).unwrap_or(Timestamp::MAX);
    format!("{instant:.3}")
}

/// Reads an instant as the vendor does: RFC 3339 with an offset.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok()
}
