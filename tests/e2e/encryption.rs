//! Whoever keeps the storage cannot read the objects that a sink encrypts; whoever has the identity gets
//! back an unencrypted export. Receipts prove it without the identity.

#[path = "encryption/decrypt.rs"]
mod decrypt;
#[path = "encryption/second_use.rs"]
mod second_use;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use age::{secrecy::ExposeSecret, x25519::Identity};
use bytes::Bytes;
use genesys_simulator::{Dialect, Settings};
use recording_host_config::Config;
use recording_host_engine::{
    receipt::{ReceiptReader, ReceiptWriter},
    verify::{Difference, VerifyOptions, VerifyReport, verify_with},
};
use recording_host_sink::{
    Body, PutOptions, Sink, SinkExt, StoreExt,
    encrypted::Encrypted,
    encryption::{Identities, Recipients},
    filesystem::Filesystem,
};
use serde_json::{Value, json};

use crate::{
    s3_server::{Server, Ways},
    support::{
        Harness, export, files, media, receipts, rows, run_program, same_media, set, sha256,
    },
};

/// An identity in a file, and its recipient.
pub(crate) struct Pair {
    pub(crate) recipient: String,
    pub(crate) path: PathBuf,
}

impl Pair {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let identity = Identity::generate();
        let path = folder.join(name);
        std::fs::write(&path, identity.to_string().expose_secret()).unwrap();
        Pair {
            recipient: identity.to_public().to_string(),
            path,
        }
    }

    fn identities(&self) -> Identities {
        Identities::load(&self.path).unwrap()
    }

    fn recipients(&self) -> Recipients {
        Recipients::parse(std::slice::from_ref(&self.recipient)).unwrap()
    }
}

async fn harness(dialect: Dialect) -> Harness {
    Harness::start(Settings {
        conversations: 120,
        dialect,
        ..Settings::default()
    })
    .await
}

/// A configuration whose sink encrypts for these.
pub(crate) fn encrypting(mut config: Value, pairs: &[&Pair]) -> Value {
    let recipients: Vec<&str> = pairs.iter().map(|pair| pair.recipient.as_str()).collect();
    config["sinks"]["lake"]["encrypt"] = json!({ "recipients": recipients });
    config
}

/// The same with a queue of its own: another export, as far as this machine knows.
fn elsewhere(mut config: Value) -> Value {
    let data = config["data_dir"].as_str().unwrap();
    config["data_dir"] = json!(format!("{data}-of-its-own"));
    config
}

/// Decrypts a folder by the program; the files that come of it.
async fn decrypted(pair: &Pair, from: &Path, to: &Path) -> BTreeMap<String, Vec<u8>> {
    let text = |path: &Path| path.display().to_string();
    let (identity, from, to) = (text(&pair.path), text(from), text(to));
    let arguments = ["decrypt", "--identity", &identity, &from, "--to", &to];
    let ran = run_program(&arguments).await;
    assert!(ran.status.success(), "{ran:?}");
    files(Path::new(&to))
}

/// Rows without what encryption changes of them: where an object is.
fn unplaced(rows: Vec<Value>) -> Vec<Value> {
    let unplace = |mut row: Value| {
        if let Some(key) = row["object_key"].as_str() {
            row["object_key"] = json!(key.trim_end_matches(".age"));
        }
        row
    };
    rows.into_iter().map(unplace).collect()
}

async fn verified(sink: &dyn Sink, pair: Option<&Pair>) -> VerifyReport {
    let options = VerifyOptions {
        full: true,
        decryptor: pair.and_then(|pair| pair.identities().decryptor()),
        ..VerifyOptions::default()
    };
    verify_with(sink.store().unwrap(), options).await.unwrap()
}

