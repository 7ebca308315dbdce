//! The rate and the month's count of a credential, shared with other processes.
//!
//! A [`Limiter`](super::Limiter) asks these besides its own accounting: its requests are still let go by
//! priority, each with a slot that no other process has. Without an answer nothing is sent.

use std::{
    error::Error,
    fmt::Debug,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::civil::Date;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use recording_host_model::Events;

use crate::month::{Taken, end_of, first_of_month};

/// Why a shared rate cannot be asked for now. The call may be repeated.
pub type SharedRateError = Box<dyn Error + Send + Sync>;

/// How soon a call that has failed is repeated; its own patience is over by then.
const AGAIN: Duration = Duration::from_secs(5);
/// A pause that ends at most so much later than one that all have been told of is not told again (ms).
const SAME_PAUSE: u64 = 1_000;
/// The most requests of a month that are counted in advance, and by what the ceiling is divided for that.
const MOST_AHEAD: u64 = 50;
const PART_AHEAD: u64 = 1_000;

/// The rate of one credential, shared with other processes.
#[async_trait]
pub trait SharedRate: Debug + Send + Sync {
    /// Waits until one request may be sent, which is sent at once. As many as `waiting` requests of this process
    /// wait, this one among them: whoever shares the rate may take room for several together. A request that
    /// is given up costs its own room at most.
    ///
    /// # Errors
    /// The rate cannot be asked for; nothing may be sent.
    async fn acquire(&self, waiting: u32) -> Result<(), SharedRateError>;

    /// Holds the requests of all processes back for a while, as the vendor has asked.
    ///
    /// # Errors
    /// The others could not be told.
    async fn pause(&self, time: Duration) -> Result<(), SharedRateError>;
}

/// Shares the rates of credentials with other processes, and the counts of their months.
#[async_trait]
pub trait SharedRates: Debug + Send + Sync {
    /// The rate of a credential, which is no secret. All processes give the same number of requests; one that gives
    /// another one makes its own requests at that rate.
    ///
    /// # Errors
    /// The rate cannot be asked for.
    async fn open(
        &self,
        credential: &str,
        requests_per_minute: u32,
    ) -> Result<Arc<dyn SharedRate>, SharedRateError>;

    /// Counts up to `requests` further requests of a month, which is named by its first day, as far as
    /// `ceiling` has room for them. If others have counted in a later month, it is counted there.
    ///
    /// # Errors
    /// They are not counted, or that is not known: then they are not made.
    async fn count(
        &self,
        credential: &str,
        month: Date,
        requests: u32,
        ceiling: u64,
    ) -> Result<SharedCount, SharedRateError>;
}

/// Requests that were counted for all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedCount {
    /// The first day of the month in which they were counted.
    pub month: Date,
    /// How many may be made.
    pub granted: u32,
    /// How many of the month are counted now, these among them.
    pub requests: u64,
}

/// What one limiter shares.
#[derive(Debug)]
pub(super) struct SharedLimit {
    rates: Arc<dyn SharedRates>,
    credential: String,
    /// The rate, and the requests per minute that it was opened with.
    opened: Mutex<Option<(u32, Arc<dyn SharedRate>)>>,
    /// Held by the one who counts.
    counting: Mutex<()>,
    /// What was counted last; none at first. As many of it as are granted were not made yet.
    counted: StdMutex<Option<SharedCount>>,
    /// When the last pause ends that all were told of (ms).
    told: StdMutex<Option<u64>>,
    /// True once it was warned that nothing can be sent, until something can.
    warned: AtomicBool,
}

