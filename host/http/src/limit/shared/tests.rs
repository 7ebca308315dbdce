use std::{
    path::Path,
    sync::atomic::{AtomicU32, AtomicU64},
};

use recording_host_model::{Event, RateLimit, Response, Subscriber, clock::Clock};
use tokio::{task::JoinSet, time::timeout};

use super::*;
use crate::{Limiter, Limiters, MonthlyRequests, Priority, RequestHalt, RequestLimits};

/// How long a slot of the rate is that these tests share.
const SLOT: Duration = Duration::from_secs(1);

/// A rate of a slot a second, and a count of one month, as other processes would have them.
#[derive(Debug, Default)]
struct Fake {
    /// True if nobody answers.
    away: AtomicBool,
    /// When the next slot begins, and the times of those that were given away.
    next: StdMutex<Option<Instant>>,
    given: AtomicU32,
    /// The requests per minute that it was opened with, each time.
    opened: StdMutex<Vec<u32>>,
    pauses: StdMutex<Vec<Duration>>,
    /// The most requests that were said to wait.
    waiting: AtomicU32,
    counted: AtomicU64,
    counts: AtomicU32,
}

#[derive(Clone, Debug, Default)]
struct FakeRates(Arc<Fake>);

impl FakeRates {
    fn answer(&self) -> Result<(), SharedRateError> {
        match self.0.away.load(Ordering::Relaxed) {
            true => Err("nobody answers".into()),
            false => Ok(()),
        }
    }

    fn limiter(&self, policy: Option<RateLimit>, ceilings: RequestLimits) -> Arc<Limiter> {
        let limiters = Limiters::shared(Arc::new(self.clone()));
        limiters.of("client".to_owned(), policy, ceilings, Path::new("."))
    }
}

#[async_trait]
impl SharedRate for FakeRates {
    async fn acquire(&self, waiting: u32) -> Result<(), SharedRateError> {
        self.answer()?;
        self.0.waiting.fetch_max(waiting, Ordering::Relaxed);
        let at = {
            let mut next = lock(&self.0.next);
            let at = next.unwrap_or_else(Instant::now).max(Instant::now());
            next.replace(at + SLOT);
            at
        };
        self.0.given.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    async fn pause(&self, time: Duration) -> Result<(), SharedRateError> {
        self.answer()?;
        lock(&self.0.pauses).push(time);
        Ok(())
    }
}

#[async_trait]
impl SharedRates for FakeRates {
    async fn open(
        &self,
        _: &str,
        requests_per_minute: u32,
    ) -> Result<Arc<dyn SharedRate>, SharedRateError> {
        self.answer()?;
        lock(&self.0.opened).push(requests_per_minute);
        Ok(Arc::new(self.clone()))
    }

