//! Recordings: formats and channels, what their metadata contain, what is unavailable and why.

use std::collections::{BTreeMap, BTreeSet};

use genesys_cloud::GenesysCloud;
use genesys_simulator::{MediaType, RecordingKind, Settings, State};
use recording_source_sdk::{
    ArtifactKey, Container, Event, Method, OutcomeResult, Response, SourceError, TestDriver, Update,
};
use serde_json::{Value, json};

use crate::drive::{Harness, fast};

fn settings() -> Settings {
    Settings {
        conversations: 400,
        ..fast()
    }
}

/// Artifacts by recording: content type and container of each part.
fn parts(drive: &TestDriver) -> BTreeMap<&str, Vec<(Option<&str>, &Container)>> {
    let mut parts = BTreeMap::<&str, BTreeMap<u32, (Option<&str>, &Container)>>::new();
    for artifact in &drive.artifacts {
        if let ArtifactKey::Recording(key) = &artifact.key {
            let file = (artifact.content_type.as_deref(), &artifact.container);
            parts
                .entry(&key.recording)
                .or_default()
                .insert(key.part, file);
        }
    }
    let parts = parts.into_iter();
    parts
        .map(|(id, parts)| (id, parts.into_values().collect()))
        .collect()
}

fn outcomes(drive: &TestDriver) -> BTreeMap<&str, &OutcomeResult> {
    let outcomes = drive.outcomes.iter();
    let all: BTreeMap<_, _> = outcomes
        .map(|one| (one.conversation.as_str(), &one.result))
        .collect();
    assert_eq!(
        all.len(),
        drive.outcomes.len(),
        "a conversation has two outcomes"
    );
    all
}

