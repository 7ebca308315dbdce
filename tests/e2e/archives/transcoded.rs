//! Recordings in an archive are transcoded alike, and nothing of them is lost if that is impossible.

use std::collections::BTreeMap;

use recording_host_model::{Outcome, layout::Layout};
use recording_host_transcode::TranscodeSettings;
use serde_json::{Value, json};

use super::{
    delivery::{Want, deliver, recording},
    forge::{Forge, Forged},
};

const TALK: &[u8] = include_bytes!("../../fixtures/transcode/celt.opus");

#[tokio::test]
async fn an_archive_whose_audio_cannot_all_be_transcoded_loses_none_of_it_in_any_layout() {
    let cut = &TALK[..TALK.len() - 9];
    let entries = [("cut.ogg", cut), ("one.ogg", TALK), ("same.ogg", TALK)];
    let mut forge = Forge::of(entries.map(|(name, data)| Forged::deflated(name, data)));
    // Whatever is made of `same.ogg` may not take the place of these.
    for (name, data) in [("same.wav", &b"notes"[..]), ("picture.png", b"png")] {
        forge.entries.push(Forged::stored(name, data));
    }
    let settings = json!({ "to": "wav", "original": "drop" });
    let settings: TranscodeSettings = serde_json::from_value(settings).unwrap();
    let own = "calls/{direction}/{conversation}.{recording}{part}.{ext}";
    for (layout, stem) in [
        (Layout::default(), "recordings/2026/01/01/c1/r1/"),
        (Layout::flat(), "recordings/c1_r1_"),
        (
            Layout::hive("o").unwrap(),
            "o/year=2026/month=1/day=1/hour=0/conversation_id=c1/r1/",
        ),
        (Layout::template(own).unwrap(), "calls/none/c1.r1/"),
    ] {
        let want = Want {
            layout,
            transcode: Some(settings.clone()),
            ..Want::default()
        };
        let arrived = deliver(recording(), vec![forge.bytes()], want).await;
        let found: Vec<&str> = arrived.files.keys().map(String::as_str).collect();
        let names = ["cut.ogg", "one.wav", "picture.png", "same.ogg", "same.wav"];
        assert_eq!(found, names.map(|name| format!("{stem}{name}")));
        assert_eq!(arrived.files[&format!("{stem}cut.ogg")], cut);
        let conversation = &arrived.completed["c1"];
        assert_eq!(conversation.outcome, Outcome::Stored, "nothing is lost");
        let told: BTreeMap<&str, Value> = conversation
            .objects_in("lake")
            .iter()
            .map(|object| {
                let key = object.key.strip_prefix(stem).unwrap();
                (key, json!([object.content_type, object.note]))
            })
            .collect();
        assert_eq!(told["one.wav"], json!(["audio/wav", null]));
        let note = |key: &str| told[key][1].as_str().unwrap().to_owned();
        assert!(note("cut.ogg").starts_with("not-transcoded: the audio is damaged: "));
        let other = format!("not-transcoded: {stem}same.wav is another file's name");
        assert_eq!(note("same.ogg"), other);
        // The one that is called a WAV is none, and comes as it is.
        assert!(note("same.wav").starts_with("not-transcoded: it is neither WAV"));
    }
}
