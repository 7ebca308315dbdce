//! Encrypted archives after kills, lost queues, and repeated puts.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn killed_runs_leave_an_encrypted_archive_that_is_whole_and_proven() {
    let harness = Harness::start(Settings {
        conversations: 250,
        seed: 3,
        ..Settings::default()
    })
    .await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    let plain = harness.folder.path().join("plain");
    let mut undisturbed = harness.config_to(json!({ "type": "filesystem", "path": plain }));
    undisturbed["data_dir"] = json!(harness.folder.path().join("undisturbed"));
    export(elsewhere(undisturbed)).await;
    let config = encrypting(harness.config(), &[&pair]);
    let path = harness.write(&config);
    let mut killed = 0;
    for attempt in 0..40_u64 {
        let mut child = harness
            .program()
            .args(["run", "--config"])
            .arg(&path)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(200 + attempt * 60)).await;
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += 1;
    }
    assert!(killed >= 3, "killed {killed} times");
    assert_eq!(export(config).await.conversations, 250);
    proven(&files(&harness.output()), &files(&plain), &pair).await;
    let sink = Filesystem::new(harness.output());
    assert_eq!(verified(&sink, None).await.findings, []);
    assert_eq!(verified(&sink, Some(&pair)).await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_queue_and_another_export_of_the_same_leave_all_receipts_right() {
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    let config = encrypting(harness.config(), &[&pair]);
    export(config.clone()).await;
    // Without its queue, a run takes over what the receipts prove, and repeats the losses.
    std::fs::remove_dir_all(harness.folder.path().join("data")).unwrap();
    let before = files(&harness.output());
    export(config.clone()).await;
    let sink = Filesystem::new(harness.output());
    assert_eq!(verified(&sink, Some(&pair)).await.findings, []);
    let after = files(&harness.output());
    let same = before
        .iter()
        .filter(|(key, data)| after.get(*key) == Some(data))
        .count();
    assert!(same > before.len() * 3 / 4, "{same} of {}", before.len());

    // Tuning is no part of an export: no object is put again.
    let mut tuned = config;
    tuned["sources"]["calls"]["options"]["page_size"] = json!(50);
    export(tuned).await;
    let now = files(&harness.output());
    let media = |files: &std::collections::BTreeMap<String, Vec<u8>>| -> Vec<(String, Vec<u8>)> {
        let all = files
            .iter()
            .filter(|(key, _)| key.starts_with("recordings/"));
        all.map(|(key, data)| (key.clone(), data.clone())).collect()
    };
    assert!(media(&after) == media(&now));
    assert_eq!(verified(&sink, None).await.findings, []);
    assert_eq!(verified(&sink, Some(&pair)).await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_tells_what_is_stored_and_a_repeated_one_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Pair::new(folder.path(), "one.txt");
    let below = Filesystem::new(folder.path().join("lake"));
    let sink = Encrypted::new(std::sync::Arc::new(below.clone()), pair.recipients());
    let store = sink.store().unwrap();
    let data = Bytes::from(vec![7; 3 << 20]);
    let mut versions = Vec::new();
    for _ in 0..2 {
        let stored = sink
            .put_bytes("a/b.wav", PutOptions::default(), data.clone())
            .await
            .unwrap();
        let sealed = stored.encrypted.unwrap();
        assert_eq!((stored.size, sealed.key.as_str()), (3 << 20, "a/b.wav.age"));
        let there = store.read("a/b.wav.age").await.unwrap().unwrap();
        assert_eq!(
            (there.len() as u64, sha256(&there)),
            (sealed.size, sealed.sha256)
        );
        versions.push(there);
    }
    assert_ne!(versions[0], versions[1]);
    let clear = PutOptions {
        plaintext: true,
        ..PutOptions::default()
    };
    let stored = sink
        .put_bytes("receipt", clear, data.clone())
        .await
        .unwrap();
    assert_eq!(
        (stored.encrypted, store.read("receipt").await.unwrap()),
        (None, Some(data.to_vec()))
    );

    // A body that breaks off changes nothing.
    let (feed, body) = Body::channel();
    feed.send(data).await.unwrap();
    drop(feed);
    let broken = sink
        .put("a/b.wav", PutOptions::default(), body)
        .await
        .unwrap_err();
    assert!(broken.retryable, "{broken}");
    assert_eq!(
        store.read("a/b.wav.age").await.unwrap().as_ref(),
        Some(&versions[1])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_that_is_switched_on_fills_the_sink_anew() {
    let harness = harness(Dialect::Cloud).await;
    let pair = Pair::new(harness.folder.path(), "one.txt");
    export(harness.config()).await;
    export(encrypting(harness.config(), &[&pair])).await;
    let stored = files(&harness.output());
    let plain = media(&stored)
        .keys()
        .filter(|key| !key.ends_with(".age"))
        .count();
    assert_eq!(media(&stored).len(), 2 * plain);
    let sink = Filesystem::new(harness.output());
    assert_eq!(verified(&sink, Some(&pair)).await.findings, []);
}
