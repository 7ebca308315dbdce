//! No two files have the same key, and no key leaves the prefix, whatever the ids are.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::{CompletedConversation, ConversationRecord, Object, Outcome};

const OWN: &str =
    "calls/{year}/{month}/{day}/{hour}/{queue}/{direction}/{conversation}/{recording}{part}.{ext}";

fn about() -> KeyFacts {
    KeyFacts {
        start: 1_767_603_720_000,
        queue: Some("Sales / EU".to_owned()),
        direction: Some("inbound".to_owned()),
    }
}

fn layouts() -> [Layout; 4] {
    [
        Layout::default(),
        Layout::hive("0f3c-11").unwrap(),
        Layout::flat(),
        Layout::template(OWN).unwrap(),
    ]
}

#[test]
fn each_layout_has_the_keys_that_its_documentation_tells() {
    let stems = layouts().map(|layout| {
        let stem = |part| layout.stem(&about(), "c-1", "r-1", part);
        (stem(0), stem(2), layout.prefix().to_owned())
    });
    let reported = |stem: &str, part: &str, prefix: &str| {
        (stem.to_owned(), part.to_owned(), prefix.to_owned())
    };
    assert_eq!(
        stems,
        [
            reported(
                "recordings/2026/01/05/c-1/r-1",
                "recordings/2026/01/05/c-1/r-1.2",
                "recordings/"
            ),
            reported(
                "0f3c-11/year=2026/month=1/day=5/hour=9/conversation_id=c-1/r-1",
                "0f3c-11/year=2026/month=1/day=5/hour=9/conversation_id=c-1/r-1_2",
                "0f3c-11/"
            ),
            reported("recordings/c-1_r-1", "recordings/c-1_r-1.2", "recordings/"),
            reported(
                "calls/2026/01/05/09/Sales___EU/inbound/c-1/r-1",
                "calls/2026/01/05/09/Sales___EU/inbound/c-1/r-1.2",
                "calls/"
            ),
        ]
    );
    let wholes = layouts().map(|layout| layout.whole("stem", "ogg"));
    assert_eq!(wholes, ["stem.ogg", "stem.opus", "stem.ogg", "stem.ogg"]);
    let back = layouts().map(|layout| layout.extension_of_type("opus").to_owned());
    assert_eq!(back, ["opus", "ogg", "opus", "opus"]);
    let entries = layouts().map(|layout| layout.entry("stem", "a.txt"));
    assert_eq!(
        entries,
        ["stem/a.txt", "stem/a.txt", "stem_a.txt", "stem/a.txt"]
    );
    let [_, hive, ..] = layouts();
    assert_eq!(
        hive.entry("s", "a.txt_metadata.json"),
        "s/a.txt_metadata!.json"
    );
}

