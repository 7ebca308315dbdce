//! An oddity in a bundle costs no more than itself.

use recording_host_engine::transfer::ArchiveMode;
use recording_host_model::Outcome;
use serde_json::json;

use super::{
    delivery::{bundle, deliver, index, listed, recording},
    forge::{Forge, Forged},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_index_with_a_byte_that_is_no_text_or_an_object_that_is_no_json_tells_the_rest() {
    let entry = |id: &str, more: &str| {
        format!(r#"{{"conversationId":"{id}","recordingId":"r","fileName":"{id}.wav"{more}}}"#)
    };
    let with = |more: &str| {
        format!(
            "[{},{},{}]",
            entry("c1", ""),
            entry("c2", more),
            entry("c3", "")
        )
    };
    let bytes = |more: &[u8]| {
        let text = with(r#","agentName":"MARK""#).into_bytes();
        let at = text.windows(4).position(|four| four == b"MARK").unwrap();
        [&text[..at], more, &text[at + 4..]].concat()
    };
    for (document, read) in [
        (with(""), 3),
        // Half a surrogate, and a number that no number can be.
        (with(r#","agentName":"\ud83d""#), 3),
        (with(r#","n":1e999"#), 3),
        (with(r#","n":,"#), 2),
    ]
    .map(|(text, read)| (text.into_bytes(), read))
    .into_iter()
    .chain([(bytes(b"J\xf6rg"), 3), (bytes(b"two\nlines"), 3)])
    {
        let zip = Forge::of([
            Forged::stored("c1.wav", "one"),
            Forged::stored("c2.wav", "two"),
            Forged::stored("c3.wav", "three"),
            Forged::stored("metadata.json", document.clone()),
        ]);
        let result = deliver(bundle(), vec![zip.bytes()], ArchiveMode::Unpack).await;
        let shown = String::from_utf8_lossy(&document);
        let stored = result.completed.values();
        let stored = stored.filter(|one| one.outcome == Outcome::Stored);
        assert_eq!(stored.count(), read, "{shown}");
        let losses = result.completed["c2"].outcome.losses();
        let codes: Vec<&str> = losses.iter().map(|(code, _)| code.as_str()).collect();
        let expected: &[&str] = if read == 3 { &[] } else { &["unlisted-entry"] };
        assert_eq!(codes, expected, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_bundle_that_is_a_page_is_not_the_recording_that_the_index_calls_it() {
    let page = "<!DOCTYPE html><html><body>gone</body></html>";
    let zip = Forge::of([
        Forged::stored("c1.wav", page),
        Forged::stored("c2.wav", ""),
        Forged::stored("c3.html", page),
        index(json!([
            listed("c1", "r", "c1.wav"),
            listed("c2", "r", "c2.wav"),
            listed("c3", "r", "c3.html"),
        ])),
    ]);
    let result = deliver(bundle(), vec![zip.bytes()], ArchiveMode::Unpack).await;
    for id in ["c1", "c2"] {
        let completed = &result.completed[id];
        assert_eq!(completed.outcome.losses()[0].0, "not-a-recording", "{id}");
        let keys: Vec<&str> = completed
            .objects_in("lake")
            .iter()
            .map(|one| one.key.as_str())
            .collect();
        assert_eq!(keys, ["bundles/b1.zip"]);
    }
    assert_eq!(result.completed["c3"].outcome, Outcome::Stored);
    let attached = Forge::of([
        Forged::stored("voice.wav", page),
        Forged::stored("empty.mp3", ""),
    ]);
    let result = deliver(recording(), vec![attached.bytes()], ArchiveMode::Unpack).await;
    assert_eq!(result.completed["c1"].outcome, Outcome::Stored);
    assert_eq!(result.completed["c1"].objects_in("lake").len(), 2);
}
