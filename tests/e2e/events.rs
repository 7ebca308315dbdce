//! Whoever subscribes learns all that happens, in numbers that agree with the summary and the sinks,
//! and nothing that is secret or personal.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use genesys_simulator::{Faults, Settings};
use recording_host_config::Config;
use recording_host_engine::{Pipeline, run::CheckState};
use recording_host_model::{Event, Subscriber, clock::Clock};

use crate::support::{Harness, SPEED, files, media, rows};

/// Keeps all events.
#[derive(Default)]
struct Kept(Mutex<Vec<Event>>);

impl Subscriber for Kept {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 300,
        seed: 5,
        faults: Faults::all(0.05),
        ..Settings::default()
    })
    .await
}

async fn watched(harness: &Harness) -> (Pipeline, [Arc<Kept>; 2]) {
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["job_timeout_seconds"] = serde_json::json!(120);
    let config = Config::new(config).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    let mut pipeline = pipelines.pop().unwrap();
    let subscribers = [Arc::new(Kept::default()), Arc::new(Kept::default())];
    for subscriber in &subscribers {
        pipeline = pipeline.subscribe(Arc::clone(subscriber) as Arc<dyn Subscriber>);
    }
    (pipeline, subscribers)
}

/// The name under which a summary counts a request; a log-in that fails is no access token.
fn counted_as(kind: &str, method: &str) -> String {
    match kind {
        "token" => kind.to_owned(),
        kind => format!("{kind} {method}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_add_up_to_the_summary_and_to_what_is_stored() {
    let harness = harness().await;
    let (pipeline, [one, other]) = watched(&harness).await;
    let summary = pipeline.run().await.unwrap();
    let events = one.0.lock().unwrap();
    assert_eq!(events.len(), other.0.lock().unwrap().len());

    let (mut sent, mut throttled, mut refused) = (BTreeMap::<String, u64>::new(), 0, 0);
    let (mut found, mut objects, mut bytes, mut filed, mut retried) = (0, 0, 0, 0, 0);
    for event in events.iter() {
        match event {
            Event::Request {
                kind,
                method,
                status,
                ..
            } => {
                *sent.entry(counted_as(kind, method)).or_default() +=
                    u64::from(kind != "token" || status.is_some());
                refused += u64::from(*status == Some(429));
            }
            Event::Throttled { millis } => {
                assert!(*millis > 0);
                throttled += 1;
            }
            Event::StepCommitted { conversations, .. } => found += conversations,
            Event::ArtifactStored { stored } => {
                assert_eq!(stored.keys().collect::<Vec<_>>(), ["lake"]);
                objects += stored["lake"].objects;
                bytes += stored["lake"].bytes;
            }
            Event::SegmentFiled {
                sink,
                conversations,
                ..
            } => {
                assert_eq!(sink, "lake");
                filed += conversations;
            }
            Event::RequestRetried { .. } | Event::DownloadRetried { .. } => retried += 1,
            _ => {}
        }
    }
    assert_eq!(sent, summary.api_calls);
    assert_eq!(refused, summary.refused);
    assert!(
        throttled > 0 && throttled <= refused,
        "{throttled} of {refused}"
    );
    assert!(retried > throttled, "{retried}");
    // A page that is walked again reports a conversation again.
    assert!(found >= 300, "{found}");
    let stored = files(&harness.output());
    let stored = media(&stored);
    assert_eq!(objects, stored.len());
    let length: u64 = stored.values().map(|(length, _)| length).sum();
    assert_eq!(bytes, length);
    let counted: u64 = summary.outcomes.values().sum();
    assert!(filed as u64 >= counted, "{filed} of {counted}");
    let Some(Event::Progress(last)) = events
        .iter()
        .rfind(|event| matches!(event, Event::Progress(_)))
    else {
        panic!("no progress");
    };
    assert_eq!(last.conversations, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_holds_a_secret_a_signed_link_or_a_person() {
    let harness = harness().await;
    let (pipeline, [kept, _]) = watched(&harness).await;
    pipeline.run().await.unwrap();
    let told = format!("{:?}", kept.0.lock().unwrap());
    assert!(told.len() > 10_000);
    let secret = harness.simulator.client_secret();
    assert!(!told.contains(&*secret), "the client's secret");
    for link in ["Signature=", "X-Amz-", "http://", "https://"] {
        assert!(!told.contains(link), "{link}");
    }
    let rows = rows(&files(&harness.output()));
    assert!(rows.len() > 100);
    for row in rows {
        for field in ["ani", "dnis"] {
            if let Some(value) = row[field].as_str().filter(|value| !value.is_empty()) {
                assert!(!told.contains(value), "{field} {value}");
            }
        }
        for agent in row["agents"].as_array().into_iter().flatten() {
            if let Some(name) = agent["name"].as_str() {
                assert!(!told.contains(name), "an agent's name");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_checks_and_reconciliations_are_watched_too() {
    // Each part of a check is tried once, so that a fault could leave it without a request.
    let harness = Harness::start(Settings {
        conversations: 300,
        seed: 5,
        ..Settings::default()
    })
    .await;
    let (pipeline, [kept, _]) = watched(&harness).await;
    let requests = || {
        let kept = std::mem::take(&mut *kept.0.lock().unwrap());
        let requests = kept
            .iter()
            .filter(|one| matches!(one, Event::Request { .. }));
        requests.count()
    };
    pipeline.plan().await.unwrap();
    assert!(requests() > 0);
    let findings = pipeline.check().await.unwrap();
    let sink = findings.last().unwrap();
    assert_eq!(sink.state, CheckState::Good, "{findings:?}");
    assert!(requests() > 0);
    pipeline.reconcile().await.unwrap();
    assert!(requests() > 0);
}