#[test]
fn hostile_ids_neither_leave_the_prefix_nor_meet() {
    // Long: one table of ids.
    let long = "x".repeat(5000);
    let ids = [
        "",
        ".",
        "..",
        "../..",
        "/etc/passwd",
        "..\\..",
        "a/b",
        "b",
        "a/",
        "a b",
        "a_b",
        "a.1",
        "a",
        "1",
        "a=b",
        "a!b",
        "\0",
        "a\nb",
        "aux",
        "CON",
        "grüße",
        "grüsse",
        "\u{202e}a",
        "😀",
        "%2e%2e",
        &long,
        ".x.part",
        "a_",
        "_a",
        "a!ca978112ca1bbdca",
        "A",
        "B",
        "A/B",
        "con",
        "a.",
        "a..",
        "x.1",
        "x",
        "3F2B6A10-9D6E-4A57-8F0E-000000000001",
        "3f2b6a10-9d6e-4a57-8f0e-000000000001",
    ];
    let rules = [
        "calls/{conversation}_{recording}{part}.{ext}",
        "a-b.c=d/{queue}/{recording}{part}/{direction}/x.{conversation}.{ext}",
    ];
    let own = rules.map(|key| Layout::template(key).unwrap());
    for layout in layouts().into_iter().chain(own) {
        let mut keys = BTreeMap::new();
        for conversation in ids {
            for recording in ids {
                for part in [0, 1, 11] {
                    let about = KeyFacts {
                        start: u64::MAX,
                        queue: Some(conversation.to_owned()),
                        direction: Some(recording.to_owned()),
                    };
                    let stem = layout.stem(&about, conversation, recording, part);
                    for key in [
                        format!("{stem}.ogg"),
                        layout.entry(&stem, "a.txt"),
                        layout.entry(&stem, "1.ogg"),
                        layout.entry(&stem, "a.txt_metadata.json"),
                        layout.entry(&stem, "b.txt_METADATA.json"),
                        aside(conversation, recording, part, "html"),
                    ] {
                        let own = key.starts_with(layout.prefix()) && !key.starts_with(ASIDE);
                        assert!(own || key.starts_with(ASIDE), "{key}");
                        assert!(key.len() < 900, "{key}");
                        assert!(
                            !key.contains(['\\', '\0', '\n', '\u{202e}', '%']),
                            "{key:?}"
                        );
                        let names = || key.split('/');
                        assert!(
                            names().all(|name| !name.is_empty() && !name.starts_with('.')),
                            "{key}"
                        );
                        let whose = (conversation, recording, part);
                        // On file systems that know no case, too.
                        let other = keys.insert(key.to_lowercase(), whose);
                        assert_eq!(other, None, "{key} is that of {whose:?}, too");
                    }
                }
            }
        }
    }
}

#[test]
fn no_two_bundles_share_a_key_and_plain_ids_stay_as_they_are() {
    let days = Layout::default();
    let ids = ["b", "B", "a/b", "a_b", "a.b", "", "..", "b!x"];
    let mut keys: Vec<String> = ids.map(|id| days.bundle(id).to_lowercase()).into();
    keys.extend(ids.map(|id| bundle_aside("c", id, "html").to_lowercase()));
    keys.extend(ids.map(|id| aside("c", id, 0, "html").to_lowercase()));
    let different: std::collections::BTreeSet<&String> = keys.iter().collect();
    assert_eq!(different.len(), keys.len(), "{keys:#?}");
    let id = "3f2b6a10-9d6e-4a57-8f0e-000000000001";
    assert_eq!(days.bundle(id), format!("bundles/{id}.zip"));
    assert_eq!(aside(id, "r-1", 0, "html"), format!("aside/{id}/r-1.html"));
    assert_eq!(aside(id, "r-1", 2, "bin"), format!("aside/{id}/r-1.2.bin"));
    let stem = days.stem(&about(), id, id, 1);
    assert_eq!(stem, format!("recordings/2026/01/05/{id}/{id}.1"));
    let other = days.stem(&about(), "a/b", "C", 0);
    let (conversation, recording) = ("b!c14cddc033f64b9d", "C!6b23c0d5f35d1b11");
    assert_eq!(
        other,
        format!("recordings/2026/01/05/{conversation}/{recording}")
    );
}

