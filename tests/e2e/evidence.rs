//! `evidence`: what an archive has of some conversations is handed over, and checked without the program.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Cursor, Read},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use recording_host_config::Config;
use recording_host_model::clock::Clock;
use serde_json::{Value, json};
use zip::ZipArchive;

use crate::{
    browse::{Served, archive},
    encryption::{Pair, encrypting},
    support::{Harness, SPEED, export, files, program, receipts, rows, sha256, with_nulls},
};

/// The files of a package, in their order.
fn unpacked(package: impl Read + std::io::Seek) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(package).unwrap();
    let each = (0..zip.len()).map(|at| {
        let mut file = zip.by_index(at).unwrap();
        let mut data = Vec::new();
        file.read_to_end(&mut data).unwrap();
        (file.name().unwrap().to_string(), data)
    });
    each.collect()
}

fn text(files: &[(String, Vec<u8>)], name: &str) -> String {
    let file = files.iter().find(|(known, _)| known == name);
    let (_, data) = file.unwrap_or_else(|| panic!("{name} is not in the package"));
    String::from_utf8(data.clone()).unwrap()
}

/// Asks for evidence; returns how that ended, and where the package is to be.
fn evidence(harness: &Harness, arguments: &[&str]) -> (Output, PathBuf) {
    let package = harness.folder.path().join("case.zip");
    let output = program()
        .arg("evidence")
        .arg(harness.output())
        .args(arguments)
        .arg("--cache")
        .arg(harness.folder.path().join("cache"))
        .arg("--output")
        .arg(&package)
        .output()
        .unwrap();
    (output, package)
}

/// A row with a recording.
fn recording(harness: &Harness) -> Value {
    let mut rows = rows(&files(&harness.output())).into_iter();
    rows.find(|row| row["content_type"] == "audio/ogg" && row["ani"].is_string())
        .unwrap()
}

fn id(row: &Value) -> &str {
    row["conversation_id"].as_str().unwrap()
}

/// The contents of a package as an independent reader finds them.
fn read(package: &Path, folder: &Path) -> Value {
    let path =
        std::env::var("PYPDF").expect("PYPDF is not set: tests/run installs pypdf and sets it");
    std::fs::create_dir(folder).unwrap();
    let reader = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/readers/evidence.py"
    );
    let output = Command::new("python3")
        .env("PYTHONPATH", path)
        .arg(reader)
        .args([package, folder])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pypdf, which tests/run installs"]