/// Checks that the stored objects are unreadable, and decrypt to an unencrypted export.
async fn proven(
    stored: &BTreeMap<String, Vec<u8>>,
    plain: &BTreeMap<String, Vec<u8>>,
    pair: &Pair,
) {
    let folder = tempfile::tempdir().unwrap();
    for (key, data) in stored {
        // With this a run tries the folder; one that is killed may leave it, and it holds nothing.
        if key.starts_with(".probe-") {
            continue;
        }
        let head = b"age-encryption.org/v1\n";
        assert_eq!(
            key.ends_with(".age"),
            !key.starts_with("receipts/") && key != "README.txt" && key != ".recording-host.json",
            "{key}"
        );
        assert_eq!(data.starts_with(head), key.ends_with(".age"), "{key}");
        let path = folder.path().join("stored").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }
    for line in receipts(stored) {
        let text = line.to_string();
        for object in line["objects"].as_array().into_iter().flatten() {
            let there = &stored[object["key"].as_str().unwrap()];
            assert_eq!(object["size"], json!(there.len()));
            assert_eq!(object["sha256"], json!(sha256(there)));
            assert_eq!(object.get("member"), None);
            let note = object["note"].as_str().unwrap_or_default();
            assert!(!note.contains(' '), "{text}");
        }
        assert!(line["message"].as_str().is_none_or(str::is_empty), "{text}");
    }
    let found = decrypted(
        pair,
        &folder.path().join("stored"),
        &folder.path().join("plain"),
    )
    .await;
    same_media(&media(&found), &media(plain));
    let (found, wanted) = (unplaced(rows(&found)), rows(plain));
    // Messages name a kept archive by its plain key, so that all else is the same.
    assert_eq!(set(&found), set(&wanted));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_folder_is_unreadable_and_decrypts_to_the_unencrypted_export() {
    for dialect in [Dialect::Cloud, Dialect::Guide] {
        let harness = harness(dialect).await;
        let (one, other) = (
            Pair::new(harness.folder.path(), "one.txt"),
            Pair::new(harness.folder.path(), "other.txt"),
        );
        let plain = harness.folder.path().join("plain");
        export(elsewhere(
            harness.config_to(json!({ "type": "filesystem", "path": plain })),
        ))
        .await;
        let config = encrypting(harness.config(), &[&one, &other]);
        let summary = export(config.clone()).await;
        assert_eq!(summary.conversations, 120);
        let (stored, plain) = (files(&harness.output()), files(&plain));
        for pair in [&one, &other] {
            proven(&stored, &plain, pair).await;
        }
        let sink = Filesystem::new(harness.output());
        let report = verified(&sink, None).await;
        assert_eq!((report.findings, report.conversations), (vec![], 120));
        assert!(report.unread > 0);
        let report = verified(&sink, Some(&one)).await;
        assert_eq!((report.findings, report.unread), (vec![], 0));

        let path = harness.write(&config).display().to_string();
        let ran = run_program(&["verify", "--full", "--config", &path]).await;
        let said = String::from_utf8(ran.stdout).unwrap();
        assert!(said.contains("are encrypted and were not read"), "{said}");
        assert_eq!(ran.status.code(), Some(0));
        let identity = one.path.display().to_string();
        let arguments = [
            "verify",
            "--full",
            "--identity",
            &identity,
            "--config",
            &path,
        ];
        let ran = run_program(&arguments).await;
        let said = String::from_utf8(ran.stdout).unwrap();
        assert!(!said.contains("not read"), "{said}");
        assert_eq!(ran.status.code(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_and_the_catalogue_are_encrypted_too_and_are_read_with_an_identity() {
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    let mut config = encrypting(harness.config(), &[&pair]);
    config["sinks"]["lake"]["metadata"] = json!({ "format": "parquet" });
    export(config).await;
    let stored = files(&harness.output());
    for folder in ["catalog/", "metadata/"] {
        let mut of_it = stored.keys().filter(|key| key.starts_with(folder));
        assert!(of_it.all(|key| key.ends_with(".parquet.age")));
    }
    let sink = Filesystem::new(harness.output());
    assert_eq!(verified(&sink, None).await.findings, []);
    assert_eq!(verified(&sink, Some(&pair)).await.findings, []);
    let found = decrypted(
        &pair,
        &harness.output(),
        &harness.folder.path().join("plain"),
    )
    .await;
    let mut parquet = found.iter().filter(|(key, _)| key.ends_with(".parquet"));
    assert!(parquet.all(|(_, data)| data.starts_with(b"PAR1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_beside_encrypted_media_is_encrypted_and_proven_too() {
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    let layout = json!({ "type": "hive", "organization": "corp" });
    let mut config = encrypting(harness.config(), &[&pair]);
    config["sinks"]["lake"]["layout"] = layout.clone();
    export(config).await;
    let root = harness.output();
    let stored = files(&root);
    let beside = |key: &&String| key.ends_with("_metadata.json.age");
    let beside: Vec<&String> = stored.keys().filter(beside).collect();
    assert!(beside.len() > 50);
    let mut clear = stored.keys().filter(|key| !key.ends_with(".age"));
    let open = ["README.txt", ".recording-host.json"];
    assert!(clear.all(|key| key.starts_with("receipts/") || open.contains(&key.as_str())));

    let plain = decrypted(&pair, &root, &harness.folder.path().join("plain")).await;
    for key in &beside {
        let key = key.trim_end_matches(".age");
        let _: Value = serde_json::from_slice(&plain[key]).unwrap();
        assert!(plain.contains_key(key.trim_end_matches("_metadata.json")));
    }
    let sink = Filesystem::new(root.clone());
    let findings = async |pair: Option<&Pair>| {
        let options = VerifyOptions {
            layout: serde_json::from_value(layout.clone()).unwrap(),
            full: true,
            decryptor: pair.and_then(|pair| pair.identities().decryptor()),
            ..VerifyOptions::default()
        };
        let report = verify_with(sink.store().unwrap(), options).await.unwrap();
        let named = report.findings.into_iter();
        let named = named.map(|finding| (finding.difference, finding.key));
        named.collect::<Vec<_>>()
    };
    assert_eq!(findings(None).await, []);
    assert_eq!(findings(Some(&pair)).await, []);
    std::fs::remove_file(root.join(beside[0])).unwrap();
    let mut data = stored[beside[1]].clone();
    *data.last_mut().unwrap() ^= 1;
    std::fs::write(root.join(beside[1]), data).unwrap();
    let expected = [
        (Difference::Missing, beside[0].clone()),
        (Difference::Content, beside[1].clone()),
    ];
    assert_eq!(findings(None).await, expected);
    assert_eq!(findings(Some(&pair)).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_of_recordings_is_encrypted_and_proven_too() {
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    let transcoding = |mut config: Value| {
        config["sinks"]["lake"]["transcode"] = json!({ "to": "wav", "channels": "split" });
        config
    };
    let plain = harness.folder.path().join("plain");
    let clear = harness.config_to(json!({ "type": "filesystem", "path": plain }));
    export(elsewhere(transcoding(clear))).await;
    export(transcoding(encrypting(harness.config(), &[&pair]))).await;
    let (stored, plain) = (files(&harness.output()), files(&plain));
    assert!(stored.keys().any(|key| key.ends_with(".ch1.wav.age")));
    proven(&stored, &plain, &pair).await;
    let sink = Filesystem::new(harness.output());
    assert_eq!(verified(&sink, None).await.findings, []);
    assert_eq!(verified(&sink, Some(&pair)).await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_bucket_decrypts_to_the_unencrypted_export() {
    let server = Server::start(Ways::default()).await;
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    export(elsewhere(harness.config())).await;
    let config = encrypting(harness.config_to(server.config()), &[&pair]);
    export(config.clone()).await;
    let (_, sink) = Config::new(config)
        .unwrap()
        .sinks()
        .await
        .unwrap()
        .remove(0);
    let store = sink.store().unwrap();
    let mut stored = BTreeMap::new();
    for prefix in ["recordings/", "metadata/", "receipts/"] {
        use futures_util::TryStreamExt;
        let found: Vec<_> = store.list(prefix).try_collect().await.unwrap();
        for found in found {
            let data = store.read(&found.key).await.unwrap().unwrap();
            stored.insert(found.key, data);
        }
    }
    proven(&stored, &files(&harness.output()), &pair).await;
    assert_eq!(verified(&*sink, None).await.findings, []);
    assert_eq!(verified(&*sink, Some(&pair)).await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_changed_or_exchanged_in_an_encrypted_archive_is_named() {
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    export(encrypting(harness.config(), &[&pair])).await;
    let root = harness.output();
    let stored = files(&root);
    let keys: Vec<&String> = stored
        .keys()
        .filter(|key| key.starts_with("recordings/"))
        .collect();
    let (missing, changed, exchanged) = (keys[0], keys[1], keys[2]);
    std::fs::remove_file(root.join(missing)).unwrap();
    let mut data = stored[changed].clone();
    *data.last_mut().unwrap() ^= 1;
    std::fs::write(root.join(changed), data).unwrap();
    let receipts: Vec<&String> = stored
        .keys()
        .filter(|key| key.starts_with("receipts/"))
        .collect();
    let sink = Filesystem::new(root.clone());
    let named = |report: VerifyReport| -> Vec<(Difference, String)> {
        let named = report.findings.into_iter();
        named
            .map(|finding| (finding.difference, finding.key))
            .collect()
    };
    let expected = vec![
        (Difference::Missing, missing.clone()),
        (Difference::Content, changed.clone()),
    ];
    assert_eq!(named(verified(&sink, None).await), expected);
    assert_eq!(named(verified(&sink, Some(&pair)).await), expected);

    // Somebody who can write puts an object of his own, and corrects the receipts.
    let own = b"RIFF of somebody else";
    let mut into = pair.recipients().encrypt(Vec::new()).unwrap();
    std::io::Write::write_all(&mut into, own).unwrap();
    let own = into.finish().unwrap();
    std::fs::write(root.join(exchanged), &own).unwrap();
    for receipt in receipts {
        let path = root.join(receipt);
        let bytes = std::fs::read(&path).unwrap();
        let mut reader = ReceiptReader::new(bytes.as_slice()).unwrap();
        let mut writer = ReceiptWriter::default();
        for entry in reader.by_ref() {
            let (_, mut entry) = entry.unwrap();
            for object in entry.objects.iter_mut().filter(|it| it.key == *exchanged) {
                object.size = own.len() as u64;
                object.sha256 = sha256(&own);
            }
            writer.entry(&entry).unwrap();
        }
        let corrected = writer.finish(reader.header().clone()).unwrap();
        std::fs::write(path, corrected).unwrap();
    }
    assert_eq!(named(verified(&sink, None).await), expected);
    let found = named(verified(&sink, Some(&pair)).await);
    assert!(
        found.contains(&(Difference::Content, exchanged.clone())),
        "{found:?}"
    );
}
