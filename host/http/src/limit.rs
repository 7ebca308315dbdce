//! One rate limit for all requests of a credential, driven by what the vendor's headers say.
//!
//! Requests are spread so that a minute never holds more than the documented
//! number, and held back altogether once the headers say that the window is
//! full or the server has asked to wait. Those that wait are let go by priority.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use recording_host_model::{RateLimit, Response, clock::Clock};

use super::{header, millis, retry::LONGEST_WAIT};

/// Which of the requests that wait for the limit goes first; among equals, the one that waits longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// It begins work that takes time elsewhere, such as a job of the vendor's.
    #[default]
    Begin,
    /// It asks how such work is getting on.
    Poll,
    /// It looks for more to begin while there is enough.
    Ahead,
}

/// Holds requests back so that the vendor need not refuse them.
#[derive(Debug)]
pub struct Limiter {
    policy: Option<RateLimit>,
    window: Mutex<Window>,
    waiting: Mutex<Waiting>,
    /// Told whenever one that waited is gone.
    gone: Notify,
}

/// The requests that wait, in the order in which they are let go.
#[derive(Debug, Default)]
struct Waiting {
    tickets: BTreeSet<(Priority, u64)>,
    last: u64,
}

/// A request's place among those that wait, which it leaves when it is let go or given up.
struct Ticket<'a> {
    limiter: &'a Limiter,
    place: (Priority, u64),
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.limiter.waiting().tickets.remove(&self.place);
        self.limiter.gone.notify_waiters();
    }
}

/// The limiters of all credentials in use: sources with the same one share its limit.
#[derive(Clone, Debug, Default)]
pub struct Limiters(Arc<Mutex<HashMap<String, Arc<Limiter>>>>);

impl Limiters {
    /// The limiter of a credential, which must not be a secret, such as a client's id. Its policy is the
    /// one that the first source with this credential states.
    #[must_use]
    pub fn of(&self, credential: String, policy: Option<RateLimit>) -> Arc<Limiter> {
        let mut limiters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter = limiters.entry(credential);
        Arc::clone(limiter.or_insert_with(|| Arc::new(Limiter::new(policy))))
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
    /// A limiter for the vendor's documented policy; without one it never holds back.
    #[must_use]
    pub fn new(policy: Option<RateLimit>) -> Self {
        Limiter {
            policy,
            window: Mutex::default(),
            waiting: Mutex::default(),
            gone: Notify::new(),
        }
    }

    /// Waits until a request may be sent.
    pub async fn acquire(&self, clock: Clock, priority: Priority) {
        if self.policy.is_none() {
            return;
        }
        let ticket = self.line_up(priority);
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            // From here on no word is missed.
            gone.as_mut().enable();
            if self.waiting().tickets.first() != Some(&ticket.place) {
                gone.await;
                continue;
            }
            match self.reserve(clock.elapsed()) {
                None => return,
                Some(wait) => clock.sleep(Duration::from_millis(wait)).await,
            }
        }
    }

