//! Anything that is filed twice, kept aside, or not filed at all is named.

use std::collections::BTreeSet;

use genesys_simulator::Settings;
use recording_host_engine::{
    receipt::{CoveredInterval, ReceiptContext, SourceCount},
    verify::{Difference, ObjectKind, SegmentId},
};
use serde_json::{Value, json};

use super::{
    archive::{Archive, FIRST, Form},
    manipulated::in_all,
};
use crate::support::Harness;

/// Files the first segment once more, as an export of another name would.
fn filed_by_another_export(archive: &Archive) {
    let (mut header, told) = archive.receipt(FIRST);
    header.export = "renamed".into();
    let metadata = header.metadata.as_mut().unwrap();
    let rows = archive.read(&metadata.key);
    metadata.key = metadata.key.replace("calls-", "renamed-");
    archive.write(&metadata.key, rows);
    if let Some(catalog) = &mut header.catalog {
        let bytes = archive.read(&catalog.key);
        catalog.key = catalog.key.replace("calls-", "renamed-");
        archive.write(&catalog.key, bytes);
    }
    archive.put(&FIRST.replace("calls-", "renamed-"), header, &told);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_two_exports_have_filed_are_named_with_both_receipts() {
    in_all("doubled", filed_by_another_export, &[Difference::Doubled]).await;
    let archive = Archive::new(Form::Lines).await;
    filed_by_another_export(&archive);
    let found = archive.findings(true).await;
    let [doubled] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(doubled.key, FIRST.replace("calls-", "renamed-"));
    assert_eq!(doubled.other.as_deref(), Some(FIRST));
    assert_eq!(doubled.conversations.len(), 7);
    let segment = SegmentId {
        export: "renamed".into(),
        day: "2026-01-05".into(),
        number: 1,
    };
    assert_eq!(doubled.segment, Some(segment));
    // Another attempt at a conversation takes the place of the one before, whoever files it.
    let archive = Archive::new(Form::Lines).await;
    archive.forge(FIRST, |all| {
        all.retain(|one| one.conversation_id == "0-none")
    });
    archive.forge_rows(FIRST, |rows| rows.retain(|row| row.contains("0-none")));
    filed_by_another_export(&archive);
    let renamed = FIRST.replace("calls-", "renamed-");
    archive.forge_one(&renamed, "0-none", |one| one.attempt = 2);
    archive.forge_rows(&renamed, |all| {
        for row in all.iter_mut() {
            *row = row.replace("\"attempt\":1", "\"attempt\":2");
        }
    });
    let found = archive.findings(true).await;
    assert!(
        found
            .iter()
            .all(|one| one.difference == Difference::Unexpected),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_aside_is_proven_too() {
    let archive = Archive::new(Form::Lines).await;
    assert_eq!(archive.findings(true).await, []);
    archive.write("aside/0-page/r0.html", "0-page 7");
    archive.remove("aside/1-page/r0.html");
    archive.write("aside/1-page/r1.html", "<html>");
    let found = archive.findings(true).await;
    let found: Vec<_> = found
        .iter()
        .map(|one| {
            (
                one.difference,
                one.key.as_str(),
                one.kind,
                one.conversation.as_deref(),
            )
        })
        .collect();
    let expected = [
        (
            Difference::Missing,
            "aside/1-page/r0.html",
            ObjectKind::Aside,
            Some("1-page"),
        ),
        (
            Difference::Content,
            "aside/0-page/r0.html",
            ObjectKind::Aside,
            Some("0-page"),
        ),
        (
            Difference::Unexpected,
            "aside/1-page/r1.html",
            ObjectKind::Aside,
            None,
        ),
    ];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_gone_is_missed() {
    let at = |text: &str| format!("2026-0{text}T00:00:00Z").parse().unwrap();
    let count = |conversations| SourceCount {
        conversations,
        at: at("2-01"),
    };
    let days = [
        ("2026-01-05", 7),
        ("2026-01-06", 7),
        ("2026-01-07", 0),
        ("2026-01-09", 3),
    ];
    let context = ReceiptContext {
        claims: Some(CoveredInterval {
            from: at("1-05"),
            until: Some(at("1-08")),
        }),
        source_counts: days.map(|(day, n)| (day.to_owned(), count(n))).into(),
        ..ReceiptContext::new("calls")
    };
    let archive = Archive::told(context).await;
    // Nothing was there on the one day, and the other lies outside.
    assert_eq!(archive.findings(true).await, []);
    for key in crate::support::files(archive.root()).into_keys() {
        if key.contains("date=2026-01-06") || key.contains("/1-") {
            archive.remove(&key);
        }
    }
    for full in [false, true] {
        let found = archive.findings(full).await;
        let [gap] = found.as_slice() else {
            panic!("{found:#?}");
        };
        assert_eq!(gap.difference, Difference::Gap);
        assert_eq!(gap.key, "receipts/date=2026-01-06/");
        assert!(
            gap.detail.contains("counted 7 conversations"),
            "{}",
            gap.detail
        );
    }
}

/// The reports of `verify` about each sink, by its arguments.
async fn reports(harness: &Harness, arguments: &[&str]) -> Value {
    let arguments = [&["verify", "--json"], arguments].concat();
    let ran = harness.run_program(&arguments).await;
    let mut told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    told["sinks"].take()
}

fn words(report: &Value) -> BTreeSet<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .map(|one| {
            let word = one["difference"].as_str().unwrap();
            (word, one["key"].as_str().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_queue_is_still_to_file_is_no_finding_unless_it_is_gone() {
    for encrypted in [false, true] {
        let harness = Harness::start(Settings {
            conversations: 600,
            seed: 3,
            ..Settings::default()
        })
        .await;
        let mut config = harness.config();
        if encrypted {
            let pair = age::x25519::Identity::generate();
            let recipient = pair.to_public().to_string();
            config["sinks"]["lake"]["encrypt"] = json!({ "recipients": [recipient] });
        }
        let path = harness.write(&config).display().to_string();
        let ran = harness
            .run_program(&["run", "--max-bytes", "1MB", "--config", &path])
            .await;
        assert_eq!(ran.status.code(), Some(5), "{ran:?}");

        let told = reports(&harness, &["--config", &path]).await;
        let not_filed = told["lake"]["not_filed"].as_u64().unwrap();
        assert!(not_filed > 0, "{told}");
        assert_eq!(words(&told["lake"]), BTreeSet::new());

        // Without the queue, nobody knows of them.
        let folder = harness.output().display().to_string();
        let alone = reports(&harness, &[&folder]).await;
        let alone = &alone[&folder];
        assert_eq!(words(alone).len() as u64, not_filed);
        let (word, key) = *words(alone).first().unwrap();
        assert_eq!(word, "unexpected");

        // Another export never files what this one has stored.
        let mut other = config.clone();
        other["sources"] = json!({ "others": config["sources"]["calls"] });
        let of_others = harness.folder.path().join("others.yaml");
        std::fs::write(&of_others, other.to_string()).unwrap();
        let told = reports(&harness, &["--config", &of_others.display().to_string()]).await;
        assert_eq!(told["lake"]["not_filed"], 0);
        assert_eq!(words(&told["lake"]), words(alone));

        std::fs::remove_file(harness.output().join(key)).unwrap();
        let told = reports(&harness, &["--config", &path]).await;
        assert_eq!(words(&told["lake"]), BTreeSet::from([("missing", key)]));
        assert_eq!(told["lake"]["not_filed"], not_filed - 1);
    }
}
