//! Everything that the contact center holds arrives, with its metadata, and the sums agree.

use std::collections::BTreeMap;

use genesys_simulator::{Conversation, MediaType, Organization, RecordingKind, Settings, State};
use serde_json::{Value, json};

use crate::support::{Harness, export, files, media, receipts, rows, run_program, sha256};

const CONVERSATIONS: u64 = 400;

/// The expected outcome of a conversation.
fn expected(conversation: &Conversation) -> &'static str {
    let asked = conversation.flagged || conversation.media != MediaType::Voice;
    let lacking = conversation
        .recordings
        .iter()
        .any(|recording| recording.state != State::Available);
    let available = conversation
        .recordings
        .iter()
        .any(|recording| recording.state == State::Available);
    match (asked, available, lacking) {
        (true, true, false) => "stored",
        (true, true, true) => "partial",
        (true, false, true) => "failed",
        // The vendor reports a recording and returns no file.
        _ if conversation.flagged && conversation.media == MediaType::Voice => "failed",
        _ => "no-recording",
    }
}

fn conversations(organization: &Organization) -> impl Iterator<Item = Conversation> {
    (0..organization.conversations()).map(|index| organization.conversation(index))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_exports_what_the_contact_center_holds() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let path = output.display().to_string();
    let count = CONVERSATIONS.to_string();
    let arguments = [
        "demo",
        "--json",
        "--conversations",
        &count,
        "--output",
        &path,
    ];
    let ran = run_program(&arguments).await;
    // There are losses, as the exit code says: the contact center has archived and deleted recordings.
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();

    let organization = Organization::new(Settings {
        conversations: CONVERSATIONS,
        ..Settings::default()
    });
    let mut outcomes = BTreeMap::<&str, u64>::new();
    for conversation in conversations(&organization) {
        *outcomes.entry(expected(&conversation)).or_default() += 1;
    }
    assert_eq!(summary["conversations"], CONVERSATIONS);
    assert_eq!(summary["outcomes"], json!(outcomes));

    let files = files(&output);
    let media = media(&files);
    assert_eq!(summary["recordings"], media.len());
    let bytes: u64 = media.values().map(|(size, _)| size).sum();
    assert_eq!(summary["bytes"], bytes);
    assert_eq!(summary["refused"], 0);
    assert_eq!(summary["simulator"]["rejected"], 0);

    let config = summary["config"].as_str().unwrap();
    let verified = run_program(&["verify", "--full", "--config", config]).await;
    assert!(verified.status.success(), "{verified:?}");
    // The one that a user reads says that the losses are part of it, and what to try next.
    let ran = run_program(&["demo", "--conversations", &count, "--output", &path]).await;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("the losses are simulated"), "{said}");
    assert!(
        said.contains(&format!("verify --full --config {config}")),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_recording_has_its_file_its_row_and_its_receipt() {
    // Long: one scenario, told in its order.
    let harness = Harness::start(Settings {
        conversations: CONVERSATIONS,
        seed: 5,
        ..Settings::default()
    })
    .await;
    export(harness.config()).await;
    let files = files(&harness.output());
    let media = media(&files);
    let organization = harness.organization();

    let mut by_recording = BTreeMap::<(String, String), Vec<Value>>::new();
    for row in rows(&files) {
        let conversation = organization
            .find(row["conversation_id"].as_str().unwrap())
            .unwrap();
        about_the_conversation(organization, &conversation, &row);
        if let Some(key) = row["object_key"].as_str() {
            let (size, sha256) = &media[key];
            assert_eq!(row["size_bytes"], *size);
            assert_eq!(row["sha256"], **sha256);
        }
        let recording = row["recording_id"].as_str().unwrap_or_default().to_owned();
        by_recording
            .entry((conversation.id, recording))
            .or_default()
            .push(row);
    }
    let mut keys = 0;
    for conversation in conversations(organization) {
        let available = conversation
            .recordings
            .iter()
            .filter(|recording| recording.state == State::Available);
        let mut any = false;
        for recording in available {
            any = true;
            let rows = &by_recording[&(conversation.id.clone(), recording.id.clone())];
            keys += rows.len();
            if recording.kind != RecordingKind::Transcript {
                assert_eq!(rows.len(), recording.kind.parts() as usize);
            }
            for row in rows {
                let key = row["object_key"].as_str().unwrap();
                plays(recording.kind, recording.duration_ms, &files[key]);
            }
        }
        if !any {
            let rows = &by_recording[&(conversation.id.clone(), String::new())];
            assert_eq!(rows.len(), 1);
        }
    }
    assert_eq!(keys, media.len(), "an object without a row");

    let mut outcomes = BTreeMap::new();
    for receipt in receipts(&files) {
        let Some(id) = receipt["conversation_id"].as_str() else {
            continue;
        };
        let outcome = receipt["outcome"].as_str().unwrap().to_owned();
        assert_eq!(outcomes.insert(id.to_owned(), outcome), None, "{id}");
    }
    assert_eq!(outcomes.len() as u64, CONVERSATIONS);
    for conversation in conversations(organization) {
        assert_eq!(
            outcomes[&conversation.id],
            expected(&conversation),
            "{conversation:?}"
        );
    }
}

fn about_the_conversation(organization: &Organization, conversation: &Conversation, row: &Value) {
    let (ani, dnis) = if conversation.inbound {
        (&conversation.customer, &conversation.center)
    } else {
        (&conversation.center, &conversation.customer)
    };
    assert_eq!(row["ani"], **ani);
    assert_eq!(row["dnis"], **dnis);
    assert_eq!(row["duration_ms"], conversation.end - conversation.start);
    assert_eq!(row["media_types"][0], conversation.media.name());
    assert_eq!(row["tags"], json!(conversation.tags));
    let names: Vec<String> = conversation
        .agents
        .iter()
        .map(|agent| organization.agent_name(*agent))
        .collect();
    let agents = row["agents"].as_array().unwrap();
    let theirs: Vec<&str> = agents.iter().filter_map(|a| a["name"].as_str()).collect();
    assert_eq!(theirs, names);
}

/// The file is of its kind, and as long as the recording was.
fn plays(kind: RecordingKind, duration_ms: u64, data: &[u8]) {
    match kind {
        RecordingKind::Wav => {
            assert_eq!(&data[..4], b"RIFF");
            assert_eq!(&data[8..16], b"WAVEfmt ");
            let announced = u32::from_le_bytes(data[40..44].try_into().unwrap());
            assert_eq!(announced as usize, data.len() - 44);
            // 8000 samples a second, 2 channels of 16 bits.
            assert_eq!(u64::from(announced) / 32, duration_ms);
        }
        RecordingKind::Ogg => {
            assert_eq!(&data[..4], b"OggS");
            let last = data
                .windows(4)
                .rposition(|window| window == b"OggS")
                .unwrap();
            let end = u64::from_le_bytes(data[last + 6..last + 14].try_into().unwrap());
            // 48 samples a millisecond, in packets of 20 ms.
            assert_eq!(end / 48, duration_ms.div_ceil(20) * 20);
            assert_eq!(data[last + 5], 4, "the last page ends the stream");
        }
        RecordingKind::Mp3 => assert_eq!(data[0], 0xff),
        RecordingKind::Screen(_) => assert_eq!(&data[..4], &[0x1a, 0x45, 0xdf, 0xa3]),
        RecordingKind::Json => {
            let transcript: Value = serde_json::from_slice(data).unwrap();
            assert!(transcript["messages"].is_array());
        }
        RecordingKind::Transcript => assert!(!data.is_empty() && !sha256(data).is_empty()),
    }
}
