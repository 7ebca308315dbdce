//! A contact center whose day continues: calls begin and end, and recordings are late.

use std::time::Duration;

use genesys_simulator::{Given, Settings, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{Exchange, Harness, QUERY, settings};

const NOON: &str = "2026-01-05T12:00:00Z";

async fn at_noon(settings: Settings) -> Harness {
    Harness::start(Settings {
        conversations: 20_000,
        days: 1,
        clock_start: Some(NOON.parse().unwrap()),
        ..settings
    })
    .await
}

fn ms(center: &Harness) -> u64 {
    center.simulator.now().as_millisecond() as u64
}

async fn around_noon(center: &Harness, filters: Value) -> Vec<Value> {
    let body = json!({
        "interval": "2026-01-05T11:59:00Z/2026-01-05T13:00:00Z",
        "paging": { "pageSize": 100 },
        "conversationFilters": filters,
    });
    let page = center.post(QUERY, &body).await.json();
    page["conversations"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Every instant in a row.
fn instants(value: &Value, found: &mut Vec<Timestamp>) {
    match value {
        Value::String(text) => found.extend(text.parse::<Timestamp>().ok()),
        Value::Array(values) => values.iter().for_each(|value| instants(value, found)),
        Value::Object(values) => values.values().for_each(|value| instants(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_to_come_is_not_told() {
    let center = at_noon(Settings {
        speed: 1.0,
        ..settings()
    })
    .await;
    let organization = center.simulator.organization();
    let before = ms(&center);
    let rows = around_noon(&center, json!([])).await;
    let after = ms(&center);
    assert!(center.simulator.now() < NOON.parse::<Timestamp>().unwrap() + Duration::from_secs(60));
    let mut going_on = 0;
    for row in &rows {
        let id = row["conversationId"].as_str().unwrap();
        let conversation = organization.find(id).unwrap();
        assert!(conversation.start <= after);
        let ended = row.get("conversationEnd").is_some();
        assert!(!ended || conversation.end <= after);
        assert!(ended || conversation.end > before);
        going_on += u32::from(!ended);
        let mut told = Vec::new();
        instants(row, &mut told);
        assert!(
            told.iter()
                .all(|told| told.as_millisecond() as u64 <= after),
            "{row}"
        );
    }
    assert!(
        going_on > 0 && going_on < rows.len() as u32,
        "{going_on} of {}",
        rows.len()
    );
    let ended = json!([{ "type": "and", "predicates": [
        { "type": "dimension", "dimension": "conversationEnd", "operator": "exists" }] }]);
    for row in around_noon(&center, ended).await {
        assert!(row["conversationEnd"].is_string());
    }
    // The next one has not begun: it cannot be requested.
    let next = (0..20_000)
        .map(|index| organization.conversation(index))
        .find(|conversation| {
            conversation.start > after + 2000 && !conversation.recordings.is_empty()
        })
        .unwrap();
    assert!(center.results(next.index..next.index + 1).await.is_empty());
}

#[tokio::test]
async fn following_the_clock_finds_every_conversation() {
    let center = at_noon(Settings {
        speed: 300.0,
        ..settings()
    })
    .await;
    let organization = center.simulator.organization();
    let mut seen = std::collections::BTreeSet::new();
    let noon = NOON.parse::<Timestamp>().unwrap().as_millisecond() as u64;
    let mut hits = std::collections::BTreeSet::new();
    while ms(&center) < noon + 300_000 {
        for number in 1..=2 {
            let body = json!({
                "interval": "2026-01-05T12:00:00Z/2026-01-05T12:04:00Z",
                "paging": { "pageSize": 100, "pageNumber": number },
            });
            let page = center.post(QUERY, &body).await.json();
            hits.insert(page["totalHits"].as_u64().unwrap());
            for row in page["conversations"].as_array().into_iter().flatten() {
                seen.insert(row["conversationId"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(
        hits.len() > 10,
        "the hits grow while the clock runs: {hits:?}"
    );
    let all = (0..20_000)
        .map(|index| organization.conversation(index))
        .filter(|c| (noon..noon + 240_000).contains(&c.start));
    for conversation in all {
        assert!(seen.contains(&conversation.id));
    }
}

#[tokio::test]
async fn late_recordings_are_announced_or_not_and_come_in_the_end() {
    // An hour is 1.2 s.
    let center = at_noon(Settings {
        speed: 3000.0,
        late: 1.0,
        archived: 0.0,
        deleted: 0.0,
        uploading: 0.0,
        token_lifetime: Duration::from_secs(172_800),
        ..settings()
    })
    .await;
    let organization = center.simulator.organization();
    // The calls that ended last before now.
    let mut calls = 0;
    let (mut told, mut silent) = (0, 0);
    for index in (9_900..10_000).rev() {
        let conversation = organization.conversation(index);
        let Some(recording) = conversation.recordings.first() else {
            continue;
        };
        calls += 1;
        let before = ms(&center);
        let rows = center.results(index..index + 1).await;
        let after = ms(&center);
        let row = rows.iter().find(|row| row["recordingId"] == *recording.id);
        // The job was submitted at some time in between.
        let given = [recording.given(before), recording.given(after)];
        match row {
            None => {
                assert!(given.contains(&Given::Nothing), "{recording:?}");
                silent += u32::from(recording.state == State::Late { listed: false });
            }
            Some(row) => match row["errorMsg"].as_str() {
                Some(message) => {
                    let same =
                        |given: &Given| matches!(given, Given::Error(known) if *known == message);
                    assert!(given.iter().any(same), "{recording:?}");
                    told += 1;
                }
                None => assert!(given.contains(&Given::Files), "{recording:?}"),
            },
        }
        if calls == 15 {
            break;
        }
    }
    assert!(told > 2 && silent > 2, "{told} and {silent}");
    let settled = (9_900..10_000).map(|index| organization.conversation(index).settled());
    let settled = settled.max().unwrap();
    while ms(&center) < settled {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let rows = center.results(9_900..10_000).await;
    let files: u32 = (9_900..10_000)
        .flat_map(|index| organization.conversation(index).recordings)
        .inspect(|recording| assert!(recording.obtainable().unwrap() <= settled))
        .map(|recording| recording.kind.parts())
        .sum();
    assert_eq!(rows.len() as u32, files);
    let url = rows[0]["resultUrl"].as_str().unwrap();
    assert!(Exchange::new("GET", url, "", "").await.complete());
}

#[tokio::test]
async fn sensitive_recordings_are_left_out_silently() {
    let center = Harness::start(Settings {
        sensitive: 0.5,
        ..settings()
    })
    .await;
    let rows = center.results(0..100).await;
    let organization = center.simulator.organization();
    let mut left_out = 0;
    for conversation in (0..100).map(|index| organization.conversation(index)) {
        for recording in &conversation.recordings {
            let told = rows.iter().any(|row| row["recordingId"] == *recording.id);
            let sensitive = recording.state == State::Sensitive;
            assert_eq!(told, !sensitive, "{recording:?}");
            left_out += u32::from(sensitive);
            if sensitive {
                assert_eq!(recording.obtainable(), None);
            }
        }
    }
    assert!(left_out > 20, "{left_out}");
}
