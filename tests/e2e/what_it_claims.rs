//! Stored objects are what they claim to be, and one that is not costs nothing but itself.

#[path = "what_it_claims/between.rs"]
mod between;
#[path = "what_it_claims/delivery.rs"]
mod delivery;
#[path = "what_it_claims/identity.rs"]
mod identity;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use genesys_simulator::{Dialect, RecordingKind, Settings};
use recording_host_engine::verify::verify;
use recording_host_sink::{Sink, filesystem::Filesystem};
use serde_json::{Value, json};

use crate::support::{Harness, files, media, receipts};
use between::{between, unchanged};

const PAGE: &[u8] = b"<!DOCTYPE html><html><body>blocked by policy</body></html>";

/// A recording of sound that is the only one of its conversation.
struct Only {
    conversation: String,
    recording: String,
}

async fn harness(dialect: Dialect) -> Harness {
    Harness::start(Settings {
        conversations: 60,
        dialect,
        ..Settings::default()
    })
    .await
}

fn lonely(harness: &Harness) -> Vec<Only> {
    let conversations = (0..60).map(|index| harness.organization().conversation(index));
    let only = conversations.filter_map(|one| match one.recordings.as_slice() {
        [only]
            if only.obtainable().is_some()
                && matches!(only.kind, RecordingKind::Ogg | RecordingKind::Wav) =>
        {
            Some(Only {
                conversation: one.id.clone(),
                recording: only.id.clone(),
            })
        }
        _ => None,
    });
    only.collect()
}

