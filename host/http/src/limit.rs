//! One rate limit for all requests of a credential, driven by what the vendor's headers say.
//!
//! Requests are spread so that a minute never holds more than the documented
//! number, and held back altogether once the headers say that the window is
//! full or the server has asked to wait. Those that wait are let go by priority.
//!
//! An operator may want less than the vendor allows: fewer requests a minute, and a most of a month.
//!
//! If other processes use the credential as well, each request also takes a slot that all share: [`shared`].

mod ceilings;
mod shared;

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::spawn_blocking};

use recording_host_model::{Events, RateLimit, Response, clock::Clock};

use super::{
    header, millis,
    month::{MonthlyCount, Taken},
    retry::LONGEST_WAIT,
};
pub use ceilings::{MonthlyRequests, RequestHalt, RequestLimits};
use shared::SharedLimit;
pub use shared::{SharedCount, SharedRate, SharedRateError, SharedRates};

/// A vendor's minute, and the second after it: to wait longer than that is worth telling.
const LONG_WINDOW: Duration = Duration::from_secs(61);

/// How soon a month that holds all its requests is looked at again: somebody may have raised the ceiling.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Which of the requests that wait for the limit goes first; among equals, the one that waits longest. It is a
/// head start and no more: none is overtaken again and again by others that keep coming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// It begins work that takes time elsewhere, such as a job of the vendor's.
    #[default]
    Begin,
    /// It asks how such work is getting on.
    Poll,
    /// It looks for more to begin while there is enough.
    Ahead,
}

impl Priority {
    /// How much later a request is let go than one that begins work and lines up at the same time (ms), if there
    /// is not room for both.
    fn handicap(self) -> u64 {
        match self {
            Priority::Begin => 0,
            Priority::Poll => 30_000,
            Priority::Ahead => 60_000,
        }
    }
}

/// Holds requests back so that the vendor need not refuse them.
#[derive(Debug)]
pub struct Limiter {
    policy: Option<RateLimit>,
    ceilings: Mutex<RequestLimits>,
    /// Where a month's requests are counted, if they are.
    count: Option<MonthlyCount>,
    /// What other processes share with this one; a month's requests are counted there then.
    shared: Option<Arc<SharedLimit>>,
    halted: Mutex<Option<RequestHalt>>,
    window: Mutex<Window>,
    waiting: Mutex<Waiting>,
    /// Told whenever one that waited is gone.
    gone: Notify,
}

/// The requests that wait, in the order in which they are let go.
#[derive(Debug, Default)]
struct Waiting {
    tickets: BTreeSet<Position>,
    last: u64,
}

/// When a request lined up, with its handicap (ms), and a number of its own.
type Position = (u64, u64);

/// A request's place among those that wait, which it leaves when it is let go or given up.
struct Ticket<'a> {
    limiter: &'a Limiter,
    position: Position,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.limiter.waiting().tickets.remove(&self.position);
        self.limiter.gone.notify_waiters();
    }
}

/// The limiters of all credentials in use: sources with the same one share its limit.
#[derive(Clone, Debug, Default)]
pub struct Limiters {
    of: Arc<Mutex<HashMap<String, Arc<Limiter>>>>,
    shared: Option<Arc<dyn SharedRates>>,
}

impl Limiters {
    /// Limiters that share rates and counts with other processes.
    #[must_use]
    pub fn shared(rates: Arc<dyn SharedRates>) -> Self {
        Limiters {
            of: Arc::default(),
            shared: Some(rates),
        }
    }

    /// The limiter of a credential, which must not be a secret, such as a client's id. Its policy is the
    /// one that the first source with this credential states; of their ceilings the lowest count. A month's
    /// requests are counted in `folder`, unless the count is shared.
    #[must_use]
    #[doc(hidden)]
    pub fn of(
        &self,
        credential: String,
        policy: Option<RateLimit>,
        ceilings: RequestLimits,
        folder: &Path,
    ) -> Arc<Limiter> {
        let mut limiters = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiters.entry(credential.clone());
        let limiter = limiter.or_insert_with(|| {
            let limiter = Limiter::new(policy);
            Arc::new(match &self.shared {
                Some(rates) => limiter.sharing(Arc::clone(rates), credential),
                None => limiter.counting_in(MonthlyCount::of(folder, &credential)),
            })
        });
        let mut lowest = limiter.ceilings();
        *lowest = lowest.and(ceilings);
        drop(lowest);
        Arc::clone(limiter)
    }
}

