//! A fetch on its way to a node, and back.

use super::*;
use crate::{
    Lease, MemoryFleet, WorkQueue,
    conformance::{ledger::export::conversation, step},
    fleet::{FetchConsumer, FetchPublisher},
};
use recording_host_model::{
    Artifact, ArtifactContents, Container, Download, HandedOver, Next, Object, RecordingKey,
    Reported, ReportedOutcome, Step, Wait,
};

const NOW: u64 = 1_767_600_000_000;
const LINK: &str = "https://media.test/c1?signature=secret";

fn state(data: &[u8]) -> SplitState {
    SplitState {
        version: 3,
        data: data.to_vec(),
    }
}

fn split(id: &str, data: &[u8]) -> Split {
    Split {
        id: id.to_owned(),
        kind: "job".to_owned(),
        state: state(data),
    }
}

/// A step that hands the recordings of both conversations over.
fn handing_over() -> Step {
    let of = |id: &str| Artifact {
        key: ArtifactKey::Recording(RecordingKey {
            conversation: id.to_owned(),
            recording: format!("{id}-r"),
            part: 0,
        }),
        download: Download {
            url: LINK.to_owned(),
            headers: vec![("authorization".to_owned(), "Bearer secret".to_owned())],
            authenticated: false,
            expires: None,
        },
        content_type: None,
        container: Container::Single,
        size: None,
        sha256: None,
    };
    let outcome = |id: &str| ReportedOutcome {
        conversation: id.to_owned(),
        result: Reported::HandedOver(HandedOver {
            artifacts: 1,
            missing: Vec::new(),
        }),
    };
    Step {
        artifacts: vec![of("c1"), of("c2")],
        outcomes: vec![outcome("c1"), outcome("c2")],
        ..step(&[], Next::Done(state(b"done")))
    }
}

fn stored(id: &str, sinks: &[&str]) -> ArtifactResult {
    let object = Object {
        conversation: id.to_owned(),
        recording: format!("{id}-r"),
        key: format!("recordings/{id}"),
        member: None,
        content_type: "audio/wav".to_owned(),
        size: 5,
        sha256: "ab".to_owned(),
        etag: None,
        stored: Some((7, "cd".to_owned())),
        note: None,
        aside: false,
        file: "0/".to_owned(),
        index_metadata: None,
    };
    let objects = sinks
        .iter()
        .map(|sink| ((*sink).to_owned(), object.clone()));
    ArtifactResult {
        artifact: format!("r\n{id}\n{id}-r\n0"),
        result: Ok(ArtifactContents {
            objects: objects.collect(),
            ..ArtifactContents::default()
        }),
        took: sinks.iter().map(|sink| (*sink).to_owned()).collect(),
        backlog: Vec::new(),
    }
}

async fn commit(queue: &Queue, id: &str, step: Step) {
    let held = queue.claim(id.to_owned(), Lease::without_end(NOW)).await;
    assert!(held.unwrap().is_some(), "{id}");
    queue.commit(id.to_owned(), step, NOW, 0).await.unwrap();
}

/// A leader's ledger with a fetch of two conversations.
async fn leader() -> Queue {
    let queue = Queue::in_memory().unwrap();
    let splits = vec![split("find-1", b"")];
    queue.add(splits, NOW).await.unwrap();
    let found = Step {
        conversations: vec![conversation("c1"), conversation("c2")],
        ..step(&[], Next::Done(state(b"")))
    };
    commit(&queue, "find-1", found).await;
    let ids = vec!["c1".to_owned(), "c2".to_owned()];
    let splits = vec![split("x-000001", b"{\"ids\":2}\xff")];
    queue
        .fetch("x-000001".to_owned(), ids, splits, NOW)
        .await
        .unwrap();
    queue
}

/// The changes of a node that does all of a fetch.
fn changes(sinks: &[&str]) -> Vec<FetchChange> {
    let wait = step(
        &[],
        Next::Wait(Wait {
            until: NOW + 5,
            state: state(b"waiting"),
            job: None,
        }),
    );
    vec![
        FetchChange::step("x-000001", &wait, NOW, 0),
        FetchChange::step("x-000001", &handing_over(), NOW + 9, 0),
        FetchChange::delivered(&[stored("c1", sinks)]),
        FetchChange::delivered(&[stored("c2", sinks)]),
    ]
}