    async fn count(
        &self,
        _: &str,
        month: Date,
        requests: u32,
        ceiling: u64,
    ) -> Result<SharedCount, SharedRateError> {
        self.answer()?;
        self.0.counts.fetch_add(1, Ordering::Relaxed);
        let before = self.0.counted.load(Ordering::Relaxed);
        let granted = u64::from(requests).min(ceiling.saturating_sub(before));
        self.0.counted.fetch_add(granted, Ordering::Relaxed);
        Ok(SharedCount {
            month,
            granted: granted as u32,
            requests: before + granted,
        })
    }
}

fn policy() -> Option<RateLimit> {
    Some(RateLimit {
        requests_per_minute: 300,
        count_header: Some("count".into()),
        allowed_header: Some("allowed".into()),
        reset_header: Some("reset".into()),
    })
}

fn answer(count: &str) -> Response {
    let headers = [("count", count), ("allowed", "300"), ("reset", "17")];
    Response {
        status: 200,
        headers: headers
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        body: Vec::new(),
    }
}

/// Lets what was spawned do what it can do now.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[derive(Default)]
struct Warnings(StdMutex<Vec<String>>);

impl Subscriber for Warnings {
    fn on_event(&self, event: &Event) {
        if let Event::Warning { text } = event {
            lock(&self.0).push(text.clone());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn slots_go_to_those_that_wait_by_priority() {
    let rates = FakeRates::default();
    let limiter = rates.limiter(policy(), RequestLimits::default());
    let clock = Clock::starting_at(0, 1.0);
    // The first slot is somebody else's.
    rates.acquire(1).await.unwrap();
    let order = Arc::new(StdMutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for (name, priority) in [
        ("first", Priority::Begin),
        ("page", Priority::Ahead),
        ("poll", Priority::Poll),
        ("submit", Priority::Begin),
    ] {
        let (limiter, order) = (Arc::clone(&limiter), Arc::clone(&order));
        tasks.spawn(async move {
            limiter.acquire(clock, priority).await;
            lock(&order).push((name, clock.elapsed() / 1000));
        });
        settle().await;
    }
    while tasks.join_next().await.is_some() {}
    let expected = [("first", 1), ("submit", 2), ("poll", 3), ("page", 4)];
    assert_eq!(*lock(&order), expected, "one in each slot");
    assert_eq!(*lock(&rates.0.opened), [300], "opened once");
    assert_eq!(rates.0.waiting.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_costs_a_slot_at_most() {
    let rates = FakeRates::default();
    let limiter = rates.limiter(policy(), RequestLimits::default());
    let clock = Clock::starting_at(0, 1.0);
    rates.acquire(1).await.unwrap();
    let mut given_up = JoinSet::new();
    for _ in 0..3 {
        let limiter = Arc::clone(&limiter);
        given_up.spawn(async move { limiter.acquire(clock, Priority::Begin).await });
        settle().await;
    }
    // One is at the head and has taken a slot; the others wait for their turn.
    given_up.shutdown().await;
    assert_eq!(rates.0.given.load(Ordering::Relaxed), 2);
    limiter.acquire(clock, Priority::Begin).await;
    assert_eq!(clock.elapsed(), 2_000, "the slot after the lost one");
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_nothing_is_sent_and_it_is_warned_once() {
    let rates = FakeRates::default();
    rates.0.away.store(true, Ordering::Relaxed);
    let limiter = rates.limiter(policy(), RequestLimits::default());
    let clock = Clock::starting_at(0, 1.0);
    let warnings = Arc::new(Warnings::default());
    let events = Events::default().with(Arc::clone(&warnings) as Arc<dyn Subscriber>);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let (limiter, events) = (Arc::clone(&limiter), events.clone());
        tasks.spawn(async move { limiter.acquire_for(clock, Priority::Begin, &events).await });
    }
    let sent = timeout(Duration::from_secs(3600), tasks.join_next()).await;
    assert!(sent.is_err(), "there is no slot");
    assert_eq!(lock(&warnings.0).len(), 1, "{:?}", lock(&warnings.0));
    assert!(lock(&warnings.0)[0].contains("nobody answers"));
    rates.0.away.store(false, Ordering::Relaxed);
    let all = async { while tasks.join_next().await.is_some() {} };
    timeout(Duration::from_secs(10), all).await.unwrap();
    assert_eq!(rates.0.given.load(Ordering::Relaxed), 3);
    // The next time that they are away is worth a warning again.
    rates.0.away.store(true, Ordering::Relaxed);
    let waits = limiter.acquire_for(clock, Priority::Begin, &events);
    assert!(timeout(Duration::from_secs(60), waits).await.is_err());
    assert_eq!(lock(&warnings.0).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_pause_if_the_whole_client_is_refused_and_no_other_time() {
    let clock = Clock::starting_at(0, 1.0);
    let told = async |refuse: &dyn Fn(&Limiter)| {
        let rates = FakeRates::default();
        let limiter = rates.limiter(policy(), RequestLimits::default());
        refuse(&limiter);
        settle().await;
        let pauses = lock(&rates.0.pauses).clone();
        (pauses, limiter.paused(clock).is_some())
    };
    let seconds = Duration::from_secs;
    let asked = |limiter: &Limiter| {
        // Several are refused at once.
        for _ in 0..4 {
            limiter.refused(seconds(30), true, clock);
        }
    };
    assert_eq!(told(&asked).await, (vec![seconds(30)], true));
    let longer = |limiter: &Limiter| {
        limiter.refused(seconds(30), true, clock);
        limiter.refused(seconds(40), true, clock);
    };
    assert_eq!(told(&longer).await, (vec![seconds(30), seconds(40)], true));
    let full = |limiter: &Limiter| {
        limiter.observe(&answer("300"), clock);
    };
    assert_eq!(told(&full).await, (vec![seconds(18)], true));
    let unnamed = |limiter: &Limiter| limiter.refused(seconds(5), false, clock);
    assert_eq!(told(&unnamed).await, (vec![], true));
    let with_room = |limiter: &Limiter| {
        limiter.observe(&answer("12"), clock);
        limiter.refused(seconds(5), true, clock);
    };
    assert_eq!(told(&with_room).await, (vec![], true));
}

#[tokio::test(start_paused = true)]
async fn all_are_told_of_a_pause_as_soon_as_somebody_answers_and_not_once_it_is_over() {
    let rates = FakeRates::default();
    let limiter = rates.limiter(policy(), RequestLimits::default());
    let clock = Clock::starting_at(0, 1.0);
    let seconds = Duration::from_secs;
    let away = |away| rates.0.away.store(away, Ordering::Relaxed);
    away(true);
    limiter.refused(seconds(30), true, clock);
    sleep(seconds(12)).await;
    away(false);
    sleep(seconds(30)).await;
    assert_eq!(*lock(&rates.0.pauses), [seconds(15)]);
    away(true);
    limiter.refused(seconds(30), true, clock);
    sleep(seconds(31)).await;
    away(false);
    sleep(seconds(30)).await;
    assert_eq!(lock(&rates.0.pauses).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slot_in_a_pause_that_began_meanwhile_is_not_used() {
    let rates = FakeRates::default();
    let limiter = rates.limiter(policy(), RequestLimits::default());
    let clock = Clock::starting_at(0, 1.0);
    rates.acquire(1).await.unwrap();
    let waits = limiter.acquire(clock, Priority::Begin);
    let pause = async {
        settle().await;
        limiter.refused(Duration::from_secs(20), true, clock);
    };
    tokio::join!(waits, pause);
    assert!(clock.elapsed() >= 20_000, "{}", clock.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_the_lower_one_of_the_vendors_limit_and_the_ceiling() {
    let rates = FakeRates::default();
    let limiters = Limiters::shared(Arc::new(rates.clone()));
    let clock = Clock::starting_at(0, 1.0);
    // A further source with the credential may bring a lower ceiling, never a higher one.
    for per_minute in [None, Some(9000), Some(120), Some(200)] {
        let ceilings = RequestLimits {
            per_minute,
            per_month: None,
        };
        let limiter = limiters.of("client".to_owned(), policy(), ceilings, Path::new("."));
        limiter.acquire(clock, Priority::Begin).await;
    }
    assert_eq!(*lock(&rates.0.opened), [300, 120]);
    assert_eq!(rates.0.given.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_month_is_counted_for_all_in_slices_up_to_the_ceiling() {
    let rates = FakeRates::default();
    let clock = Clock::starting_at(1_767_225_600_000, 1.0);
    // None a minute: only the month is shared.
    let ceilings = |ceiling| RequestLimits {
        per_minute: None,
        per_month: Some(ceiling),
    };
    let [one, other] = [5_000, 5_000].map(|ceiling| rates.limiter(None, ceilings(ceiling)));
    for _ in 0..12 {
        one.acquire(clock, Priority::Begin).await;
        other.acquire(clock, Priority::Begin).await;
    }
    assert_eq!(rates.0.counts.load(Ordering::Relaxed), 6, "by fives");
    let month = |requests, ceiling| Some(MonthlyRequests { requests, ceiling });
    assert_eq!(one.month(clock), month(22, 5_000));
    // Others have made nearly all: there is room for two, and what both have counted ahead.
    rates.0.counted.store(4_998, Ordering::Relaxed);
    for _ in 0..3 + 2 {
        one.acquire(clock, Priority::Begin).await;
    }
    for _ in 0..3 {
        other.acquire(clock, Priority::Begin).await;
    }
    for limiter in [&one, &other] {
        let beyond = limiter.acquire(clock, Priority::Begin);
        assert!(timeout(Duration::from_secs(300), beyond).await.is_err());
        let until = 1_769_904_000_000;
        let spent = RequestHalt::Spent {
            ceiling: 5_000,
            until,
        };
        assert_eq!(limiter.halted(), Some(spent));
    }
    assert_eq!(rates.0.counted.load(Ordering::Relaxed), 5_000);
    assert_eq!(rates.0.given.load(Ordering::Relaxed), 0);
}
