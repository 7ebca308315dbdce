//! How much may pass between the network and this program at a time of day, and whether anything may.
//!
//! One throttle is shared by all downloads and requests of a program. It is a bucket without a bottom: each
//! piece passes at once if the ones before it are paid for, and is paid for by the time that the next one
//! waits. So pieces pass in the order in which they came, whatever their size.

mod timetable;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use recording_host_model::clock::Clock;
use timetable::Rate;
pub use timetable::{Timetable, TimetableError};

/// How long an idle line may save up for, in ms.
const SAVED: f64 = 100.0;
/// How long anything waits until the timetable is looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// Holds requests and the bytes of downloads back; clones are one throttle.
#[derive(Clone, Debug)]
pub struct Throttle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    timetable: Timetable,
    held: watch::Sender<bool>,
    bucket: Mutex<Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// The rate that it was last used with, in bytes a second.
    rate: u64,
    /// When all that has passed is paid for, in ms of the clock's time.
    paid: f64,
}

impl Default for Throttle {
    /// One that holds nothing back until it is closed.
    fn default() -> Self {
        Throttle::new(Timetable::default())
    }
}

impl Throttle {
    /// A throttle by the time of day.
    #[must_use]
    pub fn new(timetable: Timetable) -> Self {
        Throttle(Arc::new(Shared {
            timetable,
            held: watch::channel(false).0,
            bucket: Mutex::default(),
        }))
    }

    /// Lets nothing pass any more, if `held`; else all that the timetable lets.
    pub fn hold(&self, held: bool) {
        self.0.held.send_replace(held);
    }

    /// Waits until something may pass.
    pub async fn open(&self, clock: Clock) {
        let mut held = self.0.held.subscribe();
        loop {
            // The sender lives as long as the throttle.
            let _ = held.wait_for(|held| !*held).await;
            if self.0.timetable.at(clock.now()) != Rate::Paused {
                return;
            }
            clock.sleep(LOOK).await;
        }
    }

    /// Waits until so many bytes may pass.
    pub async fn pass(&self, bytes: usize, clock: Clock) {
        let mut due = None;
        loop {
            self.open(clock).await;
            let Rate::Bytes(rate) = self.0.timetable.at(clock.now()) else {
                return;
            };
            let now = clock.elapsed() as f64;
            // What was promised at another rate is promised anew.
            let (_, due) = match due {
                Some((of, at)) if of == rate => (rate, at),
                _ => *due.insert((rate, self.reserve(bytes, rate, now))),
            };
            if due <= now {
                return;
            }
            let wait = Duration::from_secs_f64((due - now) / 1000.0);
            clock.sleep(wait.min(LOOK)).await;
        }
    }

    /// When bytes may pass that come now (ms).
    fn reserve(&self, bytes: usize, rate: u64, now: f64) -> f64 {
        let mut bucket = self.0.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.rate != rate {
            *bucket = Bucket { rate, paid: now };
        }
        let due = bucket.paid.max(now - SAVED);
        bucket.paid = due + bytes as f64 * 1000.0 / rate as f64;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock() -> Clock {
        // A Monday, 2026-01-05, at noon.
        Clock::starting_at(1_767_614_400_000, 1.0)
    }

    fn throttle(text: &str) -> Throttle {
        Throttle::new(Timetable::new(text, "UTC").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn as_much_passes_as_the_rate_allows_whoever_asks_and_in_whatever_pieces() {
        let (throttle, clock) = (throttle("1MB"), clock());
        let mut tasks = tokio::task::JoinSet::new();
        for size in [100_000, 7_000, 64_000, 500_000] {
            let throttle = throttle.clone();
            tasks.spawn(async move {
                let mut passed = 0;
                while clock.elapsed() < 60_000 {
                    throttle.pass(size, clock).await;
                    passed += size;
                }
                passed
            });
        }
        let mut passed = 0;
        while let Some(each) = tasks.join_next().await {
            passed += each.unwrap();
        }
        assert!((59_000_000..62_000_000).contains(&passed), "{passed}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_at_one_rate_does_not_wait_on_at_the_next() {
        let (throttle, clock) = (throttle("00:00,1kB 12:01,off"), clock());
        throttle.pass(10_000_000, clock).await;
        // It would wait for three hours.
        throttle.pass(1, clock).await;
        let waited = clock.elapsed();
        assert!((60_000..62_000).contains(&waited), "{waited}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_while_it_is_held_or_the_hours_are_closed() {
        let clock = clock();
        let closed = throttle("00:00,off 11:00,pause 12:30,off");
        closed.open(clock).await;
        let waited = clock.elapsed();
        assert!((1_800_000..1_802_000).contains(&waited), "{waited}");
        let held = Throttle::default();
        held.hold(true);
        let other = held.clone();
        let release = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            other.hold(false);
        });
        let began = clock.elapsed();
        held.pass(1, clock).await;
        assert!(clock.elapsed() >= began + 5000);
        release.await.unwrap();
    }
}
