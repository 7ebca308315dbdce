//! The vendor's rate, shared by all nodes of a fleet.
//!
//! Time is divided into *slots*, one for each request, somewhat longer than the rate would need. A node leases
//! the next few by compare-and-set and sends one request in each. So requests are spread evenly whoever sends
//! them, any stretch of time as long as the vendor's window holds fewer of them than the limit, wherever
//! that window begins, and nobody needs to know. A node that dies costs the slots that it had leased.
//!
//! The times of slots are those of the servers' clock, which each node compares with its own monotonic one:
//! what a node's clock shows does not matter. The clocks of the servers are to agree within half a second.

mod fleet_rates;
mod month;
mod server_clock;
mod slots;

use std::{
    collections::VecDeque,
    sync::{
        Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::stream::Stream;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use super::{
    ClusterError, Fleet,
    connection::Try,
    publish::{Put, Stored, new_id},
    settings::token,
    streams::StreamUse,
};
pub use fleet_rates::FleetRates;
use server_clock::ServerClock;
pub use slots::RateLimit;
use slots::{Lease, Slots};

/// The longest that all requests are held back at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The rate of one credential, as a node takes part in it.
#[derive(Debug)]
pub struct FleetRateLimiter {
    fleet: Fleet,
    stream: Stream<()>,
    subject: String,
    limit: RateLimit,
    clock: ServerClock,
    /// The slots that this node has leased and not used.
    held: Mutex<Held>,
    /// Slots that begin before are not used: the vendor has asked for a pause.
    paused: StdMutex<Option<Instant>>,
    /// Requests that wait for one.
    waiting: AtomicU32,
}

/// The time in which one request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// When it begins by the servers' clock (µs since the epoch).
    pub at: u64,
    /// The same by this node's clock.
    local: Instant,
}

/// Slots that a node has leased and not used.
#[derive(Debug, Default)]
struct Held {
    slots: VecDeque<Slot>,
    /// When the last one that it leased begins (µs since the epoch, by the servers' clock).
    last: u64,
}

/// Counts a request that waits, until it does so no more.
struct Waits<'a>(&'a AtomicU32, u32);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FleetRateLimiter {
    /// The rate of a credential, which must not be a secret, such as a client's id. All nodes give the same
    /// limit.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn open(
        fleet: &Fleet,
        credential: &str,
        limit: RateLimit,
    ) -> Result<Self, ClusterError> {
        Ok(FleetRateLimiter {
            stream: fleet.stream(StreamUse::FleetRateLimiter).await?,
            subject: StreamUse::FleetRateLimiter.subject(&fleet.settings, &token(credential)),
            clock: ServerClock::new(fleet, StreamUse::FleetRateLimiter.stream(&fleet.settings)),
            fleet: fleet.clone(),
            limit,
            held: Mutex::default(),
            paused: StdMutex::new(None),
            waiting: AtomicU32::new(0),
        })
    }

    /// Waits until a request may be sent, which is to be sent at once. Whoever gives up waiting costs a slot
    /// at most, or those that are just being leased.
    ///
    /// # Errors
    /// [`ClusterError`] if the servers are away for longer than the patience.
    pub async fn acquire(&self) -> Result<Slot, ClusterError> {
        self.acquire_among(1).await
    }

    /// The same for one of as many requests, which wait for each other: slots for several are leased at once.
    async fn acquire_among(&self, waiting: u32) -> Result<Slot, ClusterError> {
        self.waiting.fetch_add(waiting, Ordering::Relaxed);
        let _waits = Waits(&self.waiting, waiting);
        loop {
            let slot = self.take().await?;
            sleep_until(slot.local).await;
            if self.is_usable(&slot) {
                return Ok(slot);
            }
        }
    }

    /// Holds all requests of the fleet back for a while, at most for five minutes, as the vendor has asked.
    /// Slots that other nodes have leased already are used: of some seconds at most.
    ///
    /// # Errors
    /// [`ClusterError`].
    pub async fn pause(&self, time: Duration) -> Result<(), ClusterError> {
        let time = time.min(LONGEST_PAUSE);
        let until = Instant::now() + time;
        // What this node has leased in it is not used, whoever has it by now.
        lock(&self.paused).replace(until);
        let call = async || {
            let (mut slots, sequence) = self.read().await?;
            let until = self.clock.at(until).await?;
            if slots.blocked >= until {
                return Ok(Try::Done(()));
            }
            slots.blocked = until;
            slots.write = new_id();
            self.store(&slots, sequence).await
        };
        self.fleet.repeat("pausing the rate", call).await
    }

    /// A request may be late by some part of the window that is kept free for that.
    fn is_usable(&self, slot: &Slot) -> bool {
        let paused = *lock(&self.paused);
        paused.is_none_or(|until| until <= slot.local)
            && Instant::now() < slot.local + self.limit.late()
    }

    /// Takes the next slot of this node, and leases some if it has none.
    async fn take(&self) -> Result<Slot, ClusterError> {
        let mut held = self.held.lock().await;
        loop {
            while let Some(slot) = held.slots.pop_front() {
                if self.is_usable(&slot) {
                    return Ok(slot);
                }
            }
            let leased = self.lease(held.last).await?;
            held.slots.extend(leased);
            held.last = held.slots.back().map_or(held.last, |slot| slot.at);
        }
    }

    async fn lease(&self, own_last: u64) -> Result<Vec<Slot>, ClusterError> {
        let (write, mut leased) = (new_id(), None);
        let began = Instant::now();
        loop {
            let (mut slots, sequence) = self.read().await?;
            // An answer that did not come.
            if let (true, Some(lease)) = (slots.write == write, leased) {
                return self.local(lease).await;
            }
            let now = self.clock.at(Instant::now()).await?;
            let wanted = self.waiting.load(Ordering::Relaxed);
            let lease = match slots.lease(now, own_last, wanted, &self.limit) {
                Ok(lease) => lease,
                Err(early) => {
                    // Not for long: a pause may become longer meanwhile.
                    sleep(early.min(Duration::from_secs(1))).await;
                    continue;
                }
            };
            slots.write.clone_from(&write);
            leased = Some(lease);
            let stored = self.store(&slots, sequence).await?;
            if let Try::Done(()) = stored {
                return self.local(lease).await;
            }
            if began.elapsed() >= self.fleet.settings.patience {
                return Err(ClusterError::Unavailable {
                    what: "leasing slots of the rate".to_owned(),
                    waited: began.elapsed(),
                    reason: "no server has stored it".to_owned(),
                });
            }
            sleep(Duration::from_millis(rand::random_range(1..=20))).await;
        }
    }

    async fn local(&self, lease: Lease) -> Result<Vec<Slot>, ClusterError> {
        let (now, here) = (Instant::now(), self.clock.at(Instant::now()).await?);
        let slot = |at: u64| Slot {
            at,
            local: match at.checked_sub(here) {
                Some(ahead) => now + Duration::from_micros(ahead),
                None => now
                    .checked_sub(Duration::from_micros(here - at))
                    .unwrap_or(now),
            },
        };
        Ok(lease.times().map(slot).collect())
    }

    async fn read(&self) -> Result<(Slots, u64), ClusterError> {
        let last = self.fleet.last(&self.stream, &self.subject).await?;
        match last {
            Some(message) => Ok((
                Slots::read(&self.subject, &message.payload)?,
                message.sequence,
            )),
            None => Ok((Slots::default(), 0)),
        }
    }

    async fn store(&self, slots: &Slots, sequence: u64) -> Result<Try<()>, ClusterError> {
        let put = Put::new(&*self.subject, slots.to_bytes()).after(sequence);
        Ok(match self.fleet.put(put).await? {
            Stored::At(_) => Try::Done(()),
            other => Try::Passing(format!("{other:?}")),
        })
    }
}
