//! A conversation without an end is reported, and ends in an outcome all the same.

use serde_json::{Value, json};

use super::cloud::{Cloud, Recording, row};
use crate::support::rows;

/// The row of a conversation that was never ended.
fn endless(number: u32) -> Value {
    let mut row = row(number);
    row.as_object_mut().unwrap().remove("conversationEnd");
    row
}

fn with_call(row: Value, number: u32) -> (Value, Vec<Recording>) {
    (row, vec![Recording::call(number, 0)])
}

/// The outcomes in rows, by conversation.
fn told(cloud: &Cloud) -> Vec<(String, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let mut told: Vec<(String, String)> = rows(&cloud.files())
        .iter()
        .map(|row| (text(row, "conversation_id"), text(row, "outcome")))
        .collect();
    told.sort();
    told.dedup();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interaction_that_never_ended_has_an_outcome() {
    let all = vec![with_call(row(1), 1), with_call(endless(2), 2)];
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert_eq!(ran.outcomes.values().sum::<u64>(), 2, "{ran:?}");
    assert_eq!(cloud.recordings().len(), 2, "{ran:?}");
    assert_eq!(told(&cloud).len(), 2, "{ran:?}");
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    assert_eq!(reconciled.json["sources"]["calls"]["source"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interaction_that_never_ended_and_was_never_recorded_has_an_outcome() {
    let mut silent = endless(2);
    for participant in silent["participants"].as_array_mut().unwrap() {
        participant["sessions"][0]["recording"] = json!(false);
    }
    let mut null = endless(3);
    null["conversationEnd"] = json!(null);
    let all = vec![
        with_call(row(1), 1),
        (silent, Vec::new()),
        (null, Vec::new()),
    ];
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert_eq!(ran.outcomes.values().sum::<u64>(), 3, "{ran:?}");
    assert_eq!(told(&cloud).len(), 3, "{ran:?}");
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(
        reconciled.json["sources"]["calls"]["source"], 3,
        "{reconciled:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_in_the_future_holds_nobody_up() {
    let mut future = row(2);
    future["conversationEnd"] = json!("2199-12-31T23:59:59.999Z");
    let mut backwards = row(3);
    backwards["conversationEnd"] = json!("1969-01-01T00:00:00.000Z");
    let all = vec![
        with_call(row(1), 1),
        with_call(future, 2),
        with_call(backwards, 3),
    ];
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert_eq!(ran.outcomes.values().sum::<u64>(), 3, "{ran:?}");
    assert_eq!(cloud.recordings().len(), 3, "{ran:?}");
    assert_eq!(told(&cloud).len(), 3, "{ran:?}");
}