    fn line_up(&self, priority: Priority) -> Ticket<'_> {
        let mut waiting = self.waiting();
        waiting.last += 1;
        let place = (priority, waiting.last);
        waiting.tickets.insert(place);
        drop(waiting);
        Ticket {
            limiter: self,
            place,
        }
    }

    /// How long a request of a priority would be held back if it were added to those that wait.
    #[must_use]
    pub fn delay(&self, clock: Clock, priority: Priority) -> Duration {
        let Some(policy) = &self.policy else {
            return Duration::ZERO;
        };
        let first = |place: &&(Priority, u64)| place.0 <= priority;
        let waiting = self.waiting().tickets.iter().filter(first).count() as u64;
        let now = clock.elapsed();
        let window = self.lock();
        let held = window.blocked.max(window.next).saturating_sub(now);
        Duration::from_millis(held + waiting * spacing(policy))
    }

    /// Returns true if the vendor's window has no room for a further request, as far as known.
    #[must_use]
    pub(super) fn is_full(&self, clock: Clock) -> bool {
        let Some(policy) = &self.policy else {
            return false;
        };
        let window = self.lock();
        let allowed = u64::from(policy.requests_per_minute);
        window.ends > clock.elapsed() && window.count >= allowed
    }

    /// Takes a place, or says how many milliseconds to wait before asking again.
    fn reserve(&self, now: u64) -> Option<u64> {
        let policy = self.policy.as_ref()?;
        let allowed = u64::from(policy.requests_per_minute.max(1));
        let spacing = spacing(policy);
        // A few requests may go at once: a tenth of the quota.
        let burst = spacing * (allowed / 10);
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
        let earliest = window.next.max(now.saturating_sub(burst));
        if earliest > now {
            return Some(earliest - now);
        }
        window.next = earliest + spacing;
        window.count += 1;
        None
    }

    /// Learns from an answer's headers how full the vendor's window is.
    pub fn observe(&self, response: &Response, clock: Clock) {
        let Some(policy) = &self.policy else { return };
        let read = |name: &Option<String>| -> Option<u64> {
            header(response, name.as_deref()?)?.trim().parse().ok()
        };
        let (Some(count), Some(reset)) = (read(&policy.count_header), read(&policy.reset_header))
        else {
            return;
        };
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
        if count >= theirs {
            window.blocked = window.blocked.max(ends);
        }
    }

    /// Holds all requests back for a while, as the server asked, within bounds.
    pub fn pause(&self, time: Duration, clock: Clock) {
        let until = clock.elapsed() + millis(time.min(LONGEST_WAIT));
        let mut window = self.lock();
        window.blocked = window.blocked.max(until);
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

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time between two requests that are spread evenly (ms).
fn spacing(policy: &RateLimit) -> u64 {
    60_000_u64.div_ceil(u64::from(policy.requests_per_minute.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        Limiter::new(Some(RateLimit {
            requests_per_minute: 300,
            count_header: Some("count".into()),
            allowed_header: Some("allowed".into()),
            reset_header: Some("reset".into()),
        }))
    }

    #[test]
    fn no_minute_holds_more_than_the_quota_and_a_tenth() {
        let limiter = limiter();
        let mut sent = 0;
        let mut now = 1_000_000;
        while now < 1_060_000 {
            match limiter.reserve(now) {
                None => sent += 1,
                Some(wait) => now += wait,
            }
        }
        assert!((300..=331).contains(&sent), "{sent}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_are_let_go_by_priority_and_then_in_turn() {
        let limiter = Arc::new(limiter());
        let clock = Clock::starting_at(0, 1.0);
        limiter.pause(Duration::from_secs(1), clock);
        let order = Arc::new(Mutex::new(Vec::new()));
        let wanted = [
            ("page", Priority::Ahead),
            ("poll", Priority::Poll),
            ("submit", Priority::Begin),
            ("submit too", Priority::Begin),
        ];
        let mut tasks = tokio::task::JoinSet::new();
        for (name, priority) in wanted {
            let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
            tasks.spawn(async move {
                limiter.acquire(clock, priority).await;
                order.lock().unwrap().push(name);
            });
            tokio::task::yield_now().await;
        }
        let given_up = {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { limiter.acquire(clock, Priority::Begin).await })
        };
        tokio::task::yield_now().await;
        let delay = |priority| limiter.delay(clock, priority);
        assert!(delay(Priority::Begin) >= Duration::from_secs(1));
        assert!(delay(Priority::Begin) < delay(Priority::Ahead));
        given_up.abort();
        while tasks.join_next().await.is_some() {}
        let order = order.lock().unwrap().clone();
        assert_eq!(order, ["submit", "submit too", "poll", "page"]);
        assert!(delay(Priority::Ahead) < Duration::from_secs(1));
    }

    #[test]
    fn sources_with_one_credential_share_its_limit() {
        let limiters = Limiters::default();
        let of = |credential: &str| {
            let policy = limiter().policy;
            limiters.clone().of(credential.to_owned(), policy)
        };
        of("a").lock().blocked = 1_000;
        assert_eq!(of("a").reserve(400), Some(600));
        assert_eq!(of("b").reserve(400), None);
    }

    #[test]
    fn a_full_window_holds_requests_until_it_ends() {
        let limiter = limiter();
        let clock = Clock::starting_at(0, 1.0);
        let response = Response {
            status: 200,
            headers: vec![
                ("count".into(), "300".into()),
                ("allowed".into(), "300".into()),
                ("reset".into(), "17".into()),
            ],
            body: Vec::new(),
        };
        limiter.observe(&response, clock);
        assert_eq!(limiter.budget(clock), Some((300, 300)));
        let wait = limiter.reserve(clock.elapsed()).unwrap();
        assert!((17_000..=18_000).contains(&wait), "{wait}");
        assert_eq!(limiter.reserve(clock.elapsed() + wait + 1), None);
    }

    #[test]
    fn a_wait_that_a_server_names_is_bounded() {
        let clock = Clock::starting_at(0, 1.0);
        let paused = limiter();
        paused.pause(Duration::from_secs(u64::MAX), clock);
        assert!(paused.paused(clock).unwrap() <= Duration::from_secs(300));
        assert_eq!(limiter().paused(clock), None);
        assert!(paused.reserve(clock.elapsed()).unwrap() <= 300_000);
        let told = limiter();
        let response = Response {
            status: 200,
            headers: ["count", "allowed", "reset"]
                .map(|name| (name.to_owned(), u64::MAX.to_string()))
                .into(),
            body: Vec::new(),
        };
        told.observe(&response, clock);
        assert!(told.reserve(clock.elapsed()).unwrap() <= 301_001);
    }
}
