//! An archive proves itself: whatever is missing, changed or too much is found and named.

#[path = "verify/alone.rs"]
mod alone;
#[path = "verify/archive.rs"]
mod archive;
#[path = "verify/filed.rs"]
mod filed;
#[path = "verify/manipulated.rs"]
mod manipulated;

use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use genesys_simulator::{Dialect, Settings};
use recording_host_config::Config;
use recording_host_engine::verify::{Difference, VerifyOptions, VerifyReport, verify, verify_with};
use recording_host_model::{clock::Clock, layout::Layout};
use recording_host_sink::{Sink, encryption::Identities, filesystem::Filesystem};

use serde_json::json;

use crate::support::{Harness, SPEED, export, run_program};

async fn archive(dialect: Dialect) -> Harness {
    let harness = Harness::start(Settings {
        conversations: 120,
        dialect,
        ..Settings::default()
    })
    .await;
    export(harness.config()).await;
    harness
}

/// The first file of this extension below a folder.
fn first(folder: &Path, extension: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                return path;
            }
        }
    }
    panic!("no .{extension}");
}

async fn verified(root: &Path, full: bool) -> VerifyReport {
    let sink = Filesystem::new(root.to_owned());
    verify(sink.store().unwrap(), full).await.unwrap()
}

/// The differences found in an object.
fn found(report: &VerifyReport, root: &Path, path: &Path) -> Vec<Difference> {
    let key = path.strip_prefix(root).unwrap().display().to_string();
    let of_it = report.findings.iter().filter(|finding| finding.key == key);
    of_it.map(|finding| finding.difference).collect()
}

