//! The details in the index of a bundle about a recording stand in its row.

use recording_host_engine::transfer::ArchiveMode;
use recording_host_metadata::{RowSettings, Writer};
use recording_host_model::layout::Layout;
use serde_json::{Value, json};

use super::{
    delivery::{Arrived, Want, bundle, deliver, index, listed},
    forge::{Forge, Forged},
};
use crate::support::with_nulls;

/// The rows of a conversation.
fn rows(arrived: &Arrived, conversation: &str) -> Vec<Value> {
    let mut writer = Writer::new(RowSettings::default(), Vec::new()).unwrap();
    writer
        .write(&arrived.completed[conversation], "lake")
        .unwrap();
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    text.lines()
        .map(|line| with_nulls(serde_json::from_str(line).unwrap()))
        .collect()
}

fn with(mut listed: Value, further: Value) -> Value {
    let object = listed.as_object_mut().unwrap();
    object.extend(further.as_object().unwrap().clone());
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_index_tells_fills_empty_columns_and_else_becomes_attributes() {
    let zip = Forge::of([
        Forged::stored("r1.wav", "one"),
        Forged::stored("r2.wav", "two"),
        Forged::stored(
            "r3.zip",
            Forge::of([Forged::stored("chat.txt", "hello")]).bytes(),
        ),
        index(json!([
            with(
                listed("c1", "r1", "r1.wav"),
                json!({ "ani": "tel:+49", "agentName": "Ann", "tags": ["vip", "new"], "durationMs": 1200,
                    "dnis": "tel:+1", "nothing": null })
            ),
            with(listed("c1", "r2", "r2.wav"), json!({ "agentName": "Bob" })),
            with(
                listed("c3", "r3", "r3.zip"),
                json!({ "contentType": "application/zip", "skill": "chat" })
            ),
        ])),
    ]);
    for how in [ArchiveMode::Unpack, ArchiveMode::Keep] {
        let result = deliver(bundle(), vec![zip.bytes()], how).await;
        let mut of_c1 = rows(&result, "c1");
        of_c1.sort_by_key(|row| row["recording_id"].to_string());
        let [one, two] = &of_c1[..] else {
            panic!("{of_c1:?}");
        };
        assert_eq!(one["ani"], "tel:+49");
        assert_eq!(one["agents"], json!([{ "id": "", "name": "Ann" }]));
        assert_eq!(one["tags"], json!(["vip", "new"]));
        // The test's source does not say what `dnis` means.
        let attributes = json!({ "dnis": "tel:+1", "durationMs": "1200" });
        assert_eq!(one["attributes"], attributes);
        assert_eq!(two["agents"], json!([{ "id": "", "name": "Bob" }]));
        assert_eq!(
            (&two["ani"], &two["attributes"]),
            (&Value::Null, &json!({}))
        );
        let of_c3 = rows(&result, "c3");
        assert_eq!(of_c3[0]["attributes"], json!({ "skill": "chat" }));
        assert_eq!(of_c3[0]["recording_id"], "r3");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_which_nobody_tells_the_id_has_none_in_its_row() {
    let unlisted = Forge::of([Forged::stored("r1.wav", "one")]).bytes();
    let result = deliver(bundle(), vec![unlisted], ArchiveMode::Unpack).await;
    let row = &rows(&result, "c1")[0];
    assert_eq!(row["object_key"], "bundles/b1.zip");
    assert_eq!(row["recording_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_an_archive_have_a_place_in_each_layout() {
    let chat = Forge::of([
        Forged::stored("a.txt", "hello"),
        Forged::stored("a.txt_metadata.json", "{}"),
    ]);
    let zip = Forge::of([
        Forged::stored("r1.wav", "one"),
        Forged::stored("r3.zip", chat.bytes()),
        index(json!([
            listed("c1", "r1", "r1.wav"),
            with(
                listed("c3", "r3", "r3.zip"),
                json!({ "contentType": "application/zip" })
            ),
        ])),
    ]);
    let hive = "o-1/year=2026/month=1/day=1/hour=0/conversation_id=";
    let own = "a/{queue}/{conversation}/{recording}{part}.{ext}";
    for (layout, keys) in [
        (
            Layout::hive("o-1").unwrap(),
            [
                format!("{hive}c1/r1.wav"),
                format!("{hive}c3/r3/a.txt"),
                format!("{hive}c3/r3/a.txt_metadata!.json"),
            ],
        ),
        (
            Layout::flat(),
            ["c1_r1.wav", "c3_r3_a.txt", "c3_r3_a.txt_metadata.json"]
                .map(|key| format!("recordings/{key}")),
        ),
        (
            Layout::template(own).unwrap(),
            ["c1/r1.wav", "c3/r3/a.txt", "c3/r3/a.txt_metadata.json"]
                .map(|key| format!("a/none/{key}")),
        ),
    ] {
        let want = Want {
            zip: ArchiveMode::Both,
            layout,
            ..Want::default()
        };
        let result = deliver(bundle(), vec![zip.bytes()], want).await;
        let mut expected = keys.to_vec();
        expected.push("bundles/b1.zip".to_owned());
        expected.sort();
        assert_eq!(result.files.keys().cloned().collect::<Vec<_>>(), expected);
    }
}
