//! The objects that sinks get from archives, sound and broken.

use recording_host_engine::transfer::ArchiveMode;
use recording_host_model::Outcome;
use recording_host_zip::QUOTA;
use serde_json::json;

use super::{
    delivery::{bundle, deliver, delivered, index, listed, recording},
    forge::{Forge, Forged},
};
use crate::support::sha256;

const FOLDER: &str = "recordings/2026/01/01/c1";

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_gets_the_zip_its_files_or_both() {
    let zip = Forge::of([
        Forged::deflated("x/chat.txt", "hello"),
        Forged::stored("y.eml", "mail"),
    ]);
    let (kept, chat, mail) = (
        format!("{FOLDER}/r1.zip"),
        format!("{FOLDER}/r1/chat.txt"),
        format!("{FOLDER}/r1/y.eml"),
    );
    for (how, expected) in [
        (ArchiveMode::Keep, vec![&kept]),
        (ArchiveMode::Unpack, vec![&chat, &mail]),
        (ArchiveMode::Both, vec![&kept, &chat, &mail]),
    ] {
        let result = deliver(recording(), vec![zip.bytes()], how).await;
        let mut expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(result.keys(), expected);
        assert_eq!(result.completed["c1"].outcome, Outcome::Stored);
        assert_eq!(result.downloads, 1);
        result.proven();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_with_an_encrypted_entry_is_kept_beside_what_could_be_unpacked() {
    let zip = Forge::of([
        Forged::deflated("open.wav", "sound"),
        Forged::deflated("locked.wav", "sound").with(|entry| entry.flags = 1),
        Forged::stored("odd.wav", "sound").with(|entry| entry.method = 12),
        Forged::stored("link", "/etc/passwd").with(|entry| entry.mode = 0o120_777),
    ]);
    let result = deliver(recording(), vec![zip.bytes()], ArchiveMode::Unpack).await;
    let open = format!("{FOLDER}/r1/open.wav");
    assert_eq!(result.keys(), [&*format!("{FOLDER}/r1.zip"), &*open]);
    assert_eq!(
        result.codes("c1"),
        ["encrypted-entry", "link-entry", "unsupported-method"]
    );
    let message = &result.missing("c1")[0].1;
    assert!(
        message.contains("locked.wav") && message.contains("r1.zip"),
        "{message}"
    );
    result.proven();
    // A sink that wants zips as they came lacks nothing.
    let kept = deliver(recording(), vec![zip.bytes()], ArchiveMode::Keep).await;
    assert_eq!(kept.completed["c1"].outcome, Outcome::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_was_damaged_is_cured_by_another() {
    let sound = Forge::of([Forged::deflated("a.wav", "sound".repeat(99))]).bytes();
    let mut flipped = sound.clone();
    flipped[40] ^= 1;
    let mut directory = sound.clone();
    let at = directory.len() - 40;
    directory[at] ^= 1;
    for bad in [flipped, directory, sound[..sound.len() - 30].to_vec()] {
        let result = deliver(recording(), vec![bad, sound.clone()], ArchiveMode::Unpack).await;
        assert_eq!((result.downloads, result.contents.objects.len()), (2, 1));
        assert_eq!(result.completed["c1"].outcome, Outcome::Stored);
        result.proven();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_broken_at_its_origin_is_kept_and_reported() {
    let sound = Forged::deflated("a.wav", "sound".repeat(99));
    let wrong = sound.clone().with(|entry| entry.crc ^= 1);
    let cases = [
        (
            Forge::of([wrong.clone(), sound.clone()]).bytes(),
            "damaged-entry",
            2,
        ),
        (
            Forge::of([sound.clone()]).bytes()[..100].to_vec(),
            "broken-archive",
            1,
        ),
        (b"no zip at all".to_vec(), "broken-archive", 1),
        (Forge::default().bytes(), "empty-archive", 1),
        (
            Forge::of([sound.clone().with(|e| e.listed = false)]).bytes(),
            "hidden-entry",
            1,
        ),
        (
            Forge::of([sound.clone().with(|e| e.there = false)]).bytes(),
            "absent-entry",
            1,
        ),
    ];
    for (zip, code, objects) in cases {
        let result = deliver(recording(), vec![zip.clone()], ArchiveMode::Unpack).await;
        assert_eq!(result.codes("c1"), [code]);
        assert_eq!(
            (result.files.len(), result.downloads),
            (objects, 2),
            "{code}"
        );
        assert_eq!(result.files[&format!("{FOLDER}/r1.zip")], zip);
        result.proven();
        // The announced digest says at once that the download is not to blame.
        let digest = Some(sha256(&zip));
        let announced = delivered(recording(), vec![zip], ArchiveMode::Unpack, true, digest);
        assert_eq!(announced.await.unwrap().downloads, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_differ_each_time_are_a_link_that_does_not_work() {
    let bodies: Vec<_> = ["a", "b", "c"].map(|text| text.as_bytes().to_vec()).into();
    let failed = delivered(recording(), bodies, ArchiveMode::Unpack, true, None).await;
    let error = failed.err().unwrap().to_string();
    assert!(error.contains("different bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zip_of_unknown_length_is_spooled_within_the_quota() {
    let noise = vec![7; 3 << 20];
    let zip = Forge::of([Forged::stored("a.wav", &noise)]).bytes();
    assert!((zip.len() as u64) < QUOTA);
    let result = delivered(recording(), vec![zip], ArchiveMode::Unpack, false, None)
        .await
        .unwrap();
    assert_eq!(result.files.values().next().unwrap(), &noise);
    assert_eq!(result.downloads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_unpacked_by_its_index() {
    let chat = Forge::of([
        Forged::deflated("chat.txt", "hello"),
        Forged::stored("a/b.txt", "file"),
    ]);
    let mut chat_line = listed("c2", "r2", "c2/r2.zip");
    chat_line["contentType"] = json!("application/zip");
    let zip = Forge::of([
        Forged::stored("c1/r1.wav", "one"),
        Forged::stored("c1/r1.wav", "two"),
        Forged::stored("c2/r2.zip", chat.bytes()),
        // A recording that is JSON is no index, whatever is in it.
        Forged::deflated(
            "c1/r3.json",
            json!([listed("c2", "stolen", "c1/r1.wav")]).to_string(),
        ),
        index(json!({ "recordings": [
            listed("c1", "r1", "./c1\\r1.wav"),
            listed("c1", "r3", "c1/r3.json"),
            chat_line,
            listed("nobody", "r9", "c1/r1.wav"),
            listed("c2", "r8", "c2/r8.wav"),
            { "conversationId": "c3", "recordingId": "r3", "errorMsg": "deleted" },
        ] })),
    ]);
    let result = deliver(bundle(), vec![zip.bytes()], ArchiveMode::Unpack).await;
    let day = "recordings/2026/01/01";
    let expected = [
        "c1/r1.1.wav",
        "c1/r1.wav",
        "c1/r3.json",
        "c2/r2/b.txt",
        "c2/r2/chat.txt",
    ];
    assert_eq!(result.keys(), expected.map(|key| format!("{day}/{key}")));
    assert_eq!(result.completed["c1"].outcome, Outcome::Stored);
    assert_eq!(result.codes("c2"), ["not-in-bundle"]);
    assert!(result.missing("c2")[0].1.contains("c2/r8.wav"));
    assert_eq!(
        result.missing("c3"),
        [("not-in-bundle".to_owned(), "deleted".to_owned())]
    );
    assert_eq!(result.downloads, 1);
    result.proven();
    let kept = deliver(bundle(), vec![zip.bytes()], ArchiveMode::Keep).await;
    assert_eq!(kept.keys(), ["bundles/b1.zip"]);
    let members = kept.completed["c2"].objects["lake"].iter();
    let members: Vec<_> = members.map(|object| object.member.as_deref()).collect();
    assert_eq!(members, [Some("c2/r2.zip")]);
    kept.proven();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaw_in_a_bundle_concerns_those_alone_whose_files_have_it() {
    let inner = Forge::of([
        Forged::stored("good.txt", "good"),
        Forged::stored("bad.txt", "bad").with(|entry| entry.crc ^= 1),
    ]);
    let mut chat = listed("c3", "r3", "r3.zip");
    chat["contentType"] = json!("application/zip");
    let zip = Forge::of([
        Forged::stored("r1.wav", "one"),
        Forged::stored("r2.wav", "two").with(|entry| entry.flags = 1),
        Forged::stored("r3.zip", inner.bytes()),
        index(json!([
            listed("c1", "r1", "r1.wav"),
            listed("c2", "r2", "r2.wav"),
            chat
        ])),
    ]);
    let result = deliver(bundle(), vec![zip.bytes()], ArchiveMode::Unpack).await;
    assert_eq!(result.completed["c1"].outcome, Outcome::Stored);
    assert_eq!(result.codes("c2"), ["encrypted-entry"]);
    assert_eq!(result.codes("c3"), ["damaged-entry"]);
    let day = "recordings/2026/01/01";
    assert!(result.files.contains_key("bundles/b1.zip"));
    assert!(result.files.contains_key(&format!("{day}/c3/r3/good.txt")));
    assert_eq!(result.files[&format!("{day}/c3/r3.zip")], inner.bytes());
    result.proven();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_bundle_is_kept_and_reported_for_each_conversation_in_it() {
    let file = || Forged::stored("r1.wav", "one");
    let damaged_index = index(json!([listed("c1", "r1", "r1.wav")])).with(|entry| entry.crc ^= 1);
    for (zip, code) in [
        (b"no zip".to_vec(), "broken-archive"),
        (Forge::of([file()]).bytes(), "unlisted-entry"),
        (Forge::of([file(), damaged_index]).bytes(), "damaged-index"),
    ] {
        let result = deliver(bundle(), vec![zip.clone()], ArchiveMode::Unpack).await;
        assert_eq!(result.files["bundles/b1.zip"], zip);
        for id in ["c1", "c2", "c3"] {
            assert_eq!(result.codes(id), [code]);
            assert_eq!(result.completed[id].objects["lake"].len(), 1);
        }
        assert_eq!(result.downloads, 2);
        result.proven();
    }
}
