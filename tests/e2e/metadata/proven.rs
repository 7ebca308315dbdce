//! Which rows count, and rows that were changed.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_attempt_counts() {
    let root = tempfile::tempdir().unwrap();
    let sink = folder(root.path());
    let output = output(sink.clone(), RowFormat::Parquet, None);
    let id = "conversation-000001";
    let (first, last) = (object(id, "one", b"half"), object(id, "one", b"whole"));
    let missing = vec![("archived".to_owned(), "not yet".to_owned())];
    let attempts = [
        (
            b"half".as_slice(),
            completed(1, 1, Outcome::Partial { missing }, vec![first]),
        ),
        (
            b"whole",
            completed(1, 2, Outcome::Stored, vec![last.clone()]),
        ),
    ];
    for (number, (content, completed)) in (1..).zip(attempts) {
        let info = PutOptions {
            content_type: "audio/wav".to_owned(),
            size: Some(content.len() as u64),
            replace: true,
            plaintext: false,
        };
        let body = Body::whole(Bytes::from_static(content));
        sink.put(&last.key, info, body).await.unwrap();
        file(number, &[completed], &output).await.unwrap();
    }
    let report = verify(sink.store().unwrap(), true).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.conversations, report.receipts), (1, 2));
    assert_eq!((report.objects, report.bytes), (1, 5));
    let rows = read(&files(root.path()), "metadata/");
    let attempts: BTreeSet<u64> = rows
        .iter()
        .map(|row| row["attempt"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, BTreeSet::from([1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_rows_that_were_changed_removed_or_added_are_named() {
    for format in [RowFormat::Jsonl, RowFormat::Parquet] {
        let root = tempfile::tempdir().unwrap();
        let sink = folder(root.path());
        let output = output(sink.clone(), format, Some(Compression::Gzip));
        file(
            1,
            &[completed(1, 1, Outcome::NoRecording, Vec::new())],
            &output,
        )
        .await
        .unwrap();
        let before = files(root.path());
        for key in before.keys().filter(|key| !key.starts_with("receipts/")) {
            let path = root.path().join(key);
            let mut changed = before[key].clone();
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            let stranger = path.with_file_name("stranger.parquet");
            std::fs::write(&path, changed).unwrap();
            std::fs::write(&stranger, "PAR1").unwrap();
            let report = verify(sink.store().unwrap(), false).await.unwrap();
            let found: Vec<_> = report
                .findings
                .iter()
                .map(|found| (found.difference, found.key.as_str()))
                .collect();
            let stranger_key = format!("{}/stranger.parquet", key.rsplit_once('/').unwrap().0);
            assert_eq!(
                found,
                [
                    (Difference::Content, key.as_str()),
                    (Difference::Unexpected, stranger_key.as_str())
                ]
            );
            std::fs::remove_file(&stranger).unwrap();

            std::fs::remove_file(&path).unwrap();
            let report = verify(sink.store().unwrap(), false).await.unwrap();
            let found: Vec<_> = report
                .findings
                .iter()
                .map(|found| (found.difference, found.key.as_str()))
                .collect();
            assert_eq!(found, [(Difference::Missing, key.as_str())]);
            std::fs::write(&path, &before[key]).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_contradicts_its_receipt_is_found_in_parquet() {
    let root = tempfile::tempdir().unwrap();
    let sink = folder(root.path());
    let output = output(sink.clone(), RowFormat::Parquet, None);
    file(1, &many(3), &output).await.unwrap();
    let found = files(root.path());
    let receipt = found
        .keys()
        .find(|key| key.starts_with("receipts/"))
        .unwrap();
    let text = String::from_utf8(found[receipt].clone()).unwrap();
    // The digest of an object, not of a file of rows: those stand in the first line.
    let place = text.rfind("\"sha256\":\"").unwrap() + 10;
    let mut forged = text.into_bytes();
    forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
    std::fs::write(root.path().join(receipt), forged).unwrap();
    let report = verify(sink.store().unwrap(), false).await.unwrap();
    let contradicted = |finding: &&recording_host_engine::verify::VerifyFinding| {
        finding.difference == Difference::Receipt && finding.key == *receipt
    };
    assert_eq!(
        report.findings.iter().filter(contradicted).count(),
        2,
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_that_is_not_known_is_refused_before_anything_runs() {
    let harness = Harness::start(Settings::default()).await;
    for (metadata, message) in [
        (json!({ "format": "orc" }), "`orc` is none of `"),
        (json!({ "compression": "snappy" }), "use none, gzip or zstd"),
        (json!({ "level": 19 }), "unknown field `level`"),
    ] {
        let sink = json!({ "type": "filesystem", "path": harness.output(), "metadata": metadata });
        let path = harness
            .write(&harness.config_to(sink))
            .display()
            .to_string();
        let ran = run_program(&["validate", "--config", &path]).await;
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{said}");
        assert!(
            said.contains("sinks.lake") && said.contains(message),
            "{said}"
        );
    }
}
