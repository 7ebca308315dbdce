//! Faults of the analytics query: rows that move, and values that nobody knows.

use std::collections::BTreeSet;

use genesys_simulator::State;
use serde_json::Value;

use crate::support::Harness;

fn ids(page: &Value) -> Vec<String> {
    let rows = page["conversations"].as_array();
    let rows = rows.into_iter().flatten();
    rows.map(|row| row["conversationId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn unstable_pages_tell_by_total_hits_and_lose_nothing_for_good() {
    let (calm, rough) = (
        Harness::with("").await,
        Harness::with("unstable_pages=0.4").await,
    );
    let mut truth = Vec::new();
    for number in 1..=8 {
        truth.push(calm.page(10, number).await.json());
    }
    let every: BTreeSet<String> = truth.iter().flat_map(ids).collect();
    let mut seen = BTreeSet::new();
    let (mut repeated, mut left_out) = (0, 0);
    for _ in 0..10 {
        let mut before = Vec::new();
        for (number, truth) in (1..).zip(&truth) {
            let page = rough.page(10, number).await.json();
            let (hits, true_hits) = (&page["totalHits"], &truth["totalHits"]);
            if hits == true_hits {
                assert_eq!(&page, truth);
            } else {
                assert_ne!(number, 1, "the first page is true");
                let rows = ids(&page);
                if hits.as_u64() > true_hits.as_u64() {
                    assert!(before.contains(&rows[0]), "the last page's rows again");
                    repeated += 1;
                } else {
                    assert!(!rows.contains(&ids(truth)[0]));
                    left_out += 1;
                }
            }
            before = ids(truth);
            seen.extend(ids(&page));
        }
    }
    assert!(repeated > 3 && left_out > 3, "{repeated} and {left_out}");
    assert_eq!(seen, every);
}

#[tokio::test]
async fn unknown_values_come_in_a_participant_that_stays() {
    let (calm, rough) = (
        Harness::with("").await,
        Harness::with("unknown_values=0.3").await,
    );
    let truth = calm.page(100, 1).await.json();
    let page = rough.page(100, 1).await.json();
    let mut odd = 0;
    let rows = |page: &Value| page["conversations"].as_array().unwrap().clone();
    for (truth, row) in rows(&truth).iter().zip(rows(&page)) {
        let mut known = row.clone();
        let participants = known["participants"].as_array_mut().unwrap();
        if let Some(place) = participants.iter().position(|p| p["purpose"] == "avatar") {
            let stranger = participants.remove(place);
            let session = &stranger["sessions"][0];
            assert_eq!(session["mediaType"], "hologram");
            assert_eq!(session["segments"][0]["segmentType"], "projecting");
            odd += 1;
        }
        assert_eq!(&known, truth);
    }
    assert!((8..35).contains(&odd), "{odd} of {}", rows(&page).len());
    assert_eq!(page, rough.page(100, 1).await.json());
}

#[tokio::test]
async fn unknown_values_are_file_states_too() {
    let center = Harness::with("unknown_values=0.3").await;
    let organization = center.simulator.organization();
    let (mut odd, mut all) = (0, 0);
    for conversation in (0..60).map(|index| organization.conversation(index)) {
        let path = format!(
            "/api/v2/conversations/{}/recordingmetadata",
            conversation.id
        );
        let rows = center.get(&path).await.json();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), conversation.recordings.len());
        for (row, recording) in rows.iter().zip(&conversation.recordings) {
            assert_eq!(row["id"], *recording.id);
            let known = match recording.state {
                State::Available => "AVAILABLE",
                State::Archived => "ARCHIVED",
                State::Deleted => "DELETED",
                _ => "UPLOADING",
            };
            if row["fileState"] == "QUARANTINED" {
                odd += 1;
            } else {
                assert_eq!(row["fileState"], known);
            }
            all += 1;
        }
    }
    assert!(odd > 5 && odd < all, "{odd} of {all}");
    let other = center.simulator.client_id();
    let answer = center
        .get(&format!("/api/v2/conversations/{other}/recordingmetadata"))
        .await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json()["code"], "conversation.not.found");
}
