//! The fetches of an export are done by nodes, of which some stop, and the archive is that of one machine.

#[path = "../../host/cluster/tests/servers/nats.rs"]
pub(crate) mod nats;

use std::{sync::Arc, time::Duration};

use genesys_simulator::Settings;
use recording_host_cluster::{Candidate, Fleet, FleetConsumer, FleetPublisher};
use recording_host_config::Config;
use recording_host_engine::{Pipeline, RunSummary};
use recording_host_http::Limiters;
use recording_host_model::clock::Clock;
use recording_host_state::{
    MemoryFleet,
    fleet::{FetchConsumer, FetchPublisher},
};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::support::{Harness, SPEED, files};

async fn pipeline(config: &Value, limiters: &Limiters) -> Pipeline {
    let config = Config::new(config.clone()).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    pipelines.pop().unwrap().limiters(limiters)
}

/// A node, until `stop` turns true.
async fn node(
    config: &Value,
    limiters: &Limiters,
    consumer: Arc<dyn FetchConsumer>,
    stop: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let pipeline = pipeline(config, limiters).await;
    tokio::spawn(async move { pipeline.work(consumer, stop).await.unwrap() })
}

/// Exports by a leader and nodes, of which the last one stops on the way; meanwhile `fault` happens.
async fn export(
    config: &Value,
    publisher: Arc<dyn FetchPublisher>,
    consumers: Vec<Arc<dyn FetchConsumer>>,
    fault: impl Future<Output = ()> + Send + 'static,
) -> RunSummary {
    let limiters = Limiters::default();
    let (stopping, stop) = watch::channel(false);
    let mut nodes = Vec::new();
    for consumer in consumers {
        nodes.push(node(config, &limiters, consumer, stop.clone()).await);
    }
    let dying = nodes.pop().unwrap();
    let mut faults = JoinSet::new();
    faults.spawn(async move {
        sleep(Duration::from_millis(1500)).await;
        dying.abort();
        fault.await;
    });
    let leader = pipeline(config, &limiters).await.lead(publisher);
    let summary = leader.run().await.unwrap();
    stopping.send_replace(true);
    for node in nodes {
        node.await.unwrap();
    }
    summary
}

fn recordings(harness: &Harness) -> Vec<(String, Vec<u8>)> {
    let all = files(&harness.output()).into_iter();
    all.filter(|(key, _)| key.starts_with("recordings/"))
        .collect()
}

/// Exports the same conversations by a fleet and by one machine, and compares all that they have stored.
async fn compare(
    conversations: u64,
    publisher: Arc<dyn FetchPublisher>,
    consumers: Vec<Arc<dyn FetchConsumer>>,
    fault: impl Future<Output = ()> + Send + 'static,
) {
    let settings = || Settings {
        conversations,
        ..Settings::default()
    };
    let (alone, together) = (
        Harness::start(settings()).await,
        Harness::start(settings()).await,
    );
    let expected = crate::support::export(alone.config()).await;
    let config = together.config();
    let summary = export(&config, publisher, consumers, fault).await;
    assert_eq!(
        (&summary.outcomes, summary.recordings, summary.bytes),
        (&expected.outcomes, expected.recordings, expected.bytes)
    );
    assert!(recordings(&alone) == recordings(&together));
    let path = together.write(&config).display().to_string();
    let proven = together
        .run_program(&["verify", "--full", "--config", &path])
        .await;
    let proof = String::from_utf8(proven.stdout).unwrap();
    assert_eq!(proven.status.code(), Some(0), "{proof}");
    let counted = format!("{conversations} conversations");
    assert!(proof.contains(&counted), "{proof}");
    // What the leader files later needs no node.
    let again = crate::support::export(config).await;
    assert_eq!(again.outcomes, summary.outcomes);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_a_fleet_make_the_archive_that_one_machine_makes() {
    let fleet = MemoryFleet::new();
    let consumers = (0..3).map(|_| Arc::new(fleet.node()) as Arc<dyn FetchConsumer>);
    compare(
        600,
        Arc::new(fleet.clone()),
        consumers.collect(),
        std::future::ready(()),
    )
    .await;
    assert_eq!(fleet.waiting(), 0);
}

/// A node is silent for longer than its fetches are left to it, another one dies, and so does the server that
/// leads the stream of the fetches.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs NATS servers, which tests/run installs"]
async fn a_fleet_on_nats_makes_the_archive_that_one_machine_makes() {
    let mut servers = nats::Servers::start(3);
    let fleet = servers.fleet("main").await;
    let candidate = Candidate::new(&fleet, "calls", "leader").await.unwrap();
    let leader = Arc::new(candidate.lead().await.unwrap());
    let publisher = FleetPublisher::new(&fleet, leader, "calls").await.unwrap();
    let proxy = nats::Proxy::to(servers.ports[0]).await;
    let mut consumers = Vec::<Arc<dyn FetchConsumer>>::new();
    for number in 0..3 {
        let mut settings = servers.settings("main");
        if number == 1 {
            settings.servers = vec![format!("nats://127.0.0.1:{}", proxy.port)];
        }
        let fleet = Fleet::open(settings).await.unwrap();
        consumers.push(Arc::new(FleetConsumer::new(&fleet, "calls").await.unwrap()));
    }
    let fault = async move {
        proxy.stall(true);
        let leading = servers.leader_of(&fleet, "_work").await;
        servers.kill(leading);
        sleep(Duration::from_secs(5)).await;
        servers.restart(leading);
        sleep(Duration::from_secs(35)).await;
        proxy.stall(false);
        // All of them go on until the export has ended.
        std::future::pending::<()>().await;
        drop((servers, proxy));
    };
    compare(600, Arc::new(publisher), consumers, fault).await;
}