/// The lines of receipts about conversations, by these.
fn outcomes(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Value> {
    let lines = receipts(files).into_iter();
    lines
        .filter_map(|line| Some((line["conversation_id"].as_str()?.to_owned(), line.clone())))
        .collect()
}

/// Runs the program on a configuration, and returns its exit code.
async fn run(harness: &Harness, mut config: Value) -> (Option<i32>, String) {
    let source = &mut config["sources"]["calls"];
    source["late_hours"] = json!(0);
    source["confirm_hours"] = json!(0);
    let path = harness.write(&config).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    (ran.status.code(), said)
}

async fn in_order(harness: &Harness) {
    let sink = Filesystem::new(harness.output());
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!(report.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_instead_of_recordings_is_kept_aside_and_costs_no_other_recording() {
    // Long: one scenario, told in its order.
    let harness = harness(Dialect::Cloud).await;
    let only = lonely(&harness);
    let bad: Vec<(&[u8], &str, &str)> = vec![
        (PAGE, "text/html", "html"),
        (
            b"{\"message\":\"quota exceeded\",\"status\":429}",
            "application/json",
            "json",
        ),
        (
            b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>",
            "application/xml",
            "xml",
        ),
        (
            b"upstream connect error or disconnect/reset before headers",
            "text/plain",
            "txt",
        ),
        (b"RIFF\x24\x0c\0\0WAVEfmt \x10\0\0\0", "audio/wav", "wav"),
        (b"", "audio/wav", ""),
    ];
    let (stranger, no_url) = (&only[bad.len()], &only[bad.len() + 1]);
    let served: BTreeMap<String, (Vec<u8>, String)> = only
        .iter()
        .zip(&bad)
        .map(|(one, (body, kind, _))| (one.recording.clone(), (body.to_vec(), (*kind).to_owned())))
        .collect();
    let media_of = move |path: &str| {
        let id = path.split('/').nth(3)?;
        served.get(id).cloned()
    };
    let strange = [
        (stranger.recording.clone(), "https://cdn.example.net"),
        (no_url.recording.clone(), "ftp://media.example.net"),
    ];
    let edit = move |answer: String, url: &str| {
        strange.iter().fold(answer, |answer, (id, origin)| {
            let links = answer.split(url).map(str::to_owned);
            let joined = links.reduce(|before, after| {
                let of_it = after
                    .split('"')
                    .next()
                    .is_some_and(|link| link.contains(id));
                let origin = if of_it { origin } else { url };
                before + origin + &after
            });
            joined.unwrap_or_default()
        })
    };
    let config = between(&harness, media_of, edit).await;
    let (code, said) = run(&harness, config).await;
    assert_eq!(code, Some(3), "{said}");

    let found = files(&harness.output());
    let outcomes = outcomes(&found);
    assert_eq!(outcomes.len(), 60);
    for (one, (body, _, extension)) in only.iter().zip(&bad) {
        let outcome = &outcomes[&one.conversation];
        assert_eq!(outcome["outcome"], "failed", "{outcome}");
        let (code, kept) = match body.is_empty() {
            true => ("empty", None),
            false => ("not-a-recording", Some(*body)),
        };
        assert_eq!(outcome["code"], code, "{outcome}");
        let key = format!("aside/{}/{}.{extension}", one.conversation, one.recording);
        assert_eq!(found.get(&key).map(Vec::as_slice), kept, "{key}");
        let message = outcome["message"].as_str().unwrap();
        assert_eq!(message.contains(&key), kept.is_some(), "{message}");
        assert!(!media(&found).keys().any(|key| key.contains(&one.recording)));
    }
    let refused = &outcomes[&stranger.conversation];
    assert_eq!(refused["code"], "origin-not-allowed", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("https://cdn.example.net ") && message.contains("`media_origins`"));
    assert!(
        !message.contains('?') && !said.contains("Signature"),
        "{message}"
    );
    assert_eq!(outcomes[&no_url.conversation]["code"], "bad-link");
    for one in &only[bad.len() + 2..] {
        assert_eq!(outcomes[&one.conversation]["outcome"], "stored");
    }
    in_order(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_gives_way_to_the_recording_is_no_loss() {
    let harness = harness(Dialect::Cloud).await;
    let id = lonely(&harness).remove(0).recording;
    let left = Arc::new(AtomicUsize::new(5));
    let pages = Arc::clone(&left);
    let media_of = move |path: &str| {
        let more = |left: usize| left.checked_sub(1);
        let of_it = path.contains(&id);
        (of_it
            && pages
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, more)
                .is_ok())
        .then(|| (PAGE.to_vec(), "text/html".to_owned()))
    };
    let config = between(&harness, media_of, unchanged).await;
    let (code, said) = run(&harness, config).await;
    assert_eq!(left.load(Ordering::SeqCst), 0);
    let found = files(&harness.output());
    assert!(!found.keys().any(|key| key.starts_with("aside/")));
    let lost = outcomes(&found)
        .into_values()
        .filter(|line| line["code"] == "not-a-recording");
    assert_eq!(lost.count(), 0, "{code:?} {said}");
    in_order(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_instead_of_a_bundle_costs_the_recordings_in_it_and_is_no_archive() {
    let harness = harness(Dialect::Guide).await;
    let media_of = |path: &str| {
        path.starts_with("/bundles/")
            .then(|| (PAGE.to_vec(), "application/zip".to_owned()))
    };
    let config = between(&harness, media_of, unchanged).await;
    let (code, said) = run(&harness, config).await;
    assert_eq!(code, Some(3), "{said}");
    let found = files(&harness.output());
    let outcomes = outcomes(&found);
    for one in lonely(&harness) {
        let outcome = &outcomes[&one.conversation];
        assert_eq!(
            (&outcome["outcome"], &outcome["code"]),
            (&json!("failed"), &json!("not-a-recording"))
        );
    }
    assert!(
        !found
            .keys()
            .any(|key| key.starts_with("bundles/") || key.starts_with("recordings/"))
    );
    assert!(
        found
            .iter()
            .any(|(key, data)| key.starts_with("aside/") && data == PAGE)
    );
    in_order(&harness).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_behind_another_link_are_the_same_file() {
    let harness = harness(Dialect::Cloud).await;
    let only = lonely(&harness);
    let id = only[0].conversation.clone();
    let copied = id.clone();
    let edit = move |answer: String, url: &str| {
        let Ok(mut value) = serde_json::from_str::<Value>(&answer) else {
            return answer;
        };
        let Some(results) = value["results"].as_array_mut() else {
            return answer;
        };
        let copies: Vec<Value> = results
            .iter()
            .filter(|row| row["conversationId"] == *copied)
            .filter_map(|row| {
                let link = row["resultUrl"].as_str()?.strip_prefix(url)?;
                let mut copy = row.clone();
                copy["resultUrl"] = json!(format!("{url}/copy{link}"));
                Some(copy)
            })
            .collect();
        results.extend(copies);
        value.to_string()
    };
    let copies = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&copies);
    let media_of = move |path: &str| {
        seen.fetch_add(usize::from(path.starts_with("/copy/")), Ordering::SeqCst);
        None
    };
    let config = between(&harness, media_of, edit).await;
    let (_, said) = run(&harness, config).await;
    assert!(copies.load(Ordering::SeqCst) > 0, "{said}");
    let found = files(&harness.output());
    let of_it = media(&found).into_keys().filter(|key| key.contains(&id));
    assert_eq!(of_it.count(), 1, "{said}");
    let outcome = &outcomes(&found)[&id];
    assert_eq!(outcome["outcome"], "stored");
    assert_eq!(
        outcome["objects"].as_array().map(Vec::len),
        Some(1),
        "{outcome}"
    );
    let rows = crate::support::rows(&found);
    let rows = rows.iter().filter(|row| row["conversation_id"] == *id);
    assert_eq!(rows.count(), 1);
    in_order(&harness).await;
}