#[derive(Debug, Default)]
struct Window {
    /// When the next request may be sent, if they are spread evenly (ms).
    next: u64,
    /// Requests are held back until then (ms).
    blocked: u64,
    /// When the vendor's window ends, as far as known (ms).
    ends: u64,
    /// Requests sent in the vendor's window, by its count or ours, whichever is higher.
    count: u64,
}

impl Limiter {
    /// A limiter for the vendor's documented policy; without one, and without ceilings, it never holds back.
    #[must_use]
    pub fn new(policy: Option<RateLimit>) -> Self {
        Limiter {
            policy,
            ceilings: Mutex::default(),
            count: None,
            shared: None,
            halted: Mutex::default(),
            window: Mutex::default(),
            waiting: Mutex::default(),
            gone: Notify::new(),
        }
    }

    /// Counts a month's requests there, as far as there is a ceiling for them.
    fn counting_in(mut self, count: MonthlyCount) -> Self {
        self.count = Some(count);
        self
    }

    /// Shares the rate and a month's count with other processes.
    fn sharing(mut self, rates: Arc<dyn SharedRates>, credential: String) -> Self {
        self.shared = Some(Arc::new(SharedLimit::new(rates, credential)));
        self
    }

    /// Waits until a request may be sent, which is sent at once; if the month has no room for it, until the next
    /// one, unless that is given up ([`halted`](Self::halted)).
    pub async fn acquire(&self, clock: Clock, priority: Priority) {
        self.acquire_for(clock, priority, &Events::default()).await;
    }

