//! Faults of batch jobs: what they say of themselves, and of their results.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use genesys_simulator::{Faults, Given, Settings};
use serde_json::{Value, json};

use crate::support::{BATCHES, Harness, settings};

/// A center with these faults, whose jobs take a while.
async fn slow(faults: &str) -> Harness {
    Harness::start(Settings {
        faults: Faults::parse(faults).unwrap(),
        job_time: Duration::from_secs(20),
        ..settings()
    })
    .await
}

/// Every answer about a job until it is done.
async fn polls(center: &Harness, uri: &str) -> Vec<Value> {
    let mut answers = Vec::new();
    loop {
        let answer = center.get(uri).await.json();
        let done = answer["status"] == "Completed";
        answers.push(answer);
        if done {
            return answers;
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

fn counts(answer: &Value) -> (u64, u64) {
    let count = |name: &str| answer[name].as_u64().unwrap();
    (count("expectedResultCount"), count("resultCount"))
}

/// How many rows there are for the first hundred conversations, long after their ends.
fn all(center: &Harness) -> u64 {
    let organization = center.simulator.organization();
    (0..100)
        .flat_map(|index| organization.conversation(index).recordings)
        .map(|recording| match recording.given(u64::MAX) {
            Given::Files => u64::from(recording.kind.parts()),
            Given::Error(_) => 1,
            Given::Nothing => 0,
        })
        .sum()
}

#[tokio::test]
async fn lost_job_is_404_now_and_may_be_found_again() {
    let center = Harness::with("lost_job=0.5").await;
    let uri = center.submit(0..20).await;
    let (mut found, mut lost) = (0, 0);
    for _ in 0..30 {
        let answer = center.get(&uri).await;
        if answer.status() == 200 {
            found += 1;
        } else {
            assert_eq!(answer.status(), 404);
            assert_eq!(answer.json()["code"], "batch.download.job.not.found");
            lost += 1;
        }
    }
    assert!(found > 5 && lost > 5, "{found} and {lost}");
}

#[tokio::test]
async fn stuck_job_never_completes() {
    let center = Harness::with("stuck_job=1").await;
    let uri = center.submit(0..100).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = center.get(&uri).await.json();
    assert_eq!(answer["status"], "InProgress");
    assert!(counts(&answer).1 < all(&center));
}

#[tokio::test]
async fn batches_are_counted_with_those_that_faults_cost() {
    let center = Harness::with("stuck_job=0.5,cut_answer=0.5").await;
    let conversation = &center.simulator.organization().conversation(0).id;
    let body = json!({ "batchDownloadRequestList": [{ "conversationId": conversation }] });
    let mut unheard = 0;
    for _ in 0..30 {
        let answer = center.post(BATCHES, &body).await;
        unheard += u64::from(!answer.complete());
    }
    // What is refused is no batch, and cutting the answer costs none.
    for _ in 0..5 {
        center.post(BATCHES, &json!({})).await;
    }
    let batches = center.simulator.batches();
    assert_eq!((batches.submitted, batches.unheard), (30, unheard));
    assert_eq!(batches.stuck, center.struck("stuck_job"));
    assert!(unheard > 5 && batches.stuck > 5, "{batches:?}");
}

#[tokio::test]
async fn stalled_job_stands_still_and_goes_on() {
    let center = slow("stalled_job=1").await;
    let uri = center.submit(0..100).await;
    let began = Instant::now();
    let mut still = BTreeMap::<u64, (Duration, Duration)>::new();
    let mut answers = Vec::new();
    loop {
        let answer = center.get(&uri).await.json();
        let now = began.elapsed();
        let span = still.entry(counts(&answer).1).or_insert((now, now));
        span.1 = now;
        answers.push(answer);
        if answers.last().unwrap()["status"] == "Completed" {
            break;
        }
    }
    let longest = still.values().map(|(from, until)| *until - *from).max();
    let longest = longest.unwrap();
    assert!(
        longest > began.elapsed() / 3,
        "{longest:?} of {:?}",
        began.elapsed()
    );
    assert_eq!(counts(answers.last().unwrap()).1, all(&center));
}

#[tokio::test]
async fn late_growth_adds_results_after_all_had_been_there() {
    let center = slow("late_growth=1").await;
    let uri = center.submit(0..100).await;
    let answers = polls(&center, &uri).await;
    let all = all(&center);
    let seemed_final = answers.iter().filter(|answer| {
        let (expected, ready) = counts(answer);
        answer["status"] == "InProgress" && expected == ready && ready > 0 && ready < all
    });
    assert!(seemed_final.count() > 5, "{answers:?}");
    assert_eq!(counts(answers.last().unwrap()), (all, all));
}

#[tokio::test]
async fn repeated_results_are_the_same_ones_twice_in_another_order() {
    let (calm, rough) = (
        Harness::with("").await,
        Harness::with("repeated_results=1").await,
    );
    let key = |row: &Value| {
        let url = row["resultUrl"].as_str().unwrap_or_default();
        let path = url.split('?').next().unwrap().split_once("/recordings");
        let path = path.map(|(_, path)| path.to_owned());
        (row["recordingId"].as_str().unwrap().to_owned(), path)
    };
    let truth: Vec<_> = calm.results(0..100).await.iter().map(key).collect();
    let uri = rough.submit(0..100).await;
    let mut orders = BTreeSet::new();
    for _ in 0..5 {
        let answer = rough.get(&uri).await.json();
        let rows: Vec<_> = answer["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(key)
            .collect();
        assert!(rows.len() > truth.len());
        let distinct: BTreeSet<_> = rows.iter().collect();
        assert_eq!(distinct, truth.iter().collect());
        // The counts are of recordings, not of rows.
        assert_eq!(counts(&answer), (truth.len() as u64, truth.len() as u64));
        orders.insert(rows);
    }
    assert_eq!(orders.len(), 5);
}

#[tokio::test]
async fn unknown_status_is_neither_in_progress_nor_completed() {
    let center = Harness::with("unknown_status=0.5").await;
    let uri = center.submit(0..5).await;
    let mut seen = BTreeSet::new();
    for _ in 0..30 {
        let answer = center.get(&uri).await.json();
        seen.insert(answer["status"].as_str().unwrap().to_owned());
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["Completed", "Reconciling"]
    );
}

#[tokio::test]
async fn unknown_content_type_stays_with_its_recording() {
    let center = Harness::with("unknown_content_type=0.3").await;
    let types = |rows: Vec<Value>| -> Vec<Value> {
        rows.into_iter()
            .map(|row| row["contentType"].clone())
            .collect()
    };
    let one = types(center.results(0..100).await);
    let odd = one
        .iter()
        .filter(|one| **one == "application/vnd.genesys.holo-stream");
    let odd = odd.count();
    assert!((15..50).contains(&odd), "{odd} of {}", one.len());
    assert_eq!(one, types(center.results(0..100).await));
}
