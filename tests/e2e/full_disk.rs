//! A disk that is really full loses nothing: the run says which one it is, and resumes with more room.
//!
//! Each disk is a `tmpfs` of a few kilobytes, mounted in a namespace of its own.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use genesys_simulator::{Dialect, Settings};
use serde_json::{Value, json};

use crate::support::{Harness, SIMULATED_CLOCK, export, files, media, same_media};

async fn harness(dialect: Dialect) -> Harness {
    Harness::start(Settings {
        conversations: 200,
        seed: 12,
        dialect,
        ..Settings::default()
    })
    .await
}

/// A folder that is a small disk, and what becomes of an export that meets it.
struct Small {
    harness: Harness,
    folder: PathBuf,
}

impl Small {
    async fn new(dialect: Dialect) -> Self {
        let harness = harness(dialect).await;
        let folder = harness.folder.path().join("small");
        std::fs::create_dir(&folder).unwrap();
        Small { harness, folder }
    }

    /// Runs a script in which `$program` and `$config` are ours, `$small` is a disk of `size`, and
    /// `more` makes it large.
    async fn script(&self, config: &Value, size: &str, script: &str) -> Output {
        let config = self.harness.write(config);
        let script = format!(
            "set -u
             mount -t tmpfs -o size={size} tmpfs \"$small\"
             more() {{ mount -o remount,size=512m \"$small\"; }}
             run() {{ \"$program\" run --config \"$config\"; }}
             {script}"
        );
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .env("program", env!("CARGO_BIN_EXE_recording-host"))
            .env("config", config)
            .env(SIMULATED_CLOCK, self.harness.simulator.clock_url())
            .env("small", &self.folder)
            .env("folder", self.harness.folder.path());
        tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap()
    }
}

/// Checks that it ended as it should, and returns its standard error.
fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    said
}

async fn calm(dialect: Dialect) -> Harness {
    let calm = harness(dialect).await;
    export(calm.config()).await;
    calm
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_without_room_is_waited_for_until_there_is_some() {
    let small = Small::new(Dialect::Cloud).await;
    let output = small.folder.join("output");
    let config = small
        .harness
        .config_to(json!({ "type": "filesystem", "path": output }));
    let run = small.script(
        &config,
        "2m",
        "run 2>\"$folder/said\" & pid=$!
         until grep -q 'no space is left' \"$folder/said\"; do
           kill -0 $pid || { cat \"$folder/said\" >&2; exit 9; }
           sleep 0.1
         done
         more
         wait $pid; code=$?
         cat \"$folder/said\" >&2
         [ $code = 3 ] || exit 8
         \"$program\" verify --full --config \"$config\" || exit 7
         cp -r \"$small/output\" \"$folder/output\"",
    );
    let said = said(&run.await);
    assert!(said.contains("free some, and it goes on"), "{said}");
    let calm = calm(Dialect::Cloud).await;
    let there = files(&small.harness.output());
    same_media(&media(&there), &media(&files(&calm.output())));
    let parts = there.keys().filter(|key| key.contains("/."));
    assert_eq!(parts.count(), 0, "no temporary file is left");
}

/// A run whose queue and spool are on a small disk fails, says so, and another one resumes.
async fn small_data_dir(dialect: Dialect, size: &str, reason: &str) {
    let small = Small::new(dialect).await;
    let mut config = small.harness.config();
    config["data_dir"] = json!(small.folder.join("data"));
    let run = small.script(
        &config,
        size,
        "run; [ $? = 1 ] || exit 9
         more
         run; [ $? = 3 ] || exit 8
         \"$program\" verify --full --config \"$config\" || exit 7",
    );
    let said = said(&run.await);
    assert!(said.contains(reason), "{said}");
    let calm = calm(dialect).await;
    same_media(
        &media(&files(&small.harness.output())),
        &media(&files(&calm.output())),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_without_room_stops_the_run_and_loses_nothing() {
    small_data_dir(Dialect::Cloud, "400k", "no room for the queue").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_without_room_stops_the_run_and_loses_nothing() {
    small_data_dir(Dialect::Guide, "5m", "make room").await;
}