/// The codes of what a conversation lacks.
fn codes(result: &OutcomeResult) -> Vec<&str> {
    match result {
        OutcomeResult::Failed(failure) => vec![&failure.code],
        OutcomeResult::HandedOver(handed) => {
            let missing = handed.missing.iter();
            missing.map(|one| one.failure.code.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

/// The attributes reported for each recording.
fn updates(drive: &TestDriver) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let mut updates = BTreeMap::<&str, BTreeMap<&str, &str>>::new();
    for update in &drive.updates {
        if let Update::Recording(about) = update {
            // What comes later of a recording is added to what is known.
            let known = updates.entry(about.recording.as_str()).or_default();
            let pairs = about.attributes.iter();
            known.extend(pairs.map(|(name, value)| (name.as_str(), value.as_str())));
        }
    }
    updates
}

#[tokio::test(flavor = "multi_thread")]
async fn each_format_comes_merged_or_by_channel_and_digital_recordings_in_their_own() {
    for (format, content_type, id) in [
        ("wav", "audio/wav", "WAV"),
        ("mp3", "audio/mpeg", "MP3"),
        ("ogg", "audio/ogg", "OGG_OPUS"),
        ("webm", "audio/webm", "WEBM"),
    ] {
        for (channels, files) in [("merged", 1), ("split", 2)] {
            let mut center = Harness::start(Settings {
                conversations: 150,
                ..settings()
            })
            .await;
            let drive = center
                .export(json!({ "format": format, "channels": channels, "poll_seconds": 1 }))
                .unwrap();
            assert_eq!(outcomes(&drive).len(), 150);
            let organization = center.organization();
            let parts = parts(&drive);
            let mut seen = BTreeSet::new();
            for conversation in (0..150).map(|index| organization.conversation(index)) {
                for recording in &conversation.recordings {
                    let Some(given) = parts.get(recording.id.as_str()) else {
                        assert_ne!(recording.state, State::Available);
                        continue;
                    };
                    let (kind, count) = match (recording.kind, conversation.media) {
                        (RecordingKind::Screen(count), _) => ("video/webm", count as usize),
                        (_, MediaType::Email) => ("message/rfc822", 1),
                        (_, MediaType::Chat | MediaType::Message) => ("application/zip", 1),
                        _ => (content_type, files),
                    };
                    seen.insert(kind);
                    assert_eq!(given.len(), count, "{recording:?}");
                    let zip = kind == "application/zip";
                    for (content_type, container) in given {
                        assert_eq!(*content_type, Some(kind));
                        assert_eq!(matches!(container, Container::Zip), zip);
                    }
                }
            }
            assert!(seen.contains(content_type) && seen.contains("message/rfc822"));
            assert_eq!(center.asked(Method::Post, "recording/batchrequests"), 0);
            let audio = center.traffic.iter().map(|one| one.request.url.as_str());
            let audio = audio.filter(|url| url.contains("formatId") && !url.contains("FormatId="));
            let download = format!("download={}", channels == "merged");
            let right = |url: &str| {
                url.contains(&format!("formatId={id}&{download}")) || url.contains("formatId=WEBM")
            };
            assert!(audio.clone().count() > 100 && audio.clone().all(right));
            // A link is one: what it points to is available.
            let artifact = &drive.artifacts[0];
            let answer = reqwest::get(&artifact.download.url).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_never_ready_ends_by_its_time_and_delays_no_other() {
    let mut center = Harness::start(Settings {
        conversations: 30,
        transcode_time: std::time::Duration::from_secs(1 << 40),
        ..settings()
    })
    .await;
    let drive = center
        .export(json!({ "format": "mp3", "job_timeout_seconds": 600 }))
        .unwrap();
    let organization = center.organization();
    let outcomes = outcomes(&drive);
    for conversation in (0..30).map(|index| organization.conversation(index)) {
        let codes = codes(outcomes[conversation.id.as_str()]);
        for (recording, code) in conversation.recordings.iter().zip(codes) {
            if recording.state == State::Available && conversation.media == MediaType::Voice {
                assert_eq!(code, "transcode-timeout");
            }
        }
    }
    assert!(
        drive
            .artifacts
            .iter()
            .any(|one| one.content_type.as_deref() == Some("application/zip"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_links_of_one_format_are_obtained_anew_one_by_one() {
    let mut center = Harness::start(Settings {
        conversations: 20,
        ..settings()
    })
    .await;
    let options = json!({ "format": "wav" });
    let mut drive = center.export(options).unwrap();
    let artifact = drive.artifacts[0].clone();
    let ArtifactKey::Recording(key) = artifact.key.clone() else {
        panic!("not a recording");
    };
    let has = |split: &&recording_source_sdk::Split| {
        let state = String::from_utf8_lossy(&split.state.data).into_owned();
        split.kind == "recording" && state.contains(&key.recording)
    };
    let split = drive.done.iter().find(has).unwrap().clone();
    drive.artifacts.clear();
    let (asked, settled) = (center.traffic.len(), drive.outcomes.len());
    let event = Event::Refresh(vec![artifact.key.clone()]);
    drive
        .finish::<GenesysCloud>(split, event, &mut |request, _| center.answer(request))
        .unwrap();
    assert_eq!(drive.artifacts.len(), 1);
    assert_eq!(drive.artifacts[0].key, artifact.key);
    assert_eq!(center.traffic.len(), asked + 1);
    assert_eq!(drive.outcomes.len(), settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metadata_of_recordings_tell_legs_agents_states_and_annotations() {
    for extra in [json!({}), json!({ "format": "mp3" })] {
        let mut center = Harness::start(settings()).await;
        let mut options = extra;
        options["recording_metadata"] = json!(true);
        let drive = center.export(options.clone()).unwrap();
        let organization = center.organization();
        let updates = updates(&drive);
        let (mut subtypes, mut annotated, mut both) = (BTreeSet::new(), 0, 0);
        for found in &drive.conversations {
            let conversation = organization.find(&found.id).unwrap();
            let agents: Vec<String> = conversation
                .agents
                .iter()
                .map(|agent| organization.agent_id(*agent))
                .collect();
            for recording in &conversation.recordings {
                let about = &updates[recording.id.as_str()];
                subtypes.extend(about.get("recording.media_subtype").copied());
                // The customer's leg is with all agents; others are the first one's own.
                let theirs = match recording.number {
                    0 => agents.join(","),
                    _ => agents[0].clone(),
                };
                both += usize::from(theirs.contains(','));
                assert_eq!(about["recording.agent_ids"], theirs);
                let state = match recording.state {
                    State::Archived => "ARCHIVED",
                    State::Deleted => "DELETED",
                    State::Uploading => "UPLOADING",
                    _ => "AVAILABLE",
                };
                assert_eq!(about["recording.file_state"], state);
                if let Some(text) = about.get("recording.annotations") {
                    let list: Value = serde_json::from_str(text).unwrap();
                    assert_eq!(list[0]["reason"], "Hold");
                    assert_eq!(about["recording.annotation_count"], "1");
                    annotated += 1;
                }
            }
        }
        for subtype in ["Trunk", "Station", "Consult", "Screen"] {
            assert!(subtypes.contains(subtype), "{subtype}");
        }
        assert!(annotated > 10 && both > 5);
        // One call for each conversation that is fetched, and one for each group.
        let asked = drive.conversations.len() - never_fetched(&drive);
        let calls = center.asked(Method::Get, "conversations/");
        let single = center
            .traffic
            .iter()
            .filter(|one| one.path().contains("/recordings/"));
        assert_eq!(calls - single.count(), asked, "{options}");
    }
}

/// Conversations whose outcome was clear when they were found.
fn never_fetched(drive: &TestDriver) -> usize {
    let clear = |id: &str| {
        let found = drive.conversations.iter().find(|one| one.id == id).unwrap();
        !found.recorded && found.media_types == ["voice"]
    };
    drive
        .outcomes
        .iter()
        .filter(|one| clear(&one.conversation))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recording_that_cannot_be_had_is_named_with_its_reason() {
    let mut center = Harness::start(Settings {
        archived: 0.1,
        deleted: 0.1,
        uploading: 0.1,
        sensitive: 0.2,
        ..settings()
    })
    .await;
    let drive = center
        .export(json!({ "recording_metadata": true }))
        .unwrap();
    let organization = center.organization();
    let outcomes = outcomes(&drive);
    let mut seen = BTreeSet::new();
    for conversation in (0..400).map(|index| organization.conversation(index)) {
        let Some(OutcomeResult::HandedOver(handed)) = outcomes.get(conversation.id.as_str()) else {
            continue;
        };
        let missing: BTreeMap<&str, &str> = handed
            .missing
            .iter()
            .map(|one| (one.recording.as_deref().unwrap(), one.failure.code.as_str()))
            .collect();
        for recording in &conversation.recordings {
            let code = match recording.state {
                State::Archived => Some("archived"),
                State::Deleted => Some("deleted"),
                State::Uploading => Some("uploading"),
                State::Sensitive => Some("left-out"),
                _ => None,
            };
            assert_eq!(missing.get(recording.id.as_str()).copied(), code);
            seen.extend(code);
        }
    }
    let sensitive = drive.outcomes.iter().filter(|one| {
        matches!(&one.result, OutcomeResult::Failed(failure)
            if failure.code == "left-out" && failure.message.contains("viewSensitiveData"))
    });
    assert!(sensitive.count() > 20);
    assert!(
        seen.contains("archived") && seen.contains("left-out"),
        "{seen:?}"
    );
    // Nothing is restored that nobody asked to restore.
    assert_eq!(center.asked(Method::Put, ""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn annotations_take_a_permission_of_their_own_and_lack_silently_without_it() {
    for denied in ["recording:annotation:view", "recording:recording:view"] {
        let mut center = Harness::start(Settings {
            denied: vec![denied.to_owned()],
            ..settings()
        })
        .await;
        let drive = center
            .export(json!({ "recording_metadata": true }))
            .unwrap();
        let updates = updates(&drive);
        assert!(updates.len() > 10);
        let annotated = updates
            .values()
            .filter(|about| about.contains_key("recording.annotations"));
        assert_eq!(annotated.count(), 0, "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restoration_takes_a_permission_of_its_own() {
    let kinds = ["recording", "screenRecording", "snippetRecording"];
    let restore = kinds.map(|kind| format!("recording:{kind}:restore"));
    // One of the three is enough to be let in, as with all permissions of recordings.
    for (denied, allowed) in [(&restore[..], false), (&restore[..2], true)] {
        let mut center = Harness::start(Settings {
            conversations: 100,
            archived: 0.2,
            denied: denied.to_vec(),
            ..settings()
        })
        .await;
        match center.export(json!({ "restore_days": 14 })) {
            Ok(_) => assert!(allowed),
            Err(error) => assert!(
                !allowed
                    && matches!(&error, SourceError::Forbidden(text) if text.contains("recording:recording:restore")),
                "{error:?}"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_recordings_are_restored_only_if_asked_and_keep_their_other_dates() {
    for extra in [json!({}), json!({ "format": "wav" })] {
        let mut center = Harness::start(Settings {
            conversations: 100,
            archived: 0.2,
            ..settings()
        })
        .await;
        let mut options = extra;
        options["restore_days"] = json!(14);
        let first = center.export(options.clone()).unwrap();
        let restoring = |drive: &TestDriver| -> usize {
            let codes = drive.outcomes.iter().map(|one| codes(&one.result));
            codes.flatten().filter(|code| *code == "restoring").count()
        };
        let archived = center.organization();
        let archived = (0..100)
            .flat_map(|index| archived.conversation(index).recordings)
            .filter(|one| one.state == State::Archived)
            .count();
        assert!(archived > 5);
        assert_eq!(restoring(&first), archived);
        assert_eq!(center.asked(Method::Put, "conversations/"), archived);
        for put in center
            .traffic
            .iter()
            .filter(|one| one.request.method == Method::Put)
        {
            assert_eq!(put.response.status, 200, "{:?}", put.answered());
        }
        // They come back after a while: 600 s at this speed.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let second = center.export(options).unwrap();
        assert_eq!(restoring(&second), 0);
        assert_eq!(center.asked(Method::Put, "conversations/"), archived);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_batches_below_the_documented_one_is_told_with_its_key() {
    let mut center = Harness::start(Settings {
        batches_per_minute: Some(0),
        ..settings()
    })
    .await;
    let error = center.export(json!({})).unwrap_err();
    assert!(matches!(error, SourceError::Transient(_)), "{error:?}");
    let refused = center.traffic.last().unwrap().answered();
    assert_eq!(refused["limit"]["namespace"], "recording");
    assert_eq!(refused["limit"]["value"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_rested_too_long_is_worthless_and_a_new_one_goes_on() {
    let mut center = Harness::start(Settings {
        idle_timeout: Some(std::time::Duration::from_secs(900)),
        ..settings()
    })
    .await;
    let mut last = None;
    // 900 s are 90 ms at this speed.
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    for _ in 0..2 {
        let request = recording_source_sdk::Request {
            method: Method::Get,
            url: format!("{}/api/v2/users", center.simulator.api_url()),
            headers: Vec::new(),
            body: None,
            repeatable: true,
        };
        if let Ok(Response { status, .. }) = center.answer(&request) {
            last = Some(status);
            if status == 401 {
                center.log_in().await;
            }
        }
    }
    assert_eq!(center.traffic[0].response.status, 401);
    assert_eq!(last, Some(200));
}
