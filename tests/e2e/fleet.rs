//! The fetches of an export are done by nodes, of which some stop, and the archive is that of one machine.

use std::{sync::Arc, time::Duration};

use genesys_simulator::Settings;
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

/// Exports by a leader and two nodes; a third one stops on the way.
async fn export(
    config: &Value,
    publisher: Arc<dyn FetchPublisher>,
    consumers: Vec<Arc<dyn FetchConsumer>>,
) -> RunSummary {
    let limiters = Limiters::default();
    let (stopping, stop) = watch::channel(false);
    let mut nodes = Vec::new();
    for consumer in consumers {
        nodes.push(node(config, &limiters, consumer, stop.clone()).await);
    }
    let dying = nodes.pop().unwrap();
    let mut deaths = JoinSet::new();
    deaths.spawn(async move {
        sleep(Duration::from_millis(1500)).await;
        dying.abort();
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

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_a_fleet_make_the_archive_that_one_machine_makes() {
    let settings = || Settings {
        conversations: 600,
        ..Settings::default()
    };
    let (alone, together) = (
        Harness::start(settings()).await,
        Harness::start(settings()).await,
    );
    let expected = crate::support::export(alone.config()).await;
    let fleet = MemoryFleet::new();
    let consumers = (0..3).map(|_| Arc::new(fleet.node()) as Arc<dyn FetchConsumer>);
    let config = together.config();
    let summary = export(&config, Arc::new(fleet.clone()), consumers.collect()).await;
    assert_eq!(
        (&summary.outcomes, summary.recordings, summary.bytes),
        (&expected.outcomes, expected.recordings, expected.bytes)
    );
    assert_eq!(fleet.waiting(), 0);
    assert!(recordings(&alone) == recordings(&together));
    let path = together.write(&config).display().to_string();
    let proven = together
        .run_program(&["verify", "--full", "--config", &path])
        .await;
    let proof = String::from_utf8(proven.stdout).unwrap();
    assert_eq!(proven.status.code(), Some(0), "{proof}");
    assert!(proof.contains("600 conversations"), "{proof}");
    // What the leader files later needs no node.
    let again = crate::support::export(config).await;
    assert_eq!(again.outcomes, summary.outcomes);
}
