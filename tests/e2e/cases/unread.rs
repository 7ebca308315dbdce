//! Unreadable fields leave nothing out: a conversation with an odd field is a conversation.

use serde_json::{Value, json};

use super::cloud::{Cloud, Recording, id, row};
use crate::support::rows;

/// Conversations 1, 2, ... with these rows, a call each.
fn with_calls(rows: Vec<Value>) -> Vec<(Value, Vec<Recording>)> {
    let calls = rows.into_iter().zip(1..);
    calls
        .map(|(row, number)| (row, vec![Recording::call(number, 0)]))
        .collect()
}

/// The row of conversation `number` with another value at a place, which is made if need be.
fn odd(number: u32, pointer: &str, value: Value) -> Value {
    let mut row = row(number);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match row.pointer_mut(parent).unwrap() {
        Value::Array(list) => list.push(value),
        table => table[name] = value,
    }
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_another_type_costs_no_conversation() {
    let session = "/participants/0/sessions/0";
    let agent = "/participants/1/sessions/0";
    let cloud = Cloud::honest(with_calls(vec![
        row(1),
        odd(2, "/divisionIds", json!([null])),
        odd(3, "/participants/-", json!(null)),
        odd(4, &format!("{agent}/metrics/0/value"), json!("1000")),
        odd(5, &format!("{agent}/segments/0/wrapUpTags"), json!([null])),
        odd(6, &format!("{session}/recording"), json!("true")),
        odd(7, "/externalTag", json!(4711)),
        odd(
            8,
            "/participants/0/attributes",
            json!({ "vip": true, "n": 3, "x": null }),
        ),
        odd(9, &format!("{session}/ani"), json!(15_550_100)),
        odd(10, "/participants/0/sessions", json!({})),
    ]));
    let cloud = cloud.await;
    cloud.run().await.complete(10);
    assert_eq!(cloud.recordings().len(), 10);
    let status = cloud.command("status", &[]).await;
    assert_eq!(status.code, Some(0), "{status:?}");
    let status = &status.json["sources"]["calls"];
    assert_eq!(
        (&status["conversations"], &status["lost"]),
        (&json!(10), &json!(0))
    );
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
    assert_eq!(reconciled.json["sources"]["calls"]["source"], 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_types_anywhere_in_a_row_cost_that_field_alone() {
    let session = "/participants/0/sessions/0";
    let deep = json!([[[[[[{ "a": [[[{}]]] }]]]]]]);
    let huge: Value = serde_json::from_str("123456789012345678901234567890").unwrap();
    let odds = [
        ("/participants", json!("none")),
        ("/participants", json!({ "0": {} })),
        ("/participants", deep.clone()),
        ("/participants/0/sessions", json!([null, 7, "x", []])),
        ("/participants/0/purpose", json!(["customer"])),
        ("/participants/1/userId", json!({ "id": "u-1" })),
        ("/participants/0/attributes", json!("vip")),
        ("/originatingDirection", json!({ "inbound": true })),
        ("/conversationEnd", json!(1_767_607_440_000_u64)),
        ("/mediaStatsMinConversationMos", json!("4.1")),
        ("/divisionIds", huge),
        ("/divisionIds", json!(true)),
    ];
    let mut all: Vec<Value> = odds
        .into_iter()
        .zip(1..)
        .map(|((pointer, value), number)| odd(number, pointer, value))
        .collect();
    for name in ["mediaType", "dnis", "segments", "metrics", "recording"] {
        let number = all.len() as u32 + 1;
        all.push(odd(number, &format!("{session}/{name}"), deep.clone()));
    }
    let conversations = all.len();
    let cloud = Cloud::honest(with_calls(all)).await;
    let ran = cloud.run().await;
    // Without participants nothing says whether there was a recording, so it is requested.
    assert_eq!(ran.outcomes.values().sum::<u64>(), conversations as u64);
    assert_eq!(cloud.recordings().len(), conversations, "{ran:?}");
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_start_costs_no_conversation_and_is_told() {
    let cloud = Cloud::honest(with_calls(vec![
        row(1),
        odd(2, "/conversationStart", json!("the fifth of January")),
        odd(3, "/conversationStart", json!(null)),
        odd(4, "/conversationStart", json!({ "at": 5 })),
    ]));
    let cloud = cloud.await;
    let ran = cloud.run().await;
    // The segments show a start, too.
    assert_eq!(ran.outcomes.values().sum::<u64>(), 4, "{ran:?}");
    let lost = ran.outcomes.get("failed").copied().unwrap_or_default();
    assert_eq!(ran.losses.len() as u64, lost, "{ran:?}");
    assert_eq!(ran.code, Some(if lost > 0 { 3 } else { 0 }), "{ran:?}");
    let named: Vec<String> = rows(&cloud.files())
        .iter()
        .map(|row| row["conversation_id"].as_str().unwrap().to_owned())
        .collect();
    for number in 1..=4 {
        assert!(named.contains(&id(number)), "{number}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_without_an_id_are_missed_by_the_count_and_named() {
    let mut all = with_calls(vec![row(1), row(2)]);
    let nameless = [
        odd(3, "/conversationId", json!(null)),
        odd(4, "/conversationId", json!({ "id": 4 })),
        json!(null),
        json!("a row"),
    ];
    all.extend(nameless.into_iter().map(|row| (row, Vec::new())));
    all.push((row(5), vec![Recording::call(5, 0)]));
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert!(ran.stored() >= 3, "{ran:?}");
    for number in [1, 2, 5] {
        assert!(!ran.losses.contains_key(&id(number)), "{ran:?}");
    }
    // Seven are counted, three can be filed: said by the run and by whoever compares.
    let named = "4 rows of a page have no conversationId";
    assert!(ran.said.contains(named), "{ran:?}");
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(reconciled.code, Some(3), "{reconciled:?}");
}
