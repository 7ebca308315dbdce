//! One bad item costs one item, and never what it is among.

use serde_json::{Value, json};

use super::cloud::{Answer, Ask, Cloud, Recording, id, row};
use crate::support::rows;

/// Conversations 1 to `last`, a call each.
fn calls(last: u32) -> Vec<(Value, Vec<Recording>)> {
    let numbers = 1..=last;
    numbers
        .map(|number| (row(number), vec![Recording::call(number, 0)]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn documented_lists_that_come_as_null_are_empty() {
    let cloud = Cloud::start(Vec::new(), |ask| match ask {
        Ask::Page(_) => {
            let page = json!({ "conversations": null, "aggregations": null, "totalHits": 0 });
            Answer::json(&page)
        }
        _ => None,
    });
    let cloud = cloud.await;
    let ran = cloud.command("run", &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json["sources"]["calls"]["conversations"], 0);
    let asked = cloud.asked("page");
    // Nothing is tried again and again.
    assert!(asked <= 6, "{asked} pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_surrogate_in_a_name_costs_that_character() {
    for name in ["Caller", "Agent One"] {
        let cloud = Cloud::start(calls(3), move |ask| {
            let Ask::Page(page) = ask else {
                return None;
            };
            let whole = format!("\"{name}\"");
            let half = format!("\"{name} \\ud83d\"");
            let text = page.to_string().replacen(&whole, &half, 1);
            Answer::new(200, "application/json", text)
        });
        let cloud = cloud.await;
        cloud.run().await.complete(3);
        let rows = rows(&cloud.files());
        assert_eq!(rows.len(), 3);
        if name == "Agent One" {
            let told = |row: &&Value| row["agents"].to_string().contains("Agent One \u{fffd}");
            assert_eq!(rows.iter().filter(told).count(), 1, "{rows:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_host_that_is_not_allowed_costs_that_recording() {
    let mut all = calls(5);
    all[0].1[0].url = Some("https://cdn.example.net/a/b?sig=hush".into());
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(
        ran.outcomes,
        [("failed".into(), 1), ("stored".into(), 4)].into()
    );
    let message = ran.loss(1, "origin-not-allowed");
    assert!(message.contains("cdn.example.net"), "{message}");
    assert!(message.contains("media_origins"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_none_cost_their_recordings() {
    let links = [
        "",
        "no link",
        "ftp://127.0.0.1/a",
        "https://",
        "file:///etc/passwd",
        "//host/a",
        "http://[::1",
        "http://user:word@10.0.0.1/a",
    ];
    let mut all = calls(links.len() as u32 + 2);
    for (link, (_, recordings)) in links.iter().zip(&mut all) {
        recordings[0].url = Some((*link).to_owned());
    }
    let cloud = Cloud::honest(all).await;
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let lost = links.len() as u64;
    assert_eq!(
        ran.outcomes,
        [("failed".into(), lost), ("stored".into(), 2)].into()
    );
    assert_eq!(ran.losses.len() as u64, lost, "{ran:?}");
    assert_eq!(cloud.recordings().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_utf8_cost_their_characters() {
    let spoilt = |text: String| {
        let mut bytes = text.into_bytes();
        let at = bytes.windows(6).position(|word| word == b"Caller");
        if let Some(at) = at {
            bytes[at + 1] = 0xff;
        }
        bytes
    };
    let cloud = Cloud::start(calls(3), move |ask| match ask {
        Ask::Page(page) => Answer::new(200, "application/json", spoilt(page.to_string())),
        Ask::Poll(_, mut state) => {
            state["results"][0]["note"] = json!("Caller");
            Answer::new(200, "application/json", spoilt(state.to_string()))
        }
        _ => None,
    });
    cloud.await.run().await.complete(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn null_anywhere_in_the_state_of_a_job_is_nothing() {
    let cloud = Cloud::start(calls(3), |ask| {
        let Ask::Poll(polls, mut state) = ask else {
            return None;
        };
        if polls == 1 {
            state["status"] = json!("InProgress");
            for name in [
                "results",
                "expectedResultCount",
                "resultCount",
                "errorCount",
            ] {
                state[name] = json!(null);
            }
        }
        for result in state["results"].as_array_mut().into_iter().flatten() {
            result["errorMsg"] = json!(null);
        }
        Answer::json(&state)
    });
    cloud.await.run().await.complete(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_element_among_results_costs_no_other() {
    let cloud = Cloud::start(calls(4), |ask| {
        let Ask::Poll(_, mut state) = ask else {
            return None;
        };
        let results = state["results"].as_array_mut().unwrap();
        let whose = results.iter_mut();
        let mut whose = whose.filter(|result| result["conversationId"] == id(2));
        if let Some(result) = whose.next() {
            // Of this one it can be read whose it is, and not what; of the others nothing.
            result["recordingId"] = json!({ "id": 5 });
            results.insert(0, json!(null));
            results.insert(1, json!("a result"));
            results.push(json!(17));
            results.push(json!([]));
        }
        Answer::json(&state)
    });
    let cloud = cloud.await;
    let ran = cloud.run().await;
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert_eq!(ran.stored(), 3, "{ran:?}");
    ran.loss(2, "unreadable");
    assert_eq!(cloud.recordings().len(), 3);
}