fn lock<T>(mutex: &StdMutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedLimit {
    pub(super) fn new(rates: Arc<dyn SharedRates>, credential: String) -> Self {
        SharedLimit {
            rates,
            credential,
            opened: Mutex::default(),
            counting: Mutex::default(),
            counted: StdMutex::default(),
            told: StdMutex::default(),
            warned: AtomicBool::new(false),
        }
    }

    /// Waits for a slot for one request, whatever that takes.
    pub(super) async fn acquire(&self, per_minute: u32, waiting: u32, events: &Events) {
        loop {
            let slot = async { self.rate(per_minute).await?.acquire(waiting).await };
            match slot.await {
                Ok(()) => return self.warned.store(false, Ordering::Relaxed),
                Err(error) => self.wait_out(&*error, events).await,
            }
        }
    }

    /// Counts a request of the month that holds `now` (ms since the epoch), whatever that takes.
    pub(super) async fn take_of_month(&self, now: u64, ceiling: u64, events: &Events) -> Taken {
        let month = first_of_month(now);
        let _counting = self.counting.lock().await;
        loop {
            let counted = *lock(&self.counted);
            if let Some(mut counted) = counted.filter(|it| it.month >= month && it.granted > 0) {
                // The ceiling may be lower than when these were counted.
                if counted.made() >= ceiling {
                    return spent(&counted);
                }
                counted.granted -= 1;
                lock(&self.counted).replace(counted);
                return Taken::Granted;
            }
            let ahead = u32::try_from((ceiling / PART_AHEAD).clamp(1, MOST_AHEAD)).unwrap_or(1);
            let count = self.rates.count(&self.credential, month, ahead, ceiling);
            match count.await {
                Ok(counted) => {
                    self.warned.store(false, Ordering::Relaxed);
                    lock(&self.counted).replace(counted);
                    if counted.granted == 0 {
                        return spent(&counted);
                    }
                }
                Err(error) => self.wait_out(&*error, events).await,
            }
        }
    }

    /// The requests of the month that holds `now`, as far as this process has heard.
    pub(super) fn month(&self, now: u64) -> Option<u64> {
        let counted = (*lock(&self.counted))?;
        (counted.month >= first_of_month(now)).then(|| counted.made())
    }

    /// Tells all processes in the background that requests are held back until then (ms by the clock of which
    /// `time` is left), for as long as that lasts. If it fails, they learn it from the vendor.
    pub(super) fn pause(self: &Arc<Self>, per_minute: u32, time: Duration, until: u64) {
        let before = {
            let mut told = lock(&self.told);
            if told.is_some_and(|told| until <= told + SAME_PAUSE) {
                return;
            }
            told.replace(until)
        };
        let (shared, began) = (Arc::clone(self), Instant::now());
        tokio::spawn(async move {
            loop {
                let left = time.saturating_sub(began.elapsed());
                let paused = async { shared.rate(per_minute).await?.pause(left).await };
                match paused.await {
                    Ok(()) => return,
                    Err(_) if !left.is_zero() => sleep(AGAIN.min(left)).await,
                    Err(error) => {
                        tracing::warn!(%error, "the other machines were not told of the vendor's pause");
                        *lock(&shared.told) = before;
                        return;
                    }
                }
            }
        });
    }

    /// The rate, opened when it is used first, and again when it is to be another one.
    async fn rate(&self, per_minute: u32) -> Result<Arc<dyn SharedRate>, SharedRateError> {
        let mut opened = self.opened.lock().await;
        if let Some((of, rate)) = &*opened
            && *of == per_minute
        {
            return Ok(Arc::clone(rate));
        }
        let rate = self.rates.open(&self.credential, per_minute).await?;
        opened.replace((per_minute, Arc::clone(&rate)));
        Ok(rate)
    }

    /// Warns of an error, if it is the first one, and waits until it is worth another attempt.
    async fn wait_out(&self, error: &(dyn Error + Send + Sync), events: &Events) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            events.warn(&format!(
                "no request is sent until the rate that all machines share can be asked for: {error}; trying again"
            ));
        }
        sleep(AGAIN).await;
    }
}

impl SharedCount {
    /// How many of the month were made when these were counted, and of these so far.
    fn made(&self) -> u64 {
        self.requests.saturating_sub(u64::from(self.granted))
    }
}

fn spent(counted: &SharedCount) -> Taken {
    let until = end_of(counted.month);
    Taken::Spent { until }
}

#[cfg(test)]
mod tests;
