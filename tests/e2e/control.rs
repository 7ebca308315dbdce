//! A run is steered and watched from elsewhere on the machine, by its own user alone.

use std::{
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Output, Stdio},
};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    running::Running,
    support::{Harness, filed, in_time, program},
};

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

fn socket(harness: &Harness) -> PathBuf {
    harness.folder.path().join("data/control.sock")
}

async fn control(harness: &Harness, path: &str, command: &str) -> Output {
    harness
        .run_program(&["control", command, "--config", path])
        .await
}

async fn state(harness: &Harness, path: &str) -> Value {
    let ran = control(harness, path, "status").await;
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn requests(harness: &Harness) -> u64 {
    harness.simulator.stats().requests.values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_asks_for_nothing_and_a_resumed_one_loses_nothing() {
    let harness = Harness::of_a_day(400, 60.0).await;
    let path = harness.write(&harness.config()).display().to_string();
    let mut run = Running::start(&harness, &["run", "-v", "--config", &path]);
    run.until("artifact_stored").await;
    assert_eq!(state(&harness, &path).await["state"], "running");
    let mode = std::fs::metadata(socket(&harness))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let folder = std::fs::metadata(socket(&harness).parent().unwrap()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);

    let paused = control(&harness, &path, "pause").await;
    assert_eq!(paused.status.code(), Some(0), "{}", said(&paused));
    run.until("paused by `control`").await;
    // Requests that were on their way have come.
    let mut before = requests(&harness);
    let mut quiet = 0;
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let now = requests(&harness);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        if quiet == 10 {
            break;
        }
    }
    assert_eq!(
        quiet, 10,
        "two seconds, which are two minutes here, without a request"
    );
    let told = state(&harness, &path).await;
    assert_eq!(told["state"], "paused");
    assert!(
        told["sources"]["calls"]["progress"]["conversations"]
            .as_u64()
            .unwrap()
            > 0,
        "{told}"
    );
    assert!(filed(&harness.output()) < 400);

    let resumed = control(&harness, &path, "resume").await;
    assert_eq!(resumed.status.code(), Some(0), "{}", said(&resumed));
    let (code, _, lines) = run.end().await;
    assert!(matches!(code, Some(0 | 3)), "{lines:#?}");
    assert_eq!(filed(&harness.output()), 400);
    assert!(!socket(&harness).exists(), "it ends with the run");
    let ran = control(&harness, &path, "status").await;
    assert_eq!(ran.status.code(), Some(1));
    assert!(said(&ran).contains("no run serves it"), "{}", said(&ran));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_run_finishes_what_it_has_begun_and_another_resumes() {
    let harness = Harness::of_a_day(1500, 30.0).await;
    let path = harness.write(&harness.config()).display().to_string();
    let mut run = Running::start(&harness, &["run", "-v", "--config", &path]);
    // A few jobs have been submitted, and none is done.
    for _ in 0..4 {
        run.until("request kind=batch method=POST").await;
    }
    let drained = control(&harness, &path, "drain").await;
    assert_eq!(drained.status.code(), Some(0), "{}", said(&drained));
    run.until("draining").await;
    let submitted = || harness.simulator.stats().requests["POST /api/v2/recording/batchrequests"];
    let begun = submitted();
    let (code, _, lines) = run.end().await;
    assert_eq!(code, Some(5), "{lines:#?}");
    let last = lines.last().unwrap();
    assert!(
        last.contains("`control drain` has ended the run and work is left"),
        "{last}"
    );
    // One may have been on its way when it was asked for.
    assert!(submitted() <= begun + 4, "{} after {begun}", submitted());
    let brought = filed(&harness.output());
    assert!((300..1500).contains(&brought), "{brought} are filed");

    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(filed(&harness.output()), 1500);
    // No job of the first run was in vain.
    let organization = harness.organization();
    let fetched = (0..1500).map(|index| organization.conversation(index));
    let fetched =
        fetched.filter(|one| one.flagged || one.media != genesys_simulator::MediaType::Voice);
    let least = fetched.count().div_ceil(100) as u64;
    assert!(
        submitted() <= least + 8,
        "{} jobs, {least} at least",
        submitted()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_follows_drains_well_and_reloads_when_it_is_asked() {
    let harness = Harness::of_a_day(60, 600.0).await;
    let mut config = harness.config();
    config["sources"]["calls"]["options"]["interval"] = json!("2026-01-05/..");
    let path = harness.write(&config).display().to_string();
    let mut run = Running::start(&harness, &["run", "--follow", "-v", "--config", &path]);
    run.until("artifact_stored").await;
    config["sinks"]["lake"]["pth"] = json!("x");
    harness.write(&config);
    let folder = harness.folder.path().join("data").display().to_string();
    let by_folder = async |command: &str| {
        harness
            .run_program(&["control", command, "--data-dir", &folder])
            .await
    };
    let ran = by_folder("reload").await;
    assert_eq!(ran.status.code(), Some(1), "{}", said(&ran));
    assert!(said(&ran).contains("sinks.lake.pth"), "{}", said(&ran));
    config["sinks"]["lake"]
        .as_object_mut()
        .unwrap()
        .remove("pth");
    harness.write(&config);
    let ran = by_folder("reload").await;
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    run.until("reloading").await;
    // The new run is steered as the one before was.
    run.until("found").await;
    assert_eq!(by_folder("drain").await.status.code(), Some(0));
    let (code, out, lines) = run.end().await;
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(out.contains("conversations"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_the_display_of_a_run_elsewhere() {
    let harness = Harness::of_a_day(400, 60.0).await;
    let path = harness.write(&harness.config()).display().to_string();
    let mut run = Running::start(&harness, &["run", "-v", "--config", &path]);
    run.until("artifact_stored").await;
    control(&harness, &path, "pause").await;
    let ran = harness.run_program(&["top", "--config", &path]).await;
    let picture = said(&ran);
    assert_eq!(ran.status.code(), Some(0), "{picture}");
    for words in [
        "calls  discovered",
        "stored",
        "committed",
        "waits: ",
        "API ",
        "paused; resume it with `control resume`",
    ] {
        assert!(picture.contains(words), "{words}: {picture}");
    }
    control(&harness, &path, "resume").await;
    let (code, _, lines) = run.end().await;
    assert!(matches!(code, Some(0 | 3)), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_a_killed_run_left_is_replaced_and_a_second_run_has_none() {
    let harness = Harness::of_a_day(400, 30.0).await;
    let mut config = harness.config();
    let path = harness.write(&config).display().to_string();
    let mut killed = Running::start(&harness, &["run", "-v", "--config", &path]);
    killed.until("request").await;
    killed.child.kill().await.unwrap();
    assert!(socket(&harness).exists());
    let ran = control(&harness, &path, "status").await;
    assert_eq!(ran.status.code(), Some(1), "{}", said(&ran));

    let mut run = Running::start(&harness, &["run", "-v", "--config", &path]);
    run.until("request").await;
    let process = u64::from(run.child.id().unwrap());
    assert_eq!(state(&harness, &path).await["process"], process);
    // Another source with the same `data_dir`: it runs, and is not steered.
    let calls = config["sources"]["calls"].take();
    config["sources"] = json!({ "others": calls });
    config["sinks"]["lake"]["path"] = json!(harness.folder.path().join("others"));
    let other = harness.folder.path().join("other.yaml");
    std::fs::write(&other, config.to_string()).unwrap();
    let other = other.display().to_string();
    let ran = harness
        .run_program(&["run", "--max-time", "1s", "--config", &other])
        .await;
    assert!(
        said(&ran).contains("another run listens there"),
        "{}",
        said(&ran)
    );
    assert_eq!(ran.status.code(), Some(5), "{}", said(&ran));
    assert_eq!(state(&harness, &path).await["process"], process);
    run.signal("-TERM").await;
    run.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_costs_the_socket_and_not_the_run() {
    let harness = Harness::of_a_day(20, 600.0).await;
    let mut config = harness.config();
    config["data_dir"] = json!(harness.folder.path().join("d".repeat(100)));
    let path = harness.write(&config).display().to_string();
    let ran = harness.run_program(&["run", "--config", &path]).await;
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert!(
        said(&ran).contains("bytes are too many for a socket's path"),
        "{}",
        said(&ran)
    );
    assert_eq!(filed(&harness.output()), 20);
    let ran = control(&harness, &path, "status").await;
    assert_eq!(ran.status.code(), Some(1));
    assert!(
        said(&ran).contains("too many for a socket's path"),
        "{}",
        said(&ran)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_by_the_system_and_by_the_run() {
    let harness = Harness::of_a_day(400, 30.0).await;
    let path = harness.write(&harness.config()).display().to_string();
    let mut run = Running::start(&harness, &["run", "-v", "--config", &path]);
    run.until("request").await;
    // Whoever tests as root can be somebody else.
    let script = "import os, socket, sys\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\ns.settimeout(5)\ns.connect(sys.argv[1])\ns.sendall(b'{\"ask\":\"do\",\"command\":\"pause\"}\\n')\nprint(len(s.recv(100)))";
    let is_root = Command::new("id").arg("-u").output().await.unwrap().stdout == b"0\n";
    if is_root {
        // The folders above may be entered by the owner alone.
        for folder in [harness.folder.path(), &harness.folder.path().join("data")] {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let ask = async || {
            let ran = Command::new("python3")
                .args(["-c", script])
                .arg(socket(&harness))
                .stdin(Stdio::null())
                .output();
            in_time(ran).await.unwrap()
        };
        let ran = ask().await;
        assert!(said(&ran).contains("PermissionError"), "{}", said(&ran));
        // Where the permissions are wide, it is the run that turns it away.
        std::fs::set_permissions(socket(&harness), PermissionsExt::from_mode(0o666)).unwrap();
        let ran = ask().await;
        let text = said(&ran);
        let is_refused = text.trim() == "0"
            || text.contains("ConnectionResetError")
            || text.contains("BrokenPipeError");
        assert!(is_refused, "{text}");
        assert_eq!(state(&harness, &path).await["state"], "running");
    }
    run.signal("-TERM").await;
    run.end().await;
    let help = program().args(["control", "--help"]).output().unwrap();
    assert!(said(&help).contains("drain"));
}
