//! The requests of sources on several nodes: together within what the vendor and the operator allow.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use recording_host_cluster::{Fleet, FleetRates, FleetSettings};
use recording_host_http::{
    AllowedOrigins, Authenticator, HttpTransport, Limiter, Limiters, MonthlyRequests, Priority,
    RequestCredentials, RequestHalt, RequestLimits, SharedRates, SourceHttp,
};
use recording_host_model::{
    Event, Events, Method, Origin, OriginRole, RateLimit, Request, RequestError, Response,
    clock::Clock,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use url::Url;

use super::nats::Servers;

const ALLOWED: usize = 300;
const MINUTE: Duration = Duration::from_secs(60);
const NODES: [usize; 3] = [0, 1, 2];

/// What the vendor has seen: requests by node, with their times.
#[derive(Debug, Default)]
struct Seen {
    requests: Vec<(usize, Instant)>,
    refused: Option<Instant>,
}

/// The vendor, as a node's requests reach it.
#[derive(Clone, Debug)]
struct Vendor {
    node: usize,
    seen: Arc<Mutex<Seen>>,
    /// The number of the request that is refused, and the pause that is asked for then (s).
    refuses: Option<(usize, u64)>,
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn exchange(
        &self,
        _: &Url,
        _: &Request,
        _: RequestCredentials<'_>,
    ) -> Result<Response, RequestError> {
        let mut seen = self.seen.lock().unwrap();
        let now = Instant::now();
        seen.requests.push((self.node, now));
        let refusal = self.refuses.filter(|(at, _)| *at == seen.requests.len());
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if let Some((_, seconds)) = refusal {
            seen.refused = Some(now);
            headers.push(("retry-after".to_owned(), seconds.to_string()));
        }
        Ok(Response {
            status: refusal.map_or(200, |_| 429),
            headers,
            body: b"{}".into(),
        })
    }
}

async fn limiter(
    settings: &FleetSettings,
    per_minute: Option<u32>,
    ceilings: RequestLimits,
) -> Arc<Limiter> {
    let fleet = Fleet::connect(settings.clone()).await.unwrap();
    let rates: Arc<dyn SharedRates> = Arc::new(FleetRates::new(&fleet));
    let policy = per_minute.map(|requests_per_minute| RateLimit {
        requests_per_minute,
        count_header: None,
        allowed_header: None,
        reset_header: None,
    });
    let credential = "https://api.test client".to_owned();
    Limiters::shared(rates).of(credential, policy, ceilings, Path::new("."))
}

/// Sends requests to the vendor without end, eight at a time.
async fn send(vendor: Vendor, settings: &FleetSettings, events: &Events, tasks: &mut JoinSet<()>) {
    let vendors = u32::try_from(ALLOWED).ok();
    let limiter = limiter(settings, vendors, RequestLimits::default()).await;
    let origins = [Origin {
        url: "https://api.test".to_owned(),
        role: OriginRole::Api,
    }];
    let allow = AllowedOrigins::new(&origins, None, false);
    let (login, clock) = (Arc::new(Authenticator::None), Clock::of_machine());
    let http = SourceHttp::over(Arc::new(vendor), allow, login, limiter, clock, 1);
    let http = Arc::new(http.with_events(events.clone()));
    for _ in 0..8 {
        let http = Arc::clone(&http);
        let request = Request {
            method: Method::Get,
            url: "https://api.test/jobs".to_owned(),
            headers: Vec::new(),
            body: None,
            repeatable: true,
        };
        tasks.spawn(async move {
            loop {
                http.send("jobs", Priority::Poll, &request).await.unwrap();
            }
        });
    }
}

/// Three nodes with work waiting, on servers of their own.
async fn nodes(
    servers: &Servers,
    refuses: Option<(usize, u64)>,
) -> (Arc<Mutex<Seen>>, JoinSet<()>) {
    servers.fleet("main").await;
    let (seen, mut tasks) = (Arc::default(), JoinSet::new());
    for node in NODES {
        let seen = Arc::clone(&seen);
        let vendor = Vendor {
            node,
            seen,
            refuses,
        };
        let settings = servers.settings("main");
        send(vendor, &settings, &Events::default(), &mut tasks).await;
    }
    (seen, tasks)
}

fn within(requests: &[(usize, Instant)], from: Instant, time: Duration) -> usize {
    let times = requests.iter().map(|(_, at)| *at);
    times.filter(|at| (from..from + time).contains(at)).count()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn minutes_of_a_fleet_sources_on_three_nodes_keep_the_vendors_limit_and_use_95_percent_of_it()
{
    let servers = Servers::start(3);
    let (seen, mut tasks) = nodes(&servers, None).await;
    sleep(MINUTE + Duration::from_secs(10)).await;
    tasks.shutdown().await;
    let requests = seen.lock().unwrap().requests.clone();
    let any = requests
        .iter()
        .map(|(_, at)| within(&requests, *at, MINUTE));
    let fullest = any.max().unwrap();
    let first = within(&requests, requests[0].1, MINUTE);
    let shares = NODES.map(|node| requests.iter().filter(|it| it.0 == node).count());
    println!(
        "sources on three nodes sent {first} of {ALLOWED} in a minute; at most {fullest} in any; by node {shares:?}"
    );
    assert!(fullest <= ALLOWED, "{fullest}");
    assert!(first * 100 >= ALLOWED * 95, "{first}");
    for share in shares {
        assert!(share * 6 >= requests.len(), "a fair share is a third");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn one_nodes_refusal_with_a_time_pauses_the_sources_of_all_nodes() {
    let servers = Servers::start(1);
    let (seen, mut tasks) = nodes(&servers, Some((40, 10))).await;
    sleep(Duration::from_secs(28)).await;
    tasks.shutdown().await;
    let seen = seen.lock().unwrap();
    let refused = seen.refused.expect("so many are sent by then");
    let of = |node: usize, from: u64, until: u64| {
        let requests = seen.requests.iter().filter(|it| it.0 == node);
        let requests: Vec<_> = requests.copied().collect();
        let [from, until] = [from, until].map(Duration::from_millis);
        within(&requests, refused + from, until - from)
    };
    let before = NODES.map(|node| {
        let requests = seen.requests.iter().filter(|it| it.0 == node);
        requests.filter(|it| it.1 < refused).count()
    });
    println!(
        "before {before:?}; in the first 4 s {:?}; in the rest of the pause {:?}; after it {:?}",
        NODES.map(|node| of(node, 1, 4_000)),
        NODES.map(|node| of(node, 4_000, 9_900)),
        NODES.map(|node| of(node, 9_900, 17_000))
    );
    for node in NODES {
        assert!(before[node] > 0, "node {node} had sent requests");
        // Slots that were leased before are used: those of the next 3 s, each late by 0.9 s at most.
        assert_eq!(of(node, 4_000, 9_900), 0, "node {node} pauses");
        assert!(of(node, 9_900, 17_000) > 0, "node {node} goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn while_the_servers_are_away_longer_than_the_patience_nothing_is_sent_and_it_is_warned_once()
{
    let mut servers = Servers::start(1);
    servers.fleet("main").await;
    let mut settings = servers.settings("main");
    settings.patience = Duration::from_secs(2);
    let warnings = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&warnings);
    let events = Events::default().with(Arc::new(move |event: &Event| {
        if let Event::Warning { text } = event {
            told.lock().unwrap().push(text.clone());
        }
    }));
    let (seen, mut tasks) = (Arc::<Mutex<Seen>>::default(), JoinSet::new());
    let vendor = Vendor {
        node: 0,
        seen: Arc::clone(&seen),
        refuses: None,
    };
    send(vendor, &settings, &events, &mut tasks).await;
    let count = || seen.lock().unwrap().requests.len();
    sleep(Duration::from_secs(4)).await;
    servers.kill(0);
    // What it had leased.
    sleep(Duration::from_secs(4)).await;
    let before = count();
    assert!(before > 10, "{before}");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(count(), before);
    let warned = warnings.lock().unwrap().clone();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("no request is sent until"), "{warned:?}");
    servers.restart(0);
    let again = async {
        while count() < before + 10 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(30), again).await.unwrap();
    tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a NATS server, which tests/run installs"]
async fn a_months_requests_of_all_nodes_are_one_count_up_to_the_ceiling() {
    let servers = Servers::start(1);
    servers.fleet("main").await;
    let settings = servers.settings("main");
    let ceilings = RequestLimits {
        per_minute: None,
        per_month: Some(40),
    };
    let clock = Clock::starting_at(1_767_225_600_000, 1.0);
    let made = Arc::<Mutex<usize>>::default();
    let (mut tasks, mut limiters) = (JoinSet::new(), Vec::new());
    for _ in NODES {
        let limiter = limiter(&settings, None, ceilings).await;
        limiters.push(Arc::clone(&limiter));
        let made = Arc::clone(&made);
        tasks.spawn(async move {
            loop {
                limiter.acquire(clock, Priority::Begin).await;
                *made.lock().unwrap() += 1;
            }
        });
    }
    let spent = async {
        while !limiters.iter().all(|it| it.halted().is_some()) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(50), spent).await.unwrap();
    tasks.shutdown().await;
    assert_eq!(*made.lock().unwrap(), 40);
    // A node that starts now knows as well.
    limiters.push(limiter(&settings, None, ceilings).await);
    let beyond = limiters[3].acquire(clock, Priority::Begin);
    assert!(timeout(Duration::from_secs(2), beyond).await.is_err());
    let until = 1_769_904_000_000;
    for limiter in limiters {
        let ceiling = 40;
        let spent = RequestHalt::Spent { ceiling, until };
        assert_eq!(limiter.halted(), Some(spent));
        let requests = MonthlyRequests {
            requests: 40,
            ceiling,
        };
        assert_eq!(limiter.month(clock), Some(requests));
    }
}