async fn apply_all(queue: &Queue, changes: Vec<FetchChange>, sinks: &[&str]) -> Vec<bool> {
    let mut finished = Vec::new();
    for (sequence, change) in (1..).zip(changes) {
        let change = FetchChange::from_bytes(&change.to_bytes()).unwrap();
        let report = FetchReport {
            sequence,
            fetch: "x-000001".to_owned(),
            change,
        };
        let sinks = sinks.iter().map(|sink| (*sink).to_owned()).collect();
        finished.push(queue.apply(report, sinks).await.unwrap());
    }
    finished
}

#[tokio::test]
async fn what_a_node_reports_is_what_the_leader_would_have_done() {
    let queue = leader().await;
    let finished = apply_all(&queue, changes(&["lake"]), &["lake"]).await;
    assert_eq!(finished, [false, false, false, true]);
    assert_eq!(queue.applied().await.unwrap(), 4);
    // Each report counts once.
    apply_all(&queue, changes(&["lake"]), &["lake"]).await;
    queue.complete(NOW + 10, 0, 0).await.unwrap();
    queue
        .seal_segments(1, 10, vec!["lake".to_owned()])
        .await
        .unwrap();
    let ids = queue.segment(1).await.unwrap().ids;
    let conversations = queue.sealed_conversations(ids).await.unwrap();
    let objects: Vec<_> = conversations
        .iter()
        .map(|one| {
            let object = &one.objects["lake"][0];
            (one.id.as_str(), object.file.as_str(), object.stored.clone())
        })
        .collect();
    let stored = Some((7, "cd".to_owned()));
    assert_eq!(
        objects,
        [("c1", "0/", stored.clone()), ("c2", "0/", stored)]
    );
}

#[tokio::test]
async fn a_sink_that_a_node_lacks_is_owed_what_it_wants() {
    let queue = leader().await;
    apply_all(&queue, changes(&["lake"]), &["lake", "vault"]).await;
    let owed = queue.backlog(vec!["vault".to_owned()]).await.unwrap();
    assert_eq!(owed["x-000001"].len(), 2);
    let owed = queue.backlog(vec!["lake".to_owned()]).await.unwrap();
    assert!(owed.is_empty());
}

