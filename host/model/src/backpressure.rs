//! Counts how often a server demanded less: refusals of what came too fast, and requests that were
//! not answered in time. Whoever repeats requests hides such signs; the run must hear of them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How often a server demanded less.
#[derive(Clone, Debug, Default)]
pub struct Backpressure(Arc<AtomicU64>);

impl Backpressure {
    /// Notes an answer, if that is what it says.
    pub fn on_response(&self, status: u16) {
        if matches!(status, 429 | 503) {
            self.on_timeout();
        }
    }

    /// Notes a request that was not answered in time.
    pub fn on_timeout(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