#[test]
fn a_template_that_could_do_harm_is_refused_with_the_way_out() {
    // Long: one table of templates.
    for (key, message) in [
        (
            "calls/{conversation}/{recording}{part}",
            "must end with `.{ext}`",
        ),
        (
            "calls/{ext}/{conversation}/{recording}{part}.{ext}",
            "must end with `.{ext}`",
        ),
        (
            "calls/{agent}/{conversation}/{recording}{part}.{ext}",
            "`{agent}` is not known; use {year}, {month}, {day}, {hour}, {queue}, {direction}, {conversation}, {recording}, {part} and {ext}",
        ),
        (
            "calls/{conversation/{recording}{part}.{ext}",
            "is not known",
        ),
        (
            "calls/conversation}/{recording}{part}.{ext}",
            "`}` cannot stand in it",
        ),
        (
            "calls/{conversation}/{recording}{part.{ext}",
            "must stand after the name",
        ),
        (
            "calls/{conversation}/{recording}{part}{.{ext}",
            "must stand after the name",
        ),
        (
            "calls/{conversation}/{recording}.{ext}",
            "`{recording}{part}`",
        ),
        ("calls/{recording}{part}.{ext}", "`{conversation}`"),
        (
            "calls/{conversation}{recording}{part}.{ext}",
            "must stand before and after",
        ),
        (
            "calls/{conversation}x{recording}{part}.{ext}",
            "must stand before and after",
        ),
        (
            "calls/{conversation}-{recording}{part}.{ext}",
            "must stand before and after",
        ),
        (
            "calls/{conversation}/{recording}{part}{year}.{ext}",
            "must stand before and after",
        ),
        (
            "calls/{conversation}/{part}/{recording}{part}.{ext}",
            "may be empty",
        ),
        (
            "calls/{queue}_{conversation}/{recording}{part}.{ext}",
            "folder of their own",
        ),
        (
            "calls/{queue}{direction}/{conversation}/{recording}{part}.{ext}",
            "folder of their own",
        ),
        (
            "{conversation}/{recording}{part}.{ext}",
            "must begin with a folder",
        ),
        (
            "calls{year}/{conversation}/{recording}{part}.{ext}",
            "must begin with a folder",
        ),
        (
            "/calls/{conversation}/{recording}{part}.{ext}",
            "may be empty",
        ),
        (
            "calls//{conversation}/{recording}{part}.{ext}",
            "may be empty",
        ),
        (
            "calls/../{conversation}/{recording}{part}.{ext}",
            "may be empty",
        ),
        (
            "calls/{conversation}/.{recording}{part}.{ext}",
            "may be empty",
        ),
        (
            "calls/{conversation}/{recording}{part}..{ext}",
            "may be empty",
        ),
        (
            "c:\\calls/{conversation}/{recording}{part}.{ext}",
            "`:` cannot stand in it",
        ),
        (
            "Metadata/{conversation}/{recording}{part}.{ext}",
            "`Metadata/` is not for media",
        ),
        (
            "receipts/{conversation}/{recording}{part}.{ext}",
            "is not for media",
        ),
        (
            "catalog/{conversation}/{recording}{part}.{ext}",
            "is not for media",
        ),
        (
            "bundles/{conversation}/{recording}{part}.{ext}",
            "is not for media",
        ),
        (
            "Aside/{conversation}/{recording}{part}.{ext}",
            "is not for media",
        ),
    ] {
        let error = Layout::template(key).unwrap_err().to_string();
        assert!(error.contains(message), "{key}: {error}");
    }
    let long = format!(
        "{}/{{conversation}}/{{recording}}{{part}}.{{ext}}",
        "x".repeat(300)
    );
    assert!(Layout::template(&long).is_err());
    for organization in ["", "a/b", "..", "a b", "metadata", "a_b", "aside"] {
        assert!(Layout::hive(organization).is_err(), "{organization}");
    }
}