#[tokio::test]
async fn a_node_goes_on_where_another_one_has_stopped_and_forgets_all_in_the_end() {
    let queue = leader().await;
    let order = queue.order("x-000001".to_owned()).await.unwrap();
    let order = FetchOrder::from_bytes(&order.to_bytes()).unwrap();
    let mut made = changes(&["lake"]);
    made.truncate(3);
    let node = Queue::for_node().unwrap();
    let taken = TakenFetch {
        deliveries: 1,
        order,
        changes: made,
    };
    node.take_on(taken, NOW).await.unwrap();
    let split = WorkQueue::split(&node, "x-000001".to_owned())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(split.state, state(b"done"));
    let known = node.known_one("c1".to_owned()).await.unwrap().unwrap();
    assert_eq!(
        known,
        queue.known_one("c1".to_owned()).await.unwrap().unwrap()
    );
    let undelivered = node.undelivered().await.unwrap();
    assert_eq!(undelivered["x-000001"], ["r\nc2\nc2-r\n0"]);
    assert!(!node.is_finished("x-000001".to_owned()).await.unwrap());
    let keys = vec!["r\nc2\nc2-r\n0".to_owned()];
    let fetches = node.fetches_of(keys.clone()).await.unwrap();
    assert_eq!(fetches[&keys[0]], "x-000001");
    node.delivered(vec![stored("c2", &["lake"])]).await.unwrap();
    assert!(node.is_finished("x-000001".to_owned()).await.unwrap());
    let ids = vec!["c1".to_owned(), "c2".to_owned()];
    node.let_go("x-000001".to_owned(), ids).await.unwrap();
    assert!(node.known_one("c1".to_owned()).await.unwrap().is_none());
    assert!(
        WorkQueue::split(&node, "x-000001".to_owned())
            .await
            .unwrap()
            .is_none()
    );
    assert!(node.fetches_of(keys).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_order_of_what_was_begun_has_what_a_node_cannot_know() {
    let queue = leader().await;
    let mut made = changes(&["lake"]);
    made.truncate(3);
    apply_all(&queue, made, &["lake"]).await;
    // Without the reports, which are gone once they are applied and the fetch was finished.
    let order = queue.orders("x").await.unwrap().remove(0);
    let node = Queue::for_node().unwrap();
    let taken = TakenFetch {
        deliveries: 1,
        order,
        changes: Vec::new(),
    };
    node.take_on(taken, NOW).await.unwrap();
    let undelivered = node.undelivered().await.unwrap();
    assert_eq!(undelivered["x-000001"], ["r\nc2\nc2-r\n0"]);
    assert!(
        node.has_object("lake".to_owned(), "recordings/c1".to_owned())
            .await
            .unwrap()
    );
}

#[test]
fn no_link_goes_to_other_machines() {
    let change = FetchChange::step("x-000001", &handing_over(), NOW, 0).to_bytes();
    let text = String::from_utf8(change).unwrap();
    assert!(text.contains("c1-r") && !text.contains("media.test") && !text.contains("secret"));
}

#[test]
fn what_a_later_version_has_written_is_refused_with_its_version() {
    let change = FetchChange::delivered(&[]).to_bytes();
    let later = String::from_utf8(change)
        .unwrap()
        .replace("\"v\":1", "\"v\":2");
    let error = FetchChange::from_bytes(later.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("the format 2"), "{error}");
    // What there is may be personal, and is not repeated.
    let error = FetchChange::from_bytes(br#"{"v":1,"delivered":"+4930123456"}"#).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("at line 1") && !said.contains("4930"),
        "{said}"
    );
    let error = FetchOrder::from_bytes(b"{}").unwrap_err();
    assert!(
        error.to_string().contains("a fetch cannot be read"),
        "{error}"
    );
}

#[test]
fn what_is_begun_in_vain_is_counted_until_anybody_comes_to_its_end() {
    let reported = [
        FetchChange::begun("a"),
        FetchChange::begun("b"),
        FetchChange::ended("b"),
        FetchChange::delivered(&[]),
        FetchChange::begun("a"),
        FetchChange::step("x-000001", &handing_over(), NOW, 0),
        FetchChange::begun("b"),
    ];
    let stored = reported.map(|change| FetchChange::from_bytes(&change.to_bytes()).unwrap());
    let in_vain = FetchChange::begun_in_vain(&stored);
    assert_eq!(in_vain, BTreeMap::from([("a".into(), 2), ("b".into(), 1)]));
    assert_eq!(FetchChange::taken_in_vain(&stored[..5]), 1);
    assert_eq!(FetchChange::taken_in_vain(&stored), 0, "a step came of it");
    let mut changed = stored.to_vec();
    changed.push(FetchChange::delivered(&[ArtifactResult::failed(
        "a".into(),
        "no",
        "x",
    )]));
    changed.push(FetchChange::begun("x-000001"));
    changed.push(FetchChange::step("x-000001", &handing_over(), NOW, 0));
    let in_vain = FetchChange::begun_in_vain(&changed);
    assert_eq!(
        in_vain,
        BTreeMap::from([("b".into(), 1)]),
        "all else had a result"
    );
    // Earlier versions read results of no artifact, which change nothing.
    let mut known: serde_json::Value = serde_json::from_slice(&stored[0].to_bytes()).unwrap();
    known.as_object_mut().unwrap().remove("attempt");
    let nothing: serde_json::Value =
        serde_json::from_slice(&FetchChange::delivered(&[]).to_bytes()).unwrap();
    assert_eq!(known, nothing);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_is_one_nodes_and_another_ones_when_that_has_stopped() {
    let queue = leader().await;
    let fleet = MemoryFleet::new();
    let (first, second) = (fleet.node(), fleet.node());
    fleet
        .publish(queue.orders("x").await.unwrap())
        .await
        .unwrap();
    let change = || FetchChange::delivered(&[]);
    first.take().await.unwrap();
    first.report("x-000001", change()).await.unwrap();
    let refused = second.report("x-000001", change()).await.unwrap_err();
    assert!(matches!(refused, QueueError::NotHeld(_)), "{refused}");
    drop(first);
    let taken = second.take().await.unwrap();
    // A node says that it takes it.
    assert_eq!(taken.changes.len(), 2);
    second.report("x-000001", change()).await.unwrap();
    assert_eq!(fleet.next_report(1).await.unwrap().sequence, 2);
    second.done("x-000001").await.unwrap();
    assert_eq!(
        (fleet.waiting(), fleet.published().await.unwrap().len()),
        (0, 1)
    );
    fleet.forget("x-000001").await.unwrap();
    assert!(fleet.published().await.unwrap().is_empty());
}
