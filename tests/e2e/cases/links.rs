//! The spelling of its link does not identify a file.

use std::collections::BTreeSet;

use serde_json::json;

use super::cloud::{Answer, Ask, Cloud, Recording, row, wav};

/// The base URL of the links in the state of a job.
fn base(state: &serde_json::Value) -> String {
    let link = state["results"][0]["resultUrl"].as_str().unwrap();
    link.split("/media/").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_files_whose_links_differ_in_the_query_alone_are_two_files() {
    let (one, two) = (wav(1), wav(2));
    let bodies = [one.clone(), two.clone()];
    let cloud = Cloud::start(
        vec![
            (
                row(1),
                vec![
                    Recording::new(1, 0, "video/webm", one),
                    Recording::new(1, 0, "video/webm", two),
                ],
            ),
            (row(2), vec![Recording::call(2, 0)]),
        ],
        move |ask| match ask {
            Ask::Poll(_, mut state) => {
                let base = base(&state);
                let results = state["results"].as_array_mut().unwrap();
                for (number, result) in results.iter_mut().enumerate() {
                    if result["contentType"] == "video/webm" {
                        let link = format!("{base}/media/download/x?file={number}&sig=hush");
                        result["resultUrl"] = json!(link);
                    }
                }
                Answer::json(&state)
            }
            Ask::Media(asked) if asked.contains("file=0") => {
                Answer::new(200, "video/webm", bodies[0].clone())
            }
            Ask::Media(asked) if asked.contains("file=1") => {
                Answer::new(200, "video/webm", bodies[1].clone())
            }
            _ => None,
        },
    );
    let cloud = cloud.await;
    cloud.run().await.complete(2);
    let keys = cloud.recordings();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for end in [
        "/10000000-0000-4000-8000-000000010000.webm",
        "0000.1.webm",
        ".wav",
    ] {
        assert!(keys.iter().any(|key| key.ends_with(end)), "{end}: {keys:?}");
    }
    let files = cloud.files();
    let stored: BTreeSet<&Vec<u8>> = keys.iter().map(|key| &files[key]).collect();
    assert_eq!(stored.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_change_at_each_poll_are_one_file() {
    let all = (1..=3).map(|number| (row(number), vec![Recording::call(number, 0)]));
    let cloud = Cloud::start(all.collect(), |ask| {
        let Ask::Poll(polls, mut state) = ask else {
            return None;
        };
        let base = base(&state);
        for result in state["results"].as_array_mut().unwrap() {
            let recording = result["recordingId"].as_str().unwrap();
            let link = format!("{base}/media/{polls}/once-{polls}/{recording}?X-Amz-Date={polls}");
            result["resultUrl"] = json!(link);
        }
        // It continues for a while, with all links there from the first poll.
        if polls < 4 {
            state["status"] = json!("InProgress");
        }
        Answer::json(&state)
    });
    let cloud = cloud.await;
    cloud.run().await.complete(3);
    let keys = cloud.recordings();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_stands_twice_is_one_file() {
    let all = (1..=3).map(|number| (row(number), vec![Recording::call(number, 0)]));
    let cloud = Cloud::start(all.collect(), |ask| {
        let Ask::Poll(polls, mut state) = ask else {
            return None;
        };
        let results = state["results"].as_array_mut().unwrap();
        let again = results.clone();
        results.extend(again);
        // In another order each time.
        if polls % 2 == 0 {
            results.reverse();
        }
        Answer::json(&state)
    });
    let cloud = cloud.await;
    cloud.run().await.complete(3);
    let keys = cloud.recordings();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_one_recording_in_another_order_at_each_poll_are_all_there_once() {
    let files = [wav(1), wav(2), wav(3)];
    let bodies = files.clone();
    let parts = files.map(|body| Recording::new(1, 0, "audio/wav", body));
    let cloud = Cloud::start(vec![(row(1), parts.to_vec())], move |ask| match ask {
        Ask::Poll(polls, mut state) => {
            let base = base(&state);
            let results = state["results"].as_array_mut().unwrap();
            for (number, result) in results.iter_mut().enumerate() {
                let link = format!("{base}/media/part-{number}.wav?Signature=hush{polls}");
                result["resultUrl"] = json!(link);
            }
            let shift = polls as usize % results.len();
            results.rotate_left(shift);
            if polls < 3 {
                state["status"] = json!("InProgress");
            }
            Answer::json(&state)
        }
        Ask::Media(asked) => {
            let part = (0..3).find(|part| asked.contains(&format!("part-{part}.")));
            Answer::new(200, "audio/wav", bodies[part?].clone())
        }
        _ => None,
    });
    let cloud = cloud.await;
    cloud.run().await.complete(1);
    let keys = cloud.recordings();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let files = cloud.files();
    let stored: BTreeSet<&Vec<u8>> = keys.iter().map(|key| &files[key]).collect();
    assert_eq!(stored.len(), 3);
}