/// An archive in each of the forms that there are, with further attempts at what was lost.
async fn archives(dialect: Dialect) -> (Harness, Vec<(&'static str, Layout)>, Identities) {
    let harness = Harness::start(Settings {
        conversations: 120,
        dialect,
        ..Settings::default()
    })
    .await;
    let identity = age::x25519::Identity::generate();
    let hive = json!({ "type": "hive", "organization": "0f1c1f6a-4b5e-4f43-9d52-3d1f0f1c1f6a" });
    let sinks = [
        ("plain", json!({})),
        ("gzip", json!({ "metadata": { "compression": "gzip" } })),
        (
            "zstd",
            json!({ "metadata": { "compression": "zstd" }, "layout": "flat" }),
        ),
        (
            "hive",
            json!({ "metadata": { "format": "parquet" }, "layout": hive }),
        ),
        (
            "kept",
            json!({ "zip": "both", "metadata": { "format": "parquet" } }),
        ),
        ("index", json!({ "content": ["metadata"] })),
        (
            "media",
            json!({ "content": ["media"], "condition": { "min_duration_seconds": 10 } }),
        ),
        (
            "sealed",
            json!({ "layout": hive,
            "encrypt": { "recipients": [identity.to_public().to_string()] } }),
        ),
    ];
    let mut config = harness.config();
    config["sinks"] = json!({});
    let mut named = Vec::new();
    for (name, mut sink) in sinks {
        let layout = sink.get("layout").cloned();
        let layout = layout.map_or_else(Layout::default, |it| serde_json::from_value(it).unwrap());
        named.push((name, layout));
        sink["type"] = json!("filesystem");
        sink["path"] = json!(harness.folder.path().join(name));
        config["sinks"][name] = sink;
    }
    export(config.clone()).await;
    let config = Config::new(config).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    let pipeline = pipelines.pop().unwrap();
    pipeline.retry_lost().run().await.unwrap();
    let file = harness.folder.path().join("identity.txt");
    std::fs::write(&file, identity.to_string().expose_secret()).unwrap();
    (harness, named, Identities::load(&file).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untouched_archive_is_in_order() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let (harness, sinks, identities) = archives(dialect).await;
        for (name, layout) in sinks {
            let sink = Filesystem::new(harness.folder.path().join(name));
            for (any_layout, identities) in
                [(false, Identities::default()), (true, identities.clone())]
            {
                let read = !identities.is_empty();
                let options = VerifyOptions {
                    layout: layout.clone(),
                    any_layout,
                    full: true,
                    decryptor: identities.decryptor(),
                    ..VerifyOptions::default()
                };
                let report = verify_with(&sink, options).await.unwrap();
                assert_eq!(report.findings, [], "{name}");
                let all = report.conversations == 120;
                assert!(all || name == "media", "{name}: {report:#?}");
                assert_eq!(report.objects > 0, name != "index", "{name}");
                assert_eq!(report.unread > 0, name == "sealed" && !read, "{name}");
                assert_eq!(report.without_claims, 0);
                assert_eq!(report.coverage.len(), 1);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_the_program_before_is_in_order() {
    let fixtures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/archive-v1"
    );
    for (name, conversations, objects) in [
        ("plain", 8, 7),
        ("columns", 3, 2),
        ("sealed", 3, 2),
        ("index", 40, 0),
    ] {
        let sink = Filesystem::new(Path::new(fixtures).join(name));
        let options = VerifyOptions {
            any_layout: true,
            full: true,
            ..VerifyOptions::default()
        };
        let report = verify_with(&sink, options).await.unwrap();
        assert_eq!(report.findings, [], "{name}");
        assert_eq!(
            (report.conversations, report.objects),
            (conversations, objects)
        );
        // Its receipts do not say what they are part of.
        assert_eq!(report.without_claims, report.receipts);
        assert_eq!(report.coverage, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_that_are_kept_are_proven_too() {
    let harness = Harness::start(Settings {
        conversations: 120,
        dialect: Dialect::Guide,
        ..Settings::default()
    })
    .await;
    let sink = json!({ "type": "filesystem", "path": harness.output(), "zip": "keep" });
    export(harness.config_to(sink)).await;
    assert_eq!(verified(&harness.output(), true).await.findings, []);
    let bundle = first(&harness.output().join("bundles"), "zip");
    std::fs::remove_file(&bundle).unwrap();
    let report = verified(&harness.output(), false).await;
    assert!(found(&report, &harness.output(), &bundle).contains(&Difference::Missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_changed_or_too_much_is_named() {
    let harness = archive(Dialect::Cloud).await;
    let root = harness.output();
    let (media, metadata) = (root.join("recordings"), root.join("metadata"));

    let deleted = first(&media, "ogg");
    std::fs::remove_file(&deleted).unwrap();
    let truncated = first(&media, "wav");
    let half = std::fs::metadata(&truncated).unwrap().len() / 2;
    let file = std::fs::File::options()
        .write(true)
        .open(&truncated)
        .unwrap();
    file.set_len(half).unwrap();
    let flipped = first(&media, "mp3");
    let mut bytes = std::fs::read(&flipped).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&flipped, bytes).unwrap();
    let shortened = first(&metadata, "jsonl");
    let rows = std::fs::read_to_string(&shortened).unwrap();
    std::fs::write(&shortened, rows.split_once('\n').unwrap().1).unwrap();
    let surplus = truncated.with_file_name("stranger.wav");
    std::fs::write(&surplus, "RIFF").unwrap();
    let forged = root.join("metadata/date=2026-01-06/forged.jsonl");
    std::fs::write(&forged, "{}").unwrap();

    let quick = verified(&root, false).await;
    assert_eq!(found(&quick, &root, &deleted), [Difference::Missing]);
    assert_eq!(found(&quick, &root, &truncated), [Difference::Size]);
    assert_eq!(found(&quick, &root, &flipped), []);
    assert_eq!(found(&quick, &root, &shortened), [Difference::Content]);
    assert_eq!(found(&quick, &root, &surplus), [Difference::Unexpected]);
    assert_eq!(found(&quick, &root, &forged), [Difference::Unexpected]);
    let full = verified(&root, true).await;
    assert_eq!(found(&full, &root, &flipped), [Difference::Content]);

    let config = harness.write(&harness.config()).display().to_string();
    let ran = run_program(&["verify", "--full", "--config", &config]).await;
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8(ran.stdout).unwrap();
    for path in [deleted, truncated, flipped, shortened, surplus, forged] {
        let key = path.strip_prefix(&root).unwrap().display().to_string();
        assert!(said.contains(&key), "{key}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_was_changed_is_found() {
    let harness = archive(Dialect::Cloud).await;
    let root = harness.output();
    let receipt = first(&root.join("receipts"), "jsonl");
    let text = std::fs::read_to_string(&receipt).unwrap();
    let place = text.rfind("\"sha256\":\"").unwrap() + 10;
    let mut bytes = text.into_bytes();
    bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
    std::fs::write(&receipt, bytes).unwrap();
    let report = verified(&root, false).await;
    assert!(found(&report, &root, &receipt).contains(&Difference::Receipt));
}