    /// The same; warns if what is shared with other processes cannot be asked for.
    pub(super) async fn acquire_for(&self, clock: Clock, priority: Priority, events: &Events) {
        if self.policy.is_none() && *self.ceilings() == RequestLimits::default() {
            return;
        }
        let ticket = self.line_up(priority, clock.elapsed());
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            // From here on no word is missed.
            gone.as_mut().enable();
            if self.waiting().tickets.first() != Some(&ticket.position) {
                gone.await;
                continue;
            }
            match self.reserve(clock.elapsed()) {
                None => break,
                Some(wait) => clock.sleep(Duration::from_millis(wait)).await,
            }
        }
        self.take_of_month(clock, events).await;
        // Last, since its time is now; and at the head of those that wait, so that it goes to the first.
        self.take_shared(clock, events).await;
    }

    /// Waits for a slot that no other process has, outside of pauses.
    async fn take_shared(&self, clock: Clock, events: &Events) {
        let (Some(shared), Some(per_minute)) = (&self.shared, self.per_minute()) else {
            return;
        };
        loop {
            let waiting = u32::try_from(self.waiting().tickets.len()).unwrap_or(u32::MAX);
            shared.acquire(per_minute, waiting, events).await;
            match self.paused(clock) {
                None => return,
                // The vendor has asked for it meanwhile: the slot is lost.
                Some(wait) => clock.sleep(wait).await,
            }
        }
    }

    /// Waits until the month has room for a request, and counts it.
    async fn take_of_month(&self, clock: Clock, events: &Events) {
        let Some(ceiling) = self.ceilings().per_month else {
            return;
        };
        loop {
            let now = clock.now();
            let taken = match (&self.shared, &self.count) {
                (Some(shared), _) => Ok(shared.take_of_month(now, ceiling, events).await),
                (None, Some(count)) => {
                    let count = count.clone();
                    let taken = spawn_blocking(move || count.take(now, ceiling)).await;
                    let text = |error: &dyn std::error::Error| error.to_string();
                    match taken {
                        Ok(taken) => taken.map_err(|error| text(&error)),
                        Err(error) => Err(text(&error)),
                    }
                }
                (None, None) => return,
            };
            let halt = match taken {
                Ok(Taken::Granted) => None,
                Ok(Taken::Spent { until }) => Some(RequestHalt::Spent { ceiling, until }),
                Err(reason) => Some(RequestHalt::Uncounted(reason)),
            };
            let waits = halt.is_some();
            *self.halted.lock().unwrap_or_else(PoisonError::into_inner) = halt;
            if !waits {
                return;
            }
            clock.sleep(LOOK_AGAIN).await;
        }
    }

    /// Why no request is sent any more for now, if one was to be.
    #[must_use]
    pub fn halted(&self) -> Option<RequestHalt> {
        let halted = self.halted.lock().unwrap_or_else(PoisonError::into_inner);
        halted.clone()
    }

    /// The requests of this month, if there is a ceiling for them and they can be read.
    #[must_use]
    pub fn month(&self, clock: Clock) -> Option<MonthlyRequests> {
        let ceiling = self.ceilings().per_month?;
        let now = clock.now();
        let requests = match &self.shared {
            Some(shared) => shared.month(now)?,
            None => self.count.as_ref()?.look(now).ok()?,
        };
        Some(MonthlyRequests { requests, ceiling })
    }

    fn line_up(&self, priority: Priority, now: u64) -> Ticket<'_> {
        let mut waiting = self.waiting();
        waiting.last += 1;
        let position = (now + priority.handicap(), waiting.last);
        waiting.tickets.insert(position);
        drop(waiting);
        Ticket {
            limiter: self,
            position,
        }
    }

    /// How long a request of a priority would be held back if it were added to those that wait.
    #[must_use]
    pub fn delay(&self, clock: Clock, priority: Priority) -> Duration {
        let Some((spacing, _)) = self.pace() else {
            return Duration::ZERO;
        };
        let now = clock.elapsed();
        let last = now + priority.handicap();
        let first = |position: &&Position| position.0 <= last;
        let waiting = self.waiting().tickets.iter().filter(first).count() as u64;
        let window = self.lock();
        let held = window.blocked.max(window.next).saturating_sub(now);
        Duration::from_millis(held + waiting * spacing)
    }

    /// Returns true if the vendor's window has no room for a further request, as far as known.
    #[must_use]
    pub(super) fn is_full(&self, clock: Clock) -> bool {
        self.room(clock) == Some(false)
    }

    /// Returns whether the vendor's window has room for a further request, if the vendor has told.
    fn room(&self, clock: Clock) -> Option<bool> {
        let policy = self.policy.as_ref()?;
        let window = self.lock();
        let allowed = u64::from(policy.requests_per_minute);
        (window.ends > clock.elapsed()).then_some(window.count < allowed)
    }

    /// The most requests of a minute: the vendor's, or the operator's if that is lower.
    fn per_minute(&self) -> Option<u32> {
        let policy = self.policy.as_ref().map(|it| it.requests_per_minute);
        let most = policy.into_iter().chain(self.ceilings().per_minute).min();
        most.map(|most| most.max(1))
    }

    /// The time between two requests that are spread evenly, and how much of it those may save up that come
    /// late (ms); none if requests are not held back.
    fn pace(&self) -> Option<(u64, u64)> {
        let policy = self.policy.as_ref().map(|it| it.requests_per_minute.max(1));
        let ceiling = self.ceilings().per_minute.map(|most| most.max(1));
        let spacing = |most: u32| 60_000_u64.div_ceil(u64::from(most));
        match (policy, ceiling) {
            (None, None) => None,
            // No minute may hold more than the ceiling.
            (_, Some(ceiling)) if policy.is_none_or(|policy| ceiling < policy) => {
                Some((spacing(ceiling), 0))
            }
            // A few requests may go at once: a tenth of the quota.
            (Some(policy), _) => Some((spacing(policy), spacing(policy) * u64::from(policy / 10))),
            (None, Some(ceiling)) => Some((spacing(ceiling), 0)),
        }
    }

    /// Takes a place, or says how many milliseconds to wait before asking again.
    fn reserve(&self, now: u64) -> Option<u64> {
        let (spacing, burst) = self.pace()?;
        let policy = self.policy.as_ref();
        let allowed = policy.map_or(u64::MAX, |it| u64::from(it.requests_per_minute.max(1)));
        let mut window = self.lock();
        if now < window.blocked {
            return Some(window.blocked - now);
        }
        if window.ends != 0 && now >= window.ends {
            window.ends = 0;
            window.count = 0;
        }
        if window.ends != 0 && window.count >= allowed {
            return Some(window.ends - now + 1);
        }
        // Shared slots are spread already.
        if self.shared.is_none() {
            let earliest = window.next.max(now.saturating_sub(burst));
            if earliest > now {
                return Some(earliest - now);
            }
            window.next = earliest + spacing;
        }
        window.count += 1;
        None
    }

    /// Learns from an answer's headers how full the vendor's window is. Returns how long all requests are held
    /// back now, if that is longer than a vendor's minute.
    pub fn observe(&self, response: &Response, clock: Clock) -> Option<Duration> {
        let policy = self.policy.as_ref()?;
        let read = |name: &Option<String>| -> Option<u64> {
            header(response, name.as_deref()?)?.trim().parse().ok()
        };
        let count = read(&policy.count_header)?;
        let reset = read(&policy.reset_header)?;
        let now = clock.elapsed();
        let allowed = u64::from(policy.requests_per_minute);
        let theirs = read(&policy.allowed_header).unwrap_or(allowed).max(1);
        let mut window = self.lock();
        // No window is longer than what a server may ask to wait for.
        let ends = now + (reset.min(LONGEST_WAIT.as_secs()) + 1) * 1000;
        // A later end is another window: what we counted before is of no account.
        if ends > window.ends + 5000 {
            window.count = count;
        } else {
            window.count = window.count.max(count);
        }
        window.ends = ends;
        if count < theirs || ends <= window.blocked {
            return None;
        }
        window.blocked = ends;
        let wait = Duration::from_millis(ends - now);
        drop(window);
        self.tell(wait, ends);
        (wait > LONG_WINDOW).then_some(wait)
    }

    /// Holds all requests back for a while, as the server asked, within bounds.
    pub fn pause(&self, time: Duration, clock: Clock) {
        let until = clock.elapsed() + millis(time.min(LONGEST_WAIT));
        let mut window = self.lock();
        window.blocked = window.blocked.max(until);
    }

    /// Holds all requests back because the server has refused one (429). All processes do so if it names a time,
    /// unless its headers say that the window has room: then it has refused something else than the rate, such as
    /// one more job at once.
    pub(super) fn refused(&self, time: Duration, named: bool, clock: Clock) {
        self.pause(time, clock);
        if named && self.room(clock) != Some(true) {
            let time = time.min(LONGEST_WAIT);
            self.tell(time, clock.elapsed() + millis(time));
        }
    }

    /// Tells other processes of a pause that ends then (ms).
    fn tell(&self, time: Duration, until: u64) {
        if let (Some(shared), Some(per_minute)) = (&self.shared, self.per_minute()) {
            shared.pause(per_minute, time, until);
        }
    }

    /// How much longer all requests are held back, if the server asked for that.
    #[must_use]
    pub fn paused(&self, clock: Clock) -> Option<Duration> {
        let left = self.lock().blocked.saturating_sub(clock.elapsed());
        (left > 0).then(|| Duration::from_millis(left))
    }

    /// How many requests the vendor's current minute holds, and how many it may hold; none if the limit is
    /// not known, or the vendor's headers do not tell how full a minute is.
    #[must_use]
    pub fn budget(&self, clock: Clock) -> Option<(u64, u64)> {
        let policy = self.policy.as_ref()?;
        policy.count_header.as_ref()?;
        let window = self.lock();
        let used = match clock.elapsed() < window.ends {
            true => window.count,
            false => 0,
        };
        Some((used, u64::from(policy.requests_per_minute)))
    }

    fn ceilings(&self) -> MutexGuard<'_, RequestLimits> {
        self.ceilings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
