//! How much is under way at once follows what the sinks and the origins of media take.

use std::time::Duration;

use genesys_simulator::Settings;
use recording_host_engine::verify::verify;
use serde_json::json;

use crate::{
    s3_server::{Server, Ways},
    support::{Harness, export},
};

const CONVERSATIONS: u64 = 250;

/// Exports to a bucket, which gets everything.
async fn exported(server: &Server) {
    let harness = Harness::start(Settings {
        conversations: CONVERSATIONS,
        ..Settings::default()
    })
    .await;
    let mut sink = server.config();
    // In the mode `adaptive` the client of S3 sends less by itself.
    sink["retry"] = json!({ "mode": "standard", "attempts": 10 });
    let summary = export(harness.config_to(sink)).await;
    assert_eq!(summary.conversations, CONVERSATIONS);
    let sink = server.sink(json!({})).await;
    let report = verify(sink.store().unwrap(), false).await.unwrap();
    let found = (report.findings, report.conversations);
    assert_eq!(found, (Vec::new(), CONVERSATIONS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_takes_four_at_once_refuses_few_and_gets_everything() {
    let server = Server::start(Ways {
        at_once: Some(4),
        takes: Duration::from_millis(300),
        ..Ways::default()
    })
    .await;
    exported(&server).await;
    let (puts, slowed) = (server.seen("PutObject").len(), server.slowed());
    println!("{slowed} of {puts} requests refused");
    assert!(slowed > 0, "it has begun with more than that");
    assert!(slowed * 8 < puts, "{slowed} of {puts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_takes_all_gets_many_at_once() {
    let server = Server::start(Ways {
        takes: Duration::from_millis(1500),
        ..Ways::default()
    })
    .await;
    exported(&server).await;
    println!("{} at once", server.busiest());
    assert!(server.busiest() >= 16, "{}", server.busiest());
}
