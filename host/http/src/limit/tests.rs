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

#[tokio::test(start_paused = true)]
async fn none_is_overtaken_for_ever_by_others_that_keep_coming() {
    let limiter = Arc::new(limiter());
    let clock = Clock::starting_at(0, 1.0);
    // More of them than the quota has room for, without end.
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let limiter = Arc::clone(&limiter);
        crowd.spawn(async move {
            loop {
                limiter.acquire(clock, Priority::Begin).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    for (priority, longest) in [(Priority::Poll, 40), (Priority::Ahead, 70)] {
        let began = clock.elapsed();
        limiter.acquire(clock, priority).await;
        let waited = clock.elapsed() - began;
        let expected = priority.handicap()..=longest * 1000;
        assert!(expected.contains(&waited), "{priority:?}: {waited} ms");
    }
}

#[test]
fn sources_with_one_credential_share_its_limit() {
    let limiters = Limiters::default();
    let of = |credential: &str| {
        let policy = limiter().policy;
        let none = RequestLimits::default();
        limiters
            .clone()
            .of(credential.to_owned(), policy, none, Path::new("."))
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
    let reported = limiter();
    let response = Response {
        status: 200,
        headers: ["count", "allowed", "reset"]
            .map(|name| (name.to_owned(), u64::MAX.to_string()))
            .into(),
        body: Vec::new(),
    };
    reported.observe(&response, clock);
    assert!(reported.reserve(clock.elapsed()).unwrap() <= 301_001);
}

#[test]
fn no_minute_holds_more_than_the_ceiling_of_an_operator() {
    for policy in [limiter().policy, None] {
        let limiter = Limiter::new(policy);
        *limiter.ceilings() = RequestLimits {
            per_minute: Some(70),
            per_month: None,
        };
        let mut sent = Vec::new();
        // It has saved up an hour.
        let mut now = 3_600_000;
        while now < 3_900_000 {
            match limiter.reserve(now) {
                None => sent.push(now),
                Some(wait) => now += wait,
            }
        }
        for first in &sent {
            let minute = *first..*first + 60_000;
            let within = sent.iter().filter(|at| minute.contains(at)).count();
            assert!(within <= 70, "{within} from {first} on");
        }
        assert!(sent.len() >= 345, "and it is made use of: {}", sent.len());
    }
}

#[test]
fn a_ceiling_above_the_vendors_limit_changes_nothing() {
    let [one, other] = [limiter(), limiter()];
    one.ceilings().per_minute = Some(10_000);
    assert_eq!(one.pace(), other.pace());
}

#[tokio::test]
async fn the_lowest_ceiling_of_those_who_share_a_credential_counts_and_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(1_767_225_600_000, 1000.0);
    let of = |ceiling| {
        let limiters = Limiters::default();
        let ceilings = |per_month| RequestLimits {
            per_minute: None,
            per_month: Some(per_month),
        };
        let _ = limiters.of("c".to_owned(), None, ceilings(ceiling), folder.path());
        limiters.of("c".to_owned(), None, ceilings(50), folder.path())
    };
    let limiter = of(3);
    for _ in 0..3 {
        limiter.acquire(clock, Priority::Begin).await;
    }
    let month = |requests, ceiling| Some(MonthlyRequests { requests, ceiling });
    assert_eq!(
        (limiter.halted(), limiter.month(clock)),
        (None, month(3, 3))
    );
    // Another process with the same folder resumes the count.
    let limiter = of(4);
    limiter.acquire(clock, Priority::Begin).await;
    let beyond = limiter.acquire(clock, Priority::Begin);
    let waited = tokio::time::timeout(Duration::from_millis(300), beyond).await;
    assert!(waited.is_err(), "the month has no room");
    let halt = limiter.halted().unwrap();
    // The next month begins on 1 February 2026.
    let until = 1_769_904_000_000;
    assert_eq!(halt, RequestHalt::Spent { ceiling: 4, until });
    assert!(halt.to_string().contains("2026-02-01T00:00:00Z"), "{halt}");
}