async fn a_conversation_is_handed_over_and_checked_without_the_program() {
    let harness = archive().await;
    let row = recording(&harness);
    let (output, package) = evidence(&harness, &["--conversation", id(&row)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&sha256(&std::fs::read(&package).unwrap())),
        "{said}"
    );

    let folder = harness.folder.path().join("received");
    let found = read(&package, &folder);
    assert_eq!(found["all_have_digests"], json!(true), "{found}");
    assert_eq!(
        (&found["package"], &found["receipts"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(found["entries"], json!([true]));
    let key = row["object_key"].as_str().unwrap();
    let media = std::fs::read(folder.join("archive").join(key)).unwrap();
    assert_eq!(sha256(&media), row["sha256"].as_str().unwrap());
    let pdf = found["pdf"].as_str().unwrap();
    let version = concat!("recording-host ", env!("CARGO_PKG_VERSION"));
    for told in [
        id(&row),
        row["ani"].as_str().unwrap(),
        "All is as the receipts say",
        version,
        "sha256sum -c",
    ] {
        assert!(pdf.contains(told), "{told} is not in {pdf}");
    }
    let handed = std::fs::read_to_string(folder.join("rows.jsonl")).unwrap();
    let handed: Vec<Value> = handed
        .lines()
        .map(|line| with_nulls(serde_json::from_str(line).unwrap()))
        .collect();
    assert!(handed.contains(&row) && handed.iter().all(|one| id(one) == id(&row)));
    let schema = std::fs::read_to_string(folder.join("row.schema.json")).unwrap();
    assert!(schema.contains("conversation_id"));

    let log = std::fs::read_to_string(harness.folder.path().join("cache/access.jsonl")).unwrap();
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&line["action"], &line["conversation_id"]),
        (&json!("export"), &row["conversation_id"])
    );

    // A damaged recording: the package is as it was made, and not as the receipt says.
    std::fs::write(harness.output().join(key), "damaged").unwrap();
    let (output, package) = evidence(&harness, &["--conversation", id(&row)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = read(&package, &harness.folder.path().join("damaged"));
    assert_eq!(
        (&found["package"], &found["receipts"]),
        (&json!(0), &json!(1))
    );
    let pdf = found["pdf"].as_str().unwrap();
    assert!(
        pdf.contains("not as it should be") && pdf.contains("it has 7 bytes"),
        "{pdf}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pypdf, which tests/run installs"]
async fn hostile_and_foreign_names_are_text_in_every_form_of_the_report() {
    let harness = archive().await;
    let row = recording(&harness);
    let name = "<script>alert(1)</script> \u{202e}中";
    for (key, data) in files(&harness.output()) {
        if !key.starts_with("metadata/") {
            continue;
        }
        let lines = std::str::from_utf8(&data).unwrap().lines().map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            row["agents"] = json!([{ "id": "1", "name": name }]);
            format!("{row}\n")
        });
        std::fs::write(harness.output().join(key), lines.collect::<String>()).unwrap();
    }
    let (output, package) = evidence(&harness, &["--conversation", id(&row)]);
    // Rows that were changed are a finding.
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let folder = harness.folder.path().join("received");
    let found = read(&package, &folder);
    let pdf = found["pdf"].as_str().unwrap().split_whitespace();
    let pdf = pdf.collect::<Vec<_>>().join(" ");
    assert!(
        pdf.contains("<script>alert(1)</script> <U+202E><U+4E2D>"),
        "{pdf}"
    );
    assert!(pdf.contains("written as their numbers in Unicode"), "{pdf}");
    assert!(pdf.contains("file of rows has another SHA-256"), "{pdf}");
    let html = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; \u{fffd}中"));
    assert!(!html.contains("<script"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let harness = archive().await;
    let row = recording(&harness);
    let (output, package) = evidence(&harness, &["--conversation", "nobody"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(!package.exists());

    std::fs::remove_file(harness.output().join(row["object_key"].as_str().unwrap())).unwrap();
    let (output, package) = evidence(
        &harness,
        &["--conversation", "nobody", "--conversation", id(&row)],
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("unknown: nobody") && said.contains("missing: "),
        "{said}"
    );
    let package = unpacked(File::open(package).unwrap());
    let html = text(&package, "report.html");
    assert!(
        html.contains("unknown: nobody") && html.contains("not in this package"),
        "{html}"
    );
    let left = std::fs::read_dir(harness.folder.path()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().starts_with(".evidence")),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_archives_make_equal_packages_but_for_the_time() {
    let harness = archive().await;
    let row = recording(&harness);
    let number: String = row["ani"]
        .as_str()
        .unwrap()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let made = || {
        let (output, package) = evidence(&harness, &["--number", &number, "--exact"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        unpacked(File::open(package).unwrap())
    };
    let (one, other) = (made(), made());
    let names = |files: &[(String, Vec<u8>)]| {
        files
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&one), names(&other));
    let told_time = ["report.html", "report.pdf", "SHA256SUMS"];
    for (left, right) in one
        .iter()
        .zip(&other)
        .filter(|(file, _)| !told_time.contains(&file.0.as_str()))
    {
        assert!(left.1 == right.1, "{}", left.0);
    }
    assert!(text(&one, "rows.jsonl").contains(id(&row)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_at_a_conversation_is_told() {
    let harness = Harness::start(genesys_simulator::Settings {
        conversations: 200,
        archived: 0.05,
        ..genesys_simulator::Settings::default()
    })
    .await;
    export(harness.config()).await;
    let config = Config::new(harness.config()).unwrap();
    let mut pipelines = config.pipelines(Clock::new(SPEED)).await.unwrap();
    pipelines.pop().unwrap().retry_lost().run().await.unwrap();
    let mut lines = BTreeMap::<String, u64>::new();
    for line in receipts(&files(&harness.output())) {
        if let Some(id) = line["conversation_id"].as_str() {
            *lines.entry(id.to_owned()).or_default() += 1;
        }
    }
    let (twice, _) = lines.iter().find(|(_, count)| **count > 1).unwrap();
    let (output, package) = evidence(&harness, &["--conversation", twice]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let package = unpacked(File::open(package).unwrap());
    let receipts = package
        .iter()
        .filter(|(name, _)| name.starts_with("archive/receipts/"));
    assert_eq!(receipts.count() as u64, lines[twice]);
    let html = text(&package, "report.html");
    assert!(
        html.contains("Attempt 1: ")
            && html.contains("Attempt 2: ")
            && html.contains("This is what counts."),
        "{html}"
    );
    let rows = text(&package, "rows.jsonl");
    assert!(
        rows.contains("\"attempt\":1") && rows.contains("\"attempt\":2"),
        "{rows}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_archive_is_proven_without_the_identity_and_heard_with_it() {
    let harness = Harness::start(genesys_simulator::Settings {
        conversations: 60,
        ..genesys_simulator::Settings::default()
    })
    .await;
    let (pair, other) = (
        Pair::new(harness.folder.path(), "one"),
        Pair::new(harness.folder.path(), "other"),
    );
    export(encrypting(harness.config(), &[&pair])).await;
    let lines = receipts(&files(&harness.output()));
    let line = lines
        .iter()
        .find(|line| line["objects"][0]["content_type"] == "audio/ogg")
        .unwrap();
    let (id, key) = (id(line), line["objects"][0]["key"].as_str().unwrap());
    let stored = format!("archive/{key}");
    let plain = format!("decrypted/{}", key.strip_suffix(".age").unwrap());

    let (output, package) = evidence(&harness, &["--conversation", id]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let package = unpacked(File::open(package).unwrap());
    let sealed = package.iter().find(|(name, _)| *name == stored).unwrap();
    assert_eq!(
        sha256(&sealed.1),
        line["objects"][0]["sha256"].as_str().unwrap()
    );
    assert!(text(&package, "report.html").contains("no identity was given"));
    assert_eq!(text(&package, "rows.jsonl"), "");

    let identity = pair.path.to_str().unwrap();
    let (output, package) = evidence(&harness, &["--conversation", id, "--identity", identity]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let package = unpacked(File::open(package).unwrap());
    let heard = package.iter().find(|(name, _)| *name == plain).unwrap();
    let rows = text(&package, "rows.jsonl");
    assert!(
        heard.1.starts_with(b"OggS") && rows.contains(&sha256(&heard.1)),
        "{rows}"
    );
    assert!(text(&package, "RECEIPT-SHA256SUMS").contains(&plain));
    assert!(package.iter().any(|(name, _)| *name == stored));

    let identity = other.path.to_str().unwrap();
    let (output, package) = evidence(&harness, &["--conversation", id, "--identity", identity]);
    assert_ne!(output.status.code(), Some(2), "{output:?}");
    let package = unpacked(File::open(package).unwrap());
    assert!(
        !package
            .iter()
            .any(|(name, _)| name.starts_with("decrypted/"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_hands_over_a_recording_a_conversation_and_a_search() {
    let harness = archive().await;
    let row = recording(&harness);
    let cache = harness.folder.path().join("served");
    let served = Served::start(&harness.output(), &cache, &[]);
    let client = reqwest::Client::new();
    let post = async |path: String, form: String| {
        let request = client.post(format!("{}{path}", served.url));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap()
    };
    let number: String = row["ani"]
        .as_str()
        .unwrap()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    for (path, form) in [
        (format!("/evidence/{}/0", id(&row)), String::new()),
        (format!("/evidence/{}", id(&row)), String::new()),
        ("/evidence".to_owned(), format!("number={number}&exact=1")),
    ] {
        let answer = post(path.clone(), form).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/zip");
        let package = unpacked(Cursor::new(answer.bytes().await.unwrap()));
        assert!(text(&package, "rows.jsonl").contains(id(&row)), "{path}");
        assert!(
            text(&package, "report.html").contains("All is as the receipts say"),
            "{path}"
        );
        let media = package
            .iter()
            .filter(|(name, _)| name.starts_with("archive/recordings/"));
        assert!(media.count() >= 1, "{path}");
    }
    let missing = post("/evidence/nobody".to_owned(), String::new()).await;
    assert_eq!(missing.status(), 404);
    let get = client.get(format!("{}/evidence/{}", served.url, id(&row)));
    assert_eq!(get.send().await.unwrap().status(), 404);
    let log = std::fs::read_to_string(cache.join("access.jsonl")).unwrap();
    assert!(
        log.matches("\"export\"").count() >= 3 && !log.contains(&number),
        "{log}"
    );
}
