//! A set that is too large is requested in smaller pieces, down to the one item too large by itself.

use serde_json::{Value, json};

use super::cloud::{Answer, Ask, Cloud, Recording, id, row};

/// More than an answer may have, in bytes.
const TOO_LARGE: usize = 17 << 20;

/// Conversations 1 to `last`, a call each.
fn calls(last: u32) -> Vec<(Value, Vec<Recording>)> {
    let numbers = 1..=last;
    numbers
        .map(|number| (row(number), vec![Recording::call(number, 0)]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_conversations_with_twenty_described_recordings_each_are_stored() {
    let all = (1..=100).map(|number| {
        let recordings = (0..20).map(|index| Recording::call(number, index));
        (row(number), recordings.collect())
    });
    let mut cloud = Cloud::honest(all.collect()).await;
    cloud.options = json!({ "recording_metadata": true });
    cloud.run().await.complete(100);
    assert_eq!(cloud.recordings().len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_pages() {
    let mut all = calls(100);
    for (row, _) in &mut all {
        let agents = row["participants"].as_array_mut().unwrap();
        for number in 0..300 {
            agents.push(json!({ "participantId": format!("a-{number}"), "purpose": "agent",
                "userId": format!("u-{number}"), "participantName": format!("Agent {number}"),
                "sessions": [{ "sessionId": format!("s-{number}"), "mediaType": "voice",
                    "ani": "tel:+15550100", "dnis": "tel:+15550199", "direction": "inbound",
                    "metrics": [
                        { "name": "tAlert", "value": 8000, "emitDate": "2026-01-05T10:00:00.000Z" },
                        { "name": "tNotResponding", "value": 8000, "emitDate": "2026-01-05T10:00:00.000Z" }],
                    "segments": [{ "segmentStart": "2026-01-05T10:00:00.000Z",
                        "segmentEnd": "2026-01-05T10:00:08.000Z", "segmentType": "alert",
                        "queueId": "q-1", "disconnectType": "client",
                        "requestedRoutingSkillIds": ["00000000-0000-0000-0000-000000000000",
                            "00000000-0000-0000-0000-000000000000"] }] }] }));
        }
    }
    let page: usize = all.iter().map(|(row, _)| row.to_string().len()).sum();
    assert!(page > TOO_LARGE, "{page} bytes");
    let cloud = Cloud::honest(all).await;
    cloud.run().await.complete(100);
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(reconciled.code, Some(0), "{reconciled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_too_large_by_itself_costs_no_other_and_is_named() {
    let mut all = calls(30);
    all[16].0["externalTag"] = json!("x".repeat(TOO_LARGE));
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert!(ran.stored() >= 29, "{ran:?}");
    assert_eq!(cloud.recordings().len() as u64, ran.stored());
    for number in (1..=30).filter(|number| *number != 17) {
        assert!(!ran.losses.contains_key(&id(number)), "{ran:?}");
    }
    // It is one too few of what is counted, and where it stands is said.
    let place = "conversation number 17 of 2026-01-05";
    assert!(ran.said.contains(place), "{ran:?}");
    let reconciled = cloud.command("reconcile", &[]).await;
    assert_eq!(reconciled.code, Some(3), "{reconciled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_is_too_large_is_divided() {
    let cloud = Cloud::start(calls(40), |ask| {
        let Ask::Poll(_, mut state) = ask else {
            return None;
        };
        for result in state["results"].as_array_mut().unwrap() {
            result["unknown"] = json!("x".repeat(TOO_LARGE / 40));
        }
        Answer::json(&state)
    });
    let cloud = cloud.await;
    cloud.run().await.complete(40);
    assert_eq!(cloud.recordings().len(), 40);
    let submitted = cloud.asked("submit");
    // In halves, and not one by one.
    assert!((2..=6).contains(&submitted), "{submitted} batches");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_are_too_large_cost_no_other_conversation() {
    let mut cloud = Cloud::start(calls(5), |ask| match ask {
        Ask::Metadata(conversation, mut list) if conversation == id(3) => {
            list[0]["annotations"] = json!([{ "description": "x".repeat(TOO_LARGE) }]);
            Answer::json(&list)
        }
        _ => None,
    })
    .await;
    cloud.options = json!({ "recording_metadata": true });
    let ran = cloud.run().await;
    assert!(ran.stored() >= 4, "{ran:?}");
    for number in [1, 2, 4, 5] {
        assert!(!ran.losses.contains_key(&id(number)), "{ran:?}");
    }
    if ran.stored() < 5 {
        ran.loss(3, "too-large");
        assert_eq!(ran.code, Some(3), "{ran:?}");
    }
}
