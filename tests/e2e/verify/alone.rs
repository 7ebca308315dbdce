//! An archive is verified without a configuration, wherever it lies, and an empty one is not proven.

use std::{path::Path, process::Output};

use genesys_simulator::Settings;
use serde_json::{Value, json};

use crate::{
    s3_server::{ACCESS_KEY, BUCKET, SECRET_KEY, Server, Ways},
    support::{Harness, export, files, program, run_program},
};

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&[&ran.stdout[..], &ran.stderr[..]].concat()).into_owned()
}

/// Fails unless the program ends so; returns its output.
async fn ends(arguments: &[&str], code: i32) -> String {
    let ran = run_program(arguments).await;
    let said = said(&ran);
    assert_eq!(ran.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn harness() -> Harness {
    Harness::start(Settings {
        conversations: 40,
        ..Settings::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_prove_is_told_by_an_exit_code_of_its_own() {
    let harness = harness().await;
    let path = |name: &str| harness.folder.path().join(name);
    let mut config = harness.config();
    let sink = |name: &str| json!({ "type": "filesystem", "path": path(name) });
    config["sinks"] = json!({ "one": sink("one"), "two": sink("two") });
    let file = text(&harness.write(&config));
    // Neither sink has anything, nor gets a folder by being looked at.
    let told = ends(&["verify", "--full", "--config", &file], 4).await;
    assert!(
        told.contains("nothing to prove: no receipt in one, two"),
        "{told}"
    );
    for (folder, what) in [("one", "there is no folder"), ("data", "no receipt in")] {
        let folder = text(&path(folder));
        if what == "no receipt in" {
            std::fs::create_dir_all(&folder).unwrap();
        }
        let told = ends(&["verify", &folder], 4).await;
        assert!(
            told.contains("nothing to prove") && told.contains(what),
            "{told}"
        );
    }
    assert!(!path("one").exists() && !path("two").exists());

    export(config.clone()).await;
    let told = ends(&["verify", "--full", "--config", &file], 0).await;
    assert!(told.contains("claims 2026-01-05 to 2026-01-12"), "{told}");
    // One that was emptied, or was given another place, is not proven by the other.
    std::fs::rename(path("two"), path("three")).unwrap();
    let told = ends(&["verify", "--config", &file], 4).await;
    assert!(told.contains("no receipt in two"), "{told}");
    // The worst of them counts.
    let receipts = files(&path("one"));
    let receipt = receipts
        .keys()
        .find(|key| key.starts_with("receipts/"))
        .unwrap();
    std::fs::remove_file(path("one").join(receipt)).unwrap();
    ends(&["verify", "--config", &file], 1).await;
    ends(&["verify"], 2).await;
    ends(&["verify", &text(&path("three")), "--config", &file], 2).await;
    let told = ends(&["verify", "ftp://host/folder"], 2).await;
    assert!(told.contains("`ftp://` is not known"), "{told}");
    let help = ends(&["--help"], 0).await;
    assert!(help.contains("4 nothing to prove"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_verified_without_a_configuration_whatever_its_layout_is() {
    let harness = harness().await;
    for (name, layout) in [
        ("days", json!("days")),
        (
            "hive",
            json!({ "type": "hive", "organization": "0f1c1f6a" }),
        ),
        (
            "own",
            json!({ "type": "template",
            "key": "calls/voice/{year}/{conversation}/{recording}{part}.{ext}" }),
        ),
    ] {
        let mut config = harness.config();
        let root = harness.folder.path().join(name);
        // Each is an export of its own: that of another folder would miss its marker.
        config["data_dir"] = json!(harness.folder.path().join(format!("{name}-data")));
        config["sinks"] =
            json!({ "lake": { "type": "filesystem", "path": root, "layout": layout } });
        export(config).await;
        let root_text = text(&root);
        let told = ends(&["verify", "--full", &root_text, "--json"], 0).await;
        let told: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
        let report = &told["sinks"][&root_text];
        assert_eq!(report["conversations"], 40, "{name}");
        assert_eq!(report["coverage"][0]["from"], "2026-01-05T00:00:00Z");
        // Files in the archive beside its own are nobody's surplus; files among its media are.
        let prefix = match name {
            "days" => "recordings",
            "hive" => "0f1c1f6a",
            _ => "calls/voice",
        };
        std::fs::create_dir_all(root.join("elsewhere")).unwrap();
        std::fs::write(root.join("elsewhere/notes.txt"), "notes").unwrap();
        std::fs::write(root.join(prefix).join("stranger.ogg"), "OggS").unwrap();
        let told = ends(&["verify", &root_text], 1).await;
        assert!(
            told.contains("stranger.ogg") && !told.contains("notes.txt"),
            "{told}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_verified_without_a_configuration() {
    let harness = harness().await;
    let server = Server::start(Ways::default()).await;
    export(harness.config_to(server.config())).await;
    let verify = async |place: &str| {
        let mut command = program();
        let server = [
            "--endpoint",
            &server.url,
            "--region",
            "eu-west-1",
            "--path-style",
        ];
        command
            .args(["verify", "--full", place])
            .args(server)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
        let ran = ran.await.unwrap();
        (ran.status.code(), said(&ran))
    };
    let archive = format!("s3://{BUCKET}/calls/");
    let (code, told) = verify(&archive).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("40 conversations") && told.contains("claims 2026-01-05"),
        "{told}"
    );
    let (code, told) = verify(&format!("s3://{BUCKET}/mails")).await;
    assert_eq!(code, Some(4), "{told}");
    let (code, told) = verify("s3://no-such-bucket/calls").await;
    assert_eq!(code, Some(1), "{told}");
    server.place("calls/recordings/stranger.ogg", b"OggS");
    let (code, told) = verify(&archive).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("recordings/stranger.ogg"), "{told}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_text_in_the_archive_says_how_to_verify_it_without_the_program() {
    let installed = |name: &str| {
        let which = std::process::Command::new(name).arg("--version").output();
        which.is_ok_and(|ran| ran.status.success())
    };
    let harness = harness().await;
    export(harness.config()).await;
    let root = harness.output();
    let text = std::fs::read_to_string(root.join("README.txt")).unwrap();
    let begin = text.find("  jq -r").unwrap();
    let end = text.find("Both print nothing").unwrap();
    let recipe = &text[begin..end];
    assert!(recipe.contains("sha256sum --check"), "{recipe}");
    if !installed("jq") || !installed("sha256sum") {
        eprintln!("without jq and sha256sum the recipe is not tried out");
        return;
    }
    let run = || {
        let mut shell = std::process::Command::new("sh");
        let ran = shell.arg("-c").arg(recipe).current_dir(&root).output();
        said(&ran.unwrap())
    };
    assert_eq!(run(), "");
    let found = files(&root);
    let recording = found
        .keys()
        .find(|key| key.starts_with("recordings/"))
        .unwrap();
    std::fs::write(root.join(recording), "RIFF").unwrap();
    let receipt = found
        .keys()
        .find(|key| key.starts_with("receipts/"))
        .unwrap();
    let lines = String::from_utf8(found[receipt].clone()).unwrap();
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.pop();
    std::fs::write(root.join(receipt), lines.join("\n") + "\n").unwrap();
    let told = run();
    assert!(told.contains(receipt), "{told}");
    let of_last = lines.len() == 1;
    assert!(of_last || told.contains(recording), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_compared_is_not_called_right_and_the_advice_for_a_gap_mends_it() {
    let harness = harness().await;
    export(harness.config()).await;
    let config = text(&harness.write(&harness.config()));
    let folder = text(&harness.output());
    // A byte of a recording is another one: names and sizes are as they were.
    let key = files(&harness.output());
    let key = key.keys().find(|key| key.starts_with("recordings/"));
    let path = harness.output().join(key.unwrap());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let told = ends(&["verify", &folder], 0).await;
    assert!(
        told.contains("all as it should be, by names and sizes; `--full` compares contents"),
        "{told}"
    );
    let told = ends(&["verify", "--full", &folder], 1).await;
    assert!(told.contains("not as they should be"), "{told}");

    // The receipts of a whole day are gone.
    let receipts = harness.output().join("receipts");
    let days = std::fs::read_dir(&receipts).unwrap();
    let mut days: Vec<_> = days.map(|day| day.unwrap().path()).collect();
    days.sort();
    std::fs::remove_dir_all(&days[days.len() / 2]).unwrap();
    let told = ends(&["verify", &folder], 1).await;
    let advice = "`run --repair` files it again";
    assert!(told.contains("gap") && told.contains(advice), "{told}");
    let ran = harness
        .run_program(&["run", "--repair", "--config", &config])
        .await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{}", said(&ran));
    let told = ends(&["verify", "--full", &folder], 0).await;
    assert!(told.contains(": all as it should be\n"), "{told}");
}