#[test]
fn a_layout_is_given_by_its_name_or_as_a_table() {
    let parsed = |value| serde_json::from_value::<Layout>(value).map_err(|error| error.to_string());
    assert_eq!(parsed(json!("days")), Ok(Layout::default()));
    assert_eq!(parsed(json!({ "type": "flat" })), Ok(Layout::flat()));
    let hive = json!({ "type": "hive", "organization": "o-1" });
    assert_eq!(parsed(hive), Ok(Layout::hive("o-1").unwrap()));
    let own = json!({ "type": "template", "key": OWN });
    assert_eq!(parsed(own), Ok(Layout::template(OWN).unwrap()));
    for (value, message) in [
        (json!("hive"), "layout: { type: hive, organization: ... }"),
        (json!("template"), "needs a `key`"),
        (
            json!("tree"),
            "`tree` is not known; use days, hive, flat or template",
        ),
        (json!(7), "the name of a layout, or a table"),
        (json!({ "type": "flat", "key": OWN }), "unknown field `key`"),
        (
            json!({ "type": "template", "key": OWN, "organization": "o" }),
            "unknown field `organization`",
        ),
        (
            json!({ "type": "flat", "prefix": "x" }),
            "unknown field `prefix`",
        ),
    ] {
        let error = parsed(value).unwrap_err();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_metadata_beside_a_recording_have_the_fields_of_the_vendor() {
    // Long: one document, field by field.
    let object = Object {
        conversation: "c1".to_owned(),
        recording: "r1".to_owned(),
        key: "o/r1.opus".to_owned(),
        member: None,
        content_type: "audio/opus".to_owned(),
        size: 1,
        sha256: String::new(),
        etag: None,
        stored: None,
        index_metadata: None,
        note: None,
        aside: false,
        file: String::new(),
    };
    let completed = CompletedConversation {
        id: "c1".to_owned(),
        record: ConversationRecord {
            start: 1_767_607_200_000,
            recorded: true,
            end: Some(1_767_607_440_000),
            direction: Some("inbound".to_owned()),
            ani: None,
            dnis: None,
            agents: vec![("u1".to_owned(), Some("Ann".to_owned()))],
            queues: Vec::new(),
            wrap_up_codes: Vec::new(),
            tags: Vec::new(),
            divisions: Vec::new(),
            division_names: Vec::new(),
            media_types: vec!["voice".to_owned()],
            attributes: BTreeMap::new(),
            recordings: BTreeMap::new(),
        },
        outcome: Outcome::Stored,
        attempt: 1,
        revision: None,
        objects: BTreeMap::new(),
        lost_in: BTreeMap::new(),
    };
    let (key, bytes) = sidecar(&completed, &object).unwrap();
    assert_eq!(key, "o/r1.opus_metadata.json");
    assert_eq!(
        String::from_utf8(bytes).unwrap().trim_end(),
        r#"{"mediaType":"Call","mediaSubtype":null,"provider":null,"userIds":["u1"],"startTime":"2026-01-05T10:00:00.000+0000","endTime":"2026-01-05T10:04:00.000+0000","durationMs":240000,"conversationId":"c1","recordingId":"r1","initialDirection":"inbound"}"#
    );
    let mut described = completed.clone();
    let known = [
        ("media_subtype", "Trunk"),
        ("start_time", "2026-01-05T10:01:00.000Z"),
        ("end_time", "2026-01-05T10:02:00.500Z"),
        ("agent_ids", "u2,u3"),
    ];
    let known = known.map(|(name, text)| (format!("recording.{name}"), text.to_owned()));
    described.record.recordings = BTreeMap::from([("r1".to_owned(), known.into())]);
    let (_, bytes) = sidecar(&described, &object).unwrap();
    let reported: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(reported["mediaSubtype"], "Trunk");
    assert_eq!(reported["startTime"], "2026-01-05T10:01:00.000+0000");
    assert_eq!(reported["endTime"], "2026-01-05T10:02:00.500+0000");
    assert_eq!(reported["durationMs"], 60_500);
    assert_eq!(reported["userIds"], json!(["u2", "u3"]));
    let video = Object {
        content_type: "video/mp4".to_owned(),
        ..object.clone()
    };
    let screen: serde_json::Value =
        serde_json::from_slice(&sidecar(&completed, &video).unwrap().1).unwrap();
    assert_eq!(
        (&screen["mediaType"], &screen["mediaSubtype"]),
        (&json!("Screen"), &json!("Screen"))
    );
    let bundle = Object {
        key: "bundles/b.zip".to_owned(),
        ..object
    };
    assert!(sidecar(&completed, &bundle).is_none());
}
